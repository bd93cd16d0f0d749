//! The routes `GET /tenants`, `GET /tools` and `GET /portal` of the Python proxy. They keep their
//! JSON shapes and use the bridge's access rules. The proxy's `/admin/*` routes are in
//! [`super::admin`].

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::State,
    response::{IntoResponse as _, Redirect, Response},
    routing::get,
};
use serde_json::{Value, json};

use super::{AppState, error::ApiError, identity, sender::RequestSender};
use crate::access::Permissions;

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
) -> Result<Json<Value>, ApiError> {
    let view = identity::view(&state.settings.load_full(), &sender).await?;
    let roster = state.registry.roster();
    let tenants: Vec<Value> = roster
        .bridges()
        .iter()
        .filter(|bridge| view.enter(bridge.name()).is_ok())
        .map(|bridge| {
            let title = bridge.title();
            let title = title.map(|it| state.redactor.redact(&it).into_owned());
            json!({
                "tenant_id": bridge.name().as_str(),
                "display_name": title.unwrap_or_else(|| bridge.name().to_string()),
                "enabled": bridge.is_on(),
            })
        })
        .collect();
    Ok(Json(json!({ "user": user(&view), "tenants": tenants })))
}

/// `GET /tools`: every tool that the caller may call.
async fn tools(
    State(state): State<Arc<AppState>>,
    sender: RequestSender,
) -> Result<Json<Value>, ApiError> {
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
            tools.push(json!({
                "name": id,
                "tenant_id": bridge.name().as_str(),
                "tool": tool.name.as_str(),
                "description": description.map(|it| state.redactor.redact(it)),
                "method": "POST",
                "endpoint": format!("{path}/{}", tool.name),
            }));
        }
    }
    let user = user(&view);
    Ok(Json(if count == 0 {
        json!({
            "user": user, "tenant_count": 0, "tool_count": 0, "tools": [],
            "message": "You may not use any server yet. Ask an administrator to add you to a group that has access.",
        })
    } else {
        json!({ "user": user, "tenant_count": count, "tool_count": tools.len(), "tools": tools })
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
