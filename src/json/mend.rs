//! [`repair`]: repairs a text that is almost JSON.

/// The escape that replaces half a surrogate pair.
const REPLACEMENT: &[u8] = b"\\ufffd";

/// The largest text that is repaired, in bytes. The repaired text is a second copy.
pub const MENDED_BYTES_MAX: usize = 8 << 20;

/// How many bytes a text may grow by, in addition to an eighth of its size. Control characters become escapes
/// of six bytes.
const GROWTH_BYTES_MAX: usize = 64 << 10;

/// Replaces only what JSON parsers reject: halves of surrogate pairs become U+FFFD, raw control characters
/// and invalid escapes in strings become characters of the string, `NaN`, `Infinity` and `undefined` become
/// `null`, numbers beyond f64 become texts with the same digits, and a byte order mark is removed (RFC 8259,
/// sections 6 to 8). The result is not necessarily JSON: other errors stay.
///
/// Returns `None` for a text of more than [`MENDED_BYTES_MAX`], and for one that would grow too much.
pub fn repair(text: &str) -> Option<String> {
    if text.len() > MENDED_BYTES_MAX {
        return None;
    }
    let mut mending = JsonRepair {
        rest: text.as_bytes(),
        // Without this capacity, growing step by step would take twice the memory.
        out: Vec::with_capacity(text.len() + text.len() / 8),
        bytes_max: text.len() + text.len() / 8 + GROWTH_BYTES_MAX,
    };
    while let Some(byte) = mending.take() {
        match byte {
            b'"' => mending.string(),
            b'-' | b'+' | b'.' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => mending.word(byte),
            // U+FEFF in UTF-8.
            0xef if mending.rest.starts_with(&[0xbb, 0xbf]) => mending.skip(2),
            0..=0x1f => mending.out.push(b' '),
            other => mending.out.push(other),
        }
        if mending.is_over() {
            return None;
        }
    }
    String::from_utf8(mending.out).ok()
}

/// A text that is being repaired.
struct JsonRepair<'a> {
    /// The remaining input.
    rest: &'a [u8],
    /// The output so far.
    out: Vec<u8>,
    /// The size limit of the output, in bytes.
    bytes_max: usize,
}

impl JsonRepair<'_> {
    /// Takes the next byte.
    fn take(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    /// Whether the output is too large.
    fn is_over(&self) -> bool {
        self.out.len() > self.bytes_max
    }

    /// Skips this many bytes.
    fn skip(&mut self, bytes: usize) {
        self.rest = self.rest.get(bytes..).unwrap_or_default();
    }

    /// Copies this many bytes.
    fn copy(&mut self, bytes: usize) {
        let copied = self.rest.get(..bytes).unwrap_or(self.rest);
        self.out.extend_from_slice(copied);
        self.skip(bytes);
    }

    /// Handles a number or a word that begins with `first`.
    fn word(&mut self, first: u8) {
        let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-.".contains(byte);
        let length = self.rest.iter().take_while(|byte| is_part(byte)).count();
        let word: Vec<u8> = std::iter::once(first)
            .chain(self.rest.iter().take(length).copied())
            .collect();
        self.skip(length);
        let text = String::from_utf8_lossy(&word);
        let is_number = first == b'-' || first.is_ascii_digit();
        match text.trim_start_matches(['+', '-']) {
            "NaN" | "nan" | "Infinity" | "inf" | "Inf" | "undefined" => {
                self.out.extend_from_slice(b"null");
            }
            _ if is_number && text.parse().is_ok_and(f64::is_infinite) => {
                self.out.push(b'"');
                self.out.extend_from_slice(&word);
                self.out.push(b'"');
            }
            _ => self.out.extend_from_slice(&word),
        }
    }

    /// Handles a string, after its opening quote.
    fn string(&mut self) {
        self.out.push(b'"');
        loop {
            let plain = self.rest.iter().take_while(|byte| is_plain(**byte)).count();
            self.copy(plain);
            match self.take() {
                None => return,
                Some(_) if self.is_over() => return,
                Some(b'"') => {
                    self.out.push(b'"');
                    return;
                }
                Some(b'\\') => self.escape(),
                Some(control) => {
                    let escape = format!("\\u{control:04x}");
                    self.out.extend_from_slice(escape.as_bytes());
                }
            }
        }
    }

    /// Handles an escape, after its backslash.
    fn escape(&mut self) {
        match self.rest.first() {
            Some(b'u') => self.unicode(),
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
                self.out.push(b'\\');
                self.copy(1);
            }
            // An invalid escape: the backslash becomes a character of the text.
            _ => self.out.extend_from_slice(b"\\\\"),
        }
    }

    /// Handles an escaped UTF-16 unit, at its `u`.
    fn unicode(&mut self) {
        match unit(self.rest) {
            None => self.out.extend_from_slice(b"\\\\"),
            Some(0xd800..0xdc00) if is_second_half(self.rest.get(5..)) => {
                self.out.push(b'\\');
                self.copy(11);
            }
            Some(0xd800..0xe000) => {
                self.out.extend_from_slice(REPLACEMENT);
                self.skip(5);
            }
            Some(_) => {
                self.out.push(b'\\');
                self.copy(5);
            }
        }
    }
}

