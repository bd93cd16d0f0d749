//! [`TokenBucket`]: limits how many bytes a server may send that no request asked for. Pure.

use std::time::{Duration, Instant};

/// The rate of a token bucket.
#[derive(Debug, Clone, Copy)]
pub struct RefillRate {
    /// Bytes that may arrive at once.
    pub burst: u64,
    /// Bytes that are refilled each second, up to `burst`.
    pub per_second: u64,
}

/// A token bucket. It starts full, each unrequested byte takes from it, and time refills it.
#[derive(Debug)]
pub struct TokenBucket {
    /// The rate at which it refills.
    pace: RefillRate,
    /// Bytes left.
    left: u64,
    /// When it was last refilled.
    filled: Instant,
}

impl TokenBucket {
    /// Creates a full bucket.
    pub fn new(pace: RefillRate, now: Instant) -> Self {
        Self {
            pace,
            left: pace.burst,
            filled: now,
        }
    }

    /// Takes bytes. Returns `false` if fewer bytes were left.
    pub fn take(&mut self, bytes: u64, now: Instant) -> bool {
        self.fill(now);
        let is_enough = self.left >= bytes;
        self.left = self.left.saturating_sub(bytes);
        is_enough
    }

    /// Gives bytes back to the bucket.
    pub fn earn(&mut self, bytes: u64) {
        self.left = self.left.saturating_add(bytes).min(self.pace.burst);
    }

    /// Returns how long it takes until this many bytes are available (at most one burst).
    pub fn wait_for(&mut self, bytes: u64, now: Instant) -> Duration {
        self.fill(now);
        let missing = bytes.min(self.pace.burst).saturating_sub(self.left);
        Duration::from_millis(missing.saturating_mul(1_000).div_ceil(self.pace.per_second))
    }

    /// Refills the bucket for the time that has passed.
    fn fill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.filled).as_millis();
        // A remainder below one millisecond is kept for the next refill, so that rounding loses nothing.
        if passed > 0 {
            let passed = u64::try_from(passed).unwrap_or(u64::MAX);
            self.earn(passed.saturating_mul(self.pace.per_second) / 1_000);
            self.filled = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BURST: u64 = 1_000_000;
    const PER_SECOND: u64 = 50_000;
    const PACE: RefillRate = RefillRate {
        burst: BURST,
        per_second: PER_SECOND,
    };

    #[test]
    fn a_burst_is_allowed_and_a_flood_is_not() {
        let begun = Instant::now();
        let mut allowance = TokenBucket::new(PACE, begun);
        assert!(allowance.take(BURST, begun));
        assert!(!allowance.take(1, begun));
        assert!(allowance.take(PER_SECOND, begun + Duration::from_secs(1)));
    }

    #[test]
    fn a_server_that_logs_all_day_never_uses_it_up() {
        let begun = Instant::now();
        let mut allowance = TokenBucket::new(PACE, begun);
        for second in 0..100_000 {
            let now = begun + Duration::from_secs(second);
            assert!(allowance.take(PER_SECOND / 2, now), "second {second}");
        }
    }

    #[test]
    fn what_is_earned_is_bounded() {
        let begun = Instant::now();
        let mut allowance = TokenBucket::new(PACE, begun);
        allowance.earn(u64::MAX);
        assert!(allowance.take(BURST, begun));
        assert!(!allowance.take(1, begun));
        allowance.earn(10);
        assert!(allowance.take(10, begun));
    }

    #[test]
    fn the_wait_is_as_long_as_it_takes_to_fill() {
        let begun = Instant::now();
        let mut allowance = TokenBucket::new(PACE, begun);
        assert_eq!(allowance.wait_for(BURST, begun), Duration::ZERO);
        assert!(allowance.take(BURST, begun));
        assert_eq!(
            allowance.wait_for(PER_SECOND, begun),
            Duration::from_secs(1)
        );
        let later = begun + Duration::from_secs(1);
        assert_eq!(allowance.wait_for(PER_SECOND, later), Duration::ZERO);
    }
}
