//! `POST /refresh`: reloads the configuration and the environment.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Query, Request, State},
};
use http::Uri;
use serde::{Deserialize, Serialize};

use crate::{
    error_code::ErrorCode,
    http::{body, error::ApiError, identity, sender::RequestSender, state::AppState},
    store::ChangeRecord,
};

/// The largest request body, in bytes.
const BODY_BYTES_MAX: usize = 16 << 10;

/// The query of the request.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RefreshQuery {
    /// Whether to remove the tools of servers that are still down from the documents. The default
    /// is `drop_dead` in `[server]`.
    drop_dead: Option<bool>,
}

/// The body of the request, which overrides the query. Unknown members are ignored, because some
/// clients send the same body to every route.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RefreshBody {
    /// See [`RefreshQuery`].
    drop_dead: Option<bool>,
}

/// What a refresh did.
#[derive(Debug, Serialize)]
pub struct RefreshReport {
    /// Always `refreshed`.
    status: &'static str,
    /// The bridges that started.
    started: Vec<String>,
    /// The bridges that stopped.
    stopped: Vec<String>,
    /// The bridges that restarted.
    restarted: Vec<String>,
    /// The bridges that kept their session.
    kept: Vec<String>,
    /// The bridges whose tools were removed from the documents.
    dropped: Vec<String>,
    /// The number of tools.
    tools_count: usize,
    /// The operation IDs of the tools.
    tools: Vec<String>,
}

/// Applies the changes, restarts bridges that are down, and reports what was done.
pub async fn refresh(
    State(state): State<Arc<AppState>>,
    request: Request,
) -> Result<Json<RefreshReport>, ApiError> {
    let (mut parts, body) = request.into_parts();
    let sender = RequestSender::take(&mut parts);
    let settings = state.settings.load_full();
    let view = identity::view(&settings, &sender).await?;
    if !view.is_admin() {
        let detail = if settings.access.is_enforced() {
            "only an administrator may refresh; `mcp-bridge access admin E-MAIL` adds one"
        } else {
            "only a caller with an API key may refresh; set one in [identity.keys]"
        };
        return Err(ApiError::new(ErrorCode::Forbidden, detail));
    }
    // The configuration applies to every workspace.
    if !identity::administers_all(&view) {
        let detail = "only an administrator of the default workspace may refresh";
        return Err(ApiError::new(ErrorCode::Forbidden, detail));
    }
    let body = body::read(body, BODY_BYTES_MAX, None).await?;
    let drop_dead = wish(&parts.uri, &body)?;
    let caller = view.caller();
    state.audit.change(ChangeRecord {
        workspace: caller.workspace.to_string(),
        actor: caller.id.to_string(),
        proof: caller.proof.as_str().to_owned(),
        action: "refresh".to_owned(),
        target: "configuration".to_owned(),
        ..ChangeRecord::default()
    });
    let done = state
        .reloader
        .refresh(drop_dead)
        .await
        .map_err(|problems| {
            let detail =
                format!("nothing was changed because the configuration has errors: {problems}");
            ApiError::new(ErrorCode::InvalidConfig, detail)
        })?;
    let roster = state.registry.roster();
    let mut tools = Vec::new();
    for bridge in roster.bridges() {
        let set = bridge.live.tools.load();
        let names = set.entries.iter().map(|entry| &entry.tool.name);
        tools.extend(roster.id_owners().ids(bridge.name(), names));
    }
    Ok(Json(RefreshReport {
        status: "refreshed",
        started: done.started,
        stopped: done.stopped,
        restarted: done.restarted,
        kept: done.kept,
        dropped: done.dropped,
        tools_count: tools.len(),
        tools,
    }))
}

/// The request's `drop_dead`, or `None` if it has none.
fn wish(uri: &Uri, body: &[u8]) -> Result<Option<bool>, ApiError> {
    let refused = |what: String| {
        let detail = format!(
            "{what}; write `/refresh?drop_dead=true`, or the body `{{\"drop_dead\": true}}`"
        );
        ApiError::new(ErrorCode::InvalidRequest, detail).of_caller()
    };
    let Query(asked) =
        Query::<RefreshQuery>::try_from_uri(uri).map_err(|bad| refused(bad.body_text()))?;
    if body.trim_ascii().is_empty() {
        return Ok(asked.drop_dead);
    }
    let given: RefreshBody = serde_json::from_slice(body)
        .map_err(|error| refused(format!("the body is not valid: {error}")))?;
    Ok(given.drop_dead.or(asked.drop_dead))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn query_and_body_say_whether_dead_tools_are_dropped() {
        for (uri, body, said) in [
            ("/refresh", "", Some(None)),
            ("/refresh", " \n", Some(None)),
            ("/refresh", "{}", Some(None)),
            ("/refresh?drop_dead=true", "", Some(Some(true))),
            ("/refresh?drop_dead=false", "", Some(Some(false))),
            ("/refresh", "{\"drop_dead\": true}", Some(Some(true))),
            (
                "/refresh?drop_dead=true",
                "{\"drop_dead\": false}",
                Some(Some(false)),
            ),
            ("/refresh?drop_dead=true", "{}", Some(Some(true))),
            ("/refresh?drop_dead=maybe", "", None),
            ("/refresh?dropdead=true", "", None),
            ("/refresh", "{\"message\": \"hi\"}", Some(None)),
            ("/refresh", "{\"drop_dead\": \"yes\"}", None),
            ("/refresh", "drop_dead", None),
        ] {
            let uri: Uri = uri.parse().unwrap();
            let found = wish(&uri, body.as_bytes());
            assert_eq!(found.ok(), said, "{uri} {body}");
        }
    }
}
