//! Groups: their bridges and their members.

use std::sync::Arc;

use axum::{Json, extract::State};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    errors::NO_DATABASE,
    grants::{self, GrantItem},
    guard::{AdminCaller, GlobalAdmin, JsonBody, PathName, refused},
    words,
};
use crate::{
    error_code::ErrorCode,
    http::{AppState, error::ApiError},
    store::{GrantRow, GroupRow},
};

/// The description of 404 for a group.
const NO_GROUP: &str = "`not_found`: no grant and no member names this group. \
    `no_database`: the bridge was started without a database.";

/// A new group, or more bridges for an existing one.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewGroup {
    /// The name of the group.
    #[schema(min_length = 1, max_length = 255)]
    group_name: String,
    /// The bridges that the group may use.
    server_ids: Vec<String>,
}

/// The bridges of a group.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = GroupBridges)]
#[serde(deny_unknown_fields)]
pub struct GroupBridges {
    /// All bridges that the group may use as a whole.
    server_ids: Vec<String>,
}

/// The groups.
#[derive(Debug, Serialize, ToSchema)]
pub struct GroupList {
    /// The number of groups.
    count: usize,
    /// The groups.
    groups: Vec<GroupItem>,
}

/// A group and its grants.
#[derive(Debug, Serialize, ToSchema)]
struct GroupItem {
    /// The name of the group.
    group_name: String,
    /// The bridges that the group may use as a whole.
    servers: Vec<String>,
    /// The grants that cover some tools of a bridge.
    narrowed: Vec<GrantItem>,
    /// The number of members.
    user_count: usize,
}

/// A group with its members.
#[derive(Debug, Serialize, ToSchema)]
pub struct GroupDetails {
    /// The name of the group.
    group_name: String,
    /// The bridges that the group may use as a whole.
    servers: Vec<String>,
    /// The grants that cover some tools of a bridge.
    narrowed: Vec<GrantItem>,
    /// The number of members.
    user_count: usize,
    /// The e-mail addresses of the members, sorted.
    users: Vec<String>,
}

/// The bridges that a group may use as a whole.
#[derive(Debug, Serialize, ToSchema)]
pub struct GroupChanged {
    /// What was done.
    status: GroupChange,
    /// The name of the group.
    group_name: String,
    /// The bridges of the request, without duplicates.
    servers: Vec<String>,
    /// Those of them that are not configured. Often that is a typo.
    unknown: Vec<String>,
}

/// What was done to a group.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum GroupChange {
    /// Grants were added.
    Created,
    /// The grants for whole bridges were replaced.
    Updated,
}

/// What was deleted with a group.
#[derive(Debug, Serialize, ToSchema)]
pub struct GroupDeleted {
    /// Always `deleted`.
    status: &'static str,
    /// The name of the group.
    group_name: String,
    /// The number of members that were removed.
    users_removed: u64,
    /// The number of grants that were revoked.
    servers_removed: u64,
}

/// Lists groups
///
/// This route is for administrators of the default workspace.
#[utoipa::path(
    get,
    path = "/groups",
    operation_id = "list_groups",
    tag = "Users and groups",
    responses(
        (status = 200, description = "The groups.", body = GroupList),
        (status = 404, description = NO_DATABASE),
    ),
)]
pub async fn list(GlobalAdmin(admin): GlobalAdmin) -> Result<Json<GroupList>, ApiError> {
    let groups = admin.store()?.groups().await.map_err(refused)?;
    let groups: Vec<_> = groups.iter().map(|group| shown(&admin, group)).collect();
    Ok(Json(GroupList {
        count: groups.len(),
        groups,
    }))
}

/// Shows a group
///
/// This route is for administrators of the default workspace.
#[utoipa::path(
    get,
    path = "/groups/{name}",
    operation_id = "show_group",
    tag = "Users and groups",
    params(("name" = String, Path, description = "The name of the group.")),
    responses(
        (status = 200, description = "The group and its members.", body = GroupDetails),
        (status = 404, description = NO_GROUP),
    ),
)]
pub async fn one(
    GlobalAdmin(admin): GlobalAdmin,
    PathName(name): PathName,
) -> Result<Json<GroupDetails>, ApiError> {
    let groups = admin.store()?.groups().await.map_err(refused)?;
    let group = groups.into_iter().find(|group| group.name == name);
    let group = group.ok_or_else(|| unknown(&name))?;
    let item = shown(&admin, &group);
    Ok(Json(GroupDetails {
        group_name: item.group_name,
        servers: item.servers,
        narrowed: item.narrowed,
        user_count: item.user_count,
        users: group.users,
    }))
}

