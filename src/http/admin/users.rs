//! Users, their groups, and administrators.

use axum::Json;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    advice,
    errors::NO_DATABASE,
    guard::{GlobalAdmin, JsonBody, refused},
    words,
};
use crate::{access::GroupMention, http::error::ApiError};

/// A member of a group.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = MembershipChange)]
#[serde(deny_unknown_fields)]
pub struct MembershipChange {
    /// The e-mail address of the user. Case does not matter.
    email: String,
    /// The group.
    #[schema(min_length = 1, max_length = 255)]
    group_name: String,
}

/// A user.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = UserSelector)]
#[serde(deny_unknown_fields)]
pub struct UserSelector {
    /// The e-mail address of the user. Case does not matter.
    email: String,
}

/// The users in the tables of the bridge.
#[derive(Debug, Serialize, ToSchema)]
pub struct UserList {
    /// The number of users.
    count: usize,
    /// The users.
    users: Vec<UserItem>,
}

/// A user in the tables of the bridge.
#[derive(Debug, Serialize, ToSchema)]
struct UserItem {
    /// The e-mail address in lower case.
    email: String,
    /// The groups of the user, sorted.
    groups: Vec<String>,
    /// Whether the user is an administrator by `POST /admin/api/admins` or the command line.
    is_admin: bool,
    /// When the user last changed, in the format of the database.
    #[schema(required)]
    updated_at: Option<String>,
}

/// The membership after the change.
#[derive(Debug, Serialize, ToSchema)]
pub struct MembershipChanged {
    /// What was done.
    status: MemberStatus,
    /// The e-mail address of the user in lower case.
    email: String,
    /// The group.
    group_name: String,
    /// Whether anything changed.
    changed: bool,
    /// Warnings about what may be a mistake.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
}

/// The administrator after the change.
#[derive(Debug, Serialize, ToSchema)]
pub struct AdminChanged {
    /// What was done.
    status: MemberStatus,
    /// The e-mail address of the user in lower case.
    email: String,
    /// Whether anything changed.
    changed: bool,
}

/// Whether a user was added or removed.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum MemberStatus {
    /// The user was added.
    Added,
    /// The user was removed.
    Removed,
}

/// Lists users
///
/// The answer contains the users in the tables of the bridge. Users who have groups only in Open
/// WebUI or in their token are not in it. This route is for administrators of the default
/// workspace.
#[utoipa::path(
    get,
    path = "/users",
    operation_id = "list_users",
    tag = "Users and groups",
    responses(
        (status = 200, description = "The users.", body = UserList),
        (status = 404, description = NO_DATABASE),
    ),
)]
pub async fn list(GlobalAdmin(admin): GlobalAdmin) -> Result<Json<UserList>, ApiError> {
    let users = admin.store()?.users().await.map_err(refused)?;
    let users: Vec<_> = users
        .into_iter()
        .map(|user| UserItem {
            email: user.email,
            groups: user.groups,
            is_admin: user.is_admin,
            updated_at: user.updated_at,
        })
        .collect();
    Ok(Json(UserList {
        count: users.len(),
        users,
    }))
}

/// Adds a user to a group
///
/// A user in the tables of the bridge has only the groups of these tables, not those of Open WebUI.
/// This route is for administrators of the default workspace.
#[utoipa::path(
    post,
    path = "/users/groups",
    operation_id = "add_user_to_group",
    tag = "Users and groups",
    request_body = MembershipChange,
    responses(
        (status = 200, description = "The user is in the group.", body = MembershipChanged),
        (status = 400, description = "`invalid_name`: a group cannot have this name."),
        (status = 404, description = NO_DATABASE),
    ),
)]
pub async fn add_to_group(
    GlobalAdmin(admin): GlobalAdmin,
    JsonBody(given): JsonBody<MembershipChange>,
) -> Result<Json<MembershipChanged>, ApiError> {
    let (email, group) = (
        words::email(&given.email)?,
        words::group(&given.group_name)?,
    );
    // The warning must be found before the member is added, because afterwards the group is known.
    let warning = advice::of_group(&admin, &group, GroupMention::Member).await?;
    let done = admin
        .store()?
        .add_member(&admin.actor, &email, &group)
        .await;
    let changed = done.map_err(refused)?;
    Ok(Json(MembershipChanged {
        status: MemberStatus::Added,
        email,
        group_name: group,
        changed,
        warnings: warning.into_iter().collect(),
    }))
}

/// Removes a user from a group
///
/// This route is for administrators of the default workspace.
#[utoipa::path(
    delete,
    path = "/users/groups",
    operation_id = "remove_user_from_group",
    tag = "Users and groups",
    request_body = MembershipChange,
    responses(
        (status = 200, description = "The user is not in the group.", body = MembershipChanged),
        (status = 404, description = NO_DATABASE),
    ),
)]
pub async fn remove_from_group(
    GlobalAdmin(admin): GlobalAdmin,
    JsonBody(given): JsonBody<MembershipChange>,
) -> Result<Json<MembershipChanged>, ApiError> {
    // The name is not checked, so that any row in the tables can be removed.
    let (email, group) = (given.email.trim().to_ascii_lowercase(), given.group_name);
    let done = admin
        .store()?
        .remove_member(&admin.actor, &email, &group)
        .await;
    let changed = done.map_err(refused)?;
    Ok(Json(MembershipChanged {
        status: MemberStatus::Removed,
        email,
        group_name: group,
        changed,
        warnings: Vec::new(),
    }))
}

/// Makes a user an administrator
///
/// This route is for administrators of the default workspace.
#[utoipa::path(
    post,
    path = "/admins",
    operation_id = "add_admin",
    tag = "Users and groups",
    request_body = UserSelector,
    responses(
        (status = 200, description = "The user is an administrator.", body = AdminChanged),
        (status = 404, description = NO_DATABASE),
    ),
)]
pub async fn add_admin(
    GlobalAdmin(admin): GlobalAdmin,
    JsonBody(given): JsonBody<UserSelector>,
) -> Result<Json<AdminChanged>, ApiError> {
    let email = words::email(&given.email)?;
    let done = admin.store()?.set_admin(&admin.actor, &email, true).await;
    let changed = done.map_err(refused)?;
    Ok(Json(AdminChanged {
        status: MemberStatus::Added,
        email,
        changed,
    }))
}

/// Takes the role of an administrator from a user
///
/// A user who is an administrator by the configuration or by a group stays one. This route is for
/// administrators of the default workspace.
#[utoipa::path(
    delete,
    path = "/admins",
    operation_id = "remove_admin",
    tag = "Users and groups",
    request_body = UserSelector,
    responses(
        (status = 200, description = "The user is not an administrator by the tables.", body = AdminChanged),
        (status = 404, description = NO_DATABASE),
    ),
)]
pub async fn remove_admin(
    GlobalAdmin(admin): GlobalAdmin,
    JsonBody(given): JsonBody<UserSelector>,
) -> Result<Json<AdminChanged>, ApiError> {
    let email = given.email.trim().to_ascii_lowercase();
    let done = admin.store()?.set_admin(&admin.actor, &email, false).await;
    let changed = done.map_err(refused)?;
    Ok(Json(AdminChanged {
        status: MemberStatus::Removed,
        email,
        changed,
    }))
}
