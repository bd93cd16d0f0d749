//! What the messages of a session mean for the transport below it.

use rmcp::model::{
    ClientJsonRpcMessage, ClientNotification, ClientRequest, ErrorData, JsonRpcMessage, RequestId,
};

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
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "rmcp's enum is non-exhaustive"
    )]
    match request.request {
        ClientRequest::InitializeRequest(_) => Some(First::Initialize),
        ClientRequest::DiscoverRequest(_) => Some(First::Discover),
        _ => None,
    }
}

/// The request that a `notifications/cancelled` gives up.
pub fn cancelled(message: &ClientJsonRpcMessage) -> Option<&RequestId> {
    match message {
        JsonRpcMessage::Notification(notification) => match &notification.notification {
            ClientNotification::CancelledNotification(cancelled) => {
                cancelled.params.request_id.as_ref()
            }
            #[expect(
                clippy::wildcard_enum_match_arm,
                reason = "rmcp's enum is non-exhaustive"
            )]
            _ => None,
        },
        JsonRpcMessage::Request(_) | JsonRpcMessage::Response(_) | JsonRpcMessage::Error(_) => None,
    }
}

/// Whether an error says that the session is unknown. The specification wants 404 for that; the
/// TypeScript SDK's examples, and the many servers made from them, answer 400 (`Bad Request: No
/// valid session ID provided`, `Server not initialized`).
pub fn is_session_gone(error: &ErrorData) -> bool {
    let message = error.message.to_ascii_lowercase();
    message.contains("session") || message.contains("not initialized")
}

/// Whether a refused `initialize` comes from an MCP server of another revision (unknown method,
/// bad parameters, the codes of 2026-07-28), and not from something that is no Streamable HTTP.
pub fn is_of_mcp(error: &ErrorData) -> bool {
    matches!(error.code.0, -32_602 | -32_601 | -32_022..=-32_020)
}
