//! The defaults of the sections.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use http::HeaderName;

use super::{
    Access, Anonymous, Audit, Config, Database, DatabaseUrl, Gateway, Identity, OnFailure,
    OpenWebUi,
};

/// The workspace of callers and keys that do not name one.
pub const DEFAULT_WORKSPACE: &str = "default";

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

impl Database {
    /// SQLite next to the configuration file.
    pub fn beside(folder: &Path) -> Self {
        Self {
            url: DatabaseUrl::Sqlite(folder.join("mcp-bridge.db")),
            open_webui: None,
            redis: None,
            timeout: Duration::from_secs(2),
            connections_max: 8,
            secret_key: None,
            secret_keys_old: Vec::new(),
            secret_key_file: folder.join("mcp-bridge.key"),
        }
    }
}

impl Default for Database {
    /// SQLite in the current folder.
    fn default() -> Self {
        Self::beside(Path::new(""))
    }
}

impl Default for Identity {
    fn default() -> Self {
        Self {
            anonymous: Anonymous::Refused,
            keys: Vec::new(),
            strict: false,
            open_webui: OpenWebUi::default(),
            gateway: None,
            oidc: Vec::new(),
        }
    }
}

impl Default for OpenWebUi {
    fn default() -> Self {
        Self {
            secret_key: None,
            url: None,
            jwt_secret: None,
            jwt_audience: None,
            jwt_alone: false,
            cache_ttl: Duration::from_secs(30),
            progress: true,
        }
    }
}

impl OpenWebUi {
    /// Whether any of its ways to authenticate is enabled.
    pub fn is_on(&self) -> bool {
        self.secret_key.is_some() || self.url.is_some() || self.jwt_secret.is_some()
    }
}

impl Default for Gateway {
    fn default() -> Self {
        Self {
            trusted_peers: Vec::new(),
            secret: None,
            secret_header: HeaderName::from_static("x-gateway-secret"),
            email_header: HeaderName::from_static("x-user-email"),
            groups_header: HeaderName::from_static("x-user-groups"),
            admin_header: HeaderName::from_static("x-user-admin"),
            workspace_header: HeaderName::from_static("x-tenant-id"),
            strips_headers: false,
            ignore_credentials: false,
        }
    }
}

impl Default for Access {
    fn default() -> Self {
        Self {
            is_configured: false,
            admin_groups: vec!["MCP-Admin".to_owned()],
            default_groups: Vec::new(),
            admins: Vec::new(),
            cache_ttl: Duration::from_secs(10),
            groups: Vec::new(),
        }
    }
}

impl Default for Audit {
    /// Enabled, with its journal in the current folder.
    fn default() -> Self {
        Self::beside(Path::new(""))
    }
}

impl Audit {
    /// Enabled, with its journal next to the configuration file.
    pub fn beside(folder: &Path) -> Self {
        Self {
            is_on: true,
            journal: folder.join("mcp-bridge-audit"),
            ..Self::off()
        }
    }

    /// Disabled.
    pub fn off() -> Self {
        Self {
            is_on: false,
            journal: PathBuf::new(),
            journal_bytes_max: 1 << 30,
            on_failure: OnFailure::Continue,
            retention: Some(Duration::from_hours(24 * 90)),
            arguments: false,
        }
    }
}
