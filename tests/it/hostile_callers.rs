//! Callers who take as much as they can: what they hold is bounded, and others are served meanwhile.

use std::{
    os::unix::fs::PermissionsExt as _,
    path::Path,
    time::{Duration, Instant},
};

use futures::{StreamExt as _, future::join_all};
use reqwest::Method;
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
    time::{sleep, timeout},
};

use crate::{
    calls_load::memory,
    harness::{Answer, Bridge, Setup, until},
};

const OPS: &str = "the key of an administrator";
const ALICE: &str = "the key of alice, who takes all";
const BOB: &str = "the key of bob, who wants a little";
/// Short enough to be guessed.
const WEAK: &str = "letmein";

const HI: &str = r#"{"message": "hi"}"#;

/// A bridge with four keys and one server.
fn setup(more: &str, bridge: &str) -> Setup {
    Setup::toml(&format!(
        "{more}
[identity.keys.ops]
key = '${{HOSTILE_OPS}}'
groups = ['MCP-Admin']
[identity.keys.alice]
key = '${{HOSTILE_ALICE}}'
groups = ['users']
[identity.keys.bob]
key = '${{HOSTILE_BOB}}'
groups = ['users']
[identity.keys.weak]
key = '${{HOSTILE_WEAK}}'
groups = ['users']
[access.groups]
users = ['one']
[bridges.one]
{bridge}
{{bad good --record {{dir}}/record}}
"
    ))
    .env("HOSTILE_OPS", OPS)
    .env("HOSTILE_ALICE", ALICE)
    .env("HOSTILE_BOB", BOB)
    .env("HOSTILE_WEAK", WEAK)
}

async fn call(bridge: &Bridge, key: &str, tool: &str, body: &str) -> Answer {
    let caller = bridge.as_bearer(key);
    caller.call(&format!("one/{tool}"), body).await
}

