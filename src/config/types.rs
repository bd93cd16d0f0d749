//! The resolved configuration: all references replaced, all values parsed, all defaults set.
//!
//! The rest of the crate uses these types. A reload compares them with `PartialEq`.

use super::{
    AccessSettings, AuditSettings, BridgeSettings, DatabaseSettings, IdentitySettings,
    LimitSettings, ServerSettings, TelemetrySettings,
};

/// The whole configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Whose rules apply.
    pub flavor: Flavor,
    /// `[server]`
    pub server: ServerSettings,
    /// `[database]`; `None` if there is no storage: mcpo's command line, or one server without a file.
    pub database: Option<DatabaseSettings>,
    /// `[identity]`
    pub identity: IdentitySettings,
    /// `[access]`
    pub access: AccessSettings,
    /// `[limits]`
    pub limits: LimitSettings,
    /// `[audit]`
    pub audit: AuditSettings,
    /// `[telemetry]`
    pub telemetry: TelemetrySettings,
    /// `[bridges.NAME]`, in the order of the file. Names are unique.
    pub bridges: Vec<BridgeSettings>,
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

impl Config {
    /// Whether groups and grants decide who may call what. With API keys alone and without `[access]`, every
    /// key may call everything, as with mcpo.
    pub fn is_access_enforced(&self) -> bool {
        let identity = &self.identity;
        self.access.is_configured
            || identity.open_webui.is_on()
            || identity.gateway.is_some()
            || !identity.oidc.is_empty()
            || identity.keys.iter().any(|key| key.forwards)
    }
}
