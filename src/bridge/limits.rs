//! [`CallLimits`]: how many calls of a bridge run, wait, and check their arguments at once.

use std::sync::Arc;

use tokio::{sync::Semaphore, time::Instant};

use super::{
    error::CallFailure,
    slots::{CallSlot, CallSlots, QueueGuard},
};
use crate::{
    config,
    rate::{CallerKey, FairShareError},
};

/// The limits of one bridge.
#[derive(Debug)]
pub(super) struct CallLimits {
    /// The configuration of the bridge.
    config: Arc<config::BridgeSettings>,
    /// Calls in flight, and those that wait for a slot or for the server.
    slots: Arc<CallSlots>,
    /// The bridge's share of the threads that check arguments.
    checks: Arc<Semaphore>,
}

impl CallLimits {
    /// The limits that the configuration sets.
    pub fn new(config: &Arc<config::BridgeSettings>) -> Self {
        Self {
            config: Arc::clone(config),
            slots: CallSlots::new(config.concurrency, config.queue),
            checks: Arc::new(Semaphore::new(1)),
        }
    }

    /// Takes a slot, either immediately or after a bounded wait.
    pub async fn take(
        &self,
        caller: CallerKey,
        deadline: Instant,
    ) -> Result<CallSlot, CallFailure> {
        let slot = self.slots.take(caller, deadline).await;
        slot.map_err(|full| self.busy(full))
    }

    /// Counts a waiting call, unless too many wait already.
    pub fn queue(&self, caller: CallerKey) -> Result<QueueGuard, CallFailure> {
        self.slots.wait(caller).map_err(|full| self.busy(full))
    }

    /// The bridge's share of the threads that check arguments.
    pub fn checks(&self) -> &Arc<Semaphore> {
        &self.checks
    }

    /// Calls that have a slot.
    pub fn running(&self) -> usize {
        self.slots.running()
    }

    /// Calls that wait for a slot or for the server.
    pub fn waiting(&self) -> usize {
        self.slots.waiting()
    }

    /// The failure of a call when all slots are in use and its queue is full.
    fn busy(&self, full: FairShareError) -> CallFailure {
        let name = self.config.name.to_string();
        match full {
            FairShareError::All => CallFailure::Busy(name, self.config.concurrency),
            FairShareError::Own => CallFailure::OwnShare(name),
        }
    }
}
