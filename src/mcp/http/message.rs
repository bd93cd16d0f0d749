//! What the messages of a session mean for the transport below it.

use http::HeaderMap;
use rmcp::model::{
    ClientJsonRpcMessage, ClientNotification, ClientRequest, ErrorData, GetExtensions as _,
    JsonRpcMessage, RequestId,
};

/// Headers of the caller that go on with one call; they travel beside the message, never in it.
#[derive(Debug, Clone)]
pub struct Passed(pub HeaderMap);

/// Puts the caller's headers to those of the request. What the operator or the protocol sets stays.
pub fn passed_into(message: &ClientJsonRpcMessage, headers: &mut HeaderMap) {
    let JsonRpcMessage::Request(request) = message else {
        return;
    };
    let Some(Passed(passed)) = request.request.extensions().get::<Passed>() else {
        return;
    };
    for (name, value) in passed {
        if !headers.contains_key(name) {
            headers.append(name, value.clone());
        }
    }
}

/// The requests that begin a session.
pub enum First {
    /// `initialize`
    Initialize,
    /// `server/discover`
    Discover,
}

/// Whether a message begins a session.
pub fn first_request(message: &ClientJsonRpcMessage) -> Option<First> {
    let JsonRpcMessage::Request(request) = message else {
        return None;
    };
    match request.request {
        ClientRequest::InitializeRequest(_) => Some(First::Initialize),
        ClientRequest::DiscoverRequest(_) => Some(First::Discover),
        _ => None,
    }
}

/// The request that a `notifications/cancelled` gives up.
pub fn cancelled(message: &ClientJsonRpcMessage) -> Option<&RequestId> {
    if let JsonRpcMessage::Notification(notification) = message
        && let ClientNotification::CancelledNotification(cancelled) = &notification.notification
    {
        return cancelled.params.request_id.as_ref();
    }
    None
}

/// Whether an error says that the session is unknown. The specification wants 404 for that; the
/// TypeScript SDK's examples, and the many servers made from them, answer 400 (`Bad Request: No
/// valid session ID provided`, `Server not initialized`) with a code of the transport, which tells
/// it from a tool that refuses an argument called session.
pub fn is_session_gone(error: &ErrorData) -> bool {
    let message = error.message.to_ascii_lowercase();
    matches!(error.code.0, -32_600 | -32_001 | -32_000)
        && (message.contains("session") || message.contains("not initialized"))
}

/// Whether a refused `initialize` comes from an MCP server of another revision (unknown method,
/// bad parameters, the codes of 2026-07-28), and not from something that is no Streamable HTTP.
pub fn is_of_mcp(error: &ErrorData) -> bool {
    matches!(error.code.0, -32_602 | -32_601 | -32_022..=-32_020)
}
