//! Limits the cost of a pattern: the length of the strings that it is applied to.
//!
//! A match cannot be interrupted, so its time is limited in advance. In the worst case, a pattern without
//! look-around takes time in proportion to the size of its program and to the length of the string. A pattern
//! with look-around takes the maximum number of backtracking steps, each as long as the string.

use regex::{Error, RegexBuilder};

use crate::schema::meter::charge;

/// The maximum size of a compiled pattern, in bytes.
pub const PROGRAM_BYTES_MAX: usize = 2 << 20;

/// The maximum number of backtracking steps of a pattern with look-around: enough for any well-meant pattern.
pub const BACKTRACK_MAX: usize = 30_000;

/// The longest pattern that is compiled, in bytes.
const PATTERN_BYTES_MAX: usize = 16 << 10;

/// The longest string for a pattern with look-around, in bytes: 0.2 s in the worst case.
const LOOK_AROUND_TEXT_MAX: usize = 4 << 10;

/// The maximum product of the program's size and the string's length, in bytes: 0.2 s in the worst case, in
/// which the automaton is rebuilt for each character.
const PRODUCT_MAX: usize = 10_000_000_000;

/// The program sizes that are tried, in bytes.
const PROGRAM_SIZES: &[usize] = &[512, 4 << 10, 32 << 10, 256 << 10, PROGRAM_BYTES_MAX];

/// Returns the longest string that a pattern may be applied to, in bytes; `None` for a pattern that is
/// ignored because it or its program is too large.
pub fn text_bytes_max(pattern: &str) -> Option<usize> {
    if pattern.len() > PATTERN_BYTES_MAX {
        return None;
    }
    let plain = without_unicode_classes(pattern);
    for size in PROGRAM_SIZES {
        charge(u64::try_from(size / 2).unwrap_or(u64::MAX));
        match RegexBuilder::new(&plain).size_limit(*size).build() {
            Ok(_) => return Some(PRODUCT_MAX / size),
            Err(Error::CompiledTooBig(_)) => {}
            // A pattern that this engine cannot parse is treated as one with look-around.
            Err(_) => return Some(LOOK_AROUND_TEXT_MAX),
        }
    }
    None
}

/// Rewrites `\d` and `\w` to the meaning in JSON Schema: ASCII only.
fn without_unicode_classes(pattern: &str) -> String {
    let mut plain = String::with_capacity(pattern.len());
    let mut is_class = false;
    let mut characters = pattern.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => match (characters.next(), is_class) {
                (Some('d'), false) => plain.push_str("[0-9]"),
                (Some('d'), true) => plain.push_str("0-9"),
                (Some('w'), false) => plain.push_str("[A-Za-z0-9_]"),
                (Some('w'), true) => plain.push_str("A-Za-z0-9_"),
                (other, _) => {
                    plain.push('\\');
                    plain.extend(other);
                }
            },
            '[' if !is_class => {
                is_class = true;
                plain.push('[');
            }
            ']' if is_class => {
                is_class = false;
                plain.push(']');
            }
            other => plain.push(other),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_larger_a_pattern_the_shorter_its_strings() {
        let megabyte = 1 << 20;
        for (pattern, least) in [
            ("^[A-Za-z0-9+/=]*$", 16 * megabyte),
            (r"^\w+$", 2 * megabyte),
            (r"^\d{4}-\d\d-\d\d$", 2 * megabyte),
            (r"^[\w.-]+@[\w-]+\.[a-z]{2,}$", 300_000),
            (r"^(?!.*\.\.)[a-z./]+$", LOOK_AROUND_TEXT_MAX),
            (r"(a+)+\1", LOOK_AROUND_TEXT_MAX),
        ] {
            let most = text_bytes_max(pattern);
            assert!(most >= Some(least), "{pattern}: {most:?}");
        }
        for (pattern, most) in [
            (r"(?:(?=a*b)|a)*c", LOOK_AROUND_TEXT_MAX),
            (r"(a|b)*a(a|b){4000}", 10_000),
            (r"(a|b)*a(a|b){500}", 100_000),
        ] {
            let found = text_bytes_max(pattern);
            assert!(
                found.is_some_and(|found| found <= most),
                "{pattern}: {found:?}"
            );
        }
        let long = "a|".repeat(PATTERN_BYTES_MAX);
        for pattern in [r"\p{L}{1000}", "(a{1000}){1000}", &long] {
            assert_eq!(text_bytes_max(pattern), None);
        }
    }
}
