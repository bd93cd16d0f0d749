//! [`ReplyBlock`]: one element of a tool's content.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Map, Value};

use crate::json;

/// One element of `content`, by the form in which it is answered.
#[derive(Debug, PartialEq)]
pub enum ReplyBlock {
    /// A text that is parsed if it is JSON.
    Text(String),
    /// A text that is not parsed: a resource, a link or a data URI.
    Plain(String),
    /// A page that can be displayed; in JSON it is its text.
    Page(String),
    /// Any unknown element, unchanged.
    Other(Value),
}

impl ReplyBlock {
    /// Classifies one element.
    pub fn read(block: Value) -> Self {
        let mut block = match block {
            Value::Object(block) => block,
            Value::String(text) => return Self::Text(text),
            other @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_)) => {
                return Self::Other(other);
            }
        };
        let kind = block.get("type").and_then(Value::as_str).unwrap_or("text");
        let read = match kind {
            "text" => text(&mut block),
            "image" => data_uri(&mut block, "data", "image/png").map(Self::Plain),
            "audio" => data_uri(&mut block, "data", "audio/wav").map(Self::Plain),
            "resource_link" => take(&mut block, "uri").map(Self::Plain),
            "resource" => match block.get_mut("resource") {
                Some(Value::Object(resource)) => self::resource(resource),
                _ => None,
            },
            _ => None,
        };
        read.unwrap_or(Self::Other(Value::Object(block)))
    }

    /// Returns the text of this block for the message of a failed tool.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) | Self::Page(text) => Some(text),
            // A picture does not explain a failure.
            Self::Plain(text) => (!text.starts_with("data:")).then_some(text.as_str()),
            Self::Other(_) => None,
        }
    }

    /// Returns its approximate size in bytes.
    pub fn len(&self) -> usize {
        match self {
            Self::Text(text) | Self::Plain(text) | Self::Page(text) => text.len() + 3,
            Self::Other(_) => 0,
        }
    }

    /// Writes it as JSON.
    pub fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Text(text) => {
                let start = out.len();
                if json::compact(text, out).is_err() {
                    out.truncate(start);
                    string(text, out);
                }
            }
            Self::Plain(text) | Self::Page(text) => string(text, out),
            Self::Other(value) => out.extend(value.to_string().into_bytes()),
        }
    }
}

/// Writes a JSON string.
fn string(text: &str, out: &mut Vec<u8>) {
    if serde_json::to_writer(&mut *out, text).is_err() {
        // Cannot happen: serializing a string into a vector never fails.
        out.extend(b"null");
    }
}

/// Reads a text block. A `text` that is not a text is used as the value it is.
fn text(block: &mut Map<String, Value>) -> Option<ReplyBlock> {
    match block.get_mut("text")?.take() {
        Value::String(text) => Some(ReplyBlock::Text(text)),
        // The whole block tells more than `null` alone.
        Value::Null => None,
        other @ (Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
            Some(ReplyBlock::Other(other))
        }
    }
}

/// Reads an embedded resource: its text, or its bytes as a data URI.
fn resource(resource: &mut Map<String, Value>) -> Option<ReplyBlock> {
    let html = is_html(resource);
    if let Some(text) = take(resource, "text") {
        return Some(if html {
            ReplyBlock::Page(text)
        } else {
            ReplyBlock::Plain(text)
        });
    }
    if html
        && let Some(blob) = resource.get("blob").and_then(Value::as_str)
        && let Ok(page) = BASE64_STANDARD.decode(blob)
    {
        return Some(ReplyBlock::Page(
            String::from_utf8_lossy(&page).into_owned(),
        ));
    }
    data_uri(resource, "blob", "application/octet-stream").map(ReplyBlock::Plain)
}

/// Whether a resource is a page: `text/html` with any parameter, or a `ui://` resource without another type.
fn is_html(resource: &Map<String, Value>) -> bool {
    match resource.get("mimeType").and_then(Value::as_str) {
        Some(mime) => {
            let essence = mime.split(';').next().unwrap_or_default();
            essence.trim().eq_ignore_ascii_case("text/html")
        }
        None => resource
            .get("uri")
            .and_then(Value::as_str)
            .is_some_and(|uri| uri.starts_with("ui://")),
    }
}

/// Returns the bytes under `key` as a data URI. Some servers already send one.
fn data_uri(block: &mut Map<String, Value>, key: &str, default_mime: &str) -> Option<String> {
    let data = take(block, key)?;
    if data.starts_with("data:") {
        return Some(data);
    }
    let mime = block
        .get("mimeType")
        .and_then(Value::as_str)
        .unwrap_or(default_mime);
    Some(format!("data:{mime};base64,{data}"))
}

/// Takes a text out of a block. Any other value stays in it.
fn take(block: &mut Map<String, Value>, key: &str) -> Option<String> {
    match block.get_mut(key) {
        Some(Value::String(text)) => Some(std::mem::take(text)),
        _ => None,
    }
}
