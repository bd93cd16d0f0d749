//! Keys that groups have of their own for the servers of bridges. The API never returns their
//! values.

use std::sync::Arc;

use axum::{Json, extract::State};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::{
    advice,
    errors::NO_DATABASE,
    guard::{AdminCaller, GlobalAdmin, JsonBody, PathName, invalid, refused},
    words,
};
use crate::{
    access::{GroupMention, variable_advice},
    credential::{self, EncryptionKeyError, GroupKeyError, GroupKeyPutError},
    error_code::ErrorCode,
    http::{AppState, error::ApiError},
    name::BridgeName,
    secret::Secret,
    store::GroupKeyName,
};

/// A key to set.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = NewGroupKey)]
#[serde(deny_unknown_fields)]
pub struct NewGroupKey {
    /// The group.
    #[schema(min_length = 1, max_length = 255)]
    tenant_id: String,
    /// The bridge. It does not have to be configured.
    server_id: String,
    /// The variable of the configuration that the key replaces.
    key_name: String,
    /// Its value.
    #[serde(deserialize_with = "secret")]
    #[schema(value_type = String, format = Password, write_only)]
    key_value: Secret,
}

/// A key to remove.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = GroupKeyRemoval)]
#[serde(deny_unknown_fields)]
pub struct GroupKeyRemoval {
    /// The group.
    tenant_id: String,
    /// The bridge.
    server_id: String,
    /// The variable.
    key_name: String,
}

/// The keys of groups, without their values.
#[derive(Debug, Serialize, ToSchema)]
pub struct GroupKeyList {
    /// The number of keys.
    count: usize,
    /// The keys.
    keys: Vec<GroupKeyItem>,
}

/// The key of a group for a bridge, without its value.
#[derive(Debug, Serialize, ToSchema)]
struct GroupKeyItem {
    /// Why calls of the group to the bridge are refused. It is null if they are not refused.
    #[schema(required)]
    problem: Option<String>,
    /// The group.
    tenant_id: String,
    /// The bridge.
    server_id: String,
    /// The variable of the configuration that the key replaces.
    key_name: String,
    /// Always three stars, in place of the value.
    has_value: &'static str,
    /// When the key was set, in the format of the database.
    #[schema(required)]
    updated_at: Option<String>,
}

/// The key that was set, without its value.
#[derive(Debug, Serialize, ToSchema)]
pub struct GroupKeyCreated {
    /// Always `created`.
    status: &'static str,
    /// The group.
    tenant_id: String,
    /// The bridge.
    server_id: String,
    /// The variable of the configuration that the key replaces.
    key_name: String,
    /// Whether the bridge is configured and reads the variable.
    known: bool,
    /// Warnings about what may be a mistake.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
}

/// The key that was removed.
#[derive(Debug, Serialize, ToSchema)]
pub struct GroupKeyDeleted {
    /// Always `deleted`.
    status: &'static str,
    /// The group.
    tenant_id: String,
    /// The bridge.
    server_id: String,
    /// The variable.
    key_name: String,
}

/// Lists the keys of all groups
///
/// The values of the keys are never shown. This route is for administrators of the default
/// workspace.
#[utoipa::path(
    get,
    path = "/tenant-keys",
    operation_id = "list_group_keys",
    tag = "Group credentials",
    responses(
        (status = 200, description = "The keys.", body = GroupKeyList),
        (status = 404, description = NO_DATABASE),
    ),
)]
pub async fn list(
    State(state): State<Arc<AppState>>,
    GlobalAdmin(admin): GlobalAdmin,
) -> Result<Json<GroupKeyList>, ApiError> {
    shown(&state, &admin, |_| true).await
}

/// Lists the keys of one group
///
/// A group without keys has an empty list. The values of the keys are never shown. This route is
/// for administrators of the default workspace.
#[utoipa::path(
    get,
    path = "/tenant-keys/{group}",
    operation_id = "list_keys_of_group",
    tag = "Group credentials",
    params(("group" = String, Path, description = "The name of the group.")),
    responses(
        (status = 200, description = "The keys.", body = GroupKeyList),
        (status = 404, description = NO_DATABASE),
    ),
)]
pub async fn of_group(
    State(state): State<Arc<AppState>>,
    GlobalAdmin(admin): GlobalAdmin,
    PathName(group): PathName,
) -> Result<Json<GroupKeyList>, ApiError> {
    shown(&state, &admin, |name| name.group == group).await
}

