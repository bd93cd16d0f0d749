//! The resolved configuration of bridges: `[bridges.NAME]`.

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroU32,
    path::PathBuf,
    time::Duration,
};

use globset::GlobSet;
use http::HeaderName;
use url::Url;

use super::OAuthSettings;
use super::RunAsUser;
use crate::{
    name::{BridgeName, ToolName},
    secret::Secret,
};

/// `[bridges.NAME]`.
#[derive(Debug, Clone)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch of its own in the table"
)]
pub struct BridgeSettings {
    /// The key of the table.
    pub name: BridgeName,
    /// What people read in place of the name. Default: the server's own name, else the bridge's.
    pub title: Option<String>,
    /// What people read in lists. Default: the server's own words.
    pub description: Option<String>,
    /// How to reach the server, or why the bridge is off.
    pub transport: Result<TransportSettings, DisabledReason>,
    /// How the server is reached, also while the bridge is off.
    pub kind: TransportKind,
    /// How long a connect, handshake and tool list included, may take. Default 60 s (a first
    /// `npx` downloads).
    pub connect_timeout: Duration,
    /// The timeout of a call. Default 5 min.
    pub timeout: Duration,
    /// The maximum number of concurrent calls. Default 64.
    pub concurrency: usize,
    /// The maximum number of queued calls. Further calls get 503. Default 256.
    pub queue: usize,
    /// The limit of calls per minute for all callers together. Further calls get 429. Default: no limit.
    pub calls_per_minute: Option<NonZeroU32>,
    /// Connect at the start only to read the tools, then disconnect until the first call. Default false.
    pub lazy: bool,
    /// End the session after this time without a call. The next call reconnects. Default never.
    pub idle_stop: Option<Duration>,
    /// The tools to publish.
    pub tools: ToolFilter,
    /// The server's name for each new name.
    pub rename: BTreeMap<ToolName, ToolName>,
    /// The server's name for each second name. Second names are callable but not listed.
    pub aliases: BTreeMap<ToolName, ToolName>,
    /// HTML resources are answered as `text/html`. Default false.
    pub embed_html: bool,
    /// Files in results are stored for a day and answered as links. Default false.
    pub file_links: bool,
    /// Whether the progress of calls is shown in Open WebUI's chats. Default: the setting of
    /// `[identity.open_webui]`.
    pub progress: Option<bool>,
    /// How to treat arguments that a tool's schema does not define. Default: they are passed on.
    pub unknown_arguments: UnknownArgumentPolicy,
    /// Whether the configuration enables the bridge. `transport` may still lack a value.
    pub is_enabled: bool,
    /// Whose credentials the calls carry. Default: the bridge's own.
    pub credential: CredentialScope,
    /// The maximum number of concurrent sessions of groups or callers. Default 64.
    pub sessions_max: usize,
    /// Such a session ends after this time without a call. Default 10 min.
    pub session_idle: Duration,
    /// Why it is off until a user logs in for all callers (`enabled = "auto"`, OAuth in use):
    /// `LINEAR_API_KEY is not set, and no user has logged in: mcp-bridge login linear`.
    pub waits_for_login: Option<String>,
    /// The variables that its table refers to, set or not.
    pub variables: BTreeSet<String>,
}

/// How to treat arguments that a tool's schema does not define, unless the schema allows additional ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum UnknownArgumentPolicy {
    /// They are passed on, except misspelled names of defined arguments. The default.
    #[default]
    Pass,
    /// They are rejected.
    Refuse,
}

