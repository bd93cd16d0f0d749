//! `[bridges.NAME]`: one server, from a TOML table or an entry of `mcpServers`.

use std::{collections::BTreeMap, num::NonZeroU32, time::Duration};

use globset::{GlobSet, GlobSetBuilder};
use serde::Deserialize;
use toml::Spanned;

use super::{
    Bridge, CredentialKind, Disabled, OAuthGrant, ToolFilter, Transport, UnknownArguments,
    credentials::{BasicTable, OAuthTable},
    diagnostic::Span,
    reader::{Reader, Scalar, Text},
    setting::{Flag, List, Setting, is_blank, why_blank},
    transport,
};
use crate::name::{BridgeName, TOOL_NAME_BYTES_MAX, ToolName};

/// The defaults of what [`Bridge`] documents.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_mins(1);
pub(super) const TIMEOUT: Duration = Duration::from_mins(5);
pub(super) const CONCURRENCY: usize = 64;
pub(super) const QUEUE: usize = 256;
pub(super) const SESSIONS: usize = 64;
pub(super) const SESSION_IDLE: Duration = Duration::from_mins(10);

/// What `credential` may say.
const CREDENTIALS: &[(&str, CredentialKind)] = &[
    ("shared", CredentialKind::Shared),
    ("group", CredentialKind::Group),
    ("caller", CredentialKind::Caller),
];

/// What `unknown_arguments` may say.
const UNKNOWN_ARGUMENTS: &[(&str, UnknownArguments)] = &[
    ("pass", UnknownArguments::Pass),
    ("refuse", UnknownArguments::Refuse),
];

/// As it stands in the file. Defaults are those of [`Bridge`].
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct BridgeTable {
    pub(super) enabled: Option<Spanned<Flag>>,
    pub(super) description: Option<Text>,
    pub(super) command: Option<Text>,
    pub(super) args: Option<Vec<Text>>,
    pub(super) env: BTreeMap<Text, Text>,
    pub(super) inherit_env: Option<Spanned<bool>>,
    pub(super) cwd: Option<Text>,
    pub(super) user: Option<Spanned<Scalar>>,
    pub(super) url: Option<Text>,
    pub(super) transport: Option<Text>,
    pub(super) headers: BTreeMap<Text, Text>,
    pub(super) basic_auth: Option<Spanned<BasicTable>>,
    pub(super) oauth: Option<Spanned<OAuthTable>>,
    pub(super) pass_headers: Option<Spanned<List>>,
    pub(super) credential: Option<Text>,
    pub(super) sessions_max: Option<Spanned<Scalar>>,
    pub(super) session_idle: Option<Text>,
    pub(super) protocol: Option<Text>,
    pub(super) connect_timeout: Option<Text>,
    pub(super) timeout: Option<Text>,
    pub(super) concurrency: Option<Spanned<Scalar>>,
    pub(super) queue: Option<Spanned<Scalar>>,
    pub(super) calls_per_minute: Option<Spanned<Scalar>>,
    pub(super) lazy: Option<bool>,
    pub(super) idle_stop: Option<Text>,
    pub(super) tools_allow: Option<Vec<Text>>,
    pub(super) tools_deny: Option<Vec<Text>>,
    pub(super) rename: BTreeMap<Text, Text>,
    pub(super) aliases: BTreeMap<Text, Text>,
    pub(super) embed_html: Option<bool>,
    pub(super) progress: Option<bool>,
    pub(super) unknown_arguments: Option<Text>,
    /// Whether a key was left out because it did not fit, and has been reported.
    #[serde(skip)]
    pub(super) is_partial: bool,
}

/// Reads the strings of one bridge; a missing reference switches it off.
#[derive(Debug)]
pub(super) struct Resolver<'r, 'a> {
    /// What it is read with.
    pub(super) reader: &'r mut Reader<'a>,
    /// Why the bridge is off.
    missing: Vec<String>,
    /// Why it has no key and signs in.
    pub(super) keys_missing: Vec<String>,
}

/// What `enabled` says.
#[derive(Debug, PartialEq, Eq)]
enum Switch {
    /// `true`, or nothing.
    On,
    /// `"auto"`: on with a key, or once somebody has logged in.
    Auto,
    /// `false` or blank, and why.
    Off(String),
}

