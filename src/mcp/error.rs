//! What can go wrong between us and a server, in words that somebody branches on.

use std::time::Duration;

use serde_json::Value;

use super::credential::NoToken;

use crate::error_code::ErrorCode;

/// Why no session came about. `Display` is the status' reason in lists and on the admin page.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ConnectError {
    /// The program cannot be started.
    #[error("cannot start `{command}`: {reason}")]
    Spawn {
        /// The program.
        command: String,
        /// What the system said.
        reason: String,
    },
    /// The program ended before the handshake was over.
    #[error("the server ended during the handshake ({exit}){last_words}")]
    Exited {
        /// `exit status: 1`, or the signal.
        exit: String,
        /// `: ` and the last line on its stderr, or nothing.
        last_words: String,
    },
    /// Nothing listens, no such host, TLS failure.
    #[error("cannot reach the server: {0}")]
    Unreachable(String),
    /// The handshake took longer than `connect_timeout`.
    #[error("no answer to `{step}` within {}", humantime::format_duration(*.after))]
    Timeout {
        /// The step that got no answer: `initialize`, `tools/list`.
        step: &'static str,
        /// The limit.
        after: Duration,
    },
    /// The server wants other credentials.
    #[error("the server refused our credentials (HTTP {0}){1}")]
    Auth(u16, String),
    /// There is no token to show.
    #[error(transparent)]
    NoToken(NoToken),
    /// An HTTP status that is no answer.
    #[error("the server answered HTTP {0}{1}")]
    Http(u16, String),
    /// The server answered a step of the handshake with a JSON-RPC error.
    #[error("the server refused `{step}`: {message} ({code})")]
    Refused {
        /// The step.
        step: &'static str,
        /// JSON-RPC code.
        code: i64,
        /// The server's words.
        message: String,
        /// The protocol versions that it says it supports, where it does.
        supported: Vec<String>,
    },
    /// What came back is no MCP.
    #[error("the server does not speak MCP: {0}")]
    Protocol(String),
    /// The connection ended during a step of the handshake.
    #[error("the server closed the connection during `{0}`")]
    Closed(&'static str),
    /// The list of tools, or the document in place of one, is too large to be read.
    #[error(
        "{what} is too large: with all its pages it may have {bytes_max} bytes, and fewer where they are \
         many small values; if you trust the server, raise `tools_bytes_max` in `[limits]`"
    )]
    TooLarge {
        /// `its tool list`, `its OpenAPI document`.
        what: &'static str,
        /// The bound, in bytes.
        bytes_max: usize,
    },
    /// The bridge ended the session because of what the server sent.
    #[error("the session was ended: {0}")]
    Ended(&'static str),
}

/// Why a call has no result.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CallError {
    /// The server answered with a JSON-RPC error.
    #[error("{message} ({code})")]
    Rpc {
        /// JSON-RPC code.
        code: i64,
        /// The server's words.
        message: String,
        /// The server's `data`, if any.
        data: Option<Value>,
    },
    /// No answer in time; the server was told to cancel.
    #[error("no answer within {}", humantime::format_duration(*.0))]
    Timeout(Duration),
    /// The connection ended while the call was on its way: the server may have acted on it.
    #[error("the connection to the server was lost during the call")]
    Lost,
    /// The call never left: repeating it is safe.
    #[error("the call did not reach the server: {0}")]
    NotSent(String),
    /// The server refused our credentials, or this call (HTTP 401 or 403), with its words, empty or like
    /// `: words`.
    #[error("the server refused {what} (HTTP {0}){1}", what = refused(*.0, .1))]
    Auth(u16, String),
    /// There is no token to show, or none that reaches far enough.
    #[error(transparent)]
    NoToken(NoToken),
    /// The server wants fewer calls (HTTP 429).
    #[error("the server asks for fewer calls (HTTP 429)")]
    RateLimited {
        /// Its `Retry-After`, as sent.
        retry_after: Option<String>,
    },
    /// An HTTP status that is no answer, with the server's words, empty or like `: words`.
    #[error("the server answered HTTP {0}{1}")]
    Http(u16, String),
    /// The answer is larger than the limit, in bytes.
    #[error("the answer is larger than {0} bytes")]
    TooLarge(usize),
    /// What came back is no answer to a call.
    #[error("the server's answer is no MCP: {0}")]
    Protocol(String),
}

impl CallError {
    /// For programs: the `code` of the answer.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Rpc { .. } => ErrorCode::ServerError,
            Self::Timeout(_) => ErrorCode::Timeout,
            Self::Lost => ErrorCode::UpstreamClosed,
            Self::NotSent(_) => ErrorCode::Unavailable,
            Self::Auth(..) | Self::NoToken(_) => ErrorCode::UpstreamAuth,
            Self::RateLimited { .. } => ErrorCode::RateLimited,
            Self::TooLarge(_) => ErrorCode::ResultTooLarge,
            Self::Http(..) | Self::Protocol(_) => ErrorCode::UpstreamError,
        }
    }
}

/// What a server refuses: it is about the call where it says why it forbids it.
fn refused(status: u16, words: &str) -> &'static str {
    if status == 403 && !words.is_empty() {
        "the call"
    } else {
        "our credentials"
    }
}
