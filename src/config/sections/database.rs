//! `[database]`: the storage of grants and the audit trail.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use serde::Deserialize;
use toml::de::DeTable;
use url::Url;

use crate::{
    config::read::{
        BadValue, ConfigReader, KEY, Parsed, SecretRule, SectionRules, Span, YEAR, parsed, reads,
        value, words_of,
    },
    secret::Secret,
};

/// `[database]`: the storage of grants and the audit trail.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DatabaseSettings {
    /// The database. Default: the SQLite file `mcp-bridge.db` next to the configuration file.
    #[serde(deserialize_with = "url")]
    pub url: DatabaseUrl,
    /// Open WebUI's own database, which is only read. Default: the same database, if it is PostgreSQL.
    #[serde(deserialize_with = "open_webui")]
    pub open_webui: Option<DatabaseUrl>,
    /// Redis: counts calls across all replicas, and contains Open WebUI's signed-out tokens.
    pub redis: Option<RedisSettings>,
    /// The timeout of a query, including waiting for a connection. Default 2 s.
    #[serde(deserialize_with = "value::duration::<YEAR, _>")]
    pub timeout: Duration,
    /// The maximum number of connections to PostgreSQL. Default 8.
    #[serde(deserialize_with = "pool_size")]
    pub connections_max: u32,
    /// The encryption key for tokens and keys of groups; at least 32 characters. Default: the contents of
    /// `secret_key_file`.
    #[serde(deserialize_with = "secret_key")]
    pub secret_key: Option<Secret>,
    /// Former keys, which still decrypt. New data is encrypted with the current key.
    #[serde(deserialize_with = "old_keys")]
    pub secret_keys_old: Vec<Secret>,
    /// The file with the key that is used while `secret_key` is blank. Default `mcp-bridge.key` next to the
    /// configuration file.
    pub secret_key_file: PathBuf,
}

/// A database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DatabaseUrl {
    /// A file.
    Sqlite(PathBuf),
    /// `postgres://…`, including the password.
    Postgres(Secret),
}

/// Redis.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RedisSettings {
    /// `redis://…` or `rediss://…`, including the password.
    #[serde(rename = "redis_url", deserialize_with = "redis_url")]
    pub url: Secret,
    /// Open WebUI's `REDIS_KEY_PREFIX`. Default `open-webui`.
    #[serde(rename = "redis_prefix", default = "redis_prefix")]
    pub prefix: String,
}

impl Default for DatabaseSettings {
    /// SQLite in the current folder.
    fn default() -> Self {
        Self::beside(Path::new(""))
    }
}

impl DatabaseSettings {
    /// SQLite next to the configuration file.
    pub fn beside(folder: &Path) -> Self {
        Self {
            url: DatabaseUrl::Sqlite(folder.join("mcp-bridge.db")),
            open_webui: None,
            redis: None,
            timeout: Duration::from_secs(2),
            connections_max: 8,
            secret_key: None,
            secret_keys_old: Vec::new(),
            secret_key_file: folder.join("mcp-bridge.key"),
        }
    }
}

/// The minimum length. A party that obtains the database could guess a shorter key by trying.
const SECRET_KEY_CHARACTERS_MIN: usize = 32;

const RULES: SectionRules = SectionRules {
    optional: &[
        "url",
        "open_webui",
        "redis_url",
        "redis_prefix",
        "secret_key_file",
    ],
    empty: &["secret_keys_old"],
    secrets: &[SecretRule::new("secret_key", "BRIDGE_SECRET_KEY", 0)],
    groups: &[("redis", &["redis_url", "redis_prefix"])],
    ..SectionRules::NONE
};

/// Reads the section.
pub fn read(reader: &mut ConfigReader<'_>, at: &Span, table: DeTable<'_>) -> DatabaseSettings {
    let (database, notes) = reader.section::<DatabaseSettings>("database", at, table, &RULES);
    let mut database = database.unwrap_or_default();
    database.secret_key_file = reader.folder.join(&database.secret_key_file);
    let urls = [
        ("url", Some(&mut database.url)),
        ("open_webui", database.open_webui.as_mut()),
    ];
    for (key, url) in urls {
        match (url, notes.at(key)) {
            (Some(DatabaseUrl::Sqlite(path)), _) => *path = reader.folder.join(&*path),
            (Some(DatabaseUrl::Postgres(url)), Some(at))
                if notes.is_literal(key) && has_password(url) =>
            {
                reader.warn(
                    at,
                    format!("`{key}` contains a password and is written in plain text in the file"),
                    format!("move it to the environment: `{key} = \"${{DATABASE_URL}}\"`"),
                );
            }
            (Some(DatabaseUrl::Postgres(_)) | None, _) => {}
        }
    }
    let is_file = matches!(database.url, DatabaseUrl::Sqlite(_));
    match (&database.open_webui, notes.at("open_webui")) {
        // Open WebUI's file is only read, so the bridge needs a file of its own for its tables.
        (Some(other), Some(at)) if is_file && *other == database.url => {
            reader.refuse(
                    at,
                    "`open_webui` and `url` are the same file, and Open WebUI's file is only read", "leave `url` out; the tables of mcp-bridge are then in `mcp-bridge.db` next to this file");
        }
        (None, _) if !is_file => database.open_webui = Some(database.url.clone()),
        (Some(_) | None, _) => {}
    }
    if let Some(at) = notes
        .at("secret_keys_old")
        .filter(|_| notes.is_literal("secret_keys_old"))
    {
        reader.warn(
            at,
            "`secret_keys_old` is written in plain text in the file",
            "move it to the environment: `secret_keys_old = [\"${BRIDGE_SECRET_KEY_OLD:-}\"]`",
        );
    }
    database
}

