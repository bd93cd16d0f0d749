//! The resolved configuration: all references replaced, all values parsed, all defaults set.
//!
//! The rest of the crate uses these types. A reload compares them with `PartialEq`.

use std::{collections::BTreeMap, net::SocketAddr, num::NonZeroU32, path::PathBuf, time::Duration};

use http::HeaderName;
use ipnet::IpNet;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use url::Url;

use super::{
    Bridge, access, audit, database,
    identity::{oidc, open_webui},
    read::value::{self, YEAR},
    server::{self, CONNECTIONS_MIN},
    telemetry,
};
use crate::{name::BridgeName, secret::Secret};

/// The whole configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Whose rules apply.
    pub flavor: Flavor,
    /// `[server]`
    pub server: Server,
    /// `[database]`; `None` if there is no storage: mcpo's command line, or one server without a file.
    pub database: Option<Database>,
    /// `[identity]`
    pub identity: Identity,
    /// `[access]`
    pub access: Access,
    /// `[limits]`
    pub limits: Limits,
    /// `[audit]`
    pub audit: Audit,
    /// `[telemetry]`
    pub telemetry: Telemetry,
    /// `[bridges.NAME]`, in the order of the file. Names are unique.
    pub bridges: Vec<Bridge>,
}

/// Whose rules apply where those of mcp-bridge and mcpo differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flavor {
    /// `bridges.toml`.
    Native,
    /// An `mcpServers` file, or mcpo's command line with `--config`: mcpo's operation ids and component
    /// names, the whole environment for child processes, and no reserved names.
    Mcpo,
    /// mcpo's command line with one server after `--`: its tools are at the root.
    McpoSingle,
}

/// `[server]`: the listen address and the HTTP settings.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Server {
    /// The listen address. Default `127.0.0.1:8000`.
    #[serde(deserialize_with = "server::listen")]
    pub listen: SocketAddr,
    /// The prefix that a reverse proxy strips, for example `/api/mcpo`. Normalized: leading `/`, no trailing
    /// one; empty for none. Routes answer with and without it.
    #[serde(deserialize_with = "server::read_root_path")]
    pub root_path: String,
    /// The public address for browsers: scheme, host, port, and the path that a reverse proxy adds. No query,
    /// no fragment, and no trailing `/`. Default: not known.
    #[serde(deserialize_with = "server::public_url")]
    pub public_url: Option<Url>,
    /// The prefix of all bridges, mcpo's `--path-prefix`. Normalized to begin and end with `/`, so `/` means
    /// none.
    #[serde(deserialize_with = "server::read_path_prefix")]
    pub path_prefix: String,
    /// Whether documents and docs pages need no identity. Default true.
    pub public_spec: bool,
    /// Whether a refresh takes the tools of servers that are down out of the documents. Default false.
    pub drop_dead: bool,
    /// Origins that browsers may call from; `*` for all. Default none (mcpo: `*`).
    #[serde(deserialize_with = "server::origins")]
    pub cors_allow_origins: Vec<String>,
    /// The certificate and key, in PEM format. Default none: plain HTTP.
    pub tls: Option<Tls>,
    /// The maximum number of connections. When it is reached, the connection that has been idle for the
    /// longest is closed. Default 4,096, or less if the limit of open files requires it.
    #[serde(deserialize_with = "value::count::<CONNECTIONS_MIN, _>")]
    pub connections_max: usize,
    /// How long new calls are accepted after SIGTERM, while `/ready` already answers 503, so that load
    /// balancers notice. Default none.
    #[serde(deserialize_with = "server::drain_delay")]
    pub drain_delay: Duration,
    /// The timeout for calls in flight after that. Default 30 s.
    #[serde(deserialize_with = "value::duration::<YEAR, _>")]
    pub drain_timeout: Duration,
    /// `info.title` of the merged document.
    pub title: String,
    /// `info.description` of the merged document.
    pub description: String,
    /// `info.version` of the merged document.
    pub version: String,
}

/// The two PEM files of a TLS listener.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// The certificate chain.
    #[serde(rename = "tls_cert")]
    pub cert_file: PathBuf,
    /// The private key.
    #[serde(rename = "tls_key")]
    pub key_file: PathBuf,
}

