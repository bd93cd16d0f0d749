//! The audit trail: every call leaves one record, as it was, whatever happens to the process, the
//! database and the disk.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use futures::StreamExt as _;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt as _, net::TcpStream};

use crate::harness::{Answer, Bridge, PATIENCE, Postgres, Setup, client, until};

const OPS: &str = "the key of an administrator";
const DEV: &str = "the key of a developer";
const OUT: &str = "the key of somebody in no group";
const TOKEN: &str = "a-token-of-the-server-itself";

/// A call that works.
const HI: &str = r#"{"message": "hi"}"#;

/// Where the records are kept.
enum Kept {
    Sqlite,
    Postgres(Postgres),
}

impl Kept {
    async fn postgres() -> Self {
        Self::Postgres(Postgres::create().await)
    }

    /// A bridge with this text in `[audit]`.
    fn setup(&self, audit: &str) -> Setup {
        let database = match self {
            Self::Sqlite => String::new(),
            Self::Postgres(database) => format!("[database]\nurl = '{}'\n", database.url),
        };
        Setup::toml(&format!(
            "{database}
[audit]
{audit}
[identity.keys.ops]
key = '${{TRAIL_OPS}}'
groups = ['MCP-Admin']
[identity.keys.dev]
key = '${{TRAIL_DEV}}'
groups = ['developers', 'testers']
[identity.keys.out]
key = '${{TRAIL_OUT}}'
[access]
cache_ttl = '60s'
[access.groups]
developers = ['one']
[bridges.one]
{{bad good --record {{dir}}/one.jsonl}}
env = {{ SERVER_TOKEN = '${{TRAIL_TOKEN}}' }}
"
        ))
        .env("TRAIL_OPS", OPS)
        .env("TRAIL_DEV", DEV)
        .env("TRAIL_OUT", OUT)
        .env("TRAIL_TOKEN", TOKEN)
    }
}

async fn call(bridge: &Bridge, key: &str, path: &str, body: &str) -> Answer {
    let key = format!("Bearer {key}");
    let headers = [("authorization", key.as_str())];
    bridge.send(Method::POST, path, &headers, body).await
}

