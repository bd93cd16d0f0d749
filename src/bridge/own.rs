//! Sessions that belong to somebody: how a call gets one, and the task of a bridge that has no other.

use std::sync::Arc;

use serde_json::Value;
use tokio::time::{Instant, sleep, timeout_at};

use super::{
    call::Failure,
    handle::{Bridge, Command, Lease, off},
    opener::Unopened,
    pool::{Seat, Seated},
    status::{Phase, Status},
    supervisor::{LIST_DEBOUNCE, Supervisor},
};
use crate::{
    config::CredentialKind,
    credential::Owner,
    mcp::{ConnectError, NoToken},
    secret::Secret,
};

impl Bridge {
    /// The session of an owner, opened now if there is none.
    pub(super) async fn owned(
        self: &Arc<Self>,
        owner: &Owner,
        deadline: Instant,
    ) -> Result<(Seated, Arc<Lease>), Failure> {
        let busy = || Failure::Busy(self.name().to_string(), self.config.sessions_max);
        let seated = self.pool.sit(owner).ok_or_else(busy)?;
        if let Some(lease) = seated.seat.lease() {
            return Ok((seated, lease));
        }
        let opening = Box::pin(self.open_at(&seated.seat));
        let lease = timeout_at(deadline, opening)
            .await
            .map_err(|_| Failure::Unavailable {
                bridge: self.name().to_string(),
                reason: "its server is still starting".to_owned(),
                retry_after: 1,
            })??;
        Ok((seated, lease))
    }

    /// Opens the session of a seat, one caller at a time.
    async fn open_at(self: &Arc<Self>, seat: &Arc<Seat>) -> Result<Arc<Lease>, Failure> {
        let mut trouble = seat.turn.lock().await;
        if let Some(lease) = seat.lease() {
            return Ok(lease);
        }
        if let Some(failure) = trouble.told() {
            return Err(failure);
        }
        match self.connect_at(seat).await {
            Ok(lease) => {
                trouble.over();
                Ok(lease)
            }
            Err(unopened) => {
                let failure = self.unopened(unopened);
                // Whoever has to log in may have done so by the next call; the server was not asked.
                if matches!(
                    failure,
                    Failure::ConnectRequired { .. }
                        | Failure::NeedsLogin { .. }
                        | Failure::NoCredential { .. }
                ) {
                    self.pool.leave(seat);
                } else {
                    trouble.failed(&failure);
                    self.tally.failures.one();
                }
                Err(failure)
            }
        }
    }

    /// Connects, reads the tools, and has a task stay with the session.
    async fn connect_at(self: &Arc<Self>, seat: &Arc<Seat>) -> Result<Arc<Lease>, Unopened> {
        let session = self.open(&seat.owner, self.pool.known()).await?;
        self.pool.learn(session.known);
        // A shared session publishes the tools, where there is one.
        let publishes = self.config.credential != CredentialKind::Shared;
        let before = self.live.listed.load_full();
        if publishes && let Err(error) = self.read_tools(&session).await {
            session.close().await;
            return Err(self.explained(&seat.owner, error).await);
        }
        if publishes {
            let server = session.server.without_secrets(self.redactor());
            self.live.server.store(Some(Arc::new(server)));
            self.live.last_words.store(session.last_words.clone());
            if *self.live.listed.load_full() != *before {
                self.remember_tools();
            }
        }
        let lease = self.pool.seat(seat, session);
        self.tally.sessions.one();
        self.tell_own_status();
        let (bridge, attended, seat) = (Arc::clone(self), Arc::clone(&lease), Arc::clone(seat));
        self.opener.context.tracker.spawn(async move {
            bridge.attend(&seat, &attended, publishes).await;
            bridge.pool.retire(&seat, &attended).await;
            bridge.tell_own_status();
        });
        Ok(lease)
    }

