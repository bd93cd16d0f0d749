//! The resolved configuration: every reference replaced, every value parsed, every default filled in.
//!
//! These are the types the rest of the crate sees. `PartialEq` is what a reload compares.

use std::{collections::BTreeMap, net::SocketAddr, num::NonZeroU32, path::PathBuf, time::Duration};

use http::HeaderName;
use ipnet::IpNet;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use url::Url;

use super::Bridge;
use crate::{name::BridgeName, secret::Secret};

/// Everything the operator decided.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Whose habits we follow.
    pub flavor: Flavor,
    /// `[server]`
    pub server: Server,
    /// `[database]`; `None` where nothing is kept: mcpo's command line, one server without a file.
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
    /// `[bridges.NAME]`, in the order of the file, names unique.
    pub bridges: Vec<Bridge>,
}

/// Whose habits we follow where ours and mcpo's differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flavor {
    /// `bridges.toml`.
    Native,
    /// An `mcpServers` file, or mcpo's command line with `--config`: mcpo's operation ids and
    /// component names, full environment for children, no reserved names.
    Mcpo,
    /// mcpo's command line with one server after `--`: its tools stand at the root.
    McpoSingle,
}

/// `[server]`: where and how we listen.
#[derive(Debug, Clone, PartialEq)]
pub struct Server {
    /// Address and port. Default `127.0.0.1:8000`.
    pub listen: SocketAddr,
    /// The prefix a reverse proxy strips, `/api/mcpo` say; normalised: leading `/`, no trailing
    /// one; empty for none. Routes answer with it and without it.
    pub root_path: String,
    /// Where browsers reach us: scheme, host, port, and the path a reverse proxy puts before ours.
    /// No query, no fragment, and no `/` at the end of a path. Default: not known.
    pub public_url: Option<Url>,
    /// The prefix before every bridge, mcpo's `--path-prefix`; normalised to begin and end with
    /// `/`, so `/` is none.
    pub path_prefix: String,
    /// Whether documents and docs pages are readable without identity. Default true.
    pub public_spec: bool,
    /// Whether a refresh takes the tools of servers that are down out of the documents. Default false.
    pub drop_dead: bool,
    /// Origins that browsers may call from; `*` for all. Default none (mcpo: `*`).
    pub cors_allow_origins: Vec<String>,
    /// Certificate and key, PEM. Default none: plain HTTP.
    pub tls: Option<Tls>,
    /// Connections at once; when there are as many, the one that has been idle for the longest is
    /// closed. Default 4,096, or what the bound on open files leaves.
    pub connections_max: usize,
    /// How long new calls are still taken after SIGTERM, while `/ready` already answers 503: until
    /// whoever sends them has noticed. Default none.
    pub drain_delay: Duration,
    /// How long calls in flight may take after that. Default 30 s.
    pub drain_timeout: Duration,
    /// `info.title` of the merged document.
    pub title: String,
    /// `info.description` of the merged document.
    pub description: String,
    /// `info.version` of the merged document.
    pub version: String,
}

/// The two PEM files of a TLS listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// Certificate chain.
    pub cert_file: PathBuf,
    /// Private key.
    pub key_file: PathBuf,
}

/// `[database]`: where grants and the audit trail are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Database {
    /// Default: the SQLite file `mcp-bridge.db` beside the configuration.
    pub url: DatabaseUrl,
    /// Open WebUI's own database, only read. Default: the same, if that is PostgreSQL.
    pub open_webui: Option<DatabaseUrl>,
    /// Redis: calls counted over all replicas, and Open WebUI's signed-out tokens.
    pub redis: Option<Redis>,
    /// How long a query may take, waiting for a connection included. Default 2 s.
    pub timeout: Duration,
    /// Connections to PostgreSQL at once. Default 8.
    pub connections_max: u32,
    /// What tokens and keys of groups are encrypted with; at least 32 characters. Default: the
    /// text of `secret_key_file`.
    pub secret_key: Option<Secret>,
    /// Earlier keys, which still decrypt; what is written anew is encrypted with the current one.
    pub secret_keys_old: Vec<Secret>,
    /// Where the key is that counts while `secret_key` is blank. Default `mcp-bridge.key` beside
    /// the configuration.
    pub secret_key_file: PathBuf,
}

/// A database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DatabaseUrl {
    /// A file.
    Sqlite(PathBuf),
    /// `postgres://…`, password and all.
    Postgres(Secret),
}

/// Redis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redis {
    /// `redis://…` or `rediss://…`, password and all.
    pub url: Secret,
    /// Open WebUI's `REDIS_KEY_PREFIX`. Default `open-webui`.
    pub prefix: String,
}

