//! Reads all pages of `tools/list`, within limits that a hostile server cannot exceed.

use std::collections::HashSet;

use rmcp::{
    Peer, RoleClient,
    model::{ClientRequest, CustomRequest, ListToolsRequest, PaginatedRequestParams},
    service::ServiceError,
};
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

use super::{
    decode::{LIST, TOO_LARGE, UNREADABLE, raw_result},
    error::ConnectError,
    http,
    weight::{TOOL_BYTES, weight, weight_max},
};
use crate::{compute::in_place, json::read_lenient};

/// The maximum number of pages of one list.
const PAGES_MAX: usize = 1_000;
/// The maximum number of tools of one list.
const TOOLS_MAX: usize = 10_000;

/// One page of the tool list.
#[derive(Debug, Default, PartialEq)]
struct ToolPage {
    /// The entries, which are checked one by one later. `null` replaces an entry that cannot be read.
    tools: Vec<Value>,
    /// The cursor of the next page. It is opaque and sent back unchanged (MCP 2025-11-25, pagination).
    next: Option<Value>,
}

/// A page as the server sent it.
#[derive(Deserialize)]
struct RawToolPage<'a> {
    #[serde(borrow, default)]
    tools: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "nextCursor")]
    next: Option<&'a RawValue>,
}

/// Returns all entries of the server's tool list. `bytes_max` limits the size of all pages together, and
/// their weight in memory. If a page after the first one fails, that page and the following pages are
/// dropped. A server that does not know the method has no tools.
pub async fn list_tools(
    peer: &Peer<RoleClient>,
    bytes_max: usize,
) -> Result<Vec<Value>, ConnectError> {
    let mut budget = PageBudget::new(bytes_max);
    let mut tools = Vec::new();
    let mut seen = HashSet::new();
    let mut cursor = None;
    for number in 0..PAGES_MAX {
        let page = match list_page(peer, cursor.take(), &mut budget).await {
            Ok(page) => page,
            Err(ConnectError::Refused { code, .. }) if number == 0 && is_unknown_method(code) => {
                tracing::debug!("the server does not know `{LIST}`, so it has no tools");
                break;
            }
            Err(error @ ConnectError::TooLarge { .. }) => return Err(error),
            Err(error) if number > 0 => {
                tracing::warn!(tools = tools.len(), %error, "a page of the server's tool list cannot be read; that page and the following pages are left out");
                break;
            }
            Err(error) => return Err(error),
        };
        budget.take_weight(page.tools.len() * TOOL_BYTES)?;
        if is_repeated(&page, &tools) {
            break;
        }
        tools.extend(page.tools);
        let Some(next) = page.next else {
            break;
        };
        if tools.len() >= TOOLS_MAX || !seen.insert(next.to_string()) {
            tracing::warn!(
                tools = tools.len(),
                "the server's tool list is too long; the rest is left out"
            );
            break;
        }
        cursor = Some(next);
    }
    tools.truncate(TOOLS_MAX);
    Ok(tools)
}

/// Whether all tools of a page were listed before. Some servers end their list with an empty cursor, and
/// answer that cursor with the first page.
fn is_repeated(page: &ToolPage, before: &[Value]) -> bool {
    let name_of = |tool: &Value| tool.get("name").map(Value::to_string);
    let Some(first) = page.tools.first().and_then(name_of) else {
        return false;
    };
    // The common case: a new page.
    if before.first().and_then(name_of) != Some(first) {
        return false;
    }
    let known: HashSet<_> = before.iter().filter_map(name_of).collect();
    let mut names = page.tools.iter().filter_map(name_of);
    names.all(|name| known.contains(&name))
}

/// Whether an error code means that the server does not know the method.
fn is_unknown_method(code: i64) -> bool {
    code == -32_601
}

/// The budget for the remaining pages.
#[derive(Debug)]
struct PageBudget {
    /// The size limit of all pages, in bytes.
    bytes_max: usize,
    /// The bytes that are left.
    bytes: usize,
    /// The weight that is left.
    weight: usize,
}

impl PageBudget {
    /// Creates a full budget.
    fn new(bytes_max: usize) -> Self {
        Self {
            bytes_max,
            bytes: bytes_max,
            weight: weight_max(bytes_max),
        }
    }

    /// Takes a page from the budget before it is parsed into values.
    fn take(&mut self, page: &str) -> Result<(), ConnectError> {
        let bytes = self.bytes.checked_sub(page.len());
        self.bytes = bytes.ok_or_else(|| self.used_up())?;
        self.take_weight(weight(page.as_bytes()))
    }

    /// Takes only weight from the budget.
    fn take_weight(&mut self, weight: usize) -> Result<(), ConnectError> {
        let left = self.weight.checked_sub(weight);
        self.weight = left.ok_or_else(|| self.used_up())?;
        Ok(())
    }

    /// The error for a list that exceeds the budget.
    fn used_up(&self) -> ConnectError {
        ConnectError::TooLarge {
            what: "its tool list",
            bytes_max: self.bytes_max,
        }
    }
}

/// Requests one page.
async fn list_page(
    peer: &Peer<RoleClient>,
    cursor: Option<Value>,
    budget: &mut PageBudget,
) -> Result<ToolPage, ConnectError> {
    let result = peer.send_request(request_for(cursor)).await;
    let result = result.map_err(|error| match error {
        ServiceError::McpError(error) if error.code == TOO_LARGE => budget.used_up(),
        error => list_error(error),
    })?;
    let odd = |error: serde_json::Error| {
        ConnectError::Protocol(format!("its tool list cannot be read: {error}"))
    };
    let raw = raw_result(result).map_err(odd)?;
    in_place(raw.len(), || {
        budget.take(&raw)?;
        read_page(&raw).map_err(odd)
    })
}

