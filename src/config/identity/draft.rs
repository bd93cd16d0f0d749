//! Reads the whole section, and decides who may call once the listen address is known.

use std::net::SocketAddr;

use serde::Deserialize;
use toml::de::DeTable;

use crate::{
    config::{
        ApiKey, ApiKeyValue, DEFAULT_WORKSPACE, Diagnostic, Environment, GatewaySettings,
        IssuerSettings, OpenWebUiSettings,
        identity::{gateway, keys::ResolvedApiKeys, oidc, open_webui},
        read::{ConfigReader, SectionRules, Span, keys_of},
    },
    secret::Secret,
};

/// `[identity]`: who may call.
#[derive(Debug, Clone, PartialEq)]
pub struct IdentitySettings {
    /// How requests without credentials are treated.
    pub anonymous: AnonymousAccess,
    /// `[identity.keys.NAME]`. A key whose text is blank is disabled and not in this list.
    pub keys: Vec<ApiKey>,
    /// mcpo's `--strict-auth`: documents and docs pages need the key too.
    pub strict: bool,
    /// `[identity.open_webui]`
    pub open_webui: OpenWebUiSettings,
    /// `[identity.gateway]`, if it is enabled.
    pub gateway: Option<GatewaySettings>,
    /// `[identity.oidc.NAME]`, if enabled.
    pub oidc: Vec<IssuerSettings>,
}

/// How requests without credentials are treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnonymousAccess {
    /// They are rejected with 401.
    Refused,
    /// They are accepted, because no key is enabled and only this machine can reach the bridge: the first
    /// minutes on a laptop. Requests from web pages of other sites are rejected.
    Loopback,
    /// They are accepted: the operator wrote `anonymous = true`.
    Allowed,
}

impl Default for IdentitySettings {
    fn default() -> Self {
        Self {
            anonymous: AnonymousAccess::Refused,
            keys: Vec::new(),
            strict: false,
            open_webui: OpenWebUiSettings::default(),
            gateway: None,
            oidc: Vec::new(),
        }
    }
}

/// The section in the file without its subtables, which are read separately.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct IdentityTable {
    /// Whether callers need no identity. Default: false, except if no way to authenticate is enabled and only
    /// this machine can reach the bridge.
    anonymous: Option<bool>,
}

/// The subtables.
const SUBTABLES: &[&str] = &["keys", "open_webui", "gateway", "oidc"];

/// The section before the listen address is known.
#[derive(Debug)]
pub struct IdentityDraft {
    anonymous: Option<bool>,
    keys: Vec<ApiKey>,
    open_webui: OpenWebUiSettings,
    gateway: Option<GatewaySettings>,
    oidc: Vec<IssuerSettings>,
    /// Why keys are off.
    off: Vec<String>,
    /// The hint for a section in which nothing is enabled.
    hint: &'static str,
}

impl Default for IdentityDraft {
    fn default() -> Self {
        Self {
            anonymous: None,
            keys: Vec::new(),
            open_webui: OpenWebUiSettings::default(),
            gateway: None,
            oidc: Vec::new(),
            off: Vec::new(),
            hint: "write `[identity.keys.default]` with `key = \"${MCP_API_KEY}\"` and set MCP_API_KEY, or write `anonymous = true` in `[identity]` if all callers are allowed",
        }
    }
}

/// Reads the section. `has_directory`: whether Open WebUI's database is available.
pub fn read(
    reader: &mut ConfigReader<'_>,
    span: &Span,
    mut table: DeTable<'_>,
    has_directory: bool,
) -> IdentityDraft {
    let mut draft = IdentityDraft::default();
    let mut keys = ResolvedApiKeys::default();
    let known = [keys_of::<IdentityTable>(), SUBTABLES].concat();
    reader.refuse_unknown("identity", &mut table, &known);
    for name in SUBTABLES {
        let Some((at, table)) = section(reader, &mut table, name) else {
            continue;
        };
        match *name {
            "keys" => {
                for (name, value) in table {
                    keys.read(reader, name.get_ref(), value);
                }
            }
            "open_webui" => {
                draft.open_webui = open_webui::read(reader, &at, table, has_directory);
            }
            "gateway" => draft.gateway = gateway::read(reader, &at, table),
            _ => {
                for (name, value) in table {
                    draft.oidc.extend(oidc::read(reader, name.get_ref(), value));
                }
            }
        }
    }
    let (rest, _notes) =
        reader.section::<IdentityTable>("identity", span, table, &SectionRules::NONE);
    draft.anonymous = rest.and_then(|rest| rest.anonymous);
    warn_of_unsigned(reader, &draft, &keys);
    for (name, reason) in keys.off {
        reader.turn_off(&format!("key `{name}`"), reason.clone());
        draft.off.push(format!("the key `{name}` is off: {reason}"));
    }
    draft.keys = keys.on;
    draft
}

