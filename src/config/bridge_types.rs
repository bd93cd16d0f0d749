//! The resolved part of the configuration that is about bridges: `[bridges.NAME]`.

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroU32,
    path::PathBuf,
    time::Duration,
};

use globset::GlobSet;
use http::HeaderName;
use url::Url;

use super::OAuth;
use super::RunAs;
use crate::{
    name::{BridgeName, ToolName},
    secret::Secret,
};

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
    /// Calls a minute of all callers together; more get 429. Default: no bound.
    pub calls_per_minute: Option<NonZeroU32>,
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
    /// Whether the progress of its calls is told in Open WebUI's chats. Default: as
    /// `[identity.open_webui]` says.
    pub progress: Option<bool>,
    /// What becomes of arguments that a tool's schema does not name. Default: they are passed on.
    pub unknown_arguments: UnknownArguments,
    /// Whether the configuration leaves it on; `transport` may still say that something is missing.
    pub is_enabled: bool,
    /// Whose credentials its calls carry. Default: the bridge's own.
    pub credential: CredentialKind,
    /// Sessions with credentials of their own, of groups or callers, at once. Default 64.
    pub sessions_max: usize,
    /// Such a session ends after this long without a call. Default 10 min.
    pub session_idle: Duration,
    /// Why it is off until somebody logs in for all callers (`enabled = "auto"`, OAuth in use):
    /// `LINEAR_API_KEY is not set, and nobody has logged in: mcp-bridge login linear`.
    pub waits_for_login: Option<String>,
    /// The variables that its table refers to, set or not.
    pub variables: BTreeSet<String>,
}

/// What becomes of arguments that a tool's schema does not name, where it does not say that others are
/// welcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum UnknownArguments {
    /// They are passed on, but for misspelt names of others. The default.
    #[default]
    Pass,
    /// They are refused.
    Refuse,
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
            calls_per_minute,
            lazy,
            idle_stop,
            tools,
            rename,
            aliases,
            embed_html,
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
            && *description == other.description
            && *transport == other.transport
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
            && *progress == other.progress
            && *unknown_arguments == other.unknown_arguments
            && *is_enabled == other.is_enabled
            && *credential == other.credential
            && *sessions_max == other.sessions_max
            && *session_idle == other.session_idle
            && *waits_for_login == other.waits_for_login
    }
}

impl Bridge {
    /// Whether it reads a variable: its table refers to it, or its program gets the whole environment.
    pub fn reads_variable(&self, name: &str) -> bool {
        let inherits = match &self.transport {
            Ok(Transport::Stdio(stdio)) => stdio.inherit_env,
            Ok(Transport::Remote(_)) | Err(_) => false,
        };
        inherits || self.variables.contains(name)
    }

    /// Why it is off by the configuration alone: a login that is stored may still switch it on.
    pub fn reason_off(&self) -> Option<&str> {
        match &self.transport {
            Err(Disabled(reason)) => Some(reason),
            Ok(_) => self.waits_for_login.as_deref(),
        }
    }

    /// Whether it lacks a key of its own and serves groups that have one.
    pub fn is_for_groups_alone(&self) -> bool {
        self.is_enabled && self.credential == CredentialKind::Group && self.transport.is_err()
    }

    /// The user of the system as which its program runs, where that is another than ours.
    pub fn user(&self) -> Option<&RunAs> {
        match &self.transport {
            Ok(Transport::Stdio(stdio)) => stdio.user.as_ref(),
            Ok(Transport::Remote(_)) | Err(_) => None,
        }
    }

    /// How it signs in, where OAuth is in use.
    pub fn oauth(&self) -> Option<&OAuth> {
        match &self.transport {
            Ok(Transport::Remote(remote)) => remote.oauth.as_ref(),
            Ok(Transport::Stdio(_)) | Err(_) => None,
        }
    }
}

/// Whose credentials the calls of a bridge carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CredentialKind {
    /// The bridge's own: one session for everybody.
    Shared,
    /// Those of the caller's group; a group without any of its own uses the bridge's.
    Group,
    /// The caller's own: everybody logs in for themselves.
    Caller,
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
#[derive(Clone, PartialEq)]
pub struct Stdio {
    /// The program, found on PATH.
    pub command: String,
    /// Its arguments, never through a shell.
    pub args: Vec<String>,
    /// Its environment, over the base.
    pub env: BTreeMap<String, Secret>,
    /// Whether the base is our whole environment (mcpo) or the small set of design §6.
    pub inherit_env: bool,
    /// Its working directory. Default: ours, or the home of `user`.
    pub cwd: Option<PathBuf>,
    /// The user of the system as which it runs. Default: ours.
    pub user: Option<RunAs>,
}

/// A server behind a URL.
#[derive(Clone, PartialEq)]
pub struct Remote {
    /// The MCP endpoint, the SSE stream, or the OpenAPI document.
    pub url: Url,
    /// What is spoken there.
    pub kind: RemoteKind,
    /// Sent with every request.
    pub headers: Vec<(HeaderName, Secret)>,
    /// Which MCP lifecycle to try.
    pub protocol: Protocol,
    /// How to sign in. `None`: not at all, or `headers` hold a key, which wins.
    pub oauth: Option<OAuth>,
    /// Headers of the caller's request that go on to the server with each call.
    pub pass_headers: Vec<HeaderName>,
}

impl Remote {
    /// A server of which nothing but its place is known.
    pub fn new(url: Url, kind: RemoteKind) -> Self {
        Self {
            url,
            kind,
            headers: Vec::new(),
            protocol: Protocol::Auto,
            oauth: None,
            pass_headers: Vec::new(),
        }
    }
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

/// Allow and deny globs over tool names.
#[derive(Debug, Clone, Default)]
pub struct ToolFilter {
    /// As written, over the server's names; empty allows all.
    pub allow: Vec<String>,
    /// As written, over the server's names and the published ones, in any case; deny wins.
    pub deny: Vec<String>,
    /// `allow`, compiled.
    pub allow_set: GlobSet,
    /// `deny`, in lower case, compiled.
    pub deny_set: GlobSet,
}

impl PartialEq for ToolFilter {
    fn eq(&self, other: &Self) -> bool {
        self.allow == other.allow && self.deny == other.deny
    }
}

impl ToolFilter {
    /// Whether a tool passes by the name that its server gives it.
    pub fn allows(&self, tool: &str) -> bool {
        (self.allow.is_empty() || self.allow_set.is_match(tool)) && !self.denies(tool)
    }

    /// Whether a name is denied: the server's own, or one under which the tool is published.
    pub fn denies(&self, name: &str) -> bool {
        self.deny_set.is_match(name.to_lowercase())
    }
}
