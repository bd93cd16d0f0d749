//! Errors of connects and calls. Other modules branch on them.

use std::time::Duration;

use serde_json::Value;

use crate::error_code::ErrorCode;

/// Why a connect failed. `Display` becomes the reason of the status in lists and on the admin page.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ConnectError {
    /// The program cannot be started.
    #[error("cannot start `{command}`: {reason}")]
    Spawn {
        /// The program.
        command: String,
        /// The operating system's error.
        reason: String,
    },
    /// The program exited during the handshake.
    #[error("the server ended during the handshake ({exit}){last_words}")]
    Exited {
        /// `exit status: 1`, or the signal.
        exit: String,
        /// `: ` and the last line on its stderr, or nothing.
        last_words: String,
    },
    /// Connection refused, unknown host or TLS failure.
    #[error("cannot reach the server: {0}")]
    Unreachable(String),
    /// The handshake exceeded `connect_timeout`.
    #[error("no answer to `{step}` within {}", humantime::format_duration(*.after))]
    Timeout {
        /// The step that timed out: `initialize` or `tools/list`.
        step: &'static str,
        /// The timeout.
        after: Duration,
    },
    /// The server rejected the credentials.
    #[error("the server refused the bridge's credentials (HTTP {0}){1}")]
    Auth(u16, String),
    /// There is no token for the request.
    #[error(transparent)]
    NoToken(TokenError),
    /// An unexpected HTTP status.
    #[error("the server answered HTTP {0}{1}")]
    Http(u16, String),
    /// The server answered a step of the handshake with a JSON-RPC error.
    #[error("the server refused `{step}`: {message} ({code})")]
    Refused {
        /// The step.
        step: &'static str,
        /// The JSON-RPC code.
        code: i64,
        /// The server's message.
        message: String,
        /// The protocol versions that the server lists as supported, if any.
        supported: Vec<String>,
    },
    /// The answer is not MCP.
    #[error("the server does not speak MCP: {0}")]
    Protocol(String),
    /// The connection closed during a step of the handshake.
    #[error("the server closed the connection during `{0}`")]
    Closed(&'static str),
    /// The tool list, or the OpenAPI document, is too large.
    #[error(
        "{what} is too large: with all its pages it may have {bytes_max} bytes, and fewer where they are \
         many small values; if you trust the server, raise `tools_bytes_max` in `[limits]`"
    )]
    TooLarge {
        /// `its tool list`, `its OpenAPI document`.
        what: &'static str,
        /// The limit, in bytes.
        bytes_max: usize,
    },
    /// The bridge ended the session because of what the server sent.
    #[error("the session was ended: {0}")]
    Ended(&'static str),
}

/// Why a call failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CallError {
    /// The server answered with a JSON-RPC error.
    #[error("{message} ({code})")]
    Rpc {
        /// The JSON-RPC code.
        code: i64,
        /// The server's message.
        message: String,
        /// The server's `data`, if any.
        data: Option<Value>,
    },
    /// The call timed out. The bridge told the server to cancel it.
    #[error("no answer within {}", humantime::format_duration(*.0))]
    Timeout(Duration),
    /// The connection was lost during the call: the server may have acted on it.
    #[error("the connection to the server was lost during the call")]
    Lost,
    /// The call was not sent. A retry is safe.
    #[error("the call did not reach the server: {0}")]
    NotSent(String),
    /// The server rejected the credentials or this call (HTTP 401 or 403). The text is empty or has the form
    /// `: message`.
    #[error("the server refused {what} (HTTP {0}){1}", what = refused(*.0, .1))]
    Auth(u16, String),
    /// There is no token for the call, or the token lacks scopes.
    #[error(transparent)]
    NoToken(TokenError),
    /// The server limits the rate of calls (HTTP 429).
    #[error("the server asks for fewer calls (HTTP 429)")]
    RateLimited {
        /// Its `Retry-After`, as sent.
        retry_after: Option<String>,
    },
    /// An unexpected HTTP status. The server's text is empty or has the form `: message`.
    #[error("the server answered HTTP {0}{1}")]
    Http(u16, String),
    /// The answer is larger than the limit, in bytes.
    #[error("the answer is larger than {0} bytes")]
    TooLarge(usize),
    /// The answer is not a valid answer to a call.
    #[error("the server's answer is not valid MCP: {0}")]
    Protocol(String),
}

impl CallError {
    /// Returns the `code` of the answer.
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

/// Why the bridge has no token for a request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// A login is required: the user has not logged in yet, or the login has expired.
    #[error("{0}")]
    NeedsLogin(String),
    /// The token is valid but lacks scopes for this call (RFC 6750 `insufficient_scope`). The user has to log
    /// in again for these scopes.
    #[error("{0}")]
    NeedsScope(String),
    /// The server issues no token and a login cannot help: its settings are wrong.
    #[error("{0}")]
    Refused(String),
    /// A retry may succeed: the token endpoint or the database does not answer.
    #[error("{0}")]
    Unavailable(String),
}

/// Names what the server refused: the call if it explained a 403, the credentials otherwise.
fn refused(status: u16, words: &str) -> &'static str {
    if status == 403 && !words.is_empty() {
        "the call"
    } else {
        "the bridge's credentials"
    }
}
