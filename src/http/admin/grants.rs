//! Grants for whole bridges and for some tools of a bridge.

use std::sync::Arc;

use axum::{Json, extract::State};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    advice,
    errors::NO_DATABASE,
    guard::{AdminCaller, JsonBody, QueryParams, refused},
    words,
};
use crate::{
    access::GroupMention,
    http::{AppState, error::ApiError},
    store::{ChangeActor, GrantRow},
};

/// The query of the list.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct GrantsQuery {
    /// Only grants of this group.
    group: Option<String>,
    /// Only grants for this bridge.
    bridge: Option<String>,
}

/// A new grant.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewGrant {
    /// The group.
    #[schema(min_length = 1, max_length = 255)]
    group: String,
    /// The bridge. It does not have to be configured.
    bridge: String,
    /// Patterns for tool names, such as `get_*`. Without them the grant covers all tools.
    #[schema(min_items = 1)]
    tools: Option<Vec<String>>,
    /// Whether the grant covers only tools that declare themselves read-only.
    #[serde(default)]
    read_only: bool,
}

/// The grants to revoke.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = GrantRevocation)]
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

/// The grants.
#[derive(Debug, Serialize, ToSchema)]
pub struct GrantList {
    /// The number of grants.
    count: usize,
    /// The grants.
    grants: Vec<GrantItem>,
}

/// A grant.
#[derive(Debug, Serialize, ToSchema)]
pub struct GrantItem {
    /// The group.
    group: String,
    /// The bridge.
    bridge: String,
    /// Patterns for tool names. An empty list covers all tools.
    tools: Vec<String>,
    /// Whether the grant covers only tools that declare themselves read-only.
    read_only: bool,
    /// The workspace of the callers that the grant applies to. It is null if it applies to all.
    #[schema(required)]
    workspace: Option<String>,
}

/// The grant that was added.
#[derive(Debug, Serialize, ToSchema)]
pub struct GrantAdded {
    /// Always `granted`.
    status: &'static str,
    /// The grant.
    grant: GrantItem,
    /// Whether the grant is new.
    changed: bool,
    /// Which tools the grant covers now, in words. It is present if the grant has patterns or covers
    /// only read-only tools, and the tools of the bridge are known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    matches: Option<String>,
    /// Warnings about what may be a mistake.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
}

/// The grants that were revoked.
#[derive(Debug, Serialize, ToSchema)]
pub struct GrantsRevoked {
    /// Always `revoked`.
    status: &'static str,
    /// The group.
    group: String,
    /// The bridge.
    bridge: String,
    /// The number of grants that were revoked.
    removed: u64,
}

/// Lists grants
///
/// The answer contains the grants that apply in your workspace.
#[utoipa::path(
    get,
    path = "/grants",
    operation_id = "list_grants",
    tag = "Access",
    params(GrantsQuery),
    responses(
        (status = 200, description = "The grants.", body = GrantList),
        (status = 404, description = NO_DATABASE),
    ),
)]
pub async fn list(
    admin: AdminCaller,
    QueryParams(wanted): QueryParams<GrantsQuery>,
) -> Result<Json<GrantList>, ApiError> {
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
    let grants: Vec<_> = grants.iter().filter(is_wanted).map(shown).collect();
    Ok(Json(GrantList {
        count: grants.len(),
        grants,
    }))
}

/// Adds a grant
///
/// A grant without `tools` and `read_only` covers the whole bridge and applies in all workspaces.
/// Only administrators of the default workspace may add it. Other grants apply in your workspace.
#[utoipa::path(
    post,
    path = "/grants",
    operation_id = "add_grant",
    tag = "Access",
    request_body = NewGrant,
    responses(
        (status = 200, description = "The group has the grant.", body = GrantAdded),
        (status = 400, description = "`invalid_name`: a group cannot have this name."),
        (status = 404, description = NO_DATABASE),
    ),
)]
pub async fn add(
    State(state): State<Arc<AppState>>,
    admin: AdminCaller,
    JsonBody(given): JsonBody<NewGrant>,
) -> Result<Json<GrantAdded>, ApiError> {
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
    Ok(Json(GrantAdded {
        status: "granted",
        grant: shown(&grant),
        changed,
        matches,
        warnings,
    }))
}

/// Revokes grants
///
/// If the body has `tools` or `read_only`, one grant is revoked, or else all grants of the group for
/// the bridge.
#[utoipa::path(
    delete,
    path = "/grants",
    operation_id = "revoke_grants",
    tag = "Access",
    request_body = GrantRevocation,
    responses(
        (status = 200, description = "The group has none of these grants.", body = GrantsRevoked),
        (status = 404, description = NO_DATABASE),
    ),
)]
pub async fn revoke(
    admin: AdminCaller,
    JsonBody(given): JsonBody<GrantRevocation>,
) -> Result<Json<GrantsRevoked>, ApiError> {
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
    Ok(Json(GrantsRevoked {
        status: "revoked",
        group,
        bridge,
        removed,
    }))
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

/// A grant as it is shown.
pub fn shown(grant: &GrantRow) -> GrantItem {
    GrantItem {
        group: grant.group.clone(),
        bridge: grant.bridge.clone(),
        tools: grant.tools.clone(),
        read_only: grant.read_only,
        workspace: grant.workspace.clone(),
    }
}
