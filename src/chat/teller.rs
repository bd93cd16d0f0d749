//! [`Talk`], which goes with a call, and the [`Teller`], the task that tells of it.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{oneshot, watch},
    time::timeout,
};
use url::Url;

use super::{
    chats::{Chats, Fault},
    line::line,
};
use crate::{
    auth::SessionToken,
    mcp::{Ear, Progress},
    secret::Redactor,
};

/// A call that is over sooner than this needs no lines.
const PATIENCE: Duration = Duration::from_millis(250);

/// At most a line in so long; what is said in between is left out for what is said last.
const PACE: Duration = Duration::from_secs(1);

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// With a result.
    Done,
    /// With an error.
    Failed,
    /// It took too long.
    TimedOut,
    /// Nobody waits for it any more.
    Stopped,
}

/// A call that is followed. Dropped before its end is told, it was stopped.
#[derive(Debug)]
pub struct Talk {
    /// Hears what the server says.
    ear: Arc<Ear>,
    /// Tells how it ended.
    end: oneshot::Sender<End>,
}

/// The other side of a [`Talk`].
#[derive(Debug)]
pub(super) struct Followed {
    heard: watch::Receiver<Progress>,
    ended: oneshot::Receiver<End>,
}

/// Writes the lines of one call.
#[derive(Debug)]
pub(super) struct Teller {
    chats: Arc<Chats>,
    /// Where, and as whom.
    to: (Url, SessionToken),
    tool: String,
    redactor: Redactor,
    /// The last line, once there is one; also one that may not have arrived.
    last: Option<String>,
    /// Whether that one met a fault.
    is_faulty: bool,
}

/// No line of this call can be written.
#[derive(Debug, PartialEq, Eq)]
struct Gone;

impl Talk {
    /// A call that begins.
    pub(super) fn begin() -> (Self, Followed) {
        let (ear, heard) = Ear::new();
        let (end, ended) = oneshot::channel();
        (Self { ear, end }, Followed { heard, ended })
    }

    /// Hears what the server says.
    pub fn ear(&self) -> &Arc<Ear> {
        &self.ear
    }

    /// Tells how the call ended; does not wait.
    pub fn end(self, end: End) {
        if self.end.send(end).is_err() {
            tracing::debug!("nobody tells of this call any more");
        }
    }
}

impl End {
    /// As a line says it.
    fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::TimedOut => "timed out",
            Self::Stopped => "stopped",
        }
    }
}

impl Teller {
    /// Tells of a call of a tool, there and as them.
    pub(super) fn new(
        chats: Arc<Chats>,
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

    /// Tells of the call until it is over, and then that it is: a chat with an open line would spin
    /// for ever. After the call there are two lines at most, each with its own time limit.
    pub(super) async fn run(mut self, mut followed: Followed) {
        let Followed { heard, ended } = &mut followed;
        if timeout(PATIENCE, &mut *ended).await.is_ok() {
            return;
        }
        let end = loop {
            tokio::select! {
                biased;
                end = &mut *ended => break end,
                // The call holds the other end: gone, it is over.
                Ok(()) = heard.changed() => {}
            }
            // Not cut short by the end: a line that comes after the last one would stay open.
            if self.tell(heard).await == Err(Gone) {
                return;
            }
            if let Ok(end) = timeout(PACE, &mut *ended).await {
                break end;
            }
        };
        // What was said last is told, unless it would only wait for a fault once more.
        if !self.is_faulty && self.tell(heard).await == Err(Gone) {
            return;
        }
        self.close(end.unwrap_or(End::Stopped)).await;
    }

    /// Tells what was said last, if that is new.
    async fn tell(&mut self, heard: &mut watch::Receiver<Progress>) -> Result<(), Gone> {
        let line = line(&self.tool, &heard.borrow_and_update(), &self.redactor);
        if line.is_empty() || self.last.as_ref() == Some(&line) {
            return Ok(());
        }
        let put = self.chats.put(&self.to, &line, false).await;
        self.last = Some(line);
        self.is_faulty = put.is_err();
        match put {
            Err(Fault::Refused(_)) => Err(Gone),
            // The next one may arrive.
            Ok(()) | Err(Fault::Status(_) | Fault::Silent | Fault::Unreachable) => Ok(()),
        }
    }

    /// Tells that it is over, if it was told that it runs.
    async fn close(&self, end: End) {
        if self.last.is_none() {
            return;
        }
        let line = format!("{}: {}", self.tool, end.as_str());
        if let Err(fault) = self.chats.put(&self.to, &line, true).await {
            tracing::debug!(%fault, "a line in a chat stays open");
        }
    }
}
