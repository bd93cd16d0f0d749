//! `[bridges.NAME]`: one server, from a TOML table or an entry of `mcpServers`.

use toml::de::DeTable;

use crate::{
    config::{
        BridgeSettings, CredentialScope, DisabledReason, OAuthGrant, ToolFilter, TransportSettings,
        VariableNames,
        bridges::{
            resolver::{BridgeResolver, EnabledSetting},
            table::{BridgeTable, ServerTable},
            tool_names::{compile, names},
            transport, with_key,
        },
        read::{ConfigReader, SectionRules, Span, keys_of, take},
    },
    name::BridgeName,
};

/// All keys of a bridge: those of [`BridgeSettings`], [`ToolFilter`] and [`BridgeTable`].
const KEYS: &str = "enabled title description command args env inherit_env cwd user url transport headers \
    basic_auth oauth pass_headers credential sessions_max session_idle protocol connect_timeout timeout \
    concurrency queue calls_per_minute lazy idle_stop tools_allow tools_deny rename aliases embed_html \
    file_links progress unknown_arguments with_key";

const RULES: SectionRules = SectionRules {
    optional: &["title"],
    missing_turns_off: true,
    ..SectionRules::NONE
};

/// Reads one bridge of `bridges.toml`, given the positions of its name and of its table.
pub fn read(
    reader: &mut ConfigReader<'_>,
    name: BridgeName,
    section: &str,
    [at, span]: [&Span; 2],
    mut settings: DeTable<'_>,
) -> BridgeSettings {
    let before = reader.problems.len();
    let known: Vec<&str> = KEYS.split(' ').collect();
    reader.refuse_unknown(section, &mut settings, &known);
    let own = take(&mut settings, keys_of::<BridgeTable>());
    let server = take(&mut settings, keys_of::<ServerTable>());
    let mut table: BridgeTable = reader.table(section, span, own).unwrap_or_default();
    table.server = reader.table(section, span, server).unwrap_or_default();
    table.is_partial = reader.problems.len() > before;
    table.resolve(name, at, settings, reader)
}

impl BridgeTable {
    /// Validates and resolves one bridge. `settings` are its other keys. Problems are reported and the rest is
    /// still resolved. After a problem, the configuration is rejected (native) or the bridge is off (mcpo).
    pub fn resolve(
        mut self,
        name: BridgeName,
        at: &Span,
        mut settings: DeTable<'_>,
        reader: &mut ConfigReader<'_>,
    ) -> BridgeSettings {
        let first_problem = reader.problems.len();
        reader.variables.clear();
        let lists = take(&mut settings, keys_of::<ToolFilter>());
        let (bridge, notes) = reader.section::<BridgeSettings>("bridges", at, settings, &RULES);
        let (tools, list_notes) = reader.section::<ToolFilter>("bridges", at, lists, &RULES);
        let mut tools = tools.unwrap_or_default();
        compile(reader, &mut tools);
        let mut resolver = BridgeResolver {
            reader,
            missing: Vec::new(),
            keys_missing: Vec::new(),
            key_missing: Vec::new(),
        };
        let resolver = &mut resolver;
        for why in notes.missing.into_iter().chain(list_notes.missing) {
            resolver.miss(why);
        }
        let (rename, aliases) = names(resolver, &self.rename, &self.aliases);
        let switch = resolver.switch(self.enabled.take());
        let credential = resolver.credential(self.server.credential.as_ref());
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
            transport,
            kind,
            tools,
            rename,
            aliases,
            is_enabled,
            credential,
            waits_for_login,
            variables: VariableNames(std::mem::take(&mut reader.variables)),
            ..bridge.unwrap_or_default()
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

/// Warns of names that differ only in case: people and file systems confuse them.
pub fn warn_of_twin(
    reader: &mut ConfigReader<'_>,
    bridges: &[BridgeSettings],
    name: &BridgeName,
    at: &Span,
) {
    let twin = bridges.iter().find(|other| {
        other.name != *name && other.name.as_str().eq_ignore_ascii_case(name.as_str())
    });
    if let Some(twin) = twin {
        reader.warn(
            at,
            format!("`{name}` and `{}` differ only in case", twin.name),
            "rename one of them",
        );
    }
}
