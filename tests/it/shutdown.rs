//! How it ends.

use std::time::{Duration, Instant};

use crate::harness::{Setup, client, is_alive, until, until_gone};

const SLOW: &str = "
[server]
drain_timeout = '20s'
[bridges.slow]
{bad good}
";

#[tokio::test]
async fn calls_in_flight_finish_before_the_end() {
    let mut bridge = Setup::toml(SLOW).ready().await;
    let call = bridge.post("/slow/slow", r#"{"seconds": 1}"#);
    let stop = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        bridge.signal("TERM");
    };
    let (answer, ()) = tokio::join!(call, stop);
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(bridge.exit_code().await, 0);
}

#[tokio::test]
async fn while_draining_it_is_not_ready_and_takes_no_connections() {
    let mut bridge = Setup::toml(SLOW).ready().await;
    let call = bridge.post("/slow/slow", r#"{"seconds": 2}"#);
    let stop = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        bridge.signal("TERM");
        tokio::time::sleep(Duration::from_millis(300)).await;
        client().get(format!("{}/ready", bridge.base)).send().await
    };
    let (answer, probe) = tokio::join!(call, stop);
    assert_eq!(answer.status, 200);
    assert!(probe.is_err() || probe.unwrap().status() == 503);
    assert_eq!(bridge.exit_code().await, 0);
}

/// A balancer that had not noticed yet lost the calls it went on to send.
#[tokio::test]
async fn in_its_delay_it_is_not_ready_and_goes_on_to_serve() {
    let toml = SLOW.replace("drain_timeout", "drain_delay = '2s'\ndrain_timeout");
    let mut bridge = Setup::toml(&toml).ready().await;
    bridge.signal("TERM");
    until(async || bridge.get("/ready").await.status == 503).await;
    let began = Instant::now();
    let answer = bridge.post("/slow/slow", r#"{"seconds": 0}"#).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(answer.headers["connection"], "close");
    assert_eq!(bridge.exit_code().await, 0);
    let took = began.elapsed();
    assert!(took > Duration::from_secs(1), "{took:?}");
}

#[tokio::test]
async fn a_call_that_outlives_the_drain_is_cut_and_the_exit_is_clean() {
    let toml = SLOW.replace("20s", "1s");
    let mut bridge = Setup::toml(&toml).ready().await;
    let client = client();
    let request = client
        .post(format!("{}/slow/slow", bridge.base))
        .body(r#"{"seconds": 25}"#);
    let call = tokio::spawn(request.send());
    tokio::time::sleep(Duration::from_millis(300)).await;
    let began = Instant::now();
    bridge.signal("TERM");
    assert_eq!(bridge.exit_code().await, 0);
    assert!(
        began.elapsed() < Duration::from_secs(9),
        "{:?}",
        began.elapsed()
    );
    let answer = call.await.unwrap();
    assert!(answer.is_err() || answer.unwrap().status().as_u16() >= 500);
}

#[tokio::test]
async fn a_second_signal_ends_at_once() {
    let mut bridge = Setup::toml(SLOW).ready().await;
    let client = client();
    let request = client
        .post(format!("{}/slow/slow", bridge.base))
        .body(r#"{"seconds": 25}"#);
    let call = tokio::spawn(request.send());
    tokio::time::sleep(Duration::from_millis(300)).await;
    bridge.signal("TERM");
    tokio::time::sleep(Duration::from_millis(200)).await;
    let began = Instant::now();
    bridge.signal("TERM");
    bridge.exit_code().await;
    assert!(
        began.elapsed() < Duration::from_secs(2),
        "{:?}",
        began.elapsed()
    );
    assert!(call.await.unwrap().is_err());
}

#[tokio::test]
async fn servers_that_ignore_every_hint_are_killed_with_their_children() {
    let toml = "
[bridges.stubborn]
{bad stubborn}
[bridges.family]
{bad good}
";
    let mut bridge = Setup::toml(toml).ready().await;
    let family = bridge.post("/family/grandchild", "{}").await.json();
    let grandchild = family.as_u64().expect("its pid");
    let stubborn = bridge.post("/stubborn/pid", "{}").await.json();
    let stubborn = stubborn.as_u64().expect("its pid");
    assert!(is_alive(grandchild) && is_alive(stubborn));
    bridge.signal("TERM");
    assert_eq!(bridge.exit_code().await, 0);
    until_gone(grandchild).await;
    until_gone(stubborn).await;
}

#[tokio::test]
async fn a_port_in_use_is_one_clear_line_and_exit_code_1() {
    let setup = Setup::toml("[bridges.demo]\ncommand = 'mcp-bridge'\nargs = ['demo-server']\n");
    let _taken = std::net::TcpListener::bind(("127.0.0.1", setup.port())).unwrap();
    let port = setup.port();
    let (code, log) = setup.output().await;
    assert_eq!(code, 1);
    let errors: Vec<_> = log
        .lines()
        .filter(|line| line.starts_with("error:"))
        .collect();
    assert_eq!(
        errors,
        [format!(
            "error: cannot listen on 127.0.0.1:{port}: another program listens there; \
             stop it or choose another port with `--listen`"
        )]
    );
}
