//! `GET /`, `GET /servers` and `GET /{bridge}`: lists of bridges and tools. They keep the JSON
//! shapes of the Python proxy and add status, reason and tool count.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Json,
    extract::State,
    response::{IntoResponse as _, Response},
};
use serde::Serialize;
use serde_json::{Value, json};

use super::{error::ApiError, identity, sender::RequestSender, state::AppState};
use crate::{
    access::Permissions,
    bridge::{Bridge, ToolEntry},
    config::BridgeCount,
    credential::oauth_of,
};

/// One bridge in `GET /servers`.
#[derive(Debug, Clone, Serialize)]
struct BridgeSummary {
    /// The bridge's name.
    id: String,
    /// The display name: the bridge's title, or else the server's own name, or else the bridge's
    /// name.
    name: String,
    /// `stdio`, `http`, `sse` or `openapi`. It is also set for a disabled bridge.
    tier: &'static str,
    /// The configured description, or else the server's instructions.
    description: String,
    /// Whether the bridge is enabled.
    enabled: bool,
    /// The system user that runs the server's program, if it differs from the bridge's own user.
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    /// The base address for calls of its tools.
    endpoint: String,
    /// The address of its list of tools.
    tools_endpoint: String,
    /// The status of the bridge.
    status: &'static str,
    /// Why the bridge does not serve calls.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// Where an account is connected, for a bridge that needs a login.
    #[serde(skip_serializing_if = "Option::is_none")]
    connect: Option<String>,
    /// The number of tools.
    tools: usize,
    /// Problems in the server's list of tools.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
}

/// The general form of a call.
const EXAMPLE: &str = "POST /{server_id}/{tool_name}";

/// The text that callers without credentials get instead of a list.
const WHO: &str = "Without credentials this list is empty. Send an API key or a session token \
    (`Authorization: Bearer …`) to see the servers that you may use.";

