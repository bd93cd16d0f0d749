//! `GET /files/{id}`: serves a file that a tool made. The result of the call contains its link.
//!
//! A link works only for the caller of the call, who authenticates as for every other request. A
//! browser can use Open WebUI's cookie if both run on the same host. A caller who loses access to
//! the bridge can no longer download its files.

use std::sync::Arc;

use axum::{
    Router,
    body::Bytes,
    extract::{Path, Request, State},
    response::{IntoResponse as _, Response},
    routing::get,
};
use http::{
    HeaderValue, StatusCode,
    header::{ACCEPT, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_SECURITY_POLICY, CONTENT_TYPE},
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::{
    files::{FileId, owner_of},
    http::{
        answer::counted,
        connect::{refusal, root_of},
        dispatch::dispatch,
        error::ApiError,
        identity,
        sender::RequestSender,
        state::AppState,
    },
    name::BridgeName,
    store::FileRow,
};

/// The policy for a browser that shows a file in spite of `Content-Disposition`: the file may do
/// nothing.
const POLICY: &str = "default-src 'none'; sandbox; frame-ancestors 'none'";
/// The characters that `filename*` does not escape (RFC 8187 §3.2.1, `attr-char`).
const ATTRIBUTE: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// The route. A bridge may be called `files`, so a path without a file id and every other method go
/// to that bridge.
pub fn routes() -> Router<Arc<AppState>> {
    Router::new().route("/files/{id}", get(download).fallback(dispatch))
}

/// `GET /files/{id}`
async fn download(
    State(state): State<Arc<AppState>>,
    Path(id): Path<String>,
    mut request: Request,
) -> Response {
    let Some(id) = FileId::parse(&id) else {
        return dispatch(State(state), request).await;
    };
    let (mut parts, _body) = std::mem::take(&mut request).into_parts();
    let sender = RequestSender::take(&mut parts);
    match opened(&state, &id, &sender).await {
        Ok(response) => response,
        Err(error) if wants_page(&sender) => refusal(&root_of(&state), &error, None),
        Err(error) => error.into_response(),
    }
}

/// The file behind a link, for its caller.
async fn opened(
    state: &AppState,
    id: &FileId,
    sender: &RequestSender,
) -> Result<Response, ApiError> {
    let settings = state.settings.load_full();
    let view = identity::view(&settings, sender).await;
    let view = view.map_err(|error| sign_in(error, sender))?;
    let found = state.files.open(id, &owner_of(view.caller())).await;
    let file = found.map_err(ApiError::store)?.ok_or_else(|| {
        ApiError::not_found(
            "you have no such file; a file is kept for one day, and only the user whose call made it can open it",
        )
    })?;
    let gone = || ApiError::not_found("the bridge that made this file no longer exists");
    let bridge = BridgeName::parse(&file.bridge).map_err(|_| gone())?;
    if state.registry.roster().get(bridge.as_str()).is_none() {
        return Err(gone());
    }
    let entered = view.enter(&bridge);
    entered.map_err(|denial| ApiError::access_refused(&denial, &bridge, None))?;
    let body = counted(&file.content, sender).await?;
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    let media_type = HeaderValue::from_str(&file.media_type);
    let media_type = media_type.unwrap_or(HeaderValue::from_static("application/octet-stream"));
    headers.insert(CONTENT_TYPE, media_type);
    headers.insert(CONTENT_DISPOSITION, disposition(&file));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    Ok(response)
}

/// Browsers save the file and never show it, because its content comes from a server (RFC 6266
/// §4.2, §4.3).
fn disposition(file: &FileRow<Bytes>) -> HeaderValue {
    let is_plain = |it: char| it.is_ascii_alphanumeric() || " -._()".contains(it);
    let ascii: String = file
        .name
        .chars()
        .map(|it| if is_plain(it) { it } else { '_' })
        .collect();
    let exact = utf8_percent_encode(&file.name, ATTRIBUTE);
    let text = format!("attachment; filename=\"{ascii}\"; filename*=UTF-8''{exact}");
    HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("attachment"))
}

/// Whether a browser opened the link.
fn wants_page(sender: &RequestSender) -> bool {
    let accept = sender.headers.get(ACCEPT).map(HeaderValue::as_bytes);
    accept.is_some_and(|it| it.windows(9).any(|word| word == b"text/html"))
}

/// Tells a user without a session what to do.
fn sign_in(mut error: ApiError, sender: &RequestSender) -> ApiError {
    if error.status == StatusCode::UNAUTHORIZED && wants_page(sender) {
        let words = "only the user whose call made this file can open it; sign in to Open WebUI in this browser, then open the link again";
        error.detail = Box::new(words.into());
    }
    error
}