/// Open WebUI's default prefix of its keys in Redis (`REDIS_KEY_PREFIX`).
pub fn redis_prefix() -> String {
    "open-webui".to_owned()
}

parsed! {
    /// Reads the address of the database.
    url -> DatabaseUrl = |text| parse(text, false);
    /// Reads the address of Open WebUI's database, which may be a path.
    open_webui -> Option<DatabaseUrl> = |text| parse(text, true).map(Some);
    /// Reads the address of Redis.
    redis_url -> Secret = |text| {
        let scheme = Url::parse(text).map(|url| url.scheme().to_owned());
        if matches!(scheme.as_deref(), Ok("redis" | "rediss")) {
            return Ok(Secret::new(text));
        }
        let hint = "write `\"redis://HOST:6379/0\"`, or `\"rediss://…\"` for TLS";
        Err(BadValue::new(format!("{KEY} is not a Redis URL"), hint))
    };
    /// Reads an encryption key.
    secret_key -> Option<Secret> = |text| encryption_key(text).map(Some);
}

reads! {
    /// Reads former keys. One variable may contain several, separated by commas.
    old_keys -> Vec<Secret> = |it| words_of(it, encryption_key);
}

reads! {
    /// Reads the maximum number of connections.
    pool_size -> u32 = |it| value::count::<1, D>(it).map(|number| u32::try_from(number).unwrap_or(u32::MAX));
}

/// Returns the secret, unless it is too short for encryption.
fn encryption_key(text: &str) -> Parsed<Secret> {
    let length = text.chars().count();
    if length >= SECRET_KEY_CHARACTERS_MIN {
        return Ok(Secret::new(text));
    }
    let message = format!(
        "{KEY} has {length} characters; a key that encrypts tokens needs at least {SECRET_KEY_CHARACTERS_MIN}"
    );
    Err(BadValue::new(
        message,
        "`openssl rand -hex 32` makes a good one",
    ))
}

/// The hint for SQLite.
const SQLITE_HINT: &str = "write `\"sqlite:mcp-bridge.db\"`, a path relative to this file, or `\"sqlite:///var/lib/mcp-bridge.db\"`";
/// The hint for PostgreSQL.
const POSTGRES_HINT: &str = "write `\"postgresql://USER:PASSWORD@HOST:5432/NAME\"`; `@`, `:`, `/`, `#` and `%` in a password are written `%40`, `%3A`, `%2F`, `%23`, `%25`";

/// Parses the URLs that sqlx, SQLAlchemy and Open WebUI accept: `postgresql+psycopg2://` is PostgreSQL.
fn parse(text: &str, takes_paths: bool) -> Parsed<DatabaseUrl> {
    let Some((scheme, rest)) = text.split_once(':') else {
        if takes_paths {
            return Ok(DatabaseUrl::Sqlite(PathBuf::from(text)));
        }
        return Err(misread("this is not a database URL", SQLITE_HINT));
    };
    let kind = scheme.split('+').next().unwrap_or_default().to_lowercase();
    match kind.as_str() {
        "sqlite" => sqlite(rest),
        "postgres" | "postgresql" => postgres(rest),
        _ if takes_paths && !rest.starts_with("//") => Ok(DatabaseUrl::Sqlite(PathBuf::from(text))),
        _ => Err(misread(
            "only PostgreSQL and SQLite are supported",
            "write `\"postgresql://USER:PASSWORD@HOST:5432/NAME\"` or `\"sqlite:mcp-bridge.db\"`",
        )),
    }
}

fn sqlite(rest: &str) -> Parsed<DatabaseUrl> {
    let path = rest.strip_prefix("//").unwrap_or(rest);
    let path = path.split('?').next().unwrap_or_default();
    if path.is_empty() || path.trim_matches('/') == ":memory:" {
        let problem = "an in-memory database loses grants and records when the server stops";
        return Err(misread(problem, SQLITE_HINT));
    }
    // SQLAlchemy writes an absolute path with four slashes.
    let path = match path.strip_prefix("//") {
        Some(absolute) => format!("/{absolute}"),
        None => path.to_owned(),
    };
    Ok(DatabaseUrl::Sqlite(PathBuf::from(path)))
}

fn postgres(rest: &str) -> Parsed<DatabaseUrl> {
    let misread = |problem: &str| misread(problem, POSTGRES_HINT);
    if !rest.starts_with("//") {
        return Err(misread("`//` is missing after the scheme"));
    }
    let mut url = Url::parse(&format!("postgres:{rest}"))
        .map_err(|error| misread(&format!("this is not a valid URL: {error}")))?;
    let has_host = url.host_str().is_some_and(|host| !host.is_empty());
    if !has_host && !url.query_pairs().any(|(key, _)| key.starts_with("host")) {
        return Err(misread("the host is missing"));
    }
    // The rest of a password with an unescaped `#`.
    if url.fragment().is_some() {
        return Err(misread("it contains a `#`"));
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

/// Returns an error. It does not show the URL, because that may contain a password.
fn misread(problem: &str, hint: &str) -> BadValue {
    BadValue::new(format!("{KEY}: {problem}"), hint)
}

/// Whether a URL contains a password.
fn has_password(url: &Secret) -> bool {
    Url::parse(url.expose()).is_ok_and(|url| url.password().is_some())
}
