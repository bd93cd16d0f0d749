//! [`UniqueNames`]: assigns unique names in a time that does not grow with their number.

use std::collections::HashMap;

/// The names in use, each with the last number that was tried.
#[derive(Debug, Default)]
pub struct UniqueNames(HashMap<String, usize>);

impl UniqueNames {
    /// Takes a name. Returns false if it is in use.
    pub fn take(&mut self, name: &str) -> bool {
        let is_free = !self.0.contains_key(name);
        if is_free {
            self.0.insert(name.to_owned(), 1);
        }
        is_free
    }

    /// Returns the name if it is free; otherwise the result of `numbered` with the next free number, starting
    /// at 2.
    pub fn free(&mut self, name: &str, numbered: impl Fn(&str, usize) -> String) -> String {
        if self.take(name) {
            return name.to_owned();
        }
        loop {
            // The last number is remembered, so that no number is tried twice.
            let number = self.0.entry(name.to_owned()).or_insert(1);
            *number += 1;
            let other = numbered(name, *number);
            if !self.0.contains_key(&other) {
                self.0.insert(other.clone(), 1);
                return other;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_numbered_and_none_is_given_twice() {
        let mut names = UniqueNames::default();
        let mut free = |name: &str| names.free(name, |name, number| format!("{name}_{number}"));
        let given: Vec<_> = ["a", "a", "a_2", "a", "b"].map(&mut free).into();
        assert_eq!(given, ["a", "a_2", "a_2_2", "a_3", "b"]);
    }

    #[test]
    fn a_hundred_thousand_of_one_name_take_no_time() {
        let begun = std::time::Instant::now();
        let mut names = UniqueNames::default();
        for _ in 0..100_000 {
            names.free("x", |name, number| format!("{name}_{number}"));
        }
        // Trying every number again would take minutes.
        assert!(begun.elapsed().as_secs() < 10, "{:?}", begun.elapsed());
    }
}
