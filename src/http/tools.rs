//! `POST /{bridge}/{tool}`: the call.

use std::sync::Arc;

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use http::{
    HeaderMap, HeaderValue, StatusCode,
    header::{CONTENT_DISPOSITION, CONTENT_TYPE},
};

use super::{body, error::ApiError, identity::identify, layers::Note, state::Settings};
use crate::{
    bridge::{Bridge, Entry, Failure, Phase},
    mcp::CallError,
    reply::{ContentType, Reply, ToolError},
    schema::Refusal,
};

/// A tool that was found, by either of its routes.
#[derive(Debug, Clone)]
pub struct Found {
    /// The bridge.
    pub bridge: Arc<Bridge>,
    /// The tool.
    pub entry: Arc<Entry>,
}

/// Looks a tool up.
pub fn find(bridge: Arc<Bridge>, tool: &str) -> Result<Found, ApiError> {
    if let Some(entry) = bridge.live.tools.load().get(tool) {
        let entry = Arc::clone(entry);
        return Ok(Found { bridge, entry });
    }
    let status = bridge.status();
    match status.phase {
        Phase::Disabled => Err(ApiError::call(bridge.unavailable(&status))),
        // Nobody knows yet whether the tool is there.
        Phase::Starting | Phase::BackingOff | Phase::Failed
            if bridge.live.tools.load().entries.is_empty() =>
        {
            Err(ApiError::call(bridge.unavailable(&status)))
        }
        Phase::Starting | Phase::BackingOff | Phase::Failed | Phase::Ready | Phase::Idle => {
            let shown: String = tool.chars().take(100).collect();
            Err(ApiError::not_found(format!(
                "bridge `{name}` has no tool `{shown}`; GET /{name} lists what it has",
                name = bridge.name()
            )))
        }
    }
}

/// Calls a tool: identity, access, arguments, server, answer; in this order (design §3).
pub async fn call(settings: &Settings, found: Found, headers: &HeaderMap, body: Body) -> Response {
    let mut note = Note {
        bridge: Some(found.bridge.name().clone()),
        tool: Some(found.entry.tool.name.clone()),
        caller: None,
    };
    let result = answer(settings, &found, headers, body, &mut note).await;
    let mut response = result.unwrap_or_else(IntoResponse::into_response);
    response.extensions_mut().insert(note);
    response
}

/// The steps of [`call`].
async fn answer(
    settings: &Settings,
    found: &Found,
    headers: &HeaderMap,
    body: Body,
    note: &mut Note,
) -> Result<Response, ApiError> {
    let Found { bridge, entry } = found;
    let caller = match identify(settings, headers).await {
        Ok(caller) => caller,
        Err(refusal) => {
            body::discard(body.into_data_stream()).await;
            return Err(refusal);
        }
    };
    note.caller = Some(caller.id.to_string());
    let view = settings
        .access
        .view(&caller)
        .await
        .map_err(ApiError::store)?;
    let grant = view
        .authorise(bridge.name(), &entry.tool)
        .map_err(|_denial| {
            ApiError::new(
                StatusCode::FORBIDDEN,
                "forbidden",
                format!(
                    "you may not use tool `{}` of bridge `{}`",
                    entry.tool.name,
                    bridge.name()
                ),
            )
        })?;
    let body = body::read(body, settings.config.limits.body_bytes_max).await?;
    let arguments = entry
        .arguments
        .accept(&body)
        .map_err(|refusal| refused(&refusal))?;
    // What was accepted once is accepted again.
    let again = || entry.arguments.accept(&body).unwrap_or_default();
    let result = bridge
        .call(&grant, &entry.tool.server_name, arguments, &again)
        .await
        .map_err(ApiError::call)?;
    let result = serde_json::from_str(&result)
        .map_err(|error| ApiError::call(Failure::Call(CallError::Protocol(error.to_string()))))?;
    Reply::from_result(result, bridge.config.embed_html)
        .map(respond)
        .map_err(|error| ApiError::tool(redacted(error, bridge)))
}

/// A tool's error without the secrets that its bridge holds.
fn redacted(error: ToolError, bridge: &Bridge) -> ToolError {
    ToolError {
        message: bridge.redactor.redact(&error.message).into_owned(),
        data: error.data.map(|data| bridge.redactor.redact_json(data)),
    }
}

/// Arguments that do not fit.
fn refused(refusal: &Refusal) -> ApiError {
    let status = StatusCode::from_u16(refusal.status()).unwrap_or(StatusCode::BAD_REQUEST);
    ApiError::with_detail(status, refusal.code(), refusal.detail())
}

/// The answer on the wire.
fn respond(reply: Reply) -> Response {
    let mut response = Response::new(Body::from(reply.body));
    let headers = response.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static(reply.content_type.as_str()),
    );
    if reply.content_type == ContentType::Html {
        headers.insert(CONTENT_DISPOSITION, HeaderValue::from_static("inline"));
    }
    response
}
