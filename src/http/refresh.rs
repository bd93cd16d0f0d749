//! `POST /refresh`: read the configuration and the environment anew.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Query, Request, State},
};
use http::Uri;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{body, error::ApiError, identity, sender::Sender, state::AppState};
use crate::{error_code::ErrorCode, store::ChangeRecord};

/// No request here is larger, in bytes.
const BODY_BYTES_MAX: usize = 16 << 10;

/// What may be said in the query or in the body; the body wins.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Wish {
    /// Whether the tools of servers that are still down leave the documents. Default: `drop_dead` of
    /// `[server]`.
    drop_dead: Option<bool>,
}

/// Applies what changed, restarts what is down, and says what was done.
pub async fn refresh(
    State(state): State<Arc<AppState>>,
    request: Request,
) -> Result<Json<Value>, ApiError> {
    let (mut parts, body) = request.into_parts();
    let sender = Sender::take(&mut parts);
    let settings = state.settings.load_full();
    let view = identity::view(&settings, &sender).await?;
    if !view.is_admin() {
        let detail = if settings.access.is_enforced() {
            "only an administrator may refresh; `mcp-bridge access admin E-MAIL` makes one"
        } else {
            "only a caller with an API key may refresh; set one in [identity.keys]"
        };
        return Err(ApiError::new(ErrorCode::Forbidden, detail));
    }
    // The configuration belongs to every workspace.
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
            let detail = format!("nothing was changed, the configuration has errors: {problems}");
            ApiError::new(ErrorCode::InvalidConfig, detail)
        })?;
    let roster = state.registry.roster();
    let mut tools = Vec::new();
    for bridge in roster.bridges() {
        let set = bridge.live.tools.load();
        let names = set.entries.iter().map(|entry| &entry.tool.name);
        tools.extend(roster.id_owners().ids(bridge.name(), names));
    }
    Ok(Json(json!({
        "status": "refreshed",
        "started": done.started,
        "stopped": done.stopped,
        "restarted": done.restarted,
        "kept": done.kept,
        "dropped": done.dropped,
        "tools_count": tools.len(),
        "tools": tools,
    })))
}

/// Whether the tools of dead servers are dropped, where the request says.
fn wish(uri: &Uri, body: &[u8]) -> Result<Option<bool>, ApiError> {
    let refused = |what: String| {
        let detail = format!(
            "{what}; write `/refresh?drop_dead=true`, or the body `{{\"drop_dead\": true}}`"
        );
        ApiError::new(ErrorCode::InvalidRequest, detail).of_caller()
    };
    let Query(asked) = Query::<Wish>::try_from_uri(uri).map_err(|bad| refused(bad.body_text()))?;
    if body.trim_ascii().is_empty() {
        return Ok(asked.drop_dead);
    }
    let given: Wish = serde_json::from_slice(body)
        .map_err(|error| refused(format!("the body is not what is expected here: {error}")))?;
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
            ("/refresh", "{\"dropdead\": true}", None),
            ("/refresh", "{\"drop_dead\": \"yes\"}", None),
            ("/refresh", "drop_dead", None),
        ] {
            let uri: Uri = uri.parse().unwrap();
            let found = wish(&uri, body.as_bytes());
            assert_eq!(found.ok(), said, "{uri} {body}");
        }
    }
}
