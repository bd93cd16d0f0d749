//! [`UnescapedText`]: a text without the escapes of URLs, JSON and programs.
//!
//! Every program escapes different characters, and some escape text that is already escaped. So
//! escapes are undone instead of predicted: each escape sequence with a backslash or a percent sign
//! is replaced with its character, all other backslashes are removed, and secrets are looked for in
//! the result. The original text must still be searched too: a `%` directly before a secret that
//! begins with digits would consume two of them.

use std::{iter::Peekable, ops::Range};

use memchr::memchr2;

/// A text without escapes. The original positions are computed again when needed. Storing them
/// could take many times the size of a text that consists only of escapes.
pub(super) struct UnescapedText<'a> {
    /// The original text.
    original: &'a [u8],
    /// The bytes, which need not be UTF-8.
    pub(super) text: Vec<u8>,
}

/// The form in which a secret is looked for in an [`UnescapedText`].
pub(super) fn plain(secret: &str) -> String {
    secret.chars().filter_map(plain_of).collect()
}

/// Removes backslashes. For a line break and a tab, programs write a letter after the backslash.
fn plain_of(character: char) -> Option<char> {
    match character {
        '\\' => None,
        '\n' => Some('n'),
        '\r' => Some('r'),
        '\t' => Some('t'),
        other => Some(other),
    }
}

impl<'a> UnescapedText<'a> {
    /// Undoes escapes. Returns `None` for a text without escapes, without copying it.
    pub(super) fn of(original: &'a [u8]) -> Option<Self> {
        let mut escapes = EscapeIter::of(original).peekable();
        escapes.peek()?;
        let mut text = Vec::with_capacity(original.len());
        let mut copied = 0;
        for escape in escapes {
            let before = original.get(copied..escape.was.start);
            text.extend_from_slice(before.unwrap_or_default());
            text.extend_from_slice(escape.instead.bytes());
            copied = escape.was.end;
        }
        text.extend_from_slice(original.get(copied..).unwrap_or_default());
        Some(Self { original, text })
    }

    /// The original positions of pieces of the text, including their escapes. The result is sorted
    /// and without overlaps.
    pub(super) fn places(&self, pieces: &[Range<usize>]) -> Vec<Range<usize>> {
        let mut way = PositionMap {
            escapes: EscapeIter::of(self.original).peekable(),
            now: 0,
            was: 0,
        };
        pieces
            .iter()
            .map(|piece| way.start(piece.start)..way.end(piece.end))
            .collect()
    }
}

/// A changed piece of the original.
struct EscapeSpan {
    /// The replacement; empty for a removed backslash.
    instead: EscapeReplacement,
    /// The position of the replacement.
    now: Range<usize>,
    /// The original position.
    was: Range<usize>,
}

/// At most one character in UTF-8, or a single byte.
#[derive(Clone, Copy, Default)]
struct EscapeReplacement {
    buffer: [u8; 4],
    length: usize,
}

impl EscapeReplacement {
    fn byte(byte: u8) -> Self {
        Self {
            buffer: [byte, 0, 0, 0],
            length: 1,
        }
    }

    fn character(character: char) -> Self {
        let mut instead = Self::default();
        instead.length = character.encode_utf8(&mut instead.buffer).len();
        instead
    }

    fn bytes(&self) -> &[u8] {
        self.buffer.get(..self.length).unwrap_or_default()
    }
}

/// The escapes of a text, in order.
struct EscapeIter<'a> {
    text: &'a [u8],
    /// How far the text was read.
    at: usize,
    /// By how many bytes the result is shorter.
    saved: usize,
}

impl<'a> EscapeIter<'a> {
    fn of(text: &'a [u8]) -> Self {
        Self {
            text,
            at: 0,
            saved: 0,
        }
    }
}

impl Iterator for EscapeIter<'_> {
    type Item = EscapeSpan;

    fn next(&mut self) -> Option<EscapeSpan> {
        loop {
            let rest = self.text.get(self.at..)?;
            let start = self.at + memchr2(b'%', b'\\', rest)?;
            let Some((instead, length)) = self.text.get(start..).and_then(unescaped) else {
                self.at = start + 1;
                continue;
            };
            let now = start - self.saved;
            self.at = start + length;
            self.saved += length - instead.length;
            return Some(EscapeSpan {
                instead,
                now: now..now + instead.length,
                was: start..self.at,
            });
        }
    }
}

/// Maps positions back to the original text.
struct PositionMap<'a> {
    /// The escapes ahead.
    escapes: Peekable<EscapeIter<'a>>,
    /// The position after the last escape, in the unescaped text.
    now: usize,
    /// The same position in the original text.
    was: usize,
}