/// Takes a subtable out of the section.
fn section<'i>(
    reader: &mut ConfigReader<'_>,
    table: &mut DeTable<'i>,
    name: &str,
) -> Option<(Span, DeTable<'i>)> {
    let (_, value) = table.remove_entry(name)?;
    let hint = match name {
        "keys" => "write `[identity.keys.NAME]` and below it `key = \"${MCP_API_KEY}\"`".to_owned(),
        "oidc" => "write `[identity.oidc.NAME]` and below it `issuer = \"https://…\"`".to_owned(),
        _ => format!("write `[identity.{name}]` on a line of its own, and its keys below"),
    };
    reader.table_in(value, format!("`{name}`: expected a table"), hint)
}

/// Warns that plain headers can name any user.
fn warn_of_unsigned(reader: &mut ConfigReader<'_>, draft: &IdentityDraft, keys: &ResolvedApiKeys) {
    if let Some((name, at)) = &keys.forwarder
        && draft.open_webui.jwt_secret.is_none()
    {
        reader.warn(
                at,
                format!("a caller with the key `{name}` can impersonate any user, because the user headers are not signed"), "set `jwt_secret` in `[identity.open_webui]` (FORWARD_USER_INFO_HEADER_JWT_SECRET, here and at Open WebUI)");
    }
}

impl IdentityDraft {
    /// The section if the file has none: the key in `MCP_API_KEY`, if that is set.
    pub fn of_environment(environment: &Environment) -> Self {
        let key = environment.get("MCP_API_KEY").map(str::trim);
        let keys = key.filter(|key| !key.is_empty()).map(|key| ApiKey {
            name: "default".to_owned(),
            key: ApiKeyValue::Plain(Secret::new(key)),
            groups: Vec::new(),
            forwards: false,
            workspace: DEFAULT_WORKSPACE.to_owned(),
        });
        Self {
            keys: keys.into_iter().collect(),
            hint: "set MCP_API_KEY to the key that callers send, or write a `bridges.toml` with `anonymous = true` in `[identity]`",
            ..Self::default()
        }
    }

    /// Whether any way to authenticate is enabled.
    fn has_proof(&self) -> bool {
        !self.keys.is_empty()
            || self.open_webui.is_on()
            || self.gateway.is_some()
            || !self.oidc.is_empty()
    }

    /// Decides who may call, once the listen address is known, and warns of open access. Open access from
    /// other machines must be configured explicitly.
    pub fn resolve(self, listen: SocketAddr) -> (IdentitySettings, Option<Diagnostic>) {
        let local = listen.ip().is_loopback();
        let has_proof = self.has_proof();
        let open = !has_proof && self.anonymous.is_none() && local;
        let off = if self.off.is_empty() {
            String::new()
        } else {
            format!(" ({})", self.off.join("; "))
        };
        let complaint = if open {
            let message =
                format!("no API key is on{off}: any client that can reach {listen} may call");
            Some(Diagnostic::warning(message).with_hint(self.hint))
        } else if !has_proof && !local && self.anonymous != Some(true) {
            let message =
                format!("{listen} is reachable from other machines, and no API key is on{off}");
            Some(Diagnostic::error(message).with_hint(self.hint))
        } else {
            None
        };
        let identity = IdentitySettings {
            anonymous: match (self.anonymous, open) {
                (Some(true), _) => AnonymousAccess::Allowed,
                (None, true) => AnonymousAccess::Loopback,
                (Some(false) | None, _) => AnonymousAccess::Refused,
            },
            keys: self.keys,
            open_webui: self.open_webui,
            gateway: self.gateway,
            oidc: self.oidc,
            ..IdentitySettings::default()
        };
        (identity, complaint)
    }
}
