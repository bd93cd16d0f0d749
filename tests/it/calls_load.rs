//! Calls that take too long, callers that leave, and too many of both.

use std::time::{Duration, Instant};

use futures::{StreamExt as _, stream::FuturesUnordered};
use serde_json::Value;
use tokio::{
    io::AsyncWriteExt as _,
    time::{sleep, timeout},
};

use crate::harness::{Bridge, PATIENCE, Setup};

/// Waits until the record has so many lines of an event.
async fn until_recorded(bridge: &Bridge, event: &str, count: usize) {
    let is_there = async {
        while bridge
            .read("record")
            .matches(&format!("\"{event}\""))
            .count()
            < count
        {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, is_there)
        .await
        .unwrap_or_else(|_| panic!("no {count} {event} in {}", bridge.read("record")));
}

/// Kilobytes of memory of a process.
pub fn memory(bridge: &Bridge) -> u64 {
    let id = bridge.child.id().unwrap();
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    line.unwrap()
        .split_whitespace()
        .nth(1)
        .unwrap()
        .parse()
        .unwrap()
}

#[tokio::test]
async fn a_caller_that_hangs_up_cancels_the_call() {
    let toml = "[bridges.bad]\nconcurrency = 1\n{bad good --record {dir}/record}\n";
    let bridge = Setup::toml(toml).ready().await;
    for round in 1..=3 {
        let mut stream = bridge.connect().await;
        let request = "POST /bad/hang HTTP/1.1\r\nhost: localhost\r\ncontent-length: 2\r\n\r\n{}";
        stream.write_all(request.as_bytes()).await.unwrap();
        until_recorded(&bridge, "call", round * 2 - 1).await;
        let began = Instant::now();
        drop(stream);
        until_recorded(&bridge, "cancelled", round).await;
        assert!(
            began.elapsed() < Duration::from_secs(2),
            "{:?}",
            began.elapsed()
        );
        let answer = bridge.post("/bad/echo", r#"{"message": "hi"}"#).await;
        assert_eq!(answer.text, r#""hi""#, "the slot is free again");
    }
    let record = bridge.read("record");
    let entries: Vec<Value> = record
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let ids = |event: &str| -> Vec<&Value> {
        let hits = entries.iter().filter(|it| it["event"] == event);
        hits.filter(|it| event == "cancelled" || it["tool"] == "hang")
            .map(|it| &it["id"])
            .collect()
    };
    assert_eq!(ids("call"), ids("cancelled"));
}

#[tokio::test]
async fn a_deadline_is_504_and_cancels_the_call() {
    let toml = "[bridges.bad]\ntimeout = '400ms'\n{bad good --record {dir}/record}\n";
    let bridge = Setup::toml(toml).ready().await;
    let began = Instant::now();
    let answer = bridge.post("/bad/hang", "{}").await;
    let took = began.elapsed();
    answer.assert_error(504, "timeout");
    assert_eq!(answer.json()["detail"], "no answer within 400ms");
    assert!(
        took >= Duration::from_millis(400) && took < Duration::from_secs(2),
        "{took:?}"
    );
    until_recorded(&bridge, "cancelled", 1).await;
    assert_eq!(
        bridge.post("/bad/echo", r#"{"message": "hi"}"#).await.text,
        r#""hi""#
    );
}

#[tokio::test]
async fn a_thousand_callers_of_a_stuck_server_harm_nobody() {
    let toml = "
[bridges.good]
{bad good}
[bridges.bad]
concurrency = 4
queue = 8
timeout = '4s'
{bad good --record {dir}/record}
";
    let bridge = Setup::toml(toml).ready().await;
    let before = memory(&bridge);
    let began = Instant::now();
    let mut calls: FuturesUnordered<_> =
        (0..1_000).map(|_| bridge.post("/bad/hang", "{}")).collect();
    let mut busy = 0;
    // Four run. Of the eight that may wait, one caller has six.
    while busy < 990 {
        let answer = calls.next().await.unwrap();
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (503, "busy"),
            "after {busy} in {:?}: {}",
            began.elapsed(),
            answer.text
        );
        assert!(answer.header("retry-after").parse::<u64>().unwrap() >= 1);
        busy += 1;
    }
    let took = began.elapsed();
    assert!(took < Duration::from_millis(3_500), "{took:?}");
    let mut good = Vec::new();
    for _ in 0..9 {
        let began = Instant::now();
        let answer = bridge.post("/good/echo", r#"{"message": "hi"}"#).await;
        assert_eq!(answer.status, 200);
        good.push(began.elapsed());
    }
    good.sort();
    assert!(good[4] < Duration::from_millis(100), "{good:?}");
    let grown = memory(&bridge).saturating_sub(before);
    assert!(grown < 80_000, "{grown} kB more");
    // Four were made and got no answer, six never got a turn.
    let mut last: Vec<u16> = Vec::new();
    while let Some(answer) = calls.next().await {
        last.push(answer.status);
    }
    assert_eq!(last.len(), 10);
    assert!(
        last.iter().all(|status| [503, 504].contains(status)),
        "{last:?}"
    );
    assert!(
        last.iter().filter(|status| **status == 504).count() >= 4,
        "{last:?}"
    );
    let answers = (0..4).map(|_| bridge.post("/bad/echo", r#"{"message": "hi"}"#));
    for answer in futures::future::join_all(answers).await {
        assert_eq!(answer.text, r#""hi""#, "everything is free again");
    }
    let starts = bridge.read("record").matches("\"start\"").count();
    assert_eq!(starts, 1, "one server, as before");
}

#[tokio::test]
async fn requests_past_the_limit_are_refused_at_once() {
    let toml = "[limits]\nrequests_max = 3\n[bridges.bad]\ntimeout = '1s'\n{bad good --record {dir}/record}\n";
    let bridge = Setup::toml(toml).ready().await;
    let stuck = (0..3).map(|_| bridge.post("/bad/hang", "{}"));
    let stuck = futures::future::join_all(stuck);
    let probe = async {
        until_recorded(&bridge, "call", 3).await;
        let began = Instant::now();
        let answer = bridge.get("/servers").await;
        (answer, began.elapsed(), bridge.get("/health").await.status)
    };
    let (stuck, (answer, took, health)) = tokio::join!(stuck, probe);
    answer.assert_error(503, "busy");
    assert_eq!(answer.header("retry-after"), "1");
    assert!(took < Duration::from_millis(500), "{took:?}");
    assert_eq!(health, 200, "a probe must not have a busy bridge restarted");
    assert!(stuck.iter().all(|it| it.status == 504));
    assert_eq!(bridge.get("/servers").await.status, 200);
}
