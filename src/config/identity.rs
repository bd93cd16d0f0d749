//! `[identity]`: who may call.

use std::net::SocketAddr;

use serde::Deserialize;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    Anonymous, ApiKey, DEFAULT_WORKSPACE, Diagnostic, Environment, Identity, KeyText,
    diagnostic::Span,
    reader::{Reader, Text},
};
use crate::secret::Secret;

/// As it stands in the file, `keys` aside.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct IdentityTable {
    /// Callers need no identity. Default: false, but true while no key is on and only this machine
    /// can reach us.
    anonymous: Option<bool>,
    /// Read one by one before the rest; named here for the list of known keys.
    #[serde(rename = "keys")]
    _keys: Option<bool>,
}

/// `[identity.keys.NAME]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct KeyTable {
    /// The text a caller sends; blank switches the key off.
    key: Option<Text>,
}

/// The section before it is known where we listen.
#[derive(Debug)]
pub(super) struct Draft {
    anonymous: Option<bool>,
    keys: Vec<ApiKey>,
    /// Reasons of keys that are off.
    off: Vec<String>,
    /// What to write when no key is on.
    hint: &'static str,
}

impl Default for Draft {
    fn default() -> Self {
        Self {
            anonymous: None,
            keys: Vec::new(),
            off: Vec::new(),
            hint: "write `[identity.keys.default]` with `key = \"${MCP_API_KEY}\"` and set MCP_API_KEY, or `anonymous = true` in `[identity]` if everybody may call",
        }
    }
}

/// Reads the section.
pub(super) fn read(reader: &mut Reader<'_>, span: &Span, mut table: DeTable<'_>) -> Draft {
    let mut draft = Draft::default();
    if let Some((_, keys)) = table.remove_entry("keys") {
        let at = keys.span();
        match keys.into_inner() {
            DeValue::Table(keys) => {
                for (name, value) in keys {
                    read_key(reader, &mut draft, name.get_ref(), value);
                }
            }
            DeValue::String(_)
            | DeValue::Integer(_)
            | DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_)
            | DeValue::Array(_) => {
                reader
                    .problems
                    .error(&at, "`keys`: expected a table")
                    .hint("write `[identity.keys.NAME]` and below it `key = \"${MCP_API_KEY}\"`");
            }
        }
    }
    let rest: Option<IdentityTable> = reader.table("identity", span, table);
    draft.anonymous = rest.and_then(|rest| rest.anonymous);
    draft
}

fn read_key(reader: &mut Reader<'_>, draft: &mut Draft, name: &str, value: Spanned<DeValue<'_>>) {
    let at = value.span();
    let DeValue::Table(table) = value.into_inner() else {
        reader
            .problems
            .error(&at, format!("`{name}`: expected a table"))
            .hint(format!(
                "write `[identity.keys.{name}]` and below it `key = \"${{MCP_API_KEY}}\"`"
            ));
        return;
    };
    let section = format!("identity.keys.{name}");
    let Some(table) = reader.table::<KeyTable>(&section, &at, table) else {
        return;
    };
    let Some(text) = table.key else {
        reader
            .problems
            .error(&at, format!("`[{section}]` has no `key`"))
            .hint("add `key = \"${MCP_API_KEY}\"`");
        return;
    };
    let Some(expansion) = reader.expand(&text) else {
        return;
    };
    if !expansion.missing.is_empty() || expansion.text.trim().is_empty() {
        let reason = expansion.missing.join(", ");
        draft.off.push(if reason.is_empty() {
            format!("the key `{name}` is blank")
        } else {
            format!("the key `{name}` is off: {reason}")
        });
        return;
    }
    if !expansion.has_references {
        reader
            .problems
            .warning(
                &text.span(),
                format!("the key `{name}` stands in the file itself"),
            )
            .hint("move it to the environment: `key = \"${MCP_API_KEY}\"`");
    }
    let key = KeyText::Plain(Secret::new(expansion.text.trim()));
    if let Some(twin) = draft.keys.iter().find(|other| other.key == key) {
        let twin = twin.name.clone();
        reader
            .problems
            .warning(
                &text.span(),
                format!("the keys `{twin}` and `{name}` are the same text"),
            )
            .hint(format!(
                "logs will say `{twin}` for both; give `{name}` a key of its own"
            ));
    }
    draft.keys.push(ApiKey {
        name: name.to_owned(),
        key,
        groups: Vec::new(),
        forwards: false,
        workspace: DEFAULT_WORKSPACE.to_owned(),
    });
}

impl Draft {
    /// What a file without the section has: the key of `MCP_API_KEY`, if that is set.
    pub(super) fn of_environment(environment: &Environment) -> Self {
        let key = environment.get("MCP_API_KEY").map(str::trim);
        let keys = key.filter(|key| !key.is_empty()).map(|key| ApiKey {
            name: "default".to_owned(),
            key: KeyText::Plain(Secret::new(key)),
            groups: Vec::new(),
            forwards: false,
            workspace: DEFAULT_WORKSPACE.to_owned(),
        });
        Self {
            keys: keys.into_iter().collect(),
            hint: "set MCP_API_KEY to the key that callers send, or write a `bridges.toml` with `anonymous = true` in `[identity]`",
            ..Self::default()
        }
    }

    /// Decides, once it is known where we listen, who may call, and complains of a door that
    /// stands open. One that more than this machine can reach must be wanted in so many words.
    pub(super) fn resolve(self, listen: SocketAddr) -> (Identity, Option<Diagnostic>) {
        let local = listen.ip().is_loopback();
        let open = self.keys.is_empty() && self.anonymous.is_none() && local;
        let off = if self.off.is_empty() {
            String::new()
        } else {
            format!(" ({})", self.off.join("; "))
        };
        let complaint = if open {
            let message = format!("no API key is on{off}: whoever reaches {listen} may call");
            Some(Diagnostic::warning(message).with_hint(self.hint))
        } else if self.keys.is_empty() && !local && self.anonymous != Some(true) {
            let message =
                format!("{listen} is reachable from other machines, and no API key is on{off}");
            Some(Diagnostic::error(message).with_hint(self.hint))
        } else {
            None
        };
        let identity = Identity {
            anonymous: match (self.anonymous, open) {
                (Some(true), _) => Anonymous::Allowed,
                (None, true) => Anonymous::Loopback,
                (Some(false) | None, _) => Anonymous::Refused,
            },
            keys: self.keys,
            ..Identity::default()
        };
        (identity, complaint)
    }
}
