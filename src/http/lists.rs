//! `GET /`, `GET /servers`, `GET /{bridge}`: what there is, in the shapes of the Python proxy
//! (requirements §1.2) with status, reason and tool count added.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Json,
    extract::State,
    response::{IntoResponse as _, Response},
};
use serde::Serialize;
use serde_json::{Value, json};

use super::{error::ApiError, identity, sender::Sender, state::AppState};
use crate::{
    access::View,
    bridge::{Bridge, Entry},
    config::BridgeCount,
    credential::oauth_of,
};

/// One bridge in `GET /servers`.
#[derive(Debug, Clone, Serialize)]
struct Listed {
    /// The bridge's name.
    id: String,
    /// Its title, else what the server calls itself, else the bridge's name.
    name: String,
    /// `stdio`, `http`, `sse` or `openapi`, also while the bridge is off.
    tier: &'static str,
    /// The configured description, else the server's instructions.
    description: String,
    /// Whether it is on.
    enabled: bool,
    /// The user of the system as which its program runs, where that is another than ours.
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    /// Where its tools are called.
    endpoint: String,
    /// Where its tools are listed.
    tools_endpoint: String,
    /// Where it stands.
    status: &'static str,
    /// Why it does not serve.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// Where an account is connected, for a bridge that somebody logs in to.
    #[serde(skip_serializing_if = "Option::is_none")]
    connect: Option<String>,
    /// How many tools it has.
    tools: usize,
    /// What was wrong with the server's tool list.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
}

/// The form of a call.
const EXAMPLE: &str = "POST /{server_id}/{tool_name}";

/// What somebody without credentials reads in place of a list.
const WHO: &str = "Nothing is shown without credentials: send an API key or a session token, \
    `Authorization: Bearer …`, to see the servers that you may use.";

/// `GET /`. Without credentials the list is empty, and nothing of the configuration is told.
pub async fn root(
    State(state): State<Arc<AppState>>,
    sender: Sender,
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

/// `GET /servers`. Without credentials the list is empty, and nothing of the configuration is told.
pub async fn servers(
    State(state): State<Arc<AppState>>,
    sender: Sender,
) -> Result<Json<Value>, ApiError> {
    let view = identity::view_if_any(&state.settings.load_full(), &sender).await?;
    let Some(view) = view else {
        return Ok(Json(json!({
            "total_servers": 0, "servers": [], "by_tier": {}, "usage": usage(EXAMPLE),
            "message": WHO,
        })));
    };
    let servers = listed(&state, &view);
    let mut by_tier: BTreeMap<&str, Vec<&Listed>> = BTreeMap::new();
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
    sender: &Sender,
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

/// How many of the bridges that a caller may use anything of are on.
fn count(state: &AppState, view: &View) -> BridgeCount {
    let roster = state.registry.roster().clone();
    let bridges = roster.bridges().iter();
    let own = bridges.filter(|bridge| view.enter(bridge.name()).is_ok());
    own.map(|bridge| bridge.standing()).collect()
}

/// The bridges that a caller may use anything of, in the order of the file.
fn listed(state: &AppState, view: &View) -> Vec<Listed> {
    let roster = state.registry.roster();
    roster
        .bridges()
        .iter()
        .filter(|bridge| view.enter(bridge.name()).is_ok())
        .map(|bridge| list(state, bridge, view))
        .collect()
}

/// One bridge, with what a caller may use of it.
fn list(state: &AppState, bridge: &Bridge, view: &View) -> Listed {
    let config = &state.settings.load().config;
    let status = bridge.status();
    let server = bridge.live.server.load();
    let tools = bridge.live.tools.load();
    let own = server.as_deref();
    let may_call = |entry: &&Arc<Entry>| view.may_call(bridge.name(), &entry.tool);
    let count = tools.entries.iter().filter(may_call).count();
    // Warnings name tools.
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
    // The operator may have written a secret into a description, and since the server spoke we may have
    // learned of more. Names of bridges and tools are what callers ask for: they stay.
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
    Listed {
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

/// How the lists are used.
fn usage(example: &str) -> Value {
    json!({
        "list_tools": "GET /{server_id}",
        "execute_tool": "POST /{server_id}/{tool_name}",
        "example": example,
    })
}

/// A call that works, for newcomers.
fn example(state: &AppState, view: &View) -> String {
    let roster = state.registry.roster();
    let first = roster.bridges().iter().find_map(|bridge| {
        let tools = bridge.live.tools.load();
        let mut entries = tools.entries.iter();
        let entry = entries.find(|entry| view.may_call(bridge.name(), &entry.tool))?;
        Some(format!("POST /{}/{}", bridge.name(), entry.tool.name))
    });
    first.unwrap_or_else(|| EXAMPLE.to_owned())
}
