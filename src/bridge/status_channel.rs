//! [`StatusChannel`]: publishes the status of a bridge, and how often it tried to connect.

use std::sync::Arc;

use tokio::sync::{Notify, watch};

use super::status::{BridgeFault, BridgePhase, BridgeStatus};

/// Publishes the status of a bridge. The supervisor writes it; all others read it.
#[derive(Debug)]
pub(super) struct StatusChannel {
    /// The status.
    status: watch::Sender<BridgeStatus>,
    /// The number of attempts to connect that have finished. The attempt of a lazy bridge includes
    /// the disconnect that follows.
    attempts: watch::Sender<u64>,
    /// Woken when the status changes.
    changed: Arc<Notify>,
}

impl StatusChannel {
    /// Publishes a first status. A disabled bridge makes no attempt and counts as settled.
    pub fn new(status: BridgeStatus, changed: Arc<Notify>) -> Self {
        let is_off = status.phase == BridgePhase::Disabled;
        Self {
            status: watch::Sender::new(status),
            attempts: watch::Sender::new(u64::from(is_off)),
            changed,
        }
    }

    /// The current status.
    pub fn get(&self) -> BridgeStatus {
        self.status.borrow().clone()
    }

    /// The current phase.
    pub fn phase(&self) -> BridgePhase {
        self.status.borrow().phase
    }

    /// Publishes a status.
    pub fn set(&self, status: BridgeStatus) {
        self.status.send_replace(status);
        self.changed.notify_one();
    }

    /// Follows the status.
    pub fn subscribe(&self) -> watch::Receiver<BridgeStatus> {
        self.status.subscribe()
    }

    /// The number of attempts that have finished, successful or not.
    pub fn attempts(&self) -> u64 {
        *self.attempts.borrow()
    }

    /// Counts a finished attempt.
    pub fn note_attempt(&self) {
        self.attempts.send_modify(|made| *made += 1);
        self.changed.notify_one();
    }

    /// Waits until this many attempts have finished.
    pub async fn attempted(&self, count: u64) {
        let mut attempts = self.attempts.subscribe();
        // `self` holds the sender, so the channel stays open.
        attempts.wait_for(|made| *made >= count).await.ok();
    }

    /// Whether the first attempt has finished.
    pub fn is_settled(&self) -> bool {
        // The status is set a moment before the attempt is counted.
        self.attempts() > 0 || self.phase() == BridgePhase::Ready
    }

    /// Waits for the first session, or until the server's program has failed to start; then returns
    /// the reason.
    pub async fn failed_to_start(&self) -> Option<String> {
        let mut status = self.status.subscribe();
        let outcome = status
            .wait_for(|it| {
                it.fault == Some(BridgeFault::Stillborn)
                    || matches!(it.phase, BridgePhase::Ready | BridgePhase::Idle)
            })
            .await;
        let status = outcome.ok()?;
        (status.fault == Some(BridgeFault::Stillborn)).then(|| status.reason.clone())?
    }
}
