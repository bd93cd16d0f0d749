//! `[identity.keys.NAME]`: API keys in the file.

use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use toml::{Spanned, de::DeValue};

use crate::{
    config::read::{
        BadValue, ConfigReader, KEY, SECRET_BYTES_MIN, SecretRule, SectionRules, Span, parsed,
        take, value,
    },
    name::is_hidden,
    secret::Secret,
};

/// The workspace of callers and keys that do not name one.
pub const DEFAULT_WORKSPACE: &str = "default";

/// A named API key.
#[derive(Debug, Clone, PartialEq)]
pub struct ApiKey {
    /// The name in logs.
    pub name: String,
    /// The text a caller sends.
    pub key: ApiKeyValue,
    /// The groups of the key.
    pub groups: Vec<String>,
    /// Whether the key may act on behalf of the user named in the request's headers. Without such headers the
    /// key itself is the caller.
    pub forwards: bool,
    /// The workspace of its records and grants. Default `default`.
    pub workspace: String,
}

impl ApiKey {
    /// Whether a text is this key. Takes constant time.
    pub fn matches(&self, text: &str) -> bool {
        match &self.key {
            ApiKeyValue::Plain(key) => key.matches(text),
            ApiKeyValue::Sha256(hash) => Sha256::digest(text).as_slice().ct_eq(hash).into(),
        }
    }
}

/// The value that an API key is compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ApiKeyValue {
    /// `key`: the text.
    Plain(Secret),
    /// `key_sha256`: its SHA-256, so that the file contains no secret.
    Sha256([u8; 32]),
}

/// The table in the file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ApiKeyTable {
    /// The text that a caller sends. A blank value disables the key.
    #[serde(deserialize_with = "value::secret")]
    key: Option<Secret>,
    /// Its SHA-256 in hexadecimal, instead of the text.
    #[serde(deserialize_with = "key_sha256")]
    key_sha256: Option<[u8; 32]>,
    #[serde(deserialize_with = "value::words")]
    groups: Vec<String>,
    forwards: bool,
    #[serde(deserialize_with = "workspace")]
    workspace: Option<String>,
}

const RULES: SectionRules = SectionRules {
    optional: &["key_sha256", "workspace"],
    empty: &["groups"],
    secrets: &[SecretRule::new("key", "MCP_API_KEY", SECRET_BYTES_MIN)],
    ..SectionRules::NONE
};

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
        let message = format!("`{name}`: expected a table");
        let hint =
            format!("write `[identity.keys.{name}]` and below it `key = \"${{MCP_API_KEY}}\"`");
        let Some((at, mut table)) = reader.table_in(value, message, hint) else {
            return;
        };
        let at = &at;
        if let Err(problem) = check_key_name(name) {
            reader.refuse(
                at,
                problem,
                "write `[identity.keys.NAME]` with another name",
            );
            return;
        }
        let section = format!("identity.keys.{name}");
        let has_both = table.contains_key("key") && table.contains_key("key_sha256");
        if let Some(hash) = table.get("key_sha256").filter(|_| has_both) {
            reader.refuse(
                &hash.span(),
                "a key has either `key` or `key_sha256`, not both",
                "keep `key_sha256`, so that the file contains no secret",
            );
            take(&mut table, &["key", "key_sha256"]);
        }
        let (table, notes) = reader.section::<ApiKeyTable>(&section, at, table, &RULES);
        let table = table.unwrap_or_default();
        let Some(text) = notes.at("key").or(notes.at("key_sha256")) else {
            if !has_both && notes.is_whole(reader) {
                reader.refuse(
                    at,
                    format!("`[{section}]` has no `key`"),
                    "add `key = \"${MCP_API_KEY}\"`",
                );
            }
            return;
        };
        let key = match (table.key, table.key_sha256) {
            (Some(key), _) => ApiKeyValue::Plain(key),
            (None, Some(hash)) => ApiKeyValue::Sha256(hash),
            (None, None) => {
                let why = notes.why_blank("key").or(notes.why_blank("key_sha256"));
                self.off
                    .extend(why.map(|why| (name.to_owned(), why.clone())));
                return;
            }
        };
        self.warn_of_twin(reader, name, &key, text);
        if table.forwards && self.forwarder.is_none() {
            self.forwarder = Some((name.to_owned(), at.clone()));
        }
        self.on.push(ApiKey {
            name: name.to_owned(),
            key,
            groups: table.groups,
            forwards: table.forwards,
            workspace: table
                .workspace
                .unwrap_or_else(|| DEFAULT_WORKSPACE.to_owned()),
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
            reader.warn(
                at,
                format!("the keys `{twin}` and `{name}` have the same value"),
                format!("logs will show `{twin}` for both; give `{name}` a different value"),
            );
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

parsed! {
    /// Reads the hash of a key.
    key_sha256 -> Option<[u8; 32]> = |text| unhex(text).map(Some).ok_or_else(|| {
        let hint = "`printf %s \"$KEY\" | sha256sum` prints them";
        BadValue::new(format!("{KEY} is made of 64 hexadecimal digits"), hint)
    });
    /// Reads the workspace of a key.
    workspace -> Option<String> = |text| match text {
        "*" => {
            let hint = format!("write a name, or leave {KEY} out for `default`");
            Err(BadValue::new(format!("{KEY}: `*` is not a valid workspace"), hint))
        }
        text => Ok(Some(text.to_owned())),
    };
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let digits: Option<Vec<u8>> = text
        .chars()
        .map(|digit| u8::try_from(digit.to_digit(16)?).ok())
        .collect();
    let bytes: Vec<u8> = digits?
        .chunks(2)
        .map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit))
        .collect();
    (text.len() == 64).then(|| bytes.try_into().ok())?
}

fn hash(key: &ApiKeyValue) -> [u8; 32] {
    match key {
        ApiKeyValue::Plain(text) => Sha256::digest(text.expose()).into(),
        ApiKeyValue::Sha256(hash) => *hash,
    }
}