/// A call over a connection of its own that nobody waits for.
async fn begin(bridge: &Bridge, tool: &str) -> TcpStream {
    let mut stream = bridge.connect().await;
    let request = format!(
        "POST /one/{tool} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {DEV}\r\ncontent-length: 2\r\n\r\n{{}}"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

/// Waits until the server saw so many calls.
async fn until_seen(bridge: &Bridge, count: usize) {
    until(async || bridge.calls("one.jsonl").len() >= count).await;
}

async fn admin(bridge: &Bridge, path: &str) -> Answer {
    let key = format!("Bearer {OPS}");
    let headers = [("authorization", key.as_str())];
    let path = format!("/admin/api{path}");
    bridge.send(Method::GET, &path, &headers, "").await
}

/// All records, by the admin API.
async fn records(bridge: &Bridge) -> Vec<Value> {
    let answer = admin(bridge, "/calls?limit=5000").await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()["calls"].as_array().unwrap().clone()
}

/// All records, by the command line: also while no bridge runs.
async fn records_of_the_command_line(bridge: &Bridge) -> Vec<Value> {
    let words = ["audit", "query", "--format", "jsonl"];
    let (code, stdout, stderr) = bridge.command(&words).await;
    assert_eq!(code, 0, "{stdout}{stderr}");
    let lines = stdout.lines();
    lines.map(|it| serde_json::from_str(it).unwrap()).collect()
}

/// Waits until so many calls are recorded and have ended.
async fn until_ended(bridge: &Bridge, count: usize) -> Vec<Value> {
    until(async || {
        let records = records(bridge).await;
        records.len() >= count && records.iter().all(|it| it["outcome"] != "started")
    })
    .await;
    let records = records(bridge).await;
    assert_eq!(records.len(), count, "{records:#?}");
    records
}

/// How often each outcome came.
fn outcomes(records: &[Value]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for record in records {
        let outcome = record["outcome"].as_str().unwrap().to_owned();
        *counts.entry(outcome).or_default() += 1;
    }
    counts
}

fn counted<const N: usize>(counts: [(&str, usize); N]) -> BTreeMap<String, usize> {
    let counts = counts.into_iter();
    counts
        .map(|(name, count)| (name.to_owned(), count))
        .collect()
}

/// Fails where one is there twice.
fn assert_unique(records: &[Value], field: &str) {
    let values: BTreeSet<_> = records.iter().map(|it| it[field].as_str()).collect();
    assert_eq!(values.len(), records.len(), "{field}: {records:#?}");
}

#[tokio::test]
async fn every_field_is_right_in_sqlite() {
    every_field_is_right(&Kept::Sqlite).await;
}

#[tokio::test]
async fn every_field_is_right_in_postgres() {
    every_field_is_right(&Kept::postgres().await).await;
}

/// Key, path, body; outcome, status, rule, whether the body was read.
type Case = (
    &'static str,
    &'static str,
    String,
    &'static str,
    u16,
    &'static str,
    bool,
);

fn cases() -> Vec<Case> {
    let long = format!(r#"{{"message": "{}"}}"#, "ä".repeat(5_000));
    let (grant, none) = ("grant developers", "none");
    vec![
        (DEV, "/one/echo", HI.to_owned(), "ok", 200, grant, true),
        (DEV, "/one_echo", long, "ok", 200, grant, true),
        (
            DEV,
            "/one/slow",
            r#"{"seconds": 0.2}"#.to_owned(),
            "ok",
            200,
            grant,
            true,
        ),
        (
            DEV,
            "/one/fail",
            "{}".to_owned(),
            "tool_error",
            500,
            grant,
            true,
        ),
        (DEV, "/one/echo", "{}".to_owned(), "", 422, grant, true),
        (DEV, "/one/echo", "{".to_owned(), "", 400, grant, true),
        (
            DEV,
            "/one/nothing",
            HI.to_owned(),
            "not_found",
            404,
            grant,
            false,
        ),
        (
            OUT,
            "/one/echo",
            HI.to_owned(),
            "forbidden",
            403,
            "no_grant",
            false,
        ),
        (
            "wrong",
            "/one/echo",
            HI.to_owned(),
            "unauthorized",
            401,
            none,
            false,
        ),
    ]
}

async fn every_field_is_right(kept: &Kept) {
    let bridge = kept.setup("").ready().await;
    let mut told = Vec::new();
    for case in cases() {
        let (before, began) = (jiff::Timestamp::now(), Instant::now());
        let answer = call(&bridge, case.0, case.1, &case.2).await;
        let took = began.elapsed();
        assert_eq!(answer.status, case.4, "{}: {}", case.1, answer.text);
        told.push((case, answer, before, took));
    }
    let records = until_ended(&bridge, told.len()).await;
    assert_unique(&records, "id");
    let instance = records[0]["instance"].as_str().unwrap();
    assert!(!instance.is_empty());
    for ((key, path, body, outcome, status, rule, is_read), answer, before, took) in told {
        let id = answer.header("x-request-id");
        let record = records.iter().find(|it| it["request_id"] == id).unwrap();
        let (caller, groups) = match key {
            DEV => (json!("dev"), json!(["developers", "testers"])),
            OUT => (json!("out"), json!([])),
            _ => (Value::Null, json!([])),
        };
        let outcome = if outcome.is_empty() {
            answer.code()
        } else {
            outcome.to_owned()
        };
        let (bridge_name, tool) = path[1..].split_once(['/', '_']).unwrap();
        let mut rest = record.clone();
        let mut take = |name: &str| rest.as_object_mut().unwrap().remove(name).unwrap();
        let time: jiff::Timestamp = take("time").as_str().unwrap().parse().unwrap();
        let microsecond = Duration::from_micros(1);
        assert!(
            time >= before - microsecond && time <= before + took,
            "{path}: {time} after {before}"
        );
        let duration = Duration::from_micros(take("duration_us").as_u64().unwrap());
        let least = if tool == "slow" {
            Duration::from_millis(200)
        } else {
            Duration::ZERO
        };
        assert!(
            least <= duration && duration <= took,
            "{path}: {duration:?} of {took:?}"
        );
        assert!(take("id").as_str().unwrap().starts_with(instance));
        assert_eq!(
            rest,
            json!({
                "request_id": id, "caller": caller,
                "proof": if caller.is_null() { "none" } else { "api_key" },
                "groups": groups, "rule": rule, "bridge": bridge_name, "tool": tool,
                "outcome": outcome, "status": status,
                "request_bytes": if is_read { body.len() } else { 0 },
                "response_bytes": answer.text.len(),
                "peer": "127.0.0.1", "workspace": "default", "instance": instance, "arguments": null,
            }),
            "{path} {body}"
        );
    }
    // What was refused never reached the server.
    assert_eq!(bridge.calls("one.jsonl").len(), 4);
}

#[tokio::test]
async fn a_killed_process_leaves_its_calls_in_sqlite() {
    a_killed_process_leaves_its_calls(&Kept::Sqlite).await;
}

#[tokio::test]
async fn a_killed_process_leaves_its_calls_in_postgres() {
    a_killed_process_leaves_its_calls(&Kept::postgres().await).await;
}

async fn a_killed_process_leaves_its_calls(kept: &Kept) {
    let mut bridge = kept.setup("").ready().await;
    for _ in 0..5 {
        assert_eq!(call(&bridge, DEV, "/one/echo", HI).await.status, 200);
    }
    let _open = [begin(&bridge, "hang").await, begin(&bridge, "hang").await];
    until_seen(&bridge, 7).await;
    assert_eq!(call(&bridge, OUT, "/one/echo", HI).await.status, 403);
    bridge.kill().await;
    bridge.start_again().await;
    assert_eq!(call(&bridge, DEV, "/one/echo", HI).await.status, 200);
    let records = until_ended(&bridge, 9).await;
    assert_unique(&records, "id");
    assert_unique(&records, "request_id");
    let wanted = counted([("ok", 6), ("interrupted", 2), ("forbidden", 1)]);
    assert_eq!(outcomes(&records), wanted);
    let is_hang = |it: &Value| it["tool"] == "hang" && it["outcome"] == "interrupted";
    assert_eq!(records.iter().filter(|it| is_hang(it)).count(), 2);
    // The journal of the first run is gone; a third run finds nothing to ship twice.
    bridge.kill().await;
    bridge.start_again().await;
    until_ended(&bridge, 9).await;
}

#[tokio::test]
async fn a_call_is_cancelled_when_its_caller_hangs_up() {
    let bridge = Kept::Sqlite.setup("").ready().await;
    let stream = begin(&bridge, "hang").await;
    until_seen(&bridge, 1).await;
    drop(stream);
    let records = until_ended(&bridge, 1).await;
    assert_eq!(records[0]["outcome"], "cancelled");
    assert_eq!(records[0]["status"], 0);
}

#[tokio::test]
async fn an_outage_of_the_database_loses_and_doubles_nothing() {
    let database = Postgres::create().await;
    let kept = Kept::Postgres(database);
    let bridge = kept.setup("").ready().await;
    let Kept::Postgres(database) = &kept else {
        return;
    };
    let mut told = BTreeMap::new();
    // Two that begin before the outage and end in it, 58 before, during and after it.
    let key = format!("Bearer {DEV}");
    let headers = [("authorization", key.as_str())];
    let slow = || bridge.send(Method::POST, "/one/slow", &headers, r#"{"seconds": 1}"#);
    let quick = async {
        let mut answers = Vec::new();
        until_seen(&bridge, 2).await;
        for round in 0..58 {
            match round {
                20 => database.shut_out().await,
                40 => {
                    until(async || bridge.get("/health").await.json()["audit"]["failing"] == true)
                        .await;
                }
                _ => {}
            }
            answers.push(call(&bridge, DEV, "/one/echo", HI).await);
        }
        answers
    };
    let (first, second, answers) = tokio::join!(slow(), slow(), quick);
    assert_eq!((first.status, second.status), (200, 200));
    for answer in [first, second].iter().chain(&answers) {
        told.insert(answer.header("x-request-id").to_owned(), answer.status);
    }
    assert_eq!(told.len(), 60);
    database.let_in().await;
    until(async || bridge.get("/health").await.json()["audit"]["failing"] == false).await;
    until(async || admin(&bridge, "/calls").await.status == 200).await;
    let records = until_ended(&bridge, 60).await;
    let recorded: BTreeMap<_, _> = records
        .iter()
        .map(|it| {
            let status = u16::try_from(it["status"].as_u64().unwrap()).unwrap();
            (it["request_id"].as_str().unwrap().to_owned(), status)
        })
        .collect();
    assert_eq!(recorded, told);
    // Who may call cannot be looked up in the outage: such calls are on record too.
    let outcomes = outcomes(&records);
    assert!(
        outcomes["ok"] >= 22 && outcomes["store_unavailable"] > 0,
        "{outcomes:?}"
    );
    assert_eq!(outcomes.len(), 2, "{outcomes:?}");
    let log = bridge.log();
    assert_eq!(
        log.matches("does not reach the database").count(),
        1,
        "{log}"
    );
    assert_eq!(
        log.matches("reaches the database again").count(),
        1,
        "{log}"
    );
    until(async || bridge.get("/health").await.json()["audit"]["backlog_bytes"] == 0).await;
}

#[tokio::test]
async fn a_kill_in_the_middle_of_an_outage_loses_nothing() {
    let database = Postgres::create().await;
    // With keys alone nobody has to be looked up: calls go on while the database is away.
    let setup = Setup::toml(&format!(
        "[database]\nurl = '{}'\n[identity.keys.ops]\nkey = '${{TRAIL_OPS}}'\ngroups = ['MCP-Admin']\n\
         [bridges.one]\n{{bad good --record {{dir}}/one.jsonl}}\n",
        database.url
    ));
    let mut bridge = setup.env("TRAIL_OPS", OPS).ready().await;
    until(async || admin(&bridge, "/calls").await.status == 200).await;
    database.shut_out().await;
    let mut ids = BTreeSet::new();
    for _ in 0..2 {
        for _ in 0..20 {
            let answer = call(&bridge, OPS, "/one/echo", HI).await;
            assert_eq!(answer.status, 200, "{}", answer.text);
            ids.insert(answer.header("x-request-id").to_owned());
        }
        bridge.kill().await;
        bridge.start_again().await;
    }
    database.let_in().await;
    until(async || admin(&bridge, "/calls").await.status == 200).await;
    let records = until_ended(&bridge, 40).await;
    let recorded = records.iter().map(|it| it["request_id"].as_str().unwrap());
    assert_eq!(recorded.map(str::to_owned).collect::<BTreeSet<_>>(), ids);
    assert_eq!(outcomes(&records), counted([("ok", 40)]));
}

/// A disk of 256 KiB, unmounted at the end.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=256k", "none"])
            .arg(folder.path())
            .output()
            .unwrap();
        assert!(
            mounted.status.success(),
            "this test mounts a small tmpfs: run it as root ({})",
            String::from_utf8_lossy(&mounted.stderr).trim()
        );
        Self(folder)
    }

    fn filler(&self) -> PathBuf {
        self.0.path().join("filler")
    }

    /// Leaves no byte.
    fn fill(&self) {
        let written = fs::write(self.filler(), vec![0; 1 << 20]);
        assert!(written.is_err(), "the disk is small");
    }

    fn make_room(&self) {
        fs::remove_file(self.filler()).unwrap();
    }

    fn audit(&self, on_failure: &str) -> String {
        let journal = self.0.path().join("journal");
        format!(
            "journal = '{}'\non_failure = '{on_failure}'",
            journal.display()
        )
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // A process that was killed may hold it for a moment.
        let unmounted = Command::new("umount").arg("-l").arg(self.0.path()).status();
        assert!(unmounted.unwrap().success());
    }
}

/// Fills the disk and calls until records fail.
async fn until_full(bridge: &Bridge, disk: &SmallDisk) {
    disk.fill();
    until(async || {
        call(bridge, OUT, "/one/echo", HI).await;
        bridge.get("/health").await.json()["audit"]["failing"] == true
    })
    .await;
}

#[tokio::test]
async fn on_a_full_disk_calls_go_on_and_everybody_is_told() {
    let disk = SmallDisk::mount();
    let bridge = Kept::Sqlite.setup(&disk.audit("continue")).ready().await;
    assert_eq!(call(&bridge, DEV, "/one/echo", HI).await.status, 200);
    until_full(&bridge, &disk).await;
    let answer = call(&bridge, DEV, "/one/echo", HI).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let health = bridge.get("/health").await;
    assert_eq!(
        (health.status, &health.json()["status"]),
        (200, &json!("degraded"))
    );
    assert!(
        health.json()["audit"]["lost"].as_u64().unwrap() > 0,
        "{}",
        health.text
    );
    let log = bridge.log();
    assert!(log.contains("the audit journal cannot be written"), "{log}");
    // The record is whole in the log.
    let id = answer.header("x-request-id");
    let is_record = |line: &str| {
        line.contains("an audit record that is not in the journal") && line.contains(id)
    };
    assert!(log.lines().any(is_record), "{log}");

    disk.make_room();
    until(async || bridge.get("/health").await.json()["audit"]["failing"] == false).await;
    let answer = call(&bridge, DEV, "/one/echo", HI).await;
    let id = answer.header("x-request-id").to_owned();
    until(async || {
        records(&bridge)
            .await
            .iter()
            .any(|it| it["request_id"] == *id)
    })
    .await;
    assert!(bridge.log().contains("the audit journal is written again"));
}

#[tokio::test]
async fn on_a_full_disk_calls_are_refused_where_that_is_said() {
    let disk = SmallDisk::mount();
    let bridge = Kept::Sqlite.setup(&disk.audit("refuse")).ready().await;
    assert_eq!(call(&bridge, DEV, "/one/echo", HI).await.status, 200);
    until_full(&bridge, &disk).await;
    let answer = call(&bridge, DEV, "/one/echo", HI).await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (503, "audit_unavailable")
    );
    assert!(
        !answer.text.contains(disk.0.path().to_str().unwrap()),
        "{}",
        answer.text
    );
    assert_eq!(
        bridge.calls("one.jsonl").len(),
        1,
        "a refused call reached the server"
    );

    disk.make_room();
    until(async || call(&bridge, DEV, "/one/echo", HI).await.status == 200).await;
    until(async || bridge.get("/health").await.json()["audit"]["failing"] == false).await;
}

/// Many calls at once, until `enough` have their answers; those that got one of 200.
async fn storm(bridge: &Bridge, calls: usize, at_once: usize, enough: usize) -> BTreeSet<String> {
    let http = client();
    let url = format!("{}/one/echo", bridge.base);
    let answered = Arc::new(Mutex::new(BTreeSet::new()));
    let count = Arc::new(AtomicUsize::new(0));
    let storm = futures::stream::iter(0..calls).for_each_concurrent(at_once, |_| {
        let (http, answered, count) = (http.clone(), Arc::clone(&answered), Arc::clone(&count));
        let request = http.post(&url).bearer_auth(DEV).body(HI).send();
        async move {
            let Ok(answer) = request.await else {
                return;
            };
            if answer.status() == 200 {
                let id = answer.headers()["x-request-id"]
                    .to_str()
                    .unwrap()
                    .to_owned();
                answered.lock().unwrap().insert(id);
                count.fetch_add(1, Ordering::SeqCst);
            }
        }
    });
    tokio::select! {
        () = storm => {}
        () = until(async || count.load(Ordering::SeqCst) >= enough) => {}
    }
    let answered = answered.lock().unwrap();
    answered.clone()
}

#[tokio::test]
async fn a_clean_end_leaves_nothing_behind_in_sqlite() {
    a_clean_end_leaves_nothing_behind(&Kept::Sqlite).await;
}

#[tokio::test]
async fn a_clean_end_leaves_nothing_behind_in_postgres() {
    a_clean_end_leaves_nothing_behind(&Kept::postgres().await).await;
}

async fn a_clean_end_leaves_nothing_behind(kept: &Kept) {
    let mut bridge = kept.setup("").ready().await;
    let answered = storm(&bridge, 300, 32, usize::MAX).await;
    assert_eq!(answered.len(), 300);
    bridge.signal("TERM");
    assert_eq!(bridge.exit_code().await, 0, "{}", bridge.log());
    let records = records_of_the_command_line(&bridge).await;
    assert_eq!(records.len(), 300);
    assert_unique(&records, "id");
    assert_eq!(outcomes(&records), counted([("ok", 300)]));
    let left = fs::read_dir(bridge.dir.path().join("mcp-bridge-audit")).unwrap();
    let left: Vec<_> = left.map(|it| it.unwrap().file_name()).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test]
async fn every_answer_has_its_record_after_a_kill_in_sqlite() {
    every_answer_has_its_record_after_a_kill(&Kept::Sqlite).await;
}

#[tokio::test]
async fn every_answer_has_its_record_after_a_kill_in_postgres() {
    every_answer_has_its_record_after_a_kill(&Kept::postgres().await).await;
}

async fn every_answer_has_its_record_after_a_kill(kept: &Kept) {
    let mut bridge = kept.setup("").ready().await;
    let enough = rand::random_range(100..1_900);
    let answered = storm(&bridge, 2_000, 32, enough).await;
    bridge.kill().await;
    bridge.start_again().await;
    let is_recorded = async || {
        let records = records(&bridge).await;
        let ok: BTreeSet<_> = records
            .iter()
            .filter(|it| it["outcome"] == "ok" && it["status"] == 200)
            .map(|it| it["request_id"].as_str().unwrap().to_owned())
            .collect();
        answered.is_subset(&ok) && records.iter().all(|it| it["outcome"] != "started")
    };
    until(is_recorded).await;
    let records = records(&bridge).await;
    assert_unique(&records, "id");
    assert_unique(&records, "request_id");
    // What the server saw is on record too, though its caller may never have heard of it.
    assert!(
        records.len() >= bridge.calls("one.jsonl").len(),
        "after {enough}"
    );
    for record in &records {
        let outcome = record["outcome"].as_str().unwrap();
        assert!(
            ["ok", "interrupted", "cancelled"].contains(&outcome),
            "{record}"
        );
    }
}

#[tokio::test]
async fn arguments_are_kept_without_secrets_and_cut() {
    let bridge = Kept::Sqlite.setup("arguments = true").ready().await;
    let body = json!({
        "message": format!("the server has {TOKEN}"),
        "password": "hunter2", "nested": [{ "api_key": "hunter2", "plain": 7 }],
    });
    call(&bridge, DEV, "/one/echo", &body.to_string()).await;
    let long = json!({ "message": "ä".repeat(10_000) });
    call(&bridge, DEV, "/one/echo", &long.to_string()).await;
    let records = until_ended(&bridge, 2).await;
    let kept: Vec<_> = records
        .iter()
        .map(|it| it["arguments"].as_str().unwrap())
        .collect();
    let first: Value = serde_json::from_str(kept[1]).unwrap();
    assert_eq!(
        first,
        json!({ "message": "the server has ***", "password": "***", "nested": [{ "api_key": "***", "plain": 7 }] })
    );
    assert!(
        kept[0].starts_with("{\"message\":\"ää") && kept[0].ends_with('…'),
        "{}",
        kept[0]
    );
    assert!(kept[0].len() <= 4_096 + '…'.len_utf8(), "{}", kept[0].len());
    let everything = format!("{}{records:?}", bridge.log());
    assert!(
        !everything.contains(TOKEN) && !everything.contains("hunter2"),
        "{everything}"
    );
}

/// The records in a text of CSV: by the names in its first line.
fn of_csv(text: &str) -> Vec<BTreeMap<String, String>> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    reader.deserialize().map(Result::unwrap).collect()
}

