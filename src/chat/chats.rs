//! [`Chats`]: the chats of one Open WebUI, and how a line gets into them.

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

use super::{
    place::Place,
    teller::{Talk, Teller},
};
use crate::{auth::SessionToken, secret::Redactor};

/// How long a line may take, from the wait for its turn to the answer.
const LINE_TIMEOUT: Duration = Duration::from_secs(2);

/// Lines on their way at once, of all calls together.
const LINES_MAX: usize = 32;

/// Calls that are followed at once; the others are not told of.
const TALKS_MAX: usize = 1_024;

/// How much of an answer is read, in bytes: it is `true`.
const ANSWER_BYTES_MAX: usize = 1 << 10;

/// The chats of one Open WebUI.
#[derive(Debug)]
pub struct Chats {
    http: reqwest::Client,
    /// `…/api/v1/chats/`, the only place that anything is sent to.
    base: Url,
    tracker: TaskTracker,
    lines: Semaphore,
    talks: Arc<Semaphore>,
    /// What was logged already.
    told: Mutex<HashSet<Fault>>,
}

/// Why a line is not in its chat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// Nobody may write there: the token does not count, or the chat is another's.
    Refused(StatusCode),
    /// Another status than 200.
    Status(StatusCode),
    /// No answer in time.
    Silent,
    /// No connection, or none that lasts.
    Unreachable,
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(status) => write!(
                formatter,
                "it refuses the token of a caller, or the chat is another's (status {status})"
            ),
            Self::Status(status) => write!(formatter, "it answers with status {status}"),
            Self::Silent => write!(formatter, "it does not answer within {LINE_TIMEOUT:?}"),
            Self::Unreachable => formatter.write_str("it cannot be reached"),
        }
    }
}

impl Chats {
    /// Those of the Open WebUI at a URL. `None`: the URL can be nobody's base.
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

    /// Follows a call of a tool: what its [`Talk`] hears gets into the chat, with the caller's own
    /// token. `None` while too many calls are followed.
    pub fn follow(
        self: &Arc<Self>,
        place: &Place,
        token: SessionToken,
        tool: &str,
        redactor: &Redactor,
    ) -> Option<Talk> {
        let turn = Arc::clone(&self.talks).try_acquire_owned().ok()?;
        let url = format!("{}/messages/{}/event", place.chat, place.message);
        let url = self.base.join(&url).ok()?;
        let (talk, followed) = Talk::begin();
        let teller = Teller::new(Arc::clone(self), (url, token), tool, redactor.clone());
        self.tracker.spawn(async move {
            teller.run(followed).await;
            drop(turn);
        });
        Some(talk)
    }

    /// Puts a line into a chat.
    pub(super) async fn put(
        &self,
        (url, token): &(Url, SessionToken),
        line: &str,
        is_last: bool,
    ) -> Result<(), Fault> {
        let sending = timeout(LINE_TIMEOUT, self.send(url, token, line, is_last));
        let sent = sending.await.unwrap_or(Err(Fault::Silent));
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
    ) -> Result<(), Fault> {
        // Never closed.
        let Ok(_turn) = self.lines.acquire().await else {
            return Err(Fault::Silent);
        };
        let event = json!({ "type": "status", "data": { "description": line, "done": is_last } });
        let request = self.http.post(url.clone()).bearer_auth(token.expose());
        let sending = request.json(&event).send();
        let mut response = sending.await.map_err(|_| Fault::Unreachable)?;
        match response.status() {
            StatusCode::OK => {}
            status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::NOT_FOUND) => {
                return Err(Fault::Refused(status));
            }
            status => return Err(Fault::Status(status)),
        }
        // Read to its end, a small answer leaves the connection for the next line.
        let mut read = 0;
        while read < ANSWER_BYTES_MAX
            && let Some(chunk) = response.chunk().await.map_err(|_| Fault::Unreachable)?
        {
            read += chunk.len();
        }
        Ok(())
    }

    /// Logs each kind of fault once: a chat without lines is no news.
    fn tell(&self, fault: Fault) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.insert(fault) {
            tracing::warn!(
                "progress of calls is not shown in Open WebUI's chats: {fault}; this is not logged again"
            );
        }
    }
}
