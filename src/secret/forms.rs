//! The forms in which a secret appears: plain, in base64, and escaped.

use std::collections::BTreeSet;

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};

use super::plain::plain;

/// The shortest secret to look for, in bytes.
pub(super) const BYTES_MIN: usize = 6;
/// The shortest secret to look for if it looks like a word or a number, in bytes.
const PLAIN_BYTES_MIN: usize = 12;
/// The shortest piece of base64 to look for, in characters. Shorter pieces often appear in images
/// by chance.
const BASE64_CHARS_MIN: usize = 8;

/// The shortest line of a multi-line secret to look for on its own, in bytes.
const LINE_BYTES_MIN: usize = 16;
/// The maximum number of such lines.
const LINES_MAX: usize = 256;

/// The texts that reveal a secret; empty if the secret is not looked for.
#[derive(Debug, Default)]
pub(super) struct SecretForms {
    /// The secret that they reveal.
    pub(super) of: String,
    /// Look for these in any text.
    pub(super) anywhere: BTreeSet<String>,
    /// Look for these after escapes were undone ([`super::plain`]). Empty for a secret of letters
    /// and digits.
    pub(super) unescaped: BTreeSet<String>,
}

/// The texts of a secret of the operator. The part after the first space is also looked for on its
/// own: from `Bearer x`, `x` is found anywhere. So is each line of several, because a key file is
/// printed line by line.
pub(super) fn of(secret: &str) -> Vec<SecretForms> {
    // Half of an escape must not be left in a JSON text.
    let secret = secret.trim().trim_end_matches('\\');
    let split = secret.split_once(' ');
    let bare = split.map(|(_scheme, token)| token.trim());
    // If `x` is redacted, `Bearer x` needs no entry of its own.
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
        .chain(lines.take(LINES_MAX).map(|line| SecretForms {
            of: line.to_owned(),
            anywhere: BTreeSet::from([line.to_owned()]),
            unescaped: BTreeSet::new(),
        }))
        .collect()
}

/// The texts of a token from an external server. It is looked for only as a whole.
pub(super) fn of_token(token: &str) -> Vec<SecretForms> {
    vec![forms_of(token, token)]
}

/// All forms of a text.
fn forms_of(text: &str, of: &str) -> SecretForms {
    let mut texts = SecretForms {
        of: of.to_owned(),
        ..SecretForms::default()
    };
    texts.anywhere.insert(text.to_owned());
    texts.anywhere.extend(base64(text.as_bytes()));
    // Programs do not escape letters and digits.
    if !text.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        let plain = plain(text);
        // Form fields encode a space as a plus.
        texts.unescaped.insert(plain.replace(' ', "+"));
        texts.unescaped.insert(plain);
    }
    texts
}

/// Whether a text is worth looking for. Stars in place of a short word or number would make logs
/// and responses unreadable, break JSON, and reveal the secret by their positions. Attackers try
/// `postgres`, `changeme` and `12345678` first anyway. A token or a generated password has more
/// bytes or other characters.
fn is_telling(text: &str) -> bool {
    let is_small = |byte: u8| byte.is_ascii_lowercase() || b"-_.".contains(&byte);
    let mut bytes = text.bytes();
    let is_word = bytes
        .next()
        .is_none_or(|it| it.is_ascii_uppercase() || is_small(it));
    let is_plain = is_word && bytes.all(is_small) || text.bytes().all(|it| it.is_ascii_digit());
    text.len() >= if is_plain { PLAIN_BYTES_MIN } else { BYTES_MIN }
}

/// The base64 forms in either alphabet, alone or within a longer text. The bytes can start at one
/// of three positions of a base64 group; characters that also depend on neighboring bytes are left
/// out. That finds a password in Basic credentials for any user name.
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
