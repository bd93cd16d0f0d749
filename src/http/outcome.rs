//! What becomes of a server's result: a body, and the answer on the wire.

use axum::{body::Body, response::Response};
use http::{
    HeaderValue,
    header::{CONTENT_DISPOSITION, CONTENT_SECURITY_POLICY, CONTENT_TYPE},
};

use super::{error::ApiError, files::Links};
use crate::{
    bridge::Failure,
    config::Flavor,
    error_code::ErrorCode,
    json,
    mcp::CallError,
    reply::{ContentType, Reply},
    secret::Redactor,
};

/// Results up to so many bytes are read at once, which takes about a millisecond.
pub const SMALL_RESULT_BYTES: usize = 128 << 10;

/// How many values a result may hold, as [`json::values_at_most`] counts them: each takes 72 bytes of
/// memory or more, and as little as two of text.
const RESULT_VALUES_MAX: usize = 600_000;

/// What a server's result says, without secrets.
pub fn reply(
    embed_html: bool,
    flavor: Flavor,
    result: String,
    redactor: &Redactor,
    links: Option<&mut Links>,
) -> Result<Reply, ApiError> {
    if result.len() > SMALL_RESULT_BYTES
        && json::values_at_most(result.as_bytes()) > RESULT_VALUES_MAX
    {
        return Err(ApiError::new(
            ErrorCode::ResultTooLarge,
            format!("the result holds more than {RESULT_VALUES_MAX} values; ask the tool for less"),
        ));
    }
    let read = match links {
        Some(links) => {
            let mut keep = |file| links.place(file, redactor);
            Reply::from_text(result, embed_html, Some(&mut keep))
        }
        None => Reply::from_text(result, embed_html, None),
    };
    let read = read.map_err(|error| {
        let error = CallError::Protocol(error.to_string());
        ApiError::call(Failure::Call(error))
    })?;
    read.map(|reply| reply.without_secrets(redactor))
        .map_err(|error| ApiError::tool(error, flavor))
}

/// What a page of a server may do where a browser shows it from our address: run its scripts as an
/// origin of its own, which can neither read our pages nor call us with their cookies. Clients that
/// show the body themselves, as Open WebUI does in a frame with a sandbox, do not ask for it.
const PAGE_POLICY: &str = "sandbox allow-scripts; frame-ancestors 'none'";

/// The answer on the wire.
pub fn respond(content_type: ContentType, body: Body) -> Response {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static(content_type.as_str()),
    );
    if content_type == ContentType::Html {
        headers.insert(CONTENT_DISPOSITION, HeaderValue::from_static("inline"));
        headers.insert(
            CONTENT_SECURITY_POLICY,
            HeaderValue::from_static(PAGE_POLICY),
        );
    }
    response
}
