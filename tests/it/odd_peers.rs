//! Servers that word things their own way: they work, or are refused at once with their own words.

use std::time::{Duration, Instant};

use crate::harness::{OddPeer, Setup, odd_stdio};

/// What a call may take: far from the bridge's `timeout`.
const AT_ONCE: Duration = Duration::from_secs(5);

#[tokio::test]
async fn an_answer_with_our_id_ends_its_call_at_once() {
    let no_reason = "the server gave no reason";
    let cases = [
        ("error-code-text", 500, "server_error", "boom (E_FAIL)"),
        ("error-message-null", 500, "server_error", no_reason),
        ("error-is-text", 500, "server_error", "boom"),
        ("error-id-null", 500, "server_error", "boom"),
        (
            "neither",
            502,
            "upstream_error",
            "neither `result` nor `error`",
        ),
        ("cut", 502, "upstream_error", "it is not valid JSON"),
        ("result-null", 200, "", "[]"),
        ("nan", 200, "", r#""ok""#),
        ("echo", 200, "", r#""ok""#),
        ("batch", 200, "", r#""ok""#),
        ("mark", 200, "", r#""ok""#),
        ("range", 200, "", r#""ok""#),
        ("surrogate", 200, "", "\"cut \u{fffd}\""),
        ("digits", 200, "", r#"{"x":123456789012345678901234567890}"#),
    ];
    let bridges: String = cases.iter().map(|(mode, ..)| odd_stdio(mode)).collect();
    let bridge = Setup::toml(&bridges).ready().await;
    for (mode, status, code, words) in cases {
        let began = Instant::now();
        let answer = bridge.post(&format!("/{mode}/t"), "{}").await;
        assert!(began.elapsed() < AT_ONCE, "{mode}: {:?}", began.elapsed());
        assert_eq!(answer.status, status, "{mode}: {}", answer.text);
        if status == 200 {
            assert_eq!(answer.text, words, "{mode}");
        } else {
            assert_eq!(answer.code(), code, "{mode}: {}", answer.text);
            assert!(answer.text.contains(words), "{mode}: {}", answer.text);
        }
        assert_eq!(bridge.server(mode).await["status"], "ready", "{mode}");
    }
}

#[tokio::test]
async fn a_handshake_may_be_odd_in_what_is_only_shown() {
    let modes = [
        "mark-initialize",
        "no-version",
        "no-info",
        "info-is-text",
        "capabilities-null",
        "tools-true",
        "instructions-list",
        "tools-bare",
        "cursor-false",
        "deep-tool",
        "old-only",
        "initialized",
        "pages",
        "empty-cursor",
    ];
    let bridges: String = modes.iter().map(|mode| odd_stdio(mode)).collect();
    let bridge = Setup::toml(&bridges).ready().await;
    for mode in modes {
        bridge.until(mode, "ready").await;
        let tool = if mode == "pages" { "t2" } else { "t" };
        let answer = bridge.post(&format!("/{mode}/{tool}"), "{}").await;
        assert_eq!(
            (answer.status, answer.text.as_str()),
            (200, r#""ok""#),
            "{mode}"
        );
    }
    for (mode, tools) in [("pages", 3), ("empty-cursor", 1), ("deep-tool", 1)] {
        assert_eq!(bridge.server(mode).await["tools"], tools, "{mode}");
    }
    let warnings = bridge.server("deep-tool").await["warnings"].to_string();
    assert!(warnings.contains("cannot be read"), "{warnings}");
}

#[tokio::test]
async fn a_server_without_tools_is_up_and_one_that_speaks_no_mcp_says_why() {
    let modes = ["no-list", "tools-null", "initialize-text", "list-text"];
    let bridges: String = modes.iter().map(|mode| odd_stdio(mode)).collect();
    let bridge = Setup::toml(&bridges).listening().await;
    for mode in ["no-list", "tools-null"] {
        bridge.until(mode, "ready").await;
        assert_eq!(bridge.server(mode).await["tools"], 0, "{mode}");
    }
    for (mode, words) in [
        (
            "initialize-text",
            "its answer to `initialize` has the wrong type",
        ),
        ("list-text", "its tool list cannot be read"),
    ] {
        let down = |server: &serde_json::Value| server["reason"].is_string();
        let server = bridge.until_server(mode, down).await;
        let reason = server["reason"].as_str().unwrap();
        assert!(reason.contains(words), "{mode}: {reason}");
    }
}

#[tokio::test]
async fn an_unknown_session_is_replaced_however_the_server_words_it() {
    let modes = [
        "status400",
        "detail400",
        "status401",
        "status403",
        "status404",
        "status410",
        "status422",
        "status500",
        "status503",
        "status200",
        "event200",
    ];
    let peer = OddPeer::start().await;
    let bridges: String = modes.iter().map(|mode| peer.bridge(mode)).collect();
    let bridge = Setup::toml(&bridges).ready().await;
    for mode in modes {
        for round in 0..3 {
            let answer = bridge.post(&format!("/{mode}/t"), "{}").await;
            let got = (answer.status, answer.text.as_str());
            assert_eq!(got, (200, r#""ok""#), "{mode}, call {round}");
        }
        let (begun, calls) = peer.counts(mode).await;
        assert_eq!(calls, 3, "{mode}: each call ran once");
        assert!(begun <= 4, "{mode}: {begun} sessions were begun");
        assert_eq!(bridge.server(mode).await["status"], "ready", "{mode}");
    }
}

#[tokio::test]
async fn a_refusal_passes_the_servers_words_on() {
    let cases = [
        (
            "plan",
            500,
            "server_error",
            "your plan does not include this tool",
        ),
        (
            "project",
            500,
            "server_error",
            "the token lacks the project X",
        ),
        (
            "sentence",
            502,
            "upstream_auth",
            "refused the call (HTTP 403): ask the owner",
        ),
        (
            "json",
            502,
            "upstream_error",
            "HTTP 400: the page is archived",
        ),
        ("no-ping", 502, "upstream_auth", "not today"),
        ("202", 502, "upstream_error", "HTTP 202 without an answer"),
        ("empty", 502, "upstream_error", "an empty answer"),
        (
            "unended",
            502,
            "upstream_error",
            "ended the answer without a result",
        ),
    ];
    let peer = OddPeer::start().await;
    let bridges: String = cases.iter().map(|(mode, ..)| peer.bridge(mode)).collect();
    let bridge = Setup::toml(&bridges).ready().await;
    for (mode, status, code, words) in cases {
        for _ in 0..2 {
            let began = Instant::now();
            let answer = bridge.post(&format!("/{mode}/t"), "{}").await;
            assert!(began.elapsed() < AT_ONCE, "{mode}");
            assert_eq!(
                (answer.status, answer.code().as_str()),
                (status, code),
                "{mode}: {}",
                answer.text
            );
            assert!(answer.text.contains(words), "{mode}: {}", answer.text);
            assert!(
                !answer.text.contains("credentials"),
                "{mode}: {}",
                answer.text
            );
        }
        assert_eq!(bridge.server(mode).await["status"], "ready", "{mode}");
        assert_eq!(peer.counts(mode).await, (1, 2), "{mode}: its session stays");
    }
}

#[tokio::test]
async fn a_bridge_whose_calls_are_all_refused_is_not_called_ready() {
    let peer = OddPeer::start().await;
    let bridge = Setup::toml(&peer.bridge("refuses")).ready().await;
    let mut seen = Vec::new();
    for _ in 0..12 {
        let answer = bridge.post("/refuses/t", "{}").await;
        assert_ne!(answer.status, 200);
        seen.push(answer.text);
        let server = bridge.server("refuses").await;
        let reason = server["reason"].as_str().unwrap_or_default();
        if reason.contains("the account is suspended") {
            return;
        }
    }
    panic!("it is ready all the while: {seen:#?}");
}

#[tokio::test]
async fn compressed_answers_and_refused_notifications_are_fine() {
    let modes = ["gzip", "zstd", "notified"];
    let peer = OddPeer::start().await;
    let bridges: String = modes.iter().map(|mode| peer.bridge(mode)).collect();
    let bridge = Setup::toml(&bridges).ready().await;
    for mode in modes {
        let answer = bridge.post(&format!("/{mode}/t"), "{}").await;
        assert_eq!(
            (answer.status, answer.text.as_str()),
            (200, r#""ok""#),
            "{mode}"
        );
    }
}

#[tokio::test]
async fn what_is_small_when_compressed_has_the_bounds_of_what_it_is() {
    let peer = OddPeer::start().await;
    let bridge = Setup::toml(&peer.bridge("bomb")).ready().await;
    bridge.until("bomb", "ready").await;
    let answer = bridge.post("/bomb/t", "{}").await;
    answer.assert_error(502, "result_too_large");
    let status = std::fs::read_to_string(format!("/proc/{}/status", bridge.child.id().unwrap()));
    let peak = status.unwrap().lines().find_map(|line| {
        let kib = line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?;
        kib.parse::<u64>().ok()
    });
    assert!(peak.unwrap() < 256 << 10, "{peak:?} KiB at its peak");
}
