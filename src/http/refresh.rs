//! `POST /refresh`: read the configuration and the environment anew.

use std::sync::Arc;

use axum::{Json, extract::State};
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use super::{error::ApiError, identity::identify, state::AppState};

/// Applies what changed, restarts what is down, and says what was done.
pub async fn refresh(
    State(state): State<Arc<AppState>>,
    headers: HeaderMap,
) -> Result<Json<Value>, ApiError> {
    let caller = identify(&state.settings.load_full(), &headers).await?;
    let settings = state.settings.load_full();
    let view = settings
        .access
        .view(&caller)
        .await
        .map_err(ApiError::store)?;
    if !view.is_admin() {
        return Err(ApiError::new(
            StatusCode::FORBIDDEN,
            "forbidden",
            "only a caller with an API key may refresh; set one in [identity.keys]",
        ));
    }
    let done = state.reloader.refresh().await.map_err(|problems| {
        let detail = format!("nothing was changed, the configuration has errors: {problems}");
        ApiError::new(StatusCode::CONFLICT, "invalid_config", detail)
    })?;
    let roster = state.registry.roster();
    let mut tools = Vec::new();
    for bridge in roster.bridges() {
        let set = bridge.live.tools.load();
        tools.extend(
            set.entries
                .iter()
                .map(|entry| format!("{}_{}", bridge.name(), entry.tool.name)),
        );
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
