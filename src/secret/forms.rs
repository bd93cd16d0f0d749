//! The forms in which a secret travels: as it is, escaped for JSON and URLs, in base64.

use std::{collections::BTreeSet, fmt::Write as _};

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// The shortest secret that is looked for, in bytes.
pub(super) const BYTES_MIN: usize = 6;
/// The shortest one that is looked for though it is written like a word or a number, in bytes.
const PLAIN_BYTES_MIN: usize = 12;
/// The shortest piece of base64 that is looked for, in characters: a shorter one stands in many a
/// picture by chance.
const BASE64_CHARS_MIN: usize = 8;

/// The shortest line of a secret of several lines that is looked for by itself, in bytes.
const LINE_BYTES_MIN: usize = 16;
/// How many of them are.
const LINES_MAX: usize = 256;

/// What RFC 3986 never escapes.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');
/// What `encodeURIComponent` leaves besides.
const COMPONENT: &AsciiSet = &UNRESERVED
    .remove(b'!')
    .remove(b'*')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')');
/// What Python's `quote` leaves.
const QUOTE: &AsciiSet = &UNRESERVED.remove(b'/');
/// What stays in the query of a URL.
const QUERY: &AsciiSet = &QUOTE
    .remove(b'!')
    .remove(b'$')
    .remove(b'&')
    .remove(b'(')
    .remove(b')')
    .remove(b'*')
    .remove(b'+')
    .remove(b',')
    .remove(b';')
    .remove(b'=')
    .remove(b':')
    .remove(b'@')
    .remove(b'?');
/// What stays in the fields of a form, where a space becomes a plus.
const FORM: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'*')
    .remove(b' ');

/// Every text that gives a secret away; none for one that is not looked for. What follows the first
/// space is looked for by itself: `Bearer x` is known as `x` wherever it goes on. So is each line of
/// several: a key file is printed line by line.
pub(super) fn of(secret: &str) -> BTreeSet<String> {
    let mut forms = BTreeSet::new();
    let secret = secret.trim();
    let bare = secret.split_once(' ').map(|(_scheme, token)| token.trim());
    for text in [Some(secret), bare].into_iter().flatten() {
        if !is_telling(text) {
            continue;
        }
        forms.insert(text.to_owned());
        forms.extend(json(text));
        forms.extend(percent(text));
        forms.extend(base64(text.as_bytes()));
    }
    let lines = secret
        .split(['\n', '\r'])
        .flat_map(|line| line.split("\\n"));
    let lines = lines
        .map(str::trim)
        .filter(|line| line.len() >= LINE_BYTES_MIN);
    forms.extend(lines.take(LINES_MAX).map(str::to_owned));
    forms
}

/// Whether a text is worth looking for: stars in place of a short word or number would make logs and
/// answers unreadable, break JSON, and by their places tell the secret. `postgres`, `changeme` and
/// `12345678` are the first an attacker tries anyway; a token or a generated password has more
/// bytes, or other characters.
fn is_telling(text: &str) -> bool {
    let is_small = |byte: u8| byte.is_ascii_lowercase() || b"-_.".contains(&byte);
    let mut bytes = text.bytes();
    let is_word = bytes
        .next()
        .is_none_or(|it| it.is_ascii_uppercase() || is_small(it));
    let is_plain = is_word && bytes.all(is_small) || text.bytes().all(|it| it.is_ascii_digit());
    text.len() >= if is_plain { PLAIN_BYTES_MIN } else { BYTES_MIN }
}

/// Escaped as serde, Python, PHP and Go do, in a string and in a string within a string.
fn json(text: &str) -> BTreeSet<String> {
    let plain = escaped(text);
    let mut forms = BTreeSet::from([
        escaped(&plain),
        plain.replace('/', "\\/"),
        escape_html(&plain),
        escape_ascii(&plain),
        escape_ascii(&escape_html(&plain)),
        escape_ascii(&plain.replace('/', "\\/")),
    ]);
    forms.insert(plain);
    forms
}

/// What stands between the quotes of a JSON string.
fn escaped(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    let inner = quoted.strip_prefix('"').and_then(|it| it.strip_suffix('"'));
    inner.unwrap_or(text).to_owned()
}

/// Go's `encoding/json` escapes what HTML could take for a tag.
fn escape_html(text: &str) -> String {
    text.replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .replace('&', "\\u0026")
}

/// Python's `json.dumps` escapes whatever is not ASCII.
fn escape_ascii(text: &str) -> String {
    let mut ascii = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_ascii() {
            ascii.push(character);
            continue;
        }
        for unit in character.encode_utf16(&mut [0; 2]) {
            // Writing to a string cannot fail.
            let _ok = write!(ascii, "\\u{unit:04x}").is_ok();
        }
    }
    ascii
}

/// Escaped for URLs and forms, with hexadecimal digits of either case.
fn percent(text: &str) -> BTreeSet<String> {
    let sets = [NON_ALPHANUMERIC, UNRESERVED, COMPONENT, QUOTE, QUERY];
    let mut forms: BTreeSet<String> = sets
        .into_iter()
        .map(|set| utf8_percent_encode(text, set).to_string())
        .collect();
    forms.insert(
        utf8_percent_encode(text, FORM)
            .to_string()
            .replace(' ', "+"),
    );
    let lower: Vec<String> = forms.iter().map(|form| lower_hex(form)).collect();
    forms.extend(lower);
    forms
}

/// `%2F` as `%2f`.
fn lower_hex(text: &str) -> String {
    let mut digits = 0;
    text.chars()
        .map(|character| {
            if character == '%' {
                digits = 2;
                return character;
            }
            let is_digit = digits > 0;
            digits -= i32::from(is_digit);
            if is_digit {
                character.to_ascii_lowercase()
            } else {
                character
            }
        })
        .collect()
}

/// In base64 of either alphabet, alone or within a longer text: its bytes begin at one of three
/// places of a group, and the characters that its neighbours have a part in are left out. That
/// finds a password in Basic credentials whoever the user is.
fn base64(bytes: &[u8]) -> BTreeSet<String> {
    let mut forms = BTreeSet::new();
    for before in 0..3 {
        let mut text = vec![0; before];
        text.extend_from_slice(bytes);
        let encoded = STANDARD_NO_PAD.encode(&text);
        let first = (before * 8).div_ceil(6);
        let last = encoded.len() - usize::from(text.len() % 3 != 0);
        let Some(piece) = encoded.get(first..last) else {
            continue;
        };
        if piece.len() >= BASE64_CHARS_MIN {
            forms.insert(piece.replace('+', "-").replace('/', "_"));
            forms.insert(piece.to_owned());
        }
    }
    forms
}
