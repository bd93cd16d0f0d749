//! Lax conversions of one value: pydantic's conversions in lax mode, and JSON inside strings, which models
//! often send for arrays and objects.

use serde_json::{Number, Value};

use super::{
    digits,
    types::{ValueTypeSet, same},
};
use crate::json;

/// How many values a JSON string may contain. Each takes 72 bytes or more.
const TEXT_VALUES_MAX: usize = 500_000;

/// A conversion; `None` if the value cannot be converted.
type Conversion = fn(&Value) -> Option<Value>;

/// Converts a value to the first of `types` that accepts it, within `choices` if there are any.
///
/// Never converts to a string or to null.
pub fn toward(value: &Value, types: ValueTypeSet, choices: Option<&[Value]>) -> Option<Value> {
    let attempts: [(ValueTypeSet, Conversion); 5] = [
        (ValueTypeSet::INTEGER, |value| {
            integer(value).map(Value::Number)
        }),
        (ValueTypeSet::NUMBER, |value| {
            number(value).map(Value::Number)
        }),
        (ValueTypeSet::BOOLEAN, |value| {
            boolean(value).map(Value::Bool)
        }),
        (ValueTypeSet::ARRAY, |value| {
            parse(value).filter(Value::is_array)
        }),
        (ValueTypeSet::OBJECT, |value| {
            parse(value).filter(Value::is_object)
        }),
    ];
    attempts
        .iter()
        .filter(|(kind, _)| types.contains(*kind))
        .filter_map(|(_, convert)| convert(value))
        .find(|new| choices.is_none_or(|all| all.iter().any(|choice| same(choice, new))))
}

/// Converts a number to a text, within `choices` if there are any. Other values are not converted.
pub fn text(value: &Value, choices: Option<&[Value]>) -> Option<Value> {
    let text = Value::String(value.as_number()?.to_string());
    let is_choice = choices.is_none_or(|all| all.contains(&text));
    is_choice.then_some(text)
}

/// Whether a text is blank.
pub fn is_blank(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.trim().is_empty())
}

/// Whether a text looks like JSON.
pub fn looks_like_json(value: &Value) -> bool {
    value
        .as_str()
        .is_some_and(|text| text.trim_start().starts_with(['[', '{']))
}

/// Returns a whole number without its fraction: strict parsers of integers need `5` instead of `5.0`.
pub fn whole(number: &Number) -> Option<Number> {
    if !number.is_f64() {
        return None;
    }
    let float = number.as_f64().filter(|float| float.fract() == 0.0)?;
    integer_text(&format!("{float:.0}"))
}

/// Parses an object inside a string.
pub fn parse_object(text: &str) -> Option<Value> {
    parse_text(text).filter(Value::is_object)
}

/// Whether the text is an integer that only has too many digits.
pub fn is_long_integer(text: &str) -> bool {
    let text = text.trim();
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    digits.len() > 18 && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// Converts to an integer: from a boolean, from `5.0`, or from text.
fn integer(value: &Value) -> Option<Number> {
    match value {
        Value::Bool(flag) => Some(Number::from(u8::from(*flag))),
        Value::Number(number) => whole(number),
        Value::String(text) => integer_text(text),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Converts to a number: from a boolean or from text.
fn number(value: &Value) -> Option<Number> {
    match value {
        Value::Bool(flag) => Some(Number::from(u8::from(*flag))),
        Value::String(text) => integer_text(text).or_else(|| float_text(text)),
        Value::Null | Value::Number(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Converts to a boolean: from 0 and 1, or from the words that pydantic accepts.
fn boolean(value: &Value) -> Option<bool> {
    match value {
        Value::Number(number) if number.as_f64() == Some(0.0) => Some(false),
        Value::Number(number) if number.as_f64() == Some(1.0) => Some(true),
        Value::String(text) => match text.to_ascii_lowercase().as_str() {
            "0" | "off" | "f" | "false" | "n" | "no" => Some(false),
            "1" | "on" | "t" | "true" | "y" | "yes" => Some(true),
            _ => None,
        },
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            None
        }
    }
}

/// Parses JSON inside a string.
fn parse(value: &Value) -> Option<Value> {
    value.as_str().and_then(parse_text)
}

/// Parses JSON inside a string, unless it contains a number that would change.
fn parse_text(text: &str) -> Option<Value> {
    let is_container = text.trim_start().starts_with(['[', '{'])
        && json::values_at_most(text.as_bytes()) <= TEXT_VALUES_MAX;
    (is_container && digits::inexact(text).is_empty())
        .then(|| serde_json::from_str(text).ok())
        .flatten()
}

/// Parses `7`, ` 7 `, `007`, `1_000`, `+7`, `7.0`.
fn integer_text(text: &str) -> Option<Number> {
    let plain = without_separators(text.trim())?;
    let plain = match plain.split_once('.') {
        Some((whole, fraction)) if fraction.bytes().all(|byte| byte == b'0') => whole,
        Some(_) => return None,
        None => &plain,
    };
    // `parse` rejects a text without digits.
    let signed = plain.parse::<i64>().map(Number::from);
    signed
        .or_else(|_| plain.parse::<u64>().map(Number::from))
        .ok()
}

/// Parses `1.5`, ` 1.5 `, `1e3`; finite numbers only.
fn float_text(text: &str) -> Option<Number> {
    let plain = without_separators(text.trim())?;
    let is_number = |byte: u8| byte.is_ascii_digit() || b"+-.eE".contains(&byte);
    if !plain.bytes().all(is_number) {
        return None;
    }
    Number::from_f64(plain.parse().ok()?)
}

/// Removes single underscores between digits, as Python does.
fn without_separators(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let between_digits = bytes
        .iter()
        .enumerate()
        .filter(|(_, byte)| **byte == b'_')
        .all(|(place, _)| {
            let digit = |place: Option<usize>| {
                place
                    .and_then(|place| bytes.get(place))
                    .is_some_and(u8::is_ascii_digit)
            };
            digit(place.checked_sub(1)) && digit(place.checked_add(1))
        });
    between_digits.then(|| text.replace('_', ""))
}
