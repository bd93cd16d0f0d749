//! Reads all pages of `tools/list`, within bounds that a hostile server cannot stretch.

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

/// Pages read of one list.
const PAGES_MAX: usize = 1_000;
/// Tools read of one list.
const TOOLS_MAX: usize = 10_000;

/// One page.
#[derive(Debug, Default, PartialEq)]
struct Page {
    /// The entries; they are looked at one by one later. `null` stands for one that cannot be read.
    tools: Vec<Value>,
    /// Where the next page begins. It is opaque: it goes back as it came (MCP 2025-11-25, pagination).
    next: Option<Value>,
}

/// A page as it came.
#[derive(Deserialize)]
struct RawPage<'a> {
    #[serde(borrow, default)]
    tools: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "nextCursor")]
    next: Option<&'a RawValue>,
}

/// All entries of the server's tool list. All pages together may have `bytes_max` bytes, and weigh what
/// so many bytes of schemas weigh. A page behind the first that cannot be had costs itself and those behind
/// it; a server that does not know the method has no tools.
pub async fn list_tools(
    peer: &Peer<RoleClient>,
    bytes_max: usize,
) -> Result<Vec<Value>, ConnectError> {
    let mut budget = Budget::new(bytes_max);
    let mut tools = Vec::new();
    let mut seen = HashSet::new();
    let mut cursor = None;
    for number in 0..PAGES_MAX {
        let page = match list_page(peer, cursor.take(), &mut budget).await {
            Ok(page) => page,
            Err(ConnectError::Refused { code, .. }) if number == 0 && is_unknown_method(code) => {
                tracing::debug!("the server knows no `{LIST}`: it has no tools");
                break;
            }
            Err(error @ ConnectError::TooLarge { .. }) => return Err(error),
            Err(error) if number > 0 => {
                tracing::warn!(tools = tools.len(), %error, "a page of the server's tool list cannot be had; it and those behind it are left out");
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
                "the server's tool list does not end; the rest is left out"
            );
            break;
        }
        cursor = Some(next);
    }
    tools.truncate(TOOLS_MAX);
    Ok(tools)
}

/// Whether a page has nothing but tools that came before: some servers answer an empty cursor, with which
/// they end their list, with the first page.
fn is_repeated(page: &Page, before: &[Value]) -> bool {
    let name_of = |tool: &Value| tool.get("name").map(Value::to_string);
    let Some(first) = page.tools.first().and_then(name_of) else {
        return false;
    };
    // The common case: another page.
    if before.first().and_then(name_of) != Some(first) {
        return false;
    }
    let known: HashSet<_> = before.iter().filter_map(name_of).collect();
    let mut names = page.tools.iter().filter_map(name_of);
    names.all(|name| known.contains(&name))
}

/// Whether a server says that it does not know the method.
fn is_unknown_method(code: i64) -> bool {
    code == -32_601
}

/// What is left for the pages to come.
#[derive(Debug)]
struct Budget {
    /// The bytes of all pages.
    bytes_max: usize,
    /// Bytes that are left.
    bytes: usize,
    /// Weight that is left.
    weight: usize,
}

impl Budget {
    /// A whole one.
    fn new(bytes_max: usize) -> Self {
        Self {
            bytes_max,
            bytes: bytes_max,
            weight: weight_max(bytes_max),
        }
    }

    /// Takes a page, before it is read into values.
    fn take(&mut self, page: &str) -> Result<(), ConnectError> {
        let bytes = self.bytes.checked_sub(page.len());
        self.bytes = bytes.ok_or_else(|| self.used_up())?;
        self.take_weight(weight(page.as_bytes()))
    }

    /// Takes weight alone.
    fn take_weight(&mut self, weight: usize) -> Result<(), ConnectError> {
        let left = self.weight.checked_sub(weight);
        self.weight = left.ok_or_else(|| self.used_up())?;
        Ok(())
    }

    /// The error of a list that is larger.
    fn used_up(&self) -> ConnectError {
        ConnectError::TooLarge {
            what: "its tool list",
            bytes_max: self.bytes_max,
        }
    }
}

/// One page.
async fn list_page(
    peer: &Peer<RoleClient>,
    cursor: Option<Value>,
    budget: &mut Budget,
) -> Result<Page, ConnectError> {
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

/// The request for the page at a cursor. rmcp knows cursors that are texts.
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

/// Reads a page: an object, or the list alone. An entry that cannot be read costs itself.
fn read_page(raw: &str) -> serde_json::Result<Page> {
    if raw.starts_with('[') {
        return Ok(entries_of(raw));
    }
    let page: Option<RawPage<'_>> = serde_json::from_str(raw)?;
    let Some(RawPage { tools, next }) = page else {
        return Ok(Page::default());
    };
    let mut page = tools.map_or_else(Page::default, |tools| entries_of(tools.get()));
    let next: Option<Value> = next.and_then(|next| read_lenient(next.get()).ok());
    page.next = next.filter(|next| !matches!(next, Value::Null | Value::Bool(false)));
    Ok(page)
}

/// The entries of a list. What is no list has none.
fn entries_of(raw: &str) -> Page {
    let mut page = Page::default();
    let entries: Option<Vec<&RawValue>> = serde_json::from_str(raw).ok();
    for entry in entries.into_iter().flatten() {
        page.tools
            .push(read_lenient(entry.get()).unwrap_or_default());
    }
    page
}

/// rmcp's error in our words.
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
        let mut budget = Budget::new(1_000_000);
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
        assert!(!is_repeated(&Page::default(), &first.tools));
    }

    #[test]
    fn a_page_of_tiny_values_is_refused_before_it_is_read() {
        let page = format!(r#"{{"tools":[{}0]}}"#, "0,".repeat(200_000));
        assert!(Budget::new(1_000_000).take(&page).is_err());
        assert!(Budget::new(16 << 20).take(&page).is_ok());
    }
}
