//! What is told of the records: by the admin API and by the command line; and for how long.

use std::{
    collections::BTreeMap,
    process::{Command, Stdio},
};

use futures::{StreamExt as _, stream};
use serde_json::{Value, json};

use super::{
    DEV, HI, Kept, OPS, OUT, TOKEN, records, records_of_the_command_line, storm, until_ended,
};
use crate::harness::{Bridge, PATIENCE, until};

#[tokio::test]
async fn arguments_are_kept_without_secrets_and_cut() {
    let bridge = Kept::Sqlite.setup("arguments = true").ready().await;
    let dev = bridge.as_bearer(DEV);
    let body = json!({
        "message": format!("the server has {TOKEN}"),
        "password": "hunter2", "nested": [{ "api_key": "hunter2", "plain": 7 }],
    });
    dev.call("one/echo", &body.to_string()).await;
    let long = json!({ "message": "ä".repeat(10_000) });
    dev.call("one/echo", &long.to_string()).await;
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

/// What `mcp-bridge audit …` prints.
async fn audit(bridge: &Bridge, words: &[&str]) -> String {
    bridge.cli(&[&["audit"], words].concat()).await.ok()
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
    let admin = bridge.admin_api();
    assert_eq!(storm(&bridge, 250, 16, usize::MAX).await.len(), 250);
    for _ in 0..7 {
        bridge.as_bearer(OUT).call("one/pid", "{}").await;
    }
    let all = until_ended(&bridge, 257).await;

    // Page by page, in three formats.
    for format in ["json", "csv", "jsonl"] {
        let (mut seen, mut pages, mut cursor) = (Vec::new(), 0, String::new());
        loop {
            let page = admin
                .get(&format!("/calls?limit=100&format={format}{cursor}"))
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
    let table = audit(&bridge, &["query", "--format", "csv"]).await;
    let api = admin.get("/calls?format=csv&limit=5000").await;
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
        let found = admin
            .get(&format!("/calls?limit=5000&{name}={value}"))
            .await;
        assert_eq!(found.json()["count"], count, "{name}={value}");
        let found = audit(&bridge, &["query", "--format", "jsonl", flag, value]).await;
        assert_eq!(found.lines().count(), count, "{flag} {value}");
    }

    // For people: the newest, the newest last.
    let tail = audit(&bridge, &["tail", "-n", "8"]).await;
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
    let text = audit(&bridge, &["query"]).await;
    assert_eq!(text.lines().count(), 101, "{text}");
}

#[tokio::test]
async fn the_trail_is_followed_as_calls_end() {
    use tokio::io::{AsyncBufReadExt as _, BufReader};
    let bridge = Kept::Sqlite.setup("").ready().await;
    let dev = bridge.as_bearer(DEV);
    dev.call("one/pid", "{}").await;
    until_ended(&bridge, 1).await;
    let words = ["audit", "tail", "--follow", "--outcome", "ok"];
    let mut following = bridge.begin_cli(&words, Stdio::null());
    let mut lines = BufReader::new(following.stdout.take().unwrap()).lines();
    let mut next = async || {
        let line = tokio::time::timeout(PATIENCE, lines.next_line()).await;
        line.expect("a line in time").unwrap().expect("a line")
    };
    assert!(next().await.starts_with("TIME"));
    assert!(next().await.contains("one/pid"));
    bridge.as_bearer(OUT).call("one/echo", HI).await;
    let answer = dev.call("one/slow", r#"{"seconds": 1.2}"#).await;
    let line = next().await;
    let id = answer.header("x-request-id");
    assert!(line.contains("one/slow") && line.ends_with(id), "{line}");
    // Whoever reads it is gone: it ends.
    drop(lines);
    dev.call("one/pid", "{}").await;
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
    bridge.as_bearer(DEV).call("one/pid", "{}").await;
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
    let admin = bridge.admin_api();
    let grant = json!({ "group": "testers", "bridge": "one" });
    admin.post("/grants", grant).await.ok();
    bridge
        .cli(&["access", "revoke", "testers", "one"])
        .await
        .ok();
    until(async || admin.get("/changes").await.json()["count"].as_u64() >= Some(2)).await;
    let api = admin.get("/changes").await.json()["changes"].clone();
    let lines = audit(&bridge, &["changes", "--format", "jsonl"]).await;
    let lines: Vec<Value> = lines
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
    // What the operator did for all workspaces is shown in each.
    assert_eq!(Value::from(lines), api);
    let text = audit(&bridge, &["changes", "--actor", "ops"]).await;
    assert!(text.contains("grant") && !text.contains("revoke"), "{text}");
}

/// Makes the records of `pid` two hours old.
async fn age(kept: &Kept, bridge: &Bridge) {
    let sql = "UPDATE SCHEMAbridge_call SET called_at = called_at - 7200000000 WHERE tool = 'pid'";
    match kept {
        Kept::Postgres(database) => database.execute(&sql.replace("SCHEMA", "mcp_proxy.")).await,
        Kept::Sqlite => {
            bridge.sql(&sql.replace("SCHEMA", "")).await;
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
        bridge.as_bearer(DEV).call("one/pid", "{}").await;
    }
    bridge.as_bearer(DEV).call("one/echo", HI).await;
    until_ended(&bridge, 4).await;
    // A process looks soon after its start, and every hour.
    bridge.kill().await;
    age(kept, &bridge).await;
    bridge.start_again().await;
    until(async || records(&bridge).await.len() == 1).await;
    assert_eq!(records(&bridge).await[0]["tool"], "echo");
    let log = bridge.log();
    assert!(
        log.contains("deleted audit records that were past the retention period"),
        "{log}"
    );
}

#[tokio::test]
async fn a_page_of_large_records_is_bounded_in_bytes_and_loses_none() {
    let bridge = Kept::Sqlite.setup("arguments = true").ready().await;
    let long = json!({ "message": "\"".repeat(5_000) }).to_string();
    let calls = 1_300;
    let dev = bridge.as_bearer(DEV);
    let made = stream::iter(0..calls).map(|_| dev.call("one/echo", &long));
    made.buffer_unordered(16).for_each(async |_| {}).await;
    until(async || every_page(&bridge).await.0.len() == calls).await;
    let (mut seen, pages) = every_page(&bridge).await;
    assert!(pages > 1, "one page has everything");
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), calls);
}

/// The ids of all records, and on how many pages they came.
async fn every_page(bridge: &Bridge) -> (Vec<String>, usize) {
    let (mut seen, mut pages, mut cursor) = (Vec::new(), 0, String::new());
    loop {
        let page = bridge
            .admin_api()
            .get(&format!("/calls?limit=5000{cursor}"))
            .await;
        // A quote in the arguments takes four bytes in JSON within JSON.
        assert!(page.text.len() < 20 << 20, "{}", page.text.len());
        let page = page.json();
        pages += 1;
        seen.extend(ids(page["calls"].as_array().unwrap()));
        let Some(next) = page["next"].as_str() else {
            return (seen, pages);
        };
        cursor = format!("&cursor={next}");
    }
}
