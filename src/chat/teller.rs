//! [`ProgressFeed`] belongs to a call; [`ProgressReporter`] is the task that reports its progress.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{oneshot, watch},
    time::timeout,
};
use url::Url;

use super::{
    chats::{ChatClient, DeliveryError},
    line::line,
    place::MessageRef,
};
use crate::{
    auth::SessionToken,
    mcp::{ProgressMessage, ProgressSink},
    secret::Redactor,
};

/// A call that ends sooner than this gets no lines.
const PATIENCE: Duration = Duration::from_millis(250);

/// The minimum time between two lines. Progress in between is skipped in favor of the latest.
const PACE: Duration = Duration::from_secs(1);

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProgressEnd {
    /// With a result.
    Done,
    /// With an error.
    Failed,
    /// It timed out.
    TimedOut,
    /// The caller no longer waits for it.
    Stopped,
}

/// A call that reports progress. If it is dropped before [`ProgressFeed::end`], the call was stopped.
#[derive(Debug)]
pub struct ProgressFeed {
    /// Receives the server's progress.
    ear: Arc<ProgressSink>,
    /// Sends how the call ended.
    end: oneshot::Sender<ProgressEnd>,
}

/// The receiving side of a [`ProgressFeed`].
#[derive(Debug)]
pub(super) struct FeedReceiver {
    heard: watch::Receiver<ProgressMessage>,
    ended: oneshot::Receiver<ProgressEnd>,
}

/// Sends the progress lines of one call.
#[derive(Debug)]
pub(super) struct ProgressReporter {
    chats: Arc<ChatClient>,
    /// The URL, and the token to use.
    to: (Url, SessionToken),
    tool: String,
    redactor: Redactor,
    /// The last line, if there is one, even if it was not delivered.
    last: Option<String>,
    /// Whether the last line failed.
    is_faulty: bool,
}

/// No line of this call can be delivered.
#[derive(Debug, PartialEq, Eq)]
struct UndeliverableError;

impl ChatClient {
    /// Reports the progress of a tool call: what its [`ProgressFeed`] receives is sent to the chat with the
    /// caller's own token. `None` while too many calls report progress.
    pub fn follow(
        self: &Arc<Self>,
        place: &MessageRef,
        token: SessionToken,
        tool: &str,
        redactor: &Redactor,
    ) -> Option<ProgressFeed> {
        let turn = Arc::clone(&self.talks).try_acquire_owned().ok()?;
        let url = format!("{}/messages/{}/event", place.chat, place.message);
        let url = self.base.join(&url).ok()?;
        let (talk, followed) = ProgressFeed::begin();
        let teller = ProgressReporter::new(Arc::clone(self), (url, token), tool, redactor.clone());
        self.tracker.spawn(async move {
            teller.run(followed).await;
            drop(turn);
        });
        Some(talk)
    }
}

impl ProgressFeed {
    /// Starts with a call.
    pub(super) fn begin() -> (Self, FeedReceiver) {
        let (ear, heard) = ProgressSink::new();
        let (end, ended) = oneshot::channel();
        (Self { ear, end }, FeedReceiver { heard, ended })
    }

    /// Receives the server's progress.
    pub fn progress_sink(&self) -> &Arc<ProgressSink> {
        &self.ear
    }

    /// Reports how the call ended. Does not wait.
    pub fn end(self, end: ProgressEnd) {
        if self.end.send(end).is_err() {
            tracing::debug!("the task that reports the progress of this call has ended");
        }
    }
}

impl ProgressEnd {
    /// The text in the last line.
    fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::TimedOut => "timed out",
            Self::Stopped => "stopped",
        }
    }
}

impl ProgressReporter {
    /// Creates the reporter of a tool call.
    pub(super) fn new(
        chats: Arc<ChatClient>,
        to: (Url, SessionToken),
        tool: &str,
        redactor: Redactor,
    ) -> Self {
        Self {
            chats,
            to,
            tool: tool.to_owned(),
            redactor,
            last: None,
            is_faulty: false,
        }
    }

    /// Reports progress until the call ends, and then its end: a chat with an open line would show
    /// a spinner forever. After the call at most two lines are sent, each with its own timeout.
    pub(super) async fn run(mut self, mut followed: FeedReceiver) {
        let FeedReceiver { heard, ended } = &mut followed;
        if timeout(PATIENCE, &mut *ended).await.is_ok() {
            return;
        }
        let end = loop {
            tokio::select! {
                biased;
                end = &mut *ended => break end,
                // The call holds the sender. If that is gone, the call has ended.
                Ok(()) = heard.changed() => {}
            }
            // Do not abort a line when the call ends: if it arrived after the last line, the chat
            // would show a spinner forever.
            if self.tell(heard).await == Err(UndeliverableError) {
                return;
            }
            if let Ok(end) = timeout(PACE, &mut *ended).await {
                break end;
            }
        };
        // Send the latest progress, unless the previous line failed.
        if !self.is_faulty && self.tell(heard).await == Err(UndeliverableError) {
            return;
        }
        self.close(end.unwrap_or(ProgressEnd::Stopped)).await;
    }

    /// Sends the latest progress if it is new.
    async fn tell(
        &mut self,
        heard: &mut watch::Receiver<ProgressMessage>,
    ) -> Result<(), UndeliverableError> {
        let line = line(&self.tool, &heard.borrow_and_update(), &self.redactor);
        if line.is_empty() || self.last.as_ref() == Some(&line) {
            return Ok(());
        }
        let put = self.chats.put(&self.to, &line, false).await;
        self.last = Some(line);
        self.is_faulty = put.is_err();
        match put {
            Err(DeliveryError::Refused(_)) => Err(UndeliverableError),
            // The next line may be delivered.
            Ok(())
            | Err(DeliveryError::Status(_) | DeliveryError::Silent | DeliveryError::Unreachable) => {
                Ok(())
            }
        }
    }

    /// Reports the end, if progress was reported before.
    async fn close(&self, end: ProgressEnd) {
        if self.last.is_none() {
            return;
        }
        let line = format!("{}: {}", self.tool, end.as_str());
        if let Err(fault) = self.chats.put(&self.to, &line, true).await {
            tracing::debug!(%fault, "cannot close the progress line in a chat");
        }
    }
}
