//! Checks whether the server still knows the session.
//!
//! MCP 2025-11-25 (transports, session management) requires 404 for an unknown session. Real servers answer
//! 400, 401, 403, 503, or 200 with an error, each with its own text. So when a request that carries a session
//! id is refused, the bridge checks: it sends a `ping` in the same session, and if that is refused too, the
//! session is gone.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::{HeaderMap, StatusCode};
use reqwest::Response;
use tokio::time::timeout;
use url::Url;

use super::body::{self, BodyKind, REFUSAL_BYTES_MAX};
use crate::mcp::credential::AuthorizedClient;

/// The timeout of a ping. Without an answer the bridge knows nothing and keeps the session.
const PING_TIMEOUT: Duration = Duration::from_secs(5);

/// After this many refusals in a row, a session that never worked is given up.
const REFUSALS_MAX: u32 = 3;

/// A `ping` with an id that no other request uses.
const PING: &str = r#"{"jsonrpc":"2.0","id":"mcp-bridge-alive","method":"ping"}"#;

/// The health of one endpoint's session. Clones are cheap.
#[derive(Debug, Clone, Default)]
pub struct SessionHealth(Arc<SessionHealthState>);

/// The state that the clones share.
#[derive(Debug, Default)]
struct SessionHealthState {
    /// Whether a request after `initialize` got its result. A session that never worked is not replaced by a
    /// new one of the same kind.
    has_worked: AtomicBool,
    /// Whether the bridge found that the server does not know the session.
    is_gone: AtomicBool,
    /// The number of refusals in a row.
    refusals: AtomicU32,
    /// The number of open streams on which the server may send answers.
    streams: Arc<AtomicUsize>,
}

/// A stream that counts as open until this value is dropped.
#[derive(Debug)]
pub struct OpenStreamGuard(Arc<AtomicUsize>);

impl SessionHealth {
    /// Resets the state for a new session.
    pub fn begins(&self) {
        self.0.has_worked.store(false, Ordering::Relaxed);
        self.0.is_gone.store(false, Ordering::Relaxed);
    }

    /// Records that a request got its result.
    pub fn works(&self) {
        self.0.has_worked.store(true, Ordering::Relaxed);
        self.0.refusals.store(0, Ordering::Relaxed);
    }

    /// Whether any request got its result.
    pub fn has_worked(&self) -> bool {
        self.0.has_worked.load(Ordering::Relaxed)
    }

    /// Counts a refusal in a session that never worked. Returns true if there were too many.
    pub fn is_refused_again(&self) -> bool {
        self.0.refusals.fetch_add(1, Ordering::Relaxed) + 1 >= REFUSALS_MAX
    }

    /// Records that the server does not know the session.
    pub fn is_lost(&self) {
        self.0.is_gone.store(true, Ordering::Relaxed);
    }

    /// Whether the bridge found that the server does not know the session. Returns true only once.
    pub fn take_gone(&self) -> bool {
        self.0.is_gone.swap(false, Ordering::Relaxed)
    }

    /// Counts a stream as open until the guard is dropped.
    pub fn stream(&self) -> OpenStreamGuard {
        self.0.streams.fetch_add(1, Ordering::Relaxed);
        OpenStreamGuard(Arc::clone(&self.0.streams))
    }

    /// Whether an answer may arrive on a stream.
    pub fn has_stream(&self) -> bool {
        self.0.streams.load(Ordering::Relaxed) > 0
    }
}

impl Drop for OpenStreamGuard {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A request that checks whether a session is alive.
#[derive(Debug, Clone)]
pub struct SessionPing {
    /// Sends the request.
    pub courier: AuthorizedClient,
    /// The endpoint.
    pub url: Url,
    /// The headers of the refused request, including the session id.
    pub headers: HeaderMap,
}

/// The result of a ping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PingOutcome {
    /// The session is alive, or its state is unknown.
    Lives,
    /// The ping was refused with this status.
    Gone(StatusCode),
}

impl SessionPing {
    /// Sends the ping.
    pub async fn send(self) -> PingOutcome {
        let asked = timeout(PING_TIMEOUT, self.ask()).await;
        asked.unwrap_or(PingOutcome::Lives)
    }

    async fn ask(self) -> PingOutcome {
        let request = self.courier.client.post(self.url).headers(self.headers);
        let Ok(response) = self.courier.send(request.body(PING)).await else {
            return PingOutcome::Lives;
        };
        let status = response.status();
        if status == StatusCode::TOO_MANY_REQUESTS || status.is_redirection() {
            return PingOutcome::Lives;
        }
        if !status.is_success() {
            // A server that does not support ping may answer with any status. It still knows the session.
            let body = body::read_refusal(response).await;
            let error = body::json_rpc_error(&body);
            let knows_no_ping = error.is_some_and(|error| error.code.0 == -32_601);
            return if knows_no_ping {
                PingOutcome::Lives
            } else {
                PingOutcome::Gone(status)
            };
        }
        if tells_of_session(&beginning(response).await) {
            PingOutcome::Gone(status)
        } else {
            PingOutcome::Lives
        }
    }
}

/// Reads the beginning of an answer: the first event of a stream.
async fn beginning(mut response: Response) -> String {
    let is_events = BodyKind::of(&body::content_type(&response)) == BodyKind::Events;
    let mut read = Vec::new();
    while read.len() < REFUSAL_BYTES_MAX
        && let Ok(Some(chunk)) = response.chunk().await
    {
        read.extend_from_slice(&chunk);
        let ends = [b"\n\n".as_slice(), b"\r\n\r\n"];
        let is_whole = |end: &[u8]| memchr::memmem::find(&read, end).is_some();
        if is_events && ends.into_iter().any(is_whole) {
            break;
        }
    }
    String::from_utf8_lossy(&read).into_owned()
}

/// Whether an answer is an error about the session.
pub fn tells_of_session(answer: &str) -> bool {
    answer.contains("\"error\"") && !answer.contains("\"result\"") && speaks_of_session(answer)
}

/// Whether a text is about the session, or about one that was not initialized.
pub fn speaks_of_session(words: &str) -> bool {
    let words = words.to_ascii_lowercase();
    words.contains("session") || words.contains("not initialized")
}

/// Whether a refusal proves that the request did not run: it is a client error, or the ping in the session
/// was refused with the same status.
pub fn did_not_run(refused: StatusCode, pinged: StatusCode) -> bool {
    refused == pinged || refused.is_client_error()
}