impl PartialEq for BridgeSettings {
    fn eq(&self, other: &Self) -> bool {
        // Exhaustive on purpose: a new field must be compared, or a reload would miss its change.
        let Self {
            name,
            title,
            description,
            transport,
            kind,
            connect_timeout,
            timeout,
            concurrency,
            queue,
            calls_per_minute,
            lazy,
            idle_stop,
            tools,
            rename,
            aliases,
            embed_html,
            file_links,
            progress,
            unknown_arguments,
            is_enabled,
            credential,
            sessions_max,
            session_idle,
            waits_for_login,
            // They change nothing of how the bridge runs: what they stand for is compared above.
            variables: _,
        } = self;
        *name == other.name
            && *title == other.title
            && *description == other.description
            && *transport == other.transport
            && *kind == other.kind
            && *connect_timeout == other.connect_timeout
            && *timeout == other.timeout
            && *concurrency == other.concurrency
            && *queue == other.queue
            && *calls_per_minute == other.calls_per_minute
            && *lazy == other.lazy
            && *idle_stop == other.idle_stop
            && *tools == other.tools
            && *rename == other.rename
            && *aliases == other.aliases
            && *embed_html == other.embed_html
            && *file_links == other.file_links
            && *progress == other.progress
            && *unknown_arguments == other.unknown_arguments
            && *is_enabled == other.is_enabled
            && *credential == other.credential
            && *sessions_max == other.sessions_max
            && *session_idle == other.session_idle
            && *waits_for_login == other.waits_for_login
    }
}

impl BridgeSettings {
    /// Whether it reads a variable: its table refers to it, or its program gets the whole environment.
    pub fn reads_variable(&self, name: &str) -> bool {
        let inherits = match &self.transport {
            Ok(TransportSettings::Stdio(stdio)) => stdio.inherit_env,
            Ok(TransportSettings::Remote(_)) | Err(_) => false,
        };
        inherits || self.variables.contains(name)
    }

    /// Returns why the configuration alone disables the bridge. A stored login may still enable it.
    pub fn reason_off(&self) -> Option<&str> {
        match &self.transport {
            Err(DisabledReason(reason)) => Some(reason),
            Ok(_) => self.waits_for_login.as_deref(),
        }
    }

    /// Whether the bridge has no key of its own and serves only groups with a key.
    pub fn is_for_groups_alone(&self) -> bool {
        self.is_enabled && self.credential == CredentialScope::Group && self.transport.is_err()
    }

    /// The operating system user of the program, if it differs from the bridge's own user.
    pub fn user(&self) -> Option<&RunAsUser> {
        match &self.transport {
            Ok(TransportSettings::Stdio(stdio)) => stdio.user.as_ref(),
            Ok(TransportSettings::Remote(_)) | Err(_) => None,
        }
    }

    /// The OAuth settings, if OAuth is in use.
    pub fn oauth(&self) -> Option<&OAuthSettings> {
        match &self.transport {
            Ok(TransportSettings::Remote(remote)) => remote.oauth.as_ref(),
            Ok(TransportSettings::Stdio(_)) | Err(_) => None,
        }
    }
}

/// Whose credentials the calls of a bridge carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CredentialScope {
    /// The bridge's own: all callers share one session.
    Shared,
    /// Those of the caller's group. A group without credentials uses the bridge's.
    Group,
    /// The caller's own: each user logs in separately.
    Caller,
}

/// How a server is reached, in the words of lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransportKind {
    /// `stdio`: a program.
    Stdio,
    /// `http`: a URL, Streamable HTTP first.
    Http,
    /// `sse`: the old HTTP+SSE.
    Sse,
    /// `openapi`: an HTTP service that is no MCP server.
    OpenApi,
    /// `unknown`: neither a program nor a URL could be read.
    Unknown,
}

impl TransportKind {
    /// The word in lists.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stdio => "stdio",
            Self::Http => "http",
            Self::Sse => "sse",
            Self::OpenApi => "openapi",
            Self::Unknown => "unknown",
        }
    }
}

impl From<RemoteKind> for TransportKind {
    fn from(kind: RemoteKind) -> Self {
        match kind {
            RemoteKind::Auto | RemoteKind::StreamableHttp => Self::Http,
            RemoteKind::Sse => Self::Sse,
            RemoteKind::OpenApi => Self::OpenApi,
        }
    }
}