fn ids(records: &[Value]) -> Vec<String> {
    let ids = records.iter().map(|it| it["id"].as_str().unwrap());
    ids.map(str::to_owned).collect()
}

async fn command(bridge: &Bridge, words: &[&str]) -> String {
    let (code, stdout, stderr) = bridge.command(words).await;
    assert_eq!(code, 0, "{words:?}: {stdout}{stderr}");
    stdout
}

#[tokio::test]
async fn the_admin_api_and_the_command_line_tell_the_same_in_sqlite() {
    both_tell_the_same(&Kept::Sqlite).await;
}

#[tokio::test]
async fn the_admin_api_and_the_command_line_tell_the_same_in_postgres() {
    both_tell_the_same(&Kept::postgres().await).await;
}

async fn both_tell_the_same(kept: &Kept) {
    let bridge = kept.setup("").ready().await;
    assert_eq!(storm(&bridge, 250, 16, usize::MAX).await.len(), 250);
    for _ in 0..7 {
        call(&bridge, OUT, "/one/pid", "{}").await;
    }
    let all = until_ended(&bridge, 257).await;

    // Page by page, in three formats.
    for format in ["json", "csv", "jsonl"] {
        let (mut seen, mut pages, mut cursor) = (Vec::new(), 0, String::new());
        loop {
            let page = admin(
                &bridge,
                &format!("/calls?limit=100&format={format}{cursor}"),
            )
            .await;
            assert_eq!(page.status, 200, "{}", page.text);
            pages += 1;
            let next = match format {
                "json" => {
                    seen.extend(ids(page.json()["calls"].as_array().unwrap()));
                    page.json()["next"].as_str().unwrap_or_default().to_owned()
                }
                "csv" => {
                    seen.extend(of_csv(&page.text).iter().map(|it| it["id"].clone()));
                    page.header("x-next-cursor").to_owned()
                }
                _ => {
                    let lines = page.text.lines();
                    let lines: Vec<_> = lines.map(|it| serde_json::from_str(it).unwrap()).collect();
                    seen.extend(ids(&lines));
                    page.header("x-next-cursor").to_owned()
                }
            };
            if next.is_empty() {
                break;
            }
            cursor = format!("&cursor={next}");
        }
        assert_eq!((pages, &seen), (3, &ids(&all)), "{format}");
    }

    // The command line, all at once.
    assert_eq!(records_of_the_command_line(&bridge).await, all);
    let table = command(&bridge, &["audit", "query", "--format", "csv"]).await;
    let api = admin(&bridge, "/calls?format=csv&limit=5000").await;
    assert_eq!(table, api.text);
    assert_eq!(of_csv(&table)[0]["rule"], "no_grant");

    // Filters.
    let id = all[0]["request_id"].as_str().unwrap().to_owned();
    for (name, flag, value, count) in [
        ("caller", "--caller", "OUT", 7),
        ("caller", "--caller", "nobody", 0),
        ("bridge", "--bridge", "one", 257),
        ("tool", "--tool", "pid", 7),
        ("outcome", "--outcome", "forbidden", 7),
        ("request_id", "--request-id", id.as_str(), 1),
        ("since", "--since", "1h", 257),
        ("until", "--until", "1h", 0),
    ] {
        let found = admin(&bridge, &format!("/calls?limit=5000&{name}={value}")).await;
        assert_eq!(found.json()["count"], count, "{name}={value}");
        let found = command(
            &bridge,
            &["audit", "query", "--format", "jsonl", flag, value],
        )
        .await;
        assert_eq!(found.lines().count(), count, "{flag} {value}");
    }

    // For people: the newest, the newest last.
    let tail = command(&bridge, &["audit", "tail", "-n", "8"]).await;
    let lines: Vec<_> = tail.lines().collect();
    assert_eq!(lines.len(), 9, "{tail}");
    assert!(
        lines[1].contains("one/echo") && lines[1].contains("ok 200"),
        "{tail}"
    );
    assert!(
        lines[8].contains("forbidden 403") && lines[8].ends_with(&id),
        "{tail}"
    );
    let text = command(&bridge, &["audit", "query"]).await;
    assert_eq!(text.lines().count(), 101, "{text}");
}

