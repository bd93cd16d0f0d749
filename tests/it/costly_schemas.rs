//! Tools whose input schemas cost time without end to check.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::task::JoinSet;

use crate::harness::{Bridge, Setup};

/// The other tools of this server and of the other bridge answer as ever meanwhile.
const TOML: &str = "[bridges.costly]\ncommand = 'python3'\nargs = ['{tests}/it/servers/costly_schemas.py']\n\
     [bridges.bad]\n{bad good}\n";

/// How long a refusal may take, and an answer of the others. Without optimizations, beside other
/// tests, everything takes longer.
const REFUSED_WITHIN: Duration =
    Duration::from_millis(if cfg!(debug_assertions) { 8_000 } else { 1_000 });
const OTHERS_WITHIN: Duration =
    Duration::from_millis(if cfg!(debug_assertions) { 3_000 } else { 100 });

/// Calls a tool of the costly server: the status, the code, and how long it took.
async fn call(bridge: &Bridge, tool: &str) -> (u16, String, Duration) {
    let began = Instant::now();
    let body = format!(
        r#"{{"a":"{}"}}"#,
        if tool == "pattern" {
            "a".repeat(100_000)
        } else {
            "x".to_owned()
        }
    );
    let answer = bridge.post(&format!("/costly/{tool}"), &body).await;
    let code = if answer.status == 200 {
        String::new()
    } else {
        answer.code()
    };
    (answer.status, code, began.elapsed())
}

#[tokio::test]
async fn a_check_that_costs_too_much_is_refused_in_time() {
    let bridge = Setup::toml(TOML).ready().await;
    for tool in ["all_of", "any_of", "one_of", "if", "pattern"] {
        let (status, code, took) = call(&bridge, tool).await;
        assert_eq!(
            (status, code.as_str()),
            (422, "arguments_too_costly"),
            "{tool}"
        );
        assert!(took < REFUSED_WITHIN, "{tool}: {took:?}");
    }
    let (status, _, took) = call(&bridge, "unevaluated").await;
    assert!(
        [200, 422].contains(&status) && took < REFUSED_WITHIN,
        "{status} {took:?}"
    );
    let answer = bridge.post("/costly/plain", r#"{"a":"7"}"#).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    // What does not touch the costly part is served.
    assert_eq!(bridge.post("/costly/all_of", "{}").await.status, 200);
}

#[tokio::test]
async fn a_hundred_such_calls_at_once_hold_up_nobody() {
    let mut bridge = Arc::new(Setup::toml(TOML).ready().await);
    let mut calls = JoinSet::new();
    for number in 0..100 {
        let (bridge, tool) = (
            Arc::clone(&bridge),
            ["all_of", "any_of", "one_of", "if"][number % 4],
        );
        calls.spawn(async move { call(&bridge, tool).await });
    }
    let mut slowest = Duration::ZERO;
    let began = Instant::now();
    while began.elapsed() < Duration::from_millis(1_500) {
        for (path, body) in [
            ("/health", None),
            ("/bad/echo", Some(r#"{"message":"hi"}"#)),
            ("/costly/plain", Some(r#"{"a":1}"#)),
        ] {
            let asked = Instant::now();
            let answer = match body {
                None => bridge.get(path).await,
                Some(body) => bridge.post(path, body).await,
            };
            assert_eq!(answer.status, 200, "{path}: {}", answer.text);
            slowest = slowest.max(asked.elapsed());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    println!("the slowest of the others took {slowest:?}");
    assert!(slowest < OTHERS_WITHIN, "{slowest:?}");
    while let Some(ended) = calls.join_next().await {
        let (status, code, took) = ended.unwrap();
        let is_refused = matches!(
            (status, code.as_str()),
            (422, "arguments_too_costly") | (503, "busy")
        );
        assert!(is_refused, "{status} {code}");
        assert!(took < REFUSED_WITHIN, "{took:?}");
    }
    // It ends when it is told to, whatever is being checked.
    let asked = Arc::clone(&bridge);
    let late = tokio::spawn(async move { asked.get("/health").await });
    late.await.unwrap();
    let bridge = Arc::get_mut(&mut bridge).unwrap();
    let body = bridge.post("/costly/all_of", r#"{"a":1}"#);
    drop(tokio::time::timeout(Duration::from_millis(50), body).await);
    let began = Instant::now();
    bridge.signal("TERM");
    assert_eq!(bridge.exit_code().await, 0);
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "{:?}",
        began.elapsed()
    );
}
