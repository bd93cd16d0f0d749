//! The keys of a bridge that depend on each other, as they stand in the file.

use std::collections::BTreeMap;

use serde::{Deserialize, de};
use toml::Spanned;

use crate::config::read::{FlagSetting, ListSetting, ScalarSetting, Text, ValueForms};

/// The keys of a bridge that depend on each other, but for those of [`ServerTable`].
///
/// Their references are replaced while they are read, because it depends on other keys what a missing one means.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BridgeTable {
    pub enabled: Option<Spanned<FlagSetting>>,
    pub oauth: Option<Spanned<OAuthTable>>,
    pub rename: BTreeMap<Text, Text>,
    pub aliases: BTreeMap<Text, Text>,
    pub with_key: Option<Spanned<ServerTable>>,
    #[serde(skip)]
    pub server: ServerTable,
    /// Whether a key was left out because it did not fit, and has been reported.
    #[serde(skip)]
    pub is_partial: bool,
}

/// The keys of a bridge, or of its `with_key`, that say how its server is reached.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ServerTable {
    pub command: Option<Text>,
    pub args: Option<Vec<Text>>,
    pub env: BTreeMap<Text, Text>,
    pub inherit_env: Option<Spanned<bool>>,
    pub cwd: Option<Text>,
    pub user: Option<Spanned<ScalarSetting>>,
    pub url: Option<Text>,
    pub transport: Option<Text>,
    pub headers: BTreeMap<Text, Text>,
    pub basic_auth: Option<Spanned<BasicAuthTable>>,
    pub pass_headers: Option<Spanned<ListSetting>>,
    pub protocol: Option<Text>,
    pub credential: Option<Text>,
}

/// The `basic_auth` table in the file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BasicAuthTable {
    pub user: Option<Text>,
    pub password: Option<Text>,
}

impl BasicAuthTable {
    /// Its texts.
    pub fn texts(&self) -> impl Iterator<Item = &Text> {
        self.user.iter().chain(&self.password)
    }
}

/// The table in the file. An empty table is enough. Defaults are those of
/// [`OAuthSettings`](super::oauth_types::OAuthSettings).
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OAuthTable {
    pub client_id: Option<Text>,
    pub client_secret: Option<Text>,
    pub scopes: Option<Spanned<ListSetting>>,
    pub grant: Option<Text>,
    pub client_metadata_url: Option<Text>,
    pub private_network: Option<Spanned<FlagSetting>>,
    pub resource: Option<Spanned<ResourceSetting>>,
    pub issuer: Option<Text>,
    pub metadata_url: Option<Text>,
    pub token_endpoint_auth_method: Option<Text>,
}

/// `resource`: `false`, or a name.
#[derive(Debug, Clone)]
pub enum ResourceSetting {
    /// `false`
    Plain(bool),
    /// `"api://…"`
    Text(String),
}

impl<'de> Deserialize<'de> for ResourceSetting {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let forms = ValueForms {
            expected: "`false` or a URI in quotes",
            text: |text| Ok(Self::Text(text.to_owned())),
            number: None,
            switch: Some(Self::Plain),
        };
        forms.read(deserializer)
    }
}
