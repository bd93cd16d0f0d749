//! The resolved configuration of bridges: `[bridges.NAME]`.

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroU32,
    path::PathBuf,
    time::Duration,
};

use globset::GlobSet;
use http::HeaderName;
use serde::Deserialize;
use url::Url;

use crate::{
    config::{
        OAuthSettings, RunAsUser,
        naming::nearest_name,
        read::{BadValue, KEY, WordSetting, YEAR, parsed, value},
    },
    name::{BridgeName, ToolName, is_hidden},
    secret::Secret,
};

/// The longest `title`, in characters: it stands in one line of a list.
const TITLE_CHARS_MAX: usize = 100;

/// `[bridges.NAME]`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch of its own in the table"
)]
pub struct BridgeSettings {
    /// The key of the table.
    #[serde(skip)]
    pub name: BridgeName,
    /// What people read in place of the name. Default: the server's own name, else the bridge's.
    #[serde(deserialize_with = "title")]
    pub title: Option<String>,
    /// What people read in lists. Default: the server's own words.
    pub description: Option<String>,
    /// How to reach the server, or why the bridge is off.
    #[serde(skip)]
    pub transport: Result<TransportSettings, DisabledReason>,
    /// How the server is reached, also while the bridge is off.
    #[serde(skip)]
    pub kind: TransportKind,
    /// How long a connect, handshake and tool list included, may take. Default 60 s (a first
    /// `npx` downloads).
    #[serde(deserialize_with = "value::duration::<YEAR, _>")]
    pub connect_timeout: Duration,
    /// The timeout of a call. Default 5 min.
    #[serde(deserialize_with = "value::duration::<YEAR, _>")]
    pub timeout: Duration,
    /// The maximum number of concurrent calls. Default 64.
    #[serde(deserialize_with = "value::count::<1, _>")]
    pub concurrency: usize,
    /// The maximum number of queued calls. Further calls get 503. Default 256.
    #[serde(deserialize_with = "value::count::<0, _>")]
    pub queue: usize,
    /// The limit of calls per minute for all callers together. Further calls get 429. Default: no limit.
    #[serde(deserialize_with = "value::per_minute")]
    pub calls_per_minute: Option<NonZeroU32>,
    /// Connect at the start only to read the tools, then disconnect until the first call. Default false.
    pub lazy: bool,
    /// End the session after this time without a call. The next call reconnects. Default never.
    #[serde(deserialize_with = "value::some_duration::<YEAR, _>")]
    pub idle_stop: Option<Duration>,
    /// The tools to publish.
    #[serde(skip)]
    pub tools: ToolFilter,
    /// The server's name for each new name.
    #[serde(skip)]
    pub rename: BTreeMap<ToolName, ToolName>,
    /// The server's name for each second name. Second names are callable but not listed.
    #[serde(skip)]
    pub aliases: BTreeMap<ToolName, ToolName>,
    /// HTML resources are answered as `text/html`. Default false.
    pub embed_html: bool,
    /// Files in results are stored for a day and answered as links. Default false.
    pub file_links: bool,
    /// Whether the progress of calls is shown in Open WebUI's chats. Default: the setting of
    /// `[identity.open_webui]`.
    pub progress: Option<bool>,
    /// How to treat arguments that a tool's schema does not define. Default: they are passed on.
    #[serde(deserialize_with = "value::word")]
    pub unknown_arguments: UnknownArgumentPolicy,
    /// Whether the configuration enables the bridge. `transport` may still lack a value.
    #[serde(skip)]
    pub is_enabled: bool,
    /// Whose credentials the calls carry. Default: the bridge's own.
    #[serde(skip)]
    pub credential: CredentialScope,
    /// The maximum number of concurrent sessions of groups or callers. Default 64.
    #[serde(deserialize_with = "value::count::<1, _>")]
    pub sessions_max: usize,
    /// Such a session ends after this time without a call. Default 10 min.
    #[serde(deserialize_with = "value::duration::<YEAR, _>")]
    pub session_idle: Duration,
    /// Why it is off until a user logs in for all callers (`enabled = "auto"`, OAuth in use):
    /// `LINEAR_API_KEY is not set, and no user has logged in: mcp-bridge login linear`.
    #[serde(skip)]
    pub waits_for_login: Option<String>,
    /// The variables that its table refers to.
    #[serde(skip)]
    pub variables: VariableNames,
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

parsed! {
    /// Reads the display name.
    title -> Option<String> = |title| {
        if title.chars().any(|it| is_hidden(it) || it.is_control()) {
            let hint = "write one line of plain text";
            return Err(BadValue::new(format!("{KEY} has a character that cannot be seen"), hint));
        }
        if title.chars().count() > TITLE_CHARS_MAX {
            let hint = "shorten it, and put the rest into `description`";
            let message = format!("{KEY} has more than {TITLE_CHARS_MAX} characters");
            return Err(BadValue::new(message, hint));
        }
        Ok(Some(title.to_owned()))
    };
}

impl Default for BridgeSettings {
    /// A bridge without a server, which is off.
    fn default() -> Self {
        Self {
            name: nearest_name(""),
            title: None,
            description: None,
            transport: Err(DisabledReason("its configuration has an error".to_owned())),
            kind: TransportKind::Unknown,
            connect_timeout: Duration::from_mins(1),
            timeout: Duration::from_mins(5),
            concurrency: 64,
            queue: 256,
            calls_per_minute: None,
            lazy: false,
            idle_stop: None,
            tools: ToolFilter::default(),
            rename: BTreeMap::new(),
            aliases: BTreeMap::new(),
            embed_html: false,
            file_links: false,
            progress: None,
            unknown_arguments: UnknownArgumentPolicy::Pass,
            is_enabled: true,
            credential: CredentialScope::Shared,
            sessions_max: 64,
            session_idle: Duration::from_mins(10),
            waits_for_login: None,
            variables: VariableNames::default(),
        }
    }
}

/// The variables that the table of a bridge refers to, set or not.
///
/// All of them are equal for a reload: they change nothing of how the bridge runs, because the values that they
/// stand for are compared.
#[derive(Debug, Clone, Default)]
pub struct VariableNames(pub BTreeSet<String>);

impl PartialEq for VariableNames {
    fn eq(&self, _other: &Self) -> bool {
        true
    }
}

impl BridgeSettings {
    /// Whether it reads a variable: its table refers to it, or its program gets the whole environment.
    pub fn reads_variable(&self, name: &str) -> bool {
        let inherits = match &self.transport {
            Ok(TransportSettings::Stdio(stdio)) => stdio.inherit_env,
            Ok(TransportSettings::Remote(_)) | Err(_) => false,
        };
        inherits || self.variables.0.contains(name)
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

impl WordSetting for UnknownArgumentPolicy {
    const WORDS: &'static [(&'static str, Self)] =
        &[("pass", Self::Pass), ("refuse", Self::Refuse)];
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
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ToolFilter {
    /// The patterns as written, for the server's names. An empty list allows all tools.
    #[serde(rename = "tools_allow", deserialize_with = "value::globs")]
    pub allow: Vec<String>,
    /// The patterns as written, for the server's names and the published ones, ignoring case. Deny takes
    /// precedence.
    #[serde(rename = "tools_deny", deserialize_with = "value::caseless_globs")]
    pub deny: Vec<String>,
    /// The compiled `allow`.
    #[serde(skip)]
    pub allow_set: GlobSet,
    /// The compiled `deny`, in lower case.
    #[serde(skip)]
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
