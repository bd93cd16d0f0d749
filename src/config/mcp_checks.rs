//! What mcpo checks of an entry of `mcpServers` without using it, what we ignore, and its `oauth`.

use toml::Spanned;

use super::{
    RemoteKind,
    clients::Node,
    credentials::OAuthTable,
    mcp_servers::{Entry, text},
    reader::Reader,
    setting::List,
    transport::Kind,
};

/// Keys of other clients that mean nothing here.
const IGNORED: &[&str] = &[
    "alwaysAllow",
    "autoApprove",
    "autoStart",
    "chatMenu",
    "dev",
    "disabledReason",
    "env_vars",
    "faviconUrl",
    "gallery",
    "icon",
    "iconPath",
    "id",
    "name",
    "note",
    "required",
    "serverInstructions",
    "source",
    "startup",
    "stderr",
    "tags",
    "title",
    "transportType",
    "trust",
    "version",
    "watchPaths",
];

/// Everything we read.
const KNOWN: &[&str] = &[
    "args",
    "client_header_forwarding",
    "command",
    "connect_timeout",
    "cwd",
    "description",
    "disabled",
    "disabledTools",
    "disabled_tools",
    "enabled",
    "env",
    "envFile",
    "headers",
    "httpUrl",
    "oauth",
    "options",
    "serverUrl",
    "timeout",
    "tools_allow",
    "tools_deny",
    "transport",
    "type",
    "url",
];

/// Warns of keys that do nothing.
pub(super) fn warn_of_unknown(reader: &mut Reader<'_>, entry: &Entry<'_>) {
    for field in entry.fields {
        let key = field.name.as_str();
        if !KNOWN.contains(&key) && !IGNORED.contains(&key) {
            reader.problems.warning(
                &field.at,
                format!("server `{}`: unknown key `{key}` is ignored", entry.name),
            );
        }
    }
    let forwarding = "client_header_forwarding";
    if let Some(field) = entry.fields.iter().find(|field| field.name == forwarding) {
        reader
            .problems
            .warning(
                &field.at,
                format!(
                    "server `{}`: `{forwarding}` is ignored, as mcpo does",
                    entry.name
                ),
            )
            .hint("`pass_headers` in `bridges.toml` names headers of callers that go on");
    }
}

/// mcpo checks this and then does nothing with it (mcpo contract §9.1).
pub(super) fn check_forwarding(reader: &mut Reader<'_>, entry: &Entry<'_>) {
    let Some(value) = entry.get("client_header_forwarding") else {
        return;
    };
    let Some(fields) = value.map() else {
        entry.error(
            reader,
            &value.at,
            "client_header_forwarding must be a dictionary",
        );
        return;
    };
    let on = value.get("enabled").and_then(Node::switch) == Some(true);
    for field in fields {
        let is_switch = field.value.switch().is_some();
        let problem = match field.name.as_str() {
            "enabled" | "debug_headers" if !is_switch => Some("boolean"),
            "whitelist" | "blacklist" if on && field.value.list().is_none() => Some("list"),
            _ => None,
        };
        if let Some(kind) = problem {
            let rest = format!("client_header_forwarding.{} must be a {kind}", field.name);
            entry.error(reader, &field.value.at, &rest);
        }
    }
}

/// Signing in, with Streamable HTTP alone (mcpo contract §9.2). Of what mcpo knows only the scopes
/// mean anything here: discovery begins at the server itself, and the callback is ours.
pub(super) fn oauth(
    reader: &mut Reader<'_>,
    entry: &Entry<'_>,
    kind: Kind,
) -> Option<Spanned<OAuthTable>> {
    let value = entry.get("oauth")?;
    let span = value.at.clone();
    if value.map().is_none() {
        reader.problems.warning(
            &span,
            format!(
                "server `{}`: `oauth` must be an object; it is ignored",
                entry.name
            ),
        );
        return None;
    }
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
    let scope = value.get("client_metadata").and_then(|it| it.get("scope"));
    let scopes = scope.and_then(text).map(|text| {
        let span = text.span();
        Spanned::new(span, List::One(text.into_inner()))
    });
    let table = OAuthTable {
        scopes,
        ..OAuthTable::default()
    };
    Some(Spanned::new(span, table))
}