/// `[database]`: the storage of grants and the audit trail.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Database {
    /// The database. Default: the SQLite file `mcp-bridge.db` next to the configuration file.
    #[serde(deserialize_with = "database::url")]
    pub url: DatabaseUrl,
    /// Open WebUI's own database, which is only read. Default: the same database, if it is PostgreSQL.
    #[serde(deserialize_with = "database::open_webui")]
    pub open_webui: Option<DatabaseUrl>,
    /// Redis: counts calls across all replicas, and contains Open WebUI's signed-out tokens.
    pub redis: Option<Redis>,
    /// The timeout of a query, including waiting for a connection. Default 2 s.
    #[serde(deserialize_with = "value::duration::<YEAR, _>")]
    pub timeout: Duration,
    /// The maximum number of connections to PostgreSQL. Default 8.
    #[serde(deserialize_with = "database::pool_size")]
    pub connections_max: u32,
    /// The encryption key for tokens and keys of groups; at least 32 characters. Default: the contents of
    /// `secret_key_file`.
    #[serde(deserialize_with = "database::secret_key")]
    pub secret_key: Option<Secret>,
    /// Former keys, which still decrypt. New data is encrypted with the current key.
    #[serde(deserialize_with = "database::old_keys")]
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
pub struct Redis {
    /// `redis://…` or `rediss://…`, including the password.
    #[serde(rename = "redis_url", deserialize_with = "database::redis_url")]
    pub url: Secret,
    /// Open WebUI's `REDIS_KEY_PREFIX`. Default `open-webui`.
    #[serde(rename = "redis_prefix", default = "database::redis_prefix")]
    pub prefix: String,
}

/// `[identity]`: who may call.
#[derive(Debug, Clone, PartialEq)]
pub struct Identity {
    /// How requests without credentials are treated.
    pub anonymous: Anonymous,
    /// `[identity.keys.NAME]`. A key whose text is blank is disabled and not in this list.
    pub keys: Vec<ApiKey>,
    /// mcpo's `--strict-auth`: documents and docs pages need the key too.
    pub strict: bool,
    /// `[identity.open_webui]`
    pub open_webui: OpenWebUi,
    /// `[identity.gateway]`, if it is enabled.
    pub gateway: Option<Gateway>,
    /// `[identity.oidc.NAME]`, if enabled.
    pub oidc: Vec<Issuer>,
}

/// `[identity.open_webui]`: the users of Open WebUI. `None` disables a method.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OpenWebUi {
    /// Its `WEBUI_SECRET_KEY`. The bridge verifies session tokens with it and looks the users up in Open
    /// WebUI's database.
    #[serde(deserialize_with = "value::secret")]
    pub secret_key: Option<Secret>,
    /// Its address. Session tokens are verified there if the database is not available.
    #[serde(deserialize_with = "open_webui::url")]
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

/// `[identity.gateway]`: a gateway in front of the bridge names the user in headers.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Gateway {
    /// The addresses of the gateway. Empty: only the secret is checked.
    #[serde(deserialize_with = "value::networks")]
    pub trusted_peers: Vec<IpNet>,
    /// The secret that the gateway sends in `secret_header`.
    #[serde(deserialize_with = "value::secret")]
    pub secret: Option<Secret>,
    /// The header with the secret. Default `X-Gateway-Secret`.
    #[serde(deserialize_with = "value::header_name")]
    pub secret_header: HeaderName,
    /// The header with the e-mail address. Default `X-User-Email`.
    #[serde(deserialize_with = "value::header_name")]
    pub email_header: HeaderName,
    /// The header with a comma-separated list of groups. Default `X-User-Groups`.
    #[serde(deserialize_with = "value::header_name")]
    pub groups_header: HeaderName,
    /// The header that is `true` for an administrator. Default `X-User-Admin`.
    #[serde(deserialize_with = "value::header_name")]
    pub admin_header: HeaderName,
    /// The header with the workspace. Default `X-Tenant-ID`.
    #[serde(deserialize_with = "value::header_name")]
    pub workspace_header: HeaderName,
    /// Whether the gateway removes these headers from client requests, so that groups and the workspace also
    /// apply next to a user's own session. Default false.
    pub strips_headers: bool,
    /// Whether `Authorization` and the cookie are ignored if the gateway names the user, because they are
    /// meant for the gateway. Default false: invalid credentials are rejected.
    pub ignore_credentials: bool,
}

