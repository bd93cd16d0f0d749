//! `GET /explain?user=&bridge=&tool=`: why a user may or may not.

use std::sync::Arc;

use axum::{Json, extract::State};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    guard::{Asked, Operator},
    words,
};
use crate::{
    auth::Refusal,
    http::{AppState, error::ApiError, identity},
};

/// Who, and what.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// Their e-mail.
    user: String,
    /// The bridge, there or not.
    bridge: String,
    /// The tool; without it, anything of the bridge.
    tool: Option<String>,
}

/// Decides as for a call of theirs, and says by which rule. What a gateway or a token would say of
/// their groups is not known here.
pub async fn explain(
    State(state): State<Arc<AppState>>,
    Operator(admin): Operator,
    Asked(question): Asked<Question>,
) -> Result<Json<Value>, ApiError> {
    let email = words::email(&question.user)?;
    let name = words::bridge(&question.bridge)?;
    let settings = &admin.settings;
    let caller = settings.proofs.absent(&email).await.map_err(unknown)?;
    let mut caller = Arc::unwrap_or_clone(caller);
    caller.workspace = admin.actor.workspace.as_str().into();
    let view = identity::view_of(settings, &Arc::new(caller)).await?;
    let bridge = state.registry.roster().get(name.as_str()).map(Arc::clone);
    let tools = bridge.as_ref().map(|bridge| bridge.live.tools.load_full());
    let entry = question.tool.as_deref().map(|tool| {
        let found = tools.as_ref().and_then(|tools| tools.get(tool));
        found.ok_or_else(|| {
            let tool: String = tool.chars().take(100).collect();
            ApiError::not_found(format!("bridge `{name}` has no tool `{tool}` now"))
        })
    });
    let entry = entry.transpose()?;
    let why = view.explain(&name, entry.map(|entry| &entry.tool));
    let groups: Vec<Value> = why
        .groups
        .iter()
        .map(|(group, origin)| json!({ "group": group, "from": origin.as_str() }))
        .collect();
    Ok(Json(json!({
        "user": email,
        "bridge": name.as_str(),
        "tool": question.tool,
        "allowed": why.rule.allows(),
        "rule": why.rule.to_string(),
        "groups": groups,
        "is_admin": why.is_admin,
        "allowing": why.allowing,
        "workspace": why.workspace,
        "bridge_status": bridge.map(|bridge| bridge.status().phase.as_str()),
    })))
}

fn unknown(refusal: Refusal) -> ApiError {
    match refusal {
        Refusal::Store(error) => ApiError::store(error),
        other => ApiError::not_found(other.to_string()),
    }
}
