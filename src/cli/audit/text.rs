//! Renders records as readable lines.

use crate::{
    audit::readable,
    store::{CallRecord, ChangeRecord},
};

/// The header line of calls.
pub const CALLS: &str = "TIME (UTC)           CALLER                    BRIDGE/TOOL                       OUTCOME           TIME TAKEN  RULE                  REQUEST";

/// The header line of changes.
pub const CHANGES: &str =
    "TIME (UTC)           ACTOR                     PROOF         ACTION              TARGET";

/// Renders one call.
pub fn call(record: &CallRecord) -> String {
    let tool = format!("{}/{}", record.bridge, record.tool);
    let mut outcome = match record.status {
        0 => record.outcome.clone(),
        status => format!("{} {status}", record.outcome),
    };
    if record.repeats > 0 {
        outcome = format!("{outcome} x{}", record.repeats.saturating_add(1));
    }
    let caller = match (&record.caller, &record.peer) {
        (Some(caller), _) => caller.clone(),
        // A caller without an identity is shown by its address.
        (None, Some(peer)) => format!("({peer})"),
        (None, None) => "-".to_owned(),
    };
    let taken = if record.outcome == "started" {
        String::new()
    } else {
        duration(record.duration_us)
    };
    let line = format!(
        "{}  {:<24}  {:<32}  {:<16}  {:>10}  {:<20}  {}",
        time(record.time),
        clean(&caller),
        clean(&tool),
        clean(&outcome),
        taken,
        clean(&record.rule),
        clean(&record.request_id),
    );
    line.trim_end().to_owned()
}

/// Renders one change.
pub fn change(record: &ChangeRecord) -> String {
    let line = format!(
        "{}  {:<24}  {:<12}  {:<18}  {}",
        time(record.time),
        clean(&record.actor),
        clean(&record.proof),
        clean(&record.action),
        clean(&record.target),
    );
    line.trim_end().to_owned()
}

/// Renders a time to the second: `2026-11-20 10:00:00`.
fn time(microseconds: i64) -> String {
    let text = readable(microseconds);
    let second = text.get(..19).unwrap_or(&text);
    second.replacen('T', " ", 1)
}

fn duration(microseconds: i64) -> String {
    match microseconds {
        us @ ..1000 => format!("{us} us"),
        us @ 1000..1_000_000 => format!("{}.{} ms", us / 1000, us % 1000 / 100),
        us => format!("{}.{} s", us / 1_000_000, us % 1_000_000 / 100_000),
    }
}

/// Escapes control characters, because callers choose names and must not control the terminal.
fn clean(text: &str) -> String {
    text.chars()
        .flat_map(|character| {
            let escaped = character.is_control().then(|| character.escape_default());
            let plain = escaped.is_none().then_some(character);
            escaped.into_iter().flatten().chain(plain)
        })
        .collect()
}
