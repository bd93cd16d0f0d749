//! Turns the arguments of a call into an HTTP request.

use http::{HeaderMap, HeaderValue, header::CONTENT_TYPE};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value};
use url::{Url, form_urlencoded};

use super::operation::{BODY, Body, Operation, Parameter, Piece, Place, Style};
use crate::mcp::error::CallError;

/// What a path segment may hold as it is (RFC 3986, unreserved characters).
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// JSON-RPC's code for arguments that do not fit.
const INVALID_PARAMS: i64 = -32_602;

/// A request, ready to send.
#[derive(Debug)]
pub struct Prepared {
    /// Where to.
    pub url: Url,
    /// The headers that the arguments and the body need.
    pub headers: HeaderMap,
    /// The body.
    pub body: Option<Vec<u8>>,
}

/// Builds the request of `operation` below `base`, from the arguments.
pub fn prepare(
    operation: &Operation,
    base: &Url,
    mut arguments: Map<String, Value>,
) -> Result<Prepared, CallError> {
    let mut url = address(operation, base, &mut arguments)?;
    let mut headers = HeaderMap::new();
    let mut query = Vec::new();
    for parameter in &operation.parameters {
        let Some(value) = arguments.shift_remove(&parameter.argument) else {
            continue;
        };
        match &parameter.place {
            Place::Path => {}
            Place::Query => write_query(parameter, value, &mut query),
            Place::Header(name) => {
                if let Some(text) = flat(&value) {
                    let value = HeaderValue::from_str(&text)
                        .map_err(|_| invalid(format!("`{}` fits no header", parameter.argument)))?;
                    headers.insert(name.clone(), value);
                }
            }
        }
    }
    if !query.is_empty() {
        url.query_pairs_mut().extend_pairs(query);
    }
    let body = write_body(operation.body, arguments);
    if let Some((kind, _)) = &body {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    }
    Ok(Prepared {
        url,
        headers,
        body: body.map(|(_, bytes)| bytes),
    })
}

/// The URL without the query. A value never changes which operation is meant: it stays within its
/// segment, and segments that the URL standard folds away are refused.
fn address(
    operation: &Operation,
    base: &Url,
    arguments: &mut Map<String, Value>,
) -> Result<Url, CallError> {
    let mut path = base.path().trim_end_matches('/').to_owned();
    for piece in &operation.path {
        match piece {
            Piece::Text(text) => path.push_str(text),
            Piece::Argument(name) => {
                let text = arguments
                    .shift_remove(name)
                    .and_then(|value| flat(&value))
                    .filter(|text| !text.is_empty())
                    .ok_or_else(|| invalid(format!("`{name}` is missing")))?;
                path.extend(utf8_percent_encode(&text, SEGMENT));
            }
        }
    }
    if path.split('/').any(|segment| matches!(segment, "." | "..")) {
        return Err(invalid("`.` and `..` are no path values".to_owned()));
    }
    let mut url = base.clone();
    url.set_path(&path);
    url.set_fragment(None);
    Ok(url)
}

/// Writes a query parameter.
fn write_query(parameter: &Parameter, value: Value, query: &mut Vec<(String, String)>) {
    let name = &parameter.name;
    match (parameter.style, value) {
        (Style::Repeated, Value::Array(items)) => {
            query.extend(
                items
                    .iter()
                    .filter_map(scalar)
                    .map(|item| (name.clone(), item)),
            );
        }
        (Style::Repeated, Value::Object(fields)) => {
            query.extend(
                fields
                    .iter()
                    .filter_map(|(key, value)| Some((key.clone(), scalar(value)?))),
            );
        }
        (Style::Deep, Value::Object(fields)) => {
            query.extend(
                fields
                    .iter()
                    .filter_map(|(key, value)| Some((format!("{name}[{key}]"), scalar(value)?))),
            );
        }
        (Style::Json, value) => query.push((name.clone(), value.to_string())),
        (_, value) => query.extend(flat(&value).map(|text| (name.clone(), text))),
    }
}

/// Writes the body, with its content type.
fn write_body(body: Body, mut arguments: Map<String, Value>) -> Option<(&'static str, Vec<u8>)> {
    match body {
        Body::None => None,
        Body::Whole => {
            let value = arguments.shift_remove(BODY)?;
            Some(("application/json", value.to_string().into_bytes()))
        }
        Body::Fields { required, .. } if arguments.is_empty() && !required => None,
        Body::Fields { form: false, .. } => {
            let text = Value::Object(arguments).to_string();
            Some(("application/json", text.into_bytes()))
        }
        Body::Fields { form: true, .. } => {
            let mut form = form_urlencoded::Serializer::new(String::new());
            for (name, value) in &arguments {
                let items = value
                    .as_array()
                    .map_or(std::slice::from_ref(value), Vec::as_slice);
                form.extend_pairs(items.iter().filter_map(scalar).map(|item| (name, item)));
            }
            Some((
                "application/x-www-form-urlencoded",
                form.finish().into_bytes(),
            ))
        }
    }
}

/// A value as one text: a list with commas, an object as JSON, null as nothing.
fn flat(value: &Value) -> Option<String> {
    let Value::Array(items) = value else {
        return scalar(value);
    };
    let items: Vec<String> = items.iter().filter_map(scalar).collect();
    Some(items.join(","))
}

/// A single value as text; null is nothing.
fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            Some(value.to_string())
        }
    }
}

/// The refusal of an argument.
fn invalid(message: String) -> CallError {
    CallError::Rpc {
        code: INVALID_PARAMS,
        message,
        data: None,
    }
}
