//! [`Plain`]: a text without the escapes of URLs, JSON and programs.
//!
//! Every program has its own idea of what it escapes, and some escape what others escaped. So escapes
//! are undone rather than foreseen: whatever a backslash or a percent sign says of a character is
//! replaced by the character, all other backslashes go, and secrets are looked for in that form. It does
//! not replace the search in the text as it is: `%` before a secret that begins with digits takes two
//! of them for its own.

use std::{iter::Peekable, ops::Range};

use memchr::memchr2;

/// A text without escapes. Where its bytes stood is found out anew for the few who ask: kept for a text
/// of nothing but escapes, that would be many times its size.
pub(super) struct Plain<'a> {
    /// What it was made of.
    original: &'a [u8],
    /// The bytes; they need not be UTF-8.
    pub(super) text: Vec<u8>,
}

/// The form in which a secret is looked for in a [`Plain`].
pub(super) fn plain(secret: &str) -> String {
    secret.chars().filter_map(plain_of).collect()
}

/// Backslashes go; for a line break and a tab programs write a letter.
fn plain_of(character: char) -> Option<char> {
    match character {
        '\\' => None,
        '\n' => Some('n'),
        '\r' => Some('r'),
        '\t' => Some('t'),
        other => Some(other),
    }
}

impl<'a> Plain<'a> {
    /// `None` for a text without escapes, which is found out without a copy.
    pub(super) fn of(original: &'a [u8]) -> Option<Self> {
        let mut escapes = Escapes::of(original).peekable();
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

    /// Where pieces of it stood, each with its own escapes. They are in order and apart.
    pub(super) fn places(&self, pieces: &[Range<usize>]) -> Vec<Range<usize>> {
        let mut way = Way {
            escapes: Escapes::of(self.original).peekable(),
            now: 0,
            was: 0,
        };
        pieces
            .iter()
            .map(|piece| way.start(piece.start)..way.end(piece.end))
            .collect()
    }
}

/// A piece of the original that is not as it was.
struct Escape {
    /// What stands for it; nothing for a backslash.
    instead: Instead,
    /// Where that stands.
    now: Range<usize>,
    /// Where it stood.
    was: Range<usize>,
}

/// One character at most, in UTF-8, or a byte of one.
#[derive(Clone, Copy, Default)]
struct Instead {
    buffer: [u8; 4],
    length: usize,
}

impl Instead {
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

/// The escapes of a text, one after the other.
struct Escapes<'a> {
    text: &'a [u8],
    /// How far it was read.
    at: usize,
    /// How much shorter it became.
    saved: usize,
}

impl<'a> Escapes<'a> {
    fn of(text: &'a [u8]) -> Self {
        Self {
            text,
            at: 0,
            saved: 0,
        }
    }
}

impl Iterator for Escapes<'_> {
    type Item = Escape;

    fn next(&mut self) -> Option<Escape> {
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
            return Some(Escape {
                instead,
                now: now..now + instead.length,
                was: start..self.at,
            });
        }
    }
}

/// The way back through a text.
struct Way<'a> {
    /// Those ahead.
    escapes: Peekable<Escapes<'a>>,
    /// Behind the last one, without escapes.
    now: usize,
    /// The same place with them.
    was: usize,
}

impl Way<'_> {
    /// Where what begins here began, backslashes before it included.
    fn start(&mut self, at: usize) -> usize {
        self.pass(|escape| escape.now.start < at);
        match self.escapes.peek() {
            Some(escape) if escape.now.start == at => escape.was.start,
            Some(_) | None => self.was + at.saturating_sub(self.now),
        }
    }

    /// Where what ends here ended.
    fn end(&mut self, at: usize) -> usize {
        self.pass(|escape| escape.now.end < at);
        match self.escapes.peek() {
            Some(escape) if escape.now.end == at && escape.instead.length > 0 => escape.was.end,
            Some(_) | None => self.was + at.saturating_sub(self.now),
        }
    }

    /// Leaves escapes behind.
    fn pass(&mut self, is_behind: impl Fn(&Escape) -> bool) {
        while let Some(escape) = self.escapes.next_if(&is_behind) {
            (self.now, self.was) = (escape.now.end, escape.was.end);
        }
    }
}

/// What stands for the escape that a text begins with, and the length of that.
fn unescaped(text: &[u8]) -> Option<(Instead, usize)> {
    match text {
        [b'%', high, low, ..] => {
            let byte = digit(*high)? << 4 | digit(*low)?;
            let instead = if byte.is_ascii() {
                let plain = plain_of(char::from(byte));
                plain.map(Instead::character).unwrap_or_default()
            } else {
                Instead::byte(byte)
            };
            Some((instead, 3))
        }
        [b'\\', ..] => Some(character(text).unwrap_or((Instead::default(), 1))),
        _ => None,
    }
}

/// The character of a `\uXXXX`, or of two of them.
fn character(text: &[u8]) -> Option<(Instead, usize)> {
    let first = unit(text)?;
    let second = text.get(6..).and_then(unit);
    let units = [Some(first), second].into_iter().flatten();
    let character = char::decode_utf16(units).next()?.ok()?;
    let plain = plain_of(character);
    let instead = plain.map(Instead::character).unwrap_or_default();
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
            let plain = Plain::of(original.as_bytes()).unwrap();
            assert_eq!(String::from_utf8_lossy(&plain.text), text);
            let whole = 0..plain.text.len();
            assert_eq!(plain.places(&[whole])[0], 0..original.len());
        }
        for text in ["", "%", "100 %", "%%%", "%u00e9", "plain"] {
            assert!(Plain::of(text.as_bytes()).is_none(), "{text}");
        }
        assert_eq!(plain("a\\b\n\"c\""), "abn\"c\"");
    }

    #[test]
    fn a_place_takes_the_escapes_of_its_own_with_it() {
        let original = br#"{"a":"x\"y%2Fz\\\"","b":1}"#;
        let plain = Plain::of(original).unwrap();
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
