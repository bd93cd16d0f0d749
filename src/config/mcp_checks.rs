//! What mcpo checks of an entry of `mcpServers` without using it, and what we ignore.

use jsonc_parser::ast::Value;

use super::{
    mcp_servers::{Entry, span_of},
    reader::Reader,
};

/// Keys of other clients that mean nothing here.
const IGNORED: &[&str] = &[
    "alwaysAllow",
    "autoApprove",
    "autoStart",
    "dev",
    "envFile",
    "gallery",
    "icon",
    "id",
    "name",
    "note",
    "tags",
    "title",
    "transportType",
    "trust",
    "version",
];

/// Everything we read.
const KNOWN: &[&str] = &[
    "args",
    "client_header_forwarding",
    "command",
    "cwd",
    "description",
    "disabled",
    "disabledTools",
    "disabled_tools",
    "enabled",
    "env",
    "headers",
    "httpUrl",
    "oauth",
    "options",
    "serverUrl",
    "timeout",
    "transport",
    "type",
    "url",
];

/// Warns of keys that do nothing.
pub(super) fn warn_of_unknown(reader: &mut Reader<'_>, entry: &Entry<'_, '_>) {
    for property in &entry.properties {
        let key = property.name.as_str();
        if !KNOWN.contains(&key) && !IGNORED.contains(&key) {
            reader.problems.warning(
                &span_of(&property.name),
                format!("server `{}`: unknown key `{key}` is ignored", entry.name),
            );
        }
    }
    for (key, what) in [
        ("oauth", "signing in by OAuth"),
        ("client_header_forwarding", "forwarding of callers' headers"),
    ] {
        if let Some(property) = entry
            .properties
            .iter()
            .find(|property| property.name.as_str() == key)
        {
            reader.problems.warning(
                &span_of(&property.name),
                format!("server `{}`: {what} is not supported yet", entry.name),
            );
        }
    }
}

/// mcpo checks this and then does nothing with it (mcpo contract §9.1).
pub(super) fn check_forwarding(reader: &mut Reader<'_>, entry: &Entry<'_, '_>) {
    let Some(value) = entry.get("client_header_forwarding") else {
        return;
    };
    let Value::Object(object) = value else {
        entry.error(
            reader,
            &span_of(value),
            "client_header_forwarding must be a dictionary",
        );
        return;
    };
    let on = object
        .get_boolean("enabled")
        .is_some_and(|enabled| enabled.value);
    for property in &object.properties {
        let problem = match (property.name.as_str(), &property.value) {
            ("enabled" | "debug_headers", Value::BooleanLit(_))
            | ("whitelist" | "blacklist", Value::Array(_)) => None,
            ("enabled" | "debug_headers", _) => Some("boolean"),
            ("whitelist" | "blacklist", _) if on => Some("list"),
            _ => None,
        };
        if let Some(kind) = problem {
            let rest = format!(
                "client_header_forwarding.{} must be a {kind}",
                property.name.as_str()
            );
            entry.error(reader, &span_of(&property.value), &rest);
        }
    }
}

/// mcpo contract §9.2.
pub(super) fn check_oauth(reader: &mut Reader<'_>, entry: &Entry<'_, '_>) {
    let Some(value) = entry.get("oauth") else {
        return;
    };
    let server_url = value
        .as_object()
        .and_then(|object| object.get_string("server_url"));
    if server_url.is_none_or(|url| url.value.is_empty()) {
        // At mcpo that server fails and the others live.
        reader.problems.warning(
            &span_of(value),
            format!("OAuth server_url required for {}", entry.name),
        );
    }
}
