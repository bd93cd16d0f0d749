//! Changes of the configuration while it runs.

use std::{fs, os::unix::fs::symlink, time::Duration};

use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::harness::{Bridge, PATIENCE, Setup, is_alive, until_gone};

/// The process of a bridge's server.
async fn pid(bridge: &Bridge, name: &str) -> u64 {
    let answer = bridge.post(&format!("/{name}/pid"), "{}").await;
    answer.text.parse().unwrap_or_else(|_| panic!("{answer:?}"))
}

/// A variable that a bridge's server was given.
async fn variable(bridge: &Bridge, bridge_name: &str, name: &str) -> Value {
    let answer = bridge.post(&format!("/{bridge_name}/env"), "{}").await;
    answer.json()[name].clone()
}

/// The names of all bridges.
async fn names(bridge: &Bridge) -> Vec<String> {
    let list = bridge.get("/servers").await.json();
    let servers = list["servers"].as_array().unwrap().iter();
    servers
        .map(|it| it["id"].as_str().unwrap().to_owned())
        .collect()
}

/// Waits until the log says something so often.
async fn until_logged(bridge: &Bridge, text: &str, count: usize) {
    let end = Instant::now() + PATIENCE;
    while bridge.log().matches(text).count() < count {
        assert!(Instant::now() < end, "no {text:?} in {}", bridge.log());
        sleep(Duration::from_millis(20)).await;
    }
}

const APPLIED: &str = "the configuration was reloaded";

