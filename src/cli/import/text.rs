//! Pieces of TOML out of pieces of JSON.

use std::fmt::Write as _;

use jsonc_parser::ast::{Object, Value};

use crate::config::{is_variable, looks_secret};

/// Properties by name; of two the last counts.
pub(super) fn last_of_each<'v, 'a>(object: &'v Object<'a>) -> Vec<(&'v str, &'v Value<'a>)> {
    let mut kept: Vec<(&str, &Value<'_>)> = Vec::new();
    for property in &object.properties {
        match kept
            .iter_mut()
            .find(|(name, _)| *name == property.name.as_str())
        {
            Some(twin) => twin.1 = &property.value,
            None => kept.push((property.name.as_str(), &property.value)),
        }
    }
    kept
}

/// Strings, and what the loader takes for one.
pub(super) fn scalar(value: &Value<'_>) -> Option<String> {
    match value {
        Value::StringLit(text) => Some(text.value.clone().into_owned()),
        Value::NumberLit(number) => Some(number.value.to_owned()),
        Value::BooleanLit(switch) => Some(switch.value.to_string()),
        Value::NullKeyword(_) | Value::Object(_) | Value::Array(_) => None,
    }
}

/// Rewrites references: `${env:X}` is `${X}` here, and what is no reference is literal.
pub(super) fn reference(text: &str) -> String {
    let mut written = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        written.push_str(before);
        let inner = after.split_once('}').map(|(inner, _)| inner);
        let name = inner.map(|inner| inner.split_once(":-").map_or(inner, |(name, _)| name));
        rest = after;
        match name {
            // Escaped already.
            _ if before.ends_with('$') => written.push_str("${"),
            Some(name) if is_variable(name) || name.starts_with("file:") => written.push_str("${"),
            Some(name) if name.strip_prefix("env:").is_some_and(is_variable) => {
                written.push_str("${");
                rest = after.strip_prefix("env:").unwrap_or(after);
            }
            _ => written.push_str("$${"),
        }
    }
    written.push_str(rest);
    written
}

/// A key, in quotes if it needs them.
pub(super) fn key_of(key: &str) -> String {
    let bare = !key.is_empty()
        && key
            .chars()
            .all(|character| character.is_ascii_alphanumeric() || "-_".contains(character));
    if bare { key.to_owned() } else { quote(key) }
}

/// A string that TOML and JSON read alike.
pub(super) fn quote(text: &str) -> String {
    serde_json::Value::from(text)
        .to_string()
        .replace('\u{7f}', "\\u007f")
}

/// A value in one line, fit for a comment.
pub(super) fn json(value: &Value<'_>) -> String {
    match value {
        Value::StringLit(text) => quote(&text.value),
        Value::NumberLit(number) => number.value.to_owned(),
        Value::BooleanLit(switch) => switch.value.to_string(),
        Value::NullKeyword(_) => "null".to_owned(),
        Value::Array(array) => {
            let elements: Vec<_> = array.elements.iter().map(json).collect();
            format!("[{}]", elements.join(", "))
        }
        Value::Object(object) => {
            let entries = object.properties.iter().map(|property| {
                let key = property.name.as_str();
                let value = if looks_secret(key) {
                    quote("…")
                } else {
                    json(&property.value)
                };
                format!("{}: {value}", quote(key))
            });
            format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
        }
    }
}

/// Adds a line.
pub(super) fn line(text: &mut String, line: &str) {
    // Writing to a string cannot fail.
    let _ok = writeln!(text, "{line}").is_ok();
}
