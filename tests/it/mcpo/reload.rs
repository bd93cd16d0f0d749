//! `--hot-reload`: what the documentation of mcpo promises (mcpo contract §10).

use std::{fs, os::unix::fs::symlink};

use serde_json::{Value, json};

use super::{config, mcpo, probe, probe_with, with_config};
use crate::harness::{Bridge, is_alive, until, until_gone};

/// An entry whose server names itself and tells its process id.
fn named(name: &str) -> Value {
    probe_with("b_pid", json!({"args": ["--name", name]}))
}

/// The process id of a server.
async fn pid(bridge: &Bridge, name: &str) -> u64 {
    let answer = bridge.post(&format!("/{name}/b_pid"), "").await;
    assert_eq!(
        answer.status,
        200,
        "{name}: {}\n{}",
        answer.text,
        bridge.log()
    );
    let text = answer.json();
    text.as_str()
        .unwrap()
        .trim_start_matches("pid=")
        .parse()
        .unwrap()
}

/// Waits until a server answers by its tool.
async fn until_serving(bridge: &Bridge, path: &str) {
    until(async || bridge.post(path, "").await.status == 200).await;
}

/// Waits until the document of a server has a title.
async fn until_titled(bridge: &Bridge, server: &str, title: &str) {
    let path = format!("{server}/openapi.json");
    until(async || bridge.get(&path).await.json()["info"]["title"] == title).await;
}

/// How often a bad file was refused.
fn refusals(bridge: &Bridge) -> usize {
    bridge.log().matches("the old one stays in effect").count()
}

#[tokio::test]
async fn every_edit_does_what_it_says_and_nothing_else() {
    let bridge = with_config(&[("a", named("A1")), ("b", named("B1"))], &["--hot-reload"])
        .ready()
        .await;
    let (a, b) = (pid(&bridge, "a").await, pid(&bridge, "b").await);

    // One more.
    let three = [("a", named("A1")), ("b", named("B1")), ("c", named("C1"))];
    bridge.write("config.json", &config(&three));
    until_serving(&bridge, "/c/b_pid").await;
    let c = pid(&bridge, "c").await;
    assert_eq!((pid(&bridge, "a").await, pid(&bridge, "b").await), (a, b));
    until(async || {
        let root = bridge.get("/openapi.json").await.json();
        let listed = root["info"]["description"].as_str().unwrap();
        listed.ends_with("[b](/b/docs)\n    - [c](/c/docs)")
    })
    .await;

    // One changes, one goes.
    let changed = probe_with("b_pid,r_text", json!({"args": ["--name", "A2"]}));
    bridge.write(
        "config.json",
        &config(&[("a", changed.clone()), ("c", named("C1"))]),
    );
    until_serving(&bridge, "/a/r_text").await;
    until_gone(a).await;
    until_gone(b).await;
    until_titled(&bridge, "/a", "A2").await;
    for path in ["/b/openapi.json", "/b/docs"] {
        assert_eq!(bridge.get(path).await.status, 404);
    }
    assert_eq!(bridge.post("/b/b_pid", "").await.status, 404);
    assert_eq!(pid(&bridge, "c").await, c);
    let a = pid(&bridge, "a").await;

    // What was added by an edit goes by an edit; a new one that fails costs nothing.
    let failing = ("d", json!({"command": "no-such-program-x"}));
    bridge.write(
        "config.json",
        &config(&[("a", changed.clone()), failing, ("e", named("E1"))]),
    );
    until_serving(&bridge, "/e/b_pid").await;
    until_gone(c).await;
    assert_eq!(bridge.get("/c/openapi.json").await.status, 404);
    assert_eq!(bridge.post("/d/x", "").await.status, 503);
    assert_eq!(pid(&bridge, "a").await, a);
    let e = pid(&bridge, "e").await;

    // Bad files change nothing and say why.
    let bad = [
        "{ invalid",
        "{}",
        "{\"mcpServers\": {}}",
        "{\"mcpServers\": {\"a\": {\"type\": \"sse\"}}}",
    ];
    for (n, text) in bad.into_iter().enumerate() {
        bridge.write("config.json", text);
        until(async || refusals(&bridge) > n).await;
        assert_eq!(
            (pid(&bridge, "a").await, pid(&bridge, "e").await),
            (a, e),
            "{text}"
        );
    }
    assert!(is_alive(a) && is_alive(e));
}

/// A ConfigMap: `config.json` → `..data/config.json`, `..data` → a folder with a date, and an
/// update swaps `..data`.
#[tokio::test]
async fn the_links_of_a_config_map_are_followed() {
    let setup = mcpo(&["--hot-reload", "--config", "{dir}/config.json"]);
    let dir = setup.path().to_path_buf();
    for (folder, name) in [("..1", "A1"), ("..2", "A2")] {
        fs::create_dir(dir.join(folder)).unwrap();
        let servers = [("a", named(name)), ("b", probe("b_pid"))];
        setup.write(&format!("{folder}/config.json"), &config(&servers));
    }
    symlink("..1", dir.join("..data")).unwrap();
    symlink("..data/config.json", dir.join("config.json")).unwrap();
    let bridge = setup.ready().await;
    let (a, b) = (pid(&bridge, "a").await, pid(&bridge, "b").await);
    symlink("..2", dir.join("..new")).unwrap();
    fs::rename(dir.join("..new"), dir.join("..data")).unwrap();
    until_gone(a).await;
    until_titled(&bridge, "/a", "A2").await;
    assert_eq!(pid(&bridge, "b").await, b);
}

#[tokio::test]
async fn without_the_option_an_edit_waits_for_a_signal() {
    let bridge = with_config(&[("a", named("A1"))], &[]).ready().await;
    let a = pid(&bridge, "a").await;
    bridge.write("config.json", &config(&[("b", named("B1"))]));
    // Longer than the watcher would take.
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    assert_eq!(pid(&bridge, "a").await, a);
    bridge.signal("HUP");
    until_serving(&bridge, "/b/b_pid").await;
    until_gone(a).await;
}
