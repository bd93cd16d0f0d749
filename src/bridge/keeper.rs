//! Sessions that belong to one owner: how a call gets one, and the supervisor task of a bridge that
//! has only such sessions.

use std::sync::Arc;

use tokio::{
    task::JoinHandle,
    time::{Instant, sleep_until, timeout_at},
};

use super::{
    call::START_WAIT_MAX,
    command::Command,
    error::{Failure, Unopened},
    handle::{Bridge, Lease},
    relist::Relist,
    sessions::{Seat, Seated, Turn},
    status::{Phase, Status, off},
    supervisor::Supervisor,
};
use crate::{
    config::CredentialKind,
    credential::Owner,
    mcp::{ConnectError, NoToken, Session},
    rate::CallerKey,
    secret::Secret,
};

/// How many times a call takes a new seat because its seat was given up while the call waited.
const SEATS_MAX: usize = 3;

/// The session that was opened at a seat; `None` if the seat was given up in the meantime.
type Opened = Result<Option<Arc<Lease>>, Failure>;

impl Bridge {
    /// Returns the session of an owner. Opens it if there is none.
    pub(super) async fn owned(
        self: &Arc<Self>,
        owner: &Owner,
        deadline: Instant,
    ) -> Result<(Seated, Arc<Lease>), Failure> {
        let patience = deadline.min(Instant::now() + START_WAIT_MAX);
        for _ in 0..SEATS_MAX {
            let busy = || Failure::Busy(self.name().to_string(), self.config.sessions_max);
            let seated = self.pool.sit(owner).ok_or_else(busy)?;
            if let Some(lease) = seated.seat.lease() {
                return Ok((seated, lease));
            }
            let opened = timeout_at(patience, Box::pin(self.opened(&seated.seat))).await;
            let opened = opened.map_err(|_| self.not_yet("its server is still starting"))?;
            if let Some(lease) = opened? {
                return Ok((seated, lease));
            }
        }
        Err(self.not_yet("its session was ended while it was being opened"))
    }

    /// A failure that a later retry may resolve.
    fn not_yet(&self, reason: &str) -> Failure {
        Failure::Unavailable {
            bridge: self.name().to_string(),
            reason: reason.to_owned(),
            retry_after: 1,
        }
    }

    /// Returns the session of a seat. The first call that needs it opens it in a separate task.
    /// That caller may hang up; a slow server would never start if each hang-up ended it.
    async fn opened(self: &Arc<Self>, seat: &Arc<Seat>) -> Opened {
        let trouble = Arc::clone(&seat.turn).lock_owned().await;
        if let Some(lease) = seat.lease() {
            return Ok(Some(lease));
        }
        if let Some(failure) = trouble.told() {
            return Err(failure);
        }
        if seat.is_given_up() {
            return Ok(None);
        }
        let opening = Arc::clone(self).open_at(Arc::clone(seat), trouble);
        let opened = self.spawn_owned(opening).await;
        opened.unwrap_or_else(|_| Err(self.not_yet("its session could not be opened")))
    }

    /// Runs a task that the end of the bridge waits for.
    fn spawn_owned<T: Send + 'static>(
        &self,
        task: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<T> {
        let task = self.pool.tasks.track_future(task);
        self.opener.context.tracker.spawn(task)
    }

    /// Opens the session of a seat. The caller holds the seat's turn.
    async fn open_at(self: Arc<Self>, seat: Arc<Seat>, mut trouble: Turn) -> Opened {
        let connecting = async {
            match self.refused_before(&seat.owner).await {
                Some(failure) => Err(failure),
                None => match self.connect_at(&seat).await {
                    Ok(lease) => Ok(lease),
                    Err(unopened) => Err(self.noted(&seat.owner, unopened).await),
                },
            }
        };
        let connected = tokio::select! {
            connected = connecting => connected,
            () = seat.given_up() => return Ok(None),
            () = self.opener.stop.cancelled() => return Err(self.not_yet("it is being replaced")),
        };
        match connected {
            Ok(lease) => {
                trouble.over();
                Ok(Some(lease))
            }
            // The user may have logged in before the next call. Calls that already wait get this
            // failure.
            Err(failure) if failure.wants_login() => {
                trouble.told_to_all(&failure);
                self.pool.leave(&seat);
                Err(failure)
            }
            Err(failure) => {
                trouble.failed(&failure);
                self.tally.failures.one();
                Err(failure)
            }
        }
    }

    /// Returns the recorded failure of an owner if their last session recently sent too much, or if
    /// the server rejected the token that they still have.
    async fn refused_before(&self, owner: &Owner) -> Option<Failure> {
        if let Some(failure) = self.pool.unruly.get(owner) {
            return Some(failure);
        }
        let (refused, failure) = self.pool.refused.get(owner)?;
        match self.token(owner).await {
            Some(Ok(token)) if token == refused => Some(failure),
            _ => None,
        }
    }

    /// Records why a session could not be opened. If the server rejected a token that has not
    /// expired, this avoids asking the server again with every call.
    async fn noted(&self, owner: &Owner, unopened: Unopened) -> Failure {
        let failure = self.unopened(unopened);
        if failure.wants_login()
            && let Some(Ok(token)) = self.token(owner).await
        {
            let noted = (token, failure.clone());
            self.pool.refused.insert(owner.clone(), noted);
        }
        failure
    }

