//! Hostile servers and hostile callers, one at a time, beside a server and a caller that do nothing wrong: what does
//! each attack cost the bridge, and what do the others notice of it? Prints a table of attack, bound, and what was seen.
//!
//!     cargo nextest run --test hostile --no-capture
//!     HOSTILE_PROGRAM=target/release/mcp-bridge cargo nextest run --test hostile --no-capture
//!
//! `HOSTILE_PROGRAM` names the program to attack and makes the bounds strict (a release build); without it the debug
//! build is attacked and the bounds for time are wider, see [`bounds::Bounds`]. `HOSTILE_ROWS=TEXT` picks the rows
//! whose kind or name has the text. `HOSTILE_SECONDS` is how long each attack lasts, 0.75 unless given. `HOSTILE_ONCE=1` tries
//! no row twice.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::string_slice,
    clippy::disallowed_methods,
    reason = "tests may be blunt, and the table is what this one is for"
)]

#[expect(
    dead_code,
    unused_imports,
    reason = "the harness of the other tests, of which this one needs a part"
)]
#[path = "it/harness/mod.rs"]
mod harness;

#[path = "hostile/attack.rs"]
mod attack;
#[path = "hostile/bounds.rs"]
mod bounds;
#[path = "hostile/callers.rs"]
mod callers;
#[path = "hostile/http2.rs"]
mod http2;
#[path = "hostile/probe.rs"]
mod probe;
#[path = "hostile/rows.rs"]
mod rows;
#[path = "hostile/stage.rs"]
mod stage;
#[path = "hostile/verdict.rs"]
mod verdict;

use std::time::Instant;

use bounds::Bounds;
use rows::Row;
use stage::Stage;
use verdict::Verdict;

/// All rows, one after the other, since each wants the machine to itself. A row that fails is tried once more at a bridge
/// of its own, so that a busy machine is told apart from a hole; both lines are printed.
#[tokio::test(flavor = "current_thread")]
async fn no_peer_harms_another() {
    let bounds = Bounds::read();
    let filter = std::env::var("HOSTILE_ROWS").unwrap_or_default();
    let rows = rows::all();
    let chosen = |row: &&Row| format!("{} {}", row.kind, row.name).contains(&filter);
    let chosen: Vec<&Row> = rows.iter().filter(chosen).collect();
    assert!(!chosen.is_empty(), "no row has `{filter}` in it");
    println!("{bounds}\n{}", Verdict::HEAD);
    let began = Instant::now();
    let mut faults = Vec::new();
    for group in rows::groups(&chosen) {
        faults.extend(run(&group, &bounds).await);
    }
    let (rows, count) = (chosen.len(), faults.len());
    println!("{rows} attacks, {count} faults, {:.0?}", began.elapsed());
    assert!(
        faults.is_empty(),
        "{count} faults:\n- {}",
        faults.join("\n- ")
    );
}

/// Runs rows that share a bridge, up to the first that fails; those after it get another bridge.
async fn run(mut rows: &[&Row], bounds: &Bounds) -> Vec<String> {
    let mut faults = Vec::new();
    while !rows.is_empty() {
        let mut stage = Stage::start(rows, bounds).await;
        let mut done = 0;
        for (number, row) in rows.iter().enumerate() {
            done += 1;
            let bridge = stage::name(row, number);
            let mut verdict = attack::run(&mut stage, row, &bridge, bounds).await;
            // What is wrong at the end is that of the last row, the others have passed.
            if !row.is_stopped && (done == rows.len() || !verdict.faults.is_empty()) {
                verdict.faults.extend(stage.end().await.1);
            }
            println!("{}", verdict.line(row));
            if !verdict.faults.is_empty() {
                if !bounds.is_once {
                    verdict = again(row, bounds).await;
                }
                let named = |fault: &String| format!("{}: {}: {fault}", row.kind, row.name);
                faults.extend(verdict.faults.iter().map(named));
                break;
            }
        }
        rows = &rows[done..];
    }
    faults
}

/// Runs a row once more, alone.
async fn again(row: &Row, bounds: &Bounds) -> Verdict {
    let mut stage = Stage::start(&[row], bounds).await;
    let bridge = stage::name(row, 0);
    let mut verdict = attack::run(&mut stage, row, &bridge, bounds).await;
    if !row.is_stopped {
        verdict.faults.extend(stage.end().await.1);
    }
    println!("{} (second try)", verdict.line(row));
    verdict
}
