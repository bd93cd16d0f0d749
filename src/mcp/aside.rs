//! [`put`] and [`take`]: large results on their way around rmcp.
//!
//! rmcp reads the messages of an event stream from text, and tries one type of result after the other. Each
//! try copies the whole text, so a result of 30 MB would take five times as much. A large one is put aside
//! before, and a mark goes through rmcp in its place.

use std::{
    collections::HashMap,
    sync::{LazyLock, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// Results of fewer bytes go through rmcp.
pub const LARGE_BYTES: usize = 256 << 10;

/// How long a result is kept. rmcp hands on a mark at once, or drops it when its caller has gone.
const KEPT: Duration = Duration::from_secs(10);

/// What a mark begins with. The text of a result is JSON, and never begins with this character.
const MARK: char = '\u{0}';

/// A result, and when it was put aside.
type Entry = (Instant, String);

/// The results that are aside, by the number in their mark.
static RESULTS: LazyLock<Mutex<HashMap<u64, Entry>>> = LazyLock::new(Mutex::default);

/// Puts a result aside; gives its mark.
pub fn put(result: String) -> String {
    let number = rand::random::<u64>();
    let mut results = lock();
    results.retain(|_, (since, _)| since.elapsed() < KEPT);
    results.insert(number, (Instant::now(), result));
    format!("{MARK}{number}")
}

/// The result that a mark stands for. Any other text is returned as it came. `None` when the result is gone.
pub fn take(text: String) -> Option<String> {
    let Some(number) = text.strip_prefix(MARK) else {
        return Some(text);
    };
    let number = number.parse().ok()?;
    lock().remove(&number).map(|(_, result)| result)
}

/// The table; it is whole between two statements, also after a panic elsewhere.
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