    /// Stays with an owner's session until it ends or has to.
    async fn attend(&self, seat: &Seat, lease: &Lease, publishes: bool) {
        let session = &lease.session;
        let mut over = std::pin::pin!(self.pool.over(seat));
        loop {
            tokio::select! {
                () = self.opener.stop.cancelled() => return,
                () = session.ended() => return self.tally.failures.one(),
                () = &mut over => return,
                () = session.tools_changed.notified() => {}
            }
            sleep(LIST_DEBOUNCE).await;
            if publishes && let Err(error) = self.read_tools(session).await {
                tracing::warn!(bridge.name = %self.name(), %error, "the changed tool list cannot be read; the old one stays");
            }
        }
    }

    /// Where a bridge stands whose sessions all belong to somebody: nobody's trouble is the bridge's.
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
                    "its tools are not known before a member of a group with keys calls it"
                        .to_owned()
                }
                CredentialKind::Caller | CredentialKind::Shared => {
                    format!("nobody has connected an account yet, at /oauth/{name}/connect")
                }
            };
            Status {
                phase: Phase::NeedsLogin,
                reason: Some(reason),
                retry_at: None,
                fault: None,
            }
        };
        self.set_status(status);
    }

    /// Whether its tools are not known yet, and those who call have to tell.
    pub fn learns_from_callers(&self) -> bool {
        self.config.credential != CredentialKind::Shared
            && self.live.tools.load().entries.is_empty()
            && off(&self.config).is_none()
    }

    /// Opens the session of an owner who has just connected an account, so that its tools are known
    /// before the first call.
    pub async fn welcome(self: &Arc<Self>, owner: &Owner) -> Result<(), Failure> {
        let deadline = Instant::now() + self.config.connect_timeout;
        self.owned(owner, deadline).await.map(|_seated| ())
    }

    /// Ends the session of an owner who has disconnected.
    pub fn dismiss(&self, owner: &Owner) {
        self.pool.dismiss(owner);
    }

    /// Writes down which tools there are, for the next start.
    fn remember_tools(self: &Arc<Self>) {
        let bridge = Arc::clone(self);
        self.opener.context.tracker.spawn(async move {
            let listed = bridge.live.listed.load_full();
            let written = Value::Array(listed.to_vec()).to_string();
            let credentials = &bridge.opener.context.credentials;
            if let Err(error) = credentials.remember_tools(bridge.name(), &written).await {
                tracing::debug!(bridge.name = %bridge.name(), %error, "the tools are not known after a restart");
            }
        });
    }

    /// Publishes the tools that were known before the start.
    async fn recall_tools(&self) -> Result<(), ConnectError> {
        let credentials = &self.opener.context.credentials;
        credentials.ready().await;
        let Ok(Some(written)) = credentials.known_tools(self.name()).await else {
            return Ok(());
        };
        match serde_json::from_str(&written) {
            Ok(Value::Array(list)) => self.publish_tools(list).await,
            Ok(_) | Err(_) => Ok(()),
        }
    }
}

impl Supervisor {
    /// Runs a bridge whose sessions all belong to somebody: calls open them.
    pub(super) async fn run_owned(mut self) {
        let stop = self.stop.clone();
        if let Err(error) = self.bridge.recall_tools().await {
            tracing::warn!(bridge.name = %self.bridge.name(), %error, "the tools of before the start cannot be published");
        }
        loop {
            self.bridge.tell_own_status();
            self.bridge.note_attempt();
            tokio::select! {
                () = stop.cancelled() => break,
                command = self.inbox.recv() => match command {
                    Some(Command::Restart) => self.bridge.pool.clear(),
                    Some(Command::Wake | Command::Suspect(_)) => {}
                    None => break,
                }
            }
        }
        self.replaced();
    }
}

impl Bridge {
    /// The token of an owner, or why there is none; `None` where none is needed.
    pub(super) async fn token(&self, owner: &Owner) -> Option<Result<Secret, NoToken>> {
        let credentials = &self.opener.context.credentials;
        let shown = credentials.shown(&self.config, owner).await.ok()?;
        Some(shown.credential?.token().await)
    }

    /// Why a session did not come about: a token that was refused on the way says more than the
    /// connection that closed over it.
    pub(super) async fn explained(&self, owner: &Owner, error: ConnectError) -> Unopened {
        let no_token = self.token(owner).await.and_then(Result::err);
        Unopened::Connect(no_token.map_or(error, ConnectError::NoToken))
    }
}
