//! `GET /`, `GET /servers` and `GET /{bridge}`: lists of bridges and tools. They keep the JSON
//! shapes of the Python proxy and add status, reason and tool count.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Json,
    extract::State,
    response::{IntoResponse as _, Response},
};
use serde::Serialize;

use crate::{
    access::Permissions,
    bridge::{Bridge, ToolEntry},
    config::BridgeCount,
    credential::oauth_of,
    http::{error::ApiError, identity, sender::RequestSender, state::AppState},
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

/// The bridges in `GET /`.
#[derive(Debug, Serialize)]
pub struct RootList {
    /// The bridges.
    servers: Vec<RootItem>,
    /// Why the list is empty, for a caller without credentials.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'static str>,
}

/// One bridge in `GET /`. See [`BridgeSummary`].
#[derive(Debug, Serialize)]
struct RootItem {
    id: String,
    name: String,
    tier: &'static str,
    enabled: bool,
    endpoint: String,
    status: &'static str,
    reason: Option<String>,
    tools: usize,
}

/// The bridges in `GET /servers`.
#[derive(Debug, Serialize)]
struct ServerOverview<'a> {
    /// The number of bridges.
    total_servers: usize,
    /// The number of enabled bridges, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    summary: Option<String>,
    /// The bridges, in the order of the configuration.
    servers: &'a [BridgeSummary],
    /// The same bridges by transport.
    by_tier: BTreeMap<&'a str, Vec<&'a BridgeSummary>>,
    /// How to use them.
    usage: ListGuide<'a>,
    /// Why the list is empty, for a caller without credentials.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
}

/// A short guide to the lists.
#[derive(Debug, Serialize)]
struct ListGuide<'a> {
    /// The route that lists the tools of a bridge.
    list_tools: &'a str,
    /// The route that calls a tool.
    execute_tool: &'a str,
    /// An example of a call.
    example: &'a str,
}

/// The tools of one bridge in `GET /{bridge}`. See [`BridgeSummary`] for the members about the bridge.
#[derive(Debug, Serialize)]
struct BridgeTools {
    server: String,
    name: String,
    tier: &'static str,
    description: String,
    enabled: bool,
    status: &'static str,
    reason: Option<String>,
    /// The number of tools.
    tool_count: usize,
    /// The tools that the caller may call.
    tools: Vec<ToolItem>,
    warnings: Vec<String>,
    /// How to call them.
    usage: CallGuide,
}

/// One tool in `GET /{bridge}`.
#[derive(Debug, Serialize)]
struct ToolItem {
    /// The name of the tool.
    name: String,
    /// The server's description.
    description: Option<String>,
    /// The path of its calls.
    endpoint: String,
}

/// A short guide to the tools of a bridge.
#[derive(Debug, Serialize)]
struct CallGuide {
    /// The general form of a call.
    execute: String,
    /// An example of a call.
    example: String,
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
) -> Result<Json<RootList>, ApiError> {
    let view = identity::view_if_any(&state.settings.load_full(), &sender).await?;
    let Some(view) = view else {
        return Ok(Json(RootList {
            servers: Vec::new(),
            message: Some(WHO),
        }));
    };
    let servers = listed(&state, &view).into_iter().map(|it| RootItem {
        id: it.id,
        name: it.name,
        tier: it.tier,
        enabled: it.enabled,
        endpoint: it.endpoint,
        status: it.status,
        reason: it.reason,
        tools: it.tools,
    });
    Ok(Json(RootList {
        servers: servers.collect(),
        message: None,
    }))
}

/// `GET /servers`. Without credentials the list is empty, and the response reveals nothing about
/// the configuration.
pub async fn servers(
    State(state): State<Arc<AppState>>,
    sender: RequestSender,
) -> Result<Response, ApiError> {
    let view = identity::view_if_any(&state.settings.load_full(), &sender).await?;
    let Some(view) = view else {
        let empty = ServerOverview {
            total_servers: 0,
            summary: None,
            servers: &[],
            by_tier: BTreeMap::new(),
            usage: usage(EXAMPLE),
            message: Some(WHO),
        };
        return Ok(Json(empty).into_response());
    };
    let servers = listed(&state, &view);
    let mut by_tier: BTreeMap<&str, Vec<&BridgeSummary>> = BTreeMap::new();
    for server in &servers {
        by_tier.entry(server.tier).or_default().push(server);
    }
    let example = example(&state, &view);
    let overview = ServerOverview {
        total_servers: servers.len(),
        summary: Some(count(&state, &view).to_string()),
        servers: &servers,
        by_tier,
        usage: usage(&example),
        message: None,
    };
    Ok(Json(overview).into_response())
}

/// `GET /{bridge}`
pub async fn bridge(
    state: &AppState,
    bridge: &Bridge,
    sender: &RequestSender,
) -> Result<Response, ApiError> {
    let view = identity::view(&state.settings.load_full(), sender).await?;
    view.enter(bridge.name())
        .map_err(|denial| ApiError::access_refused(&denial, bridge.name(), None))?;
    let it = list(state, bridge, &view);
    let tools = bridge.live.tools.load();
    let base = it.endpoint.clone();
    let clean = |text: &str| state.redactor.redact(text).into_owned();
    let entries: Vec<ToolItem> = tools
        .entries
        .iter()
        .filter(|entry| view.may_call(bridge.name(), &entry.tool))
        .map(|entry| ToolItem {
            name: entry.tool.name.to_string(),
            description: entry.tool.description.as_deref().map(clean),
            endpoint: format!("{base}{}", entry.tool.name),
        })
        .collect();
    let example = entries.first().map_or_else(
        || format!("POST {base}tool_name"),
        |tool| format!("POST {}", tool.endpoint),
    );
    let body = BridgeTools {
        server: it.id,
        name: it.name,
        tier: it.tier,
        description: it.description,
        enabled: it.enabled,
        status: it.status,
        reason: it.reason,
        tool_count: it.tools,
        tools: entries,
        warnings: it.warnings,
        usage: CallGuide {
            execute: format!("POST {base}{{tool_name}}"),
            example,
        },
    };
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
fn usage(example: &str) -> ListGuide<'_> {
    ListGuide {
        list_tools: "GET /{server_id}",
        execute_tool: "POST /{server_id}/{tool_name}",
        example,
    }
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
