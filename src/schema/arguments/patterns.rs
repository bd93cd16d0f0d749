//! What a pattern may cost: how long the strings may be that it is applied to.
//!
//! One match cannot be interrupted, so its time is bounded beforehand. A pattern without
//! look-around takes, in the worst case, time in proportion to the size of its program and to the
//! length of the string. One with look-around takes the most steps back that it may, each as long
//! as the string.

use regex::{Error, RegexBuilder};

use crate::schema::meter::charge;

/// The memory that a compiled pattern may take, in bytes.
pub const PROGRAM_BYTES_MAX: usize = 2 << 20;

/// How often a pattern with look-around may step back: enough for any honest one.
pub const BACKTRACK_MAX: usize = 30_000;

/// The longest pattern that is read, in bytes.
const PATTERN_BYTES_MAX: usize = 16 << 10;

/// The longest string for a pattern with look-around, in bytes: 0.2 s in the worst case.
const LOOK_AROUND_TEXT_MAX: usize = 4 << 10;

/// The size of a program in bytes, times that of a string in bytes, at most: 0.2 s in the worst
/// case, in which the automaton is built anew for each character.
const PRODUCT_MAX: usize = 10_000_000_000;

/// The sizes that are tried for a program, in bytes.
const PROGRAM_SIZES: &[usize] = &[512, 4 << 10, 32 << 10, 256 << 10, PROGRAM_BYTES_MAX];

/// The longest string that a pattern may be applied to, in bytes; `None` for a pattern that is not
/// used at all, because it is too long or its program too large.
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
            // What this engine does not read is taken for look-around.
            Err(_) => return Some(LOOK_AROUND_TEXT_MAX),
        }
    }
    None
}

/// Writes `\d` and `\w` as the schema language means them: ASCII alone.
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
