//! Single grants: whole bridges, or some tools of one.

use std::sync::Arc;

use axum::{Json, extract::State};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    advice,
    guard::{Admin, Asked, Given, refused},
    words,
};
use crate::{
    access::GroupAt,
    http::{AppState, error::ApiError},
    store::{Actor, GrantRow},
};

/// Which grants to list.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    /// Of this group.
    group: Option<String>,
    /// To this bridge.
    bridge: Option<String>,
}

/// A new grant.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewGrant {
    /// The group.
    group: String,
    /// The bridge, there or not.
    bridge: String,
    /// Patterns over tool names; all tools without them.
    tools: Option<Vec<String>>,
    /// Only tools that say they change nothing.
    #[serde(default)]
    read_only: bool,
}

/// What to revoke.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OldGrant {
    /// The group.
    group: String,
    /// The bridge.
    bridge: String,
    /// Of one grant: its patterns over tool names, none for all tools. Without these and `read_only` all
    /// grants of the group for the bridge are revoked.
    tools: Option<Vec<String>>,
    /// Of one grant: whether it is for tools that change nothing.
    read_only: Option<bool>,
}

/// `GET /grants`
pub async fn list(admin: Admin, Asked(wanted): Asked<Wanted>) -> Result<Json<Value>, ApiError> {
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
    admin: Admin,
    Given(given): Given<NewGrant>,
) -> Result<Json<Value>, ApiError> {
    let mut grant = GrantRow {
        workspace: None,
        group: words::group(&given.group)?,
        bridge: words::bridge(&given.bridge)?.to_string(),
        tools: words::patterns(given.tools)?,
        read_only: given.read_only,
    };
    if is_whole(&grant) {
        admin.check_all("a grant without bounds")?;
    } else {
        grant.workspace = Some(admin.actor.workspace.clone());
    }
    // Before it is made, because afterwards its group is known.
    let mut warnings = Vec::new();
    warnings.extend(advice::of_group(&admin, &grant.group, GroupAt::Grant).await?);
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

/// `DELETE /grants`: one grant where its bounds are given, else all that a group may do with a bridge.
pub async fn revoke(admin: Admin, Given(given): Given<OldGrant>) -> Result<Json<Value>, ApiError> {
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

/// Whether a grant counts in all workspaces, or in the administrator's own.
pub fn is_seen_by(grant: &GrantRow, actor: &Actor) -> bool {
    let workspace = grant.workspace.as_ref();
    workspace.is_none_or(|workspace| *workspace == actor.workspace)
}

/// Whether a grant has no bounds.
pub fn is_whole(grant: &GrantRow) -> bool {
    grant.tools.is_empty() && !grant.read_only
}

/// A grant on the wire.
pub fn shown(grant: &GrantRow) -> Value {
    json!({
        "group": grant.group, "bridge": grant.bridge, "tools": grant.tools,
        "read_only": grant.read_only, "workspace": grant.workspace,
    })
}
