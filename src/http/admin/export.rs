//! Records of calls as JSON, JSON Lines and CSV; pure.

use http::StatusCode;
use serde_json::{Value, json};

use super::words::shown_time;
use crate::{http::error::ApiError, store::CallRecord};

/// The columns of CSV, in the order of [`row`].
const COLUMNS: &[&str] = &[
    "time",
    "request_id",
    "caller",
    "proof",
    "groups",
    "rule",
    "bridge",
    "tool",
    "outcome",
    "status",
    "duration_ms",
    "request_bytes",
    "response_bytes",
    "peer",
    "workspace",
    "arguments",
    "id",
];

/// A call on the wire.
pub fn call(call: &CallRecord) -> Value {
    json!({
        "id": call.id,
        "time": shown_time(call.time),
        "request_id": call.request_id,
        "caller": call.caller,
        "proof": call.proof,
        "groups": call.groups,
        "rule": call.rule,
        "bridge": call.bridge,
        "tool": call.tool,
        "outcome": call.outcome,
        "status": call.status,
        "duration_ms": milliseconds(call),
        "request_bytes": call.request_bytes,
        "response_bytes": call.response_bytes,
        "peer": call.peer,
        "workspace": call.workspace,
        "arguments": call.arguments,
    })
}

/// One object a line.
pub fn jsonl(calls: &[CallRecord]) -> String {
    calls.iter().map(|it| format!("{}\n", call(it))).collect()
}

/// A table with a head (RFC 4180).
pub fn csv(calls: &[CallRecord]) -> Result<String, ApiError> {
    let mut writer = csv::WriterBuilder::new()
        .terminator(csv::Terminator::CRLF)
        .from_writer(Vec::new());
    let mut written = writer.write_record(COLUMNS);
    for call in calls {
        written = written.and_then(|()| writer.write_record(row(call)));
    }
    let bytes = written.ok().and_then(|()| writer.into_inner().ok());
    let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    text.ok_or_else(|| {
        let detail = "the records could not be written as CSV; ask for `format=jsonl`";
        ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail)
    })
}

fn row(call: &CallRecord) -> Vec<String> {
    let text = |text: &Option<String>| plain(text.as_deref().unwrap_or_default());
    vec![
        shown_time(call.time),
        plain(&call.request_id),
        text(&call.caller),
        call.proof.clone(),
        plain(&call.groups.join(", ")),
        plain(&call.rule),
        plain(&call.bridge),
        plain(&call.tool),
        call.outcome.clone(),
        call.status.to_string(),
        milliseconds(call).to_string(),
        call.request_bytes.to_string(),
        call.response_bytes.to_string(),
        text(&call.peer),
        plain(&call.workspace),
        text(&call.arguments),
        call.id.clone(),
    ]
}

/// A text that no spreadsheet takes for a formula: callers choose the names that stand here
/// (OWASP, CSV injection).
fn plain(text: &str) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        format!("'{text}")
    } else {
        text.to_owned()
    }
}

fn milliseconds(call: &CallRecord) -> f64 {
    // Exact up to 285 years.
    #[expect(clippy::cast_precision_loss, reason = "durations of calls are short")]
    let microseconds = call.duration_us as f64;
    microseconds / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> CallRecord {
        CallRecord {
            id: "i-1".to_owned(),
            time: 1_795_000_000_000_000,
            caller: Some("=cmd()".to_owned()),
            groups: vec!["a".to_owned(), "b \"c\"".to_owned()],
            bridge: "demo".to_owned(),
            tool: "add,\nit".to_owned(),
            outcome: "ok".to_owned(),
            status: 200,
            duration_us: 1500,
            ..CallRecord::default()
        }
    }

    #[test]
    fn a_table_is_safe_for_spreadsheets() {
        insta::assert_snapshot!(csv(&[record()]).unwrap().replace('\r', ""), @"");
    }

    #[test]
    fn lines_are_objects() {
        let text = jsonl(&[record(), record()]);
        let lines: Vec<Value> = text
            .lines()
            .map(|it| serde_json::from_str(it).unwrap())
            .collect();
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0]["tool"], "add,\nit");
        assert_eq!(lines[0]["duration_ms"], 1.5);
    }
}
