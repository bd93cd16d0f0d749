//! Reads the head and the body of an answer: status, content type, and at most the allowed number of bytes.

use bytes::{Bytes, BytesMut};
use http::{
    HeaderMap, StatusCode,
    header::{CONTENT_TYPE, LOCATION, RETRY_AFTER},
};
use reqwest::Response;
use rmcp::model::ErrorData;
use serde_json::Value;
use url::Url;

use super::{
    super::{
        envelope::{MessageKind, RawMessage, ResponseContent, mended, read_error, text_of},
        preview::preview,
    },
    failure::TransportError,
};
use crate::secret::Redactor;

/// How much of an error body is read, in bytes.
pub const REFUSAL_BYTES_MAX: usize = 64 << 10;

/// Members in which services put the message of an error.
const SENTENCES: [&str; 5] = ["message", "detail", "error_description", "error", "title"];

/// The kind of a body, by its content type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyKind {
    /// `application/json` and `…+json`.
    Json,
    /// `text/event-stream`
    Events,
    /// Any other content type, or none.
    Other,
}

/// Returns the content type without its parameters, as sent; empty if there is none.
pub fn content_type(response: &Response) -> String {
    response
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .map(|value| value.trim().to_owned())
        .unwrap_or_default()
}

impl BodyKind {
    /// Returns the kind for a result of [`content_type`].
    pub fn of(content_type: &str) -> Self {
        let content_type = content_type.to_ascii_lowercase();
        if content_type == "text/event-stream" {
            Self::Events
        } else if content_type == "application/json" || content_type.ends_with("+json") {
            Self::Json
        } else {
            Self::Other
        }
    }
}

/// Reads a body. Fails as soon as the body is known to exceed the limit.
pub async fn read(mut response: Response, bytes_max: usize) -> Result<Bytes, TransportError> {
    let announced = response.content_length().unwrap_or(0);
    if usize::try_from(announced).is_ok_and(|length| length > bytes_max) {
        return Err(TransportError::TooLarge(bytes_max));
    }
    let mut body = BytesMut::new();
    let mut first = Bytes::new();
    while let Some(chunk) = response.chunk().await? {
        if first.len() + body.len() + chunk.len() > bytes_max {
            return Err(TransportError::TooLarge(bytes_max));
        }
        // A small answer arrives in one chunk and needs no copy.
        if first.is_empty() && body.is_empty() {
            first = chunk;
            continue;
        }
        body.extend_from_slice(&std::mem::take(&mut first));
        body.extend_from_slice(&chunk);
    }
    Ok(if body.is_empty() {
        first
    } else {
        body.freeze()
    })
}

/// Reads the body of an error. An unreadable body counts as empty, because the status is enough.
pub async fn read_refusal(response: Response) -> Bytes {
    read(response, REFUSAL_BYTES_MAX).await.unwrap_or_default()
}

/// Whether the server rejected the credentials.
pub fn is_auth(status: StatusCode) -> bool {
    matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
}

/// Returns the failure that the status and the headers show on their own, if any.
pub fn refused_by_status(status: StatusCode, headers: &HeaderMap) -> Option<TransportError> {
    if is_auth(status) {
        return Some(TransportError::Auth(status.as_u16(), String::new()));
    }
    refused_by_head(status, headers)
}

/// The same, for callers that also read the body of rejected credentials.
pub fn refused_by_head(status: StatusCode, headers: &HeaderMap) -> Option<TransportError> {
    if status == StatusCode::TOO_MANY_REQUESTS {
        let retry_after = headers
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok())
            .filter(|value| value.len() <= 64)
            .map(str::to_owned);
        return Some(TransportError::RateLimited { retry_after });
    }
    if status.is_redirection() {
        return Some(TransportError::Http(
            status.as_u16(),
            redirect_hint(headers),
        ));
    }
    None
}

/// Returns the failure for an error status, with the readable part of its body.
pub fn refused_by_body(status: StatusCode, body: &[u8], redactor: &Redactor) -> TransportError {
    let words = words(body, redactor);
    if is_auth(status) {
        TransportError::Auth(status.as_u16(), words)
    } else {
        TransportError::Http(status.as_u16(), words)
    }
}

/// Returns the message of an error body in the form `: message`; empty if there is none. From JSON only the
/// sentence is used.
pub fn words(body: &[u8], redactor: &Redactor) -> String {
    let text = text_of(body).unwrap_or_default();
    let sentence = match serde_json::from_str(&text) {
        Ok(Value::Object(members)) => SENTENCES
            .iter()
            .filter_map(|name| members.get(*name))
            .find_map(|said| said.as_str().or_else(|| said.get("message")?.as_str()))
            .map(str::to_owned),
        _ => None,
    };
    let preview = preview(sentence.as_deref().unwrap_or(&text).as_bytes(), redactor);
    if preview.is_empty() {
        preview
    } else {
        format!(": {preview}")
    }
}

/// Returns the JSON-RPC error in a body, whatever id it carries, because middleware cannot know the request's
/// id. An `error` member in other JSON does not count.
pub fn json_rpc_error(body: &[u8]) -> Option<ErrorData> {
    let text = text_of(body)?;
    let mended = mended(&text);
    let envelope = RawMessage::read(&text).or_else(|| RawMessage::read(mended.as_deref()?))?;
    match envelope.shape() {
        MessageKind::Answer(id, ResponseContent::Error(error))
            if id.is_some() || text.contains("\"jsonrpc\"") =>
        {
            Some(read_error(error.get()))
        }
        _ => None,
    }
}

/// Returns `: it redirects to …`, without the query and user part of the URL, which may be secret.
fn redirect_hint(headers: &HeaderMap) -> String {
    let Some(location) = headers.get(LOCATION).and_then(|value| value.to_str().ok()) else {
        return ": it redirects without a target".to_owned();
    };
    let shown = location.split(['?', '#']).next().unwrap_or_default();
    let shown = match Url::parse(shown) {
        Ok(url) => format!("{}{}", url.origin().ascii_serialization(), url.path()),
        Err(_) => shown.to_owned(),
    };
    format!(
        ": it redirects to `{shown}`, which the bridge does not follow; if that is intended, use it as the `url`"
    )
}
