//! Limits: how many calls a minute, of whom, and where they are counted.

use std::{process::Stdio, time::Duration};

use tokio::{
    net::TcpStream,
    process::{Child, Command},
};

use crate::harness::{Answer, Bridge, Setup, free_port, redis_url, until};

/// Two keys with the names that the test gives them, and three bridges; one of them has its own
/// bound.
fn setup(limits: &str, redis: &str, name: &str) -> Setup {
    Setup::toml(&format!(
        "[database]
redis_url = '{redis}'
[identity.keys.{name}a]
key = '${{RATES_A}}'
groups = ['{name}g', '{name}h']
[identity.keys.{name}b]
key = '${{RATES_B}}'
groups = ['{name}g']
[identity.keys.{name}ops]
key = '${{RATES_OPS}}'
groups = ['MCP-Admin']
[access.groups]
{name}g = ['{name}one', '{name}two']
{limits}
[bridges.{name}one]
{{bad good --record {{dir}}/calls.jsonl}}
[bridges.{name}two]
calls_per_minute = 4
{{bad good --record {{dir}}/calls.jsonl}}
"
    ))
    .env("RATES_A", "the key of a")
    .env("RATES_B", "the key of b")
    .admin_key("RATES_OPS", "the key of ops")
}

async fn call(bridge: &Bridge, key: &str, path: &str) -> Answer {
    let caller = bridge.as_bearer(&format!("the key of {key}"));
    caller.post(path, r#"{"message": "hi"}"#).await
}

/// A call that passes.
async fn passes(bridge: &Bridge, key: &str, path: &str) {
    let answer = call(bridge, key, path).await;
    assert_eq!(answer.status, 200, "{key} {path}: {}", answer.text);
}

/// A call that is one too many, and of whom.
async fn is_refused(bridge: &Bridge, key: &str, path: &str, of_whom: &str) {
    let answer = call(bridge, key, path).await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (429, "rate_limited"),
        "{key} {path}: {}",
        answer.text
    );
    assert!(answer.text.contains(of_whom), "{}", answer.text);
    let wait: u64 = answer.header("retry-after").parse().unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
}

/// How many calls reached a server.
fn seen(bridge: &Bridge) -> usize {
    bridge.calls("calls.jsonl").len()
}

#[tokio::test]
async fn calls_are_counted_by_caller_group_and_bridge() {
    for redis in [String::new(), redis_url()] {
        // Redis is everybody's: a name of our own.
        let name = format!("r{:016x}", rand::random::<u64>());
        let limits = "[limits]\ncalls_per_minute = 3\n".to_owned();
        let bridge = setup(&limits, &redis, &name).ready().await;
        let (one, two) = (format!("/{name}one/echo"), format!("/{name}two/echo"));
        for path in [&one, &one, &two] {
            passes(&bridge, "a", path).await;
        }
        // Of the caller, at any bridge and under any name of the tool.
        for path in [&one, &two, &format!("/{name}one_echo")] {
            is_refused(&bridge, "a", path, "you reached the limit").await;
        }
        // Others are not their caller; a bridge counts all of them.
        for path in [&two, &two, &two] {
            passes(&bridge, "b", path).await;
        }
        is_refused(&bridge, "ops", &two, &format!("bridge {name}two")).await;
        passes(&bridge, "ops", &one).await;
        assert_eq!(seen(&bridge), 7);
        // What was refused is on record.
        let admin = bridge.admin_api();
        let records = async || admin.get("/calls?outcome=rate_limited").await.json();
        until(async || records().await["count"] == 4).await;

        // Of all members of a group together; a member of two has both bounds.
        let name = format!("r{:016x}", rand::random::<u64>());
        let limits = format!("[limits.groups]\n{name}g = 3\n{name}h = 2\n");
        let bridge = setup(&limits, &redis, &name).ready().await;
        let one = format!("/{name}one/echo");
        passes(&bridge, "a", &one).await;
        passes(&bridge, "a", &one).await;
        is_refused(&bridge, "a", &one, &format!("group {name}h")).await;
        if !redis.is_empty() {
            // With Redis what was refused is counted nowhere.
            passes(&bridge, "b", &one).await;
        }
        is_refused(&bridge, "b", &one, &format!("group {name}g")).await;
        passes(&bridge, "ops", &one).await;
    }
}

#[tokio::test]
async fn a_call_that_waited_as_told_passes() {
    let bridge = setup("[limits]\ncalls_per_minute = 60\n", "", "r")
        .ready()
        .await;
    let refused = loop {
        let answer = call(&bridge, "a", "/rone/echo").await;
        if answer.status != 200 {
            break answer;
        }
    };
    let wait: u64 = refused.header("retry-after").parse().unwrap();
    assert_eq!(wait, 1);
    tokio::time::sleep(Duration::from_secs(wait)).await;
    passes(&bridge, "a", "/rone/echo").await;
}

/// A Redis of this test alone; it ends with this.
async fn start_redis(port: u16) -> Child {
    let redis = Command::new("redis-server")
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
        .args(["--save", "", "--appendonly", "no"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("this test starts `redis-server`: install it");
    until(async || TcpStream::connect(("127.0.0.1", port)).await.is_ok()).await;
    redis
}

#[tokio::test]
async fn replicas_count_together_and_each_for_itself_while_redis_is_away() {
    let port = free_port();
    let mut redis = start_redis(port).await;
    let url = format!("redis://127.0.0.1:{port}/0");
    let limits = "[limits]\ncalls_per_minute = 4\n";
    let (first, second) = tokio::join!(
        setup(limits, &url, "r").ready(),
        setup(limits, &url, "r").ready()
    );
    for bridge in [&first, &second, &first, &second] {
        passes(bridge, "a", "/rone/echo").await;
    }
    for bridge in [&first, &second] {
        is_refused(bridge, "a", "/rone/echo", "you reached the limit").await;
    }

    redis.kill().await.unwrap();
    // Each has counted nothing of its own yet.
    for bridge in [&first, &second] {
        for _ in 0..4 {
            passes(bridge, "a", "/rone/echo").await;
        }
        is_refused(bridge, "a", "/rone/echo", "you reached the limit").await;
        passes(bridge, "b", "/rone/echo").await;
        let log = bridge.log();
        assert_eq!(log.matches("Redis is not responding").count(), 1, "{log}");
    }

    let _redis = start_redis(port).await;
    for bridge in [&first, &second] {
        until(async || {
            call(bridge, "a", "/rone/echo").await;
            bridge.log().contains("Redis is responding again")
        })
        .await;
    }
    // It counts for both again.
    until(async || call(&first, "a", "/rone/echo").await.status == 429).await;
    is_refused(&second, "a", "/rone/echo", "you reached the limit").await;
}

#[tokio::test]
async fn a_redis_that_was_never_there_stops_nobody() {
    let url = format!("redis://:a-password-of-redis@127.0.0.1:{}/0", free_port());
    let limits = "[limits]\ncalls_per_minute = 3\n";
    let bridge = setup(limits, &url, "r").ready().await;
    for _ in 0..3 {
        passes(&bridge, "a", "/rone/echo").await;
    }
    is_refused(&bridge, "a", "/rone/echo", "you reached the limit").await;
    assert_eq!(seen(&bridge), 3);
    let log = bridge.log();
    assert_eq!(log.matches("Redis is not responding").count(), 1, "{log}");
    assert!(!log.contains("a-password-of-redis"), "{log}");
}
