//! `[database]`: the storage of grants and the audit trail.

use std::path::Path;

use serde::Deserialize;
use toml::Spanned;
use url::Url;

use super::{
    DatabaseSettings, DatabaseUrl, RedisSettings,
    diagnostic::Span,
    reader::{ConfigReader, ScalarSetting, Text},
    setting::ListSetting,
};
use crate::secret::Secret;

/// Open WebUI's default prefix of its keys in Redis (`REDIS_KEY_PREFIX`).
const REDIS_PREFIX: &str = "open-webui";

/// The minimum length. A party that obtains the database could guess a shorter key by trying.
const SECRET_KEY_CHARACTERS_MIN: usize = 32;

/// The section in the file. Defaults are those of [`DatabaseSettings`].
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct DatabaseTable {
    url: Option<Text>,
    open_webui: Option<Text>,
    redis_url: Option<Text>,
    redis_prefix: Option<Text>,
    timeout: Option<Text>,
    connections_max: Option<Spanned<ScalarSetting>>,
    secret_key: Option<Text>,
    secret_keys_old: Option<Spanned<ListSetting>>,
    secret_key_file: Option<Text>,
}

impl DatabaseTable {
    /// Validates and resolves the section.
    pub(super) fn resolve(self, reader: &mut ConfigReader<'_>) -> DatabaseSettings {
        let mut database = DatabaseSettings::beside(&reader.folder);
        if let Some(url) = self.url.and_then(|text| url(reader, "url", &text)) {
            database.url = url;
        }
        let open_webui = self.open_webui.as_ref();
        database.open_webui = match open_webui.map(|text| (text, url(reader, "open_webui", text))) {
            Some((text, Some(found))) => {
                refuse_own(reader, text, &database.url, &found);
                Some(found)
            }
            Some((_, None)) | None => {
                Some(database.url.clone()).filter(|url| matches!(url, DatabaseUrl::Postgres(_)))
            }
        };
        database.redis = redis(reader, self.redis_url, self.redis_prefix);
        if let Some(text) = self.timeout.and_then(|text| reader.required(&text))
            && let Some(duration) = reader.duration("timeout", &text)
        {
            database.timeout = duration;
        }
        if let Some(scalar) = self.connections_max
            && let Some(number) = reader.count("connections_max", &scalar, 1)
        {
            database.connections_max = u32::try_from(number).unwrap_or(u32::MAX);
        }
        database.secret_key = self
            .secret_key
            .and_then(|text| secret_key(reader, "secret_key", "BRIDGE_SECRET_KEY", &text));
        if let Some(list) = self.secret_keys_old {
            database.secret_keys_old = old_keys(reader, &list);
        }
        if let Some(Ok(text)) = self.secret_key_file.and_then(|text| reader.optional(&text)) {
            database.secret_key_file = reader.folder.join(text.into_inner());
        }
        database
    }
}

/// Reads an encryption key. `None`: blank, or already reported.
fn secret_key(
    reader: &mut ConfigReader<'_>,
    key: &str,
    variable: &str,
    text: &Text,
) -> Option<Secret> {
    let secret = reader.secret_of_any_length(key, variable, text)?.ok()?;
    long_enough(reader, key, &text.span(), secret)
}

/// Returns the secret, unless it is too short for encryption.
fn long_enough(
    reader: &mut ConfigReader<'_>,
    key: &str,
    at: &Span,
    secret: Secret,
) -> Option<Secret> {
    let length = secret.expose().chars().count();
    if length >= SECRET_KEY_CHARACTERS_MIN {
        return Some(secret);
    }
    reader
        .problems
        .error(
            at,
            format!(
                "`{key}` has {length} characters; a key that encrypts tokens needs at least {SECRET_KEY_CHARACTERS_MIN}"
            ),
        )
        .hint("`openssl rand -hex 32` makes a good one");
    None
}

/// Reads former keys. One variable may contain several, separated by commas.
fn old_keys(reader: &mut ConfigReader<'_>, list: &Spanned<ListSetting>) -> Vec<Secret> {
    let is_literal = |text: &str| !text.trim().is_empty() && !text.contains("${");
    let literal = match list.get_ref() {
        ListSetting::One(text) => is_literal(text),
        ListSetting::Many(texts) => texts.iter().any(|text| is_literal(text.get_ref())),
    };
    if literal {
        reader
            .problems
            .warning(
                &list.span(),
                "`secret_keys_old` is written in plain text in the file",
            )
            .hint(
                "move it to the environment: `secret_keys_old = [\"${BRIDGE_SECRET_KEY_OLD:-}\"]`",
            );
    }
    let words = reader.words(list);
    words
        .into_iter()
        .filter_map(|word| {
            let span = word.span();
            long_enough(
                reader,
                "secret_keys_old",
                &span,
                Secret::new(word.into_inner()),
            )
        })
        .collect()
}

/// Reads the address of a database. `None` if it is blank or was reported.
fn url(reader: &mut ConfigReader<'_>, key: &str, text: &Text) -> Option<DatabaseUrl> {
    let is_literal = !text.get_ref().contains("${");
    let text = reader.optional(text)?.ok()?;
    let parsed = parse(text.get_ref(), key == "open_webui", &reader.folder);
    match parsed {
        Ok(url) => {
            if is_literal && has_password(&url) {
                reader
                    .problems
                    .warning(
                        &text.span(),
                        format!(
                            "`{key}` contains a password and is written in plain text in the file"
                        ),
                    )
                    .hint(format!(
                        "move it to the environment: `{key} = \"${{DATABASE_URL}}\"`"
                    ));
            }
            Some(url)
        }
        Err((problem, hint)) => {
            reader
                .problems
                .error(&text.span(), format!("`{key}`: {problem}"))
                .hint(hint);
            None
        }
    }
}

