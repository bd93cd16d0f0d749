//! From the bytes of a request to JSON.

use std::borrow::Cow;

use serde_json::{Number, Value, value::RawValue};

use crate::json::{self, Raw};

use super::refusal::{Detail, Refusal};

/// The mark some Windows programs put before UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Reads a body; `None` for one that says nothing.
///
/// An integer that does not fit 64 bits is refused where we would pass on another number.
pub fn parse(body: &[u8]) -> Result<Option<Value>, Refusal> {
    let body = body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body);
    if body.trim_ascii().is_empty() {
        return Ok(None);
    }
    let value: Value = serde_json::from_slice(body).map_err(|error| Refusal::bad_json(&error))?;
    if json::has_long_digits(body)
        && let Ok(text) = std::str::from_utf8(body)
    {
        let details: Vec<Detail> = inexact(text)
            .into_iter()
            .map(|(path, number)| Detail::long_integer(path, number))
            .collect();
        if !details.is_empty() {
            return Err(Refusal::Invalid(details));
        }
    }
    Ok(Some(value).filter(|value| !value.is_null()))
}

/// The integers of a JSON text that would leave us changed, with the places they stand at.
pub fn inexact(text: &str) -> Vec<(Vec<Value>, String)> {
    let mut found = Vec::new();
    if json::has_long_digits(text.as_bytes())
        && let Ok(raw) = serde_json::from_str(text)
    {
        collect(raw, &mut Vec::new(), &mut found);
    }
    found
}

/// Walks one value for [`inexact`].
fn collect(raw: &RawValue, path: &mut Vec<Value>, found: &mut Vec<(Vec<Value>, String)>) {
    if path.len() > json::DEPTH_MAX {
        return;
    }
    match Raw::open(raw) {
        Ok(Raw::Object(members)) => {
            for (key, value) in members {
                path.push(Value::String(Cow::into_owned(key)));
                collect(value, path, found);
                path.pop();
            }
        }
        Ok(Raw::Array(elements)) => {
            for (index, value) in elements.into_iter().enumerate() {
                path.push(Value::from(index));
                collect(value, path, found);
                path.pop();
            }
        }
        Ok(Raw::Number(number)) if json::is_integer_literal(number) && !survives(number) => {
            found.push((path.clone(), number.to_owned()));
        }
        Ok(Raw::Number(_) | Raw::Other(_)) | Err(_) => {}
    }
}

/// True if the integer's value is the same once it went through [`Number`]: it fits 64 bits, or
/// its digits are those of the nearest float, such as `1` and thirty zeros, sent as `1e30`.
fn survives(literal: &str) -> bool {
    match serde_json::from_str::<Number>(literal) {
        Ok(number) if number.is_f64() => number.as_f64().is_some_and(|float| {
            decimal_digits(float.abs()).as_deref() == Some(literal.trim_start_matches('-'))
        }),
        Ok(_) => true,
        Err(_) => false,
    }
}

/// The digits of a large whole float, as its shortest form on the wire denotes them.
fn decimal_digits(float: f64) -> Option<String> {
    let shortest = format!("{float:e}");
    let (mantissa, exponent) = shortest.split_once('e')?;
    let digits = mantissa.replace('.', "");
    let length = exponent.parse::<usize>().ok()?.checked_add(1)?;
    (digits.len() <= length).then(|| format!("{digits:0<length$}"))
}
