//! `[bridges.NAME]`: one server, from a TOML table or an entry of `mcpServers`.

use std::{collections::BTreeMap, time::Duration};

use serde::Deserialize;
use toml::Spanned;

use super::{
    BridgeSettings, CredentialScope, DisabledReason, OAuthGrant, TransportSettings,
    credentials::{BasicAuthTable, OAuthTable},
    diagnostic::Span,
    reader::{ConfigReader, ScalarSetting, Text},
    resolver::{BridgeResolver, EnabledSetting},
    setting::{FlagSetting, ListSetting},
    tool_names::{filter, names},
    transport,
    with_key::{self, WithKeyTable},
};
use crate::name::{BridgeName, is_hidden};

/// The longest `title`, in characters: it stands in one line of a list.
const TITLE_CHARS_MAX: usize = 100;

/// The defaults of the fields that [`BridgeSettings`] documents.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_mins(1);
pub(super) const TIMEOUT: Duration = Duration::from_mins(5);
pub(super) const CONCURRENCY: usize = 64;
pub(super) const QUEUE: usize = 256;
pub(super) const SESSIONS: usize = 64;
pub(super) const SESSION_IDLE: Duration = Duration::from_mins(10);

/// As it stands in the file. Defaults are those of [`BridgeSettings`].
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct BridgeTable {
    pub(super) enabled: Option<Spanned<FlagSetting>>,
    pub(super) title: Option<Text>,
    pub(super) description: Option<Text>,
    pub(super) command: Option<Text>,
    pub(super) args: Option<Vec<Text>>,
    pub(super) env: BTreeMap<Text, Text>,
    pub(super) inherit_env: Option<Spanned<bool>>,
    pub(super) cwd: Option<Text>,
    pub(super) user: Option<Spanned<ScalarSetting>>,
    pub(super) url: Option<Text>,
    pub(super) transport: Option<Text>,
    pub(super) headers: BTreeMap<Text, Text>,
    pub(super) basic_auth: Option<Spanned<BasicAuthTable>>,
    pub(super) oauth: Option<Spanned<OAuthTable>>,
    pub(super) pass_headers: Option<Spanned<ListSetting>>,
    pub(super) credential: Option<Text>,
    pub(super) sessions_max: Option<Spanned<ScalarSetting>>,
    pub(super) session_idle: Option<Text>,
    pub(super) protocol: Option<Text>,
    pub(super) connect_timeout: Option<Text>,
    pub(super) timeout: Option<Text>,
    pub(super) concurrency: Option<Spanned<ScalarSetting>>,
    pub(super) queue: Option<Spanned<ScalarSetting>>,
    pub(super) calls_per_minute: Option<Spanned<ScalarSetting>>,
    pub(super) lazy: Option<bool>,
    pub(super) idle_stop: Option<Text>,
    pub(super) tools_allow: Option<Vec<Text>>,
    pub(super) tools_deny: Option<Vec<Text>>,
    pub(super) rename: BTreeMap<Text, Text>,
    pub(super) aliases: BTreeMap<Text, Text>,
    pub(super) embed_html: Option<bool>,
    pub(super) file_links: Option<bool>,
    pub(super) progress: Option<bool>,
    pub(super) unknown_arguments: Option<Text>,
    pub(super) with_key: Option<Spanned<WithKeyTable>>,
    /// Whether a key was left out because it did not fit, and has been reported.
    #[serde(skip)]
    pub(super) is_partial: bool,
}