/// `[identity]`: who may call.
#[derive(Debug, Clone, PartialEq)]
pub struct Identity {
    /// What a request without credentials is worth.
    pub anonymous: Anonymous,
    /// `[identity.keys.NAME]`; a key whose text is blank is off and not in this list.
    pub keys: Vec<ApiKey>,
    /// mcpo's `--strict-auth`: documents and docs need the key too.
    pub strict: bool,
    /// `[identity.open_webui]`
    pub open_webui: OpenWebUi,
    /// `[identity.gateway]`, while it is on.
    pub gateway: Option<Gateway>,
    /// `[identity.oidc.NAME]`, those that are on.
    pub oidc: Vec<Issuer>,
}

/// `[identity.open_webui]`: the users of Open WebUI (Open WebUI contract §5–7). What is `None` is
/// off.
#[derive(Debug, Clone, PartialEq)]
pub struct OpenWebUi {
    /// Its `WEBUI_SECRET_KEY`: session tokens are verified here and looked up in its database.
    pub secret_key: Option<Secret>,
    /// Where it serves: session tokens are shown to it where its database cannot be asked.
    pub url: Option<Url>,
    /// Its `FORWARD_USER_INFO_HEADER_JWT_SECRET`, which signs `X-OpenWebUI-User-Jwt`.
    pub jwt_secret: Option<Secret>,
    /// `aud` of the signed header, where it counts without a forwarder's key. Default none.
    pub jwt_audience: Option<String>,
    /// Whether the signed header counts without a forwarder's key and without an audience.
    /// Default false: each server that Open WebUI sends the header to could send it here.
    pub jwt_alone: bool,
    /// How long a user that was found counts without another look. Default 30 s, at most 60 s.
    pub cache_ttl: Duration,
    /// Whether the progress of a call is told in the chat it came from, where `url` is known.
    /// Default true; a bridge may say otherwise.
    pub progress: bool,
}

/// `[identity.gateway]`: a gateway before us names the user in headers (requirements §1.5 row 2).
#[derive(Debug, Clone, PartialEq)]
pub struct Gateway {
    /// Who may be the gateway, by address. Empty: only the secret counts.
    pub trusted_peers: Vec<IpNet>,
    /// What it proves itself with, in `secret_header`.
    pub secret: Option<Secret>,
    /// Default `X-Gateway-Secret`.
    pub secret_header: HeaderName,
    /// Default `X-User-Email`.
    pub email_header: HeaderName,
    /// Comma list. Default `X-User-Groups`.
    pub groups_header: HeaderName,
    /// `true` for an admin. Default `X-User-Admin`.
    pub admin_header: HeaderName,
    /// The workspace. Default `X-Tenant-ID`.
    pub workspace_header: HeaderName,
    /// Whether it removes these headers from what clients send, so that groups and the workspace
    /// count beside a user's own session too. Default false.
    pub strips_headers: bool,
    /// Whether `Authorization` and the cookie are for the gateway alone where it names the user, and
    /// are not looked at. Default false: credentials that do not hold are refused.
    pub ignore_credentials: bool,
}

/// `[identity.oidc.NAME]`: whose bearer tokens are accepted (OpenID Connect Discovery 1.0, RFC 9068).
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::struct_field_names, reason = "the name of the claim")]
pub struct Issuer {
    /// How logs call it.
    pub name: String,
    /// `iss`, exactly; its configuration is read from `/.well-known/openid-configuration` below it.
    pub issuer: Url,
    /// `aud`: one of these. Never empty.
    pub audiences: Vec<String>,
    /// Where its keys are, if discovery should not be asked.
    pub jwks_url: Option<Url>,
    /// Claims with the e-mail, the first that is there counts. `email` needs `email_verified`; others
    /// are the operator's word. Default `email`.
    pub email_claims: Vec<String>,
    /// Whether `email` counts where the token leaves `email_verified` out. Default false.
    pub emails_verified: bool,
    /// Claims with groups, all count. Default `groups`, `roles`.
    pub groups_claims: Vec<String>,
    /// The claim with the workspace. Default `tid`.
    pub workspace_claim: String,
}

/// `[access]`: who may use what.
#[derive(Debug, Clone, PartialEq)]
pub struct Access {
    /// Whether the section stands in the file. Without it, and with API keys alone, every key may
    /// call everything (design §7).
    pub is_configured: bool,
    /// Groups that may use everything and administer. Default `MCP-Admin`.
    pub admin_groups: Vec<String>,
    /// Groups that every identified caller is in. Default none.
    pub default_groups: Vec<String>,
    /// E-mails that are administrators and members of the first admin group; seeded.
    pub admins: Vec<String>,
    /// How long grants that were read count if no change is heard of. Default 10 s.
    pub cache_ttl: Duration,
    /// `[access.groups]`: each line seeded once, never deleted.
    pub groups: Vec<SeedGroup>,
}