    /// Connects, reads the tools, and starts the task that serves the session.
    async fn connect_at(self: &Arc<Self>, seat: &Arc<Seat>) -> Result<Arc<Lease>, Unopened> {
        let session = self.open(&seat.owner, self.pool.known()).await?;
        self.pool.learn(session.known);
        // If there is a shared session, the shared session publishes the tools.
        let publishes = self.config.credential != CredentialKind::Shared;
        if publishes {
            if let Err(error) = self.read_owned_tools(&seat.owner, &session).await {
                session.close().await;
                return Err(self.explained(&seat.owner, error).await);
            }
            let server = session.server.without_secrets(self.redactor());
            self.live.server.store(Some(Arc::new(server)));
            self.live.last_words.store(session.last_words.clone());
        }
        let lease = self.pool.seat(seat, session);
        self.tally.sessions.one();
        self.tell_own_status();
        let (bridge, attended, seat) = (Arc::clone(self), Arc::clone(&lease), Arc::clone(seat));
        self.spawn_owned(async move {
            bridge.attend(&seat, &attended, publishes).await;
            bridge.pool.retire(&seat, &attended).await;
            bridge.forget_shown(&seat.owner);
            bridge.tell_own_status();
        });
        Ok(lease)
    }

    /// Serves an owner's session until it ends or must be ended.
    async fn attend(self: &Arc<Self>, seat: &Seat, lease: &Lease, publishes: bool) {
        let session = &lease.session;
        let following = async {
            let mut relist = Relist::default();
            loop {
                session.tools_changed.notified().await;
                let began = Instant::now();
                relist.changed(began);
                sleep_until(relist.due().unwrap_or(began)).await;
                let began = Instant::now();
                if publishes && let Err(error) = self.read_owned_tools(&seat.owner, session).await {
                    tracing::warn!(bridge.name = %self.name(), %error, "cannot read the changed tool list; the old list stays published");
                }
                relist.was_read(began, Instant::now());
            }
        };
        tokio::select! {
            () = self.opener.stop.cancelled() => {}
            () = session.ended() => {
                self.tally.failures.one();
                self.note_ended(&seat.owner, session);
            }
            () = self.pool.over(seat) => {}
            () = following => {}
        }
    }

    /// Records why the bridge ended a session: the server would flood the owner's next session too.
    fn note_ended(&self, owner: &Owner, session: &Session) {
        if let Some(reason) = session.ended_because() {
            let error = ConnectError::Ended(reason);
            tracing::warn!(bridge.name = %self.name(), %error, "the bridge ended a session");
            let failure = self.unopened(Unopened::Connect(error));
            self.pool.unruly.insert(owner.clone(), failure);
        }
    }

    /// Publishes the status of a bridge that has only sessions of owners. A failure of one owner
    /// does not affect it.
    fn tell_own_status(&self) {
        if self.config.credential == CredentialKind::Shared || self.opener.stop.is_cancelled() {
            return;
        }
        let status = if self.pool.len() > 0 {
            Status::plain(Phase::Ready)
        } else if !self.live.tools.load().entries.is_empty() {
            Status::plain(Phase::Idle)
        } else {
            let name = self.name();
            let reason = match self.config.credential {
                CredentialKind::Group => {
                    "its tools are unknown until a member of a group with keys calls it".to_owned()
                }
                CredentialKind::Caller | CredentialKind::Shared => {
                    format!("no user has connected an account yet at /oauth/{name}/connect")
                }
            };
            Status {
                reason: Some(reason),
                ..Status::plain(Phase::NeedsLogin)
            }
        };
        self.set_status(status);
    }

    /// Whether the tools are still unknown, so that the session of a caller must list them.
    pub fn learns_from_callers(&self) -> bool {
        self.config.credential != CredentialKind::Shared
            && self.live.tools.load().entries.is_empty()
            && off(&self.config).is_none()
    }

    /// Opens the session of an owner who just connected an account, so that the tools are known
    /// before the first call.
    pub async fn welcome(
        self: &Arc<Self>,
        owner: &Owner,
        caller: CallerKey,
    ) -> Result<(), Failure> {
        let _place = self.queue(caller)?;
        let deadline = Instant::now() + self.config.connect_timeout;
        self.owned(owner, deadline).await.map(|_seated| ())
    }

    /// Ends the session of an owner who disconnected their account.
    pub fn dismiss(&self, owner: &Owner) {
        self.pool.dismiss(owner);
    }
}

impl Supervisor {
    /// Runs a bridge that has only sessions of owners. Calls open the sessions.
    pub(super) async fn run_owned(mut self) {
        let stop = self.stop.clone();
        if let Err(error) = self.bridge.recall_tools().await {
            tracing::warn!(bridge.name = %self.bridge.name(), %error, "cannot publish the stored tool list");
        }
        loop {
            self.bridge.tell_own_status();
            self.bridge.note_attempt();
            tokio::select! {
                () = stop.cancelled() => break,
                command = self.inbox.recv() => match command {
                    Some(Command::Restart) => self.bridge.pool.clear(),
                    Some(Command::Wake | Command::Suspect(..) | Command::SignedOut(_)) => {}
                    None => break,
                }
            }
        }
        self.bridge.pool.ended().await;
        self.replaced();
    }
}

impl Bridge {
    /// The token of an owner, or why there is none; `None` if the server needs no token.
    pub(super) async fn token(&self, owner: &Owner) -> Option<Result<Secret, NoToken>> {
        let credentials = &self.opener.context.credentials;
        let shown = credentials.shown(&self.config, owner).await.ok()?;
        Some(shown.credential?.token().await)
    }

    /// Explains why a session could not be opened. A rejected token explains more than the
    /// connection that closed because of it.
    pub(super) async fn explained(&self, owner: &Owner, error: ConnectError) -> Unopened {
        let no_token = self.token(owner).await.and_then(Result::err);
        Unopened::Connect(no_token.map_or(error, ConnectError::NoToken))
    }
}
