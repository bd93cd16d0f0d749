//! Finds combinations of settings that are valid on their own but contradict each other.

use crate::config::{AnonymousAccess, Config, Diagnostic, TransportSettings};

/// Returns the problems of a configuration that was read without errors.
pub(super) fn find(config: &Config) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    let is_enforced = config.is_access_enforced();
    if config.identity.anonymous == AnonymousAccess::Allowed && is_enforced {
        let message = "`anonymous = true`: callers without identity are accepted, although grants decide who may call what";
        let hint = "remove `anonymous` from `[identity]`; list the groups of all authenticated users in `default_groups` of `[access]`";
        found.push(Diagnostic::warning(message).with_hint(hint));
    }
    if let Some(gateway) = &config.identity.gateway {
        for bridge in &config.bridges {
            let Ok(TransportSettings::Remote(remote)) = &bridge.transport else {
                continue;
            };
            if remote.pass_headers.contains(&gateway.secret_header) {
                let message = format!(
                    "`pass_headers` of `{}` would forward `{}` to its server, the header with which the gateway authenticates",
                    bridge.name, gateway.secret_header
                );
                let hint = "remove this header from `pass_headers`";
                found.push(Diagnostic::error(message).with_hint(hint));
            }
        }
    }
    if is_enforced && config.access.default_groups.is_empty() {
        let idle = config
            .identity
            .keys
            .iter()
            .filter(|key| key.groups.is_empty() && !key.forwards);
        for key in idle {
            let message = format!(
                "the key `{}` is not in a group, so it may call nothing: grants decide who may call what",
                key.name
            );
            let group = config.access.admin_groups.first();
            let group = group.map_or("MCP-Admin", String::as_str);
            let hint = format!(
                "add `groups = [\"{group}\"]` to `[identity.keys.{}]` for everything, or groups of `[access.groups]`",
                key.name
            );
            found.push(Diagnostic::warning(message).with_hint(hint));
        }
    }
    found
}
