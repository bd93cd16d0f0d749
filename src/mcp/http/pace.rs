//! [`StreamReopenLimiter`]: limits how soon an event stream is reopened, whatever the server does.

use std::time::{Duration, Instant};

/// A notification stream that ends sooner than this is reopened with growing delays.
const SHORT_LIVED: Duration = Duration::from_secs(5);
/// The number of streams that are resumed at once. Each of many calls may have one.
const RESUMED_AT_ONCE: u32 = 32;
/// The interval between further resumed streams.
const DISTANCE: Duration = Duration::from_millis(50);

/// The rate limit of one connection.
#[derive(Debug, Default)]
pub struct StreamReopenLimiter {
    /// When the notification stream was last opened.
    opened: Option<Instant>,
    /// How many times in a row it was short-lived.
    short_lived: u32,
    /// When the next stream may be resumed at the regular interval.
    due: Option<Instant>,
}

impl StreamReopenLimiter {
    /// Returns the delay before the notification stream is opened. It grows each time in a row that the
    /// server closes the stream at once; rmcp would reopen it twice per second forever.
    pub fn before_opening(&mut self, now: Instant) -> Duration {
        let is_short = self
            .opened
            .is_some_and(|opened| now.saturating_duration_since(opened) < SHORT_LIVED);
        self.short_lived = if is_short {
            (self.short_lived + 1).min(6)
        } else {
            0
        };
        let wait = Duration::from_secs(if is_short { 1 << self.short_lived } else { 0 });
        self.opened = Some(now + wait);
        wait
    }

    /// Returns the delay before a broken stream is resumed. A server that closes each stream at once must not
    /// keep the bridge busy.
    pub fn before_resuming(&mut self, now: Instant) -> Duration {
        let ahead = DISTANCE * RESUMED_AT_ONCE;
        let due = self.due.map_or(now, |due| due.max(now));
        self.due = Some(due + DISTANCE);
        due.saturating_duration_since(now).saturating_sub(ahead)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_storm_of_resumed_streams_is_slowed_down() {
        let (begun, mut pace) = (Instant::now(), StreamReopenLimiter::default());
        let mut now = begun;
        for number in 0..200 {
            let wait = pace.before_resuming(now);
            assert_eq!(wait.is_zero(), number <= RESUMED_AT_ONCE, "{number}");
            now += wait;
        }
        assert!(now - begun > DISTANCE * 160, "{:?}", now - begun);
        let later = now + Duration::from_mins(1);
        assert_eq!(pace.before_resuming(later), Duration::ZERO);
    }

    #[test]
    fn a_stream_that_is_closed_at_once_is_opened_ever_more_rarely() {
        let (mut now, mut pace) = (Instant::now(), StreamReopenLimiter::default());
        let mut waits = Vec::new();
        for _ in 0..8 {
            let wait = pace.before_opening(now);
            waits.push(wait.as_secs());
            now += wait;
        }
        assert_eq!(waits, [0, 2, 4, 8, 16, 32, 64, 64]);
        let later = now + Duration::from_mins(1);
        assert_eq!(pace.before_opening(later), Duration::ZERO);
    }
}
