//! The supervisor task of a bridge. It keeps the shared session open, unless the bridge is idle or
//! waits for a login, and publishes the status.

use std::{future::pending, pin::pin, sync::Arc, time::Duration};

use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::{
    await_login::LoginWatcher,
    command::BridgeCommand,
    error::SessionOpenError,
    handle::Bridge,
    owner_failures::SAME_AGAIN,
    sessions::{PoolEntry, SessionEndReason},
    status::{Backoff, BridgeFault, BridgePhase, BridgeStatus},
};
use crate::{
    config::{CredentialScope, OAuthGrant},
    credential::CredentialError,
    mcp::{ConnectError, ServerSession, TokenError},
};

/// If a session lived at least this long before its server sent too much, it is replaced like any
/// other lost session.
const WELL_BEHAVED_FOR: Duration = Duration::from_mins(10);

/// The maximum length of a status reason, in bytes. The reason can contain text from the server.
const REASON_BYTES_MAX: usize = 1 << 10;

/// The state of the task.
#[derive(Debug)]
pub(super) struct Supervisor {
    /// The handle that the task publishes to.
    bridge: Arc<Bridge>,
    /// The commands from other tasks.
    inbox: mpsc::Receiver<BridgeCommand>,
    /// Ends the task.
    stop: CancellationToken,
    /// Counts consecutive failures.
    backoff: Backoff,
    /// Why the last attempt failed, until one succeeds.
    last_reason: Option<String>,
}

/// What ended a pause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PauseEnd {
    /// The bridge ends.
    Stopped,
    /// The time is over.
    Elapsed,
    /// There is a login to try.
    Login,
    /// This command arrived.
    Command(BridgeCommand),
}

impl Supervisor {
    /// The task of a bridge, which ends with `stop`.
    pub fn new(
        bridge: Arc<Bridge>,
        inbox: mpsc::Receiver<BridgeCommand>,
        stop: CancellationToken,
    ) -> Self {
        Self {
            bridge,
            inbox,
            stop,
            backoff: Backoff::default(),
            last_reason: None,
        }
    }

    /// Runs until the bridge ends.
    pub async fn run(mut self) {
        if self.bridge.config.credential == CredentialScope::Shared {
            self.keep_shared().await;
        } else {
            self.keep_status().await;
        }
        self.tell_replaced();
        self.bridge.pool.ended().await;
    }

    /// Keeps the shared session open.
    async fn keep_shared(&mut self) {
        let stop = self.stop.clone();
        let mut is_first = true;
        while !stop.is_cancelled() {
            self.bridge.status.set(BridgeStatus {
                reason: self.last_reason.clone(),
                failures: self.backoff.failures(),
                ..BridgeStatus::plain(BridgePhase::Starting)
            });
            let born = Instant::now();
            let entry = self.bridge.pool.renew_shared();
            let connected = tokio::select! {
                connected = self.bridge.connect(&entry) => connected,
                () = stop.cancelled() => return,
            };
            match connected {
                Ok(session) => {
                    self.tell_ready(&session);
                    // A lazy bridge connects once at the start to learn its tools, and then
                    // disconnects.
                    let rests = is_first && self.bridge.config.lazy;
                    let reason = if rests {
                        SessionEndReason::Idle
                    } else {
                        self.bridge.status.note_attempt();
                        self.serve(&entry, &session).await
                    };
                    self.retire(&entry, &session, &reason).await;
                    self.after_session(reason, born).await;
                }
                Err(error) => self.after_refusal(error).await,
            }
            is_first = false;
        }
    }

    /// Keeps the status of a bridge that has only sessions of owners. Calls open the sessions.
    async fn keep_status(&mut self) {
        if let Err(error) = self.bridge.live.tools.recall().await {
            tracing::warn!(bridge.name = %self.bridge.name(), %error, "cannot publish the stored tool list");
        }
        loop {
            self.bridge.tell_owned_status();
            self.bridge.status.note_attempt();
            match self.pause(None, None, true).await {
                PauseEnd::Command(BridgeCommand::Restart) => self.bridge.pool.clear(),
                PauseEnd::Command(BridgeCommand::Wake) | PauseEnd::Elapsed | PauseEnd::Login => {}
                PauseEnd::Stopped => return,
            }
        }
    }

