//! Keys that groups have of their own for the servers of bridges. The API never returns their
//! values.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
};
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use super::{
    advice,
    guard::{AdminCaller, GlobalAdmin, JsonBody, invalid, refused},
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
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewGroupKey {
    /// The group.
    tenant_id: String,
    /// The bridge. It does not have to be configured.
    server_id: String,
    /// The variable of the configuration that the key replaces.
    key_name: String,
    /// Its value.
    #[serde(deserialize_with = "secret")]
    key_value: Secret,
}

/// A key to remove.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupKeyRemoval {
    /// The group.
    tenant_id: String,
    /// The bridge.
    server_id: String,
    /// The variable.
    key_name: String,
}

/// `GET /tenant-keys`
pub async fn list(
    State(state): State<Arc<AppState>>,
    GlobalAdmin(admin): GlobalAdmin,
) -> Result<Json<Value>, ApiError> {
    shown(&state, &admin, |_| true).await
}

/// `GET /tenant-keys/{group}`: the keys of one group. A group without keys gets an empty list.
pub async fn of_group(
    State(state): State<Arc<AppState>>,
    GlobalAdmin(admin): GlobalAdmin,
    Path(group): Path<String>,
) -> Result<Json<Value>, ApiError> {
    shown(&state, &admin, |name| name.group == group).await
}

/// `POST /tenant-keys`: sets a key and replaces an earlier value.
pub async fn set(
    State(state): State<Arc<AppState>>,
    GlobalAdmin(admin): GlobalAdmin,
    JsonBody(given): JsonBody<NewGroupKey>,
) -> Result<Json<Value>, ApiError> {
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
    let answer = json!({
        "status": "created", "tenant_id": name.group, "server_id": name.bridge,
        "key_name": name.variable, "known": is_known,
    });
    Ok(Json(advice::with_warnings(answer, warnings)))
}

/// `DELETE /tenant-keys`
pub async fn remove(
    GlobalAdmin(admin): GlobalAdmin,
    JsonBody(given): JsonBody<GroupKeyRemoval>,
) -> Result<Json<Value>, ApiError> {
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
    Ok(Json(json!({
        "status": "deleted", "tenant_id": name.group, "server_id": name.bridge,
        "key_name": name.variable,
    })))
}

/// The wanted keys, each with its problem if it cannot be used.
async fn shown(
    state: &AppState,
    admin: &AdminCaller,
    is_wanted: impl Fn(&GroupKeyName) -> bool,
) -> Result<Json<Value>, ApiError> {
    let keys = admin.store()?.group_key_names().await.map_err(refused)?;
    let keys: Vec<Value> = keys
        .into_iter()
        .filter(|(name, _)| is_wanted(name))
        .map(|(name, updated_at)| {
            json!({
                "problem": problem(state, &name.group, &name.bridge),
                "tenant_id": name.group, "server_id": name.bridge, "key_name": name.variable,
                "has_value": "***", "updated_at": updated_at,
            })
        })
        .collect();
    Ok(Json(json!({ "count": keys.len(), "keys": keys })))
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
