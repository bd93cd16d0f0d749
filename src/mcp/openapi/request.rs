//! Converts the arguments of a call to an HTTP request.

use http::{
    HeaderMap, HeaderValue,
    header::{CONTENT_TYPE, COOKIE},
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value};
use url::Url;

use super::{
    operation::{PathPiece, ServiceOperation},
    parameter::ParameterLocation,
    payload,
    refusal::invalid,
    value::{flat, pairs, segment},
};
use crate::mcp::error::CallError;

/// The characters of a cookie value that need no encoding (RFC 6265 §4.1.1, with a few more encoded).
const COOKIE_VALUE: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b':')
    .remove(b'=')
    .remove(b'/')
    .remove(b'+');

/// A request, ready to send.
#[derive(Debug)]
pub struct PreparedRequest {
    /// The URL.
    pub url: Url,
    /// The headers for the arguments and the body.
    pub headers: HeaderMap,
    /// The body.
    pub body: Option<Vec<u8>>,
}

/// Builds the request of `operation` below the URL `base`.
pub fn prepare(
    operation: &ServiceOperation,
    base: &Url,
    mut arguments: Map<String, Value>,
) -> Result<PreparedRequest, CallError> {
    let mut url = address(operation, base, &mut arguments)?;
    let mut headers = HeaderMap::new();
    let (mut query, mut cookies) = (Vec::new(), Vec::new());
    for parameter in &operation.parameters {
        let Some(value) = arguments.shift_remove(&parameter.argument) else {
            continue;
        };
        match &parameter.place {
            ParameterLocation::Path => {}
            ParameterLocation::Query => {
                query.extend(pairs(&parameter.name, parameter.style, &value));
            }
            ParameterLocation::Cookie => {
                cookies.extend(pairs(&parameter.name, parameter.style, &value));
            }
            ParameterLocation::Header(name) => {
                if let Some(text) = flat(parameter.style, &value) {
                    let value = HeaderValue::from_str(&text).map_err(|_| {
                        invalid(format!(
                            "`{}` is not a valid header value",
                            parameter.argument
                        ))
                    })?;
                    headers.insert(name.clone(), value);
                }
            }
        }
    }
    if !query.is_empty() {
        url.query_pairs_mut().extend_pairs(query);
    }
    if !cookies.is_empty() {
        headers.insert(COOKIE, cookie(&cookies)?);
    }
    let body = payload::write(&operation.body, arguments)?;
    if let Some(body) = &body {
        headers.insert(CONTENT_TYPE, body.kind.clone());
    }
    Ok(PreparedRequest {
        url,
        headers,
        body: body.map(|body| body.bytes),
    })
}

/// Builds the header for these cookies.
fn cookie(cookies: &[(String, String)]) -> Result<HeaderValue, CallError> {
    let cookies: Vec<String> = cookies
        .iter()
        .map(|(name, value)| format!("{name}={}", utf8_percent_encode(value, COOKIE_VALUE)))
        .collect();
    HeaderValue::from_str(&cookies.join("; "))
        .map_err(|_| invalid("the cookies are not a valid header value".to_owned()))
}

/// Returns the URL without the query. A value cannot select another operation: it stays within its path
/// segment, and segments that the URL standard would fold away are rejected.
fn address(
    operation: &ServiceOperation,
    base: &Url,
    arguments: &mut Map<String, Value>,
) -> Result<Url, CallError> {
    let mut path = base.path().trim_end_matches('/').to_owned();
    if !matches!(operation.path.first(), Some(PathPiece::Text(text)) if text.starts_with('/')) {
        path.push('/');
    }
    for piece in &operation.path {
        match piece {
            PathPiece::Text(text) => path.push_str(text),
            PathPiece::Value(parameter) => {
                let value = arguments.get(&parameter.argument);
                let text = value
                    .and_then(|value| segment(&parameter.name, parameter.style, value))
                    .ok_or_else(|| invalid(format!("`{}` is missing", parameter.argument)))?;
                path.push_str(&text);
            }
        }
    }
    // A parameter may occur twice in a path.
    for piece in &operation.path {
        if let PathPiece::Value(parameter) = piece {
            arguments.shift_remove(&parameter.argument);
        }
    }
    if path.split('/').any(|segment| matches!(segment, "." | "..")) {
        return Err(invalid("`.` and `..` are not valid path values".to_owned()));
    }
    let mut url = base.clone();
    url.set_path(&path);
    url.set_fragment(None);
    Ok(url)
}