#[tokio::test]
async fn the_trail_is_followed_as_calls_end() {
    use tokio::io::{AsyncBufReadExt as _, BufReader};
    let bridge = Kept::Sqlite.setup("").ready().await;
    call(&bridge, DEV, "/one/pid", "{}").await;
    until_ended(&bridge, 1).await;
    let words = ["audit", "tail", "--follow", "--outcome", "ok"];
    let mut following = bridge.begin_command(&words);
    let mut lines = BufReader::new(following.stdout.take().unwrap()).lines();
    let mut next = async || {
        let line = tokio::time::timeout(PATIENCE, lines.next_line()).await;
        line.expect("a line in time").unwrap().expect("a line")
    };
    assert!(next().await.starts_with("TIME"));
    assert!(next().await.contains("one/pid"));
    call(&bridge, OUT, "/one/echo", HI).await;
    let answer = call(&bridge, DEV, "/one/slow", r#"{"seconds": 1.2}"#).await;
    let line = next().await;
    let id = answer.header("x-request-id");
    assert!(line.contains("one/slow") && line.ends_with(id), "{line}");
    // Whoever reads it is gone: it ends.
    drop(lines);
    call(&bridge, DEV, "/one/pid", "{}").await;
    let ended = tokio::time::timeout(PATIENCE, following.wait()).await;
    assert!(
        ended
            .expect("it does not go on for nobody")
            .unwrap()
            .success()
    );
}

#[tokio::test]
async fn an_export_that_cannot_be_written_says_so() {
    let bridge = Kept::Sqlite.setup("").ready().await;
    call(&bridge, DEV, "/one/pid", "{}").await;
    until_ended(&bridge, 1).await;
    let words = "audit query --format csv";
    let script = format!(
        "'{}' --config bridges.toml {words} > /dev/full",
        env!("CARGO_BIN_EXE_mcp-bridge")
    );
    let output = Command::new("sh")
        .args(["-c", &script])
        .envs([
            ("TRAIL_OPS", OPS),
            ("TRAIL_DEV", DEV),
            ("TRAIL_OUT", OUT),
            ("TRAIL_TOKEN", TOKEN),
        ])
        .current_dir(bridge.dir.path())
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.starts_with("error: ") && said.contains("No space left"),
        "{said}"
    );
}

