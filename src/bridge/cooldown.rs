//! [`CheckCooldowns`]: how expensive checks of a tool affect its next checks.

use std::{
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// How long a tool's schema counts as too complex after a check of small arguments was too
/// expensive.
const REST: Duration = Duration::from_secs(5);

/// How expensive checks of a tool affect its next checks, for [`REST`].
#[derive(Debug, Default)]
pub(super) struct CheckCooldowns {
    /// Checks on a thread of the async runtime use the minimal effort.
    pub is_costly: CooldownTimer,
    /// Checks on a separate thread are refused: the schema is too complex.
    pub rests: CooldownTimer,
}

/// Runs for [`REST`] after each start. Holds milliseconds since the first start of any timer, or
/// zero.
#[derive(Debug, Default)]
pub(super) struct CooldownTimer(AtomicU64);

/// When the first timer started.
static FIRST: OnceLock<Instant> = OnceLock::new();

impl CooldownTimer {
    /// Starts the timer.
    pub fn start(&self) {
        self.0.store(Self::now() + millis(REST), Ordering::Relaxed);
    }

    /// Whether the timer was started less than [`REST`] ago.
    pub fn is_running(&self) -> bool {
        let until = self.0.load(Ordering::Relaxed);
        until != 0 && Self::now() < until
    }

    /// Milliseconds since the first start of any timer.
    fn now() -> u64 {
        millis(FIRST.get_or_init(Instant::now).elapsed())
    }
}

/// Whole milliseconds.
fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
