//! One call through a bridge: a slot, a session, a deadline, and one retry where that is safe.

use std::{fmt, sync::Arc, time::Duration};

use http::HeaderMap;
use serde_json::{Map, Value};
use tokio::time::{Instant, timeout, timeout_at};

use super::{
    handle::{Bridge, Command, Lease, off},
    status::{Fault, Phase, Status},
};
use crate::{
    access::Grant,
    config::CredentialKind,
    credential::Owner,
    mcp::{CallError, Ear, NoToken},
    name::ToolName,
    rate::CallerKey,
    telemetry::RequestSpan,
};

/// How long a call waits for a session that is being started. A first `npx` may take longer; the
/// caller is told to come back.
pub(super) const START_WAIT_MAX: Duration = Duration::from_secs(30);
/// How near the next attempt to connect must be for a call to wait for it.
const RETRY_WAIT_MAX: Duration = Duration::from_secs(2);

/// Makes the arguments once more, for the rare second attempt: a copy kept for it would cost every
/// call.
pub type Again<'a> = dyn Fn() -> Map<String, Value> + Send + Sync + 'a;

/// A call that somebody may make.
#[derive(Clone, Copy)]
pub struct Order<'a> {
    /// The server's name for the tool.
    pub tool: &'a ToolName,
    /// Who calls, in the counts of slots and of those who wait.
    pub caller: CallerKey,
    /// Whose session it goes through.
    pub owner: &'a Owner,
    /// Headers of the caller that go on to a server behind a URL.
    pub passed: &'a HeaderMap,
    /// What it is a part of, where traces are collected.
    pub span: Option<&'a RequestSpan>,
    /// Who wants to hear what the server says in between.
    pub ear: Option<&'a Arc<Ear>>,
    /// Makes the arguments once more.
    pub again: &'a Again<'a>,
}

impl fmt::Debug for Order<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("Order");
        shown.field("tool", self.tool).field("owner", self.owner);
        shown.finish_non_exhaustive()
    }
}

/// Why a call has no result.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Failure {
    /// The grant is for another tool: a defect of ours, and no call is made.
    #[error("the grant is not for tool `{1}` of bridge `{0}`")]
    NotGranted(String, String),
    /// The bridge is off.
    #[error("bridge `{0}` is disabled: {1}")]
    Disabled(String, String),
    /// The server is not up.
    #[error("bridge `{bridge}` is not available: {reason}")]
    Unavailable {
        /// The bridge.
        bridge: String,
        /// Why.
        reason: String,
        /// Seconds until the next attempt.
        retry_after: u64,
    },
    /// The server refuses our credentials: coming back is of no use.
    #[error("bridge `{bridge}` is not available: {reason}")]
    Refused {
        /// The bridge.
        bridge: String,
        /// Why.
        reason: String,
    },
    /// Somebody has to log in for all, or once more with more rights.
    #[error(
        "bridge `{bridge}` waits for a login: {reason}; an administrator runs `mcp-bridge login {bridge}`, or connects it on /admin"
    )]
    NeedsLogin {
        /// The bridge.
        bridge: String,
        /// Why.
        reason: String,
    },
    /// The caller has to connect their own account.
    #[error("bridge `{bridge}` needs your own account there ({reason})")]
    ConnectRequired {
        /// The bridge.
        bridge: String,
        /// Why.
        reason: String,
    },
    /// The caller has nothing to show to the server, and cannot get it by logging in.
    #[error("bridge `{bridge}` cannot act for you: {reason}")]
    NoCredential {
        /// The bridge.
        bridge: String,
        /// Why.
        reason: String,
    },
    /// All slots are taken and enough callers wait already.
    #[error("bridge `{0}` is busy with {1} calls and as many wait as may; try again in a moment")]
    Busy(String, usize),
    /// The caller holds its share of the slots and waits as often as one caller may.
    #[error(
        "you have as many calls of bridge `{0}` running and waiting as one caller may have; wait until one of them has ended, then try again"
    )]
    OwnShare(String),
    /// The server was reached, or may have been.
    #[error(transparent)]
    Call(CallError),
}

