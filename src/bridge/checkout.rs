//! How a call gets its session, and how the tools of a bridge become known before the first call.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, timeout, timeout_at};

use super::{
    command::BridgeCommand,
    error::CallFailure,
    handle::Bridge,
    sessions::SessionCheckout,
    status::{BridgePhase, BridgeStatus, off},
};
use crate::{
    auth::Caller, config::CredentialScope, credential::SessionOwner, mcp::ServerSession,
    rate::CallerKey,
};

/// How long a call waits for a session that is starting. The first start of an `npx` server may
/// take longer; the caller is then told to try again.
pub(super) const START_WAIT_MAX: Duration = Duration::from_secs(30);
/// A call waits for the next attempt to connect only if that attempt starts within this time.
const RETRY_WAIT_MAX: Duration = Duration::from_secs(2);

impl Bridge {
    /// The session of an owner, after a bounded wait if it is not open.
    pub(super) async fn checkout(
        self: &Arc<Self>,
        owner: &SessionOwner,
        caller: CallerKey,
        deadline: Instant,
    ) -> Result<(SessionCheckout, Arc<ServerSession>), CallFailure> {
        match owner {
            SessionOwner::Shared => self.shared_session(caller, deadline).await,
            // Boxed because it is large and most bridges use a shared session.
            SessionOwner::Group { .. } | SessionOwner::Caller { .. } => {
                Box::pin(self.owned_session(owner, deadline)).await
            }
        }
    }

    /// The shared session. Waits if the supervisor is about to open it.
    async fn shared_session(
        &self,
        caller: CallerKey,
        deadline: Instant,
    ) -> Result<(SessionCheckout, Arc<ServerSession>), CallFailure> {
        if let Some(open) = self.pool.shared() {
            return Ok(open);
        }
        let _place = self.limits.queue(caller)?;
        let _waiting = self.pool.wait_for_shared();
        let mut status = self.status.subscribe();
        let patience = deadline.min(Instant::now() + START_WAIT_MAX);
        self.tell(BridgeCommand::Wake);
        loop {
            // Read the status first: a session is open before its status says so.
            let now = status.borrow_and_update().clone();
            if let Some(open) = self.pool.shared() {
                return Ok(open);
            }
            let is_hopeless = self.will_not_open(&now);
            if is_hopeless || timeout_at(patience, status.changed()).await.is_err() {
                return Err(self.unavailable(&now));
            }
        }
    }

    /// Whether waiting does not help, because no attempt to connect is about to start.
    fn will_not_open(&self, status: &BridgeStatus) -> bool {
        match status.phase {
            BridgePhase::Disabled | BridgePhase::NeedsLogin => true,
            // In `ready` the supervisor has not noticed yet that the session is lost.
            BridgePhase::Starting | BridgePhase::Idle | BridgePhase::Ready => false,
            BridgePhase::BackingOff | BridgePhase::Failed => {
                let wait = |at: Instant| at.saturating_duration_since(Instant::now());
                let is_late = |at| wait(at) > RETRY_WAIT_MAX;
                self.factory.stop().is_cancelled() || status.retry_at.is_some_and(is_late)
            }
        }
    }

    /// Whether any tools are known.
    pub fn has_tools(&self) -> bool {
        !self.live.tools.load().entries.is_empty()
    }

    /// Waits for the outcome of the first attempt to connect, like a call that waits for a starting
    /// session. Until then the tools are unknown. Returns whether they still are, because only the
    /// session of a caller can list them: see [`Self::learn_tools`].
    pub async fn wait_for_tools(&self, caller: CallerKey) -> Result<bool, CallFailure> {
        if !self.is_settled() {
            let _place = self.limits.queue(caller)?;
            let patience = self.config.timeout.min(START_WAIT_MAX);
            // If the wait times out, the lookup of the tool reports the problem.
            timeout(patience, self.settled()).await.ok();
        }
        Ok(self.config.credential != CredentialScope::Shared
            && !self.has_tools()
            && off(&self.config).is_none())
    }

    /// Lists the server's tools in the session of a caller. The first caller who has an account or
    /// keys makes them known to all.
    pub async fn learn_tools(
        self: &Arc<Self>,
        caller: &Caller,
        groups: &[Arc<str>],
        key: CallerKey,
    ) -> Result<(), CallFailure> {
        let credentials = &self.factory.context().credentials;
        let owner = credentials.owner(&self.config, caller, groups).await;
        let owner = owner.map_err(|denied| self.denied(denied))?;
        self.welcome(&owner, key).await
    }

    /// Opens the session of an owner who just connected an account, so that the tools are known
    /// before the first call.
    pub async fn welcome(
        self: &Arc<Self>,
        owner: &SessionOwner,
        caller: CallerKey,
    ) -> Result<(), CallFailure> {
        let _place = self.limits.queue(caller)?;
        let deadline = Instant::now() + self.config.connect_timeout;
        self.owned_session(owner, deadline).await.map(|_open| ())
    }
}