#[tokio::test]
async fn changes_are_told_by_both() {
    let bridge = Kept::Sqlite.setup("").ready().await;
    let key = format!("Bearer {OPS}");
    let headers = [
        ("authorization", key.as_str()),
        ("content-type", "application/json"),
    ];
    let grant = json!({ "group": "testers", "bridge": "one" }).to_string();
    let granted = bridge.send(Method::POST, "/admin/api/grants", &headers, &grant);
    assert_eq!(granted.await.status, 200);
    command(&bridge, &["access", "revoke", "testers", "one"]).await;
    until(async || admin(&bridge, "/changes").await.json()["count"].as_u64() >= Some(2)).await;
    let api = admin(&bridge, "/changes").await.json()["changes"].clone();
    let lines = command(&bridge, &["audit", "changes", "--format", "jsonl"]).await;
    let mut lines: Vec<Value> = lines
        .lines()
        .map(|it| serde_json::from_str(it).unwrap())
        .collect();
    let told: Vec<_> = lines
        .iter()
        .map(|it| format!("{} {} {}", it["actor"], it["action"], it["target"]))
        .collect();
    assert_eq!(
        told,
        [
            r#""operator" "revoke" "testers one""#,
            r#""ops" "grant" "testers one""#,
            r#""configuration" "grant" "developers one""#,
        ]
    );
    // What the operator did for all workspaces is the operator's to read.
    lines.retain(|it| it["workspace"] == "default");
    assert_eq!(Value::from(lines), api);
    let text = command(&bridge, &["audit", "changes", "--actor", "ops"]).await;
    assert!(text.contains("grant") && !text.contains("revoke"), "{text}");
}