impl Failure {
    /// Whether somebody has to log in, or be given keys, before a call can do better.
    pub(super) fn wants_login(&self) -> bool {
        matches!(
            self,
            Self::ConnectRequired { .. } | Self::NeedsLogin { .. } | Self::NoCredential { .. }
        )
    }
}

impl Bridge {
    /// Calls a tool and gives the JSON text of its result. The grant is the proof that access to this
    /// very tool was decided before.
    pub async fn call(
        self: &Arc<Self>,
        grant: &Grant,
        order: Order<'_>,
        arguments: Map<String, Value>,
    ) -> Result<String, Failure> {
        if !grant.is_for(self.name(), order.tool) {
            return Err(Failure::NotGranted(
                self.name().to_string(),
                order.tool.to_string(),
            ));
        }
        if let Some(reason) = off(&self.config) {
            return Err(Failure::Disabled(
                self.name().to_string(),
                reason.to_owned(),
            ));
        }
        let deadline = Instant::now() + self.config.timeout;
        let slot = self.slots.take(order.caller, deadline).await;
        let _slot = slot.map_err(|full| self.busy(full))?;
        let result = match order.owner {
            Owner::Shared => self.call_with_retry(order, arguments, deadline).await,
            // Boxed: it is large, and most bridges have one session.
            Owner::Group { .. } | Owner::Caller { .. } => {
                Box::pin(self.call_owned(order, arguments, deadline)).await
            }
        };
        self.touch();
        result
    }

    /// The call itself, once more on a fresh session when it provably did not reach the server.
    async fn call_with_retry(
        &self,
        order: Order<'_>,
        arguments: Map<String, Value>,
        deadline: Instant,
    ) -> Result<String, Failure> {
        let lease = self.lease(order.caller, deadline).await?;
        let first = self.call_on(&lease, order, arguments, deadline).await;
        let Err(Failure::Call(CallError::NotSent(reason))) = &first else {
            return first;
        };
        tracing::debug!(bridge.name = %self.name(), %reason, "the call did not leave; it is sent once more");
        let lease = self.lease_after(order.caller, lease.generation, deadline);
        let lease = lease.await?;
        self.call_on(&lease, order, (order.again)(), deadline).await
    }

    /// The same on the session of an owner.
    async fn call_owned(
        self: &Arc<Self>,
        order: Order<'_>,
        arguments: Map<String, Value>,
        deadline: Instant,
    ) -> Result<String, Failure> {
        let (seated, lease) = self.owned(order.owner, deadline).await?;
        let first = self.attempt(&lease, order, arguments, deadline).await;
        match first {
            Ok(result) => return Ok(result),
            Err(error) => {
                if is_lost(&error) {
                    self.pool.leave(&seated.seat);
                }
                if !matches!(error, CallError::NotSent(_)) {
                    return Err(self.failed(error));
                }
            }
        }
        drop(seated);
        let (_seated, lease) = self.owned(order.owner, deadline).await?;
        self.call_on(&lease, order, (order.again)(), deadline).await
    }

    /// One attempt on the session that all share.
    async fn call_on(
        &self,
        lease: &Lease,
        order: Order<'_>,
        arguments: Map<String, Value>,
        deadline: Instant,
    ) -> Result<String, Failure> {
        let attempt = self.attempt(lease, order, arguments, deadline).await;
        attempt.map_err(|error| {
            // Its task finds out what is the matter.
            if is_lost(&error) && *order.owner == Owner::Shared {
                self.tell(match &error {
                    CallError::NotSent(reason) => {
                        Command::Suspect(lease.generation, reason.clone())
                    }
                    _ => Command::SignedOut(lease.generation),
                });
            }
            self.failed(error)
        })
    }

    /// One attempt on one session.
    async fn attempt(
        &self,
        lease: &Lease,
        order: Order<'_>,
        arguments: Map<String, Value>,
        deadline: Instant,
    ) -> Result<String, CallError> {
        let left = deadline.saturating_duration_since(Instant::now());
        self.traced(&lease.session, order, arguments, left).await
    }

    /// What it means for a call that its attempt failed.
    fn failed(&self, error: CallError) -> Failure {
        match error {
            // What was left of the time is no use to the caller; the whole is.
            CallError::Timeout(_) => Failure::Call(CallError::Timeout(self.config.timeout)),
            CallError::NoToken(why) => self.without_token(&why),
            error => Failure::Call(error),
        }
    }

