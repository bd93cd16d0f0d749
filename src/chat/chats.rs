//! [`ChatClient`]: the chats of one Open WebUI, and how a progress line is sent to them.

use std::{
    collections::HashSet,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use http::StatusCode;
use serde_json::json;
use tokio::{sync::Semaphore, time::timeout};
use tokio_util::task::TaskTracker;
use url::Url;

use crate::auth::SessionToken;

/// The time limit of a line, including the wait for its turn.
const LINE_TIMEOUT: Duration = Duration::from_secs(2);

/// The maximum number of concurrent requests, of all calls together.
const LINES_MAX: usize = 32;

/// The maximum number of calls that report progress at the same time. Further calls report none.
const TALKS_MAX: usize = 1_024;

/// How much of a response is read, in bytes. The body is `true`.
const ANSWER_BYTES_MAX: usize = 1 << 10;

/// The chats of one Open WebUI.
#[derive(Debug)]
pub struct ChatClient {
    http: reqwest::Client,
    /// `…/api/v1/chats/`. All requests go to this URL.
    pub(super) base: Url,
    pub(super) tracker: TaskTracker,
    lines: Semaphore,
    pub(super) talks: Arc<Semaphore>,
    /// The errors that were already logged.
    told: Mutex<HashSet<DeliveryError>>,
}

/// Why a line was not delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DeliveryError {
    /// Open WebUI rejected the token, or the chat belongs to another user.
    Refused(StatusCode),
    /// Open WebUI returned a status other than 200.
    Status(StatusCode),
    /// There was no response in time.
    Silent,
    /// There was no connection, or it was lost.
    Unreachable,
}

impl fmt::Display for DeliveryError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(status) => write!(
                formatter,
                "it rejects the token of a caller, or the chat belongs to another user (status {status})"
            ),
            Self::Status(status) => write!(formatter, "it returns status {status}"),
            Self::Silent => write!(formatter, "it does not respond within {LINE_TIMEOUT:?}"),
            Self::Unreachable => formatter.write_str("it cannot be reached"),
        }
    }
}

impl ChatClient {
    /// The chats of the Open WebUI at this URL. `None` if the URL cannot be a base.
    pub fn new(http: reqwest::Client, base: &Url, tracker: TaskTracker) -> Option<Self> {
        let base = base.as_str().trim_end_matches('/');
        Some(Self {
            http,
            base: Url::parse(&format!("{base}/api/v1/chats/")).ok()?,
            tracker,
            lines: Semaphore::new(LINES_MAX),
            talks: Arc::new(Semaphore::new(TALKS_MAX)),
            told: Mutex::default(),
        })
    }

    /// Sends a line to a chat.
    pub(super) async fn put(
        &self,
        (url, token): &(Url, SessionToken),
        line: &str,
        is_last: bool,
    ) -> Result<(), DeliveryError> {
        let sending = timeout(LINE_TIMEOUT, self.send(url, token, line, is_last));
        let sent = sending.await.unwrap_or(Err(DeliveryError::Silent));
        if let Err(fault) = sent {
            self.tell(fault);
        }
        sent
    }

    async fn send(
        &self,
        url: &Url,
        token: &SessionToken,
        line: &str,
        is_last: bool,
    ) -> Result<(), DeliveryError> {
        // The semaphore is never closed.
        let Ok(_turn) = self.lines.acquire().await else {
            return Err(DeliveryError::Silent);
        };
        let event = json!({ "type": "status", "data": { "description": line, "done": is_last } });
        let request = self.http.post(url.clone()).bearer_auth(token.expose());
        let sending = request.json(&event).send();
        let mut response = sending.await.map_err(|_| DeliveryError::Unreachable)?;
        match response.status() {
            StatusCode::OK => {}
            status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::NOT_FOUND) => {
                return Err(DeliveryError::Refused(status));
            }
            status => return Err(DeliveryError::Status(status)),
        }
        // After a small response is read to its end, the connection can be reused for the next
        // line.
        let mut read = 0;
        while read < ANSWER_BYTES_MAX
            && let Some(chunk) = response
                .chunk()
                .await
                .map_err(|_| DeliveryError::Unreachable)?
        {
            read += chunk.len();
        }
        Ok(())
    }

    /// Logs each kind of error once. A chat without progress lines is not important.
    fn tell(&self, fault: DeliveryError) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.insert(fault) {
            tracing::warn!(
                "cannot show the progress of calls in Open WebUI's chats: {fault}; this is not logged again"
            );
        }
    }
}
