//! `[identity.open_webui]`: the users of Open WebUI.

use toml::de::DeTable;
use url::Url;

use crate::config::{
    OpenWebUi,
    diagnostic::Span,
    read::{
        section::{SECRET_BYTES_MIN, SecretRule, SectionRules},
        value::{parsed, web_url},
    },
    reader::Reader,
};

const RULES: SectionRules = SectionRules {
    optional: &["url", "jwt_audience"],
    secrets: &[
        SecretRule {
            key: "secret_key",
            variable: "WEBUI_SECRET_KEY",
            bytes_min: SECRET_BYTES_MIN,
        },
        SecretRule {
            key: "jwt_secret",
            variable: "FORWARD_USER_INFO_HEADER_JWT_SECRET",
            bytes_min: SECRET_BYTES_MIN,
        },
    ],
    ..SectionRules::NONE
};

/// Reads the section. A session token of Open WebUI contains only the user's id, so the bridge needs a
/// database or server to look the user up (docs/access.md).
pub(super) fn read(
    reader: &mut Reader<'_>,
    span: &Span,
    table: DeTable<'_>,
    has_directory: bool,
) -> OpenWebUi {
    let section = "identity.open_webui";
    let (open_webui, notes) = reader.section::<OpenWebUi>(section, span, table, &RULES);
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
        reader
            .problems
            .error(
                at,
                "a session token contains no e-mail address, and there is no source to look up its user",
            )
            .hint("set `open_webui` in `[database]` to Open WebUI's database (OPEN_WEBUI_DATABASE_URL), or `url` here to its address (OPEN_WEBUI_URL)");
    }
    open_webui
}

parsed! {
    /// Reads its address.
    url -> Option<Url> = |text| web_url(text, "http://open-webui:8080").map(Some);
}
