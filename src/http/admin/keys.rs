//! API keys: the keys in the database, and a read-only list of the keys in the configuration.

use std::{fmt, sync::Arc};

use axum::{Json, extract::State};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use utoipa::ToSchema;

use super::{
    advice,
    errors::NO_DATABASE,
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

/// The note beside the text of a new key.
const NOTE: &str = "copy the text now: it is shown only once, and only its hash is stored";

/// The prefix of a key, by which scanners of source code recognize it.
const PREFIX: &str = "mcpb_";

/// A new key.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = NewApiKey)]
#[serde(deny_unknown_fields)]
pub struct NewApiKey {
    /// The name that logs show.
    #[schema(min_length = 1, max_length = 255)]
    name: String,
    /// The groups of the key.
    #[serde(default)]
    groups: Vec<String>,
    /// Whether the key may act on behalf of the users that request headers name.
    #[serde(default)]
    forwards: bool,
    /// When the key expires, in the future. Without a time it never expires.
    #[schema(format = DateTime, examples("2026-12-31T00:00:00Z"))]
    expires_at: Option<String>,
}

/// A key to revoke.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = ApiKeyRevocation)]
#[serde(deny_unknown_fields)]
pub struct ApiKeyRevocation {
    /// Its name.
    name: String,
}

/// The keys.
#[derive(Debug, Serialize, ToSchema)]
pub struct ApiKeyList {
    /// The number of keys.
    count: usize,
    /// The keys.
    keys: Vec<ApiKeyItem>,
}

/// An API key, without its text.
#[derive(Debug, Serialize, ToSchema)]
struct ApiKeyItem {
    /// The name that logs show.
    name: String,
    /// The groups of the key.
    groups: Vec<String>,
    /// Whether the key may act on behalf of the users that request headers name.
    forwards: bool,
    /// The workspace of the key.
    workspace: String,
    /// When the key expires. It is null if it never expires.
    #[schema(required, format = DateTime)]
    expires_at: Option<String>,
    /// Where the key is stored.
    source: KeySource,
}

/// Where a key is stored.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum KeySource {
    /// In the database.
    Table,
    /// In the configuration file. The admin API cannot change it.
    File,
}

/// The new key. Only this answer contains its text.
#[derive(Serialize, ToSchema)]
pub struct ApiKeyCreated {
    /// Always `created`.
    status: &'static str,
    /// The key.
    key: ApiKeyItem,
    /// The text of the key, which callers send as bearer token.
    text: String,
    /// A reminder that the text cannot be shown again.
    note: &'static str,
    /// Warnings about what may be a mistake.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
}

impl fmt::Debug for ApiKeyCreated {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ApiKeyCreated")
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

/// The key that was revoked.
#[derive(Debug, Serialize, ToSchema)]
pub struct ApiKeyRevoked {
    /// Always `revoked`.
    status: &'static str,
    /// Its name.
    name: String,
}

/// Lists API keys
///
/// The answer contains the keys of your workspace, also those in the configuration file. Only the
/// hash of a key is stored, so its text cannot be shown.
#[utoipa::path(
    get,
    path = "/keys",
    operation_id = "list_keys",
    tag = "API keys",
    responses(
        (status = 200, description = "The keys.", body = ApiKeyList),
        (status = 404, description = NO_DATABASE),
    ),
)]
pub async fn list(admin: AdminCaller) -> Result<Json<ApiKeyList>, ApiError> {
    let stored = admin.store()?.keys().await.map_err(refused)?;
    let workspace = &admin.actor.workspace;
    let mut keys: Vec<_> = stored
        .iter()
        .filter(|key| key.workspace == *workspace)
        .map(shown)
        .collect();
    let of_file = admin.settings.config.identity.keys.iter();
    keys.extend(
        of_file
            .filter(|key| key.workspace == *workspace)
            .map(|key| ApiKeyItem {
                name: key.name.clone(),
                groups: key.groups.clone(),
                forwards: key.forwards,
                workspace: key.workspace.clone(),
                expires_at: None,
                source: KeySource::File,
            }),
    );
    Ok(Json(ApiKeyList {
        count: keys.len(),
        keys,
    }))
}

/// Makes an API key
///
/// Only this answer contains the text of the key. Only administrators of the default workspace may
/// make a key that acts on behalf of users, or a key in a group of administrators.
#[utoipa::path(
    post,
    path = "/keys",
    operation_id = "create_key",
    tag = "API keys",
    request_body = NewApiKey,
    responses(
        (status = 200, description = "The new key and its text.", body = ApiKeyCreated),
        (status = 400, description = "`invalid_name`: a group cannot have this name."),
        (status = 404, description = NO_DATABASE),
        (status = 409, description = "`taken`: a key with this name exists."),
    ),
)]
pub async fn add(
    State(state): State<Arc<AppState>>,
    admin: AdminCaller,
    JsonBody(given): JsonBody<NewApiKey>,
) -> Result<Json<ApiKeyCreated>, ApiError> {
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
    Ok(Json(ApiKeyCreated {
        status: "created",
        key: shown(&key),
        text,
        note: NOTE,
        warnings,
    }))
}

/// Revokes an API key
///
/// A key in the configuration file cannot be revoked here.
#[utoipa::path(
    delete,
    path = "/keys",
    operation_id = "revoke_key",
    tag = "API keys",
    request_body = ApiKeyRevocation,
    responses(
        (status = 200, description = "The key was revoked.", body = ApiKeyRevoked),
        (status = 404, description = "`not_found`: there is no such key in the database. `no_database`: the bridge was started without a database."),
    ),
)]
pub async fn revoke(
    admin: AdminCaller,
    JsonBody(given): JsonBody<ApiKeyRevocation>,
) -> Result<Json<ApiKeyRevoked>, ApiError> {
    let done = admin.store()?.revoke_key(&admin.actor, &given.name).await;
    if !done.map_err(refused)? {
        let name: String = given.name.chars().take(100).collect();
        return Err(ApiError::not_found(format!(
            "there is no key `{name}` in the database; to revoke a key of the configuration file, remove it from the file"
        )));
    }
    Ok(Json(ApiKeyRevoked {
        status: "revoked",
        name: given.name,
    }))
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

/// A stored key as it is shown.
fn shown(key: &KeyRow) -> ApiKeyItem {
    let expires = key
        .expires_at
        .and_then(|seconds| Timestamp::from_second(seconds).ok());
    ApiKeyItem {
        name: key.name.clone(),
        groups: key.groups.clone(),
        forwards: key.forwards,
        workspace: key.workspace.clone(),
        expires_at: expires.map(|time| time.to_string()),
        source: KeySource::Table,
    }
}