    /// Publishes that the shared session is open.
    fn tell_ready(&mut self, session: &ServerSession) {
        self.last_reason = None;
        self.bridge
            .status
            .set(BridgeStatus::plain(BridgePhase::Ready));
        tracing::info!(
            bridge.name = %self.bridge.name(),
            tools = self.bridge.live.tools.load().entries.len(),
            protocol = %session.server.protocol,
            "the bridge is ready"
        );
    }

    /// Publishes that the bridge ends, so that no call waits for it.
    fn tell_replaced(&self) {
        self.bridge.status.set(BridgeStatus {
            phase: BridgePhase::BackingOff,
            reason: Some("it is being replaced".to_owned()),
            retry_at: Some(Instant::now() + Duration::from_secs(1)),
            fault: None,
            failures: 0,
        });
    }

    /// Serves the shared session until it ends, or a command ends it.
    async fn serve(&mut self, entry: &PoolEntry, session: &ServerSession) -> SessionEndReason {
        let mut serving = pin!(self.bridge.serve(entry, session));
        loop {
            tokio::select! {
                reason = &mut serving => return reason,
                command = self.inbox.recv() => match command {
                    Some(BridgeCommand::Wake) => {}
                    Some(BridgeCommand::Restart) => return SessionEndReason::Restart,
                    None => return SessionEndReason::Stopped,
                }
            }
        }
    }

    /// Closes the shared session. Its calls in flight may finish only if the bridge ends: otherwise
    /// they would delay the next session.
    async fn retire(
        &self,
        entry: &Arc<PoolEntry>,
        session: &ServerSession,
        reason: &SessionEndReason,
    ) {
        let is_end = *reason == SessionEndReason::Stopped;
        if is_end {
            self.tell_replaced();
        }
        let is_calm = self.bridge.pool.retire(entry, session, is_end).await;
        if !is_calm {
            tracing::warn!(bridge.name = %self.bridge.name(), "the bridge changed; its calls in flight are aborted");
        }
    }

    /// Decides what follows a session: a new one now, a new one after a delay, or a new one with
    /// the next call.
    async fn after_session(&mut self, reason: SessionEndReason, born: Instant) {
        match reason {
            SessionEndReason::Stopped => {}
            SessionEndReason::Restart | SessionEndReason::Released => self.backoff.reset(),
            SessionEndReason::Lost(reason) => {
                let lived = born.elapsed().max(Duration::from_millis(1));
                self.after_failure(reason, lived, None).await;
            }
            SessionEndReason::Ended(because) => {
                // Do not reconnect at once: the server would flood the next session too.
                let lived = Some(born.elapsed()).filter(|lived| *lived >= WELL_BEHAVED_FOR);
                let reason = ConnectError::Ended(because).to_string();
                self.after_failure(reason, lived.unwrap_or_default(), None)
                    .await;
            }
            SessionEndReason::Idle => {
                self.bridge
                    .status
                    .set(BridgeStatus::plain(BridgePhase::Idle));
                self.bridge.status.note_attempt();
                tracing::info!(bridge.name = %self.bridge.name(), "the bridge is idle until the next call");
                self.pause(None, None, true).await;
            }
        }
    }

    /// Decides what follows a failed attempt to connect.
    async fn after_refusal(&mut self, error: SessionOpenError) {
        match error {
            SessionOpenError::Connect(ConnectError::NoToken(
                why @ (TokenError::NeedsLogin(_) | TokenError::NeedsScope(_)),
            )) => self.wait_for_login(&why).await,
            SessionOpenError::Connect(error) => {
                let fault = fault_of(&error);
                self.after_failure(error.to_string(), Duration::ZERO, fault)
                    .await;
            }
            SessionOpenError::Denied(
                CredentialError::NoKeys(reason) | CredentialError::Unusable(reason),
            ) => {
                self.after_failure(reason, Duration::ZERO, None).await;
            }
        }
    }