    /// Waits for the outcome of the first attempt to connect, as a call waits for a session that is
    /// coming: before it nobody knows which tools there are.
    pub async fn introduced(&self, caller: CallerKey) -> Result<(), Failure> {
        if self.is_settled() {
            return Ok(());
        }
        let _place = self.queue(caller)?;
        let patience = self.config.timeout.min(START_WAIT_MAX);
        // What it is like then is told by whoever looks for the tool.
        timeout(patience, self.settled()).await.ok();
        Ok(())
    }

    /// The session, or a short wait for one that is coming.
    async fn lease(&self, caller: CallerKey, deadline: Instant) -> Result<Arc<Lease>, Failure> {
        match self.live.session.load_full() {
            Some(lease) => Ok(lease),
            None => self.lease_after(caller, 0, deadline).await,
        }
    }

    /// A session newer than `generation`, or a short wait for one.
    async fn lease_after(
        &self,
        caller: CallerKey,
        generation: u64,
        deadline: Instant,
    ) -> Result<Arc<Lease>, Failure> {
        let _place = self.queue(caller)?;
        let mut status = self.status.subscribe();
        let patience = deadline.min(Instant::now() + START_WAIT_MAX);
        self.tell(Command::Wake);
        loop {
            if let Some(lease) = self.live.session.load_full()
                && lease.generation > generation
            {
                return Ok(lease);
            }
            let now = status.borrow_and_update().clone();
            if self.will_not_come(&now, generation) {
                return Err(self.unavailable(&now));
            }
            if timeout_at(patience, status.changed()).await.is_err() {
                return Err(self.unavailable(&now));
            }
        }
    }

    /// Whether waiting is of no use: the next attempt is not about to be made.
    fn will_not_come(&self, status: &Status, generation: u64) -> bool {
        match status.phase {
            Phase::Disabled | Phase::NeedsLogin => true,
            Phase::Starting | Phase::Idle => false,
            // The task has not yet heard of the loss.
            Phase::Ready => self
                .live
                .session
                .load()
                .as_ref()
                .is_some_and(|lease| lease.generation != generation),
            Phase::BackingOff | Phase::Failed => status
                .retry_at
                .is_some_and(|at| at.saturating_duration_since(Instant::now()) > RETRY_WAIT_MAX),
        }
    }

    /// The refusal for a status in which no call is made.
    pub fn unavailable(&self, status: &Status) -> Failure {
        let bridge = self.name().to_string();
        let reason = status.reason.clone().unwrap_or_else(|| match status.phase {
            Phase::Starting | Phase::Idle => "its server is still starting".to_owned(),
            Phase::Ready
            | Phase::Disabled
            | Phase::NeedsLogin
            | Phase::BackingOff
            | Phase::Failed => "its server was lost".to_owned(),
        });
        match status.phase {
            Phase::Disabled => Failure::Disabled(bridge, reason),
            Phase::NeedsLogin => match self.config.credential {
                CredentialKind::Caller => Failure::ConnectRequired { bridge, reason },
                CredentialKind::Group => Failure::NoCredential { bridge, reason },
                CredentialKind::Shared => Failure::NeedsLogin { bridge, reason },
            },
            Phase::BackingOff | Phase::Failed if status.fault == Some(Fault::Refused) => {
                Failure::Refused { bridge, reason }
            }
            Phase::Starting | Phase::Ready | Phase::Idle | Phase::BackingOff | Phase::Failed => {
                Failure::Unavailable {
                    bridge,
                    reason,
                    retry_after: status.retry_after(),
                }
            }
        }
    }
}

/// Whether the session is of no more use after this. One lost answer is no lost session, which reports
/// itself; and more rights for one call are no other rights for the others.
fn is_lost(error: &CallError) -> bool {
    match error {
        CallError::NotSent(_) | CallError::NoToken(NoToken::NeedsLogin(_)) => true,
        CallError::NoToken(_)
        | CallError::Lost
        | CallError::Rpc { .. }
        | CallError::Timeout(_)
        | CallError::Auth(..)
        | CallError::RateLimited { .. }
        | CallError::Http(..)
        | CallError::TooLarge(_)
        | CallError::Protocol(_) => false,
    }
}
