//! The error for a path that does not exist, with the names of similar bridges. It contains only
//! names that the caller may use, and only the native flavor has them.

use super::{error::ApiError, identity, sender::RequestSender, state::AppState};
use crate::{
    call::{shown, similar_names},
    config::Flavor,
    name::BridgeName,
    settings::ReloadableSettings,
};

/// The error for an unknown path, with the names of similar bridges.
pub async fn bridge(
    state: &AppState,
    settings: &ReloadableSettings,
    sender: &RequestSender,
    path: &str,
) -> ApiError {
    let path = shown(path);
    if settings.config.flavor != Flavor::Native {
        return ApiError::not_found(format!(
            "nothing is at `/{path}`; GET /servers lists the bridges, GET /docs shows their tools"
        ));
    }
    let said = format!("nothing is at `/{path}`");
    let Ok(view) = identity::view(settings, sender).await else {
        return ApiError::not_found(said).advise("do not retry");
    };
    let roster = state.registry.roster();
    let names: Vec<&str> = roster
        .bridges()
        .iter()
        .map(|bridge| bridge.name())
        .filter(|name| view.enter(name).is_ok())
        .map(BridgeName::as_str)
        .collect();
    let (first, said) = match path.split_once('/') {
        Some((first, _)) => (first, format!("there is no bridge `{first}`")),
        None => (path.as_str(), said),
    };
    similar_names(said, first, &names, "the bridges are").into()
}