/// Whether a byte of a string needs no escape.
fn is_plain(byte: u8) -> bool {
    byte >= 0x20 && byte != b'"' && byte != b'\\'
}

/// Returns the number of an escaped unit, at its `u`.
fn unit(text: &[u8]) -> Option<u16> {
    let digits = text.strip_prefix(b"u")?.get(..4)?;
    let digits = std::str::from_utf8(digits).ok()?;
    let is_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    u16::from_str_radix(digits, 16).ok().filter(|_| is_hex)
}

/// Whether the escape of the second half of a surrogate pair follows.
fn is_second_half(text: Option<&[u8]>) -> bool {
    let escape = text.and_then(|text| text.strip_prefix(b"\\"));
    matches!(escape.and_then(unit), Some(0xdc00..0xe000))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn read(text: &str) -> Value {
        serde_json::from_str(&repair(text).unwrap()).unwrap()
    }

    #[test]
    fn what_no_reader_takes_costs_itself() {
        for (text, value) in [
            (r#""a\ud83db""#, json!("a\u{fffd}b")),
            (r#""\ud83d""#, json!("\u{fffd}")),
            (r#""\udc4dx""#, json!("\u{fffd}x")),
            (r#""\ud83d\ud83d\udc4d""#, json!("\u{fffd}👍")),
            (r#""\ud83d\n\u0041""#, json!("\u{fffd}\nA")),
            (r#""\uD83D\uDC4D""#, json!("👍")),
            ("\u{feff}{\"a\":1}", json!({"a": 1})),
            (
                "[NaN, -Infinity,Infinity, nan]",
                json!([null, null, null, null]),
            ),
            (r#"{"a":undefined}"#, json!({"a": null})),
            ("[1e400,-1e999, 1.5e3]", json!(["1e400", "-1e999", 1500.0])),
            ("\"a\nb\tc\u{1}\"", json!("a\nb\tc\u{1}")),
            ("\u{0}{\u{0}\"a\":\u{7}1}", json!({"a": 1})),
            (r#""\x41 \' C:\dir \u12""#, json!("\\x41 \\' C:\\dir \\u12")),
            (
                r#""NaN \"Infinity\" 1e400""#,
                json!("NaN \"Infinity\" 1e400"),
            ),
            (
                "[true,false,null,-1.5,0]",
                json!([true, false, null, -1.5, 0]),
            ),
        ] {
            assert_eq!(read(text), value, "{text}");
        }
    }

    #[test]
    fn a_text_that_is_large_or_would_grow_by_much_is_given_up() {
        for text in [
            format!("\"{}\"", "\u{1}".repeat(1 << 20)),
            format!("[NaN,\"{}\"]", "a".repeat(MENDED_BYTES_MAX)),
            "\u{1}\"\u{1}\"".repeat(1 << 20),
        ] {
            assert_eq!(repair(&text), None);
        }
        let large = format!("[NaN,\"{}\"]", "a".repeat(MENDED_BYTES_MAX / 2));
        assert!(repair(&large).unwrap().capacity() < large.len() + large.len() / 4);
    }

    proptest! {
        #[test]
        fn what_is_json_means_the_same_afterwards(text in "[ -~é👍]{0,40}", number: i64) {
            let value = json!({"a": [text, number, null, {"b": 1.5}]});
            prop_assert_eq!(read(&value.to_string()), value);
        }

        #[test]
        fn any_text_is_read_without_a_panic(text in ".*") {
            let _mended = repair(&text);
        }
    }
}