impl PositionMap<'_> {
    /// The original start of a piece that starts here, including backslashes before it.
    fn start(&mut self, at: usize) -> usize {
        self.pass(|escape| escape.now.start < at);
        match self.escapes.peek() {
            Some(escape) if escape.now.start == at => escape.was.start,
            Some(_) | None => self.was + at.saturating_sub(self.now),
        }
    }

    /// The original end of a piece that ends here.
    fn end(&mut self, at: usize) -> usize {
        self.pass(|escape| escape.now.end < at);
        match self.escapes.peek() {
            Some(escape) if escape.now.end == at && escape.instead.length > 0 => escape.was.end,
            Some(_) | None => self.was + at.saturating_sub(self.now),
        }
    }

    /// Skips escapes.
    fn pass(&mut self, is_behind: impl Fn(&EscapeSpan) -> bool) {
        while let Some(escape) = self.escapes.next_if(&is_behind) {
            (self.now, self.was) = (escape.now.end, escape.was.end);
        }
    }
}

/// The replacement of the escape at the start of a text, and the length of the escape.
fn unescaped(text: &[u8]) -> Option<(EscapeReplacement, usize)> {
    match text {
        [b'%', high, low, ..] => {
            let byte = digit(*high)? << 4 | digit(*low)?;
            let instead = if byte.is_ascii() {
                let plain = plain_of(char::from(byte));
                plain.map(EscapeReplacement::character).unwrap_or_default()
            } else {
                EscapeReplacement::byte(byte)
            };
            Some((instead, 3))
        }
        [b'\\', ..] => Some(character(text).unwrap_or((EscapeReplacement::default(), 1))),
        _ => None,
    }
}

/// The character of one `\uXXXX`, or of a surrogate pair.
fn character(text: &[u8]) -> Option<(EscapeReplacement, usize)> {
    let first = unit(text)?;
    let second = text.get(6..).and_then(unit);
    let units = [Some(first), second].into_iter().flatten();
    let character = char::decode_utf16(units).next()?.ok()?;
    let plain = plain_of(character);
    let instead = plain.map(EscapeReplacement::character).unwrap_or_default();
    Some((instead, character.len_utf16() * 6))
}

/// The code of a `\uXXXX`.
fn unit(text: &[u8]) -> Option<u16> {
    let [b'\\', b'u', digits @ ..] = text.get(..6)? else {
        return None;
    };
    digits
        .iter()
        .try_fold(0, |code, it| Some(code << 4 | u16::from(digit(*it)?)))
}

/// The value of a hexadecimal digit.
fn digit(digit: u8) -> Option<u8> {
    let value = char::from(digit).to_digit(16)?;
    u8::try_from(value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_undone_at_any_depth() {
        for (original, text) in [
            ("a%2Fb", "a/b"),
            ("%2f%C3%B6", "/ö"),
            (r"x\/y", "x/y"),
            (r"x\\\\/y", "x/y"),
            (r"k\u00e9y \u0026", "kéy &"),
            (r"\\\\u00e9", "é"),
            (r"\ud83d\ude42!", "🙂!"),
            (r#"say \\\"hi\\\""#, r#"say "hi""#),
            (r"a\nb%0Ac\u000ad", "anbncnd"),
            (r"C:\new %5C \u005c \u12", "C:new   u12"),
            ("100%25 of %zz %", "100% of %zz %"),
        ] {
            let plain = UnescapedText::of(original.as_bytes()).unwrap();
            assert_eq!(String::from_utf8_lossy(&plain.text), text);
            let whole = 0..plain.text.len();
            assert_eq!(plain.places(&[whole])[0], 0..original.len());
        }
        for text in ["", "%", "100 %", "%%%", "%u00e9", "plain"] {
            assert!(UnescapedText::of(text.as_bytes()).is_none(), "{text}");
        }
        assert_eq!(plain("a\\b\n\"c\""), "abn\"c\"");
    }

    #[test]
    fn a_place_takes_the_escapes_of_its_own_with_it() {
        let original = br#"{"a":"x\"y%2Fz\\\"","b":1}"#;
        let plain = UnescapedText::of(original).unwrap();
        assert_eq!(plain.text, br#"{"a":"x"y/z"","b":1}"#);
        let was = |pieces: &[Range<usize>]| -> Vec<String> {
            let places = plain.places(pieces).into_iter();
            let texts = places.map(|place| String::from_utf8_lossy(&original[place]));
            texts.map(std::borrow::Cow::into_owned).collect()
        };
        assert_eq!(was(&[6..7, 7..9]), ["x", r#"\"y"#]);
        assert_eq!(was(&[8..9, 9..10]), ["y", "%2F"]);
        assert_eq!(was(&[8..10, 10..12]), ["y%2F", r#"z\\\""#]);
        assert_eq!(was(&[11..12, 13..20]), [r#"\\\""#, r#","b":1}"#]);
    }
}
