//! Interprets the messages of a session for the transport.

use http::HeaderMap;
use rmcp::model::{
    ClientJsonRpcMessage, ClientNotification, ClientRequest, ErrorData, GetExtensions as _,
    JsonRpcMessage, RequestId,
};

/// Headers of the caller that are forwarded with one call. They travel next to the message, never inside it.
#[derive(Debug, Clone)]
pub struct CallHeaders(pub HeaderMap);

/// Adds the caller's headers to those of the request. Headers of the operator and the protocol take
/// precedence.
pub fn passed_into(message: &ClientJsonRpcMessage, headers: &mut HeaderMap) {
    let JsonRpcMessage::Request(request) = message else {
        return;
    };
    let Some(CallHeaders(passed)) = request.request.extensions().get::<CallHeaders>() else {
        return;
    };
    for (name, value) in passed {
        if !headers.contains_key(name) {
            headers.append(name, value.clone());
        }
    }
}

/// The requests that can begin a session.
pub enum OpeningRequest {
    /// `initialize`
    Initialize,
    /// `server/discover`
    Discover,
}

/// Whether a message begins a session.
pub fn first_request(message: &ClientJsonRpcMessage) -> Option<OpeningRequest> {
    let JsonRpcMessage::Request(request) = message else {
        return None;
    };
    match request.request {
        ClientRequest::InitializeRequest(_) => Some(OpeningRequest::Initialize),
        ClientRequest::DiscoverRequest(_) => Some(OpeningRequest::Discover),
        _ => None,
    }
}

/// Returns the request that a `notifications/cancelled` cancels.
pub fn cancelled(message: &ClientJsonRpcMessage) -> Option<&RequestId> {
    if let JsonRpcMessage::Notification(notification) = message
        && let ClientNotification::CancelledNotification(cancelled) = &notification.notification
    {
        return cancelled.params.request_id.as_ref();
    }
    None
}

/// Whether an error means that the session is unknown. The specification requires 404 for that. The
/// TypeScript SDK's examples, and the many servers made from them, answer 400 (`Bad Request: No valid session
/// ID provided`, `Server not initialized`) with a transport error code. The code distinguishes it from a tool
/// that rejects an argument called session.
pub fn is_session_gone(error: &ErrorData) -> bool {
    let message = error.message.to_ascii_lowercase();
    matches!(error.code.0, -32_600 | -32_001 | -32_000)
        && (message.contains("session") || message.contains("not initialized"))
}

/// Whether a refused `initialize` comes from an MCP server of another revision (unknown method, invalid
/// parameters, the codes of 2026-07-28), and not from a service that does not speak Streamable HTTP.
pub fn is_of_mcp(error: &ErrorData) -> bool {
    matches!(error.code.0, -32_602 | -32_601 | -32_022..=-32_020)
}
