//! Suggestions for a caller who asked for a tool or a bridge that does not exist. They contain only
//! names that the caller may use, and only the native flavor has them.

use http::StatusCode;

use super::{
    error::{ApiError, shown},
    identity,
    sender::Sender,
    state::AppState,
    tools::Asked,
};
use crate::{access::View, config::Flavor, name::BridgeName, near, settings::Settings};

/// The largest number of similar names that are suggested.
const NEAR_MAX: usize = 3;

/// The number of names that are listed if none is similar.
const SOME_MAX: usize = 5;

/// Adds the names of similar tools to a 404. Other errors stay as they are.
pub fn tool(settings: &Settings, asked: &Asked, view: &View, error: ApiError) -> ApiError {
    if error.status != StatusCode::NOT_FOUND || settings.config.flavor != Flavor::Native {
        return error;
    }
    let bridge = &asked.bridge;
    let tools = bridge.live.tools.load();
    let names: Vec<&str> = tools
        .entries
        .iter()
        .filter(|entry| view.may_call(bridge.name(), &entry.tool))
        .map(|entry| entry.tool.name.as_str())
        .collect();
    let name = shown(&asked.tool);
    let said = format!("bridge `{}` has no tool `{name}`", bridge.name());
    told(said, &name, &names, "it has")
}

/// The error for an unknown path, with the names of similar bridges.
pub async fn bridge(
    state: &AppState,
    settings: &Settings,
    sender: &Sender,
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
    told(said, first, &names, "the bridges are")
}

/// The error with similar names, or else with some of all names.
fn told(said: String, written: &str, names: &[&str], all: &str) -> ApiError {
    let near = near::nearest(written, names.iter().copied(), NEAR_MAX);
    let text = if !near.is_empty() {
        format!("{said}; did you mean {}?", near::either(&near))
    } else if names.is_empty() {
        said
    } else {
        let some: Vec<String> = names
            .iter()
            .take(SOME_MAX)
            .map(|name| format!("`{name}`"))
            .collect();
        let more = match names.len().saturating_sub(SOME_MAX) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        format!("{said}; {all} {}{more}", some.join(", "))
    };
    ApiError::not_found(text).advise("do not retry with the same name")
}