    /// Waits before the next attempt.
    async fn after_failure(&mut self, reason: String, lived: Duration, fault: Option<BridgeFault>) {
        self.bridge.tally.failures.one();
        let (phase, delay) = self.backoff.ended(lived, rand::random());
        let retry_at = Instant::now() + delay;
        let mut reason = self.bridge.factory.redactor().redact(&reason).into_owned();
        reason.truncate(reason.floor_char_boundary(REASON_BYTES_MAX));
        tracing::warn!(
            bridge.name = %self.bridge.name(),
            %reason,
            status = phase.as_str(),
            retry_in_ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX),
            "the bridge is down"
        );
        self.last_reason = Some(reason.clone());
        self.bridge.status.set(BridgeStatus {
            phase,
            reason: Some(reason),
            retry_at: Some(retry_at),
            fault,
            failures: self.backoff.failures(),
        });
        self.bridge.status.note_attempt();
        let login = tokio::select! {
            () = self.stop.cancelled() => return,
            login = self.next_login() => login,
        };
        match self.pause(Some(retry_at), login, false).await {
            PauseEnd::Login | PauseEnd::Command(_) => self.backoff.reset(),
            PauseEnd::Elapsed | PauseEnd::Stopped => {}
        }
    }

    /// Waits for a login, with status `needs_login`, or `disabled` for a bridge that is enabled
    /// only after a login. The server is not contacted in the meantime.
    async fn wait_for_login(&mut self, why: &TokenError) {
        let disabled = self.bridge.config.waits_for_login.clone();
        let phase = match &disabled {
            Some(_) => BridgePhase::Disabled,
            None => BridgePhase::NeedsLogin,
        };
        let login = || format!("{why}: mcp-bridge login {}", self.bridge.name());
        let reason = disabled.unwrap_or_else(login);
        tracing::info!(bridge.name = %self.bridge.name(), %reason, "the bridge waits for a login");
        self.bridge.status.set(BridgeStatus {
            reason: Some(reason),
            ..BridgeStatus::plain(phase)
        });
        self.bridge.status.note_attempt();
        let login = tokio::select! {
            () = self.stop.cancelled() => return,
            login = LoginWatcher::after_this(&self.bridge.factory) => login,
        };
        let again = login.has_refused().then(|| Instant::now() + SAME_AGAIN);
        self.pause(again, Some(login), false).await;
    }

    /// The login that would end another wait early: a server may answer an unknown token with any
    /// error. `None` if the bridge has no interactive login, or has no token yet.
    async fn next_login(&self) -> Option<LoginWatcher> {
        let oauth = self.bridge.config.oauth()?;
        if oauth.grant != OAuthGrant::AuthorizationCode {
            return None;
        }
        let login = LoginWatcher::after_this(&self.bridge.factory).await;
        login.has_refused().then_some(login)
    }

    /// Waits until this time, for a login, or for a command. A call that wants a session ends the
    /// pause only if `calls_end_it`.
    async fn pause(
        &mut self,
        until: Option<Instant>,
        mut login: Option<LoginWatcher>,
        calls_end_it: bool,
    ) -> PauseEnd {
        loop {
            tokio::select! {
                () = self.stop.cancelled() => return PauseEnd::Stopped,
                () = at(until) => return PauseEnd::Elapsed,
                () = comes(&mut login) => return PauseEnd::Login,
                command = self.inbox.recv() => match command {
                    None => return PauseEnd::Stopped,
                    Some(BridgeCommand::Wake) if !calls_end_it => {}
                    Some(command) => return PauseEnd::Command(command),
                },
            }
        }
    }
}

/// Waits until this time, or forever without one.
async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => pending().await,
    }
}

/// Waits for a login, or forever if there is none to wait for.
async fn comes(login: &mut Option<LoginWatcher>) {
    match login {
        Some(login) => login.comes().await,
        None => pending().await,
    }
}

/// The kind of a failed connect, if it is one that the operator can act on.
fn fault_of(error: &ConnectError) -> Option<BridgeFault> {
    match error {
        ConnectError::Spawn { .. } | ConnectError::Exited { .. } => Some(BridgeFault::Stillborn),
        ConnectError::Auth(..) | ConnectError::NoToken(TokenError::Refused(_)) => {
            Some(BridgeFault::Refused)
        }
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