/// Begins a call and sends a part of its body.
async fn slow_body(bridge: &Bridge, key: &str) -> TcpStream {
    let mut stream = bridge.connect().await;
    let head = format!(
        "POST /one/echo HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {key}\r\ncontent-length: 100\r\n\r\n{{"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
}

/// The first line of what a stream answers.
async fn status_of(stream: &mut TcpStream) -> String {
    let mut answer = vec![0; 16 << 10];
    let read = timeout(Duration::from_secs(3), stream.read(&mut answer)).await;
    let read = read.expect("an answer").unwrap();
    String::from_utf8_lossy(&answer[..read]).into_owned()
}

/// Fails unless probes and a call of somebody who holds nothing are answered soon.
async fn others_are_served(bridge: &Bridge, what: &str) {
    for path in ["/health", "/ready"] {
        let began = Instant::now();
        assert_eq!(bridge.get(path).await.status, 200, "{path} during {what}");
        assert!(
            began.elapsed() < Duration::from_secs(1),
            "{path} during {what}"
        );
    }
    let began = Instant::now();
    let answer = call(bridge, BOB, "echo", HI).await;
    assert_eq!(answer.text, r#""hi""#, "during {what}");
    let took = began.elapsed();
    assert!(took < Duration::from_secs(1), "{took:?} during {what}");
}

#[tokio::test]
async fn slow_bodies_of_one_caller_leave_places_for_others_and_for_administrators() {
    let bridge = setup("[limits]\nrequests_max = 16", "").ready().await;
    let bodies = join_all((0..40).map(|_| slow_body(&bridge, ALICE))).await;
    sleep(Duration::from_millis(300)).await;
    others_are_served(&bridge, "slow bodies").await;
    let answer = call(&bridge, ALICE, "echo", HI).await;
    answer.assert_error(503, "busy");
    assert_eq!(answer.header("retry-after"), "1");
    assert!(answer.text.contains("one caller"), "{}", answer.text);
    drop(bodies);
    until(async || call(&bridge, ALICE, "echo", HI).await.status == 200).await;
}

#[tokio::test]
async fn administrators_get_in_when_all_places_are_taken() {
    // So few places are for all who come.
    let bridge = setup("[limits]\nrequests_max = 3", "").ready().await;
    let _bodies = join_all((0..3).map(|_| slow_body(&bridge, ALICE))).await;
    sleep(Duration::from_millis(500)).await;
    let answer = call(&bridge, BOB, "echo", HI).await;
    answer.assert_error(503, "busy");
    let table = [
        (Method::GET, "/admin/api/me"),
        (Method::GET, "/servers"),
        (Method::POST, "/refresh"),
        (Method::GET, "/metrics"),
    ];
    for (method, path) in table {
        let answer = bridge.as_bearer(OPS).send(method, path, "").await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
    }
    assert_eq!(call(&bridge, OPS, "echo", HI).await.text, r#""hi""#);
    assert_eq!(bridge.get("/health").await.status, 200);
}

#[tokio::test]
async fn slow_calls_of_one_caller_leave_slots_and_queue_to_others() {
    let bridge = setup("", "concurrency = 8\nqueue = 8\ntimeout = '20s'")
        .ready()
        .await;
    let hang = (0..60).map(|_| call(&bridge, ALICE, "hang", "{}"));
    let mut hang: futures::stream::FuturesUnordered<_> = hang.collect();
    // Six have a slot and six wait.
    for _ in 0..48 {
        let answer = hang.next().await.unwrap();
        answer.assert_error(503, "busy");
        assert!(answer.text.contains("one caller"), "{}", answer.text);
    }
    others_are_served(&bridge, "slow calls").await;
    let two = join_all([
        call(&bridge, BOB, "echo", HI),
        call(&bridge, OPS, "echo", HI),
    ])
    .await;
    assert!(two.iter().all(|answer| answer.status == 200), "{two:?}");
}

#[tokio::test]
async fn of_one_slot_the_next_turn_is_for_the_caller_who_has_none() {
    let bridge = setup("", "concurrency = 1\nqueue = 64\ntimeout = '30s'")
        .ready()
        .await;
    let slow = r#"{"seconds": 0.3}"#;
    let many = join_all((0..20).map(|_| call(&bridge, ALICE, "slow", slow)));
    let one = async {
        sleep(Duration::from_millis(600)).await;
        let began = Instant::now();
        (call(&bridge, BOB, "echo", HI).await, began.elapsed())
    };
    let (many, (one, took)) = tokio::join!(many, one);
    assert_eq!(one.text, r#""hi""#);
    assert!(took < Duration::from_secs(2), "{took:?} behind the others");
    assert!(many.iter().all(|answer| answer.status == 200));
}

#[tokio::test]
async fn unread_answers_of_one_caller_hold_a_bounded_amount() {
    // All answers that are not read may hold 64 MiB then, and those of one caller 24.
    let bridge = setup("[limits]\nresult_bytes_max = '4 MiB'", "")
        .ready()
        .await;
    let big = r#"{"bytes": 4000000}"#;
    let warm = call(&bridge, BOB, "big", big).await;
    assert_eq!(warm.status, 200);
    drop(warm);
    let before = memory(&bridge);
    let mut streams = Vec::new();
    for _ in 0..12 {
        // The kernel takes less of it then.
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        let address = address(&bridge).parse().unwrap();
        let mut stream = socket.connect(address).await.unwrap();
        let request = format!(
            "POST /one/big HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {ALICE}\r\ncontent-length: {}\r\n\r\n{big}",
            big.len()
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        streams.push(stream);
        sleep(Duration::from_millis(200)).await;
    }
    // A debug build takes its time to make them all.
    until(async || {
        let began = Instant::now();
        bridge.get("/health").await.status == 200 && began.elapsed() < Duration::from_millis(100)
    })
    .await;
    sleep(Duration::from_secs(6)).await;
    let grown = memory(&bridge).saturating_sub(before) >> 10;
    assert!(
        // A debug build holds more beside them.
        grown < if cfg!(debug_assertions) { 96 } else { 64 },
        "{grown} MiB for 12 answers of 4 MB that nobody reads"
    );
    others_are_served(&bridge, "unread answers").await;
    let other = call(&bridge, BOB, "big", big).await;
    assert_eq!((other.status, other.text.len()), (200, 4_000_002));
    let mut refused = 0;
    for stream in streams.iter_mut().rev() {
        refused += usize::from(status_of(stream).await.starts_with("HTTP/1.1 503"));
    }
    assert!(refused >= 4, "{refused} of 12 were refused");
    // Those who read are served as before.
    drop(streams);
    until(async || call(&bridge, ALICE, "big", big).await.status == 200).await;
}

/// The program under a bound on open files.
fn with_files(setup: Setup, files: usize) -> Setup {
    let script = setup.path().join("start");
    let text = format!(
        "#!/bin/sh\nulimit -n {files}\nexec {} \"$@\"\n",
        env!("CARGO_BIN_EXE_mcp-bridge")
    );
    std::fs::write(&script, text).unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    setup.program(&script)
}

#[tokio::test]
async fn idle_connections_do_not_keep_callers_out() {
    let bridge = with_files(setup("", ""), 256).ready().await;
    let mut idle = Vec::new();
    for kind in 0..330 {
        let Ok(Ok(mut stream)) =
            timeout(Duration::from_secs(2), TcpStream::connect(address(&bridge))).await
        else {
            break;
        };
        let begin = match kind % 4 {
            0 => "",
            1 => "POST /one/echo HTTP/1.1\r\nhost: a\r\n",
            2 => "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            _ => "GET /health HTTP/1.1\r\nhost: a\r\n\r\n",
        };
        // It may have been closed for another one already.
        stream.write_all(begin.as_bytes()).await.ok();
        idle.push(stream);
    }
    assert_eq!(idle.len(), 330);
    for _ in 0..10 {
        let began = Instant::now();
        let mut stream = TcpStream::connect(address(&bridge)).await.unwrap();
        let request = format!(
            "POST /one/echo HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {BOB}\r\ncontent-length: {}\r\n\r\n{HI}",
            HI.len()
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let answer = status_of(&mut stream).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        let took = began.elapsed();
        assert!(took < Duration::from_secs(1), "{took:?}");
    }
    assert!(
        !bridge.log().contains("Too many open files"),
        "{}",
        bridge.log()
    );
}

fn address(bridge: &Bridge) -> String {
    bridge.base.trim_start_matches("http://").to_owned()
}

#[tokio::test]
async fn a_client_that_pipelines_and_reads_nothing_is_not_read_either() {
    let bridge = setup("", "").ready().await;
    let before = memory(&bridge);
    let mut stream = bridge.connect().await;
    let request = "GET /openapi.json HTTP/1.1\r\nhost: localhost\r\n\r\n".repeat(1000);
    let sending = async {
        for _ in 0..2_000 {
            if stream.write_all(request.as_bytes()).await.is_err() {
                return;
            }
        }
    };
    timeout(Duration::from_secs(4), sending).await.ok();
    let grown = memory(&bridge).saturating_sub(before) >> 10;
    assert!(grown < 64, "{grown} MiB for answers that nobody reads");
    others_are_served(&bridge, "pipelining").await;
}

#[tokio::test]
async fn guesses_are_paced_and_right_keys_are_not() {
    let bridge = setup("", "").ready().await;
    // One that was used before passes, short as it is.
    assert_eq!(call(&bridge, WEAK, "echo", HI).await.status, 200);
    let began = Instant::now();
    let guessing = (0..16).map(|guesser| {
        let bridge = &bridge;
        async move {
            let mut statuses = Vec::new();
            let mut number = 0;
            while began.elapsed() < Duration::from_secs(4) {
                number += 1;
                let key = format!("guess {guesser} {number}");
                let answer = call(bridge, &key, "echo", HI).await;
                let is_paced = answer.code() == "too_many_failures"
                    && !answer.header("retry-after").is_empty();
                assert_eq!(answer.status == 429, is_paced);
                statuses.push(answer.status);
            }
            statuses
        }
    });
    let honest = async {
        sleep(Duration::from_secs(1)).await;
        let mut slowest = Duration::ZERO;
        // BOB's key is used for the first time here.
        for key in [BOB, WEAK, OPS, BOB, WEAK] {
            let began = Instant::now();
            assert_eq!(call(&bridge, key, "echo", HI).await.status, 200);
            slowest = slowest.max(began.elapsed());
        }
        slowest
    };
    let (guessed, slowest) = tokio::join!(join_all(guessing), honest);
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
    let looked_at = guessed
        .iter()
        .flatten()
        .filter(|status| **status == 401)
        .count();
    // Thirty are free, sixteen more may have begun before those were counted, then five a second.
    assert!(looked_at <= 30 + 16 + 5 * 5, "{looked_at} guesses in 4 s");
    // A stale credential that is sent again and again is answered at once.
    let began = Instant::now();
    for _ in 0..20 {
        let answer = call(&bridge, "guess 0 1", "echo", HI).await;
        assert_eq!(answer.status, 401);
    }
    assert!(began.elapsed() < Duration::from_secs(2));
}

/// The bytes of everything that is kept.
fn kept(folder: &Path) -> u64 {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let Ok(metadata) = entry.metadata() else {
            continue;
        };
        bytes += if metadata.is_dir() {
            kept(&entry.path())
        } else {
            metadata.len()
        };
    }
    bytes
}

#[tokio::test]
async fn refusals_without_identity_are_counted_and_do_not_fill_the_disk() {
    let mut bridge = setup("", "").ready().await;
    assert_eq!(call(&bridge, BOB, "echo", HI).await.status, 200);
    sleep(Duration::from_secs(3)).await;
    let before = kept(bridge.dir.path());
    let refused = 3_000;
    let flood = (0..8).map(|_| async {
        for number in 0..refused / 8 {
            let headers: &[(&str, &str)] = match number % 3 {
                0 => &[],
                1 => &[("authorization", "Bearer wrong")],
                _ => &[("authorization", "Basic d3Jvbmc6d3Jvbmc=")],
            };
            let answer = bridge.send(Method::POST, "/one/echo", headers, HI).await;
            assert_eq!(answer.status, 401, "{}", answer.text);
        }
    });
    join_all(flood).await;
    sleep(Duration::from_secs(2)).await;
    let grown = kept(bridge.dir.path()).saturating_sub(before);
    // 3,000 records alone would be 1.5 MB. The database grows by whole pages.
    assert!(grown < 200_000, "{grown} bytes for {refused} refusals");
    // An identified caller who is refused leaves each of a bounded number of records, and a count.
    for _ in 0..80 {
        assert_eq!(call(&bridge, ALICE, "nothing", HI).await.status, 404);
    }
    bridge.signal("TERM");
    assert_eq!(bridge.exit_code().await, 0);
    let words = ["audit", "query", "--limit", "500"];
    let text = bridge.cli(&words).await.ok();
    assert!(text.contains(&format!("x{}", refused - 1)), "{text}");
    assert!(text.contains("(127.0.0.1)"), "{text}");
    let words = ["audit", "query", "--limit", "500", "--format", "jsonl"];
    let lines = bridge.cli(&words).await.ok();
    let records: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let of = |caller: Value| {
        let all = records.iter().filter(|it| it["caller"] == caller);
        let counts: Vec<i64> = all.map(|it| it["count"].as_i64().unwrap()).collect();
        (counts.len(), counts.iter().sum::<i64>())
    };
    assert_eq!(of(Value::Null), (2, refused));
    assert_eq!(of("alice".into()), (61, 80));
}
