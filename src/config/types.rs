//! The resolved configuration: every reference replaced, every value parsed, every default filled in.
//!
//! These are the types the rest of the crate sees. `PartialEq` is what a reload compares.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, time::Duration};

use globset::GlobSet;
use http::HeaderName;
use url::Url;

use crate::{
    name::{BridgeName, ToolName},
    secret::Secret,
};

/// Everything the operator decided.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Whose habits we follow.
    pub flavor: Flavor,
    /// `[server]`
    pub server: Server,
    /// `[identity]`
    pub identity: Identity,
    /// `[limits]`
    pub limits: Limits,
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
    /// The prefix before every bridge, mcpo's `--path-prefix`; normalised to begin and end with
    /// `/`, so `/` is none.
    pub path_prefix: String,
    /// Whether documents and docs pages are readable without identity. Default true.
    pub public_spec: bool,
    /// Origins that browsers may call from; `*` for all. Default none (mcpo: `*`).
    pub cors_allow_origins: Vec<String>,
    /// Certificate and key, PEM. Default none: plain HTTP.
    pub tls: Option<Tls>,
    /// How long calls in flight may take after SIGTERM. Default 30 s.
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

/// `[identity]`: who may call.
#[derive(Debug, Clone, PartialEq)]
pub struct Identity {
    /// What a request without credentials is worth.
    pub anonymous: Anonymous,
    /// `[identity.keys.NAME]`; a key whose text is blank is off and not in this list.
    pub keys: Vec<ApiKey>,
    /// mcpo's `--strict-auth`: documents and docs need the key too.
    pub strict: bool,
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
    pub key: Secret,
}

/// `[limits]`: no queue, buffer or wait without a bound.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_field_names, reason = "the names of the keys")]
pub struct Limits {
    /// The largest request body, in bytes. Default 10 MiB.
    pub body_bytes_max: usize,
    /// The largest answer of a server, in bytes. Default 32 MiB.
    pub result_bytes_max: usize,
    /// Requests served at once. Default 2,048; more get 503.
    pub requests_max: usize,
}

/// `[telemetry]`: what we say of ourselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Telemetry {
    /// `text` (default) or `json`.
    pub format: LogFormat,
    /// A tracing filter: `info` (default), `debug`, `mcp_bridge=debug,rmcp=warn`.
    pub level: String,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// `[bridges.NAME]`.
#[derive(Debug, Clone)]
pub struct Bridge {
    /// The key of the table.
    pub name: BridgeName,
    /// What people read in lists. Default: the server's own words.
    pub description: Option<String>,
    /// How to reach the server, or why the bridge is off.
    pub transport: Result<Transport, Disabled>,
    /// How long a connect, handshake and tool list included, may take. Default 60 s (a first
    /// `npx` downloads).
    pub connect_timeout: Duration,
    /// How long one call may take. Default 5 min.
    pub timeout: Duration,
    /// Calls in flight at the server at once. Default 64.
    pub concurrency: usize,
    /// Calls that may wait for a slot; more get 503. Default 256.
    pub queue: usize,
    /// Connect at the start only to learn the tools, then rest until the first call. Default false.
    pub lazy: bool,
    /// Stop the session after this long without a call; the next call starts it. Default never.
    pub idle_stop: Option<Duration>,
    /// Which tools to publish.
    pub tools: ToolFilter,
    /// New name → server's name.
    pub rename: BTreeMap<ToolName, ToolName>,
    /// Second name → server's name: callable, unlisted.
    pub aliases: BTreeMap<ToolName, ToolName>,
    /// HTML resources are answered as `text/html`. Default false.
    pub embed_html: bool,
}

impl PartialEq for Bridge {
    fn eq(&self, other: &Self) -> bool {
        // Exhaustive on purpose: a new field must be compared, or a reload would miss it.
        let Self {
            name,
            description,
            transport,
            connect_timeout,
            timeout,
            concurrency,
            queue,
            lazy,
            idle_stop,
            tools,
            rename,
            aliases,
            embed_html,
        } = self;
        *name == other.name
            && *description == other.description
            && *transport == other.transport
            && *connect_timeout == other.connect_timeout
            && *timeout == other.timeout
            && *concurrency == other.concurrency
            && *queue == other.queue
            && *lazy == other.lazy
            && *idle_stop == other.idle_stop
            && *tools == other.tools
            && *rename == other.rename
            && *aliases == other.aliases
            && *embed_html == other.embed_html
    }
}

impl Bridge {
    /// What must never show of this bridge: the values of its headers and of its environment.
    pub fn secrets(&self) -> Vec<Secret> {
        match &self.transport {
            Ok(Transport::Stdio(stdio)) => stdio.env.values().cloned().collect(),
            Ok(Transport::Remote(remote)) => remote
                .headers
                .iter()
                .map(|(_name, value)| value.clone())
                .collect(),
            Err(_) => Vec::new(),
        }
    }
}

/// Why a bridge is off: `GITHUB_TOKEN is not set`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disabled(pub String);

/// How to reach a server.
#[derive(Debug, Clone, PartialEq)]
pub enum Transport {
    /// A child process.
    Stdio(Stdio),
    /// A URL.
    Remote(Remote),
}

/// A server that is a child process.
#[derive(Debug, Clone, PartialEq)]
pub struct Stdio {
    /// The program, found on PATH.
    pub command: String,
    /// Its arguments, never through a shell.
    pub args: Vec<String>,
    /// Its environment, over the base.
    pub env: BTreeMap<String, Secret>,
    /// Whether the base is our whole environment (mcpo) or the small set of design §6.
    pub inherit_env: bool,
    /// Its working directory. Default: ours.
    pub cwd: Option<PathBuf>,
}

/// A server behind a URL.
#[derive(Debug, Clone, PartialEq)]
pub struct Remote {
    /// The MCP endpoint, the SSE stream, or the OpenAPI document.
    pub url: Url,
    /// What is spoken there.
    pub kind: RemoteKind,
    /// Sent with every request.
    pub headers: Vec<(HeaderName, Secret)>,
    /// Which MCP lifecycle to try.
    pub protocol: Protocol,
}

/// What is spoken at a URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RemoteKind {
    /// Not said: Streamable HTTP is tried first, then the old SSE (MCP 2025-11-25, transports,
    /// backwards compatibility).
    Auto,
    /// Streamable HTTP.
    StreamableHttp,
    /// HTTP+SSE of MCP 2024-11-05.
    Sse,
    /// No MCP at all: the URL of an OpenAPI document whose POST operations become tools.
    OpenApi,
}

/// Which MCP lifecycle to speak first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// `initialize`, and `server/discover` (2026-07-28) where that is refused.
    Auto,
    /// `initialize` only.
    Legacy,
    /// `server/discover` only.
    Modern,
}

/// Allow and deny globs over the server's tool names.
#[derive(Debug, Clone, Default)]
pub struct ToolFilter {
    /// As written; empty allows all.
    pub allow: Vec<String>,
    /// As written; deny wins.
    pub deny: Vec<String>,
    /// `allow`, compiled.
    pub allow_set: GlobSet,
    /// `deny`, compiled.
    pub deny_set: GlobSet,
}

impl PartialEq for ToolFilter {
    fn eq(&self, other: &Self) -> bool {
        self.allow == other.allow && self.deny == other.deny
    }
}

impl ToolFilter {
    /// Whether a tool passes.
    pub fn allows(&self, tool: &str) -> bool {
        (self.allow.is_empty() || self.allow_set.is_match(tool)) && !self.deny_set.is_match(tool)
    }
}
