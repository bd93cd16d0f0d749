//! `POST /refresh`: read the configuration and the environment anew.

use std::sync::Arc;

use axum::{Json, extract::State};
use serde_json::{Value, json};

use super::{error::ApiError, identity, sender::Sender, state::AppState};
use crate::{error_code::ErrorCode, store::ChangeRecord};

/// Applies what changed, restarts what is down, and says what was done.
pub async fn refresh(
    State(state): State<Arc<AppState>>,
    sender: Sender,
) -> Result<Json<Value>, ApiError> {
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
    let caller = view.caller();
    state.audit.change(ChangeRecord {
        workspace: caller.workspace.to_string(),
        actor: caller.id.to_string(),
        proof: caller.proof.as_str().to_owned(),
        action: "refresh".to_owned(),
        target: "configuration".to_owned(),
        ..ChangeRecord::default()
    });
    let done = state.reloader.refresh().await.map_err(|problems| {
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
        "tools_count": tools.len(),
        "tools": tools,
    })))
}
