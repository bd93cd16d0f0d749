//! Servers that fail: each test puts one beside a good one, which must not notice.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::{Bridge, PATIENCE, Setup, is_alive, until, until_gone};

/// A file with a good bridge and a bad one.
fn beside_a_good_one(bad: &str) -> Setup {
    Setup::toml(&format!(
        "[bridges.good]\n{{bad good}}\n[bridges.bad]\n{bad}\n"
    ))
}

/// The good bridge answers.
async fn good_answers(bridge: &Bridge) {
    bridge.until("good", "ready").await;
    bridge.assert_good_answers(PATIENCE).await;
}

#[tokio::test]
async fn servers_that_do_not_start_say_why() {
    let cases = [
        ("command = 'no-such-program-x'", "no such program on PATH"),
        ("command = '/etc/passwd'", "may not execute the file"),
        (
            "command = 'true'\ncwd = '/no/such/folder'",
            "its working directory `/no/such/folder` does not exist",
        ),
        ("{bad exit 7}", "exit status: 7"),
        (
            "{bad exit-stderr}",
            "exit status: 3): fatal: TOKEN is wrong",
        ),
        (
            "{bad error-initialize}",
            "the server refused `initialize`: the vendor cannot be reached (-32603)",
        ),
        (
            "{bad error-list}",
            "the server refused `tools/list`: the list is out of order (-32603)",
        ),
        ("{bad dies-initialized}", "exit status: 1"),
        ("command = 'cat'\nconnect_timeout = '1s'", ""),
        (
            "{bad silent}\nconnect_timeout = '1s'",
            "no answer to `initialize` within 1s",
        ),
    ];
    for (bad, expected) in cases {
        let bridge = beside_a_good_one(bad).listening().await;
        bridge.until("good", "ready").await;
        good_answers(&bridge).await;
        let reason = bridge.until_down("bad").await;
        assert!(reason.contains(expected), "{bad}: {reason}");
        let answer = bridge.post("/bad/echo", "{}").await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (503, "unavailable"),
            "{bad}"
        );
        assert!(answer.header("retry-after").parse::<u64>().unwrap() >= 1);
        assert!(
            answer.json()["detail"].as_str().unwrap().contains(expected),
            "{}",
            answer.text
        );
        good_answers(&bridge).await;
    }
}

