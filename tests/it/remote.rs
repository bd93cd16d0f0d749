//! Remote servers that cannot be connected to; each stands beside a good bridge, which must not
//! notice.

use std::{fmt::Write as _, time::Duration};

use crate::harness::{BadHttp, Bridge, Setup};

/// A good bridge, and one for each of these.
pub fn beside_a_good_one(bridges: &[(String, String)]) -> Setup {
    let mut toml = "[bridges.good]\n{bad good}\n".to_owned();
    for (name, lines) in bridges {
        write!(toml, "[bridges.\"{name}\"]\n{lines}\n").unwrap();
    }
    Setup::toml(&toml)
}

/// The good bridge answers, at once.
pub async fn good_answers(bridge: &Bridge) {
    let within = Duration::from_millis(1_500);
    bridge.assert_good_answers(within).await;
}

/// What a mode does to a connect.
const CASES: &[(&str, &str)] = &[
    ("refuse", "cannot reach the server: `127.0.0.1:"),
    ("hang", "no answer to `initialize` within 1s"),
    ("hang-body", "no answer to `initialize` within 1s"),
    (
        "redirect",
        "which the bridge does not follow; if that is intended, use it as the `url`",
    ),
    (
        "redirect-302",
        "HTTP 302: it redirects to `http://127.0.0.1:",
    ),
    (
        "html",
        "does not speak MCP: `text/html` instead of JSON: <!doctype html>",
    ),
    (
        "401",
        "the server refused the bridge's credentials (HTTP 401)",
    ),
    (
        "403",
        "the server refused the bridge's credentials (HTTP 403)",
    ),
    ("404", "the server answered HTTP 404"),
    ("429", "the server answered HTTP 429: retry after 2"),
    ("500", "the server answered HTTP 500: status 500"),
    ("502", "the server answered HTTP 502: status 502"),
    ("503", "the server answered HTTP 503: status 503"),
    ("drop", "cannot reach the server: "),
    ("drop-stream", "the server"),
    ("wrong-id", "the server"),
    ("empty", "does not speak MCP: an empty answer"),
    (
        "bad-json",
        "does not speak MCP: its answer to `initialize`: it is not valid JSON",
    ),
];

