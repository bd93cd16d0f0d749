//! `GET /`, `GET /servers`, `GET /{bridge}`: what there is, in the shapes of the Python proxy
//! (requirements §1.2) with status, reason and tool count added.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Json,
    extract::State,
    response::{IntoResponse as _, Response},
};
use http::HeaderMap;
use serde::Serialize;
use serde_json::{Value, json};

use super::{error::ApiError, identity::identify, state::AppState};
use crate::{
    bridge::Bridge,
    config::{RemoteKind, Transport},
};

/// One bridge in `GET /servers`.
#[derive(Debug, Clone, Serialize)]
struct Listed {
    /// The bridge's name.
    id: String,
    /// What the server calls itself, else the bridge's name.
    name: String,
    /// `stdio`, `http`, `sse`, `openapi`, or `disabled` for a bridge without transport.
    tier: &'static str,
    /// The configured description, else the server's instructions.
    description: String,
    /// Whether it is on.
    enabled: bool,
    /// Where its tools are called.
    endpoint: String,
    /// Where its tools are listed.
    tools_endpoint: String,
    /// Where it stands.
    status: &'static str,
    /// Why it does not serve.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// How many tools it has.
    tools: usize,
    /// What was wrong with the server's tool list.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
}

/// `GET /`
pub async fn root(
    State(state): State<Arc<AppState>>,
    headers: HeaderMap,
) -> Result<Json<Value>, ApiError> {
    identify(&state.settings.load_full(), &headers).await?;
    let servers: Vec<Value> = listed(&state)
        .into_iter()
        .map(|it| {
            json!({
                "id": it.id, "name": it.name, "tier": it.tier, "enabled": it.enabled,
                "endpoint": it.endpoint, "status": it.status, "reason": it.reason,
                "tools": it.tools,
            })
        })
        .collect();
    Ok(Json(json!({ "servers": servers })))
}

/// `GET /servers`
pub async fn servers(
    State(state): State<Arc<AppState>>,
    headers: HeaderMap,
) -> Result<Json<Value>, ApiError> {
    identify(&state.settings.load_full(), &headers).await?;
    let servers = listed(&state);
    let mut by_tier: BTreeMap<&str, Vec<&Listed>> = BTreeMap::new();
    for server in &servers {
        by_tier.entry(server.tier).or_default().push(server);
    }
    Ok(Json(json!({
        "total_servers": servers.len(),
        "servers": servers,
        "by_tier": by_tier,
        "usage": {
            "list_tools": "GET /{server_id}",
            "execute_tool": "POST /{server_id}/{tool_name}",
            "example": example(&state),
        },
    })))
}

/// `GET /{bridge}`
pub async fn bridge(
    state: &AppState,
    bridge: &Bridge,
    headers: &HeaderMap,
) -> Result<Response, ApiError> {
    identify(&state.settings.load_full(), headers).await?;
    let it = list(state, bridge);
    let tools = bridge.live.tools.load();
    let base = it.endpoint.clone();
    let entries: Vec<Value> = tools
        .entries
        .iter()
        .map(|entry| {
            json!({
                "name": entry.tool.name.as_str(),
                "description": entry.tool.description,
                "endpoint": format!("{base}{}", entry.tool.name),
            })
        })
        .collect();
    let example = entries
        .first()
        .and_then(|entry| entry.get("endpoint").cloned())
        .unwrap_or_else(|| Value::String(format!("{base}tool_name")));
    let body = json!({
        "server": it.id, "name": it.name, "tier": it.tier, "description": it.description,
        "enabled": it.enabled, "status": it.status, "reason": it.reason,
        "tool_count": it.tools, "tools": entries, "warnings": it.warnings,
        "usage": {
            "execute": format!("POST {base}{{tool_name}}"),
            "example": format!("POST {}", example.as_str().unwrap_or_default()),
        },
    });
    Ok(Json(body).into_response())
}

/// All bridges, in the order of the file.
fn listed(state: &AppState) -> Vec<Listed> {
    let roster = state.registry.roster();
    roster
        .bridges()
        .iter()
        .map(|bridge| list(state, bridge))
        .collect()
}

/// One bridge.
fn list(state: &AppState, bridge: &Bridge) -> Listed {
    let config = &state.settings.load().config;
    let status = bridge.status();
    let server = bridge.live.server.load();
    let tools = bridge.live.tools.load();
    let own = server.as_deref();
    let prefix = state
        .registry
        .bridge_path(bridge, &config.server.path_prefix);
    Listed {
        id: bridge.name().to_string(),
        name: own
            .and_then(|server| server.name.clone())
            .unwrap_or_else(|| bridge.name().to_string()),
        tier: tier(bridge),
        description: bridge
            .config
            .description
            .clone()
            .or_else(|| own.and_then(|server| server.instructions.clone()))
            .unwrap_or_default(),
        enabled: bridge.config.transport.is_ok(),
        endpoint: format!("{prefix}/"),
        tools_endpoint: if prefix.is_empty() {
            "/".to_owned()
        } else {
            prefix
        },
        status: status.phase.as_str(),
        reason: status.reason,
        tools: tools.entries.len(),
        warnings: tools.warnings.clone(),
    }
}

/// The word of the Python proxy for how a server is reached.
fn tier(bridge: &Bridge) -> &'static str {
    match &bridge.config.transport {
        Ok(Transport::Stdio(_)) => "stdio",
        Ok(Transport::Remote(remote)) => match remote.kind {
            RemoteKind::Auto | RemoteKind::StreamableHttp => "http",
            RemoteKind::Sse => "sse",
            RemoteKind::OpenApi => "openapi",
        },
        Err(_) => "disabled",
    }
}

/// A call that works, for newcomers.
fn example(state: &AppState) -> String {
    let roster = state.registry.roster();
    let first = roster.bridges().iter().find_map(|bridge| {
        let tools = bridge.live.tools.load();
        let entry = tools.entries.first()?;
        Some(format!("POST /{}/{}", bridge.name(), entry.tool.name))
    });
    first.unwrap_or_else(|| "POST /{server_id}/{tool_name}".to_owned())
}