/// Builds the request for the page at a cursor. rmcp supports only cursors that are texts.
fn request_for(cursor: Option<Value>) -> ClientRequest {
    match cursor {
        None => ClientRequest::ListToolsRequest(ListToolsRequest::default()),
        Some(Value::String(cursor)) => {
            let mut params = PaginatedRequestParams::default();
            params.cursor = Some(cursor);
            ClientRequest::ListToolsRequest(ListToolsRequest::with_param(params))
        }
        Some(other) => {
            let params = json!({ "cursor": other });
            ClientRequest::CustomRequest(CustomRequest::new(LIST, Some(params)))
        }
    }
}

/// Parses a page: an object, or a bare list. An entry that cannot be parsed is dropped; the others stay.
fn read_page(raw: &str) -> serde_json::Result<ToolPage> {
    if raw.starts_with('[') {
        return Ok(entries_of(raw));
    }
    let page: Option<RawToolPage<'_>> = serde_json::from_str(raw)?;
    let Some(RawToolPage { tools, next }) = page else {
        return Ok(ToolPage::default());
    };
    let mut page = tools.map_or_else(ToolPage::default, |tools| entries_of(tools.get()));
    let next: Option<Value> = next.and_then(|next| read_lenient(next.get()).ok());
    page.next = next.filter(|next| !matches!(next, Value::Null | Value::Bool(false)));
    Ok(page)
}

/// Returns the entries of a list, or an empty page for any other value.
fn entries_of(raw: &str) -> ToolPage {
    let mut page = ToolPage::default();
    let entries: Option<Vec<&RawValue>> = serde_json::from_str(raw).ok();
    for entry in entries.into_iter().flatten() {
        page.tools
            .push(read_lenient(entry.get()).unwrap_or_default());
    }
    page
}

/// Converts rmcp's error.
fn list_error(error: ServiceError) -> ConnectError {
    match error {
        ServiceError::McpError(error) if error.code == UNREADABLE => {
            ConnectError::Protocol(format!("its tool list cannot be read: {}", error.message))
        }
        ServiceError::McpError(error) => ConnectError::Refused {
            step: "tools/list",
            code: i64::from(error.code.0),
            message: error.message.into_owned(),
            supported: Vec::new(),
        },
        ServiceError::TransportSend(error) => http::unsent(&error),
        ServiceError::TransportClosed => ConnectError::Closed("tools/list"),
        other => ConnectError::Protocol(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_pages_share_one_budget() {
        let page = format!(r#"{{"tools":["{}"]}}"#, "x".repeat(99_986));
        let mut budget = PageBudget::new(1_000_000);
        for number in 0..10 {
            assert!(budget.take(&page).is_ok(), "page {number}");
        }
        assert!(budget.take(&page).is_err());
    }

    #[test]
    fn pages_are_read_leniently() {
        for (raw, tools, next) in [
            (r#"{"tools":[{"name":"a"}]}"#, 1, None),
            (
                r#"{"tools":[{"name":"a"}],"nextCursor":"n"}"#,
                1,
                Some(json!("n")),
            ),
            (r#"{"tools":[],"nextCursor":7}"#, 0, Some(json!(7))),
            (r#"{"tools":[],"nextCursor":""}"#, 0, Some(json!(""))),
            (
                r#"{"tools":[],"nextCursor":{"page":2}}"#,
                0,
                Some(json!({"page": 2})),
            ),
            (r#"{"tools":[],"nextCursor":false}"#, 0, None),
            (r#"{"tools":null,"nextCursor":null}"#, 0, None),
            (r#"{"tools":true}"#, 0, None),
            (r#"[{"name":"a"}]"#, 1, None),
            (
                r#"{"tools":[{"name":"a","description":"\ud83d"}]}"#,
                1,
                None,
            ),
            ("null", 0, None),
            ("{}", 0, None),
        ] {
            let page = read_page(raw).unwrap();
            assert_eq!(page.tools.len(), tools, "{raw}");
            assert_eq!(page.next, next, "{raw}");
        }
        let deep = format!("{}{}", "[".repeat(500), "]".repeat(500));
        let page = read_page(&format!(r#"{{"tools":[{deep},{{"name":"a"}}]}}"#)).unwrap();
        assert_eq!(page.tools, [Value::Null, json!({"name": "a"})]);
        assert!(read_page("\"none\"").is_err());
    }

    #[test]
    fn a_first_page_that_comes_again_is_the_end() {
        let page = |raw: &str| read_page(raw).unwrap();
        let first = page(r#"{"tools":[{"name":"a"},{"name":"b"}]}"#);
        assert!(is_repeated(&first, &first.tools));
        for other in [r#"[{"name":"c"}]"#, r#"[{"name":"a"},{"name":"c"}]"#] {
            assert!(!is_repeated(&page(other), &first.tools), "{other}");
        }
        assert!(!is_repeated(&first, &[]));
        assert!(!is_repeated(&ToolPage::default(), &first.tools));
    }

    #[test]
    fn a_page_of_tiny_values_is_refused_before_it_is_read() {
        let page = format!(r#"{{"tools":[{}0]}}"#, "0,".repeat(200_000));
        assert!(PageBudget::new(1_000_000).take(&page).is_err());
        assert!(PageBudget::new(16 << 20).take(&page).is_ok());
    }
}
