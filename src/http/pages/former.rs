//! The routes `GET /tenants`, `GET /tools` and `GET /portal` of the Python proxy. They keep their
//! JSON shapes and use the bridge's access rules. The proxy's `/admin/*` routes are in
//! [`crate::http::admin`].

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::State,
    response::{IntoResponse as _, Redirect, Response},
    routing::get,
};
use serde::Serialize;

use crate::{
    access::Permissions,
    http::{error::ApiError, identity, sender::RequestSender, state::AppState},
};

/// The text for a caller who may not use any bridge.
const NO_SERVER: &str =
    "You may not use any server yet. Ask an administrator to add you to a group that has access.";

/// The bridges in `GET /tenants`.
#[derive(Debug, Serialize)]
struct TenantList {
    /// The caller.
    user: String,
    /// The bridges.
    tenants: Vec<TenantItem>,
}

/// One bridge in `GET /tenants`.
#[derive(Debug, Serialize)]
struct TenantItem {
    /// The name of the bridge.
    tenant_id: String,
    /// Its title, or else its name.
    display_name: String,
    /// Whether the bridge is enabled.
    enabled: bool,
}

/// The tools in `GET /tools`.
#[derive(Debug, Serialize)]
struct PortalTools {
    /// The caller.
    user: String,
    /// The number of bridges.
    tenant_count: usize,
    /// The number of tools.
    tool_count: usize,
    /// The tools.
    tools: Vec<PortalTool>,
    /// Why the list is empty, for a caller who may not use any bridge.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'static str>,
}

/// One tool in `GET /tools`.
#[derive(Debug, Serialize)]
struct PortalTool {
    /// The operation ID.
    name: String,
    /// The name of the bridge.
    tenant_id: String,
    /// The name of the tool.
    tool: String,
    /// The server's description.
    description: Option<String>,
    /// The method of its calls.
    method: &'static str,
    /// The path of its calls.
    endpoint: String,
}

/// The routes. Only the native flavor has them: under mcpo's rules each name may be that of a
/// server.
pub fn routes() -> Router<Arc<AppState>> {
    Router::new()
        .route("/tenants", get(tenants))
        .route("/tools", get(tools))
        .route("/portal", get(portal))
        .route("/portal/", get(portal))
}

/// `GET /tenants`: the bridges of which the caller may use at least one tool. `tenant_id` is the
/// name of a bridge.
async fn tenants(
    State(state): State<Arc<AppState>>,
    sender: RequestSender,
) -> Result<Json<TenantList>, ApiError> {
    let view = identity::view(&state.settings.load_full(), &sender).await?;
    let roster = state.registry.roster();
    let tenants = roster
        .bridges()
        .iter()
        .filter(|bridge| view.enter(bridge.name()).is_ok())
        .map(|bridge| {
            let title = bridge.title();
            let title = title.map(|it| state.redactor.redact(&it).into_owned());
            TenantItem {
                tenant_id: bridge.name().to_string(),
                display_name: title.unwrap_or_else(|| bridge.name().to_string()),
                enabled: bridge.is_on(),
            }
        })
        .collect();
    Ok(Json(TenantList {
        user: user(&view).to_owned(),
        tenants,
    }))
}

/// `GET /tools`: every tool that the caller may call.
async fn tools(
    State(state): State<Arc<AppState>>,
    sender: RequestSender,
) -> Result<Json<PortalTools>, ApiError> {
    let view = identity::view(&state.settings.load_full(), &sender).await?;
    let path_prefix = &state.settings.load().config.server.path_prefix;
    let roster = state.registry.roster();
    let (mut tools, mut count) = (Vec::new(), 0_usize);
    for bridge in roster.bridges() {
        if view.enter(bridge.name()).is_err() {
            continue;
        }
        count += 1;
        let path = state.registry.bridge_path(bridge, path_prefix);
        let set = bridge.live.tools.load();
        let names = set.entries.iter().map(|entry| &entry.tool.name);
        let ids = roster.id_owners().ids(bridge.name(), names);
        for (entry, id) in set.entries.iter().zip(ids) {
            let tool = &entry.tool;
            if !view.may_call(bridge.name(), tool) {
                continue;
            }
            let description = tool.description.as_deref();
            tools.push(PortalTool {
                name: id,
                tenant_id: bridge.name().to_string(),
                tool: tool.name.to_string(),
                description: description.map(|it| state.redactor.redact(it).into_owned()),
                method: "POST",
                endpoint: format!("{path}/{}", tool.name),
            });
        }
    }
    Ok(Json(PortalTools {
        user: user(&view).to_owned(),
        tenant_count: count,
        tool_count: tools.len(),
        tools,
        message: (count == 0).then_some(NO_SERVER),
    }))
}

/// `GET /portal`: redirects to the admin page, which replaced it. The page holds no data, and the
/// admin API identifies the caller.
async fn portal(State(state): State<Arc<AppState>>) -> Response {
    let root = &state.settings.load().config.server.root_path;
    Redirect::permanent(&format!("{root}/admin")).into_response()
}

/// The caller as the Python proxy named them: the e-mail address, or else the caller's id.
fn user(view: &Permissions) -> &str {
    let caller = view.caller();
    caller.email.as_deref().unwrap_or(&caller.id)
}
