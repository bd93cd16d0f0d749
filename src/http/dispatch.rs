//! Serves every path that is not a fixed route: bridges and tools.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use http::Method;

use super::{
    error::{self, ApiError},
    identity, missing, pages,
    path::{self, PathTarget},
    sender::RequestSender,
    state::AppState,
    tools,
};
use crate::{
    call::{SentAnswer, ToolRef, add_caller, record_of, record_refusal, similar_tools},
    config::Flavor,
};

/// Under mcpo's rules a server takes precedence over a route of the bridge with the same name.
pub async fn servers_first(
    State(state): State<Arc<AppState>>,
    request: Request,
    next: Next,
) -> Response {
    match target(&state, &request) {
        PathTarget::Tool(bridge, tool)
            if request.method() == Method::POST
                && bridge.live.tools.load().get(&tool).is_some() =>
        {
            let target = PathTarget::Tool(bridge, tool);
            answer(&state, target, request).await
        }
        PathTarget::Document(_)
        | PathTarget::Docs(_)
        | PathTarget::Bridge(_)
        | PathTarget::Tool(..)
            if state.settings.load().config.flavor == Flavor::McpoSingle =>
        {
            next.run(request).await
        }
        PathTarget::Unknown(_) => next.run(request).await,
        target => answer(&state, target, request).await,
    }
}

/// Serves every path that is not a fixed route: bridges and tools.
pub async fn dispatch(State(state): State<Arc<AppState>>, request: Request) -> Response {
    let target = target(&state, &request);
    answer(&state, target, request).await
}

/// Resolves a request's path. Redaction does not affect the result: if it did, the response would
/// tell the caller that their guess was a secret.
fn target(state: &AppState, request: &Request) -> PathTarget {
    path::resolve(
        &state.registry.roster(),
        &state.settings.load().config,
        request.method(),
        request.uri().path(),
    )
}

/// Serves one target.
async fn answer(state: &AppState, target: PathTarget, request: Request) -> Response {
    let (mut parts, body) = request.into_parts();
    let sender = RequestSender::take(&mut parts);
    let target = if parts.method == Method::POST {
        match asked(state, target) {
            Ok(asked) => return tools::call(state, asked, sender, body).await,
            Err(target) => target,
        }
    } else {
        target
    };
    // Boxed because the future is large, and calls do not get here.
    let result = Box::pin(show(state, target, &parts.method, &sender)).await;
    result.unwrap_or_else(ApiError::into_response)
}

/// The tool that is called. A target that is not a call is returned as the error.
fn asked(state: &AppState, target: PathTarget) -> Result<ToolRef, PathTarget> {
    match target {
        PathTarget::Tool(bridge, tool) => Ok(ToolRef { bridge, tool }),
        PathTarget::Unknown(path) => {
            ToolRef::by_id(&state.registry, &path).ok_or(PathTarget::Unknown(path))
        }
        other => Err(other),
    }
}

/// Answers requests that are not calls.
async fn show(
    state: &AppState,
    target: PathTarget,
    method: &Method,
    sender: &RequestSender,
) -> Result<Response, ApiError> {
    let is_get = matches!(*method, Method::GET | Method::HEAD);
    match target {
        PathTarget::Bridge(bridge) if is_get => pages::bridge(state, &bridge, sender).await,
        PathTarget::Document(bridge) if is_get => pages::of_bridge(state, &bridge, sender).await,
        PathTarget::Docs(bridge) if is_get => pages::docs_of_bridge(state, &bridge, sender).await,
        PathTarget::Bridge(_) | PathTarget::Document(_) | PathTarget::Docs(_) => {
            Err(ApiError::method_not_allowed(Some(error::GET)))
        }
        PathTarget::Tool(bridge, tool) => {
            Err(not_a_call(state, &ToolRef { bridge, tool }, sender).await)
        }
        PathTarget::Unknown(path) => match ToolRef::by_id(&state.registry, &path) {
            Some(asked) => Err(not_a_call(state, &asked, sender).await),
            None => Err(unknown(state, &path, sender, *method == Method::POST).await),
        },
    }
}

/// The error for a request to a tool that is not a call. A caller without an identity or a grant
/// does not learn what is missing or why it is disabled. Under mcpo's rules a missing route is 404
/// for every caller.
async fn not_a_call(state: &AppState, asked: &ToolRef, sender: &RequestSender) -> ApiError {
    let settings = state.settings.load_full();
    let seen = if settings.config.flavor == Flavor::Native {
        let view = identity::view(&settings, sender).await;
        view.and_then(|view| {
            asked.enter(&view)?;
            Ok(Some(view))
        })
    } else {
        identity::reader(&settings, sender).await.map(|_view| None)
    };
    let found = seen.and_then(|view| {
        let named = |error| match &view {
            Some(view) => similar_tools(&settings, asked, view, error),
            None => error,
        };
        Ok(asked.find().map_err(named)?)
    });
    match found {
        Ok(_) => ApiError::method_not_allowed(Some(error::POST)),
        Err(error) => error,
    }
}

/// Answers 404. If documents are not public, unidentified callers do not learn what exists. A call of
/// an identified caller to an unknown path is recorded.
async fn unknown(state: &AppState, path: &str, sender: &RequestSender, is_call: bool) -> ApiError {
    let settings = state.settings.load_full();
    let error = match identity::reader(&settings, sender).await {
        Ok(_) => missing::bridge(state, &settings, sender, path).await,
        Err(error) => error,
    };
    if is_call && let Ok(caller) = settings.proofs.authenticate(&sender.evidence()).await {
        // The path is redacted before it is split, because the redactor does not recognize half of
        // a secret.
        let path = state.redactor.redact(path);
        let (bridge, tool) = path.split_once('/').unwrap_or((&path, ""));
        let mut record = record_of(sender, bridge, tool);
        add_caller(&mut record, &caller);
        let size = error.size(&sender.request_id, settings.config.flavor);
        let sent = SentAnswer::new(error.status.as_u16(), size);
        record_refusal(&state.audit, record, error.code, sent);
    }
    error
}
