//! Outages, full disks and ends of the process: what was answered is on record.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
    process::Command,
};

use serde_json::json;

use super::{
    DEV, HI, Kept, OPS, OUT, assert_unique, begin, counted, outcomes, records,
    records_of_the_command_line, storm, until_ended, until_seen,
};
use crate::harness::{Bridge, Postgres, Setup, until};

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
    let dev = bridge.as_bearer(DEV);
    let slow = || dev.call("one/slow", r#"{"seconds": 1}"#);
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
            answers.push(dev.call("one/echo", HI).await);
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
    until(async || bridge.admin_api().get("/calls").await.status == 200).await;
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
        log.matches("cannot write the audit trail to the database")
            .count(),
        1,
        "{log}"
    );
    assert_eq!(
        log.matches("is written to the database again").count(),
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
    let mut bridge = setup.admin_key("TRAIL_OPS", OPS).ready().await;
    until(async || bridge.admin_api().get("/calls").await.status == 200).await;
    database.shut_out().await;
    let mut ids = BTreeSet::new();
    for _ in 0..2 {
        for _ in 0..20 {
            let answer = bridge.as_admin().call("one/echo", HI).await;
            assert_eq!(answer.status, 200, "{}", answer.text);
            ids.insert(answer.header("x-request-id").to_owned());
        }
        bridge.kill().await;
        bridge.start_again().await;
    }
    database.let_in().await;
    until(async || bridge.admin_api().get("/calls").await.status == 200).await;
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
        bridge.as_bearer(OUT).call("one/echo", HI).await;
        bridge.get("/health").await.json()["audit"]["failing"] == true
    })
    .await;
}

#[tokio::test]
async fn on_a_full_disk_calls_go_on_and_everybody_is_told() {
    let disk = SmallDisk::mount();
    let bridge = Kept::Sqlite.setup(&disk.audit("continue")).ready().await;
    let dev = bridge.as_bearer(DEV);
    assert_eq!(dev.call("one/echo", HI).await.status, 200);
    until_full(&bridge, &disk).await;
    let answer = dev.call("one/echo", HI).await;
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
    assert!(log.contains("cannot write the audit journal"), "{log}");
    // The record is whole in the log.
    let id = answer.header("x-request-id");
    let is_record = |line: &str| {
        line.contains("this audit record could not be written to the journal") && line.contains(id)
    };
    assert!(log.lines().any(is_record), "{log}");

    disk.make_room();
    until(async || bridge.get("/health").await.json()["audit"]["failing"] == false).await;
    let answer = dev.call("one/echo", HI).await;
    let id = answer.header("x-request-id").to_owned();
    until(async || {
        records(&bridge)
            .await
            .iter()
            .any(|it| it["request_id"] == *id)
    })
    .await;
    assert!(
        bridge
            .log()
            .contains("the audit journal can be written again")
    );
}

#[tokio::test]
async fn on_a_full_disk_calls_are_refused_where_that_is_said() {
    let disk = SmallDisk::mount();
    let bridge = Kept::Sqlite.setup(&disk.audit("refuse")).ready().await;
    let dev = bridge.as_bearer(DEV);
    assert_eq!(dev.call("one/echo", HI).await.status, 200);
    until_full(&bridge, &disk).await;
    let answer = dev.call("one/echo", HI).await;
    answer.assert_error(503, "audit_unavailable");
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
    until(async || dev.call("one/echo", HI).await.status == 200).await;
    until(async || bridge.get("/health").await.json()["audit"]["failing"] == false).await;
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
async fn calls_that_run_at_a_clean_end_are_on_record() {
    let kept = Kept::Sqlite;
    let setup = kept.setup("[server]\ndrain_timeout = '2s'");
    let mut bridge = setup.ready().await;
    let _hangs = begin(&bridge, "hang").await;
    until_seen(&bridge, 1).await;
    let dev = bridge.as_bearer(DEV);
    let slow = dev.call("one/slow", r#"{"seconds": 1}"#);
    let end = async {
        until_seen(&bridge, 2).await;
        bridge.signal("TERM");
    };
    let (answer, ()) = tokio::join!(slow, end);
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(bridge.exit_code().await, 0, "{}", bridge.log());
    let records = records_of_the_command_line(&bridge).await;
    assert_eq!(records.len(), 2, "{records:#?}");
    assert_eq!(
        (&records[0]["tool"], &records[0]["outcome"]),
        (&json!("slow"), &json!("ok"))
    );
    assert_eq!(records[1]["tool"], "hang");
    assert_ne!(records[1]["outcome"], "started", "{records:#?}");
}
