//! Servers that send what nobody asked for, as fast as they can: the session ends, the status says why,
//! and the bridge beside it does not notice.

use std::{
    fmt::Write as _,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    harness::{BadHttp, Bridge, Setup},
    remote::beside_a_good_one,
};

/// Why the session of a flooding server is over.
const TOO_MUCH: &str = "the session was ended: the server sent too much unrequested data";

/// The good bridge answers while the other floods. The suite of hostile servers measures how fast.
async fn good_answers(bridge: &Bridge) {
    bridge.assert_good_answers(Duration::from_secs(10)).await;
}

/// The resident memory of the bridge, in bytes.
fn resident(bridge: &Bridge) -> u64 {
    let id = bridge.child.id().unwrap();
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kib = line.unwrap().split_whitespace().nth(1).unwrap();
    kib.parse::<u64>().unwrap() * 1024
}

/// Starts a bridge of each kind beside a good one, and waits until all of them are down for this
/// reason. The memory of the bridge grows by little.
async fn are_ended(mode: &str, kinds: &[&str], expected: &str) {
    let lone = Setup::toml("[bridges.good]\n{bad good}\n").ready().await;
    good_answers(&lone).await;
    let idle = resident(&lone);
    drop(lone);
    let mut toml = "[bridges.good]\n{bad good}\n".to_owned();
    for kind in kinds {
        write!(
            toml,
            "[bridges.{kind}]\n{{bad {mode} {kind}}}\nconnect_timeout = '20s'\n"
        )
        .unwrap();
    }
    let bridge = Setup::toml(&toml).listening().await;
    bridge.until("good", "ready").await;
    for kind in kinds {
        let reason = bridge.until_down(kind).await;
        // An error without an id is that of the only request in flight, before it is a flood.
        let is_refusal = *kind == "idless-error" && reason.contains("refused `tools/list`");
        assert!(reason.contains(expected) || is_refusal, "{kind}: {reason}");
        good_answers(&bridge).await;
        let grown = resident(&bridge).saturating_sub(idle);
        let bound = u64::try_from(kinds.len()).unwrap() * (64 << 20);
        assert!(grown < bound, "{kind}: {} MiB", grown >> 20);
    }
}

#[tokio::test]
async fn a_chatty_server_has_its_session_ended() {
    for kinds in [
        ["ping", "unknown", "sampling", "list-changed"],
        ["cancelled", "acknowledged", "progress", "message"],
        ["stray", "stray-error", "idless-error", "batch"],
        ["huge-params", "huge-id", "junk", "json"],
        ["newlines", "spaces", "nul", "endless-line"],
        ["list-id", "unknown", "stray", "newlines"],
    ] {
        are_ended("flood", &kinds, "the session was ended: the server sent ").await;
    }
}

#[tokio::test]
async fn a_flood_before_the_handshake_is_the_reason_of_the_status() {
    are_ended(
        "flood-early",
        &["junk", "newlines", "list-changed", "endless-line"],
        TOO_MUCH,
    )
    .await;
}

/// One loop that backs off: a session that is ended for a flood is not replaced at once.
#[tokio::test]
async fn a_flooding_server_is_started_ever_more_rarely() {
    let toml =
        "[bridges.good]\n{bad good}\n[bridges.bad]\n{bad flood junk --record {dir}/record}\n";
    let bridge = Setup::toml(toml).listening().await;
    let reason = bridge.until_down("bad").await;
    assert!(reason.contains(TOO_MUCH), "{reason}");
    tokio::time::sleep(Duration::from_secs(6)).await;
    let starts = bridge.read("record").matches(r#""start""#).count();
    assert!((2..=6).contains(&starts), "{starts} starts");
    good_answers(&bridge).await;
}

#[tokio::test]
async fn a_server_that_reads_no_answers_has_its_session_ended() {
    let toml = "[bridges.good]\n{bad good}\n[bridges.bad]\n{bad unread}\nconnect_timeout = '20s'\n";
    let bridge = Setup::toml(toml).listening().await;
    let reason = bridge.until_down("bad").await;
    assert!(
        reason.contains(
            "the session was ended: the server sent requests faster than it reads the answers"
        ),
        "{reason}"
    );
    good_answers(&bridge).await;
}

/// A server asks what a client may be asked; `bad_server.py` writes down what it was answered.
#[tokio::test]
async fn requests_of_a_server_are_answered() {
    let bridge = Setup::toml("[bridges.bad]\n{bad asks --record {dir}/record}\n")
        .ready()
        .await;
    bridge.until("bad", "ready").await;
    let answers = |bridge: &Bridge| {
        let record = bridge.read("record");
        let events = record
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap());
        let answers = events.filter(|event| event["event"] == "answer");
        answers
            .map(|event| event["message"].clone())
            .collect::<Vec<_>>()
    };
    crate::harness::until(async || answers(&bridge).len() == 5).await;
    for answer in answers(&bridge) {
        if answer["id"] == "ask-0" {
            assert_eq!(answer["result"], serde_json::json!({}), "{answer}");
        } else {
            assert_eq!(answer["error"]["code"], -32601, "{answer}");
        }
    }
}

