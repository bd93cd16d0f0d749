//! What mcpo checks of an entry of `mcpServers` without using it, what we ignore, and its `oauth`.

use jsonc_parser::ast::Value;
use toml::Spanned;

use super::{
    RemoteKind,
    credentials::OAuthTable,
    mcp_servers::{Entry, span_of},
    reader::Reader,
    setting::List,
    transport::Kind,
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
    let forwarding = "client_header_forwarding";
    let mut properties = entry.properties.iter();
    if let Some(property) = properties.find(|property| property.name.as_str() == forwarding) {
        reader
            .problems
            .warning(
                &span_of(&property.name),
                format!(
                    "server `{}`: `{forwarding}` is ignored, as mcpo does",
                    entry.name
                ),
            )
            .hint("`pass_headers` in `bridges.toml` names headers of callers that go on");
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

/// Signing in, with Streamable HTTP alone (mcpo contract §9.2). Of what mcpo knows only the scopes
/// mean anything here: discovery begins at the server itself, and the callback is ours.
pub(super) fn oauth(
    reader: &mut Reader<'_>,
    entry: &Entry<'_, '_>,
    kind: Kind,
) -> Option<Spanned<OAuthTable>> {
    let value = entry.get("oauth")?;
    let span = span_of(value);
    let Value::Object(object) = value else {
        reader.problems.warning(
            &span,
            format!(
                "server `{}`: `oauth` must be an object; it is ignored",
                entry.name
            ),
        );
        return None;
    };
    if !matches!(
        kind,
        Kind::Remote(RemoteKind::StreamableHttp | RemoteKind::Auto)
    ) {
        reader.problems.warning(
            &span,
            format!(
                "server `{}`: `oauth` goes with `streamable-http` alone; it is ignored",
                entry.name
            ),
        );
        return None;
    }
    let scope = object
        .get_object("client_metadata")
        .and_then(|metadata| metadata.get("scope"));
    let scopes = scope.and_then(|property| {
        let text = property.value.as_string_lit()?.value.clone().into_owned();
        Some(Spanned::new(span_of(&property.value), List::One(text)))
    });
    let table = OAuthTable {
        scopes,
        ..OAuthTable::default()
    };
    Some(Spanned::new(span, table))
}
