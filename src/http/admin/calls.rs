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
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    errors::NO_DATABASE,
    guard::{AdminCaller, QueryParams, invalid, refused},
    words,
};
use crate::{
    audit,
    http::error::ApiError,
    store::{CallFilter, CallRecord, Store},
};

/// The number of records on a page, unless the request sets it.
pub(super) const LIMIT: u32 = 100;
/// The largest number that a request may set.
pub(super) const LIMIT_MAX: u32 = 5_000;
/// The largest page, in bytes. With large arguments a page holds fewer records than the request
/// asks for.
const PAGE_BYTES_MAX: usize = 4 << 20;
/// The size of a record without its arguments and groups, in bytes.
const RECORD_BYTES: usize = 500;
/// The header with the cursor of the next page, for formats other than JSON.
const NEXT_CURSOR: &str = "x-next-cursor";

/// The query of the request.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct CallsQuery {
    /// Only calls at or after this time: a timestamp, a date, or an age such as `2h`.
    #[param(example = "2026-11-20T10:00:00Z")]
    since: Option<String>,
    /// Only calls before this time: a timestamp, a date, or an age such as `2h`.
    #[param(example = "2h")]
    until: Option<String>,
    /// Only calls of this caller. Case does not matter.
    caller: Option<String>,
    /// Only calls to this bridge.
    bridge: Option<String>,
    /// Only calls to this tool.
    tool: Option<String>,
    /// Only calls with this outcome: `ok`, the `code` of an error, or `started`, `cancelled`,
    /// `interrupted`.
    #[param(example = "ok")]
    outcome: Option<String>,
    /// Only calls with this request id.
    request_id: Option<String>,
    /// The largest number of records. A page with large arguments holds fewer.
    #[param(minimum = 1, maximum = 5000, default = 100)]
    limit: Option<u32>,
    /// The cursor of the page to return: `next` of the page before it.
    cursor: Option<String>,
    /// The format of the answer. The default is `json`.
    #[serde(default)]
    #[param(inline)]
    format: CallsFormat,
}

/// The output format.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
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

/// A page of records.
#[derive(Debug, Serialize, ToSchema)]
pub struct CallPage {
    /// The number of records on this page.
    count: usize,
    /// The records, newest first.
    calls: Vec<CallItem>,
    /// The cursor of the next page. It is null on the last page.
    #[schema(required)]
    next: Option<String>,
}

/// The record of a call.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct CallItem {
    /// When the call arrived.
    #[schema(format = DateTime)]
    time: String,
    /// The same as `X-Request-Id` in the response to the call.
    request_id: String,
    /// The caller: their e-mail address, or the name of their API key, or their user ID. It is null
    /// if the caller did not authenticate.
    #[schema(required)]
    caller: Option<String>,
    /// How they authenticated: `api_key`, `session`, …; or `none`.
    proof: String,
    /// The groups that were used for the decision, at most 64.
    groups: Vec<String>,
    /// The rule that decided: `grant developers`, `no_grant`, …
    rule: String,
    /// The requested bridge.
    bridge: String,
    /// The requested tool.
    tool: String,
    /// `ok`, or the `code` of the error; `started` while the call runs, `cancelled` if the caller
    /// hung up, `interrupted` if the server stopped.
    outcome: String,
    /// The HTTP status; 0 if there is none yet.
    #[schema(maximum = 999)]
    status: u16,
    /// The duration in microseconds.
    duration_us: i64,
    /// The size of the request body in bytes.
    request_bytes: i64,
    /// The size of the response body in bytes.
    response_bytes: i64,
    /// The address of the request's sender.
    #[schema(required)]
    peer: Option<String>,
    /// The workspace of the caller.
    workspace: String,
    /// The run of the program that wrote the record.
    instance: String,
    /// A unique ID: the instance and a number.
    id: String,
    /// The arguments, redacted and shortened, if the operator enabled this.
    #[schema(required)]
    arguments: Option<String>,
    /// How many calls this record stands for. Refusals of one address or caller are combined.
    #[schema(minimum = 1)]
    count: i64,
}

impl From<CallRecord> for CallItem {
    fn from(record: CallRecord) -> Self {
        Self {
            time: audit::readable(record.time),
            request_id: record.request_id,
            caller: record.caller,
            proof: record.proof,
            groups: record.groups,
            rule: record.rule,
            bridge: record.bridge,
            tool: record.tool,
            outcome: record.outcome,
            status: record.status,
            duration_us: record.duration_us,
            request_bytes: record.request_bytes,
            response_bytes: record.response_bytes,
            peer: record.peer,
            workspace: record.workspace,
            instance: record.instance,
            id: record.id,
            arguments: record.arguments,
            count: record.repeats.saturating_add(1),
        }
    }
}

/// Lists calls
///
/// The answer contains the records of your workspace, newest first, in pages. To read all of them,
/// send `next` of each page as `cursor` for the next one, until it is null. Pages in CSV and JSON
/// Lines have the cursor in the header `X-Next-Cursor`, which the last page does not have.
#[utoipa::path(
    get,
    path = "/calls",
    operation_id = "list_calls",
    tag = "Audit",
    params(CallsQuery),
    responses(
        (
            status = 200,
            description = "A page of records.",
            content(
                (CallPage = "application/json"),
                (String = "text/csv"),
                (String = "application/jsonl"),
            ),
            headers(("x-next-cursor" = String, description = "The cursor of the next page, in CSV and JSON Lines.")),
        ),
        (status = 404, description = NO_DATABASE),
    ),
)]
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
            let calls: Vec<_> = calls.into_iter().map(CallItem::from).collect();
            let count = calls.len();
            Ok(Json(CallPage { count, calls, next }).into_response())
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
