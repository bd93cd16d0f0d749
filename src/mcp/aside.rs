//! [`put`] and [`take`]: carry large results around rmcp.
//!
//! rmcp reads the messages of an event stream from text and tries one result type after the other. Each
//! attempt copies the whole text, so a result of 30 MB would take five times as much memory. A large result
//! is therefore stored here first, and a short mark passes through rmcp in its place.

use std::{
    collections::HashMap,
    sync::{LazyLock, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// Results of fewer bytes pass through rmcp.
pub const LARGE_BYTES: usize = 256 << 10;

/// How long a result is stored. rmcp returns a mark at once, or drops it when its caller is gone.
const KEPT: Duration = Duration::from_secs(10);

/// The first character of a mark. The text of a result is JSON, which never begins with it.
const MARK: char = '\u{0}';

/// The time at which a result was stored, and the result.
type Entry = (Instant, String);

/// The stored results, by the number in their mark.
static RESULTS: LazyLock<Mutex<HashMap<u64, Entry>>> = LazyLock::new(Mutex::default);

/// Stores a result and returns its mark.
pub fn put(result: String) -> String {
    let number = rand::random::<u64>();
    let mut results = lock();
    results.retain(|_, (since, _)| since.elapsed() < KEPT);
    results.insert(number, (Instant::now(), result));
    format!("{MARK}{number}")
}

/// Returns the result that a mark stands for. Any other text is returned unchanged. `None` if the result is
/// gone.
pub fn take(text: String) -> Option<String> {
    let Some(number) = text.strip_prefix(MARK) else {
        return Some(text);
    };
    let number = number.parse().ok()?;
    lock().remove(&number).map(|(_, result)| result)
}

/// Locks the table. A poisoned lock is safe to use: no statement leaves the table half changed.
fn lock() -> MutexGuard<'static, HashMap<u64, Entry>> {
    RESULTS.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_gives_its_result_once_and_other_texts_are_themselves() {
        let mark = put("{}".to_owned());
        assert_eq!(take(mark.clone()).as_deref(), Some("{}"));
        assert_eq!(take(mark), None);
        for text in ["", "{}", "[1]"] {
            assert_eq!(take(text.to_owned()).as_deref(), Some(text));
        }
        assert_eq!(take(format!("{MARK}x")), None);
    }
}