impl Resolver<'_, '_> {
    /// Replaces references; `None` when something is missing or malformed.
    pub(super) fn expand(&mut self, text: &Text) -> Option<Text> {
        let expansion = self.reader.expand(text)?;
        if expansion.missing.is_empty() {
            return Some(Spanned::new(text.span(), expansion.text));
        }
        for missing in expansion.missing {
            self.miss(missing);
        }
        None
    }

    /// The same for a value that may be blank by a default of nothing; then it says why.
    pub(super) fn optional(&mut self, text: &Text) -> Option<Setting<Text>> {
        let expansion = self.reader.expand(text)?;
        if !expansion.missing.is_empty() {
            return self.expand(text).map(Ok);
        }
        if is_blank(&expansion) {
            return Some(Err(why_blank(&expansion)));
        }
        let value = expansion.text.trim().to_owned();
        Some(Ok(Spanned::new(text.span(), value)))
    }

    /// The words of a list, blank ones left out.
    pub(super) fn words(&mut self, list: &Spanned<List>, separators: &[char]) -> Vec<Text> {
        let texts = match list.get_ref() {
            List::One(text) => vec![Spanned::new(list.span(), text.clone())],
            List::Many(texts) => texts.clone(),
        };
        let mut words = Vec::new();
        for text in texts {
            let Some(value) = self.expand(&text) else {
                continue;
            };
            let inner = value.get_ref().split(separators).map(str::trim);
            let inner = inner.filter(|word| !word.is_empty());
            words.extend(inner.map(|word| Spanned::new(text.span(), word.to_owned())));
        }
        words
    }

    /// Notes why the bridge is off.
    pub(super) fn miss(&mut self, reason: String) {
        if !self.missing.contains(&reason) {
            self.missing.push(reason);
        }
    }

    /// The value of a header or variable, unless a default of nothing made it blank: then it is left
    /// out, so that what is optional can stand in a file. mcpo passes it on as it is.
    pub(super) fn unless_blank(&self, written: &Text, value: Text) -> Option<Text> {
        let is_left_out = !self.reader.lenient
            && value.get_ref().trim().is_empty()
            && written.get_ref().contains("${");
        (!is_left_out).then_some(value)
    }

    /// Reads what does not switch the bridge off when it is missing; gives the reasons apart.
    pub(super) fn apart<T>(&mut self, read: impl FnOnce(&mut Self) -> T) -> (T, Vec<String>) {
        let before = std::mem::take(&mut self.missing);
        let found = read(self);
        (found, std::mem::replace(&mut self.missing, before))
    }

    fn switch(&mut self, flag: Option<Spanned<Flag>>) -> Switch {
        let Some(flag) = flag else {
            return Switch::On;
        };
        if let Flag::Text(text) = flag.get_ref() {
            let text = Spanned::new(flag.span(), text.clone());
            match self.reader.optional(&text) {
                Some(Ok(value)) if value.get_ref().eq_ignore_ascii_case("auto") => {
                    return Switch::Auto;
                }
                Some(Ok(_)) => {}
                Some(Err(why)) => return Switch::Off(why),
                // Reported.
                None => return Switch::On,
            }
        }
        match self.reader.flag("enabled", &flag) {
            Some(false) => Switch::Off("switched off in the configuration".to_owned()),
            Some(true) | None => Switch::On,
        }
    }

    fn credential(&mut self, text: Option<&Text>) -> CredentialKind {
        let kind = text.and_then(|text| {
            let text = self.expand(text)?;
            self.reader.choice("credential", &text, CREDENTIALS)
        });
        kind.unwrap_or(CredentialKind::Shared)
    }

    fn unknown_arguments(&mut self, text: Option<&Text>) -> UnknownArguments {
        let said = text.and_then(|text| {
            let text = self.expand(text)?;
            let choices = UNKNOWN_ARGUMENTS;
            self.reader.choice("unknown_arguments", &text, choices)
        });
        said.unwrap_or_default()
    }