/// The calls that came within the first moments after every start were refused.
#[tokio::test]
async fn a_call_waits_for_the_first_connect_within_its_time() {
    let toml = "[bridges.late]\n{bad late 2}\n[bridges.mute]\n{bad silent}\ntimeout = '1s'\n";
    let bridge = Setup::toml(toml).listening().await;
    let call = async |path: &str| bridge.post(path, r#"{"message": "hi"}"#).await;
    let (late, mute, none) = tokio::join!(
        call("/late/echo"),
        call("/mute/echo"),
        call("/late/no-such-tool")
    );
    assert_eq!((late.status, late.text.as_str()), (200, "\"hi\""));
    mute.assert_error(503, "unavailable");
    none.assert_error(404, "not_found");
}

#[tokio::test]
async fn a_slow_starter_holds_up_nobody() {
    let began = Instant::now();
    let bridge = beside_a_good_one("{bad late 3}").listening().await;
    bridge.until("good", "ready").await;
    good_answers(&bridge).await;
    assert!(
        began.elapsed() < Duration::from_millis(2_500),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(bridge.get("/ready").await.status, 503);
    bridge.until("bad", "ready").await;
    // Once its tools are published too.
    until(async || bridge.get("/ready").await.status == 200).await;
}

#[tokio::test]
async fn noise_on_the_pipes_is_passed_over() {
    for mode in [
        "garbage",
        "wrong-ids",
        "deaf",
        "dies-on-discover",
        "asks",
        "long-line",
        "flood-stderr",
        "chatty",
        "long-words",
        "flood-notifications",
    ] {
        let bridge = beside_a_good_one(&format!("{{bad {mode}}}"))
            .listening()
            .await;
        bridge.until("bad", "ready").await;
        for n in 0..5 {
            let answer = bridge
                .post("/bad/echo", &format!(r#"{{"message": "hi {n}"}}"#))
                .await;
            assert_eq!(answer.text, format!(r#""hi {n}""#), "{mode}");
        }
        good_answers(&bridge).await;
        let log = bridge.log();
        assert!(log.len() < 200_000, "{mode}: {} bytes of log", log.len());
    }
}

#[tokio::test]
async fn a_server_that_knows_only_the_newest_protocol_is_served() {
    let bridge = beside_a_good_one("{bad modern --record {dir}/record}")
        .listening()
        .await;
    bridge.until("bad", "ready").await;
    assert_eq!(
        bridge.post("/bad/echo", r#"{"message": "hi"}"#).await.text,
        r#""hi""#
    );
    // The era is remembered: a restart begins with it.
    let starts = |bridge: &Bridge| bridge.read("record").matches(r#""start""#).count();
    assert_eq!(starts(&bridge), 2);
    bridge.post("/bad/die", "{}").await;
    bridge.until("bad", "ready").await;
    assert_eq!(
        bridge.post("/bad/echo", r#"{"message": "hi"}"#).await.text,
        r#""hi""#
    );
    assert_eq!(starts(&bridge), 3);
}

#[tokio::test]
async fn a_server_that_dies_during_a_call_is_back_for_the_next() {
    let bridge = beside_a_good_one("{bad good}").listening().await;
    bridge.until("bad", "ready").await;
    let before = bridge.post("/bad/pid", "{}").await.text;
    let answer = bridge.post("/bad/die", "{}").await;
    answer.assert_error(502, "upstream_closed");
    let answer = bridge.post("/bad/pid", "{}").await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_ne!(answer.text, before);
    good_answers(&bridge).await;
}

#[tokio::test]
async fn a_server_that_exits_is_replaced_though_a_child_of_it_keeps_its_stdout() {
    let bridge = beside_a_good_one("{bad good}").listening().await;
    bridge.until("bad", "ready").await;
    let before = bridge.post("/bad/pid", "{}").await.text;
    let child = bridge.post("/bad/grandchild", r#"{"keep_output": true}"#);
    let child = child.await.json().as_u64().expect("its pid");
    let began = Instant::now();
    let answer = bridge.post("/bad/die", "{}").await;
    assert_eq!(answer.code(), "upstream_closed", "{}", answer.text);
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "{:?}",
        began.elapsed()
    );
    until_gone(child).await;
    let answer = bridge.post("/bad/pid", "{}").await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_ne!(answer.text, before);
}

#[tokio::test]
async fn a_killed_server_is_replaced_without_the_callers_help() {
    let bridge = beside_a_good_one("{bad good --record {dir}/record}")
        .listening()
        .await;
    bridge.until("bad", "ready").await;
    for _ in 0..2 {
        let pid = bridge.post("/bad/pid", "{}").await.text;
        let kill = std::process::Command::new("kill")
            .args(["-9", &pid])
            .status()
            .unwrap();
        assert!(kill.success());
        let answer = bridge.post("/bad/echo", r#"{"message": "again"}"#).await;
        // Killed a moment before: the call waits for the new one, unless it is the second loss in a
        // row and already known. It is never sent twice.
        assert!(
            answer.status == 200
                || ["upstream_closed", "unavailable"].contains(&answer.code().as_str()),
            "{} {}",
            answer.status,
            answer.text
        );
        bridge.until("bad", "ready").await;
    }
    let record = bridge.read("record");
    assert!(record.matches(r#""echo""#).count() <= 2, "{record}");
}

#[tokio::test]
async fn a_crash_loop_becomes_a_status_and_no_storm() {
    let bridge = beside_a_good_one("{bad exit --record {dir}/record}")
        .listening()
        .await;
    tokio::time::sleep(Duration::from_secs(4)).await;
    let starts = bridge.read("record").matches(r#""start""#).count();
    assert!((2..=6).contains(&starts), "{starts} starts in four seconds");
    let server = bridge.until("bad", "failed").await;
    assert!(
        server["reason"]
            .as_str()
            .unwrap()
            .contains("exit status: 1")
    );
    good_answers(&bridge).await;
}

#[tokio::test]
async fn a_server_that_needs_a_few_attempts_gets_them() {
    let bridge = beside_a_good_one("{bad flaky 2 --record {dir}/record}")
        .listening()
        .await;
    bridge.until("bad", "ready").await;
    assert_eq!(
        bridge.post("/bad/echo", r#"{"message": "hi"}"#).await.text,
        r#""hi""#
    );
}

#[tokio::test]
async fn every_odd_tool_is_served_or_left_out_with_a_warning() {
    let bridge = beside_a_good_one("{bad bad-tools}").listening().await;
    let server = bridge.until("bad", "ready").await;
    let warnings: Vec<&str> = server["warnings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|warning| warning.as_str().unwrap())
        .collect();
    assert!(
        warnings
            .iter()
            .any(|it| it.contains("`duplicate` is listed twice")),
        "{warnings:#?}"
    );
    assert!(
        warnings.iter().any(|it| it.contains("needs a name")),
        "{warnings:#?}"
    );
    assert!(
        warnings.iter().any(|it| it.contains("not an object")),
        "{warnings:#?}"
    );
    let list = bridge.get("/bad").await.json();
    let names: Vec<String> = list["tools"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tool| tool["name"].as_str().unwrap().to_owned())
        .collect();
    bridge.until_published("/bad/").await;
    let document = bridge.get("/openapi.json").await.json();
    let operations: Vec<&Value> = document["paths"]
        .as_object()
        .unwrap()
        .values()
        .map(|path| &path["post"])
        .filter(|operation| operation["tags"][0] == "bad")
        .collect();
    assert_eq!(operations.len(), names.len());
    let mut ids: Vec<&str> = operations
        .iter()
        .map(|operation| operation["operationId"].as_str().unwrap())
        .collect();
    for id in &ids {
        assert!(
            id.len() <= 64
                && id
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-'),
            "{id}"
        );
    }
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), names.len(), "ids are unique");
    // Each is called by the path the document gives, and by its id.
    for (path, item) in document["paths"].as_object().unwrap() {
        if item["post"]["tags"][0] != "bad" {
            continue;
        }
        let id = item["post"]["operationId"].as_str().unwrap();
        for path in [path.as_str(), &format!("/{id}")] {
            let answer = bridge.post(path, r#"{"seconds": 0, "bytes": 10}"#).await;
            assert!(
                ![404, 405].contains(&answer.status),
                "{path}: {} {}",
                answer.status,
                answer.text
            );
            if path.contains("/hang") || id == "bad_hang" || id == "bad_die" {
                break;
            }
        }
    }
    good_answers(&bridge).await;
}

#[tokio::test]
async fn all_pages_are_read_within_bounds() {
    let bridge = beside_a_good_one("{bad pages 7}").listening().await;
    let server = bridge.until("bad", "ready").await;
    let good = bridge.until("good", "ready").await["tools"]
        .as_u64()
        .unwrap();
    assert_eq!(server["tools"].as_u64().unwrap(), good + 6);
    for mode in ["endless-pages", "same-cursor"] {
        let bridge = beside_a_good_one(&format!("{{bad {mode}}}"))
            .listening()
            .await;
        bridge.until("bad", "ready").await;
        good_answers(&bridge).await;
    }
}

#[tokio::test]
async fn a_changed_tool_list_is_read_again() {
    let bridge = beside_a_good_one("{bad good}").listening().await;
    let before = bridge.until("bad", "ready").await["tools"]
        .as_u64()
        .unwrap();
    let etag = bridge.get("/openapi.json").await.header("etag").to_owned();
    bridge.post("/bad/change", "{}").await;
    bridge
        .until_server("bad", |server| server["tools"].as_u64() == Some(before + 1))
        .await;
    assert_eq!(bridge.post("/bad/changed", "{}").await.text, r#""new""#);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_ne!(bridge.get("/openapi.json").await.header("etag"), etag);
}

#[tokio::test]
async fn a_result_that_is_too_large_costs_that_call_alone() {
    let bridge = Setup::toml("[limits]\nresult_bytes_max = 1000000\n[bridges.bad]\n{bad good}\n")
        .ready()
        .await;
    let pid = bridge.post("/bad/pid", "{}").await.text;
    let answer = bridge.post("/bad/big", "{}").await;
    answer.assert_error(502, "result_too_large");
    assert_eq!(
        bridge.post("/bad/pid", "{}").await.text,
        pid,
        "the session lives on"
    );
    let answer = bridge.post("/bad/big", r#"{"bytes": 900000}"#).await;
    assert_eq!((answer.status, answer.text.len()), (200, 900_002));
}

#[tokio::test]
async fn fifty_megabytes_pass_when_they_may() {
    let bridge = Setup::toml("[limits]\nresult_bytes_max = 64000000\n[bridges.bad]\n{bad good}\n")
        .ready()
        .await;
    let answer = bridge.post("/bad/big", "{}").await;
    assert_eq!((answer.status, answer.text.len()), (200, 50_000_002));
}

#[tokio::test]
async fn lazy_bridges_learn_their_tools_and_rest_until_called() {
    let bridge =
        beside_a_good_one("lazy = true\nidle_stop = '1s'\n{bad good --record {dir}/record}")
            .ready()
            .await;
    let server = bridge.until("bad", "idle").await;
    assert!(server["tools"].as_u64().unwrap() > 0);
    let pid: u64 = bridge.post("/bad/pid", "{}").await.text.parse().unwrap();
    assert!(is_alive(pid));
    assert_eq!(bridge.server("bad").await["status"], "ready");
    bridge.until("bad", "idle").await;
    until_gone(pid).await;
    assert_eq!(
        bridge.post("/bad/echo", r#"{"message": "hi"}"#).await.text,
        r#""hi""#
    );
    assert_eq!(bridge.read("record").matches(r#""start""#).count(), 3);
}

#[tokio::test]
async fn a_child_gets_what_it_names_and_a_small_base() {
    let setup = Setup::toml("[bridges.bad]\nenv = { WANTED = 'yes' }\n{bad good}\n")
        .env("SECRET_OF_OURS", "x")
        .env("TZ", "UTC");
    let bridge = setup.ready().await;
    let env = bridge.post("/bad/env", "{}").await.json();
    assert_eq!(env["WANTED"], "yes");
    assert_eq!(env["TZ"], "UTC");
    assert!(env["PATH"].is_string());
    assert_eq!(env["SECRET_OF_OURS"], Value::Null);
}

#[tokio::test]
async fn secrets_of_a_bridge_never_show() {
    let toml =
        "[bridges.bad]\nenv = { TOKEN = '${TOKEN}' }\n{bad exit-stderr s3cr3t-t0ken-value}\n";
    let bridge = Setup::toml(toml)
        .env("TOKEN", "s3cr3t-t0ken-value")
        .listening()
        .await;
    let reason = bridge.until_down("bad").await;
    assert!(reason.contains("***"), "{reason}");
    assert!(
        !bridge.log().contains("s3cr3t-t0ken-value"),
        "{}",
        bridge.log()
    );
}

#[tokio::test]
async fn an_idle_bridge_is_quiet_and_costs_no_processor() {
    let bridge = beside_a_good_one("{bad good}").ready().await;
    let pid = bridge.child.id().unwrap();
    let ticks = || -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        let fields: Vec<&str> = stat
            .rsplit(')')
            .next()
            .unwrap()
            .split_whitespace()
            .collect();
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    };
    let (log, before) = (bridge.log(), ticks());
    tokio::time::sleep(Duration::from_secs(5)).await;
    // A tick is 10 ms: 5 of them in 5 s are 1 %.
    assert!(ticks() - before < 5, "{} ticks", ticks() - before);
    assert_eq!(bridge.log(), log);
}

#[tokio::test]
async fn a_server_that_tells_its_own_secret_in_an_error_is_not_repeated() {
    let toml = "[bridges.bad]\nenv = { TOKEN = '${TOKEN}' }\n{bad good}\n";
    let bridge = Setup::toml(toml)
        .env("TOKEN", "s3cr3t-t0ken-value")
        .ready()
        .await;
    let calls = [
        ("/bad/fail", 422, r#"{"message": "bad token $TOKEN"}"#),
        (
            "/bad/rpc_error",
            500,
            r#"{"message": "bad token $TOKEN", "data": {"sent": ["$TOKEN"]}}"#,
        ),
    ];
    for (path, status, body) in calls {
        let answer = bridge.post(path, body).await;
        assert_eq!(answer.status, status, "{}", answer.text);
        assert!(answer.text.contains("bad token ***"), "{}", answer.text);
        assert!(!answer.text.contains("s3cr3t"), "{}", answer.text);
    }
}