impl BridgeTable {
    /// Validates and resolves one bridge. Problems are reported and the rest is still resolved. After a
    /// problem, the configuration is rejected (native) or the bridge is off (mcpo).
    pub(super) fn resolve(
        mut self,
        name: BridgeName,
        at: &Span,
        reader: &mut ConfigReader<'_>,
    ) -> BridgeSettings {
        let first_problem = reader.problems.len();
        reader.variables.clear();
        let mut resolver = BridgeResolver {
            reader,
            missing: Vec::new(),
            keys_missing: Vec::new(),
            key_missing: Vec::new(),
        };
        let resolver = &mut resolver;
        let title = title(resolver, self.title.take());
        let description = self
            .description
            .take()
            .and_then(|text| resolver.expand(&text));
        let connect_timeout = resolver.duration("connect_timeout", self.connect_timeout.take());
        let timeout = resolver.duration("timeout", self.timeout.take());
        let idle_stop = resolver.duration("idle_stop", self.idle_stop.take());
        let concurrency = resolver.count("concurrency", self.concurrency.take(), 1);
        let queue = resolver.count("queue", self.queue.take(), 0);
        let calls_per_minute = resolver.per_minute(self.calls_per_minute.take());
        let tools = filter(resolver, self.tools_allow.take(), self.tools_deny.take());
        let (rename, aliases) = names(resolver, &self.rename, &self.aliases);
        let lazy = self.lazy.unwrap_or(false);
        let embed_html = self.embed_html.unwrap_or(false);
        let file_links = self.file_links.unwrap_or(false);
        let progress = self.progress;
        let unknown_arguments = resolver.unknown_arguments(self.unknown_arguments.as_ref());
        let sessions_max = resolver.count("sessions_max", self.sessions_max.take(), 1);
        let session_idle = resolver.duration("session_idle", self.session_idle.take());
        let switch = resolver.switch(self.enabled.take());
        let credential = resolver.credential(self.credential.as_ref());
        let credential = with_key::choose(resolver, &mut self, credential);
        let kind = transport::kind(resolver, &self);
        let transport = transport::resolve(resolver, self, credential, at);
        let own = std::mem::take(&mut resolver.missing);
        let missing = with_key::either(own, &resolver.key_missing).join("; ");
        let is_auto = switch == EnabledSetting::Auto;
        let (transport, is_enabled) = match switch {
            EnabledSetting::On | EnabledSetting::Auto => {
                (off_when_missing(transport, missing), true)
            }
            EnabledSetting::Off(why) => (Err(DisabledReason(why)), false),
        };
        let is_awaited =
            is_auto && credential == CredentialScope::Shared && asks_people(&transport);
        let waits_for_login = is_awaited.then(|| reason_to_wait(&name, &resolver.keys_missing));
        let mut bridge = BridgeSettings {
            name,
            title,
            description: description.map(Text::into_inner),
            transport,
            kind,
            connect_timeout: connect_timeout.unwrap_or(CONNECT_TIMEOUT),
            timeout: timeout.unwrap_or(TIMEOUT),
            concurrency: concurrency.unwrap_or(CONCURRENCY),
            queue: queue.unwrap_or(QUEUE),
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
            sessions_max: sessions_max.unwrap_or(SESSIONS),
            session_idle: session_idle.unwrap_or(SESSION_IDLE),
            waits_for_login,
            variables: std::mem::take(&mut reader.variables),
        };
        if reader.lenient
            && let Some(reason) = reader.problems.soften(first_problem)
        {
            // mcpo starts the other servers.
            bridge.transport = Err(DisabledReason(reason));
        }
        bridge
    }
}

/// Returns the display name; `None` if it is not set, blank, or invalid (then the problem is reported).
fn title(resolver: &mut BridgeResolver<'_, '_>, written: Option<Text>) -> Option<String> {
    let text = resolver.optional(&written?)?.ok()?;
    let title = text.get_ref();
    let (problem, hint) = if title.chars().any(|it| is_hidden(it) || it.is_control()) {
        (
            "`title` has a character that cannot be seen".to_owned(),
            "write one line of plain text",
        )
    } else if title.chars().count() > TITLE_CHARS_MAX {
        (
            format!("`title` has more than {TITLE_CHARS_MAX} characters"),
            "shorten it, and put the rest into `description`",
        )
    } else {
        return Some(text.into_inner());
    };
    let problems = &mut resolver.reader.problems;
    problems.error(&text.span(), problem).hint(hint);
    None
}

/// A bridge with something missing is off; one with an error has been reported, and its reason
/// is never read.
fn off_when_missing(
    transport: Option<TransportSettings>,
    missing: String,
) -> Result<TransportSettings, DisabledReason> {
    match transport {
        _ if !missing.is_empty() => Err(DisabledReason(missing)),
        Some(transport) => Ok(transport),
        None => Err(DisabledReason("its configuration has an error".to_owned())),
    }
}

/// Whether a user has to log in.
fn asks_people(transport: &Result<TransportSettings, DisabledReason>) -> bool {
    match transport {
        Ok(TransportSettings::Remote(remote)) => remote
            .oauth
            .as_ref()
            .is_some_and(|oauth| oauth.grant == OAuthGrant::AuthorizationCode),
        Ok(TransportSettings::Stdio(_)) | Err(_) => false,
    }
}

/// Returns why a bridge is off until a user logs in for all callers.
fn reason_to_wait(name: &BridgeName, keys_missing: &[String]) -> String {
    let mut reason = keys_missing.join("; ");
    if !reason.is_empty() {
        reason.push_str(", and ");
    }
    format!("{reason}no user has logged in: mcp-bridge login {name}")
}
