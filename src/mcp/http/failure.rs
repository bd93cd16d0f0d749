//! Failures of requests to a remote server, and their meaning for a call or a connect.
//!
//! One question is critical: may the request have reached the server? [`TransportError::NotSent`] is only for
//! requests that provably did not.

use std::{
    error::Error,
    sync::{Arc, Mutex, PoisonError},
};

use rmcp::{
    model::{ErrorCode, ErrorData},
    service::{ClientInitializeError, ServiceError},
    transport::{DynamicTransportError, streamable_http_client::StreamableHttpError},
};
use serde_json::Value;

use super::super::{
    decode::{TOO_LARGE, UNREADABLE},
    error::{CallError, ConnectError, TokenError},
};

/// The maximum number of versions that are read from an error.
const SUPPORTED_MAX: usize = 16;

/// rmcp's message for calls that were in flight when a session was replaced.
const REPLACED: &str = "streamable HTTP session was re-initialized before the response arrived";

/// The bridge's JSON-RPC error code for a call that was refused because the server no longer knows the
/// session.
pub const GONE: ErrorCode = ErrorCode(-32_092);

/// Why a request to a remote server has no answer. Both MCP transports here use this error type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TransportError {
    /// The request was not sent: connection refused, unknown host, TLS failure, connect timeout, or unknown
    /// session.
    #[error("{0}")]
    NotSent(String),
    /// The connection was lost. The server may have acted on the request.
    #[error("{0}")]
    Lost(String),
    /// HTTP 401 or 403. The server's text is empty or has the form `: message`.
    #[error("HTTP {0}{1}")]
    Auth(u16, String),
    /// There is no token, so nothing was sent; or the server requires one with more scopes.
    #[error(transparent)]
    NoToken(#[from] TokenError),
    /// HTTP 429.
    #[error("HTTP 429")]
    RateLimited {
        /// `Retry-After`, as sent.
        retry_after: Option<String>,
    },
    /// Another error status, with a hint for the operator that is empty or has the form `: message`.
    #[error("HTTP {0}{1}")]
    Http(u16, String),
    /// The body is larger than this many bytes.
    #[error("the answer is larger than {0} bytes")]
    TooLarge(usize),
    /// The body does not follow the protocol.
    #[error("{0}")]
    Protocol(String),
}

impl From<reqwest::Error> for TransportError {
    fn from(error: reqwest::Error) -> Self {
        let unsent = error.is_connect() || error.is_builder();
        let host = error
            .url()
            .and_then(|url| {
                let port = url.port().map(|port| format!(":{port}"));
                Some(format!(
                    "`{}{}`: ",
                    url.host_str()?,
                    port.unwrap_or_default()
                ))
            })
            .unwrap_or_default();
        let reason = if error.is_connect() && error.is_timeout() {
            "the connect timed out".to_owned()
        } else {
            innermost(&error)
        };
        if unsent {
            Self::NotSent(format!("{host}{reason}"))
        } else {
            Self::Lost(reason)
        }
    }
}

impl TransportError {
    /// Converts the failure to the error of a call.
    pub fn into_call_error(self) -> CallError {
        match self {
            Self::NotSent(reason) => CallError::NotSent(reason),
            Self::Lost(_) => CallError::Lost,
            Self::Auth(status, words) => CallError::Auth(status, words),
            Self::NoToken(why) => CallError::NoToken(why),
            Self::RateLimited { retry_after } => CallError::RateLimited { retry_after },
            Self::Http(status, words) => CallError::Http(status, words),
            Self::TooLarge(limit) => CallError::TooLarge(limit),
            Self::Protocol(reason) => CallError::Protocol(reason),
        }
    }

    /// Converts the failure to the error of a connect.
    pub fn into_connect_error(self) -> ConnectError {
        match self {
            Self::NotSent(reason) | Self::Lost(reason) => ConnectError::Unreachable(reason),
            Self::Auth(status, words) => ConnectError::Auth(status, words),
            Self::NoToken(why) => ConnectError::NoToken(why),
            Self::RateLimited { retry_after } => ConnectError::Http(
                429,
                retry_after
                    .map(|wait| format!(": retry after {wait}"))
                    .unwrap_or_default(),
            ),
            Self::Http(status, hint) => ConnectError::Http(status, hint),
            too_large @ Self::TooLarge(_) => ConnectError::Protocol(too_large.to_string()),
            Self::Protocol(reason) => ConnectError::Protocol(reason),
        }
    }

    /// Finds the failure behind a transport error.
    fn behind(error: &DynamicTransportError) -> Self {
        if let Some(failure) = error.error.downcast_ref::<Self>() {
            return failure.clone();
        }
        match error.error.downcast_ref::<StreamableHttpError<Self>>() {
            Some(error) => Self::of_streamable(error),
            None => Self::Lost(error.error.to_string()),
        }
    }

