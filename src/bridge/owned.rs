//! Sessions of owners other than [`SessionOwner::Shared`]: a call opens the session of its owner. A
//! failure is reported to this owner only, and does not change the status of the bridge.

use std::sync::Arc;

use tokio::{
    task::JoinHandle,
    time::{Instant, timeout_at},
};

use super::{
    checkout::START_WAIT_MAX,
    error::{CallFailure, SessionOpenError},
    handle::Bridge,
    sessions::{OpenTurn, PoolEntry, SessionCheckout, SessionEndReason},
    status::{BridgePhase, BridgeStatus},
};
use crate::{
    config::CredentialScope,
    credential::SessionOwner,
    mcp::{ConnectError, ServerSession},
};

/// How many times a call takes a new entry because its entry was given up while the call waited.
const ENTRIES_MAX: usize = 3;

/// The session that was opened for an entry; `None` if the entry was given up in the meantime.
type Opened = Result<Option<Arc<ServerSession>>, CallFailure>;

impl Bridge {
    /// Returns the session of an owner. Opens it if there is none.
    pub(super) async fn owned_session(
        self: &Arc<Self>,
        owner: &SessionOwner,
        deadline: Instant,
    ) -> Result<(SessionCheckout, Arc<ServerSession>), CallFailure> {
        let patience = deadline.min(Instant::now() + START_WAIT_MAX);
        for _ in 0..ENTRIES_MAX {
            let busy = || CallFailure::Busy(self.name().to_string(), self.config.sessions_max);
            let checkout = self.pool.entry(owner).ok_or_else(busy)?;
            if let Some(session) = checkout.entry().session() {
                return Ok((checkout, session));
            }
            let opened = timeout_at(patience, Box::pin(self.opened(checkout.entry()))).await;
            let opened = opened.map_err(|_| self.not_yet("its server is still starting"))?;
            if let Some(session) = opened? {
                return Ok((checkout, session));
            }
        }
        Err(self.not_yet("its session was ended while it was being opened"))
    }

    /// A failure that a later retry may resolve.
    fn not_yet(&self, reason: &str) -> CallFailure {
        CallFailure::Unavailable {
            bridge: self.name().to_string(),
            reason: reason.to_owned(),
            retry_after: 1,
        }
    }

    /// Returns the session of an entry. The first call that needs it opens it in a separate task.
    /// That caller may hang up; a slow server would never start if each hang-up ended it.
    async fn opened(self: &Arc<Self>, entry: &Arc<PoolEntry>) -> Opened {
        let turn = entry.turn().await;
        if let Some(session) = entry.session() {
            return Ok(Some(session));
        }
        if let Some(failure) = turn.told() {
            return Err(failure);
        }
        if entry.must_end() {
            return Ok(None);
        }
        let opening = Arc::clone(self).open_owned(Arc::clone(entry), turn);
        let opened = self.spawn_owned(opening).await;
        opened.unwrap_or_else(|_| Err(self.not_yet("its session could not be opened")))
    }

    /// Runs a task that the end of the bridge waits for.
    fn spawn_owned<T: Send + 'static>(
        &self,
        task: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<T> {
        let task = self.pool.track(task);
        self.factory.context().tracker.spawn(task)
    }

    /// Opens the session of an entry, and starts the task that serves it.
    async fn open_owned(self: Arc<Self>, entry: Arc<PoolEntry>, mut turn: OpenTurn) -> Opened {
        let owner = entry.owner();
        let connecting = async {
            match self.refused_before(owner).await {
                Some(failure) => Err(failure),
                None => match self.connect(&entry).await {
                    Ok(session) => Ok(session),
                    Err(error) => Err(self.noted(owner, error).await),
                },
            }
        };
        let connected = tokio::select! {
            connected = connecting => connected,
            () = entry.given_up() => return Ok(None),
            () = self.factory.stop().cancelled() => return Err(self.not_yet("it is being replaced")),
        };
        match connected {
            Ok(session) => {
                turn.over();
                self.tell_owned_status();
                let keeping =
                    Arc::clone(&self).keep_owned(Arc::clone(&entry), Arc::clone(&session));
                self.spawn_owned(keeping);
                Ok(Some(session))
            }
            // The user may have logged in before the next call. Calls that already wait get this
            // failure.
            Err(failure) if failure.wants_login() => {
                turn.told_to_all(&failure);
                self.pool.release(&entry);
                Err(failure)
            }
            Err(failure) => {
                turn.failed(&failure);
                self.tally.failures.one();
                Err(failure)
            }
        }
    }

    /// Serves the session of an owner from its start to its end.
    async fn keep_owned(self: Arc<Self>, entry: Arc<PoolEntry>, session: Arc<ServerSession>) {
        match self.serve(&entry, &session).await {
            SessionEndReason::Lost(_) => self.tally.failures.one(),
            SessionEndReason::Ended(because) => {
                self.tally.failures.one();
                // The server would flood the owner's next session too.
                let error = ConnectError::Ended(because);
                tracing::warn!(bridge.name = %self.name(), %error, "the bridge ended a session");
                let failure = CallFailure::unopened(&self.config, SessionOpenError::Connect(error));
                self.failures.note_unruly(entry.owner(), failure);
            }
            SessionEndReason::Stopped
            | SessionEndReason::Restart
            | SessionEndReason::Released
            | SessionEndReason::Idle => {}
        }
        self.pool.retire(&entry, &session, true).await;
        if !self.pool.has(entry.owner()) {
            self.live.tools.forget_session(entry.owner());
        }
        self.tell_owned_status();
    }

    /// Returns the recorded failure of an owner if their last session recently sent too much, or if
    /// the server rejected the token that they still have.
    async fn refused_before(&self, owner: &SessionOwner) -> Option<CallFailure> {
        if let Some(failure) = self.failures.unruly(owner) {
            return Some(failure);
        }
        let (refused, failure) = self.failures.refused(owner)?;
        match self.factory.token(owner).await {
            Some(Ok(token)) if token == refused => Some(failure),
            _ => None,
        }
    }

    /// Records why a session could not be opened. If the server rejected a token that has not
    /// expired, this avoids asking the server again with every call.
    async fn noted(&self, owner: &SessionOwner, error: SessionOpenError) -> CallFailure {
        let failure = CallFailure::unopened(&self.config, error);
        if failure.wants_login()
            && let Some(Ok(token)) = self.factory.token(owner).await
        {
            self.failures.note_refused(owner, token, failure.clone());
        }
        failure
    }

    /// Publishes the status of a bridge that has only sessions of owners.
    pub(super) fn tell_owned_status(&self) {
        if self.config.credential == CredentialScope::Shared || self.factory.stop().is_cancelled() {
            return;
        }
        let status = if self.pool.owned() > 0 {
            BridgeStatus::plain(BridgePhase::Ready)
        } else if !self.live.tools.load().entries.is_empty() {
            BridgeStatus::plain(BridgePhase::Idle)
        } else {
            let name = self.name();
            let reason = match self.config.credential {
                CredentialScope::Group => {
                    "its tools are unknown until a member of a group with keys calls it".to_owned()
                }
                CredentialScope::Caller | CredentialScope::Shared => {
                    format!("no user has connected an account yet at /oauth/{name}/connect")
                }
            };
            BridgeStatus {
                reason: Some(reason),
                ..BridgeStatus::plain(BridgePhase::NeedsLogin)
            }
        };
        self.status.set(status);
    }

    /// Ends the session of an owner who disconnected their account.
    pub fn dismiss(&self, owner: &SessionOwner) {
        self.pool.dismiss(owner);
    }
}