#[tokio::test]
async fn servers_that_cannot_be_connected_to_say_why() {
    let servers = BadHttp::start_all(CASES.iter().map(|(mode, _)| mode)).await;
    let bridges: Vec<_> = CASES
        .iter()
        .zip(&servers)
        .map(|((mode, _), server)| {
            let lines = format!(
                "{}\nheaders = {{ Authorization = 'Bearer ${{TOKEN}}' }}\nconnect_timeout = '1s'",
                server.streamable()
            );
            ((*mode).to_owned(), lines)
        })
        .collect();
    let setup = beside_a_good_one(&bridges).env("TOKEN", "s3cr3t-t0ken-value");
    let bridge = setup.listening().await;
    bridge.until("good", "ready").await;
    good_answers(&bridge).await;
    let mut wrong = Vec::new();
    for (mode, expected) in CASES {
        let server = bridge
            .until_server(mode, |server| {
                server["status"] == "backing_off" || server["status"] == "failed"
            })
            .await;
        let reason = server["reason"].as_str().unwrap();
        if !reason.contains(expected) {
            wrong.push(format!("{mode}: {reason}"));
        }
        let answer = bridge.post(&format!("/{mode}/echo"), "{}").await;
        let retry_after = answer.header("retry-after").parse::<u64>().unwrap_or(0);
        let seen = (answer.status, answer.code(), retry_after >= 1);
        let wanted = match *mode {
            "401" | "403" => (502, "upstream_auth".to_owned(), false),
            _ => (503, "unavailable".to_owned(), true),
        };
        if seen != wanted {
            wrong.push(format!("{mode}: {seen:?} {}", answer.text));
        }
        good_answers(&bridge).await;
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    for (server, (mode, _)) in servers.iter().zip(CASES) {
        if mode.starts_with("redirect") {
            assert_eq!(server.count("other_origin").await, 0, "{mode}");
        }
    }
    assert_eq!(bridge.get("/ready").await.status, 200);
    assert!(!bridge.log().contains("s3cr3t-t0ken-value"));
}

#[tokio::test]
async fn odd_ways_to_answer_work() {
    let modes = ["json", "sse", "stateless", "redirect-self", "bad-sse"];
    let mut servers = Vec::new();
    let mut bridges = Vec::new();
    for mode in modes {
        let server = BadHttp::start(mode).await;
        bridges.push((mode.to_owned(), server.streamable()));
        servers.push(server);
    }
    let bridge = beside_a_good_one(&bridges).ready().await;
    for (mode, server) in modes.iter().zip(&servers) {
        bridge.until(mode, "ready").await;
        for n in 0..3 {
            let body = format!(r#"{{"message": "hi {n}"}}"#);
            let answer = bridge.post(&format!("/{mode}/echo"), &body).await;
            assert_eq!(answer.text, format!(r#""hi {n}""#), "{mode}");
        }
        let failed = bridge.post(&format!("/{mode}/fail"), "{}").await;
        assert_eq!(
            (failed.status, failed.code().as_str()),
            (422, "tool_error"),
            "{mode}"
        );
        assert_eq!(failed.json()["detail"]["message"], "it went wrong");
        assert_eq!(server.count("tools/call").await, 4, "{mode}");
        assert_eq!(server.count("other_origin").await, 0, "{mode}");
    }
    good_answers(&bridge).await;
}

#[tokio::test]
async fn the_transport_is_found_out() {
    let streamable = BadHttp::start("json").await;
    let old = BadHttp::start("legacy").await;
    let bridges = [
        (
            "new".to_owned(),
            format!("url = 'http://127.0.0.1:{}/mcp'", streamable.port),
        ),
        (
            "old".to_owned(),
            format!(
                "url = 'http://127.0.0.1:{}/sse'\ntransport = 'auto'",
                old.port
            ),
        ),
    ];
    let bridge = beside_a_good_one(&bridges).ready().await;
    for name in ["new", "old"] {
        bridge.until(name, "ready").await;
        let answer = bridge
            .post(&format!("/{name}/echo"), r#"{"message": "hi"}"#)
            .await;
        assert_eq!(answer.text, r#""hi""#, "{name}");
    }
}

#[tokio::test]
async fn old_servers_are_served_within_their_origin() {
    let mut servers = Vec::new();
    let mut bridges = Vec::new();
    for mode in ["legacy", "legacy-absolute", "legacy-foreign", "legacy-mute"] {
        let server = BadHttp::start(mode).await;
        let lines = format!(
            "{}\nconnect_timeout = '1s'\nheaders = {{ Authorization = 'Bearer ${{TOKEN}}' }}",
            server.sse()
        );
        bridges.push((mode.to_owned(), lines));
        servers.push(server);
    }
    let setup = beside_a_good_one(&bridges).env("TOKEN", "s3cr3t-t0ken-value");
    let bridge = setup.listening().await;
    bridge.until("good", "ready").await;
    for mode in ["legacy", "legacy-absolute"] {
        bridge.until(mode, "ready").await;
        let answer = bridge
            .post(&format!("/{mode}/echo"), r#"{"message": "hi"}"#)
            .await;
        assert_eq!(answer.text, r#""hi""#, "{mode}");
    }
    for (mode, expected) in [
        (
            "legacy-foreign",
            "its `endpoint` event names another origin",
        ),
        ("legacy-mute", "within 1s"),
    ] {
        let server = bridge.until(mode, "backing_off").await;
        let reason = server["reason"].as_str().unwrap();
        assert!(reason.contains(expected), "{mode}: {reason}");
        good_answers(&bridge).await;
    }
    for server in &servers {
        assert_eq!(server.count("other_origin").await, 0);
    }
}

#[tokio::test]
async fn the_token_is_sent_and_never_shown() {
    let secret = "s3cr3t-t0ken-value";
    let server = BadHttp::start(&format!("json --token {secret}")).await;
    let lines = format!(
        "{}\nheaders = {{ Authorization = 'Bearer ${{TOKEN}}', X-Team = 'blue' }}",
        server.streamable()
    );
    let wrong = lines.replace("${TOKEN}", "wr0ng-${TOKEN}-t0ken");
    let bridges = [("right".to_owned(), lines), ("wrong".to_owned(), wrong)];
    let setup = beside_a_good_one(&bridges)
        .env("TOKEN", secret)
        .env("RUST_LOG", "debug");
    let bridge = setup.listening().await;
    bridge.until("right", "ready").await;
    bridge.until("wrong", "backing_off").await;
    let answer = bridge.post("/right/echo", r#"{"message": "hi"}"#).await;
    assert_eq!(answer.text, r#""hi""#);
    let seen = bridge.post("/right/headers", "{}").await.json();
    assert_eq!(
        seen["Authorization"]
            .as_str()
            .or(seen["authorization"].as_str()),
        Some("***"),
        "the server gives it back: {seen}"
    );
    let seen = server.read("headers").await;
    let header = |name: &str| {
        let found = seen.as_object().unwrap().iter();
        let mut found = found.filter(|(key, _)| key.eq_ignore_ascii_case(name));
        found
            .next()
            .map_or("", |(_, value)| value.as_str().unwrap())
    };
    assert_eq!(header("authorization"), format!("Bearer {secret}"));
    assert_eq!(header("x-team"), "blue");
    assert!(!header("mcp-session-id").is_empty());
    assert!(!header("mcp-protocol-version").is_empty());
    let refused = bridge.post("/wrong/echo", "{}").await;
    refused.assert_error(502, "upstream_auth");
    for path in [
        "/servers",
        "/",
        "/right",
        "/wrong",
        "/openapi.json",
        "/docs",
    ] {
        let shown = bridge.get(path).await;
        assert!(!shown.text.contains(secret), "{path}");
        assert!(!format!("{:?}", shown.headers).contains(secret), "{path}");
    }
    assert!(!refused.text.contains(secret));
    assert!(!bridge.log().contains(secret), "{}", bridge.log());
}
