//! The audit trail: every call leaves one record, as it was, whatever happens to the process, the
//! database and the disk.

mod telling;
mod trouble;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use futures::StreamExt as _;
use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt as _, net::TcpStream};

use crate::harness::{Bridge, Postgres, Setup, client, until};

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
        .admin_key("TRAIL_OPS", OPS)
        .env("TRAIL_DEV", DEV)
        .env("TRAIL_OUT", OUT)
        .env("TRAIL_TOKEN", TOKEN)
    }
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

/// All records, by the admin API.
async fn records(bridge: &Bridge) -> Vec<Value> {
    let answer = bridge.admin_api().get("/calls?limit=5000").await;
    answer.ok()["calls"].as_array().unwrap().clone()
}

/// All records, by the command line: also while no bridge runs.
async fn records_of_the_command_line(bridge: &Bridge) -> Vec<Value> {
    let words = ["audit", "query", "--format", "jsonl"];
    let stdout = bridge.cli(&words).await.ok();
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
            422,
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
        let answer = bridge.as_bearer(case.0).post(case.1, &case.2).await;
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
                "count": 1,
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
        assert_eq!(bridge.as_bearer(DEV).call("one/echo", HI).await.status, 200);
    }
    let _open = [begin(&bridge, "hang").await, begin(&bridge, "hang").await];
    until_seen(&bridge, 7).await;
    assert_eq!(bridge.as_bearer(OUT).call("one/echo", HI).await.status, 403);
    bridge.kill().await;
    bridge.start_again().await;
    assert_eq!(bridge.as_bearer(DEV).call("one/echo", HI).await.status, 200);
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