/// Sets a key of a group
///
/// Calls of the group to the bridge use this key instead of the configured variable. It replaces an
/// earlier value. This route is for administrators of the default workspace.
#[utoipa::path(
    post,
    path = "/tenant-keys",
    operation_id = "set_group_key",
    tag = "Group credentials",
    request_body = NewGroupKey,
    responses(
        (status = 200, description = "The key was set.", body = GroupKeyCreated),
        (status = 400, description = "`invalid_name`: a group cannot have this name."),
        (status = 404, description = NO_DATABASE),
        (status = 503, description = "`no_secret_key`: the key that encrypts stored secrets is missing or wrong."),
    ),
)]
pub async fn set(
    State(state): State<Arc<AppState>>,
    GlobalAdmin(admin): GlobalAdmin,
    JsonBody(given): JsonBody<NewGroupKey>,
) -> Result<Json<GroupKeyCreated>, ApiError> {
    let name = GroupKeyName {
        group: words::group(&given.tenant_id)?,
        bridge: words::bridge(&given.server_id)?.to_string(),
        variable: words::variable(&given.key_name)?,
    };
    let mut configured = admin.settings.config.bridges.iter();
    let bridge = configured.find(|bridge| bridge.name.as_str() == name.bridge);
    let mut warnings = Vec::new();
    warnings.extend(advice::of_group(&admin, &name.group, GroupMention::Grant).await?);
    warnings.extend(advice::of_bridge(&state, &name.bridge));
    let of_variable = bridge.and_then(|bridge| variable_advice(bridge, &name.variable));
    // Whether the key replaces a variable of a configured bridge.
    let is_known = bridge.is_some() && of_variable.is_none();
    warnings.extend(of_variable);
    let (store, keyring) = (admin.store()?, admin.keyring()?);
    credential::put_group_key(store, keyring, &admin.actor, &name, &given.key_value)
        .await
        .map_err(|error| match error {
            GroupKeyPutError::Key(error) => no_key(&error),
            GroupKeyPutError::Store(error) => refused(error),
            GroupKeyPutError::Value(detail) => invalid(detail),
        })?;
    Ok(Json(GroupKeyCreated {
        status: "created",
        tenant_id: name.group,
        server_id: name.bridge,
        key_name: name.variable,
        known: is_known,
        warnings,
    }))
}

/// Removes a key of a group
///
/// This route is for administrators of the default workspace.
#[utoipa::path(
    delete,
    path = "/tenant-keys",
    operation_id = "remove_group_key",
    tag = "Group credentials",
    request_body = GroupKeyRemoval,
    responses(
        (status = 200, description = "The key was removed.", body = GroupKeyDeleted),
        (status = 404, description = "`not_found`: the group has no such key for this bridge. `no_database`: the bridge was started without a database."),
    ),
)]
pub async fn remove(
    GlobalAdmin(admin): GlobalAdmin,
    JsonBody(given): JsonBody<GroupKeyRemoval>,
) -> Result<Json<GroupKeyDeleted>, ApiError> {
    let name = GroupKeyName {
        group: given.tenant_id,
        bridge: given.server_id,
        variable: given.key_name,
    };
    let done = admin.store()?.remove_group_key(&admin.actor, &name).await;
    if !done.map_err(refused)? {
        return Err(ApiError::not_found(
            "this group has no such key for this bridge; GET /admin/api/tenant-keys lists all keys",
        ));
    }
    Ok(Json(GroupKeyDeleted {
        status: "deleted",
        tenant_id: name.group,
        server_id: name.bridge,
        key_name: name.variable,
    }))
}

/// The wanted keys, each with its problem if it cannot be used.
async fn shown(
    state: &AppState,
    admin: &AdminCaller,
    is_wanted: impl Fn(&GroupKeyName) -> bool,
) -> Result<Json<GroupKeyList>, ApiError> {
    let keys = admin.store()?.group_key_names().await.map_err(refused)?;
    let keys: Vec<_> = keys
        .into_iter()
        .filter(|(name, _)| is_wanted(name))
        .map(|(name, updated_at)| GroupKeyItem {
            problem: problem(state, &name.group, &name.bridge),
            tenant_id: name.group,
            server_id: name.bridge,
            key_name: name.variable,
            has_value: "***",
            updated_at,
        })
        .collect();
    Ok(Json(GroupKeyList {
        count: keys.len(),
        keys,
    }))
}

/// Why calls of a group to a bridge are refused because of its stored key or endpoint. `None` if
/// they are not refused.
pub fn problem(state: &AppState, group: &str, bridge: &str) -> Option<String> {
    // The table may hold any name, because the Python proxy did not check the names of servers.
    let bridge = BridgeName::mcpo(bridge).ok()?;
    match state.group_keys.of(&[Arc::from(group)], &bridge) {
        Err(GroupKeyError::Unusable { why, .. }) => Some(why.to_string()),
        Err(GroupKeyError::Unread) | Ok(_) => None,
    }
}

/// The error if there is no key to encrypt secrets with. The operator has to set one, and the error
/// says how.
fn no_key(error: &EncryptionKeyError) -> ApiError {
    tracing::warn!("{error}");
    ApiError::new(ErrorCode::NoSecretKey, error.to_string())
}

/// Reads a value as a secret from the start, so that it never appears in logs. The error does not
/// repeat the value.
fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Secret, D::Error> {
    let value = Value::deserialize(deserializer)?;
    match value {
        Value::String(text) => Ok(Secret::new(text)),
        _ => Err(serde::de::Error::custom("`key_value` must be a string")),
    }
}
