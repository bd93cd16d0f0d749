//! Servers that fail, beside servers that do not: what breaks mcpo (mcpo contract §12,
//! `observed_cascade.txt`, `observed_reconnect.txt`, `observed_http.txt`).

use std::{
    process::Command,
    time::{Duration, Instant},
};

use futures::future::join_all;
use serde_json::{Value, json};

use super::{mcpo, probe, probe_with, probe_words, with_config};
use crate::harness::{Bridge, Upstream, ticks, until};

/// A server that cannot be had, as in the recording.
fn broken(kind: &str, port: u16) -> Value {
    let url = |port: u16, path: &str| format!("http://127.0.0.1:{port}{path}");
    match kind {
        "http-refused" => json!({"type": "streamable-http", "url": url(9, "/mcp")}),
        "sse-refused" => json!({"type": "sse", "url": url(9, "/sse")}),
        "http-404" => json!({"type": "streamable-http", "url": url(port, "/nothing")}),
        "stdio-missing" => json!({"command": "no-such-program-x"}),
        "stdio-exit" => json!({"command": "false"}),
        "stdio-silent" => json!({"command": "sleep", "args": ["60"]}),
        other => panic!("no `{other}`"),
    }
}

/// The process id that a server tells.
async fn pid(bridge: &Bridge, path: &str) -> String {
    let answer = bridge.post(path, "").await;
    assert_eq!(
        answer.status,
        200,
        "{path}: {}\n{}",
        answer.text,
        bridge.log()
    );
    answer
        .json()
        .as_str()
        .unwrap()
        .trim_start_matches("pid=")
        .to_owned()
}

/// Kills a server as the kernel does when memory is short.
fn kill(pid: &str) {
    let killed = Command::new("kill").args(["-9", pid]).status().unwrap();
    assert!(killed.success());
}

#[tokio::test]
async fn one_broken_server_costs_the_others_nothing() {
    let upstream = Upstream::start("json").await;
    let kinds = [
        "http-refused",
        "sse-refused",
        "http-404",
        "stdio-missing",
        "stdio-exit",
        "stdio-silent",
    ];
    let mut bridges = Vec::new();
    for kind in kinds {
        let bad = broken(kind, upstream.port);
        // Before and after it: mcpo loses either.
        let servers = [("a", probe("b_pid")), ("bad", bad), ("z", probe("b_pid"))];
        bridges.push((kind, with_config(&servers, &[]).spawn()));
    }
    for (kind, bridge) in &mut bridges {
        bridge.wait_for("/a/b_pid", |status| status == 405).await;
        bridge.wait_for("/z/b_pid", |status| status == 405).await;
        let pids = (pid(bridge, "/a/b_pid").await, pid(bridge, "/z/b_pid").await);
        let wanted = "**available tools**：\n    - [a](/a/docs)\n    - [z](/z/docs)";
        until(async || {
            let root = bridge.get("/openapi.json").await.json();
            root["info"]["description"]
                .as_str()
                .unwrap()
                .ends_with(wanted)
        })
        .await;
        if *kind != "stdio-silent" {
            until(async || bridge.post("/bad/x", "").await.status == 503).await;
        }
        assert_eq!(pids.0, pid(bridge, "/a/b_pid").await, "{kind}");
        assert_eq!(pids.1, pid(bridge, "/z/b_pid").await, "{kind}");
    }
    // A core is not to be spent on waiting. The first attempts are over by now.
    let before: Vec<u64> = bridges.iter().map(|(_, bridge)| ticks(bridge)).collect();
    tokio::time::sleep(Duration::from_secs(5)).await;
    for ((kind, bridge), before) in bridges.iter().zip(before) {
        // A tick is 10 ms: 5 of them in 5 s are 1 %.
        let spent = ticks(bridge) - before;
        assert!(spent < 5, "{kind}: {spent} ticks in 5 s\n{}", bridge.log());
    }
}

#[tokio::test]
async fn a_killed_server_is_back_within_a_call_and_the_other_never_notices() {
    let bridge = with_config(&[("s1", probe("b_pid")), ("s2", probe("b_pid"))], &[])
        .ready()
        .await;
    let (s1, s2) = (
        pid(&bridge, "/s1/b_pid").await,
        pid(&bridge, "/s2/b_pid").await,
    );
    kill(&s1);
    // A call on its way at that moment may be lost, and is not repeated: it may have been done.
    let answer = bridge.post("/s1/b_pid", "").await;
    assert!(
        answer.status == 200 || answer.code() == "upstream_closed",
        "{}",
        answer.text
    );
    assert_ne!(pid(&bridge, "/s1/b_pid").await, s1);
    assert_eq!(pid(&bridge, "/s2/b_pid").await, s2);
}

