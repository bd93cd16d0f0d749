//! Groups: their bridges and their members.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    grants,
    guard::{AdminCaller, GlobalAdmin, JsonBody, refused},
    words,
};
use crate::{
    error_code::ErrorCode,
    http::{AppState, error::ApiError},
    store::{GrantRow, GroupRow},
};

/// A new group, or more bridges for an existing one.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewGroup {
    /// The name of the group.
    group_name: String,
    /// The bridges that the group may use.
    server_ids: Vec<String>,
}

/// The bridges of a group.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupBridges {
    /// All bridges that the group may use as a whole.
    server_ids: Vec<String>,
}

/// `GET /groups`
pub async fn list(GlobalAdmin(admin): GlobalAdmin) -> Result<Json<Value>, ApiError> {
    let groups = admin.store()?.groups().await.map_err(refused)?;
    let groups: Vec<Value> = groups
        .into_iter()
        .map(|group| shown(&admin, group, false))
        .collect();
    Ok(Json(json!({ "count": groups.len(), "groups": groups })))
}

/// `GET /groups/{name}`
pub async fn one(
    GlobalAdmin(admin): GlobalAdmin,
    Path(name): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let groups = admin.store()?.groups().await.map_err(refused)?;
    let group = groups.into_iter().find(|group| group.name == name);
    let group = group.ok_or_else(|| unknown(&name))?;
    Ok(Json(shown(&admin, group, true)))
}

/// `POST /groups`: adds grants to the existing ones. Without a grant, no group is created.
pub async fn create(
    State(state): State<Arc<AppState>>,
    GlobalAdmin(admin): GlobalAdmin,
    JsonBody(given): JsonBody<NewGroup>,
) -> Result<Json<Value>, ApiError> {
    let group = words::group(&given.group_name)?;
    let bridges = names(&given.server_ids)?;
    for bridge in &bridges {
        let grant = GrantRow {
            workspace: None,
            group: group.clone(),
            bridge: bridge.clone(),
            tools: Vec::new(),
            read_only: false,
        };
        let done = admin.store()?.grant(&admin.actor, &grant).await;
        done.map_err(refused)?;
    }
    Ok(Json(json!({
        "status": "created", "group_name": group, "servers": bridges,
        "unknown": unknown_bridges(&state, &bridges),
    })))
}

/// `PUT /groups/{name}`: replaces the grants for whole bridges. Narrowed grants stay.
pub async fn update(
    State(state): State<Arc<AppState>>,
    GlobalAdmin(admin): GlobalAdmin,
    Path(name): Path<String>,
    JsonBody(given): JsonBody<GroupBridges>,
) -> Result<Json<Value>, ApiError> {
    let group = words::group(&name)?;
    let bridges = names(&given.server_ids)?;
    let done = admin
        .store()?
        .set_grants(&admin.actor, &group, &bridges)
        .await;
    done.map_err(refused)?;
    Ok(Json(json!({
        "status": "updated", "group_name": group, "servers": bridges,
        "unknown": unknown_bridges(&state, &bridges),
    })))
}

/// `DELETE /groups/{name}`: deletes the members and grants of a group.
pub async fn delete(
    GlobalAdmin(admin): GlobalAdmin,
    Path(name): Path<String>,
) -> Result<Json<Value>, ApiError> {
    if admin.settings.config.access.admin_groups.contains(&name) {
        let detail = format!(
            "`{name}` is a group of administrators and cannot be deleted; remove it from `admin_groups` in [access] first"
        );
        return Err(ApiError::new(ErrorCode::AdminGroup, detail).of_caller());
    }
    let done = admin.store()?.delete_group(&admin.actor, &name).await;
    let (users, servers) = done.map_err(refused)?;
    if users + servers == 0 {
        return Err(unknown(&name));
    }
    Ok(Json(json!({
        "status": "deleted", "group_name": name, "users_removed": users,
        "servers_removed": servers,
    })))
}

/// A group in JSON. The list shows the number of members, and a single group their names.
fn shown(admin: &AdminCaller, group: GroupRow, is_whole: bool) -> Value {
    let grants = group
        .grants
        .iter()
        .filter(|grant| grants::is_seen_by(grant, &admin.actor));
    let (whole, narrowed): (Vec<_>, Vec<_>) = grants.partition(|grant| grants::is_whole(grant));
    let servers: Vec<&str> = whole.iter().map(|grant| grant.bridge.as_str()).collect();
    let narrowed: Vec<Value> = narrowed.into_iter().map(grants::shown).collect();
    let mut shown = json!({
        "group_name": group.name, "servers": servers, "narrowed": narrowed,
        "user_count": group.users.len(),
    });
    if let (true, Some(members)) = (is_whole, shown.as_object_mut()) {
        members.insert("users".to_owned(), group.users.into());
    }
    shown
}

/// The names of bridges, without duplicates.
fn names(ids: &[String]) -> Result<Vec<String>, ApiError> {
    let mut names: Vec<String> = Vec::with_capacity(ids.len());
    for id in ids {
        let name = words::bridge(id)?.to_string();
        if !names.contains(&name) {
            names.push(name);
        }
    }
    Ok(names)
}

/// The bridges that are not in the configuration. A grant may name them, but often it is a typo.
fn unknown_bridges(state: &AppState, names: &[String]) -> Vec<String> {
    let roster = state.registry.roster();
    let is_unknown = |name: &&String| roster.get(name).is_none();
    names.iter().filter(is_unknown).cloned().collect()
}

fn unknown(name: &str) -> ApiError {
    let name: String = name.chars().take(100).collect();
    ApiError::not_found(format!(
        "there is no group `{name}`: no grant and no member names it"
    ))
}