    /// Converts rmcp's error.
    fn of_streamable(error: &StreamableHttpError<Self>) -> Self {
        match error {
            StreamableHttpError::Client(failure) => failure.clone(),
            StreamableHttpError::AuthRequired(_) => Self::Auth(401, String::new()),
            StreamableHttpError::InsufficientScope(_) => Self::Auth(403, String::new()),
            // The server answered 404, so it did not process the request.
            StreamableHttpError::SessionExpired => {
                Self::NotSent("the server ended the session".to_owned())
            }
            StreamableHttpError::ReinitializationFailed(refusal) => Self::NotSent(format!(
                "the server ended the session and refused a new one: {}",
                refusal.message
            )),
            StreamableHttpError::UnexpectedServerResponse(reason) => {
                Self::Protocol(reason.clone().into_owned())
            }
            StreamableHttpError::Deserialize(error) => Self::Protocol(error.to_string()),
            other => Self::Lost(other.to_string()),
        }
    }
}

/// The last failure of a connection, for the cases where rmcp reports only that it closed.
#[derive(Debug, Clone, Default)]
pub struct LastTransportError(Arc<Mutex<Option<TransportError>>>);

impl LastTransportError {
    /// Records a failure and returns it.
    pub fn note(&self, failure: TransportError) -> TransportError {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(failure.clone());
        failure
    }

    /// Returns the last failure.
    pub fn get(&self) -> Option<TransportError> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// Converts an error of the service loop to the error of a call over a remote transport. `result_bytes_max`
/// is the limit of the transport.
pub fn call_error(error: ServiceError, result_bytes_max: usize) -> CallError {
    match error {
        ServiceError::McpError(error) => answered(error, result_bytes_max),
        ServiceError::TransportSend(error) => TransportError::behind(&error).into_call_error(),
        ServiceError::Timeout { timeout } => CallError::Timeout(timeout),
        ServiceError::UnexpectedResponse => {
            CallError::Protocol("it answers another request".to_owned())
        }
        _ => CallError::Lost,
    }
}

/// Converts the failure to send a request of the handshake.
pub fn unsent(error: &DynamicTransportError) -> ConnectError {
    TransportError::behind(error).into_connect_error()
}

/// Converts a failed handshake over a remote transport. `last` is the last failure that the transport saw.
pub fn connect_error(error: ClientInitializeError, last: &LastTransportError) -> ConnectError {
    match error {
        ClientInitializeError::TransportError { error, .. } => {
            // A closed channel does not explain the failure; what the transport saw before does.
            let seen = last.get().filter(|_| is_closed(&error));
            seen.unwrap_or_else(|| TransportError::behind(&error))
                .into_connect_error()
        }
        ClientInitializeError::JsonRpcError(error) if error.code == UNREADABLE => {
            ConnectError::Protocol(format!("its answer to `initialize`: {}", error.message))
        }
        ClientInitializeError::JsonRpcError(error) => ConnectError::Refused {
            step: "initialize",
            code: i64::from(error.code.0),
            supported: supported(error.data.as_ref()),
            message: error.message.into_owned(),
        },
        ClientInitializeError::ConnectionClosed(_) => last.get().map_or(
            ConnectError::Closed("initialize"),
            TransportError::into_connect_error,
        ),
        ClientInitializeError::LegacyFallbackFailed { fallback, .. } => {
            connect_error(*fallback, last)
        }
        ClientInitializeError::ExpectedInitResponse(_)
        | ClientInitializeError::ExpectedInitResult(_) => {
            ConnectError::Protocol("its answer to `initialize` has the wrong type".to_owned())
        }
        other => ConnectError::Protocol(other.to_string()),
    }
}

/// Returns the protocol versions in the data of an error (MCP 2025-11-25, lifecycle, error handling).
fn supported(data: Option<&Value>) -> Vec<String> {
    let named = data.and_then(|data| {
        data.get("supported")
            .or_else(|| data.get("supportedVersions"))
    });
    let named = named.and_then(Value::as_array).into_iter().flatten();
    let versions = named.filter_map(Value::as_str).take(SUPPORTED_MAX);
    versions.map(str::to_owned).collect()
}

/// Whether rmcp only reports that its own channel is closed.
fn is_closed(error: &DynamicTransportError) -> bool {
    let error = error
        .error
        .downcast_ref::<StreamableHttpError<TransportError>>();
    matches!(error, Some(StreamableHttpError::TransportChannelClosed))
}

/// Converts a JSON-RPC error. It comes from the server, unless the transport built it.
fn answered(error: ErrorData, result_bytes_max: usize) -> CallError {
    if error.code == TOO_LARGE {
        return CallError::TooLarge(result_bytes_max);
    }
    if error.code == UNREADABLE {
        return CallError::Protocol(error.message.into_owned());
    }
    if error.code == GONE {
        return CallError::NotSent(error.message.into_owned());
    }
    if error.code == ErrorCode::INTERNAL_ERROR && error.message == REPLACED {
        return CallError::Lost;
    }
    CallError::Rpc {
        code: i64::from(error.code.0),
        message: error.message.into_owned(),
        data: error.data.filter(|data| *data != Value::Null),
    }
}

/// Returns the innermost cause. The errors above it read `error sending request for url (…)`, and the URL may
/// contain a key.
fn innermost(error: &reqwest::Error) -> String {
    let mut cause: &dyn Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    if std::ptr::addr_eq(cause, error) {
        return "the request failed".to_owned();
    }
    cause.to_string()
}
