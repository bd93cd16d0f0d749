//! Turns a server's result into a body and an HTTP response.

use axum::{body::Body, response::Response};
use http::{
    HeaderValue,
    header::{CONTENT_DISPOSITION, CONTENT_SECURITY_POLICY, CONTENT_TYPE},
};

use super::{error::ApiError, file_links::FileLinks};
use crate::{
    auth::Caller,
    call::CallScope,
    config::Flavor,
    error_code::ErrorCode,
    files::FileStore,
    json,
    mcp::CallError,
    reply::{ContentType, ToolReply},
    secret::Redactor,
};

/// Results up to this size are converted inline, which takes about a millisecond.
const SMALL_RESULT_BYTES: usize = 128 << 10;

/// The largest number of values in a result, as [`json::values_at_most`] counts them. Each value
/// takes at least 72 bytes of memory, and as few as two bytes of text.
const RESULT_VALUES_MAX: usize = 600_000;

/// The redacted body of a server's result. Its files are stored for the caller if the bridge has
/// links turned on. A large result is converted on a thread that no other request waits for.
pub async fn reply_to(
    scope: &CallScope<'_>,
    result: String,
    caller: &Caller,
    files: &FileStore,
) -> Result<ToolReply, ApiError> {
    let (bridge, config) = (&scope.target.bridge, &scope.settings.config);
    let (embed_html, flavor) = (bridge.config.embed_html, config.flavor);
    let redactor = scope.redactor();
    let mut links = FileLinks::of(bridge, config);
    let (reply, links) = if result.len() <= SMALL_RESULT_BYTES {
        let read = reply(embed_html, flavor, result, redactor, links.as_mut())?;
        (read, links)
    } else {
        let redactor = redactor.clone();
        let reading = move || {
            let read = reply(embed_html, flavor, result, &redactor, links.as_mut());
            read.map(|reply| (reply, links))
        };
        let read = bridge.digest(reading).await.unwrap_or_else(|error| {
            let text = format!("the result could not be read: {error}");
            Err(CallError::Protocol(text).into())
        });
        read?
    };
    if let Some(links) = links {
        // Boxed because most results contain no files.
        Box::pin(links.keep(files, caller)).await?;
    }
    Ok(reply)
}

/// Converts a result to a redacted body.
fn reply(
    embed_html: bool,
    flavor: Flavor,
    result: String,
    redactor: &Redactor,
    links: Option<&mut FileLinks>,
) -> Result<ToolReply, ApiError> {
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
            ToolReply::from_text(result, embed_html, Some(&mut keep))
        }
        None => ToolReply::from_text(result, embed_html, None),
    };
    let read = read.map_err(|error| {
        let error = CallError::Protocol(error.to_string());
        ApiError::from(error)
    })?;
    read.map(|reply| reply.without_secrets(redactor))
        .map_err(|error| ApiError::tool(error, flavor))
}

/// The policy of a page that a server returns, if a browser opens it at the bridge's address. Its
/// scripts run in an origin of their own, which cannot read other pages of the bridge or call it
/// with the user's cookies. Clients that show the body themselves ignore this policy, for example
/// Open WebUI, which uses a sandboxed frame.
const PAGE_POLICY: &str = "sandbox allow-scripts; frame-ancestors 'none'";

/// The HTTP response.
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
