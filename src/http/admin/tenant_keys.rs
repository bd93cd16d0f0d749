//! Keys that groups have of their own for the servers of bridges. Their values come in and never
//! go out.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
};
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use super::{
    advice,
    guard::{Admin, Given, Operator, invalid, refused},
    words,
};
use crate::{
    access::{GroupAt, variable_advice},
    credential::{self, GroupKeyRefusal, KeyError, PutError},
    error_code::ErrorCode,
    http::{AppState, error::ApiError},
    name::BridgeName,
    secret::Secret,
    store::GroupKeyName,
};

/// A key to set.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewKey {
    /// The group.
    tenant_id: String,
    /// The bridge, there or not.
    server_id: String,
    /// The variable of the configuration that it takes the place of.
    key_name: String,
    /// Its value.
    #[serde(deserialize_with = "secret")]
    key_value: Secret,
}

/// A key to remove.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OldKey {
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
    Operator(admin): Operator,
) -> Result<Json<Value>, ApiError> {
    shown(&state, &admin, |_| true).await
}

/// `GET /tenant-keys/{group}`: none is an empty list.
pub async fn of_group(
    State(state): State<Arc<AppState>>,
    Operator(admin): Operator,
    Path(group): Path<String>,
) -> Result<Json<Value>, ApiError> {
    shown(&state, &admin, |name| name.group == group).await
}

/// `POST /tenant-keys`: over a value that may be there.
pub async fn set(
    State(state): State<Arc<AppState>>,
    Operator(admin): Operator,
    Given(given): Given<NewKey>,
) -> Result<Json<Value>, ApiError> {
    let name = GroupKeyName {
        group: words::group(&given.tenant_id)?,
        bridge: words::bridge(&given.server_id)?.to_string(),
        variable: words::variable(&given.key_name)?,
    };
    let mut configured = admin.settings.config.bridges.iter();
    let bridge = configured.find(|bridge| bridge.name.as_str() == name.bridge);
    let mut warnings = Vec::new();
    warnings.extend(advice::of_group(&admin, &name.group, GroupAt::Grant).await?);
    warnings.extend(advice::of_bridge(&state, &name.bridge));
    let of_variable = bridge.and_then(|bridge| variable_advice(bridge, &name.variable));
    // Whether it takes the place of anything.
    let is_known = bridge.is_some() && of_variable.is_none();
    warnings.extend(of_variable);
    let (store, keyring) = (admin.store()?, admin.keyring()?);
    credential::put_group_key(store, keyring, &admin.actor, &name, &given.key_value)
        .await
        .map_err(|error| match error {
            PutError::Key(error) => no_key(&error),
            PutError::Store(error) => refused(error),
            PutError::Value(detail) => invalid(detail),
        })?;
    let answer = json!({
        "status": "created", "tenant_id": name.group, "server_id": name.bridge,
        "key_name": name.variable, "known": is_known,
    });
    Ok(Json(advice::with_warnings(answer, warnings)))
}

/// `DELETE /tenant-keys`
pub async fn remove(
    Operator(admin): Operator,
    Given(given): Given<OldKey>,
) -> Result<Json<Value>, ApiError> {
    let name = GroupKeyName {
        group: given.tenant_id,
        bridge: given.server_id,
        variable: given.key_name,
    };
    let done = admin.store()?.remove_group_key(&admin.actor, &name).await;
    if !done.map_err(refused)? {
        return Err(ApiError::not_found(
            "that group has no such key for that bridge; GET /admin/api/tenant-keys lists them",
        ));
    }
    Ok(Json(json!({
        "status": "deleted", "tenant_id": name.group, "server_id": name.bridge,
        "key_name": name.variable,
    })))
}

/// Those that are asked for, with what is wrong with them.
async fn shown(
    state: &AppState,
    admin: &Admin,
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

/// Why calls of a group to a bridge are refused for what is stored for it, if they are.
pub fn problem(state: &AppState, group: &str, bridge: &str) -> Option<String> {
    // Whatever stands in the table: the proxy took any text for a server.
    let bridge = BridgeName::mcpo(bridge).ok()?;
    match state.group_keys.of(&[Arc::from(group)], &bridge) {
        Err(GroupKeyRefusal::Unusable { why, .. }) => Some(why.to_string()),
        Err(GroupKeyRefusal::Unread) | Ok(_) => None,
    }
}

/// Nothing can be sealed: for the operator to mend, and the sentence says how.
fn no_key(error: &KeyError) -> ApiError {
    tracing::warn!("{error}");
    ApiError::new(ErrorCode::NoSecretKey, error.to_string())
}

/// A value that shows itself to nobody from the first moment on. An error does not repeat it.
fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Secret, D::Error> {
    let value = Value::deserialize(deserializer)?;
    match value {
        Value::String(text) => Ok(Secret::new(text)),
        _ => Err(serde::de::Error::custom("`key_value` is no text")),
    }
}
