//! The status of a bridge, and when it reconnects. Pure.

use std::time::Duration;

use serde::Serialize;

use crate::config::{self, CredentialScope};

/// The status of a bridge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BridgePhase {
    /// Disabled by the configuration or because a variable is missing.
    Disabled,
    /// Connecting.
    Starting,
    /// Serving calls.
    Ready,
    /// Disconnected or never connected; the next attempt comes soon.
    BackingOff,
    /// Failed many times in a row; attempts are rare.
    Failed,
    /// Not running because no call arrived; the next call starts it.
    Idle,
    /// A user or an administrator must log in to its server first.
    NeedsLogin,
}

impl BridgePhase {
    /// All phases.
    pub const ALL: [Self; 7] = [
        Self::Disabled,
        Self::Starting,
        Self::Ready,
        Self::BackingOff,
        Self::Failed,
        Self::Idle,
        Self::NeedsLogin,
    ];

    /// The name in lists, logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Disabled => "disabled",
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::BackingOff => "backing_off",
            Self::Failed => "failed",
            Self::Idle => "idle",
            Self::NeedsLogin => "needs_login",
        }
    }
}

/// A kind of failure that the operator can act on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BridgeFault {
    /// The program could not be started, or it exited before it was ready.
    Stillborn,
    /// The server rejected the bridge's credentials.
    Refused,
}

/// A phase with its reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BridgeStatus {
    /// The phase.
    pub phase: BridgePhase,
    /// Why: set for `disabled`, `backing_off`, `failed` and `needs_login`, and for `starting` after a failure.
    pub reason: Option<String>,
    /// When the next attempt starts, for `backing_off` and `failed`.
    pub retry_at: Option<tokio::time::Instant>,
    /// The kind of failure, if it is one that the operator can act on.
    pub fault: Option<BridgeFault>,
    /// How many attempts failed in a row.
    pub failures: u32,
}

impl BridgeStatus {
    /// A phase that needs no reason.
    pub fn plain(phase: BridgePhase) -> Self {
        Self {
            phase,
            reason: None,
            retry_at: None,
            fault: None,
            failures: 0,
        }
    }

    /// A disabled bridge with its reason.
    pub fn disabled(reason: &str) -> Self {
        Self {
            reason: Some(reason.to_owned()),
            ..Self::plain(BridgePhase::Disabled)
        }
    }

    /// Seconds until the next attempt, rounded up to at least one: the value of `Retry-After`.
    pub fn retry_after(&self) -> u64 {
        let wait = self
            .retry_at
            .map(|at| at.saturating_duration_since(tokio::time::Instant::now()));
        wait.map_or(1, |wait| wait.as_secs().saturating_add(1))
    }
}

/// Why a bridge is disabled. If each group brings its own keys, the configuration need not contain
/// any.
pub(super) fn off(config: &config::BridgeSettings) -> Option<&str> {
    match &config.transport {
        Err(disabled) if config.credential != CredentialScope::Group || !config.is_enabled => {
            Some(&disabled.0)
        }
        Ok(_) | Err(_) => None,
    }
}

/// The delay before the second consecutive attempt.
const DELAY_FIRST: Duration = Duration::from_millis(500);
/// The longest delay.
const DELAY_MAX: Duration = Duration::from_mins(1);
/// A session that lived this long was healthy; its loss resets the failure count.
const HEALTHY_AFTER: Duration = Duration::from_secs(30);
/// This many consecutive failures are a crash loop.
const FAILURES_MAX: u32 = 5;

/// Counts consecutive failures and computes the delay before the next attempt.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Backoff {
    /// Failures since the last healthy session.
    failures: u32,
}

impl Backoff {
    /// Notes that a session ended or was never opened (`lived` is zero then). Returns the phase to
    /// show and the delay before the next attempt. The first loss of a healthy session has no
    /// delay; after that the delay doubles. `jitter`, in 0..=1, spreads the delay over its upper
    /// half, so that bridges which lost the same server do not reconnect at the same time.
    pub fn ended(&mut self, lived: Duration, jitter: f64) -> (BridgePhase, Duration) {
        if lived >= HEALTHY_AFTER {
            self.failures = 0;
        }
        self.failures = self.failures.saturating_add(1);
        let was_up = lived > Duration::ZERO;
        let phase = if self.failures > FAILURES_MAX {
            BridgePhase::Failed
        } else {
            BridgePhase::BackingOff
        };
        if self.failures == 1 && was_up {
            return (phase, Duration::ZERO);
        }
        let doublings = self.failures.saturating_sub(1).min(16);
        let full = DELAY_FIRST.saturating_mul(1 << doublings).min(DELAY_MAX);
        (phase, full.mul_f64(0.5 + jitter.clamp(0.0, 1.0) / 2.0))
    }

    /// Failures in a row.
    pub fn failures(self) -> u32 {
        self.failures
    }

    /// Resets the count, because a fresh start was requested.
    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UP: Duration = Duration::from_mins(1);
    const NEVER: Duration = Duration::ZERO;

    #[test]
    fn a_healthy_session_that_dies_is_replaced_at_once() {
        let mut backoff = Backoff::default();
        for _ in 0..10 {
            assert_eq!(
                backoff.ended(UP, 0.5),
                (BridgePhase::BackingOff, Duration::ZERO)
            );
        }
    }

    #[test]
    fn a_server_that_never_starts_is_tried_ever_more_rarely_and_then_called_failed() {
        let mut backoff = Backoff::default();
        let mut seen = Vec::new();
        for _ in 0..12 {
            let (phase, delay) = backoff.ended(NEVER, 1.0);
            seen.push((phase, delay.as_millis()));
        }
        let delays: Vec<_> = seen.iter().map(|&(_, delay)| delay).collect();
        assert_eq!(
            delays,
            [
                500, 1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000, 60000, 60000, 60000
            ]
        );
        assert_eq!(seen[4].0, BridgePhase::BackingOff);
        assert_eq!(seen[5].0, BridgePhase::Failed);
    }

    #[test]
    fn a_crash_loop_is_no_storm_though_each_session_starts() {
        let mut backoff = Backoff::default();
        let short = Duration::from_secs(1);
        assert_eq!(backoff.ended(short, 1.0).1, Duration::ZERO);
        assert_eq!(backoff.ended(short, 1.0).1, Duration::from_secs(1));
        for _ in 0..10 {
            backoff.ended(short, 1.0);
        }
        assert_eq!(backoff.ended(short, 1.0), (BridgePhase::Failed, DELAY_MAX));
        assert_eq!(
            backoff.ended(UP, 1.0),
            (BridgePhase::BackingOff, Duration::ZERO)
        );
    }

    #[test]
    fn jitter_halves_at_most() {
        let delay = |jitter| Backoff::default().ended(NEVER, jitter).1;
        assert_eq!(delay(0.0), DELAY_FIRST / 2);
        assert_eq!(delay(1.0), DELAY_FIRST);
        assert_eq!(delay(7.0), DELAY_FIRST);
    }
}