/// `[identity.oidc.NAME]`: an issuer of accepted bearer tokens (OpenID Connect Discovery 1.0, RFC 9068).
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(
    clippy::struct_field_names,
    reason = "the field has the name of the claim"
)]
pub struct Issuer {
    /// The name in logs.
    #[serde(skip)]
    pub name: String,
    /// The exact `iss`. Its configuration is read from `/.well-known/openid-configuration` below it.
    #[serde(deserialize_with = "oidc::secure_url")]
    pub issuer: Url,
    /// The accepted values of `aud`. Never empty.
    #[serde(rename = "audience", default, deserialize_with = "value::words")]
    pub audiences: Vec<String>,
    /// The URL of its keys, which replaces discovery.
    #[serde(default, deserialize_with = "oidc::jwks_url")]
    pub jwks_url: Option<Url>,
    /// The claims with the e-mail address; the first one present is used. `email` needs `email_verified`;
    /// other claims are trusted because the operator chose them. Default `email`.
    #[serde(default = "oidc::email_claims", deserialize_with = "value::words")]
    pub email_claims: Vec<String>,
    /// Whether `email` is accepted if the token has no `email_verified`. Default false.
    #[serde(default)]
    pub emails_verified: bool,
    /// The claims with groups, which are combined. Default `groups`, `roles`.
    #[serde(default = "oidc::groups_claims", deserialize_with = "value::words")]
    pub groups_claims: Vec<String>,
    /// The claim with the workspace. Default `tid`.
    #[serde(default = "oidc::workspace_claim")]
    pub workspace_claim: String,
}

/// `[access]`: who may call which tools.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Access {
    /// Whether the file contains the section. Without it, and with API keys alone, every key may call
    /// everything.
    #[serde(skip)]
    pub is_configured: bool,
    /// Groups that may use everything and administer the bridge. Default `MCP-Admin`.
    #[serde(deserialize_with = "value::names")]
    pub admin_groups: Vec<String>,
    /// Groups of every authenticated caller. Default none.
    #[serde(deserialize_with = "value::words")]
    pub default_groups: Vec<String>,
    /// E-mail addresses of administrators, who join the first admin group. Seeded.
    #[serde(deserialize_with = "access::admins")]
    pub admins: Vec<String>,
    /// How long grants are cached if no notification of a change arrives. Default 10 s.
    #[serde(deserialize_with = "value::duration::<600, _>")]
    pub cache_ttl: Duration,
    /// `[access.groups]`: each entry is seeded once and never deleted.
    #[serde(skip)]
    pub groups: Vec<SeedGroup>,
}

/// One entry of `[access.groups]`.
#[derive(Debug, Clone, PartialEq)]
pub struct SeedGroup {
    /// The name of the group, which may be any text.
    pub name: String,
    /// The grants of its members.
    pub grants: Vec<SeedGrant>,
}

/// A grant of a group.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeedGrant {
    /// The bridge, which may be disabled or missing.
    #[serde(deserialize_with = "access::bridge")]
    pub bridge: BridgeName,
    /// Globs for tool names; empty for all tools.
    #[serde(default, deserialize_with = "access::tools")]
    pub tools: Vec<String>,
    /// Whether only tools are granted that declare to change nothing (MCP `readOnlyHint`).
    #[serde(default)]
    pub read_only: bool,
}

/// `[audit]`: which records of calls are kept.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Audit {
    /// Whether calls are recorded. Default true.
    #[serde(rename = "enabled", deserialize_with = "value::flag")]
    pub is_on: bool,
    /// The folder of the journal. Default `mcp-bridge-audit` next to the configuration file.
    pub journal: PathBuf,
    /// The maximum size of the journal while the database is unavailable, in bytes. Default 1 GiB.
    #[serde(deserialize_with = "audit::journal_bytes")]
    pub journal_bytes_max: u64,
    /// How to treat calls that cannot be recorded.
    #[serde(deserialize_with = "value::word")]
    pub on_failure: OnFailure,
    /// How long records are kept. Default 90 days; `None` means forever.
    #[serde(deserialize_with = "audit::retention")]
    pub retention: Option<Duration>,
    /// Whether arguments are recorded, with secrets redacted and cut to 4 KiB. Default false.
    pub arguments: bool,
}

