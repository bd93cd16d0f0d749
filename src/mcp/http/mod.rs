//! Streamable HTTP (MCP 2025-03-26 and later) through rmcp's transport, with a custom client.
//!
//! Defaults of rmcp that do not suit a bridge are changed: connections are reused, requests run in parallel,
//! a broken stream is resumed only a few times, all answers have the same size limit, and tool results pass
//! as text.

mod alive;
mod answers;
mod body;
mod client;
mod endpoint;
mod events;
mod failure;
mod message;
mod pace;
mod threads;

use std::{sync::Arc, time::Duration};

use rmcp::transport::{
    StreamableHttpClientTransport, common::client_side_sse::ExponentialBackoff,
    streamable_http_client::StreamableHttpClientTransportConfig,
};

pub use client::{guarded_client, http_client, install_tls};
pub use endpoint::HttpEndpoint;
pub use failure::{LastTransportError, call_error, connect_error, unsent};

pub(super) use super::preview::preview;
pub(super) use alive::{PingOutcome, SessionPing, speaks_of_session};
pub(super) use body::{
    BodyKind, REFUSAL_BYTES_MAX, content_type, json_rpc_error, read, read_refusal, refused_by_body,
    refused_by_head, refused_by_status,
};
pub(super) use client::{header_map, join_same_origin};
#[cfg(fuzzing)]
pub use events::frames_of;
pub(super) use events::{StreamItem, frames};
pub(super) use failure::TransportError;
pub(super) use message::{CallHeaders, is_session_gone, passed_into};
pub(super) use threads::send;

use super::{credential::AuthorizedClient, error::ConnectError, unasked::UnsolicitedMessages};
use crate::{config::RemoteSettings, secret::Redactor};

/// The maximum number of concurrent requests whose answers have not begun. Further requests wait. The bridge
/// has its own limit.
const REQUESTS_MAX: usize = 256;

/// How long a new session may take after the server ended the old one, and how long to wait for the calls of
/// the old one.
const RECOVERY: Duration = Duration::from_secs(10);

/// rmcp's transport with the custom client.
pub type HttpTransport = StreamableHttpClientTransport<HttpEndpoint>;

/// Prepares the transport to a remote server. Nothing is sent before rmcp's `serve`. What the server sends
/// unasked goes to `unasked`, which also limits the size of an answer. The [`LastTransportError`] is for
/// [`connect_error`]. Must be called inside a runtime. Fails if a header cannot be sent.
pub fn transport(
    courier: &AuthorizedClient,
    remote: &RemoteSettings,
    unasked: &UnsolicitedMessages,
    redactor: &Redactor,
) -> Result<(HttpTransport, LastTransportError), ConnectError> {
    let headers = header_map(&remote.headers)?;
    let endpoint = HttpEndpoint::new(
        courier.clone(),
        remote.url.clone(),
        headers,
        unasked.clone(),
        redactor.clone(),
    );
    let last = endpoint.last_failure();
    let mut resume = ExponentialBackoff::default();
    resume.max_times = Some(4);
    resume.base_duration = Duration::from_millis(500);
    resume.max_delay = Some(Duration::from_secs(4));
    let mut config = StreamableHttpClientTransportConfig::with_uri(remote.url.as_str())
        .max_concurrent_requests(REQUESTS_MAX)
        .session_recovery_timeout(RECOVERY)
        .max_sse_event_size(unasked.bounds().result_bytes_max);
    config.retry_config = Arc::new(resume);
    Ok((HttpTransport::with_client(endpoint, config), last))
}

/// Whether a refused Streamable HTTP `initialize` means that the deprecated HTTP+SSE should be tried at the
/// same URL (MCP 2025-11-25, transports, backwards compatibility).
pub fn suggests_sse(error: &ConnectError) -> bool {
    matches!(
        error,
        ConnectError::Http(400 | 404..=406 | 415 | 422 | 501, _)
    )
}

#[cfg(test)]
pub(super) mod testing;
#[cfg(test)]
mod tests;
