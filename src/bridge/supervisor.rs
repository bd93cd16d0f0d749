//! The supervisor task of a bridge. It owns the session from the first connect to the last.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::mpsc,
    time::{Instant, sleep, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::{
    await_login,
    command::Command,
    error::Unopened,
    handle::{Bridge, Lease},
    relist::Relist,
    status::{Backoff, Fault, Phase, Status},
};
use crate::{
    config::CredentialKind,
    credential::{Denied, Owner},
    mcp::{ConnectError, Known, NoToken, Session},
};

/// If a session lived at least this long before its server sent too much, it is replaced like any
/// other lost session.
const WELL_BEHAVED_FOR: Duration = Duration::from_mins(10);

/// The maximum length of a status reason, in bytes. The reason can contain text from the server.
const REASON_BYTES_MAX: usize = 1 << 10;

/// How long the calls in flight may still run after a reload ends the bridge. The successor waits
/// for them.
const FINISH_MAX: Duration = Duration::from_secs(5);

/// The state of the task.
#[derive(Debug)]
pub(super) struct Supervisor {
    /// The handle that the task publishes to.
    pub bridge: Arc<Bridge>,
    /// The commands from other tasks.
    pub inbox: mpsc::Receiver<Command>,
    /// Ends the task.
    pub stop: CancellationToken,
    /// What earlier connections learned about the server.
    pub known: Known,
    /// Counts consecutive failures.
    pub backoff: Backoff,
    /// Counts sessions.
    pub generation: u64,
    /// Why the last attempt failed, until one succeeds.
    pub last_reason: Option<String>,
}

/// Why the task left a session.
#[derive(Debug)]
enum Parting {
    /// The bridge must end.
    Stopped,
    /// A caller asked for a new session.
    Restart,
    /// No call arrived within `idle_stop`.
    Idle,
    /// The session ended on its own, for this reason.
    Lost(String),
    /// The bridge ended the session because of what its server sent.
    Ended(&'static str),
}

impl Supervisor {
    /// Runs until `stop`.
    pub async fn run(mut self) {
        if self.bridge.config.credential != CredentialKind::Shared {
            return self.run_owned().await;
        }
        let stop = self.stop.clone();
        let mut is_first = true;
        while !stop.is_cancelled() {
            self.bridge.set_status(Status {
                reason: self.last_reason.clone(),
                failures: self.backoff.failures(),
                ..Status::plain(Phase::Starting)
            });
            let born = Instant::now();
            let session = tokio::select! {
                session = self.start() => session,
                () = stop.cancelled() => break,
            };
            match session {
                Ok(lease) => {
                    // A lazy bridge connects once at the start to learn its tools, and then
                    // disconnects.
                    let rests = is_first && self.bridge.config.lazy;
                    if !rests {
                        self.bridge.note_attempt();
                    }
                    let parting = if rests {
                        Parting::Idle
                    } else {
                        self.attend(&lease).await
                    };
                    if matches!(parting, Parting::Stopped) {
                        self.finish_calls().await;
                    }
                    self.leave(&lease).await;
                    self.after(parting, born).await;
                }
                Err(Unopened::Connect(ConnectError::NoToken(
                    why @ (NoToken::NeedsLogin(_) | NoToken::NeedsScope(_)),
                ))) => self.wait_for_login(&why).await,
                Err(Unopened::Connect(error)) => {
                    let fault = fault_of(&error);
                    self.after_failure(error.to_string(), Duration::ZERO, fault)
                        .await;
                }
                Err(Unopened::Denied(Denied::NoKeys(reason) | Denied::Unusable(reason))) => {
                    self.after_failure(reason, Duration::ZERO, None).await;
                }
            }
            is_first = false;
        }
        self.bridge.pool.ended().await;
        self.replaced();
    }

    /// Publishes that the bridge ends, so that no call waits for it.
    pub(super) fn replaced(&self) {
        self.bridge.live.session.store(None);
        // A call that still holds this handle must not wait for a session.
        self.bridge.set_status(Status {
            phase: Phase::BackingOff,
            reason: Some("it is being replaced".to_owned()),
            retry_at: Some(Instant::now() + Duration::from_secs(1)),
            fault: None,
            failures: 0,
        });
    }

    /// Connects, reads the tools, and publishes the session and the tools.
    async fn start(&mut self) -> Result<Arc<Lease>, Unopened> {
        let session = self.bridge.open(&Owner::Shared, self.known).await?;
        let redactor = self.bridge.redactor();
        self.known = session.known;
        self.bridge
            .live
            .server
            .store(Some(Arc::new(session.server.without_secrets(redactor))));
        if let Err(error) = self.bridge.read_tools(&session).await {
            session.close().await;
            let error = Self::with_exit(error, &session);
            return Err(self.bridge.explained(&Owner::Shared, error).await);
        }
        self.generation += 1;
        self.last_reason = None;
        let lease = Arc::new(Lease {
            generation: self.generation,
            session,
        });
        self.bridge.live.session.store(Some(Arc::clone(&lease)));
        self.bridge.tally.sessions.one();
        self.bridge.set_status(Status::plain(Phase::Ready));
        tracing::info!(
            bridge.name = %self.bridge.name(),
            tools = self.bridge.live.tools.load().entries.len(),
            protocol = %lease.session.server.protocol,
            "the bridge is ready"
        );
        Ok(lease)
    }

    /// If a child exits while it lists its tools, its exit status explains more than the lost
    /// connection.
    fn with_exit(error: ConnectError, session: &Session) -> ConnectError {
        let last_words = session.last_words.as_ref();
        match (last_words.and_then(|words| words.exit()), &error) {
            (Some(exit), ConnectError::Closed(_)) => ConnectError::Exited {
                exit: exit.to_owned(),
                last_words: last_words
                    .and_then(|words| words.lines().pop())
                    .map_or_else(String::new, |line| format!(": {line}")),
            },
            _ => error,
        }
    }

    /// Serves a session until it ends or must be ended.
    async fn attend(&mut self, lease: &Lease) -> Parting {
        let session = &lease.session;
        let mut relist = Relist::default();
        loop {
            let idle = idle_timer(&self.bridge);
            tokio::select! {
                () = self.stop.cancelled() => return Parting::Stopped,
                () = session.ended() => return Self::loss(session),
                command = self.inbox.recv() => match command {
                    None => return Parting::Stopped,
                    Some(Command::Restart) => return Parting::Restart,
                    Some(Command::Suspect(generation, reason)) if generation == lease.generation => {
                        return Parting::Lost(format!("a call did not reach the server: {reason}"));
                    }
                    // The next attempt finds out who must log in.
                    Some(Command::SignedOut(generation)) if generation == lease.generation => {
                        return Parting::Restart;
                    }
                    Some(Command::Suspect(..) | Command::SignedOut(_) | Command::Wake) => {}
                },
                () = session.tools_changed.notified() => relist.changed(Instant::now()),
                () = list_is_due(&relist) => {
                    tokio::select! {
                        () = self.reread_tools(session, &mut relist) => {}
                        () = self.stop.cancelled() => return Parting::Stopped,
                        () = session.ended() => return Self::loss(session),
                    }
                }
                () = idle => {
                    if self.is_idle() {
                        return Parting::Idle;
                    }
                }
            }
        }
    }

    /// Reads a tool list that changed. If reading fails, the old list stays.
    async fn reread_tools(&self, session: &Session, relist: &mut Relist) {
        let began = Instant::now();
        if let Err(error) = self.bridge.read_tools(session).await {
            tracing::warn!(bridge.name = %self.bridge.name(), %error, "cannot read the changed tool list; the old list stays published");
        }
        relist.was_read(began, Instant::now());
    }

    /// Whether `idle_stop` has passed since the last call.
    fn is_idle(&self) -> bool {
        self.bridge
            .config
            .idle_stop
            .is_some_and(|limit| self.bridge.idle_for() >= limit)
    }

    /// Explains why a session ended on its own.
    fn loss(session: &Session) -> Parting {
        if let Some(reason) = session.ended_because() {
            return Parting::Ended(reason);
        }
        let words = session.last_words.as_ref();
        Parting::Lost(match words.and_then(|words| words.exit()) {
            Some(exit) => format!("the server exited ({exit})"),
            None => "the server closed the connection".to_owned(),
        })
    }

    /// Waits until no call is in flight, up to [`FINISH_MAX`]. When the process stops, no call is
    /// left.
    async fn finish_calls(&self) {
        let idle = self.bridge.slots.idle();
        if tokio::time::timeout(FINISH_MAX, idle).await.is_err() {
            tracing::warn!(bridge.name = %self.bridge.name(), "the bridge changed; its calls in flight are aborted");
        }
    }

    /// Withdraws a session and closes it.
    async fn leave(&self, lease: &Lease) {
        self.bridge.live.session.store(None);
        lease.session.close().await;
    }

    /// Decides what follows a session: a new one now, a new one after a delay, or a new one with
    /// the next call.
    async fn after(&mut self, parting: Parting, born: Instant) {
        match parting {
            Parting::Stopped => {}
            Parting::Restart => self.backoff.reset(),
            Parting::Lost(reason) => {
                let lived = born.elapsed().max(Duration::from_millis(1));
                self.after_failure(reason, lived, None).await;
            }
            Parting::Ended(reason) => {
                // Do not reconnect at once: the server would flood the next session too.
                let lived = Some(born.elapsed()).filter(|lived| *lived >= WELL_BEHAVED_FOR);
                let reason = ConnectError::Ended(reason).to_string();
                self.after_failure(reason, lived.unwrap_or_default(), None)
                    .await;
            }
            Parting::Idle => {
                self.bridge.set_status(Status::plain(Phase::Idle));
                self.bridge.note_attempt();
                tracing::info!(bridge.name = %self.bridge.name(), "the bridge is idle until the next call");
                tokio::select! {
                    _command = self.inbox.recv() => {}
                    () = self.stop.cancelled() => {}
                }
            }
        }
    }

    /// Waits before the next attempt.
    async fn after_failure(&mut self, reason: String, lived: Duration, fault: Option<Fault>) {
        self.bridge.tally.failures.one();
        let (phase, delay) = self.backoff.ended(lived, rand::random());
        let retry_at = Instant::now() + delay;
        let mut reason = self.bridge.redactor().redact(&reason).into_owned();
        reason.truncate(reason.floor_char_boundary(REASON_BYTES_MAX));
        tracing::warn!(
            bridge.name = %self.bridge.name(),
            %reason,
            status = phase.as_str(),
            retry_in_ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX),
            "the bridge is down"
        );
        self.last_reason = Some(reason.clone());
        self.bridge.set_status(Status {
            phase,
            reason: Some(reason),
            retry_at: Some(retry_at),
            fault,
            failures: self.backoff.failures(),
        });
        self.bridge.note_attempt();
        let mut login = tokio::select! {
            () = self.stop.cancelled() => return,
            login = self.next_login() => login,
        };
        loop {
            tokio::select! {
                () = sleep_until(retry_at) => return,
                () = self.stop.cancelled() => return,
                () = await_login::comes(&mut login) => {
                    self.backoff.reset();
                    return;
                }
                command = self.inbox.recv() => match command {
                    Some(Command::Restart) => {
                        self.backoff.reset();
                        return;
                    }
                    Some(Command::Wake | Command::Suspect(..) | Command::SignedOut(_)) => {}
                    None => return,
                },
            }
        }
    }
}

/// The kind of a failed connect, if it is one that the operator can act on.
fn fault_of(error: &ConnectError) -> Option<Fault> {
    match error {
        ConnectError::Spawn { .. } | ConnectError::Exited { .. } => Some(Fault::Stillborn),
        ConnectError::Auth(..) | ConnectError::NoToken(NoToken::Refused(_)) => Some(Fault::Refused),
        ConnectError::NoToken(_)
        | ConnectError::Unreachable(_)
        | ConnectError::Timeout { .. }
        | ConnectError::Http(..)
        | ConnectError::Refused { .. }
        | ConnectError::Protocol(_)
        | ConnectError::Closed(_)
        | ConnectError::TooLarge { .. }
        | ConnectError::Ended(_) => None,
    }
}

/// Fires when a changed tool list may be read again. Never fires while the list is unchanged.
async fn list_is_due(relist: &Relist) {
    match relist.due() {
        Some(due) => sleep_until(due).await,
        None => std::future::pending().await,
    }
}

/// Fires when the bridge may have reached its idle limit. Never fires without `idle_stop`.
async fn idle_timer(bridge: &Bridge) {
    match bridge.config.idle_stop {
        Some(limit) => {
            let left = limit.saturating_sub(bridge.idle_for());
            sleep(left.max(Duration::from_millis(50))).await;
        }
        None => std::future::pending().await,
    }
}
