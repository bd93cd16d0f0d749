//! The resolved configuration: all references replaced, all values parsed, all defaults set.
//!
//! The rest of the crate uses these types. A reload compares them with `PartialEq`.

use super::{Access, Audit, Bridge, Database, Identity, Limits, Server, Telemetry};

/// The whole configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Whose rules apply.
    pub flavor: Flavor,
    /// `[server]`
    pub server: Server,
    /// `[database]`; `None` if there is no storage: mcpo's command line, or one server without a file.
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
    /// `[bridges.NAME]`, in the order of the file. Names are unique.
    pub bridges: Vec<Bridge>,
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
