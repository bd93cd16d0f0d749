//! Converts the answer of an HTTP service to the JSON of a `CallToolResult`.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::StatusCode;
use reqwest::Response;
use serde_json::{Value, json};

use super::media::is_textual;
use crate::mcp::error::CallError;
use crate::mcp::http::{TransportError, content_type, read, read_refusal, refused_by_status};
use crate::secret::Redactor;

/// How much of an error body reaches the caller, in characters.
const REFUSAL_CHARS_MAX: usize = 2_000;

/// Reads at most `bytes_max` bytes of the answer. If the service rejects the request, the result is a failed
/// tool call. If it rejects the bridge's credentials, that is an error.
pub async fn result(
    response: Response,
    bytes_max: usize,
    redactor: &Redactor,
) -> Result<String, CallError> {
    let status = response.status();
    let refused = refused_by_status(status, response.headers());
    if let Some(failure) = refused.filter(|_| status != StatusCode::FORBIDDEN) {
        return Err(failure.into_call_error());
    }
    if !status.is_success() {
        let body = read_refusal(response).await;
        // A service explains a 403 in the body. Without an explanation, the credentials are the cause.
        if status == StatusCode::FORBIDDEN && body.trim_ascii().is_empty() {
            return Err(CallError::Auth(status.as_u16(), String::new()));
        }
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
    let kind = content_type(&response).to_ascii_lowercase();
    let uri = response.url().path().to_owned();
    let body = read(response, bytes_max)
        .await
        .map_err(TransportError::into_call_error)?;
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
    // An HTML page becomes a resource, so that a client can display it.
    if kind == "text/html" {
        let page = json!({ "uri": uri, "mimeType": kind, "text": String::from_utf8_lossy(body) });
        return vec![json!({ "type": "resource", "resource": page })];
    }
    match std::str::from_utf8(body) {
        Ok(text) if is_textual(kind) || !text.contains('\0') => {
            vec![json!({ "type": "text", "text": text })]
        }
        Err(_) if is_textual(kind) => {
            vec![json!({ "type": "text", "text": String::from_utf8_lossy(body) })]
        }
        Ok(_) | Err(_) => {
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
