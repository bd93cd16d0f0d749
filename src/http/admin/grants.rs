//! Grants for whole bridges and for some tools of a bridge.

use std::sync::Arc;

use axum::{Json, extract::State};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    advice,
    guard::{AdminCaller, JsonBody, QueryParams, refused},
    words,
};
use crate::{
    access::GroupMention,
    http::{AppState, error::ApiError},
    store::{ChangeActor, GrantRow},
};

/// The query of the list.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GrantsQuery {
    /// Only grants of this group.
    group: Option<String>,
    /// Only grants for this bridge.
    bridge: Option<String>,
}

/// A new grant.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewGrant {
    /// The group.
    group: String,
    /// The bridge. It does not have to be configured.
    bridge: String,
    /// Patterns for tool names. Without them the grant covers all tools.
    tools: Option<Vec<String>>,
    /// Whether the grant covers only tools that declare themselves read-only.
    #[serde(default)]
    read_only: bool,
}

/// The grants to revoke.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GrantRevocation {
    /// The group.
    group: String,
    /// The bridge.
    bridge: String,
    /// The patterns of the grant to revoke; an empty list for a grant of all tools. If both this
    /// and `read_only` are missing, all grants of the group for the bridge are revoked.
    tools: Option<Vec<String>>,
    /// Whether the grant to revoke covers only read-only tools.
    read_only: Option<bool>,
}

/// `GET /grants`
pub async fn list(
    admin: AdminCaller,
    QueryParams(wanted): QueryParams<GrantsQuery>,
) -> Result<Json<Value>, ApiError> {
    let grants = admin.store()?.grants().await.map_err(refused)?;
    let is_wanted = |grant: &&GrantRow| {
        is_seen_by(grant, &admin.actor)
            && wanted
                .group
                .as_ref()
                .is_none_or(|group| grant.group == *group)
            && wanted
                .bridge
                .as_ref()
                .is_none_or(|bridge| grant.bridge == *bridge)
    };
    let grants: Vec<Value> = grants.iter().filter(is_wanted).map(shown).collect();
    Ok(Json(json!({ "count": grants.len(), "grants": grants })))
}

/// `POST /grants`
pub async fn add(
    State(state): State<Arc<AppState>>,
    admin: AdminCaller,
    JsonBody(given): JsonBody<NewGrant>,
) -> Result<Json<Value>, ApiError> {
    let mut grant = GrantRow {
        workspace: None,
        group: words::group(&given.group)?,
        bridge: words::bridge(&given.bridge)?.to_string(),
        tools: words::patterns(given.tools)?,
        read_only: given.read_only,
    };
    if is_whole(&grant) {
        admin.check_all("a grant for a whole bridge")?;
    } else {
        grant.workspace = Some(admin.actor.workspace.clone());
    }
    // The warning must be found before the grant is added, because afterwards the group is known.
    let mut warnings = Vec::new();
    warnings.extend(advice::of_group(&admin, &grant.group, GroupMention::Grant).await?);
    warnings.extend(advice::of_bridge(&state, &grant.bridge));
    let (matches, of_bounds) = advice::of_bounds(&state, &grant).await?;
    warnings.extend(of_bounds);
    let done = admin.store()?.grant(&admin.actor, &grant).await;
    let changed = done.map_err(refused)?;
    let mut answer = json!({ "status": "granted", "grant": shown(&grant), "changed": changed });
    if let (Some(matches), Some(members)) = (matches, answer.as_object_mut()) {
        members.insert("matches".to_owned(), matches.into());
    }
    Ok(Json(advice::with_warnings(answer, warnings)))
}

/// `DELETE /grants`: revokes one grant if the request gives its bounds, or else all grants of the
/// group for the bridge.
pub async fn revoke(
    admin: AdminCaller,
    JsonBody(given): JsonBody<GrantRevocation>,
) -> Result<Json<Value>, ApiError> {
    let (group, bridge) = (given.group, given.bridge);
    let store = admin.store()?;
    let removed = if given.tools.is_some() || given.read_only.is_some() {
        let grant = GrantRow {
            workspace: None,
            group: group.clone(),
            bridge: bridge.clone(),
            tools: given.tools.unwrap_or_default(),
            read_only: given.read_only.unwrap_or_default(),
        };
        let done = store.revoke_grant(&admin.actor, &grant).await;
        u64::from(done.map_err(refused)?)
    } else {
        let done = store.revoke(&admin.actor, &group, &bridge).await;
        done.map_err(refused)?
    };
    Ok(Json(json!({
        "status": "revoked", "group": group, "bridge": bridge, "removed": removed,
    })))
}

/// Whether a grant applies in all workspaces or in the administrator's own.
pub fn is_seen_by(grant: &GrantRow, actor: &ChangeActor) -> bool {
    let workspace = grant.workspace.as_ref();
    workspace.is_none_or(|workspace| *workspace == actor.workspace)
}

/// Whether a grant covers all tools of its bridge.
pub fn is_whole(grant: &GrantRow) -> bool {
    grant.tools.is_empty() && !grant.read_only
}

/// A grant in JSON.
pub fn shown(grant: &GrantRow) -> Value {
    json!({
        "group": grant.group, "bridge": grant.bridge, "tools": grant.tools,
        "read_only": grant.read_only, "workspace": grant.workspace,
    })
}
