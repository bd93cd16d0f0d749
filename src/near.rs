//! Measures the similarity of names, to suggest what a caller meant. Pure. Only the beginning of a long name
//! counts.

use std::cmp::Ordering;

/// How much of a name is compared, in characters.
const CHARS_MAX: usize = 100;

/// From this similarity on, a name counts as a misspelling of the other.
const SLIP: f64 = 0.72;

/// From this similarity on, two words of names count as the same.
const SAME_WORD: f64 = 0.5;

/// From this similarity on, a name is worth suggesting.
const NEAR: f64 = 0.6;

/// The similarity of a name that contains all words of the other.
const SHARED: f64 = 0.8;

/// Whether one name is a misspelling of the other: `max_cnt` and `maxCount`, but not `min_count` and
/// `max_count`.
pub fn is_slip(one: &str, other: &str) -> bool {
    let (ones, others) = (words(one), words(other));
    let (plain, other) = (ones.concat(), others.concat());
    if plain.is_empty() || other.is_empty() {
        return false;
    }
    if plain == other {
        return true;
    }
    let are_paired = ones.len() != others.len()
        || ones
            .iter()
            .zip(&others)
            .all(|(one, other)| strsim::normalized_damerau_levenshtein(one, other) >= SAME_WORD);
    are_paired && strsim::normalized_damerau_levenshtein(&plain, &other) >= SLIP
}

/// Returns the similarity of two names, from 0 to 1. A name with all words of the other is quite similar.
fn likeness(one: &str, other: &str) -> f64 {
    let (ones, others) = (words(one), words(other));
    let spelt = strsim::normalized_damerau_levenshtein(&ones.concat(), &others.concat());
    let is_within = |few: &[String], many: &[String]| {
        !few.is_empty() && few.iter().all(|word| many.contains(word))
    };
    if is_within(&ones, &others) || is_within(&others, &ones) {
        spelt.max(SHARED)
    } else {
        spelt
    }
}

/// Returns the names that are most similar to the written one, the most similar first.
pub fn nearest<'n>(
    written: &str,
    names: impl Iterator<Item = &'n str>,
    at_most: usize,
) -> Vec<&'n str> {
    let mut found: Vec<(f64, &str)> = names
        .map(|name| (likeness(written, name), name))
        .filter(|(likeness, _)| *likeness >= NEAR)
        .collect();
    found.sort_by(|one, other| other.0.partial_cmp(&one.0).unwrap_or(Ordering::Equal));
    found
        .into_iter()
        .take(at_most)
        .map(|(_, name)| name)
        .collect()
}

/// Lists names for a sentence: `` `a`, `b` or `c` ``.
pub fn either(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        Some((last, _)) => last.clone(),
        None => String::new(),
    }
}

/// Returns the words of a name in lower case: `oldText`, `old_text` and `OLD-TEXT` have the same words.
fn words(name: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut was_small = false;
    for character in name.chars().take(CHARS_MAX) {
        let is_start = character.is_uppercase() && was_small;
        if !character.is_alphanumeric() || is_start {
            words.push(std::mem::take(&mut word));
        }
        if character.is_alphanumeric() {
            word.extend(character.to_lowercase());
        }
        was_small = character.is_lowercase() || character.is_numeric();
    }
    words.push(word);
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_told_from_another_name() {
        let slips = [
            ("max_cnt", "max_count"),
            ("maxCount", "max_count"),
            ("old_text", "oldText"),
            ("OLD-TEXT", "oldText"),
            ("lable", "label"),
            ("names", "name"),
            ("timezon", "timezone"),
        ];
        for (one, other) in slips {
            assert!(is_slip(one, other) && is_slip(other, one), "{one} {other}");
        }
        let others = [
            ("min_count", "max_count"),
            ("from_date", "to_date"),
            ("start", "stop"),
            ("file_path", "path"),
            ("id", "ip"),
            ("x", "y"),
            ("limit", "offset"),
            ("___", "a"),
            ("", ""),
        ];
        for (one, other) in others {
            assert!(!is_slip(one, other), "{one} {other}");
        }
    }

    #[test]
    fn what_shares_its_words_is_near() {
        for (one, other) in [
            ("file_path", "path"),
            ("source", "source_timezone"),
            ("pth", "path"),
        ] {
            assert!(likeness(one, other) >= NEAR, "{one} {other}");
        }
        for (one, other) in [("limit", "offset"), ("query", "path"), ("", "path")] {
            assert!(likeness(one, other) < NEAR, "{one} {other}");
        }
    }

    #[test]
    fn the_nearest_comes_first() {
        let names = ["get_current_time", "convert_time", "get_time", "list_zones"];
        assert_eq!(
            nearest("get_tiem", names.into_iter(), 2),
            ["get_time", "convert_time"][..1]
        );
        assert_eq!(nearest("time", names.into_iter(), 2).len(), 2);
        assert!(nearest("weather", names.into_iter(), 2).is_empty());
        let long = "a".repeat(1 << 20);
        assert_eq!(nearest(&long, [long.as_str()].into_iter(), 2).len(), 1);
        assert_eq!(either(&["a", "b", "c"]), "`a`, `b` or `c`");
        assert_eq!(either(&["a"]), "`a`");
    }
}