    /// The same for a string that others can see; a secret in it is worth a warning.
    pub(super) fn expand_visible(&mut self, text: &Text, danger: &str, hint: &str) -> Option<Text> {
        if let Some(expansion) = self.reader.expand(text) {
            if let Some(secret) = expansion.secrets.first() {
                self.reader
                    .problems
                    .warning(
                        &text.span(),
                        format!("`{secret}` looks like a secret, and {danger}"),
                    )
                    .hint(hint);
            }
            return self.expand(text);
        }
        None
    }

    fn duration(&mut self, key: &str, text: Option<Text>) -> Option<Duration> {
        let text = self.expand(&text?)?;
        self.reader.duration(key, &text)
    }

    fn count(&mut self, key: &str, scalar: Option<Spanned<Scalar>>, least: usize) -> Option<usize> {
        let scalar = self.scalar(scalar?)?;
        self.reader.count(key, &scalar, least)
    }

    fn per_minute(&mut self, scalar: Option<Spanned<Scalar>>) -> Option<NonZeroU32> {
        let scalar = self.scalar(scalar?)?;
        self.reader.per_minute("calls_per_minute", &scalar)
    }

    pub(super) fn scalar(&mut self, scalar: Spanned<Scalar>) -> Option<Spanned<Scalar>> {
        let span = scalar.span();
        let scalar = match scalar.into_inner() {
            Scalar::Text(text) => {
                Scalar::Text(self.expand(&Spanned::new(span.clone(), text))?.into_inner())
            }
            integer @ Scalar::Integer(_) => integer,
        };
        Some(Spanned::new(span, scalar))
    }
}

impl BridgeTable {
    /// Checks and resolves one bridge. Problems are reported; what can be had is had, and with a
    /// problem the configuration is refused (native) or the bridge is off (mcpo).
    pub(super) fn resolve(
        mut self,
        name: BridgeName,
        at: &Span,
        reader: &mut Reader<'_>,
    ) -> Bridge {
        let first_problem = reader.problems.len();
        reader.variables.clear();
        let mut resolver = Resolver {
            reader,
            missing: Vec::new(),
            keys_missing: Vec::new(),
        };
        let resolver = &mut resolver;
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
        let progress = self.progress;
        let unknown_arguments = resolver.unknown_arguments(self.unknown_arguments.as_ref());
        let sessions_max = resolver.count("sessions_max", self.sessions_max.take(), 1);
        let session_idle = resolver.duration("session_idle", self.session_idle.take());
        let switch = resolver.switch(self.enabled.take());
        let credential = resolver.credential(self.credential.as_ref());
        let transport = transport::resolve(resolver, self, credential, at);
        let missing = resolver.missing.join("; ");
        let is_auto = switch == Switch::Auto;
        let (transport, is_enabled) = match switch {
            Switch::On | Switch::Auto => (off_when_missing(transport, missing), true),
            Switch::Off(why) => (Err(Disabled(why)), false),
        };
        let is_awaited = is_auto && credential == CredentialKind::Shared && asks_people(&transport);
        let waits_for_login = is_awaited.then(|| reason_to_wait(&name, &resolver.keys_missing));
        let mut bridge = Bridge {
            name,
            description: description.map(Text::into_inner),
            transport,
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
            // mcpo starts with the others.
            bridge.transport = Err(Disabled(reason));
        }
        bridge
    }
}

/// A bridge with something missing is off; one with an error has been reported, and its reason
/// is never read.
fn off_when_missing(transport: Option<Transport>, missing: String) -> Result<Transport, Disabled> {
    match transport {
        _ if !missing.is_empty() => Err(Disabled(missing)),
        Some(transport) => Ok(transport),
        None => Err(Disabled("its configuration has an error".to_owned())),
    }
}

/// Whether a person has to log in.
fn asks_people(transport: &Result<Transport, Disabled>) -> bool {
    match transport {
        Ok(Transport::Remote(remote)) => remote
            .oauth
            .as_ref()
            .is_some_and(|oauth| oauth.grant == OAuthGrant::AuthorizationCode),
        Ok(Transport::Stdio(_)) | Err(_) => false,
    }
}

/// Why a bridge is off until somebody logs in for all.
fn reason_to_wait(name: &BridgeName, keys_missing: &[String]) -> String {
    let mut reason = keys_missing.join("; ");
    if !reason.is_empty() {
        reason.push_str(", and ");
    }
    format!("{reason}nobody has logged in: mcp-bridge login {name}")
}

