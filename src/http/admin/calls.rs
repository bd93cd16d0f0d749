//! The records of calls, in pages.

use axum::{
    Json,
    response::{IntoResponse as _, Response},
};
use http::{
    HeaderName, HeaderValue,
    header::{CONTENT_DISPOSITION, CONTENT_TYPE},
};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    guard::{AdminCaller, QueryParams, invalid, refused},
    words,
};
use crate::{
    audit,
    http::error::ApiError,
    store::{CallFilter, CallRecord, Store},
};

/// The number of records on a page, unless the request sets it.
const LIMIT: u32 = 100;
/// The largest number that a request may set.
const LIMIT_MAX: u32 = 5_000;
/// The largest page, in bytes. With large arguments a page holds fewer records than the request
/// asks for.
const PAGE_BYTES_MAX: usize = 4 << 20;
/// The size of a record without its arguments and groups, in bytes.
const RECORD_BYTES: usize = 500;
/// The header with the cursor of the next page, for formats other than JSON.
const NEXT_CURSOR: &str = "x-next-cursor";

/// The query of the request.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CallsQuery {
    /// Only calls at or after this time.
    since: Option<String>,
    /// Only calls before this time.
    until: Option<String>,
    /// Only calls of this caller.
    caller: Option<String>,
    /// Only calls to this bridge.
    bridge: Option<String>,
    /// Only calls to this tool.
    tool: Option<String>,
    /// Only calls with this outcome.
    outcome: Option<String>,
    /// Only calls with this request id.
    request_id: Option<String>,
    /// The largest number of records.
    limit: Option<u32>,
    /// The cursor of the page to return: `next` of the page before it.
    cursor: Option<String>,
    /// `json`, `csv`, `jsonl`.
    #[serde(default)]
    format: CallsFormat,
}

/// The output format.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CallsFormat {
    /// One JSON document that includes the cursor of the next page.
    #[default]
    Json,
    /// CSV for spreadsheets.
    Csv,
    /// JSON Lines: one object on each line.
    Jsonl,
}

/// `GET /calls`
pub async fn list(
    admin: AdminCaller,
    QueryParams(wanted): QueryParams<CallsQuery>,
) -> Result<Response, ApiError> {
    let now = Timestamp::now();
    let limit = limit(wanted.limit)?;
    if let Some(outcome) = &wanted.outcome {
        audit::check_outcome(outcome).map_err(|why| invalid(format!("`outcome`: {why}")))?;
    }
    let filter = CallFilter {
        workspace: Some(admin.actor.workspace.clone()),
        since: words::moment("since", wanted.since.as_deref(), now)?,
        until: words::moment("until", wanted.until.as_deref(), now)?,
        before: wanted.cursor.as_deref().map(read_cursor).transpose()?,
        caller: wanted.caller,
        bridge: wanted.bridge,
        tool: wanted.tool,
        outcome: wanted.outcome,
        request_id: wanted.request_id,
        limit,
    };
    let (calls, is_full) = gather(admin.store()?, filter, limit).await?;
    let next = calls.last().filter(|_| is_full).map(cursor);
    match wanted.format {
        CallsFormat::Json => {
            let calls: Vec<Value> = calls.iter().map(audit::object).collect();
            Ok(Json(json!({ "count": calls.len(), "calls": calls, "next": next })).into_response())
        }
        CallsFormat::Csv => {
            let body = audit::render(audit::ExportFormat::Csv, &calls, true);
            Ok(file(body, "text/csv; charset=utf-8", "csv", next))
        }
        CallsFormat::Jsonl => {
            let body = audit::render(audit::ExportFormat::JsonLines, &calls, true);
            Ok(file(body, "application/jsonl", "jsonl", next))
        }
    }
}

/// The records of a page, and whether more may follow: the page ends at the limit of records or of
/// bytes.
async fn gather(
    store: &Store,
    filter: CallFilter,
    limit: u32,
) -> Result<(Vec<CallRecord>, bool), ApiError> {
    let mut pages = audit::CallPages::new(filter, limit.into());
    let (mut gathered, mut bytes) = (Vec::new(), 0);
    while let Some(filter) = pages.next() {
        let records = store.calls(filter).await.map_err(refused)?;
        pages.read(&records);
        for record in records {
            bytes += weight(&record);
            gathered.push(record);
            if bytes >= PAGE_BYTES_MAX {
                return Ok((gathered, true));
            }
        }
    }
    let is_full = u32::try_from(gathered.len()).is_ok_and(|count| count >= limit);
    Ok((gathered, is_full))
}

/// The approximate size of a record on a page, in bytes.
fn weight(record: &CallRecord) -> usize {
    let arguments = record.arguments.as_deref().unwrap_or_default();
    let groups: usize = record.groups.iter().map(String::len).sum();
    RECORD_BYTES + arguments.len() + groups
}

/// Checks the limit of records.
pub fn limit(wanted: Option<u32>) -> Result<u32, ApiError> {
    match wanted.unwrap_or(LIMIT) {
        limit @ 1..=LIMIT_MAX => Ok(limit),
        _ => Err(invalid(format!(
            "`limit` must be between 1 and {LIMIT_MAX}"
        ))),
    }
}

/// The cursor of the page after this record.
fn cursor(last: &CallRecord) -> String {
    format!("{}.{}", last.time, last.id)
}

fn read_cursor(text: &str) -> Result<(i64, String), ApiError> {
    let read = text.split_once('.').and_then(|(time, id)| {
        let time = time.parse().ok()?;
        Some((time, id.to_owned()))
    });
    read.ok_or_else(|| {
        invalid("`cursor` is not valid; use the value of `next` from the page before")
    })
}

/// A download.
fn file(body: Vec<u8>, kind: &'static str, extension: &str, next: Option<String>) -> Response {
    let mut response = body.into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    let name = format!("attachment; filename=\"calls.{extension}\"");
    let values = [
        (CONTENT_DISPOSITION.as_str(), Some(name)),
        (NEXT_CURSOR, next),
    ];
    for (header, value) in values {
        if let Some(Ok(value)) = value.map(HeaderValue::try_from) {
            headers.insert(HeaderName::from_static(header), value);
        }
    }
    response
}
