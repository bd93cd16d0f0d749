//! Warnings about a change that may be a mistake. A warning never refuses the change.

use super::guard::{AdminCaller, refused};
use crate::{
    access::{GroupMention, bounds_advice, bridge_advice, group_advice, known_groups},
    bridge::KnownTools,
    http::{AppState, error::ApiError},
    store::GrantRow,
};

/// A warning about a group that is not known here. Only administrators of the default workspace get
/// it, because it can name other groups.
pub async fn of_group(
    admin: &AdminCaller,
    group: &str,
    at: GroupMention,
) -> Result<Option<String>, ApiError> {
    if !admin.administers_all {
        return Ok(None);
    }
    let settings = &admin.settings;
    let known = known_groups(
        &settings.config,
        admin.store()?,
        settings.directory.as_deref(),
    );
    let known = known.await.map_err(refused)?;
    Ok(group_advice(group, at, &known))
}

/// A warning about a bridge that is not in the configuration.
pub fn of_bridge(state: &AppState, bridge: &str) -> Option<String> {
    let roster = state.registry.roster();
    let names = roster.bridges().iter().map(|it| it.name().as_str());
    bridge_advice(bridge, names)
}

/// Which tools a grant matches now, and warnings about patterns that may be misspelled.
pub async fn of_bounds(
    state: &AppState,
    grant: &GrantRow,
) -> Result<(Option<String>, Vec<String>), ApiError> {
    let bridge = state.registry.roster().get(&grant.bridge).cloned();
    let Some(bridge) = bridge else {
        return Ok((None, Vec::new()));
    };
    let known = bridge.known_tools().await.map_err(refused)?;
    let tools = known.as_ref().map(KnownTools::tools);
    Ok(bounds_advice(
        &grant.bridge,
        &grant.tools,
        grant.read_only,
        tools,
    ))
}