fn filter(
    resolver: &mut Resolver<'_, '_>,
    allow: Option<Vec<Text>>,
    deny: Option<Vec<Text>>,
) -> ToolFilter {
    let (allow, allow_set) = globs(resolver, "tools_allow", allow.unwrap_or_default());
    let (deny, deny_set) = globs(resolver, "tools_deny", deny.unwrap_or_default());
    ToolFilter {
        allow,
        deny,
        allow_set,
        deny_set,
    }
}

fn globs(resolver: &mut Resolver<'_, '_>, key: &str, texts: Vec<Text>) -> (Vec<String>, GlobSet) {
    let mut set = GlobSetBuilder::new();
    let mut written = Vec::new();
    for text in texts {
        let Some(text) = resolver.expand(&text) else {
            continue;
        };
        // What closes is compared without regard to case: `delete_*` means `Delete_All` too.
        let glob = if key == "tools_deny" {
            resolver.reader.caseless_glob(key, &text)
        } else {
            resolver.reader.glob(key, &text)
        };
        if let Some(glob) = glob {
            set.add(glob);
            written.push(text.into_inner());
        }
    }
    let set = set.build().unwrap_or_else(|error| {
        // Each one compiled, all together are too large.
        resolver
            .reader
            .add_all(vec![super::Diagnostic::error(format!("`{key}`: {error}"))]);
        GlobSet::empty()
    });
    (written, set)
}

/// The glob that matches a name and nothing else.
pub(crate) fn exact_glob(name: &str) -> String {
    globset::escape(&name.replace('\\', "\\\\"))
}

/// New name → server's name.
type Names = BTreeMap<ToolName, ToolName>;

/// Renames and aliases: every new name stands for one tool, every tool has one new name.
fn names(
    resolver: &mut Resolver<'_, '_>,
    rename: &BTreeMap<Text, Text>,
    aliases: &BTreeMap<Text, Text>,
) -> (Names, Names) {
    let renames = pairs(resolver, "rename", rename);
    let second = pairs(resolver, "aliases", aliases);
    let mut taken: BTreeMap<&ToolName, &ToolName> = BTreeMap::new();
    for (new, old) in &renames {
        if let Some(first) = taken.insert(old, new) {
            let span = span_of(rename, new);
            resolver
                .reader
                .problems
                .error(
                    &span,
                    format!("`{old}` cannot be renamed to both `{first}` and `{new}`"),
                )
                .hint(format!(
                    "keep one, and put the other under `aliases`: `{new} = \"{old}\"`"
                ));
        }
    }
    for new in second.keys() {
        if renames.contains_key(new) {
            let span = span_of(aliases, new);
            resolver
                .reader
                .problems
                .error(
                    &span,
                    format!("`{new}` stands under `rename` and under `aliases`"),
                )
                .hint("keep one of them");
        }
    }
    (renames, second)
}

fn pairs(resolver: &mut Resolver<'_, '_>, key: &str, table: &BTreeMap<Text, Text>) -> Names {
    let mut names = Names::new();
    for (new, old) in table {
        let Some(expanded) = resolver.expand(old) else {
            continue;
        };
        match (
            ToolName::parse(new.get_ref()),
            ToolName::parse(expanded.get_ref()),
        ) {
            (Some(new_name), Some(old_name)) if new_name != old_name => {
                names.insert(new_name, old_name);
            }
            (Some(same), Some(_)) => {
                resolver
                    .reader
                    .problems
                    .error(&new.span(), format!("`{key}`: `{same}` stands for itself"))
                    .hint(format!(
                        "write the new name first: `NEW = \"{same}\"`, or remove the line"
                    ));
            }
            _ => {
                resolver
                    .reader
                    .problems
                    .error(
                        &new.span(),
                        format!("`{key}`: a tool needs a name of 1 to {TOOL_NAME_BYTES_MAX} bytes"),
                    )
                    .hint("write `NEW = \"NAME_AT_THE_SERVER\"`");
            }
        }
    }
    names
}

fn span_of(table: &BTreeMap<Text, Text>, name: &ToolName) -> Span {
    table
        .keys()
        .find(|key| key.get_ref() == name.as_str())
        .map(Text::span)
        .unwrap_or_default()
}
