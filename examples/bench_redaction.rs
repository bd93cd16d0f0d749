//! Times how long secrets are looked for in a text: `cargo run --release --example bench_redaction`.
//!
//! Prints one line for each number of secrets and each size of an answer: how long a text without secrets
//! takes, one with three of them, and how long learning one more takes. For comparison: what reading
//! and writing the answer costs every call anyway.

#![expect(clippy::print_stdout, reason = "this is what it is for")]

#[expect(dead_code, unused_imports, reason = "the program uses more of it")]
#[path = "../src/secret/mod.rs"]
mod secret;

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use secret::{Redactor, Secret};
use serde_json::{Value, json};

/// How long one figure is measured.
const PATIENCE: Duration = Duration::from_millis(300);

fn main() {
    for count in [0, 20, 200, 2_000, 20_000] {
        let redactor = Redactor::default();
        let began = Instant::now();
        redactor.learn_all((0..count).map(token));
        let built = began.elapsed();
        let began = Instant::now();
        for number in 0..10 {
            redactor.learn(token(1_000_000 + number));
        }
        let learned = began.elapsed() / 10;
        println!("{count} secrets: built in {built:?}, one more in {learned:?}");
        for size in [1 << 10, 64 << 10, 1 << 20] {
            let clean = answer(size);
            let mut dirty = clean.clone();
            for number in [3, 7, 11] {
                let at = dirty.floor_char_boundary(dirty.len() / 13 * number);
                dirty.insert_str(at, token(number).expose());
            }
            println!(
                "  {size:>8} bytes: {:>12?} clean, {:>12?} with three; as JSON {:>12?}",
                time(|| redactor.finds(black_box(clean.as_bytes()))),
                time(|| redactor.redact(black_box(&dirty)).len()),
                time(|| serde_json::from_str::<Value>(black_box(&clean)).map(|it| it.to_string())),
            );
        }
    }
}

/// A token as vendors make them, in base64, always the same for a number.
fn token(number: usize) -> Secret {
    let mut state = number as u64 ^ 0x9e37_79b9_7f4a_7c15;
    let letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let text = (0..40).filter_map(|_| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        letters
            .get((state >> 58) as usize)
            .map(|it| char::from(*it))
    });
    Secret::new(text.collect::<String>())
}

/// An answer of about this size: issues of a tracker, as JSON.
fn answer(size: usize) -> String {
    let mut issues = Vec::new();
    let mut length = 0;
    while length < size {
        let number = issues.len();
        let issue = json!({
            "key": format!("OPS-{number}"),
            "self": format!("https://tracker.example.org/rest/api/3/issue/{}", 10_000 + number * 7),
            "fields": {
                "summary": "The import of the nightly export fails when the file is empty",
                "assignee": { "accountId": format!("5b10a2844c20165700ede2{number:02x}"), "active": true },
                "updated": "2026-03-14T09:26:53.589+0000", "votes": number % 9,
                "description": "Steps to reproduce:\n1. Leave the export empty\n2. Wait for the night\n\nExpected: nothing happens",
            },
        });
        length += issue.to_string().len() + 1;
        issues.push(issue);
    }
    json!(issues).to_string()
}

/// How long one run takes, over many.
fn time<T>(run: impl Fn() -> T) -> Duration {
    let began = Instant::now();
    let mut runs = 0;
    while began.elapsed() < PATIENCE {
        black_box(run());
        runs += 1;
    }
    began.elapsed() / runs
}
