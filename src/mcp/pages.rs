//! Reads all pages of `tools/list`, within bounds that a hostile server cannot stretch.

use std::collections::HashSet;

use rmcp::{
    Peer, RoleClient,
    model::{ClientRequest, ListToolsRequest, PaginatedRequestParams},
    service::ServiceError,
};
use serde::Deserialize;
use serde_json::Value;

use super::{
    decode::{TOO_LARGE, raw_result},
    error::ConnectError,
    http,
    weight::{TOOL_BYTES, weight, weight_max},
};
use crate::compute::in_place;

/// Pages read of one list.
const PAGES_MAX: usize = 1_000;
/// Tools read of one list.
const TOOLS_MAX: usize = 10_000;

/// One page, read leniently: entries are looked at one by one later.
#[derive(Deserialize)]
struct Page {
    /// The entries.
    #[serde(default)]
    tools: Vec<Value>,
    /// Where the next page begins.
    #[serde(default, rename = "nextCursor")]
    next_cursor: Option<String>,
}

/// All entries of the server's tool list. All pages together may have `bytes_max` bytes, and weigh what
/// so many bytes of schemas weigh.
pub async fn list_tools(
    peer: &Peer<RoleClient>,
    bytes_max: usize,
) -> Result<Vec<Value>, ConnectError> {
    let mut budget = Budget::new(bytes_max);
    let mut tools = Vec::new();
    let mut seen = HashSet::new();
    let mut cursor = None;
    for _ in 0..PAGES_MAX {
        let page = list_page(peer, cursor, &mut budget).await?;
        budget.take_weight(page.tools.len() * TOOL_BYTES)?;
        tools.extend(page.tools);
        let Some(next) = page.next_cursor.filter(|next| !next.is_empty()) else {
            break;
        };
        if tools.len() >= TOOLS_MAX || !seen.insert(next.clone()) {
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
    cursor: Option<String>,
    budget: &mut Budget,
) -> Result<Page, ConnectError> {
    let mut request = ListToolsRequest::default();
    if cursor.is_some() {
        let mut params = PaginatedRequestParams::default();
        params.cursor = cursor;
        request.params = Some(params);
    }
    let result = peer
        .send_request(ClientRequest::ListToolsRequest(request))
        .await
        .map_err(|error| match error {
            ServiceError::McpError(error) if error.code == TOO_LARGE => budget.used_up(),
            error => list_error(error),
        })?;
    let odd = |error: serde_json::Error| {
        ConnectError::Protocol(format!("its tool list cannot be read: {error}"))
    };
    let raw = raw_result(result).map_err(odd)?;
    in_place(raw.len(), || {
        budget.take(&raw)?;
        serde_json::from_str(&raw).map_err(odd)
    })
}

/// rmcp's error in our words.
fn list_error(error: ServiceError) -> ConnectError {
    match error {
        ServiceError::McpError(error) => ConnectError::Refused {
            step: "tools/list",
            code: i64::from(error.code.0),
            message: error.message.into_owned(),
        },
        ServiceError::TransportSend(error) => http::unsent(&error),
        ServiceError::TransportClosed => {
            ConnectError::Protocol("it closed the connection during `tools/list`".to_owned())
        }
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
    fn a_page_of_tiny_values_is_refused_before_it_is_read() {
        let page = format!(r#"{{"tools":[{}0]}}"#, "0,".repeat(200_000));
        assert!(Budget::new(1_000_000).take(&page).is_err());
        assert!(Budget::new(16 << 20).take(&page).is_ok());
    }
}
