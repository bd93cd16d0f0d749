//! `POST /{bridge}/{tool}`: a call by REST. The steps that all protocols share are in `crate::call`.

use std::sync::Arc;

use axum::{
    body::Body,
    response::{IntoResponse as _, Response},
};

use super::{
    answer::counted,
    body,
    error::ApiError,
    identity,
    layers::RequestLogFields,
    outcome::{reply_to, respond},
    sender::RequestSender,
    state::AppState,
};
use crate::{
    auth::Caller,
    call::{CallInput, CallScope, SentAnswer, ToolRef, make_call, shown},
    config::Flavor,
    name::ToolName,
    reply::ContentType,
};

/// The body of a successful answer.
struct CallResponse {
    content_type: ContentType,
    body: Body,
    /// Its size, in bytes.
    size: usize,
}

/// Calls a tool. Every outcome is recorded.
pub async fn call(
    state: &AppState,
    target: ToolRef,
    sender: RequestSender,
    body: Body,
) -> Response {
    let settings = state.settings.load_full();
    let mut scope = CallScope::start(&state.services, &settings, &sender, &target);
    let answered = answer(&mut scope, state, &sender, body).await;
    let note = RequestLogFields {
        bridge: Some(target.bridge.name().clone()),
        tool: ToolName::parse(&shown(&target.tool)),
        caller: scope.caller_id(),
    };
    let mut response = match answered {
        Ok(answered) => {
            scope.end(None, SentAnswer::new(200, answered.size)).await;
            respond(answered.content_type, answered.body)
        }
        Err(mut error) => {
            scope.clean(&mut error);
            let size = error.size(&sender.request_id, settings.config.flavor);
            let sent = SentAnswer::new(error.status.as_u16(), size);
            scope.end(Some(error.code), sent).await;
            error.into_response()
        }
    };
    response.extensions_mut().insert(note);
    response
}

/// The steps of a call: identify the caller, make the call, convert its result, and count the answer
/// until it is read.
async fn answer(
    scope: &mut CallScope<'_>,
    state: &AppState,
    sender: &RequestSender,
    body: Body,
) -> Result<CallResponse, ApiError> {
    let caller = identify(scope, sender).await?;
    scope.identified(&caller);
    let bytes_max = scope.settings.config.limits.body_bytes_max;
    let input = CallInput {
        caller: &caller,
        arguments: body::read(body, bytes_max, sender.seat.as_deref()),
        progress: None,
    };
    let result = make_call(scope, input).await?;
    let reply = reply_to(scope, result, &caller, &state.files).await?;
    Ok(CallResponse {
        content_type: reply.content_type,
        size: reply.body.len(),
        body: counted(&reply.body, sender).await?,
    })
}

/// Identifies the caller. Under mcpo's rules a missing route is 404 for every caller.
async fn identify(scope: &CallScope<'_>, sender: &RequestSender) -> Result<Arc<Caller>, ApiError> {
    let config = &scope.settings.config;
    let identified = identity::identify(scope.settings, sender).await;
    if config.flavor == Flavor::Native || config.identity.strict {
        return identified;
    }
    match scope.target.find() {
        Ok(_) => identified,
        Err(missing) => identified.map_err(|_refusal| missing.into()),
    }
}
