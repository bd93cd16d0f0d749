//! `mcp-bridge login`: from a terminal.

use std::process::Stdio;

use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    process::Child,
    time::timeout,
};

use super::{server, setup, until_status, whoami};
use crate::harness::{Bridge, Browser, OAuthPeer, PATIENCE};

/// Starts a login and reads the address that it prints.
pub async fn begin(bridge: &Bridge, words: &[&str]) -> (Child, String) {
    let mut child = bridge.begin_cli(words, Stdio::null());
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let reading = async {
        while let Some(line) = lines.next_line().await.unwrap() {
            if line.trim().starts_with("http") {
                return line.trim().to_owned();
            }
        }
        panic!("it prints no address")
    };
    let url = timeout(PATIENCE, reading)
        .await
        .expect("an address in time");
    // Nobody reads the rest, and it must not block.
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    (child, url)
}

/// Waits for its end: the code and what it printed.
pub async fn end(child: Child) -> (i32, String) {
    let output = timeout(PATIENCE, child.wait_with_output()).await;
    let output = output.expect("it ends in time").unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    (output.status.code().unwrap_or(-1), text)
}

#[tokio::test]
async fn the_browser_comes_back_to_the_terminal_and_the_running_bridge_hears_of_it() {
    let peer = OAuthPeer::start(&[]).await;
    let bridge = setup(&peer, "").ready().await;
    let (child, url) = begin(&bridge, &["login", "team"]).await;
    let mut browser = Browser::new();
    let page = browser.open(&url).await;
    let page = browser.consent(&page, "the-team", "approve").await;
    assert!(page.text.contains("close this page"), "{}", page.text);
    assert_eq!(end(child).await, (0, "team is connected\n".to_owned()));
    until_status(&bridge, "team", "ready").await;
    let list = bridge.cli(&["accounts"]).await;
    assert_eq!(list.ok(), "team  shared\n");
    let out = bridge.cli(&["logout", "team"]).await;
    assert_eq!(out.ok(), "team is disconnected\n");
    let (code, error) = bridge.cli(&["logout", "team"]).await.said();
    assert!(
        code == 1 && error.contains("there is no login for"),
        "{error}"
    );
}

#[tokio::test]
async fn the_address_is_pasted_where_the_browser_is_elsewhere() {
    let peer = OAuthPeer::start(&[]).await;
    let bridge = setup(&peer, "").ready().await;
    let words = ["login", "mine", "--user", "Alice@Example.org"];
    let mut child = bridge.begin_cli(&words, Stdio::piped());
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut url = String::new();
    while url.is_empty() {
        let line = timeout(PATIENCE, lines.next_line()).await.unwrap().unwrap();
        let line = line.expect("an address");
        if line.trim().starts_with("http") {
            url = line.trim().to_owned();
        }
    }
    let mut browser = Browser::new();
    let page = browser.open(&url).await;
    let answer = browser.consent_location(&page, "alice-there").await;
    let mut stdin = child.stdin.take().unwrap();
    let pasted = format!("what is this?\n{answer}\n");
    stdin.write_all(pasted.as_bytes()).await.unwrap();
    let (code, out) = end(child).await;
    assert_eq!(
        (code, out.as_str()),
        (0, "mine is connected for Alice@Example.org\n")
    );
    let called = whoami(&bridge, "alice@example.org", "mine").await;
    assert_eq!(called.text, "\"alice-there mcp:tools\"");
}

#[tokio::test]
async fn it_says_what_it_cannot_do() {
    let peer = OAuthPeer::start(&[]).await;
    let bridge = setup(&peer, "").ready().await;
    for (words, needle) in [
        (&["login", "nobody"][..], "there is no bridge `nobody`"),
        (&["login", "demo"], "its server is a program"),
        (&["login", "mine"], "--user E-MAIL"),
        (
            &["login", "team", "--user", "a@b.c"],
            "all callers share the account",
        ),
        (
            &["login", "team", "--timeout", "1s"],
            "the login did not complete within 1s",
        ),
    ] {
        let (code, error) = bridge.cli(words).await.said();
        assert!(code == 1 && error.contains(needle), "{words:?} {error}");
    }
    assert_eq!(server(&bridge, "team").await["status"], "needs_login");
}
