//! Reads the head and the body of an answer: statuses, content types, never more than the limit.

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
        envelope::{Envelope, Outcome, Shape, mended, read_error, text_of},
        preview::preview,
    },
    failure::Failure,
};
use crate::secret::Redactor;

/// How much of a refusal is read, in bytes.
pub const REFUSAL_BYTES_MAX: usize = 64 << 10;

/// Where services put the sentence of a refusal.
const SENTENCES: [&str; 5] = ["message", "detail", "error_description", "error", "title"];

/// What a body is, by its content type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `application/json` and `…+json`.
    Json,
    /// `text/event-stream`
    Events,
    /// Anything else, or not said.
    Other,
}

/// The content type without its parameters, as sent; empty when there is none.
pub fn content_type(response: &Response) -> String {
    response
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .map(|value| value.trim().to_owned())
        .unwrap_or_default()
}

impl Kind {
    /// Of a content type as [`content_type`] gives it.
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

/// Reads a body, and refuses it as soon as it is known to pass the limit.
pub async fn read(mut response: Response, bytes_max: usize) -> Result<Bytes, Failure> {
    let announced = response.content_length().unwrap_or(0);
    if usize::try_from(announced).is_ok_and(|length| length > bytes_max) {
        return Err(Failure::TooLarge(bytes_max));
    }
    let mut body = BytesMut::new();
    let mut first = Bytes::new();
    while let Some(chunk) = response.chunk().await? {
        if first.len() + body.len() + chunk.len() > bytes_max {
            return Err(Failure::TooLarge(bytes_max));
        }
        // Small answers come in one piece, which needs no copy.
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

/// Reads the body of a refusal; what cannot be read counts as empty, the status says enough.
pub async fn read_refusal(response: Response) -> Bytes {
    read(response, REFUSAL_BYTES_MAX).await.unwrap_or_default()
}

/// Whether the server refused our credentials.
pub fn is_auth(status: StatusCode) -> bool {
    matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
}

/// The failure that a status and its headers tell by themselves, if any.
pub fn refused_by_status(status: StatusCode, headers: &HeaderMap) -> Option<Failure> {
    if is_auth(status) {
        return Some(Failure::Auth(status.as_u16(), String::new()));
    }
    refused_by_head(status, headers)
}

/// The same, where the body of a refused credential is read too.
pub fn refused_by_head(status: StatusCode, headers: &HeaderMap) -> Option<Failure> {
    if status == StatusCode::TOO_MANY_REQUESTS {
        let retry_after = headers
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok())
            .filter(|value| value.len() <= 64)
            .map(str::to_owned);
        return Some(Failure::RateLimited { retry_after });
    }
    if status.is_redirection() {
        return Some(Failure::Http(status.as_u16(), redirect_hint(headers)));
    }
    None
}

/// The failure for a status with a body that says no more than a person can read.
pub fn refused_by_body(status: StatusCode, body: &[u8], redactor: &Redactor) -> Failure {
    let words = words(body, redactor);
    if is_auth(status) {
        Failure::Auth(status.as_u16(), words)
    } else {
        Failure::Http(status.as_u16(), words)
    }
}

/// What a refusal says, like `: words`; empty when it says nothing. Of JSON the sentence in it.
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

/// The JSON-RPC error that a body holds, whatever id it carries: middleware cannot know ours. An `error` in
/// other JSON is none.
pub fn json_rpc_error(body: &[u8]) -> Option<ErrorData> {
    let text = text_of(body)?;
    let mended = mended(&text);
    let envelope = Envelope::read(&text).or_else(|| Envelope::read(mended.as_deref()?))?;
    match envelope.shape() {
        Shape::Answer(id, Outcome::Error(error))
            if id.is_some() || text.contains("\"jsonrpc\"") =>
        {
            Some(read_error(error.get()))
        }
        _ => None,
    }
}

/// `: it redirects to …`, without the query and the user, which may be secret.
fn redirect_hint(headers: &HeaderMap) -> String {
    let Some(location) = headers.get(LOCATION).and_then(|value| value.to_str().ok()) else {
        return ": a redirect without a target".to_owned();
    };
    let shown = location.split(['?', '#']).next().unwrap_or_default();
    let shown = match Url::parse(shown) {
        Ok(url) => format!("{}{}", url.origin().ascii_serialization(), url.path()),
        Err(_) => shown.to_owned(),
    };
    format!(
        ": it redirects to `{shown}`, which is not followed; if that is right, make it the `url`"
    )
}
