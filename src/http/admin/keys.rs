//! API keys: the keys in the database, and a read-only list of the keys in the configuration.

use std::sync::Arc;

use axum::{Json, extract::State};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{
    advice,
    guard::{AdminCaller, JsonBody, invalid, refused},
    words,
};
use crate::{
    access::GroupMention,
    error_code::ErrorCode,
    http::{AppState, error::ApiError},
    secret::Secret,
    store::KeyRow,
};

/// The prefix of a key, by which scanners of source code recognize it.
const PREFIX: &str = "mcpb_";

/// A new key.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewApiKey {
    /// The name that logs show.
    name: String,
    /// The groups of the key.
    #[serde(default)]
    groups: Vec<String>,
    /// Whether the key may act on behalf of the users that request headers name.
    #[serde(default)]
    forwards: bool,
    /// When the key expires. Without a time it never expires.
    expires_at: Option<String>,
}

/// A key to revoke.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiKeyRevocation {
    /// Its name.
    name: String,
}

/// `GET /keys`: lists the keys. Their text is not stored, so it cannot be shown.
pub async fn list(admin: AdminCaller) -> Result<Json<Value>, ApiError> {
    let stored = admin.store()?.keys().await.map_err(refused)?;
    let workspace = &admin.actor.workspace;
    let mut keys: Vec<Value> = stored
        .iter()
        .filter(|key| key.workspace == *workspace)
        .map(shown)
        .collect();
    let of_file = admin.settings.config.identity.keys.iter();
    keys.extend(
        of_file
            .filter(|key| key.workspace == *workspace)
            .map(|key| {
                json!({
                    "name": key.name, "groups": key.groups, "forwards": key.forwards,
                    "workspace": key.workspace, "expires_at": null, "source": "file",
                })
            }),
    );
    Ok(Json(json!({ "count": keys.len(), "keys": keys })))
}

/// `POST /keys`: makes a key. Only this answer contains its text.
pub async fn add(
    State(state): State<Arc<AppState>>,
    admin: AdminCaller,
    JsonBody(given): JsonBody<NewApiKey>,
) -> Result<Json<Value>, ApiError> {
    let name = words::key_name(&given.name)?;
    if admin
        .settings
        .config
        .identity
        .keys
        .iter()
        .any(|key| key.name == name)
    {
        return Err(taken(&name));
    }
    if given.forwards {
        admin.check_all("a key that may act on behalf of users")?;
    }
    let admin_groups = &admin.settings.config.access.admin_groups;
    if given
        .groups
        .iter()
        .any(|group| admin_groups.contains(group))
    {
        admin.check_all("a key in a group of administrators")?;
    }
    let groups: Result<Vec<_>, _> = given
        .groups
        .iter()
        .map(|group| words::group(group))
        .collect();
    let text = format!(
        "{PREFIX}{}",
        URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>())
    );
    let key = KeyRow {
        name,
        hash: Sha256::digest(&text).into(),
        groups: groups?,
        forwards: given.forwards,
        workspace: admin.actor.workspace.clone(),
        expires_at: given.expires_at.as_deref().map(expiry).transpose()?,
    };
    let mut warnings = Vec::new();
    for group in &key.groups {
        warnings.extend(advice::of_group(&admin, group, GroupMention::Member).await?);
    }
    let done = admin.store()?.add_key(&admin.actor, &key).await;
    if !done.map_err(refused)? {
        return Err(taken(&key.name));
    }
    state.redactor.learn(Secret::new(text.as_str()));
    let answer = json!({
        "status": "created", "key": shown(&key), "text": text,
        "note": "copy the text now: it is shown only once, and only its hash is stored",
    });
    Ok(Json(advice::with_warnings(answer, warnings)))
}

/// `DELETE /keys`
pub async fn revoke(
    admin: AdminCaller,
    JsonBody(given): JsonBody<ApiKeyRevocation>,
) -> Result<Json<Value>, ApiError> {
    let done = admin.store()?.revoke_key(&admin.actor, &given.name).await;
    if !done.map_err(refused)? {
        let name: String = given.name.chars().take(100).collect();
        return Err(ApiError::not_found(format!(
            "there is no key `{name}` in the database; to revoke a key of the configuration file, remove it from the file"
        )));
    }
    Ok(Json(json!({ "status": "revoked", "name": given.name })))
}

fn taken(name: &str) -> ApiError {
    ApiError::new(
        ErrorCode::Taken,
        format!("a key `{name}` already exists; revoke it first, or choose another name"),
    )
    .of_caller()
}

/// Parses a time in the future, in seconds since 1970.
fn expiry(text: &str) -> Result<i64, ApiError> {
    let time: Timestamp = text.trim().parse().map_err(|_| {
        invalid("`expires_at` is not a valid time; write it like `2026-12-31T00:00:00Z`")
    })?;
    if time <= Timestamp::now() {
        return Err(invalid(
            "`expires_at` is in the past; choose a time in the future",
        ));
    }
    Ok(time.as_second())
}

fn shown(key: &KeyRow) -> Value {
    let expires = key
        .expires_at
        .and_then(|seconds| Timestamp::from_second(seconds).ok());
    let expires = expires.map(|time| time.to_string());
    json!({
        "name": key.name, "groups": key.groups, "forwards": key.forwards,
        "workspace": key.workspace, "expires_at": expires, "source": "table",
    })
}
