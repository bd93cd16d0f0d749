//! Renders values of other files as TOML.

use std::fmt::Write as _;

use crate::{
    config::{
        clients::{SpannedValue, ValueContent, cut, last_of_each},
        has_token_prefix, looks_random, looks_secret,
    },
    plain_text,
};

/// The longest value that is repeated in a comment, in characters.
const COMMENT_CHARS_MAX: usize = 400;

/// Renders a key, in quotes if necessary.
pub(super) fn key_of(key: &str) -> String {
    let bare = !key.is_empty()
        && key
            .chars()
            .all(|character| character.is_ascii_alphanumeric() || "-_".contains(character));
    if bare { key.to_owned() } else { quote(key) }
}

/// Quotes a string so that it is valid TOML and valid JSON.
pub(super) fn quote(text: &str) -> String {
    serde_json::Value::from(text)
        .to_string()
        .replace('\u{7f}', "\\u007f")
}

/// Renders strings as an array.
pub(super) fn list(texts: impl IntoIterator<Item = String>) -> String {
    let texts: Vec<_> = texts.into_iter().map(|text| quote(&text)).collect();
    format!("[{}]", texts.join(", "))
}

/// Makes text safe for a comment: one line, without characters that TOML rejects.
pub(super) fn plain(text: &str) -> String {
    plain_text::line(text).into_owned()
}

/// Renders a value on one line for a comment, without secrets and cut to a maximal length.
pub(super) fn comment_of(key: &str, value: &SpannedValue) -> String {
    if names_secret(key, value) {
        return quote("…");
    }
    cut(&json(value), COMMENT_CHARS_MAX)
}

fn json(value: &SpannedValue) -> String {
    match &value.tree {
        ValueContent::Text(text) if is_secret(text) => quote("…"),
        ValueContent::Text(text) => quote(text),
        ValueContent::Number(number) => plain(number),
        ValueContent::Switch(switch) => switch.to_string(),
        ValueContent::Null => "null".to_owned(),
        ValueContent::List(elements) => {
            let elements: Vec<_> = elements.iter().map(json).collect();
            format!("[{}]", elements.join(", "))
        }
        ValueContent::Map(fields) => {
            let entries = last_of_each(fields).into_iter().map(|field| {
                let value = if names_secret(&field.name, &field.value) {
                    quote("…")
                } else {
                    json(&field.value)
                };
                format!("{}: {value}", quote(&field.name))
            });
            format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
        }
    }
}

/// Whether the name of a value suggests a secret. `authTokens` is a secret; `maxTokens` is a number and is not.
fn names_secret(key: &str, value: &SpannedValue) -> bool {
    let singular = key.trim_end_matches(['s', 'S']);
    let is_countable = matches!(
        value.tree,
        ValueContent::Number(_) | ValueContent::Switch(_) | ValueContent::Null
    );
    looks_secret(key) || !is_countable && looks_secret(singular)
}

fn is_secret(text: &str) -> bool {
    has_token_prefix(text) || looks_random(text)
}

/// Adds a line.
pub(super) fn line(text: &mut String, line: &str) {
    // Writing to a string cannot fail.
    let _ok = writeln!(text, "{line}").is_ok();
}
