//! The forms in which a secret travels: as it is, in base64, and escaped.

use std::collections::BTreeSet;

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};

use super::plain::plain;

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

/// Texts that give one text away; none for one that is not looked for.
#[derive(Debug, Default)]
pub(super) struct Texts {
    /// What they give away.
    pub(super) of: String,
    /// To be looked for in any text.
    pub(super) anywhere: BTreeSet<String>,
    /// To be looked for where escapes were undone ([`super::plain`]); none for one of letters and
    /// digits.
    pub(super) unescaped: BTreeSet<String>,
}

/// The texts of a secret of the operator. What follows the first space is looked for by itself:
/// `Bearer x` is known as `x` wherever it goes on. So is each line of several: a key file is printed
/// line by line.
pub(super) fn of(secret: &str) -> Vec<Texts> {
    // Half of an escape must not stay behind in a text in JSON.
    let secret = secret.trim().trim_end_matches('\\');
    let split = secret.split_once(' ');
    let bare = split.map(|(_scheme, token)| token.trim());
    // Who knows the token knows the whole of `Bearer x`.
    let is_scheme = |word: &str| {
        word.bytes()
            .all(|byte| byte.is_ascii_alphabetic() || byte == b'-')
    };
    let whole = match (split, bare) {
        (Some((scheme, _)), Some(bare)) if is_scheme(scheme) && is_telling(bare) => bare,
        _ => secret,
    };
    let all = [(Some(secret), whole), (bare, bare.unwrap_or_default())];
    let lines = secret
        .split(['\n', '\r'])
        .flat_map(|line| line.split("\\n"));
    let lines = lines
        .map(str::trim)
        .filter(|line| line.len() >= LINE_BYTES_MIN && *line != secret);
    all.into_iter()
        .filter_map(|(text, of)| Some((text?, of)))
        .filter(|(text, _)| is_telling(text))
        .map(|(text, of)| forms_of(text, of))
        .chain(lines.take(LINES_MAX).map(|line| Texts {
            of: line.to_owned(),
            anywhere: BTreeSet::from([line.to_owned()]),
            unescaped: BTreeSet::new(),
        }))
        .collect()
}

/// The texts of a token that a stranger gave: of the whole of it, as it is one.
pub(super) fn of_token(token: &str) -> Vec<Texts> {
    vec![forms_of(token, token)]
}

/// Every form of a text.
fn forms_of(text: &str, of: &str) -> Texts {
    let mut texts = Texts {
        of: of.to_owned(),
        ..Texts::default()
    };
    texts.anywhere.insert(text.to_owned());
    texts.anywhere.extend(base64(text.as_bytes()));
    // Letters and digits nobody escapes.
    if !text.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        let plain = plain(text);
        // The fields of a form have a plus for a space.
        texts.unescaped.insert(plain.replace(' ', "+"));
        texts.unescaped.insert(plain);
    }
    texts
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

/// In base64 of either alphabet, alone or within a longer text: its bytes begin at one of three
/// places of a group, and the characters that its neighbors have a part in are left out. That
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