#[tokio::test]
async fn a_chatty_remote_server_has_its_session_ended() {
    for kinds in [
        ["ping", "unknown", "list-changed", "cancelled"],
        ["acknowledged", "progress", "stray", "stray-error"],
        ["huge-params", "huge-stray", "comments", "blank"],
        ["retry", "ids", "no-data", "endless-event"],
    ] {
        let words = kinds.map(|kind| format!("json --flood {kind}"));
        let servers = BadHttp::start_all(&words).await;
        let bridges = kinds
            .iter()
            .zip(&servers)
            .map(|(kind, server)| ((*kind).to_owned(), server.streamable()));
        floods_end(&bridges.collect::<Vec<_>>()).await;
    }
}

#[tokio::test]
async fn a_chatty_server_of_the_old_kind_has_its_session_ended() {
    let kinds = ["ping", "list-changed", "stray", "comments", "lines"];
    let words = kinds.map(|kind| format!("legacy --flood {kind}"));
    let servers = BadHttp::start_all(&words).await;
    let bridges = kinds
        .iter()
        .zip(&servers)
        .map(|(kind, server)| ((*kind).to_owned(), server.sse()));
    floods_end(&bridges.collect::<Vec<_>>()).await;
}

/// Waits until each of these bridges is down because its server floods.
async fn floods_end(bridges: &[(String, String)]) {
    let bridge = beside_a_good_one(bridges).listening().await;
    bridge.until("good", "ready").await;
    for (kind, _) in bridges {
        let reason = bridge.until_down(kind).await;
        assert!(
            reason.contains("the session was ended: the server sent "),
            "{kind}: {reason}"
        );
        good_answers(&bridge).await;
    }
}

#[tokio::test]
async fn a_flood_in_place_of_an_answer_ends_the_session() {
    for kind in ["progress", "ping", "comments", "lines"] {
        let server = BadHttp::start(&format!("json --flood {kind} --in call")).await;
        let bridges = [("bad".to_owned(), server.streamable())];
        let bridge = beside_a_good_one(&bridges).ready().await;
        let answer = bridge.post("/bad/echo", r#"{"message": "hi"}"#).await;
        assert!(
            matches!(answer.status, 502 | 503),
            "{kind}: {}",
            answer.text
        );
        let reason = bridge.until_down("bad").await;
        assert!(
            reason.contains("the session was ended: the server sent "),
            "{kind}: {reason}"
        );
        good_answers(&bridge).await;
    }
}

#[tokio::test]
async fn streams_that_are_closed_at_once_are_opened_slowly() {
    let server = BadHttp::start("storm").await;
    let bridges = [("bad".to_owned(), server.streamable())];
    let bridge = beside_a_good_one(&bridges).ready().await;
    server.until_count("GET", 2).await;
    let before = server.count("GET").await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let opened = server.count("GET").await - before;
    assert!(opened <= 14, "{opened} in three seconds");
    good_answers(&bridge).await;
    assert_eq!(bridge.server("bad").await["status"], "ready");
}

#[tokio::test]
async fn a_tool_list_has_a_budget_of_bytes_and_of_values() {
    let server = BadHttp::start("heavy-list").await;
    let toml = format!(
        "[bridges.good]\n{{bad good}}\n[bridges.values]\n{{bad heavy-list}}\n[bridges.pages]\n{{bad heavy-pages}}\n\
         [bridges.remote]\n{}\n",
        server.streamable()
    );
    let bridge = Setup::toml(&toml).listening().await;
    for name in ["values", "pages", "remote"] {
        let reason = bridge.until_down(name).await;
        assert!(
            reason.contains("its tool list is too large"),
            "{name}: {reason}"
        );
        assert!(
            reason.contains("`tools_bytes_max` in `[limits]`"),
            "{name}: {reason}"
        );
        good_answers(&bridge).await;
    }
    assert!(
        resident(&bridge) < 250 << 20,
        "{} MiB",
        resident(&bridge) >> 20
    );
}

#[tokio::test]
async fn an_answer_that_drips_ends_with_its_time() {
    let toml = "[bridges.good]\n{bad good}\n[bridges.bad]\n{bad drip}\nconnect_timeout = '2s'\n";
    let began = Instant::now();
    let bridge = Setup::toml(toml).listening().await;
    let reason = bridge.until_down("bad").await;
    assert!(
        reason.contains("no answer to `initialize` within 2s"),
        "{reason}"
    );
    assert!(began.elapsed() < Duration::from_secs(20));
    good_answers(&bridge).await;
}

/// A server that has a lot to say, all of it honest, is left alone, and its changes are heard within a
/// moment.
#[tokio::test]
async fn an_honest_server_with_a_lot_to_say_is_left_alone() {
    let bridge = Setup::toml("[bridges.bad]\n{bad chatty --record {dir}/record}\n")
        .ready()
        .await;
    bridge.until("bad", "ready").await;
    let before = bridge.server("bad").await["tools"].as_u64().unwrap();
    for number in 0..3_u64 {
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(bridge.post("/bad/change", "{}").await.status, 200);
        let began = Instant::now();
        let wanted = before + (number + 1) % 2;
        bridge
            .until_server("bad", |server| server["tools"] == wanted)
            .await;
        assert!(
            began.elapsed() < Duration::from_millis(2_500),
            "{:?}",
            began.elapsed()
        );
    }
    let starts = bridge.read("record").matches(r#""start""#).count();
    assert_eq!(starts, 1, "{}", bridge.log());
}
