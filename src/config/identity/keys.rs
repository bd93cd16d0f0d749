//! `[identity.keys.NAME]`: API keys in the file.

use data_encoding::HEXLOWER_PERMISSIVE;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use crate::config::{
    ApiKey, ApiKeyValue, DEFAULT_WORKSPACE,
    diagnostic::Span,
    reader::{ConfigReader, Text},
    setting::{ListSetting, plain},
};
use crate::name::is_hidden;

/// The table in the file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ApiKeyTable {
    /// The text that a caller sends. A blank value disables the key.
    key: Option<Text>,
    /// Its SHA-256 in hexadecimal, instead of the text.
    key_sha256: Option<Text>,
    groups: Option<Spanned<ListSetting>>,
    forwards: Option<bool>,
    workspace: Option<Text>,
}

/// The enabled keys, and why the others are disabled.
#[derive(Debug, Default)]
pub(super) struct ResolvedApiKeys {
    /// The enabled keys.
    pub(super) on: Vec<ApiKey>,
    /// The names of the disabled keys, with the reasons.
    pub(super) off: Vec<(String, String)>,
    /// The first key that may act on behalf of users, and the position of that setting.
    pub(super) forwarder: Option<(String, Span)>,
}

impl ResolvedApiKeys {
    /// Reads one key.
    pub(super) fn read(
        &mut self,
        reader: &mut ConfigReader<'_>,
        name: &str,
        value: Spanned<DeValue<'_>>,
    ) {
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
        self.read_table(reader, name, &at, table);
    }

    fn read_table(
        &mut self,
        reader: &mut ConfigReader<'_>,
        name: &str,
        at: &Span,
        table: DeTable<'_>,
    ) {
        if let Err(problem) = check_key_name(name) {
            reader
                .problems
                .error(at, problem)
                .hint("write `[identity.keys.NAME]` with another name");
            return;
        }
        let section = format!("identity.keys.{name}");
        let before = reader.problems.len();
        let Some(table) = reader.table::<ApiKeyTable>(&section, at, table) else {
            return;
        };
        let text = match (&table.key, &table.key_sha256) {
            (Some(text), None) | (None, Some(text)) => text,
            (Some(_), Some(hash)) => {
                reader
                    .problems
                    .error(
                        &hash.span(),
                        "a key has either `key` or `key_sha256`, not both",
                    )
                    .hint("keep `key_sha256`, so that the file contains no secret");
                return;
            }
            (None, None) => {
                if reader.problems.len() == before {
                    reader
                        .problems
                        .error(at, format!("`[{section}]` has no `key`"))
                        .hint("add `key = \"${MCP_API_KEY}\"`");
                }
                return;
            }
        };
        let setting = if table.key.is_some() {
            reader
                .secret("key", "MCP_API_KEY", text)
                .map(|setting| setting.map(ApiKeyValue::Plain))
        } else {
            read_hash(reader, text)
        };
        let key = match setting {
            Some(Ok(key)) => key,
            Some(Err(reason)) => {
                self.off.push((name.to_owned(), reason));
                return;
            }
            None => return,
        };
        self.warn_of_twin(reader, name, &key, &text.span());
        let forwards = table.forwards.unwrap_or(false);
        if forwards && self.forwarder.is_none() {
            self.forwarder = Some((name.to_owned(), at.clone()));
        }
        let groups = table.groups.map(|list| plain(reader.words(&list)));
        let workspace = table.workspace.as_ref();
        let workspace = workspace.and_then(|text| reader.optional(text)?.ok());
        if let Some(all) = workspace.as_ref().filter(|text| *text.get_ref() == "*") {
            reader
                .problems
                .error(&all.span(), "`workspace`: `*` is not a valid workspace")
                .hint("write a name, or leave `workspace` out for `default`");
        }
        self.on.push(ApiKey {
            name: name.to_owned(),
            key,
            groups: groups.unwrap_or_default(),
            forwards,
            workspace: workspace.map_or_else(|| DEFAULT_WORKSPACE.to_owned(), Text::into_inner),
        });
    }

    fn warn_of_twin(
        &self,
        reader: &mut ConfigReader<'_>,
        name: &str,
        key: &ApiKeyValue,
        at: &Span,
    ) {
        let twin = self.on.iter().find(|other| hash(&other.key) == hash(key));
        if let Some(twin) = twin.map(|twin| &twin.name) {
            reader
                .problems
                .warning(
                    at,
                    format!("the keys `{twin}` and `{name}` have the same value"),
                )
                .hint(format!(
                    "logs will show `{twin}` for both; give `{name}` a different value"
                ));
        }
    }
}

/// Rejects a name that looks like a person in logs, records and limits.
pub(crate) fn check_key_name(name: &str) -> Result<(), String> {
    let reason = if name.contains('@') {
        "looks like the e-mail address of a person"
    } else if name.contains(is_hidden) {
        "has an invisible character"
    } else {
        return Ok(());
    };
    let shown: String = name.chars().take(100).collect();
    Err(format!(
        "the key {shown:?} needs another name, because this name {reason} and appears in records"
    ))
}

fn read_hash(reader: &mut ConfigReader<'_>, text: &Text) -> Option<Result<ApiKeyValue, String>> {
    let text = match reader.optional(text)? {
        Ok(text) => text,
        Err(reason) => return Some(Err(reason)),
    };
    if let Some(hash) = unhex(text.get_ref()) {
        return Some(Ok(ApiKeyValue::Sha256(hash)));
    }
    reader
        .problems
        .error(
            &text.span(),
            "`key_sha256` is made of 64 hexadecimal digits",
        )
        .hint("`printf %s \"$KEY\" | sha256sum` prints them");
    None
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let bytes = HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok()?;
    bytes.try_into().ok()
}

fn hash(key: &ApiKeyValue) -> [u8; 32] {
    match key {
        ApiKeyValue::Plain(text) => Sha256::digest(text.expose()).into(),
        ApiKeyValue::Sha256(hash) => *hash,
    }
}
