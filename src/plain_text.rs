//! Makes foreign text safe for terminals, logs and files: it cannot move the cursor, and it cannot hide or
//! reorder other text.
//!
//! Harmful characters are written as JSON escapes (`\u001b`, `\u202e`), so that they are visible and a line
//! of JSON keeps its meaning.

use std::{borrow::Cow, fmt::Write as _};

/// Whether a character is invisible or changes how others are displayed: controls (C0, DEL, C1), line
/// separators, direction marks (Unicode Bidirectional Algorithm §2), characters without width, fillers, and
/// tags.
pub fn is_harmful(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{ad}'
                | '\u{34f}'
                | '\u{61c}'
                | '\u{115f}'..='\u{1160}'
                | '\u{17b4}'..='\u{17b5}'
                | '\u{180b}'..='\u{180f}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{3164}'
                | '\u{feff}'
                | '\u{ffa0}'
                | '\u{fff0}'..='\u{fffb}'
                | '\u{1d173}'..='\u{1d17a}'
                | '\u{e0000}'..='\u{e0fff}'
        )
}

/// Returns a text on one line. Harmful characters, tabs and line breaks are escaped.
pub fn line(text: &str) -> Cow<'_, str> {
    written_out(text, is_harmful)
}

/// Returns a text of several lines. Harmful characters are escaped; tabs and line feeds stay.
pub fn lines(text: &str) -> Cow<'_, str> {
    written_out(text, |character| {
        is_harmful(character) && !matches!(character, '\n' | '\t')
    })
}

/// Returns a text without escape sequences, which programs use for colors (ECMA-48: control sequences, and
/// strings such as links and titles).
pub fn without_escape_sequences(text: &str) -> Cow<'_, str> {
    if !text.contains(['\u{1b}', '\u{9b}', '\u{9d}']) {
        return Cow::Borrowed(text);
    }
    let mut kept = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(character) = rest.next() {
        let kind = match character {
            '\u{1b}' => rest.next(),
            '\u{9b}' => Some('['),
            '\u{9d}' => Some(']'),
            other => {
                kept.push(other);
                continue;
            }
        };
        match kind {
            Some('[') => {
                // Parameters, then one final character.
                let _final = rest.find(|it| !matches!(it, ' '..='?'));
            }
            Some(']' | 'P' | 'X' | '^' | '_') => skip_string(&mut rest),
            Some(' '..='/') => {
                let _final = rest.next();
            }
            Some(_) | None => {}
        }
    }
    Cow::Owned(kept)
}

/// Skips a control string to its end. A string without an end hides nothing.
fn skip_string(rest: &mut std::str::Chars<'_>) {
    let mut ahead = rest.clone();
    while let Some(character) = ahead.next() {
        let is_end = match character {
            '\u{7}' | '\u{9c}' => true,
            '\u{1b}' => ahead.next() == Some('\\'),
            _ => false,
        };
        if is_end {
            *rest = ahead;
            return;
        }
    }
}

/// Whether a text contains only printable ASCII, which is checked byte by byte.
fn is_visible_ascii(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

/// Escapes some characters.
fn written_out(text: &str, is_odd: impl Fn(char) -> bool) -> Cow<'_, str> {
    if is_visible_ascii(text) || !text.chars().any(&is_odd) {
        return Cow::Borrowed(text);
    }
    let mut written = String::with_capacity(text.len() + 32);
    for character in text.chars() {
        match character {
            '\n' if is_odd(character) => written.push_str("\\n"),
            '\r' if is_odd(character) => written.push_str("\\r"),
            '\t' if is_odd(character) => written.push_str("\\t"),
            _ if is_odd(character) => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    // Writing to a string cannot fail.
                    write!(written, "\\u{unit:04x}").unwrap_or_default();
                }
            }
            _ => written.push(character),
        }
    }
    Cow::Owned(written)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Whether a text has no harmful characters.
    fn is_plain(text: &str) -> bool {
        !text.chars().any(is_harmful)
    }

    #[test]
    fn what_people_cannot_see_is_written_out() {
        for (text, expected) in [
            ("größe 日本 🙂 ❤\u{fe0f}", "größe 日本 🙂 ❤\u{fe0f}"),
            ("a\u{1b}[2Jb", "a\\u001b[2Jb"),
            ("100 %\rfake line", "100 %\\rfake line"),
            ("one\ntwo\tthree", "one\\ntwo\\tthree"),
            ("\u{9b}31m \u{85}\u{7f}", "\\u009b31m \\u0085\\u007f"),
            ("user\u{202e}gpj.exe", "user\\u202egpj.exe"),
            (
                "\u{2066}a\u{2069}\u{61c}\u{200e}\u{200f}",
                "\\u2066a\\u2069\\u061c\\u200e\\u200f",
            ),
            (
                "ad\u{200b}min\u{feff}\u{2060}",
                "ad\\u200bmin\\ufeff\\u2060",
            ),
            ("a\u{2028}b\u{2029}", "a\\u2028b\\u2029"),
            ("tag\u{e0041}", "tag\\udb40\\udc41"),
        ] {
            assert_eq!(line(text), expected);
            assert_eq!(is_plain(text), text == expected, "{text:?}");
        }
        assert_eq!(lines("one\n\ttwo\r\n"), "one\n\ttwo\\r\n");
        // Inside JSON it keeps its meaning.
        let value = serde_json::json!({ "a": "x\u{202e}y\u{e0041}\u{9b}\u{7f}" });
        let written = line(&value.to_string()).into_owned();
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&written).unwrap(),
            value
        );
    }

    #[test]
    fn colors_and_links_of_programs_are_dropped() {
        for (text, expected) in [
            ("\u{1b}[32mINFO\u{1b}[0m ready", "INFO ready"),
            ("\u{1b}[2J\u{1b}[1;1Hgone", "gone"),
            (
                "\u{1b}]8;;https://evil.example\u{1b}\\text\u{1b}]8;;\u{7}!",
                "text!",
            ),
            ("\u{9b}31mred", "red"),
            ("\u{1b}(Bx\u{1b}", "x"),
            ("\u{1b}]0;no end", "0;no end"),
            ("plain", "plain"),
        ] {
            assert_eq!(without_escape_sequences(text), expected, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn nothing_harmful_stays(text in "[ -~é\n\t\r\u{0}-\u{a0}\u{200a}-\u{2070}\u{feff}\u{e0000}-\u{e007f}]{0,60}", any in any::<String>()) {
            for text in [text, any] {
                let one = line(&text).into_owned();
                prop_assert!(is_plain(&one), "{one:?}");
                prop_assert_eq!(line(&one), one.as_str());
                let several = lines(&text).into_owned();
                prop_assert!(several.chars().all(|it| !is_harmful(it) || matches!(it, '\n' | '\t')));
                let bare = without_escape_sequences(&text).into_owned();
                prop_assert!(bare.len() <= text.len() && !bare.contains('\u{1b}'), "{bare:?}");
            }
        }
    }
}
