//! Validates parts of an `mcpServers` entry that mcpo checks without using, warns of ignored keys, and reads
//! `oauth`.

use toml::Spanned;

use crate::config::{
    RemoteKind,
    bridges::{table::OAuthTable, transport::TransportSetting},
    clients::SpannedValue,
    mcp::entry::{McpServerEntry, text},
    read::{ConfigReader, ListSetting},
};

/// Keys of other clients that have no effect here.
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

/// The keys that are read.
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

/// Warns of keys without effect.
pub fn warn_of_unknown(reader: &mut ConfigReader<'_>, entry: &McpServerEntry<'_>) {
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
        reader.warn(
            &field.at,
            format!(
                "server `{}`: `{forwarding}` is ignored, as mcpo does",
                entry.name
            ),
            "`pass_headers` in `bridges.toml` lists the headers of callers to forward",
        );
    }
}

/// Checks `client_header_forwarding`. mcpo validates it but does not use it.
pub fn check_forwarding(reader: &mut ConfigReader<'_>, entry: &McpServerEntry<'_>) {
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
    let on = value.get("enabled").and_then(SpannedValue::switch) == Some(true);
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

/// Reads `oauth`, which works only with Streamable HTTP. Of mcpo's settings only the scopes have an effect:
/// discovery begins at the server itself, and the callback belongs to the bridge.
pub fn oauth(
    reader: &mut ConfigReader<'_>,
    entry: &McpServerEntry<'_>,
    kind: TransportSetting,
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
        TransportSetting::Remote(RemoteKind::StreamableHttp | RemoteKind::Auto)
    ) {
        reader.problems.warning(
            &span,
            format!(
                "server `{}`: `oauth` works only with `streamable-http`; it is ignored",
                entry.name
            ),
        );
        return None;
    }
    let scope = value.get("client_metadata").and_then(|it| it.get("scope"));
    let scopes = scope.and_then(text).map(|text| {
        let span = text.span();
        Spanned::new(span, ListSetting::One(text.into_inner()))
    });
    let table = OAuthTable {
        scopes,
        ..OAuthTable::default()
    };
    Some(Spanned::new(span, table))
}