/// Makes the records of `pid` two hours old.
async fn age(kept: &Kept, folder: &Path) {
    let sql = "UPDATE SCHEMAbridge_call SET called_at = called_at - 7200000000 WHERE tool = 'pid'";
    match kept {
        Kept::Postgres(database) => database.execute(&sql.replace("SCHEMA", "mcp_proxy.")).await,
        Kept::Sqlite => {
            let options = sqlx::sqlite::SqliteConnectOptions::new()
                .filename(folder.join("mcp-bridge.db"))
                .busy_timeout(PATIENCE);
            let mut connection =
                <sqlx::SqliteConnection as sqlx::Connection>::connect_with(&options)
                    .await
                    .unwrap();
            let sql = sqlx::AssertSqlSafe(sql.replace("SCHEMA", ""));
            sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
        }
    }
}

#[tokio::test]
async fn old_records_go_in_sqlite() {
    old_records_go(&Kept::Sqlite).await;
}

#[tokio::test]
async fn old_records_go_in_postgres() {
    old_records_go(&Kept::postgres().await).await;
}

async fn old_records_go(kept: &Kept) {
    let mut bridge = kept.setup("retention = '1h'").ready().await;
    for _ in 0..3 {
        call(&bridge, DEV, "/one/pid", "{}").await;
    }
    call(&bridge, DEV, "/one/echo", HI).await;
    until_ended(&bridge, 4).await;
    // A process looks soon after its start, and every hour.
    bridge.kill().await;
    age(kept, bridge.dir.path()).await;
    bridge.start_again().await;
    until(async || records(&bridge).await.len() == 1).await;
    assert_eq!(records(&bridge).await[0]["tool"], "echo");
    let log = bridge.log();
    assert!(
        log.contains("records beyond the retention were deleted"),
        "{log}"
    );
}
