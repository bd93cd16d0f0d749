//! Turns the answer of an HTTP service into the JSON of a `CallToolResult`.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use reqwest::Response;
use serde_json::{Value, json};

use crate::mcp::error::CallError;
use crate::mcp::http::{Failure, Kind, content_type, read, read_refusal, refused_by_status};
use crate::secret::Redactor;

/// How much of a refusal reaches the caller, in characters.
const REFUSAL_CHARS_MAX: usize = 2_000;

/// Reads the answer, at most `bytes_max` bytes of it. What the service refuses is the result of a
/// tool that failed; what it refuses us is an error.
pub async fn result(
    response: Response,
    bytes_max: usize,
    redactor: &Redactor,
) -> Result<String, CallError> {
    let status = response.status();
    if let Some(failure) = refused_by_status(status, response.headers()) {
        return Err(failure.into_call_error());
    }
    if !status.is_success() {
        let body = read_refusal(response).await;
        let text = String::from_utf8_lossy(&body);
        let text = redactor.redact(&text);
        let text: String = text.trim().chars().take(REFUSAL_CHARS_MAX).collect();
        let message = match text.as_str() {
            "" => format!("HTTP {status}"),
            text => format!("HTTP {status}: {text}"),
        };
        let content = [json!({ "type": "text", "text": message })];
        return Ok(json!({ "content": content, "isError": true }).to_string());
    }
    let kind = content_type(&response);
    let uri = response.url().path().to_owned();
    let body = read(response, bytes_max)
        .await
        .map_err(Failure::into_call_error)?;
    Ok(json!({ "content": content(&kind, &uri, &body) }).to_string())
}

/// The content blocks for a body.
fn content(kind: &str, uri: &str, body: &[u8]) -> Vec<Value> {
    if body.is_empty() {
        return Vec::new();
    }
    let family = kind.split('/').next().unwrap_or_default();
    if matches!(family, "image" | "audio") && kind != "image/svg+xml" {
        return vec![json!({ "type": family, "data": STANDARD.encode(body), "mimeType": kind })];
    }
    match std::str::from_utf8(body) {
        Ok(text) => vec![json!({ "type": "text", "text": text })],
        Err(_) if family == "text" || Kind::of(kind) == Kind::Json => {
            vec![json!({ "type": "text", "text": String::from_utf8_lossy(body) })]
        }
        Err(_) => {
            let mime = if kind.is_empty() {
                "application/octet-stream"
            } else {
                kind
            };
            let blob = STANDARD.encode(body);
            let resource = json!({ "uri": uri, "mimeType": mime, "blob": blob });
            vec![json!({ "type": "resource", "resource": resource })]
        }
    }
}
