//! One progress line: the text of a server, made safe for a chat. Pure.

use crate::{mcp::ProgressMessage, plain_text::is_harmful, secret::Redactor};

/// The maximum length of a line in characters: more does not fit into one line of the chat.
const LINE_CHARS_MAX: usize = 200;

/// Whole numbers above this are not shown as steps.
const STEPS_MAX: f64 = 1e9;

/// Formats progress as `count: page 3 (3 of 10)`. Empty if there is nothing to show.
pub fn line(tool: &str, progress: &ProgressMessage, redactor: &Redactor) -> String {
    let text = clean(progress, redactor);
    let count = progress.reached.map(|it| count(it, progress.total));
    let said = match (text.is_empty(), count.filter(|count| !count.is_empty())) {
        (false, Some(count)) => format!(" ({count})"),
        (true, Some(count)) => count,
        (false, None) => String::new(),
        (true, None) => return String::new(),
    };
    let room = LINE_CHARS_MAX.saturating_sub(tool.chars().count() + said.chars().count() + 2);
    format!("{tool}: {}{said}", shortened(&text, room))
}

/// The text without secrets and without characters that would break the line or change its
/// direction. Secrets are removed twice: before these characters are removed, for secrets that
/// contain some, and after, for secrets that were hidden by them.
fn clean(progress: &ProgressMessage, redactor: &Redactor) -> String {
    let before = if progress.is_cut {
        redactor.redact_beginning(&progress.text)
    } else {
        redactor.redact(&progress.text).into_owned()
    };
    let mut plain = String::with_capacity(before.len());
    for word in before.split_whitespace() {
        if !plain.is_empty() {
            plain.push(' ');
        }
        plain.extend(word.chars().filter(|c| !is_harmful(*c)));
    }
    redactor.clean(&mut plain);
    plain.trim().to_owned()
}

/// The beginning of a text, at most `room` characters.
fn shortened(text: &str, room: usize) -> String {
    if text.chars().count() <= room {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(room.saturating_sub(1)).collect();
    short.push('…');
    short
}

/// Formats `3 of 10`, `42 %` or `3`. Empty if the numbers are not usable.
fn count(reached: f64, total: Option<f64>) -> String {
    let total = total.filter(|total| total.is_finite() && *total > 0.0);
    match total {
        _ if !reached.is_finite() || reached < 0.0 => String::new(),
        Some(total) if is_whole(reached) && is_whole(total) && !is_scale(total) => {
            format!("{reached} of {total}")
        }
        Some(total) => format!("{:.0} %", (reached / total * 100.0).min(100.0)),
        None if is_whole(reached) => format!("{reached}"),
        None => String::new(),
    }
}

/// Whether a number can be a number of steps.
fn is_whole(number: f64) -> bool {
    number.fract().abs() < f64::EPSILON && number < STEPS_MAX
}

/// Whether the total means that a percentage is shown instead of steps.
fn is_scale(total: f64) -> bool {
    (total - 1.0).abs() < f64::EPSILON || (total - 100.0).abs() < f64::EPSILON
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    fn said(text: &str) -> ProgressMessage {
        ProgressMessage {
            text: text.to_owned(),
            ..ProgressMessage::default()
        }
    }

    #[test]
    fn how_far_it_is_is_told_as_people_count() {
        let of = |text: &str, reached: f64, total: Option<f64>| {
            let progress = ProgressMessage {
                reached: Some(reached),
                total,
                ..said(text)
            };
            line("count", &progress, &Redactor::default())
        };
        for (text, reached, total, expected) in [
            ("page 3", 3.0, Some(10.0), "count: page 3 (3 of 10)"),
            ("", 3.0, Some(10.0), "count: 3 of 10"),
            ("half", 0.5, Some(1.0), "count: half (50 %)"),
            ("", 42.0, Some(100.0), "count: 42 %"),
            ("", 12.5, Some(10.0), "count: 100 %"),
            ("", 7.0, None, "count: 7"),
            ("words", 0.25, None, "count: words"),
            ("", 0.25, None, ""),
            ("words", f64::NAN, Some(2.0), "count: words"),
            ("words", -1.0, Some(2.0), "count: words"),
            ("words", 1.0, Some(0.0), "count: words (1)"),
            ("", 1.0, Some(f64::INFINITY), "count: 1"),
        ] {
            assert_eq!(of(text, reached, total), expected, "{text} {reached}");
        }
        assert_eq!(line("count", &said(" \n "), &Redactor::default()), "");
    }

    #[test]
    fn a_line_is_one_line_short_and_plain() {
        let of = |text: &str| line("t", &said(text), &Redactor::default());
        assert_eq!(
            of("one\r\n  two\tthree\u{1b}[31m\0"),
            "t: one two three[31m"
        );
        assert_eq!(of("a\u{202e}b\u{2066}c\u{feff}d\u{2028}e"), "t: abcd e");
        assert_eq!(of("größe 日本 🙂"), "t: größe 日本 🙂");
        let long = of(&"é".repeat(4_000));
        assert_eq!(long.chars().count(), LINE_CHARS_MAX);
        assert!(long.ends_with('…'));
        let name = "n".repeat(300);
        let long = line(&name, &said("words"), &Redactor::default());
        assert!(long.starts_with(&name));
    }

    #[test]
    fn a_secret_in_a_line_is_found_also_where_something_hides_it() {
        let redactor = Redactor::default();
        redactor.learn(Secret::new("s3cret-token-0123456789"));
        redactor.learn(Secret::new("first line\nsecond line of a key"));
        let of = |progress: &ProgressMessage| line("t", progress, &redactor);
        for hidden in [
            "with s3cret-token-0123456789 here",
            "with s3cret\0-token-0123\u{202e}456789 here",
            "with first line\nsecond line of a key here",
        ] {
            assert_eq!(of(&said(hidden)), "t: with *** here");
        }
        let cut = ProgressMessage {
            is_cut: true,
            ..said("the rest is long s3cret-token-01234")
        };
        assert!(!of(&cut).contains("s3cret"), "{}", of(&cut));
    }
}