/// How to treat calls that cannot be recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFailure {
    /// They are executed, and the log and `/health` report it. The default.
    Continue,
    /// They are rejected with 503 `audit_unavailable`.
    Refuse,
}

/// How requests without credentials are treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Anonymous {
    /// They are rejected with 401.
    Refused,
    /// They are accepted, because no key is enabled and only this machine can reach the bridge: the first
    /// minutes on a laptop. Requests from web pages of other sites are rejected.
    Loopback,
    /// They are accepted: the operator wrote `anonymous = true`.
    Allowed,
}

/// A named API key.
#[derive(Debug, Clone, PartialEq)]
pub struct ApiKey {
    /// The name in logs.
    pub name: String,
    /// The text a caller sends.
    pub key: KeyText,
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
            KeyText::Plain(key) => key.matches(text),
            KeyText::Sha256(hash) => Sha256::digest(text).as_slice().ct_eq(hash).into(),
        }
    }
}

/// The value that an API key is compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyText {
    /// `key`: the text.
    Plain(Secret),
    /// `key_sha256`: its SHA-256, so that the file contains no secret.
    Sha256([u8; 32]),
}

/// `[limits]`: every queue, buffer and wait has a limit.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// The largest request body, in bytes. Default 10 MiB.
    #[serde(deserialize_with = "value::count::<1024, _>")]
    pub body_bytes_max: usize,
    /// The largest answer of a server, in bytes. Default 32 MiB.
    #[serde(deserialize_with = "value::count::<1024, _>")]
    pub result_bytes_max: usize,
    /// The largest tool list of a server, with all its pages, or its OpenAPI document, in bytes. Default 8
    /// MiB.
    #[serde(deserialize_with = "value::count::<1024, _>")]
    pub tools_bytes_max: usize,
    /// The maximum number of concurrent requests. Further requests get 503. Default 2,048.
    #[serde(deserialize_with = "value::count::<1, _>")]
    pub requests_max: usize,
    /// The limit of calls per minute for one caller. Further calls get 429. Default: no limit.
    #[serde(deserialize_with = "value::per_minute")]
    pub calls_per_minute: Option<NonZeroU32>,
    /// `[limits.groups]`: the limit of calls per minute for all members of a group together.
    #[serde(deserialize_with = "value::per_minute_each")]
    pub groups: BTreeMap<String, NonZeroU32>,
}

/// `[telemetry]`: logs, metrics and traces.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Telemetry {
    /// `text` (default) or `json`.
    #[serde(deserialize_with = "value::word")]
    pub format: LogFormat,
    /// A tracing filter: `info` (default), `debug`, `mcp_bridge=debug,rmcp=warn`.
    #[serde(deserialize_with = "telemetry::read_level")]
    pub level: String,
    /// Who may read `/metrics`. Default: administrators.
    #[serde(deserialize_with = "value::word")]
    pub metrics: MetricsFor,
    /// An additional address for `/metrics`, where no identity is needed. Default none.
    #[serde(deserialize_with = "telemetry::metrics_listen")]
    pub metrics_listen: Option<SocketAddr>,
    /// The destination of traces. Default none.
    pub otlp: Option<Otlp>,
}

/// Who may read `/metrics` at the listen address for callers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricsFor {
    /// The route does not exist.
    Off,
    /// Administrators, for example with an API key. The default.
    Admins,
    /// Everyone, without authentication.
    Everyone,
}

/// A collector of traces.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Otlp {
    /// The URL of the collector, including the path.
    #[serde(
        rename = "otlp_endpoint",
        deserialize_with = "telemetry::otlp_endpoint"
    )]
    pub url: Url,
    /// The request headers, for example with credentials.
    #[serde(
        rename = "otlp_headers",
        default,
        deserialize_with = "telemetry::otlp_headers"
    )]
    pub headers: Vec<(HeaderName, Secret)>,
}

/// The format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Text for people.
    Text,
    /// One JSON object per line.
    Json,
}