#[tokio::test]
async fn an_edit_applies_to_what_it_changes() {
    let before = "
[bridges.kept]
{bad good}
[bridges.changed]
env = { VERSION = '1' }
{bad good}
[bridges.removed]
{bad good}
[bridges.renamed]
{bad good}
";
    let bridge = Setup::toml(before).ready().await;
    let (kept, changed) = (pid(&bridge, "kept").await, pid(&bridge, "changed").await);
    let removed = pid(&bridge, "removed").await;
    let in_flight = bridge.post("/kept/slow", r#"{"seconds": 4}"#);
    let leaving = bridge.post("/changed/slow", r#"{"seconds": 3}"#);
    let edit = async {
        sleep(Duration::from_millis(200)).await;
        let after = before
            .replace("VERSION = '1'", "VERSION = '2'")
            .replace(
                "[bridges.removed]\n{bad good}",
                "[bridges.added]\n{bad good}",
            )
            .replace(
                "[bridges.renamed]\n",
                "[bridges.renamed]\nrename = { parrot = 'echo' }\n",
            );
        bridge.write("bridges.toml", &after);
        until_logged(&bridge, APPLIED, 1).await;
        for name in ["added", "changed", "renamed"] {
            bridge.until(name, "ready").await;
        }
        assert_eq!(
            names(&bridge).await,
            ["kept", "changed", "added", "renamed"]
        );
        assert_eq!(variable(&bridge, "changed", "VERSION").await, "2");
        until_gone(changed).await;
        until_gone(removed).await;
        assert_eq!(bridge.post("/removed/echo", "{}").await.status, 404);
        assert_eq!(bridge.post("/renamed/echo", "{}").await.status, 404);
        let said = bridge.post("/renamed/parrot", r#"{"message": "hi"}"#).await;
        assert_eq!(said.text, r#""hi""#);
        let document = bridge.get("/openapi.json").await.json();
        assert!(document["paths"]["/added/echo"].is_object());
        assert!(document["paths"]["/renamed/parrot"].is_object());
        assert!(document["paths"]["/removed/echo"].is_null());
    };
    let (answer, left, ()) = tokio::join!(in_flight, leaving, edit);
    assert_eq!(
        answer.status, 200,
        "calls of unchanged bridges go on: {}",
        answer.text
    );
    assert_eq!(
        left.status, 200,
        "those of changed ones may finish: {}",
        left.text
    );
    assert_eq!(pid(&bridge, "kept").await, kept);

    // Words that mean the same change nothing.
    let added = pid(&bridge, "added").await;
    let text = bridge.read("bridges.toml");
    bridge.write("bridges.toml", &format!("# a remark\n{text}\n"));
    bridge.signal("HUP");
    until_logged(&bridge, APPLIED, 2).await;
    assert_eq!(
        (pid(&bridge, "kept").await, pid(&bridge, "added").await),
        (kept, added)
    );
}

#[tokio::test]
async fn a_file_with_errors_changes_nothing_and_is_explained() {
    let good = "[identity.keys.team]\nkey = '${TEAM_KEY}'\n[bridges.good]\n{bad good}\n";
    let bridge = Setup::toml(good)
        .env("TEAM_KEY", "k3y-of-the-team")
        .ready()
        .await;
    let team = bridge.as_bearer("k3y-of-the-team");
    let call = || team.call("good/pid", "{}");
    let pid = call().await.text;
    let bad = format!("{good}[bridges.other]\ncomand = 'x'\n");
    bridge.write("bridges.toml", &bad);
    until_logged(
        &bridge,
        "the changed configuration has errors; the old one stays in effect",
        1,
    )
    .await;
    let log = bridge.log();
    assert!(
        log.contains("bridges.toml:7:1") && log.contains("comand"),
        "{log}"
    );
    assert!(log.contains("did you mean `command`"), "{log}");
    assert_eq!(call().await.text, pid);
    let refused = team.post("/refresh", "").await;
    refused.assert_error(409, "invalid_config");
    let detail = refused.json()["detail"].as_str().unwrap().to_owned();
    assert!(
        detail.contains("bridges.toml:7:1") && detail.contains("comand"),
        "{detail}"
    );
    // No TOML at all; then no file; then a good one again.
    bridge.write("bridges.toml", "[bridges");
    bridge.signal("HUP");
    until_logged(&bridge, "the old one stays in effect", 2).await;
    fs::remove_file(bridge.dir.path().join("bridges.toml")).unwrap();
    bridge.signal("HUP");
    until_logged(&bridge, "the file cannot be read", 1).await;
    assert_eq!(call().await.text, pid);
    bridge.write(
        "bridges.toml",
        &format!("{good}[bridges.other]\n{{bad good}}\n"),
    );
    until_logged(&bridge, APPLIED, 1).await;
    let end = Instant::now() + PATIENCE;
    while team.call("other/pid", "{}").await.status != 200 {
        assert!(Instant::now() < end, "{}", bridge.log());
        sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(call().await.text, pid);
}

#[tokio::test]
async fn variables_and_secret_files_are_read_anew() {
    let toml = "
[bridges.kept]
{bad good}
[bridges.dotenv]
env = { A = '${A_VARIABLE}' }
{bad good}
[bridges.file]
env = { B = '${file:{dir}/secret}' }
{bad good}
[bridges.later]
env = { C = '${C_VARIABLE}' }
{bad good}
";
    let setup = Setup::toml(toml);
    setup.write(".env", "A_VARIABLE=one\n");
    setup.write("secret", "first\n");
    let bridge = setup.ready().await;
    let kept = pid(&bridge, "kept").await;
    assert_eq!(variable(&bridge, "dotenv", "A").await, "one");
    assert_eq!(variable(&bridge, "file", "B").await, "first");
    let later = bridge.server("later").await;
    assert_eq!(later["reason"], "C_VARIABLE is not set");
    let file = pid(&bridge, "file").await;

    bridge.write(".env", "A_VARIABLE=two\nC_VARIABLE=three\n");
    until_logged(&bridge, APPLIED, 1).await;
    bridge.until("later", "ready").await;
    bridge.until("dotenv", "ready").await;
    assert_eq!(variable(&bridge, "dotenv", "A").await, "two");
    assert_eq!(variable(&bridge, "later", "C").await, "three");
    assert_eq!(pid(&bridge, "file").await, file);

    bridge.write("secret", "second\n");
    until_logged(&bridge, APPLIED, 2).await;
    bridge.until("file", "ready").await;
    assert_eq!(variable(&bridge, "file", "B").await, "second");

    fs::remove_file(bridge.dir.path().join("secret")).unwrap();
    until_logged(&bridge, APPLIED, 3).await;
    let off = bridge.until("file", "disabled").await;
    assert!(off["reason"].as_str().unwrap().contains("secret"), "{off}");
    assert_eq!(pid(&bridge, "kept").await, kept);
}

#[tokio::test]
async fn a_mounted_config_map_is_followed() {
    let setup = Setup::bare().args(["--config", "{dir}/volume/bridges.toml"]);
    let volume = setup.path().join("volume");
    fs::create_dir(&volume).unwrap();
    let version = |setup: &Setup, name: &str, bridges: &str| {
        fs::create_dir(setup.path().join("volume").join(name)).unwrap();
        setup.write(&format!("volume/{name}/bridges.toml"), bridges);
    };
    version(&setup, "..one", "[bridges.one]\n{bad good}\n");
    version(
        &setup,
        "..two",
        "[bridges.one]\n{bad good}\n[bridges.two]\n{bad good}\n",
    );
    symlink("..one", volume.join("..data")).unwrap();
    symlink("..data/bridges.toml", volume.join("bridges.toml")).unwrap();
    let bridge = setup.ready().await;
    let one = pid(&bridge, "one").await;
    assert_eq!(names(&bridge).await, ["one"]);
    symlink("..two", volume.join("..data_tmp")).unwrap();
    fs::rename(volume.join("..data_tmp"), volume.join("..data")).unwrap();
    fs::remove_dir_all(volume.join("..one")).unwrap();
    until_logged(&bridge, APPLIED, 1).await;
    bridge.until("two", "ready").await;
    assert_eq!(pid(&bridge, "one").await, one);
}

#[tokio::test]
async fn keys_rotate_without_a_restart() {
    let toml = "[identity.keys.team]\nkey = '${file:{dir}/key}'\n[bridges.good]\n{bad good}\n";
    let setup = Setup::toml(toml);
    setup.write("key", "the-0ld-key\n");
    let bridge = setup.ready().await;
    let call = async |key: &str| bridge.as_bearer(key).call("good/pid", "{}").await;
    let before = call("the-0ld-key").await;
    assert_eq!(before.status, 200);
    assert_eq!(call("the-n3w-key").await.status, 401);
    bridge.write("key", "the-n3w-key\n");
    until_logged(&bridge, APPLIED, 1).await;
    let after = call("the-n3w-key").await;
    assert_eq!((after.status, after.text), (200, before.text));
    assert_eq!(call("the-0ld-key").await.status, 401);
    assert!(!bridge.log().contains("-key\n") && !bridge.log().contains("the-n3w-key"));
}

#[tokio::test]
async fn tools_stay_published_while_a_changed_bridge_restarts() {
    let bridge = Setup::toml("[bridges.good]\n{bad good}\n").ready().await;
    let document = bridge.get("/openapi.json").await.text;
    let tools = bridge.server("good").await["tools"].clone();
    bridge.write("bridges.toml", "[bridges.good]\n{bad late 2}\n");
    bridge.signal("HUP");
    until_logged(&bridge, APPLIED, 1).await;
    let server = bridge.server("good").await;
    assert_eq!(
        (&server["status"], &server["tools"]),
        (&Value::from("starting"), &tools)
    );
    assert_eq!(bridge.get("/openapi.json").await.text, document);
    let said = bridge.post("/good/echo", r#"{"message": "hi"}"#).await;
    assert_eq!(
        (said.status, said.text.as_str()),
        (200, r#""hi""#),
        "it waits"
    );
    assert_eq!(bridge.get("/openapi.json").await.text, document);
}

#[tokio::test]
async fn a_call_that_waits_for_a_bridge_is_told_at_once_when_it_is_replaced() {
    let bridge = Setup::toml("[bridges.good]\n{bad good}\n").ready().await;
    bridge.write("bridges.toml", "[bridges.good]\n{bad late 25}\n");
    bridge.signal("HUP");
    until_logged(&bridge, APPLIED, 1).await;
    let began = Instant::now();
    let waits = bridge.post("/good/echo", r#"{"message": "hi"}"#);
    let replaces = async {
        sleep(Duration::from_millis(500)).await;
        bridge.write("bridges.toml", "[bridges.good]\n{bad good}\n");
        bridge.signal("HUP");
    };
    let (told, ()) = tokio::join!(waits, replaces);
    assert_eq!((told.status, told.code().as_str()), (503, "unavailable"));
    assert!(told.text.contains("being replaced"), "{}", told.text);
    assert!(began.elapsed() < Duration::from_secs(15));
    bridge.until("good", "ready").await;
}

#[tokio::test]
async fn a_refresh_says_what_it_did_and_tries_what_is_down() {
    let toml = "
[identity.keys.team]
key = '${TEAM_KEY}'
[bridges.good]
{bad good}
[bridges.broken]
command = '{dir}/program'
";
    let bridge = Setup::toml(toml)
        .env("TEAM_KEY", "k3y-of-the-team")
        .ready()
        .await;
    assert_eq!(bridge.post("/refresh", "").await.status, 401);
    let team = bridge.as_bearer("k3y-of-the-team");
    let more = format!("{toml}[bridges.more]\n{{bad good}}\n");
    let script = "#!/bin/sh\nexec python3 {tests}/it/servers/bad_server.py good\n";
    bridge.write("program", script);
    let path = bridge.dir.path().join("program");
    std::process::Command::new("chmod")
        .arg("+x")
        .arg(path)
        .status()
        .unwrap();
    bridge.write("bridges.toml", &more);
    let done = team.post("/refresh", "").await.ok();
    assert_eq!(done["status"], "refreshed");
    assert_eq!(done["started"], serde_json::json!(["more"]));
    assert_eq!(done["restarted"], serde_json::json!(["broken"]));
    assert_eq!(done["kept"], serde_json::json!(["good"]));
    let tools = done["tools"].as_array().unwrap();
    assert_eq!(done["tools_count"], tools.len());
    for tool in ["good_echo", "more_echo", "broken_echo"] {
        assert!(tools.contains(&Value::from(tool)), "{tools:?}");
        let said = team.call(tool, r#"{"message": "hi"}"#).await;
        assert_eq!(said.text, r#""hi""#, "{tool}");
    }
    assert_eq!(team.get("/refresh").await.status, 405);
}

#[tokio::test]
async fn on_this_machine_a_refresh_needs_no_key() {
    let bridge = Setup::toml("[bridges.good]\n{bad good}\n").ready().await;
    let before = pid(&bridge, "good").await;
    let done = bridge.post("/refresh", "").await;
    assert_eq!(done.status, 200, "{}", done.text);
    assert_eq!(pid(&bridge, "good").await, before);
}

#[tokio::test]
async fn a_storm_of_changes_ends_in_the_last_one() {
    let bridge = Setup::toml("[bridges.good]\n{bad good}\n").ready().await;
    let first = pid(&bridge, "good").await;
    for n in 0..20 {
        let toml = format!("[bridges.good]\nenv = {{ N = '{n}' }}\n{{bad good}}\n");
        bridge.write("bridges.toml", &toml);
        bridge.signal("HUP");
        sleep(Duration::from_millis(15)).await;
    }
    let end = Instant::now() + PATIENCE;
    loop {
        let answer = bridge.post("/good/env", "{}").await;
        if answer.status == 200 && answer.json()["N"] == "19" {
            break;
        }
        assert!(Instant::now() < end, "{answer:?}");
        sleep(Duration::from_millis(50)).await;
    }
    assert!(!is_alive(first));
    let id = bridge.child.id().unwrap();
    let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap();
    assert!(children.split_whitespace().count() <= 1, "{children}");
}

#[tokio::test]
async fn limits_apply_and_are_told_as_they_apply() {
    let toml = |limits: &str| format!("[limits]\n{limits}\n[bridges.good]\n{{bad good}}\n");
    let bridge = Setup::toml(&toml("requests_max = 64")).ready().await;
    bridge.until("good", "ready").await;
    let before = pid(&bridge, "good").await;
    let refreshed = async |limits: &str| {
        bridge.write("bridges.toml", &toml(limits));
        bridge.post("/refresh", "").await.json()
    };
    // A bound on what sessions carry: each is made anew, and said to be.
    let done = refreshed("requests_max = 64\nresult_bytes_max = '16MiB'").await;
    // The file is watched too, and may have been read before.
    let is_told = done["restarted"] == serde_json::json!(["good"])
        || bridge.log().contains(r#"restarted=["good"]"#);
    assert!(is_told, "{done}");
    bridge.until("good", "ready").await;
    let after = pid(&bridge, "good").await;
    assert_ne!(before, after, "its program was started anew");
    // A bound on requests: in force with the next one.
    let done = refreshed("requests_max = 1\nresult_bytes_max = '16MiB'").await;
    assert_eq!(done["kept"], serde_json::json!(["good"]), "{done}");
    let slow = bridge.post("/good/slow", r#"{"seconds": 2}"#);
    let second = async {
        sleep(Duration::from_millis(700)).await;
        bridge.post("/good/echo", r#"{"message": "hi"}"#).await
    };
    let (slow, second) = tokio::join!(slow, second);
    assert_eq!(slow.status, 200, "{}", slow.text);
    second.assert_error(503, "busy");
    assert_eq!(pid(&bridge, "good").await, after);
}
