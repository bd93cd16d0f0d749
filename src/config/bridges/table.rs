//! The keys of a bridge that depend on each other, as they stand in the file.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, de};
use toml::Spanned;

use crate::config::read::{
    reader::{Scalar, Text},
    setting::{Flag, List},
};

/// The keys that depend on each other: how the server is reached, with which credentials, and the names of its
/// tools. Their references are replaced while they are read, because it depends on other keys what a missing
/// one means.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct BridgeTable {
    pub(in crate::config) enabled: Option<Spanned<Flag>>,
    pub(in crate::config) command: Option<Text>,
    pub(in crate::config) args: Option<Vec<Text>>,
    pub(in crate::config) env: BTreeMap<Text, Text>,
    pub(in crate::config) inherit_env: Option<Spanned<bool>>,
    pub(in crate::config) cwd: Option<Text>,
    pub(in crate::config) user: Option<Spanned<Scalar>>,
    pub(in crate::config) url: Option<Text>,
    pub(in crate::config) transport: Option<Text>,
    pub(in crate::config) headers: BTreeMap<Text, Text>,
    pub(in crate::config) basic_auth: Option<Spanned<BasicTable>>,
    pub(in crate::config) oauth: Option<Spanned<OAuthTable>>,
    pub(in crate::config) pass_headers: Option<Spanned<List>>,
    pub(in crate::config) credential: Option<Text>,
    pub(in crate::config) protocol: Option<Text>,
    pub(in crate::config) rename: BTreeMap<Text, Text>,
    pub(in crate::config) aliases: BTreeMap<Text, Text>,
    pub(in crate::config) with_key: Option<Spanned<KeyTable>>,
    /// Whether a key was left out because it did not fit, and has been reported.
    #[serde(skip)]
    pub(in crate::config) is_partial: bool,
}

/// As it stands in the file: the keys of a bridge that say how its server is reached.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct KeyTable {
    pub(in crate::config) command: Option<Text>,
    pub(in crate::config) args: Option<Vec<Text>>,
    pub(in crate::config) env: BTreeMap<Text, Text>,
    pub(in crate::config) inherit_env: Option<Spanned<bool>>,
    pub(in crate::config) cwd: Option<Text>,
    pub(in crate::config) user: Option<Spanned<Scalar>>,
    pub(in crate::config) url: Option<Text>,
    pub(in crate::config) transport: Option<Text>,
    pub(in crate::config) headers: BTreeMap<Text, Text>,
    pub(in crate::config) basic_auth: Option<Spanned<BasicTable>>,
    pub(in crate::config) pass_headers: Option<Spanned<List>>,
    pub(in crate::config) protocol: Option<Text>,
    pub(in crate::config) credential: Option<Text>,
}

/// The `basic_auth` table in the file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct BasicTable {
    pub(in crate::config) user: Option<Text>,
    pub(in crate::config) password: Option<Text>,
}

impl BasicTable {
    /// Its texts.
    pub(in crate::config) fn texts(&self) -> impl Iterator<Item = &Text> {
        self.user.iter().chain(&self.password)
    }
}

/// The table in the file. An empty table is enough. Defaults are those of [`OAuth`].
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct OAuthTable {
    pub(in crate::config) client_id: Option<Text>,
    pub(in crate::config) client_secret: Option<Text>,
    pub(in crate::config) scopes: Option<Spanned<List>>,
    pub(in crate::config) grant: Option<Text>,
    pub(in crate::config) client_metadata_url: Option<Text>,
    pub(in crate::config) private_network: Option<Spanned<Flag>>,
    pub(in crate::config) resource: Option<Spanned<ResourceText>>,
    pub(in crate::config) issuer: Option<Text>,
    pub(in crate::config) metadata_url: Option<Text>,
    pub(in crate::config) token_endpoint_auth_method: Option<Text>,
}

/// `resource`: `false`, or a name.
#[derive(Debug, Clone)]
pub(in crate::config) enum ResourceText {
    /// `false`
    Plain(bool),
    /// `"api://…"`
    Text(String),
}

impl<'de> Deserialize<'de> for ResourceText {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl de::Visitor<'_> for Visitor {
            type Value = ResourceText;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("`false` or a URI in quotes")
            }

            fn visit_bool<E: de::Error>(self, value: bool) -> Result<ResourceText, E> {
                Ok(ResourceText::Plain(value))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<ResourceText, E> {
                Ok(ResourceText::Text(text.to_owned()))
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}
