//! Remote servers that misbehave during a call: each failure costs that call alone.

use std::time::{Duration, Instant};

use crate::{
    harness::{BadHttp, Bridge, Setup},
    remote::{beside_a_good_one, good_answers},
};

/// What a mode does to a call: status, code, and a piece of the detail.
const CASES: &[(&str, u16, &str, &str)] = &[
    ("hang", 504, "timeout", "no answer within 1s"),
    ("hang-body", 504, "timeout", "no answer within 1s"),
    (
        "wrong-id",
        502,
        "upstream_error",
        "does not answer the request",
    ),
    ("redirect", 502, "upstream_error", "HTTP 307"),
    ("redirect-302", 502, "upstream_error", "HTTP 302"),
    ("html", 502, "upstream_error", "`text/html` instead of JSON"),
    (
        "401",
        502,
        "upstream_auth",
        "refused the bridge's credentials",
    ),
    ("403", 502, "upstream_auth", "refused the call"),
    ("429", 429, "rate_limited", "fewer calls"),
    ("500", 502, "upstream_error", "HTTP 500"),
    ("502", 502, "upstream_error", "HTTP 502"),
    ("503", 502, "upstream_error", "HTTP 503"),
    ("drop", 502, "upstream_closed", "lost during the call"),
    (
        "drop-stream",
        502,
        "upstream_closed",
        "lost during the call",
    ),
    ("empty", 502, "upstream_error", "empty answer"),
    ("bad-json", 502, "upstream_error", "it is not valid JSON"),
    ("big", 502, "result_too_large", "larger than 1000000 bytes"),
];

#[tokio::test]
async fn a_failure_costs_that_call_alone() {
    let modes = CASES.iter().map(|(mode, ..)| *mode);
    let servers =
        BadHttp::start_all(modes.clone().map(|mode| format!("{mode} --on tools/call"))).await;
    let lines = servers
        .iter()
        .map(|server| format!("{}\ntimeout = '1s'", server.streamable()));
    let bridges: Vec<_> = modes.map(str::to_owned).zip(lines).collect();
    let setup = beside_a_good_one(&bridges);
    let text = std::fs::read_to_string(setup.path().join("bridges.toml")).unwrap();
    setup.write(
        "bridges.toml",
        &format!("[limits]\nresult_bytes_max = 1000000\n{text}"),
    );
    let bridge = setup.ready().await;
    let all = servers.iter().zip(CASES);
    let wrong = all.map(async |(server, case)| one_failure(&bridge, server, case).await);
    let wrong = futures::future::join_all(wrong).await.concat();
    assert!(wrong.is_empty(), "{wrong:#?}\n{}", bridge.log());
    good_answers(&bridge).await;
}

/// One call that fails, and one after it; what is wrong with them.
async fn one_failure(
    bridge: &Bridge,
    server: &BadHttp,
    (mode, status, code, detail): &(&str, u16, &str, &str),
) -> Vec<String> {
    let mut wrong = Vec::new();
    bridge.until(mode, "ready").await;
    let path = format!("/{mode}/echo");
    let began = Instant::now();
    let answer = bridge.post(&path, r#"{"message": "hi"}"#).await;
    let took = began.elapsed();
    if (answer.status, answer.code().as_str()) != (*status, *code) || !answer.text.contains(detail)
    {
        wrong.push(format!("{mode}: {} {}", answer.status, answer.text));
    }
    if took > Duration::from_secs(3) {
        wrong.push(format!("{mode}: took {took:?}"));
    }
    if *mode == "429" && answer.header("retry-after") != "2" {
        wrong.push(format!("{mode}: {:?}", answer.headers));
    }
    let calls = server.count("tools/call").await;
    if calls != 1 {
        wrong.push(format!("{mode}: the server saw {calls} calls"));
    }
    if server.count("other_origin").await != 0 {
        wrong.push(format!("{mode}: went to another origin"));
    }
    // Tools stay published, and the next call works.
    let tools = bridge.server(mode).await["tools"].as_u64().unwrap();
    if tools != 4 {
        wrong.push(format!("{mode}: {tools} tools"));
    }
    server.tell("mode", "json").await;
    let answer = bridge.post(&path, r#"{"message": "again"}"#).await;
    if answer.text != r#""again""# {
        wrong.push(format!("{mode} afterwards: {}", answer.text));
    }
    let sessions = server.count("initialize").await;
    if sessions > 2 {
        wrong.push(format!("{mode}: {sessions} sessions"));
    }
    good_answers(bridge).await;
    wrong
}

#[tokio::test]
async fn a_server_whose_calls_are_never_found_is_no_storm() {
    let server = BadHttp::start("404 --on tools/call").await;
    let bridges = [("bad".to_owned(), server.streamable())];
    let bridge = beside_a_good_one(&bridges).ready().await;
    let answer = bridge.post("/bad/echo", r#"{"message": "hi"}"#).await;
    assert!(
        [502, 503].contains(&answer.status),
        "{} {}",
        answer.status,
        answer.text
    );
    assert!(server.count("tools/call").await <= 4);
    good_answers(&bridge).await;
    server.tell("mode", "json").await;
    bridge.until("bad", "ready").await;
    let answer = bridge.post("/bad/echo", r#"{"message": "hi"}"#).await;
    assert_eq!(answer.text, r#""hi""#);
}

#[tokio::test]
async fn failures_of_old_servers_cost_that_call_alone() {
    let cases = [
        ("401", 502, "upstream_auth"),
        ("429", 429, "rate_limited"),
        ("500", 502, "upstream_error"),
        ("hang", 504, "timeout"),
        ("drop-stream", 502, "upstream_closed"),
    ];
    let mut servers = Vec::new();
    let mut bridges = Vec::new();
    for (mode, ..) in cases {
        let server = BadHttp::start("legacy").await;
        let lines = format!("{}\ntimeout = '1s'", server.sse());
        bridges.push((mode.to_owned(), lines));
        servers.push(server);
    }
    let bridge = beside_a_good_one(&bridges).ready().await;
    for (server, (mode, status, code)) in servers.iter().zip(cases) {
        bridge.until(mode, "ready").await;
        server.tell("mode", &format!("{mode} tools/call")).await;
        let path = format!("/{mode}/echo");
        let answer = bridge.post(&path, r#"{"message": "hi"}"#).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (status, code),
            "{mode}: {}",
            answer.text
        );
        server.tell("mode", "legacy").await;
        bridge.until(mode, "ready").await;
        let answer = bridge.post(&path, r#"{"message": "again"}"#).await;
        assert_eq!(answer.text, r#""again""#, "{mode}");
        good_answers(&bridge).await;
    }
}

#[tokio::test]
async fn a_stuck_remote_server_is_told_to_cancel() {
    let server = BadHttp::start("json").await;
    let toml = format!(
        "[bridges.bad]\n{}\ntimeout = '500ms'\n",
        server.streamable()
    );
    let bridge = Setup::toml(&toml).ready().await;
    let answer = bridge.post("/bad/slow", r#"{"seconds": 2}"#).await;
    answer.assert_error(504, "timeout");
    server.until_count("notifications/cancelled", 1).await;
    let answer = bridge.post("/bad/echo", r#"{"message": "hi"}"#).await;
    assert_eq!(answer.text, r#""hi""#);
}