/// `GET /`. Without credentials the list is empty, and the response reveals nothing about the
/// configuration.
pub async fn root(
    State(state): State<Arc<AppState>>,
    sender: RequestSender,
) -> Result<Json<Value>, ApiError> {
    let view = identity::view_if_any(&state.settings.load_full(), &sender).await?;
    let Some(view) = view else {
        return Ok(Json(json!({ "servers": [], "message": WHO })));
    };
    let servers: Vec<Value> = listed(&state, &view)
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

/// `GET /servers`. Without credentials the list is empty, and the response reveals nothing about
/// the configuration.
pub async fn servers(
    State(state): State<Arc<AppState>>,
    sender: RequestSender,
) -> Result<Json<Value>, ApiError> {
    let view = identity::view_if_any(&state.settings.load_full(), &sender).await?;
    let Some(view) = view else {
        return Ok(Json(json!({
            "total_servers": 0, "servers": [], "by_tier": {}, "usage": usage(EXAMPLE),
            "message": WHO,
        })));
    };
    let servers = listed(&state, &view);
    let mut by_tier: BTreeMap<&str, Vec<&BridgeSummary>> = BTreeMap::new();
    for server in &servers {
        by_tier.entry(server.tier).or_default().push(server);
    }
    let body = json!({
        "total_servers": servers.len(),
        "summary": count(&state, &view).to_string(),
        "servers": servers,
        "by_tier": by_tier,
        "usage": usage(&example(&state, &view)),
    });
    Ok(Json(body))
}

/// `GET /{bridge}`
pub async fn bridge(
    state: &AppState,
    bridge: &Bridge,
    sender: &RequestSender,
) -> Result<Response, ApiError> {
    let view = identity::view(&state.settings.load_full(), sender).await?;
    view.enter(bridge.name())
        .map_err(|denial| ApiError::denied(&denial, bridge.name(), None))?;
    let it = list(state, bridge, &view);
    let tools = bridge.live.tools.load();
    let base = it.endpoint.clone();
    let entries: Vec<Value> = tools
        .entries
        .iter()
        .filter(|entry| view.may_call(bridge.name(), &entry.tool))
        .map(|entry| {
            json!({
                "name": entry.tool.name.as_str(),
                "description": entry.tool.description.as_deref().map(|it| state.redactor.redact(it)),
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

/// The number of bridges of which the caller may use at least one tool, and how many of them are
/// enabled.
fn count(state: &AppState, view: &Permissions) -> BridgeCount {
    let roster = state.registry.roster().clone();
    let bridges = roster.bridges().iter();
    let own = bridges.filter(|bridge| view.enter(bridge.name()).is_ok());
    own.map(|bridge| bridge.standing()).collect()
}

/// The bridges of which the caller may use at least one tool, in the order of the configuration.
fn listed(state: &AppState, view: &Permissions) -> Vec<BridgeSummary> {
    let roster = state.registry.roster();
    roster
        .bridges()
        .iter()
        .filter(|bridge| view.enter(bridge.name()).is_ok())
        .map(|bridge| list(state, bridge, view))
        .collect()
}

/// One bridge, with the tools that the caller may use.
fn list(state: &AppState, bridge: &Bridge, view: &Permissions) -> BridgeSummary {
    let config = &state.settings.load().config;
    let status = bridge.status();
    let server = bridge.live.server.load();
    let tools = bridge.live.tools.load();
    let own = server.as_deref();
    let may_call = |entry: &&Arc<ToolEntry>| view.may_call(bridge.name(), &entry.tool);
    let count = tools.entries.iter().filter(may_call).count();
    // Warnings can name tools, so only a caller who may use all tools sees them.
    let warnings = if count == tools.entries.len() {
        tools
            .warnings
            .iter()
            .map(|it| state.redactor.redact(it).into_owned())
            .collect()
    } else {
        Vec::new()
    };
    let prefix = state
        .registry
        .bridge_path(bridge, &config.server.path_prefix);
    // A description can contain a secret that the operator wrote into it, and the bridge may have
    // learned more secrets since the server sent its texts. Names of bridges and tools stay as they
    // are, because callers use them.
    let clean = |text: &str| state.redactor.redact(text).into_owned();
    let description = match (&bridge.config.description, own) {
        (Some(description), _) => clean(description),
        (None, Some(server)) => server
            .instructions
            .as_deref()
            .map(clean)
            .unwrap_or_default(),
        (None, None) => String::new(),
    };
    BridgeSummary {
        id: bridge.name().to_string(),
        name: bridge
            .title()
            .map_or_else(|| bridge.name().to_string(), |title| clean(&title)),
        tier: bridge.config.kind.as_str(),
        description,
        enabled: bridge.is_on(),
        user: bridge.config.user().map(|user| user.name.clone()),
        endpoint: format!("{prefix}/"),
        tools_endpoint: if prefix.is_empty() {
            "/".to_owned()
        } else {
            prefix
        },
        status: status.phase.as_str(),
        reason: status.reason.as_deref().map(clean),
        connect: oauth_of(&bridge.config).is_ok().then(|| {
            format!(
                "{}/oauth/{}/connect",
                config.server.root_path,
                bridge.name()
            )
        }),
        tools: count,
        warnings,
    }
}

/// A short guide to the lists.
fn usage(example: &str) -> Value {
    json!({
        "list_tools": "GET /{server_id}",
        "execute_tool": "POST /{server_id}/{tool_name}",
        "example": example,
    })
}

/// An example of a call that works.
fn example(state: &AppState, view: &Permissions) -> String {
    let roster = state.registry.roster();
    let first = roster.bridges().iter().find_map(|bridge| {
        let tools = bridge.live.tools.load();
        let mut entries = tools.entries.iter();
        let entry = entries.find(|entry| view.may_call(bridge.name(), &entry.tool))?;
        Some(format!("POST /{}/{}", bridge.name(), entry.tool.name))
    });
    first.unwrap_or_else(|| EXAMPLE.to_owned())
}
