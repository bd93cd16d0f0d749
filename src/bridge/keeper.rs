//! The life of one session, the same for the shared one and for those of owners: connect, read the
//! tools, serve until the end, let calls finish, close.

use std::{convert::Infallible, future::pending, sync::Arc};

use tokio::time::{Instant, sleep_until};

use super::{
    error::SessionOpenError,
    handle::Bridge,
    relist::RelistSchedule,
    sessions::{PoolEntry, SessionEndReason},
};
use crate::{
    config::CredentialScope,
    credential::SessionOwner,
    mcp::{ConnectError, ServerSession},
};

impl Bridge {
    /// Connects for the owner of an entry, publishes the tools, and attaches the session to the
    /// entry.
    pub(super) async fn connect(
        &self,
        entry: &PoolEntry,
    ) -> Result<Arc<ServerSession>, SessionOpenError> {
        let owner = entry.owner();
        let mut last_words = None;
        let known = self.pool.known();
        let connected = self.factory.open(owner, known, &mut last_words).await;
        // Other users must not read the output of one owner's process that failed.
        if *owner == SessionOwner::Shared {
            self.live.last_words.store(last_words);
        }
        let session = connected?;
        self.pool.learn(session.known);
        if self.publishes(owner) {
            let server = session.server.without_secrets(self.factory.redactor());
            self.live.server.store(Some(Arc::new(server)));
            if let Err(error) = self.read_tools(owner, &session).await {
                session.close().await;
                return Err(self.factory.explained(owner, &session, error).await);
            }
            self.live.last_words.store(session.last_words.clone());
        }
        self.tally.sessions.one();
        Ok(entry.attach(session))
    }

    /// Serves a session until it ends or must be ended.
    pub(super) async fn serve(
        &self,
        entry: &PoolEntry,
        session: &ServerSession,
    ) -> SessionEndReason {
        let reason = tokio::select! {
            () = self.factory.stop().cancelled() => SessionEndReason::Stopped,
            () = session.ended() => lost(session),
            reason = entry.over() => reason,
            never = self.follow_tools(entry.owner(), session) => match never {},
        };
        match (reason, session.ended_because()) {
            // A call noticed first that the session is gone.
            (SessionEndReason::Lost(_), Some(because)) => SessionEndReason::Ended(because),
            (reason, _) => reason,
        }
    }

    /// Reads the tool list again whenever it changed. If reading fails, the old list stays.
    async fn follow_tools(&self, owner: &SessionOwner, session: &ServerSession) -> Infallible {
        if !self.publishes(owner) {
            return pending().await;
        }
        let mut relist = RelistSchedule::default();
        loop {
            session.tools_changed.notified().await;
            let noticed = Instant::now();
            relist.changed(noticed);
            sleep_until(relist.due().unwrap_or(noticed)).await;
            let began = Instant::now();
            if let Err(error) = self.read_tools(owner, session).await {
                tracing::warn!(bridge.name = %self.name(), %error, "cannot read the changed tool list; the old list stays published");
            }
            relist.was_read(began, Instant::now());
        }
    }

    /// Reads the tool list of a session and publishes it.
    async fn read_tools(
        &self,
        owner: &SessionOwner,
        session: &ServerSession,
    ) -> Result<(), ConnectError> {
        let tools = self.factory.list_tools(owner, session).await?;
        self.live.tools.publish(owner, tools).await
    }

    /// Whether the session of an owner publishes its tools. If there is a shared session, only that
    /// one does.
    fn publishes(&self, owner: &SessionOwner) -> bool {
        *owner == SessionOwner::Shared || self.config.credential != CredentialScope::Shared
    }
}

/// Explains why a session ended on its own.
fn lost(session: &ServerSession) -> SessionEndReason {
    let words = session.last_words.as_ref();
    SessionEndReason::Lost(match words.and_then(|words| words.exit()) {
        Some(exit) => format!("the server exited ({exit})"),
        None => "the server closed the connection".to_owned(),
    })
}
