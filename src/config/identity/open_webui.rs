//! `[identity.open_webui]`: the users of Open WebUI.

use std::time::Duration;

use serde::Deserialize;
use toml::de::DeTable;

use crate::config::{
    OpenWebUiSettings,
    diagnostic::Span,
    reader::{ConfigReader, Text},
};

/// A user who was signed out or removed must lose access within a minute.
const CACHE_TTL_MAX: Duration = Duration::from_mins(1);

/// The section in the file. Defaults are those of [`OpenWebUiSettings`].
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct OpenWebUiTable {
    secret_key: Option<Text>,
    url: Option<Text>,
    jwt_secret: Option<Text>,
    jwt_audience: Option<Text>,
    jwt_alone: bool,
    cache_ttl: Option<Text>,
    progress: Option<bool>,
}

/// Reads the section. A session token of Open WebUI contains only the user's id, so the bridge needs a
/// database or server to look the user up (docs/access.md).
pub(super) fn read(
    reader: &mut ConfigReader<'_>,
    span: &Span,
    table: DeTable<'_>,
    has_directory: bool,
) -> OpenWebUiSettings {
    let mut open_webui = OpenWebUiSettings::default();
    let before = reader.problems.len();
    let Some(table) = reader.table::<OpenWebUiTable>("identity.open_webui", span, table) else {
        return open_webui;
    };
    if let Some(progress) = table.progress {
        open_webui.progress = progress;
    }
    let url = table.url.as_ref().map(|text| reader.optional(text));
    if let Some(Some(Ok(text))) = &url {
        open_webui.url = reader.web_url("url", text, "http://open-webui:8080");
    }
    let secret = table.secret_key.as_ref().map(|text| {
        (
            text.span(),
            reader.secret("secret_key", "WEBUI_SECRET_KEY", text),
        )
    });
    match secret {
        Some((at, Some(Ok(secret)))) => {
            let is_whole = !reader.problems.has_errors_since(before);
            if is_whole && !has_directory && open_webui.url.is_none() {
                reader
                    .problems
                    .error(
                        &at,
                        "a session token contains no e-mail address, and there is no source to look up its user",
                    )
                    .hint("set `open_webui` in `[database]` to Open WebUI's database (OPEN_WEBUI_DATABASE_URL), or `url` here to its address (OPEN_WEBUI_URL)");
            }
            open_webui.secret_key = Some(secret);
        }
        Some((_, Some(Err(reason)))) if open_webui.url.is_none() => {
            reader.turn_off("Open WebUI's sessions", reason);
        }
        Some(_) | None => {}
    }
    if let Some(text) = &table.jwt_secret {
        match reader.secret("jwt_secret", "FORWARD_USER_INFO_HEADER_JWT_SECRET", text) {
            Some(Ok(secret)) => open_webui.jwt_secret = Some(secret),
            Some(Err(reason)) => reader.turn_off("Open WebUI's signed headers", reason),
            None => {}
        }
    }
    if let Some(Some(Ok(text))) = table.jwt_audience.map(|text| reader.optional(&text)) {
        open_webui.jwt_audience = Some(text.into_inner());
    }
    open_webui.jwt_alone = table.jwt_alone;
    if let Some(text) = table.cache_ttl.and_then(|text| reader.required(&text))
        && let Some(duration) = reader.duration_up_to("cache_ttl", &text, CACHE_TTL_MAX)
    {
        open_webui.cache_ttl = duration;
    }
    open_webui
}
