//! Parses the bytes of a request as JSON.

use serde_json::{Number, Value};

use super::{
    digits::{Written, collect, inexact},
    refusal::ArgumentError,
};

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
