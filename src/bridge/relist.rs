//! [`RelistSchedule`]: decides when a changed tool list is read again. Pure.

use std::time::Duration;

use tokio::time::Instant;

/// How long to wait for more changes before the list is read.
const DEBOUNCE: Duration = Duration::from_millis(200);
/// The shortest pause between two readings.
const REST_MIN: Duration = Duration::from_secs(1);
/// The longest pause between two readings.
const REST_MAX: Duration = Duration::from_mins(1);
/// The pause is this many times as long as the reading took. A server that changes its list all the
/// time thus costs at most a twentieth of a core.
const REST_FACTOR: u32 = 19;

/// Paces the readings of one session's tool list. A change during the pause is not lost: the list
/// is read after the pause.
#[derive(Debug, Default)]
pub(super) struct RelistSchedule {
    /// How long the last reading took, and when it ended.
    last: Option<(Duration, Instant)>,
    /// When to read the changed list.
    due: Option<Instant>,
}

impl RelistSchedule {
    /// Notes that the list changed.
    pub fn changed(&mut self, now: Instant) {
        let delay = self.delay(now);
        self.due.get_or_insert(now + delay);
    }

    /// When to read the list; `None` while it is unchanged.
    pub fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Notes a reading.
    pub fn was_read(&mut self, began: Instant, ended: Instant) {
        self.due = None;
        self.last = Some((ended.saturating_duration_since(began), ended));
    }

    /// How long to wait before the list is read.
    fn delay(&self, now: Instant) -> Duration {
        let rest = self.last.map_or(Duration::ZERO, |(took, ended)| {
            let rest = (took * REST_FACTOR).clamp(REST_MIN, REST_MAX);
            rest.saturating_sub(now.saturating_duration_since(ended))
        });
        rest.max(DEBOUNCE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_change_is_read_soon_and_the_next_ones_are_paced() {
        let begun = Instant::now();
        let mut relist = RelistSchedule::default();
        assert_eq!(relist.delay(begun), DEBOUNCE);
        let ended = begun + Duration::from_millis(10);
        relist.was_read(begun, ended);
        assert_eq!(relist.delay(ended), REST_MIN);
        assert_eq!(relist.delay(ended + Duration::from_secs(5)), DEBOUNCE);
        assert_eq!(relist.due(), None);
        relist.changed(ended);
        relist.changed(ended + Duration::from_millis(700));
        assert_eq!(relist.due(), Some(ended + REST_MIN), "one reading for both");
    }

    #[test]
    fn a_list_that_takes_long_is_read_rarely() {
        let begun = Instant::now();
        let mut relist = RelistSchedule::default();
        let ended = begun + Duration::from_secs(1);
        relist.was_read(begun, ended);
        assert_eq!(relist.delay(ended), Duration::from_secs(19));
        relist.was_read(begun, begun + Duration::from_mins(1));
        assert_eq!(relist.delay(begun + Duration::from_mins(1)), REST_MAX);
    }
}
