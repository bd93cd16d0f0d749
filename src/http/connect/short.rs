//! The short address of a link.

use std::sync::Arc;

use axum::{
    extract::{Path, Request, State},
    response::Response,
};
use http::{HeaderMap, Method, header::CONTENT_TYPE};

use super::{
    consent::{asked, begin},
    page,
    parts::{open_webui, root_of},
};
use crate::{
    credential::is_ticket_id,
    error_code::ErrorCode,
    http::{AppState, dispatch::dispatch, error::ApiError, sender::RequestSender},
};

/// The error for a browser that does not identify its user: it sent no session of Open WebUI and no
/// other credentials.
pub fn unidentified_browser(error: ApiError) -> ApiError {
    if error.code == ErrorCode::Unauthorized {
        let words = "open this page from the chat, or sign in to Open WebUI first";
        return ApiError::new(ErrorCode::Unauthorized, words);
    }
    error
}

/// `/c/{id}`: the page behind a link, and the form that its button sends. A bridge may be called
/// `c`, so requests that cannot be for a link go to that bridge.
pub async fn short(
    State(state): State<Arc<AppState>>,
    Path(id): Path<String>,
    request: Request,
) -> Response {
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    let is_sent = *request.method() == Method::POST && is_form(request.headers());
    let is_taken = state.registry.roster().get("c").is_some();
    if !(is_read || is_sent) || is_taken && !is_ticket_id(&id) {
        return dispatch(State(state), request).await;
    }
    let (mut parts, body) = request.into_parts();
    let sender = RequestSender::take(&mut parts);
    let answer = if is_read {
        asked(&state, None, &id, &sender).await
    } else {
        begin(&state, None, &sender, body).await
    };
    answer.unwrap_or_else(|error| {
        page::refusal(&root_of(&state), &error, open_webui(&state).as_ref())
    })
}

/// Whether the body is a form.
pub fn is_form(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|kind| {
        kind.as_bytes()
            .starts_with(b"application/x-www-form-urlencoded")
    })
}