#[tokio::test]
async fn a_server_that_ends_during_a_call_costs_that_call_alone() {
    let words = probe_words("b_pid,b_exit,b_once");
    let mut line = vec!["--"];
    line.extend(words.iter().map(String::as_str));
    let setup = mcpo(&line);
    let once = setup.path().join("once");
    let bridge = setup
        .env("PROBE_ONCE", once.to_str().unwrap())
        .ready()
        .await;
    let before = pid(&bridge, "/b_pid").await;
    // 500 there. It is a gateway's failure, and the server's own words do not exist.
    let answer = bridge.post("/b_exit", "").await;
    assert_eq!(
        (answer.status, &answer.code()[..]),
        (502, "upstream_closed")
    );
    assert_ne!(pid(&bridge, "/b_pid").await, before);
    until(async || bridge.post("/b_once", "").await.status == 200).await;
    assert_eq!(bridge.post("/b_once", "").await.text, "\"second life\"");
}

/// Two servers at one upstream, which is restarted: both are back.
#[tokio::test]
async fn restarted_upstreams_are_found_again_by_everyone() {
    for (mode, path, kind) in [
        ("legacy", "/sse", json!("sse")),
        // Without `type` it is the old transport there.
        ("legacy", "/sse", Value::Null),
        ("json", "/mcp", json!("streamable-http")),
        ("sse", "/mcp", json!("streamable_http")),
    ] {
        let mut upstream = Upstream::start(mode).await;
        let url = format!("http://127.0.0.1:{}{path}", upstream.port);
        let entry = json!({"type": kind, "url": url, "headers": {"x-cfg": "1"}});
        let servers = [
            ("one", entry.clone()),
            ("two", entry),
            ("pid", probe("b_pid")),
        ];
        let bridge = with_config(&servers, &[]).ready().await;
        let echo = r#"{"message": "hi"}"#;
        let other = pid(&bridge, "/pid/b_pid").await;
        for name in ["one", "two"] {
            let answer = bridge.post(&format!("/{name}/echo"), echo).await;
            assert_eq!(answer.text, "\"hi\"", "{mode}: {}", bridge.log());
            let headers = bridge.post(&format!("/{name}/headers"), "").await.text;
            assert!(
                headers.to_lowercase().contains("\"x-cfg\":\"1\""),
                "{headers}"
            );
        }
        upstream.stop().await;
        // While it is away nobody hangs.
        let began = Instant::now();
        let answer = bridge.post("/one/echo", echo).await;
        assert!(
            [502, 503].contains(&answer.status),
            "{mode}: {}",
            answer.text
        );
        assert!(
            began.elapsed() < Duration::from_secs(10),
            "{:?}",
            began.elapsed()
        );
        upstream.start_again(mode).await;
        for name in ["one", "two"] {
            let path = format!("/{name}/echo");
            until(async || bridge.post(&path, echo).await.text == "\"hi\"").await;
        }
        assert_eq!(pid(&bridge, "/pid/b_pid").await, other);
    }
}

/// `Session terminated` for ever there: the client has to begin anew on 404 (MCP, Streamable HTTP).
#[tokio::test]
async fn a_session_that_the_server_forgot_is_begun_anew() {
    let upstream = Upstream::start("json").await;
    let url = format!("http://127.0.0.1:{}/mcp", upstream.port);
    let bridge = mcpo(&["--type", "streamable-http", "--", &url])
        .ready()
        .await;
    for _ in 0..3 {
        let echo = r#"{"message": "hi"}"#;
        assert_eq!(bridge.post("/echo", echo).await.text, "\"hi\"");
        upstream.post("/__expire").await;
        let answer = bridge.post("/echo", echo).await;
        assert_eq!(answer.text, "\"hi\"", "{}", bridge.log());
    }
}

#[tokio::test]
async fn a_caller_that_leaves_cancels_its_call() {
    let members = json!({"env": {"PROBE_LOG": "{dir}/wire"}});
    let bridge = with_config(&[("s", probe_with("b_hang,r_text", members))], &[])
        .ready()
        .await;
    let url = format!("{}/s/b_hang", bridge.base);
    let left = crate::harness::client()
        .post(url)
        .timeout(Duration::from_millis(300))
        .send()
        .await;
    assert!(left.is_err());
    until(async || bridge.read("wire").contains("notifications/cancelled")).await;
    assert_eq!(bridge.post("/s/r_text", "").await.text, "\"hello\"");
}

#[tokio::test]
async fn the_port_opens_before_slow_servers_are_there() {
    let began = Instant::now();
    let servers = [("slow", broken("stdio-silent", 0)), ("ok", probe("r_text"))];
    let mut bridge = with_config(&servers, &[]).spawn();
    bridge.wait_for("/docs", |status| status == 200).await;
    bridge.wait_for("/ok/r_text", |status| status == 405).await;
    let calls = (0..20).map(|_| bridge.post("/ok/r_text", ""));
    for answer in join_all(calls).await {
        assert_eq!(answer.text, "\"hello\"");
    }
    assert!(
        began.elapsed() < Duration::from_secs(15),
        "{:?}",
        began.elapsed()
    );
}
