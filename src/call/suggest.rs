//! Suggestions for a caller who asked for a name that does not exist. They contain only names that
//! the caller may use.

use super::{
    error::{ServiceError, shown},
    target::ToolRef,
};
use crate::{
    access::Permissions, config::Flavor, error_code::ErrorCode, near, settings::ReloadableSettings,
};

/// The largest number of similar names that are suggested.
const NEAR_MAX: usize = 3;

/// The number of names that are listed if none is similar.
const SOME_MAX: usize = 5;

/// Adds the names of similar tools to the error for a tool that does not exist. Other errors stay
/// as they are, and so do all errors under mcpo's rules.
pub fn similar_tools(
    settings: &ReloadableSettings,
    target: &ToolRef,
    view: &Permissions,
    error: ServiceError,
) -> ServiceError {
    if error.code != ErrorCode::NotFound || settings.config.flavor != Flavor::Native {
        return error;
    }
    let bridge = &target.bridge;
    let tools = bridge.live.tools.load();
    let names: Vec<&str> = tools
        .entries
        .iter()
        .filter(|entry| view.may_call(bridge.name(), &entry.tool))
        .map(|entry| entry.tool.name.as_str())
        .collect();
    let name = shown(&target.tool);
    let said = format!("bridge `{}` has no tool `{name}`", bridge.name());
    similar_names(said, &name, &names, "it has")
}

/// The error for a name that does not exist, with similar names, or else with some of all names.
pub fn similar_names(said: String, written: &str, names: &[&str], all: &str) -> ServiceError {
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
    ServiceError::not_found(text).advise("do not retry with the same name")
}
