//! Parses the bytes of a request as JSON.

use std::borrow::Cow;

use serde_json::{Number, Value, value::RawValue};

use crate::json::{self, RawJson};

use super::{digits::Written, refusal::ArgumentError};

/// The byte order mark that some Windows programs put before UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// A body that is not empty.
#[derive(Debug)]
pub struct ParsedArguments {
    /// The parsed value.
    pub value: Value,
    /// Integers that do not fit 64 bits, and that parsing therefore changes.
    pub long: Vec<Written>,
}

/// Parses a body; `None` for an empty one.
pub fn parse(body: &[u8]) -> Result<Option<ParsedArguments>, ArgumentError> {
    let body = without_mark(body);
    if body.trim_ascii().is_empty() {
        return Ok(None);
    }
    let value: Value =
        serde_json::from_slice(body).map_err(|error| ArgumentError::bad_json(&error))?;
    let long = std::str::from_utf8(body).map_or_else(|_| Vec::new(), inexact);
    Ok((!value.is_null()).then_some(ParsedArguments { value, long }))
}

/// Returns the numbers of a body that would be printed differently from how they were written.
pub fn restyled(body: &[u8]) -> Vec<Written> {
    let is_restyled = |literal: &str| {
        serde_json::from_str::<Number>(literal).is_ok_and(|number| number.to_string() != literal)
    };
    let mut found = Vec::new();
    if let Ok(raw) = serde_json::from_slice(without_mark(body)) {
        collect(raw, &is_restyled, &mut Vec::new(), &mut found);
    }
    found
}

/// Returns a body without its byte order mark.
fn without_mark(body: &[u8]) -> &[u8] {
    body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body)
}

/// Returns the integers of a JSON text that parsing would change, with their positions.
pub fn inexact(text: &str) -> Vec<Written> {
    let is_inexact = |number: &str| json::is_integer_literal(number) && !survives(number);
    let mut found = Vec::new();
    if json::has_long_digits(text.as_bytes())
        && let Ok(raw) = serde_json::from_str(text)
    {
        collect(raw, &is_inexact, &mut Vec::new(), &mut found);
    }
    found
}

/// Walks one value and collects the matching numbers.
fn collect(
    raw: &RawValue,
    is_wanted: &dyn Fn(&str) -> bool,
    path: &mut Vec<Value>,
    found: &mut Vec<Written>,
) {
    if path.len() > json::DEPTH_MAX {
        return;
    }
    match RawJson::open(raw) {
        Ok(RawJson::Object(members)) => {
            for (key, value) in members {
                path.push(Value::String(Cow::into_owned(key)));
                collect(value, is_wanted, path, found);
                path.pop();
            }
        }
        Ok(RawJson::Array(elements)) => {
            for (index, value) in elements.into_iter().enumerate() {
                path.push(Value::from(index));
                collect(value, is_wanted, path, found);
                path.pop();
            }
        }
        Ok(RawJson::Number(number)) if is_wanted(number) => {
            found.push((path.clone(), number.to_owned()));
        }
        Ok(RawJson::Number(_) | RawJson::Other(_)) | Err(_) => {}
    }
}

/// Whether the value of an integer survives [`Number`]: it fits 64 bits, or its digits are those of the
/// nearest float, such as `1` and thirty zeros, sent as `1e30`.
fn survives(literal: &str) -> bool {
    match serde_json::from_str::<Number>(literal) {
        Ok(number) if number.is_f64() => number.as_f64().is_some_and(|float| {
            decimal_digits(float.abs()).as_deref() == Some(literal.trim_start_matches('-'))
        }),
        Ok(_) => true,
        Err(_) => false,
    }
}

/// Returns the digits of a large whole float, as its shortest form denotes them.
fn decimal_digits(float: f64) -> Option<String> {
    let shortest = format!("{float:e}");
    let (mantissa, exponent) = shortest.split_once('e')?;
    let digits = mantissa.replace('.', "");
    let length = exponent.parse::<usize>().ok()?.checked_add(1)?;
    (digits.len() <= length).then(|| format!("{digits:0<length$}"))
}