/// A problem and its hint. Neither shows the URL, because it may contain a password.
type Misread = (String, &'static str);

/// The hint for SQLite.
const SQLITE_HINT: &str = "write `\"sqlite:mcp-bridge.db\"`, a path relative to this file, or `\"sqlite:///var/lib/mcp-bridge.db\"`";
/// The hint for PostgreSQL.
const POSTGRES_HINT: &str = "write `\"postgresql://USER:PASSWORD@HOST:5432/NAME\"`; `@`, `:`, `/`, `#` and `%` in a password are written `%40`, `%3A`, `%2F`, `%23`, `%25`";

/// Parses the URLs that sqlx, SQLAlchemy and Open WebUI accept: `postgresql+psycopg2://` is PostgreSQL.
fn parse(text: &str, takes_paths: bool, folder: &Path) -> Result<DatabaseUrl, Misread> {
    let Some((scheme, rest)) = text.split_once(':') else {
        if takes_paths {
            return Ok(DatabaseUrl::Sqlite(folder.join(text)));
        }
        return Err(("this is not a database URL".to_owned(), SQLITE_HINT));
    };
    let kind = scheme.split('+').next().unwrap_or_default().to_lowercase();
    match kind.as_str() {
        "sqlite" => sqlite(rest, folder),
        "postgres" | "postgresql" => postgres(rest),
        _ if takes_paths && !rest.starts_with("//") => Ok(DatabaseUrl::Sqlite(folder.join(text))),
        _ => Err((
            "only PostgreSQL and SQLite are supported".to_owned(),
            "write `\"postgresql://USER:PASSWORD@HOST:5432/NAME\"` or `\"sqlite:mcp-bridge.db\"`",
        )),
    }
}

fn sqlite(rest: &str, folder: &Path) -> Result<DatabaseUrl, Misread> {
    let path = rest.strip_prefix("//").unwrap_or(rest);
    let path = path.split('?').next().unwrap_or_default();
    if path.is_empty() || path.trim_matches('/') == ":memory:" {
        let problem = "an in-memory database loses grants and records when the server stops";
        return Err((problem.to_owned(), SQLITE_HINT));
    }
    // SQLAlchemy writes an absolute path with four slashes.
    let path = match path.strip_prefix("//") {
        Some(absolute) => format!("/{absolute}"),
        None => path.to_owned(),
    };
    Ok(DatabaseUrl::Sqlite(folder.join(path)))
}

fn postgres(rest: &str) -> Result<DatabaseUrl, Misread> {
    let misread = |problem: String| (problem, POSTGRES_HINT);
    if !rest.starts_with("//") {
        return Err(misread("`//` is missing after the scheme".to_owned()));
    }
    let mut url = Url::parse(&format!("postgres:{rest}"))
        .map_err(|error| misread(format!("this is not a valid URL: {error}")))?;
    let has_host = url.host_str().is_some_and(|host| !host.is_empty());
    if !has_host && !url.query_pairs().any(|(key, _)| key.starts_with("host")) {
        return Err(misread("the host is missing".to_owned()));
    }
    // The rest of a password with an unescaped `#`.
    if url.fragment().is_some() {
        return Err(misread("it contains a `#`".to_owned()));
    }
    // asyncpg's name of `sslmode`. It must not be dropped, because it asks for encryption.
    if url.query_pairs().any(|(key, _)| key == "ssl") {
        let pairs: Vec<(String, String)> = url
            .query_pairs()
            .map(|(key, value)| match &*key {
                "ssl" if value == "true" => ("sslmode".to_owned(), "require".to_owned()),
                "ssl" => ("sslmode".to_owned(), value.into_owned()),
                _ => (key.into_owned(), value.into_owned()),
            })
            .collect();
        url.query_pairs_mut().clear().extend_pairs(pairs);
    }
    Ok(DatabaseUrl::Postgres(Secret::new(String::from(url))))
}

/// Open WebUI's file is only read, so the bridge needs a file of its own for its tables.
fn refuse_own(reader: &mut ConfigReader<'_>, text: &Text, own: &DatabaseUrl, found: &DatabaseUrl) {
    if matches!(own, DatabaseUrl::Sqlite(_)) && own == found {
        reader
            .problems
            .error(
                &text.span(),
                "`open_webui` and `url` are the same file, and Open WebUI's file is only read",
            )
            .hint("leave `url` out; the tables of mcp-bridge are then in `mcp-bridge.db` next to this file");
    }
}

fn redis(
    reader: &mut ConfigReader<'_>,
    url: Option<Text>,
    prefix: Option<Text>,
) -> Option<RedisSettings> {
    let prefix = prefix.and_then(|text| reader.optional(&text)?.ok());
    let text = reader.optional(&url?)?.ok()?;
    let scheme = Url::parse(text.get_ref()).map(|url| url.scheme().to_owned());
    if !matches!(scheme.as_deref(), Ok("redis" | "rediss")) {
        reader
            .problems
            .error(&text.span(), "`redis_url` is not a Redis URL")
            .hint("write `\"redis://HOST:6379/0\"`, or `\"rediss://…\"` for TLS");
        return None;
    }
    Some(RedisSettings {
        url: Secret::new(text.into_inner()),
        prefix: prefix.map_or_else(|| REDIS_PREFIX.to_owned(), Text::into_inner),
    })
}

/// Whether a URL contains a password.
fn has_password(url: &DatabaseUrl) -> bool {
    match url {
        DatabaseUrl::Sqlite(_) => false,
        DatabaseUrl::Postgres(url) => {
            Url::parse(url.expose()).is_ok_and(|url| url.password().is_some())
        }
    }
}
