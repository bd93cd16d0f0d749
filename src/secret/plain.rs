//! [`Plain`]: a text without the escapes of URLs, JSON and programs, and where its bytes stood before.
//!
//! Every program has its own idea of what it escapes, and some escape what others escaped. So escapes
//! are undone rather than foreseen: whatever a backslash or a percent sign says of a character is
//! replaced by the character, all other backslashes go, and secrets are looked for in that form.

use std::ops::Range;

use memchr::memchr2;

/// A text without escapes.
pub(super) struct Plain {
    /// The bytes; they need not be UTF-8.
    pub(super) text: Vec<u8>,
    /// What was taken out or replaced, in order; the rest is as it was.
    escapes: Vec<Escape>,
}

/// A piece of the original that is not as it was.
struct Escape {
    /// What stands for it now; nothing for a backslash.
    now: Range<usize>,
    /// Where it stood.
    was: Range<usize>,
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

impl Plain {
    /// `None` for a text without escapes, which is found out without a copy.
    pub(super) fn of(original: &[u8]) -> Option<Self> {
        let mut plain = Self {
            text: Vec::new(),
            escapes: Vec::new(),
        };
        let (mut at, mut copied) = (0, 0);
        while let Some(next) = original.get(at..).and_then(|it| memchr2(b'%', b'\\', it)) {
            at += next;
            let Some((bytes, length)) = original.get(at..).and_then(unescaped) else {
                at += 1;
                continue;
            };
            let before = original.get(copied..at).unwrap_or_default();
            plain.text.extend_from_slice(before);
            let from = plain.text.len();
            plain.text.extend_from_slice(&bytes);
            plain.escapes.push(Escape {
                now: from..plain.text.len(),
                was: at..at + length,
            });
            at += length;
            copied = at;
        }
        if plain.escapes.is_empty() {
            return None;
        }
        let rest = original.get(copied..).unwrap_or_default();
        plain.text.extend_from_slice(rest);
        Some(plain)
    }

    /// Where a piece of it stood, the backslashes before it included.
    pub(super) fn place(&self, piece: &Range<usize>) -> Range<usize> {
        self.start(piece.start)..self.end(piece.end)
    }

    /// Where what begins here began.
    fn start(&self, at: usize) -> usize {
        let next = self.escapes.partition_point(|it| it.now.start < at);
        match self.escapes.get(next) {
            Some(escape) if escape.now.start == at => escape.was.start,
            Some(_) | None => self.beyond(next, at),
        }
    }

    /// Where what ends here ended.
    fn end(&self, at: usize) -> usize {
        let before = self.escapes.partition_point(|it| it.now.end < at);
        let ending = self.escapes.get(before..).unwrap_or_default();
        let decoded = ending
            .iter()
            .take_while(|it| it.now.end == at)
            .find(|it| !it.now.is_empty());
        match decoded {
            Some(escape) => escape.was.end,
            None => self.beyond(before, at),
        }
    }

    /// Where a byte stood that is as it was, behind so many escapes.
    fn beyond(&self, escapes: usize, at: usize) -> usize {
        let last = escapes.checked_sub(1).and_then(|it| self.escapes.get(it));
        last.map_or(at, |it| it.was.end + (at - it.now.end))
    }
}

/// What stands for the escape that a text begins with, and the length of that.
fn unescaped(text: &[u8]) -> Option<(Vec<u8>, usize)> {
    match text {
        [b'%', high, low, ..] => {
            let byte = digit(*high)? << 4 | digit(*low)?;
            let bytes = match plain_of(char::from(byte)) {
                Some(plain) if byte.is_ascii() => plain.to_string().into_bytes(),
                Some(_) => vec![byte],
                None => Vec::new(),
            };
            Some((bytes, 3))
        }
        [b'\\', ..] => Some(character(text).unwrap_or((Vec::new(), 1))),
        _ => None,
    }
}

/// The character of a `\uXXXX`, or of two of them.
fn character(text: &[u8]) -> Option<(Vec<u8>, usize)> {
    let first = unit(text)?;
    let second = text.get(6..).and_then(unit);
    let units = [Some(first), second].into_iter().flatten();
    let character = char::decode_utf16(units).next()?.ok()?;
    let plain: String = plain_of(character).into_iter().collect();
    Some((plain.into_bytes(), character.len_utf16() * 6))
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
            assert_eq!(plain.place(&(0..plain.text.len())), 0..original.len());
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
        let was = |now| {
            let place = plain.place(&now);
            String::from_utf8_lossy(&original[place]).into_owned()
        };
        assert_eq!(was(6..7), "x");
        assert_eq!(was(7..9), r#"\"y"#);
        assert_eq!(was(8..9), "y");
        assert_eq!(was(8..10), "y%2F");
        assert_eq!(was(10..12), r#"z\\\""#);
        assert_eq!(was(11..12), r#"\\\""#);
        assert_eq!(was(13..20), r#","b":1}"#);
    }
}
