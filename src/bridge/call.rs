//! One call through a bridge: takes a slot and a session, keeps the deadline, and retries once if
//! that is safe.

use std::{fmt, sync::Arc, time::Duration};

use http::HeaderMap;
use serde_json::{Map, Value};
use tokio::time::{Instant, timeout, timeout_at};

use super::{
    command::Command,
    error::Failure,
    handle::{Bridge, Lease},
    status::{Fault, Phase, Status, off},
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

/// How long a call waits for a session that is starting. The first start of an `npx` server may
/// take longer; the caller is then told to try again.
pub(super) const START_WAIT_MAX: Duration = Duration::from_secs(30);
/// A call waits for the next attempt to connect only if that attempt starts within this time.
const RETRY_WAIT_MAX: Duration = Duration::from_secs(2);

/// Builds the arguments again for the rare second attempt. Keeping a copy would cost memory in
/// every call.
pub type Again<'a> = dyn Fn() -> Map<String, Value> + Send + Sync + 'a;

/// A call that was authorized.
#[derive(Clone, Copy)]
pub struct Order<'a> {
    /// The server's name for the tool.
    pub tool: &'a ToolName,
    /// The caller, for counting running and waiting calls.
    pub caller: CallerKey,
    /// The owner of the session that the call uses.
    pub owner: &'a Owner,
    /// Headers of the caller to pass on to a remote server.
    pub passed: &'a HeaderMap,
    /// The request span that the call belongs to, if traces are collected.
    pub span: Option<&'a RequestSpan>,
    /// Receives progress that the server sends during the call.
    pub ear: Option<&'a Arc<Ear>>,
    /// Builds the arguments again.
    pub again: &'a Again<'a>,
}

impl fmt::Debug for Order<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("Order");
        shown.field("tool", self.tool).field("owner", self.owner);
        shown.finish_non_exhaustive()
    }
}

impl Bridge {
    /// Calls a tool and returns its result as JSON text. The grant proves that the caller may use
    /// this tool.
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
            // Boxed because it is large and most bridges use a shared session.
            Owner::Group { .. } | Owner::Caller { .. } => {
                Box::pin(self.call_owned(order, arguments, deadline)).await
            }
        };
        self.touch();
        result
    }

    /// Calls the tool, and retries once on a new session if the first call provably did not reach
    /// the server.
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
        tracing::debug!(bridge.name = %self.name(), %reason, "the call was not sent; retrying on a new session");
        let lease = self.lease_after(order.caller, lease.generation, deadline);
        let lease = lease.await?;
        self.call_on(&lease, order, (order.again)(), deadline).await
    }

    /// The same on a session of an owner.
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

    /// One attempt on the shared session.
    async fn call_on(
        &self,
        lease: &Lease,
        order: Order<'_>,
        arguments: Map<String, Value>,
        deadline: Instant,
    ) -> Result<String, Failure> {
        let attempt = self.attempt(lease, order, arguments, deadline).await;
        attempt.map_err(|error| {
            // The supervisor task finds out what is wrong.
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

    /// Turns a failed attempt into the failure of the call.
    fn failed(&self, error: CallError) -> Failure {
        match error {
            // Report the whole timeout: the time that was left for this attempt does not help the
            // caller.
            CallError::Timeout(_) => Failure::Call(CallError::Timeout(self.config.timeout)),
            CallError::NoToken(why) => self.without_token(&why),
            error => Failure::Call(error),
        }
    }

    /// Waits for the outcome of the first attempt to connect, like a call that waits for a starting
    /// session. Until then the tools are unknown.
    pub async fn introduced(&self, caller: CallerKey) -> Result<(), Failure> {
        if self.is_settled() {
            return Ok(());
        }
        let _place = self.queue(caller)?;
        let patience = self.config.timeout.min(START_WAIT_MAX);
        // If the wait times out, the lookup of the tool reports the problem.
        timeout(patience, self.settled()).await.ok();
        Ok(())
    }

    /// The shared session, after a short wait if it is starting.
    async fn lease(&self, caller: CallerKey, deadline: Instant) -> Result<Arc<Lease>, Failure> {
        match self.live.session.load_full() {
            Some(lease) => Ok(lease),
            None => self.lease_after(caller, 0, deadline).await,
        }
    }

    /// A session newer than `generation`, after a short wait if one is starting.
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

    /// Whether waiting does not help, because no attempt to connect is about to start.
    fn will_not_come(&self, status: &Status, generation: u64) -> bool {
        match status.phase {
            Phase::Disabled | Phase::NeedsLogin => true,
            Phase::Starting | Phase::Idle => false,
            // The supervisor task has not noticed the loss yet.
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

    /// The failure of a call in a status that allows no calls.
    pub fn unavailable(&self, status: &Status) -> Failure {
        let bridge = self.name().to_string();
        let reason = status.reason.clone().unwrap_or_else(|| match status.phase {
            Phase::Starting | Phase::Idle => "its server is still starting".to_owned(),
            Phase::Ready
            | Phase::Disabled
            | Phase::NeedsLogin
            | Phase::BackingOff
            | Phase::Failed => "the connection to its server was lost".to_owned(),
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

/// Whether the session cannot be used after this error. One lost response does not mean a lost
/// session; a lost session reports itself. A missing scope for one call does not affect the other
/// calls.
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
