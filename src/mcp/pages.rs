//! Reads all pages of `tools/list`, within bounds that a hostile server cannot stretch.

use std::collections::HashSet;

use rmcp::{
    Peer, RoleClient,
    model::{ClientRequest, ListToolsRequest, PaginatedRequestParams},
    service::ServiceError,
};
use serde::Deserialize;
use serde_json::Value;

use super::{decode::raw_result, error::ConnectError, http};

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

/// All entries of the server's tool list.
pub async fn list_tools(peer: &Peer<RoleClient>) -> Result<Vec<Value>, ConnectError> {
    let mut tools = Vec::new();
    let mut seen = HashSet::new();
    let mut cursor = None;
    for _ in 0..PAGES_MAX {
        let page = list_page(peer, cursor).await?;
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

/// One page.
async fn list_page(peer: &Peer<RoleClient>, cursor: Option<String>) -> Result<Page, ConnectError> {
    let mut request = ListToolsRequest::default();
    if cursor.is_some() {
        let mut params = PaginatedRequestParams::default();
        params.cursor = cursor;
        request.params = Some(params);
    }
    let result = peer
        .send_request(ClientRequest::ListToolsRequest(request))
        .await
        .map_err(list_error)?;
    let odd = |error: serde_json::Error| {
        ConnectError::Protocol(format!("its tool list cannot be read: {error}"))
    };
    let raw = raw_result(result).map_err(odd)?;
    serde_json::from_str(&raw).map_err(odd)
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