/// Creates a group, or adds bridges to it
///
/// The group may use these bridges as a whole, besides those that it may use already. A group
/// exists as long as a grant or a member names it, so a request without bridges creates no group.
/// This route is for administrators of the default workspace.
#[utoipa::path(
    post,
    path = "/groups",
    operation_id = "create_group",
    tag = "Users and groups",
    request_body = NewGroup,
    responses(
        (status = 200, description = "The group may use these bridges.", body = GroupChanged),
        (status = 400, description = "`invalid_name`: a group cannot have this name."),
        (status = 404, description = NO_DATABASE),
    ),
)]
pub async fn create(
    State(state): State<Arc<AppState>>,
    GlobalAdmin(admin): GlobalAdmin,
    JsonBody(given): JsonBody<NewGroup>,
) -> Result<Json<GroupChanged>, ApiError> {
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
    Ok(Json(GroupChanged {
        status: GroupChange::Created,
        group_name: group,
        unknown: unknown_bridges(&state, &bridges),
        servers: bridges,
    }))
}

/// Replaces the bridges of a group
///
/// The group may use these bridges as a whole, and no other bridge as a whole. Grants that cover
/// some tools of a bridge stay. This route is for administrators of the default workspace.
#[utoipa::path(
    put,
    path = "/groups/{name}",
    operation_id = "update_group",
    tag = "Users and groups",
    params(("name" = String, Path, description = "The name of the group.", min_length = 1, max_length = 255)),
    request_body = GroupBridges,
    responses(
        (status = 200, description = "The group may use these bridges.", body = GroupChanged),
        (status = 400, description = "`invalid_name`: a group cannot have this name."),
        (status = 404, description = NO_DATABASE),
    ),
)]
pub async fn update(
    State(state): State<Arc<AppState>>,
    GlobalAdmin(admin): GlobalAdmin,
    PathName(name): PathName,
    JsonBody(given): JsonBody<GroupBridges>,
) -> Result<Json<GroupChanged>, ApiError> {
    let group = words::group(&name)?;
    let bridges = names(&given.server_ids)?;
    let done = admin
        .store()?
        .set_grants(&admin.actor, &group, &bridges)
        .await;
    done.map_err(refused)?;
    Ok(Json(GroupChanged {
        status: GroupChange::Updated,
        group_name: group,
        unknown: unknown_bridges(&state, &bridges),
        servers: bridges,
    }))
}

/// Deletes a group
///
/// Its members and all of its grants are removed. This route is for administrators of the default
/// workspace.
#[utoipa::path(
    delete,
    path = "/groups/{name}",
    operation_id = "delete_group",
    tag = "Users and groups",
    params(("name" = String, Path, description = "The name of the group.")),
    responses(
        (status = 200, description = "The group was deleted.", body = GroupDeleted),
        (status = 400, description = "`admin_group`: groups of administrators cannot be deleted."),
        (status = 404, description = NO_GROUP),
    ),
)]
pub async fn delete(
    GlobalAdmin(admin): GlobalAdmin,
    PathName(name): PathName,
) -> Result<Json<GroupDeleted>, ApiError> {
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
    Ok(Json(GroupDeleted {
        status: "deleted",
        group_name: name,
        users_removed: users,
        servers_removed: servers,
    }))
}

/// A group as the list shows it.
fn shown(admin: &AdminCaller, group: &GroupRow) -> GroupItem {
    let grants = group
        .grants
        .iter()
        .filter(|grant| grants::is_seen_by(grant, &admin.actor));
    let (whole, narrowed): (Vec<_>, Vec<_>) = grants.partition(|grant| grants::is_whole(grant));
    GroupItem {
        group_name: group.name.clone(),
        servers: whole.iter().map(|grant| grant.bridge.clone()).collect(),
        narrowed: narrowed.into_iter().map(grants::shown).collect(),
        user_count: group.users.len(),
    }
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