/// One line of `[access.groups]`.
#[derive(Debug, Clone, PartialEq)]
pub struct SeedGroup {
    /// The group, any text.
    pub name: String,
    /// What its members may use.
    pub grants: Vec<SeedGrant>,
}

/// What a group may use.
#[derive(Debug, Clone, PartialEq)]
pub struct SeedGrant {
    /// The bridge, on or off or not there at all.
    pub bridge: BridgeName,
    /// Globs over tool names; empty for all.
    pub tools: Vec<String>,
    /// Only tools that say they change nothing (MCP `readOnlyHint`).
    pub read_only: bool,
}

/// `[audit]`: what is kept of every call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audit {
    /// Default true.
    pub is_on: bool,
    /// The folder of the journal. Default `mcp-bridge-audit` beside the configuration.
    pub journal: PathBuf,
    /// The journal's bound while the database is away. Default 1 GiB.
    pub journal_bytes_max: u64,
    /// What becomes of calls that cannot be recorded.
    pub on_failure: OnFailure,
    /// How long records are kept. Default 90 days; `None` for ever.
    pub retention: Option<Duration>,
    /// Whether arguments are kept, secrets taken out, cut to 4 KiB. Default false.
    pub arguments: bool,
}

/// What becomes of calls that cannot be recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFailure {
    /// They go on, and the log and `/health` say so. The default.
    Continue,
    /// They are refused with 503 `audit_unavailable`.
    Refuse,
}

/// What a request without credentials is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Anonymous {
    /// Nothing: 401.
    Refused,
    /// A call, because no key is on and nobody but this machine can reach us: the first minutes
    /// on a laptop. Requests are checked for pages of other sites.
    Loopback,
    /// A call: the operator wrote `anonymous = true`.
    Allowed,
}

/// A named API key.
#[derive(Debug, Clone, PartialEq)]
pub struct ApiKey {
    /// How logs call it.
    pub name: String,
    /// The text a caller sends.
    pub key: KeyText,
    /// What it is a member of.
    pub groups: Vec<String>,
    /// Whether it vouches for the user named in the headers beside it (design §7); without such
    /// headers the key is the caller.
    pub forwards: bool,
    /// Whose audit and grants it belongs to. Default `default`.
    pub workspace: String,
}

impl ApiKey {
    /// Whether a text is this key, in constant time.
    pub fn matches(&self, text: &str) -> bool {
        match &self.key {
            KeyText::Plain(key) => key.matches(text),
            KeyText::Sha256(hash) => Sha256::digest(text).as_slice().ct_eq(hash).into(),
        }
    }
}

/// What an API key is compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyText {
    /// `key`: the text.
    Plain(Secret),
    /// `key_sha256`: its SHA-256, so that the file holds no secret.
    Sha256([u8; 32]),
}

/// `[limits]`: no queue, buffer or wait without a bound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// The largest request body, in bytes. Default 10 MiB.
    pub body_bytes_max: usize,
    /// The largest answer of a server, in bytes. Default 32 MiB.
    pub result_bytes_max: usize,
    /// All pages of a server's tool list together, or its OpenAPI document, in bytes. Default 8 MiB.
    pub tools_bytes_max: usize,
    /// Requests served at once. Default 2,048; more get 503.
    pub requests_max: usize,
    /// Calls a minute of one caller; more get 429. Default: no bound.
    pub calls_per_minute: Option<NonZeroU32>,
    /// `[limits.groups]`: calls a minute of all members of a group together.
    pub groups: BTreeMap<String, NonZeroU32>,
}

/// `[telemetry]`: what we say of ourselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Telemetry {
    /// `text` (default) or `json`.
    pub format: LogFormat,
    /// A tracing filter: `info` (default), `debug`, `mcp_bridge=debug,rmcp=warn`.
    pub level: String,
    /// Who may read `/metrics`. Default: administrators.
    pub metrics: MetricsFor,
    /// Where `/metrics` stands besides, for whoever reaches it. Default nowhere.
    pub metrics_listen: Option<SocketAddr>,
    /// Where spans are sent. Default nowhere.
    pub otlp: Option<Otlp>,
}

/// Who may read `/metrics` where we listen for callers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricsFor {
    /// Nobody: it is not there.
    Nobody,
    /// Administrators, with a key say. The default.
    Admins,
    /// Everybody.
    Everybody,
}

/// A collector of traces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Otlp {
    /// Where spans are posted, path included.
    pub url: Url,
    /// What goes with them, credentials say.
    pub headers: Vec<(HeaderName, Secret)>,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}
