//! The operator's settings, validated and resolved: [`Config`]. This module opens no socket.
//!
//! [`load()`] reads a file into a [`Config`], or reports everything that is wrong with it. [`ConfigWatcher`] reports
//! when to read the file again, and [`plan()`] shows what that changes.

mod bridges;
pub(crate) mod clients;
mod contradictions;
mod count;
mod identity;
mod load;
mod loaded;
mod mcp;
mod naming;
mod native;
mod plan;
mod read;
mod secrets;
mod sections;
mod types;
mod unread;
mod watch;

#[cfg(test)]
mod shipped;
#[cfg(test)]
pub(super) mod tests;

#[cfg(test)]
pub use sections::access::SeedGroup;
pub(crate) use {
    bridges::tool_names::exact_glob,
    identity::check_key_name,
    mcp::env_file::read as read_env_file,
    read::{
        environment::read_dotenv,
        lint::{has_token_prefix, looks_random, looks_secret},
        reference::{is_variable, variable_of},
        value::check_glob,
    },
    sections::{
        access::is_email,
        server::{listen_on, odd_in_path, parse_listen, path_prefix, root_path},
        telemetry::level,
    },
};
pub use {
    bridges::{
        child_env::{OWN_FOLDERS, child_environment},
        oauth_types::*,
        run_as::RunAsUser,
        types::*,
    },
    count::{BridgeAvailability, BridgeCount},
    identity::{
        draft::{AnonymousAccess, IdentitySettings},
        gateway::GatewaySettings,
        keys::{ApiKey, ApiKeyValue, DEFAULT_WORKSPACE},
        oidc::IssuerSettings,
        open_webui::OpenWebUiSettings,
    },
    load::{HeaderSource, load, load_bridge, load_mcpo, load_with},
    loaded::{CliOverrides, LoadedConfig},
    mcp::single::{is_url, remote, single, stdio},
    naming::nearest_name,
    plan::{ReloadPlan, in_force, plan},
    read::{
        diagnostic::{Diagnostic, Severity},
        environment::Environment,
        reader::DisabledPart,
    },
    sections::{
        access::{AccessSettings, SeedGrant},
        audit::{AuditFailurePolicy, AuditSettings},
        database::{DatabaseSettings, DatabaseUrl, RedisSettings},
        limits::LimitSettings,
        otlp::OtlpSettings,
        server::{ServerSettings, TlsSettings},
        telemetry::{LogFormat, MetricsAudience, TelemetrySettings},
    },
    types::*,
    unread::unread,
    watch::ConfigWatcher,
};
