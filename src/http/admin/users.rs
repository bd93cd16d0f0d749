//! Users, their groups, and administrators.

use axum::Json;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    advice,
    guard::{GlobalAdmin, JsonBody, refused},
    words,
};
use crate::{access::GroupMention, http::error::ApiError};

/// A member.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MembershipChange {
    /// The e-mail address of the user. Case does not matter.
    email: String,
    /// The group.
    group_name: String,
}

/// A user.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserSelector {
    /// The e-mail address of the user. Case does not matter.
    email: String,
}

/// `GET /users`
pub async fn list(GlobalAdmin(admin): GlobalAdmin) -> Result<Json<Value>, ApiError> {
    let users = admin.store()?.users().await.map_err(refused)?;
    let users: Vec<Value> = users
        .into_iter()
        .map(|user| {
            json!({
                "email": user.email, "groups": user.groups, "is_admin": user.is_admin,
                "updated_at": user.updated_at,
            })
        })
        .collect();
    Ok(Json(json!({ "count": users.len(), "users": users })))
}

/// `POST /users/groups`
pub async fn add_to_group(
    GlobalAdmin(admin): GlobalAdmin,
    JsonBody(given): JsonBody<MembershipChange>,
) -> Result<Json<Value>, ApiError> {
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
    let answer = json!({
        "status": "added", "email": email, "group_name": group, "changed": changed,
    });
    Ok(Json(advice::with_warnings(
        answer,
        warning.into_iter().collect(),
    )))
}

/// `DELETE /users/groups`
pub async fn remove_from_group(
    GlobalAdmin(admin): GlobalAdmin,
    JsonBody(given): JsonBody<MembershipChange>,
) -> Result<Json<Value>, ApiError> {
    // The name is not checked, so that any row in the tables can be removed.
    let (email, group) = (given.email.trim().to_ascii_lowercase(), given.group_name);
    let done = admin
        .store()?
        .remove_member(&admin.actor, &email, &group)
        .await;
    let changed = done.map_err(refused)?;
    Ok(Json(json!({
        "status": "removed", "email": email, "group_name": group, "changed": changed,
    })))
}

/// `POST /admins`
pub async fn add_admin(
    GlobalAdmin(admin): GlobalAdmin,
    JsonBody(given): JsonBody<UserSelector>,
) -> Result<Json<Value>, ApiError> {
    let email = words::email(&given.email)?;
    let done = admin.store()?.set_admin(&admin.actor, &email, true).await;
    let changed = done.map_err(refused)?;
    Ok(Json(
        json!({ "status": "added", "email": email, "changed": changed }),
    ))
}

/// `DELETE /admins`
pub async fn remove_admin(
    GlobalAdmin(admin): GlobalAdmin,
    JsonBody(given): JsonBody<UserSelector>,
) -> Result<Json<Value>, ApiError> {
    let email = given.email.trim().to_ascii_lowercase();
    let done = admin.store()?.set_admin(&admin.actor, &email, false).await;
    let changed = done.map_err(refused)?;
    Ok(Json(
        json!({ "status": "removed", "email": email, "changed": changed }),
    ))
}
