//! `[identity.open_webui]`: the users of Open WebUI.

use std::time::Duration;

use serde::Deserialize;
use toml::de::DeTable;
use url::Url;

use crate::{
    config::read::{
        ConfigReader, SECRET_BYTES_MIN, SecretRule, SectionRules, Span, parsed, value, web_url,
    },
    secret::Secret,
};

/// `[identity.open_webui]`: the users of Open WebUI. `None` disables a method.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OpenWebUiSettings {
    /// Its `WEBUI_SECRET_KEY`. The bridge verifies session tokens with it and looks the users up in Open
    /// WebUI's database.
    #[serde(deserialize_with = "value::secret")]
    pub secret_key: Option<Secret>,
    /// Its address. Session tokens are verified there if the database is not available.
    #[serde(deserialize_with = "url")]
    pub url: Option<Url>,
    /// Its `FORWARD_USER_INFO_HEADER_JWT_SECRET`, which signs `X-OpenWebUI-User-Jwt`.
    #[serde(deserialize_with = "value::secret")]
    pub jwt_secret: Option<Secret>,
    /// The `aud` with which the signed header is valid without a forwarder's key. Default none.
    pub jwt_audience: Option<String>,
    /// Whether the signed header is valid without a forwarder's key and without an audience. Default false:
    /// every server that receives the header from Open WebUI could send it to the bridge.
    pub jwt_alone: bool,
    /// How long a user lookup is cached. Default 30 s, at most 60 s.
    #[serde(deserialize_with = "value::duration::<60, _>")]
    pub cache_ttl: Duration,
    /// Whether the progress of a call is shown in its chat, if `url` is known. Default true; a bridge may
    /// override it.
    pub progress: bool,
}

impl Default for OpenWebUiSettings {
    fn default() -> Self {
        Self {
            secret_key: None,
            url: None,
            jwt_secret: None,
            jwt_audience: None,
            jwt_alone: false,
            cache_ttl: Duration::from_secs(30),
            progress: true,
        }
    }
}

impl OpenWebUiSettings {
    /// Whether any of its ways to authenticate is enabled.
    pub fn is_on(&self) -> bool {
        self.secret_key.is_some() || self.url.is_some() || self.jwt_secret.is_some()
    }
}

const RULES: SectionRules = SectionRules {
    optional: &["url", "jwt_audience"],
    secrets: &[
        SecretRule::new("secret_key", "WEBUI_SECRET_KEY", SECRET_BYTES_MIN),
        SecretRule::new(
            "jwt_secret",
            "FORWARD_USER_INFO_HEADER_JWT_SECRET",
            SECRET_BYTES_MIN,
        ),
    ],
    ..SectionRules::NONE
};

/// Reads the section. A session token of Open WebUI contains only the user's id, so the bridge needs a
/// database or server to look the user up (docs/access.md).
pub(super) fn read(
    reader: &mut ConfigReader<'_>,
    span: &Span,
    table: DeTable<'_>,
    has_directory: bool,
) -> OpenWebUiSettings {
    let section = "identity.open_webui";
    let (open_webui, notes) = reader.section::<OpenWebUiSettings>(section, span, table, &RULES);
    let open_webui = open_webui.unwrap_or_default();
    if let Some(why) = notes
        .why_blank("secret_key")
        .filter(|_| open_webui.url.is_none())
    {
        reader.turn_off("Open WebUI's sessions", why.clone());
    }
    if let Some(why) = notes.why_blank("jwt_secret") {
        reader.turn_off("Open WebUI's signed headers", why.clone());
    }
    let has_source = has_directory || open_webui.url.is_some();
    if let Some(at) = notes.at("secret_key")
        && open_webui.secret_key.is_some()
        && !has_source
        && notes.is_whole(reader)
    {
        reader.refuse(
                at,
                "a session token contains no e-mail address, and there is no source to look up its user", "set `open_webui` in `[database]` to Open WebUI's database (OPEN_WEBUI_DATABASE_URL), or `url` here to its address (OPEN_WEBUI_URL)");
    }
    open_webui
}

parsed! {
    /// Reads its address.
    url -> Option<Url> = |text| web_url(text, "http://open-webui:8080").map(Some);
}