/// Why a bridge is off: `GITHUB_TOKEN is not set`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DisabledReason(pub String);

/// The connection to a server.
#[derive(Debug, Clone, PartialEq)]
pub enum TransportSettings {
    /// A child process.
    Stdio(StdioSettings),
    /// A URL.
    Remote(RemoteSettings),
}

/// A server that is a child process.
#[derive(Clone, PartialEq)]
pub struct StdioSettings {
    /// The program, searched on PATH.
    pub command: String,
    /// Its arguments, which never pass through a shell.
    pub args: Vec<String>,
    /// Its environment variables, in addition to the base.
    pub env: BTreeMap<String, Secret>,
    /// Whether the base is the bridge's whole environment (mcpo), or only the variables that a program needs
    /// to run.
    pub inherit_env: bool,
    /// Its working directory. Default: the bridge's own, or the home directory of `user`.
    pub cwd: Option<PathBuf>,
    /// The operating system user that runs it. Default: the bridge's own.
    pub user: Option<RunAsUser>,
}

/// A server behind a URL.
#[derive(Clone, PartialEq)]
pub struct RemoteSettings {
    /// The MCP endpoint, the SSE stream, or the OpenAPI document.
    pub url: Url,
    /// The protocol at the URL.
    pub kind: RemoteKind,
    /// Headers that are sent with every request.
    pub headers: Vec<(HeaderName, Secret)>,
    /// The MCP lifecycle to try.
    pub protocol: ProtocolMode,
    /// How to sign in with OAuth. `None`: not at all, or `headers` contain a key, which takes precedence.
    pub oauth: Option<OAuthSettings>,
    /// Headers of the caller's request that are forwarded with each call.
    pub pass_headers: Vec<HeaderName>,
}

impl RemoteSettings {
    /// Creates a server with only an address.
    pub fn new(url: Url, kind: RemoteKind) -> Self {
        Self {
            url,
            kind,
            headers: Vec::new(),
            protocol: ProtocolMode::Auto,
            oauth: None,
            pass_headers: Vec::new(),
        }
    }
}

/// The protocol at a URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RemoteKind {
    /// Not configured: Streamable HTTP is tried first, then the deprecated SSE (MCP 2025-11-25, transports,
    /// backwards compatibility).
    Auto,
    /// Streamable HTTP.
    StreamableHttp,
    /// HTTP+SSE of MCP 2024-11-05.
    Sse,
    /// The URL of an OpenAPI document whose operations become tools. The service does not speak MCP.
    OpenApi,
}

/// The MCP lifecycle to try first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProtocolMode {
    /// `initialize`, then `server/discover` (2026-07-28) if the server refuses it.
    Auto,
    /// `initialize` only.
    Legacy,
    /// `server/discover` only.
    Modern,
}

/// Allow and deny globs over tool names.
#[derive(Debug, Clone, Default)]
pub struct ToolFilter {
    /// The patterns as written, for the server's names. An empty list allows all tools.
    pub allow: Vec<String>,
    /// The patterns as written, for the server's names and the published ones, ignoring case. Deny takes
    /// precedence.
    pub deny: Vec<String>,
    /// The compiled `allow`.
    pub allow_set: GlobSet,
    /// The compiled `deny`, in lower case.
    pub deny_set: GlobSet,
}

impl PartialEq for ToolFilter {
    fn eq(&self, other: &Self) -> bool {
        self.allow == other.allow && self.deny == other.deny
    }
}

impl ToolFilter {
    /// Whether the name that the server uses is allowed.
    pub fn allows(&self, tool: &str) -> bool {
        (self.allow.is_empty() || self.allow_set.is_match(tool)) && !self.denies(tool)
    }

    /// Whether a name is denied: the server's own, or a published one.
    pub fn denies(&self, name: &str) -> bool {
        self.deny_set.is_match(name.to_lowercase())
    }
}
