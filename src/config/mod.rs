//! The operator's settings, validated and resolved: [`Config`]. This module opens no socket.
//!
//! [`load()`] reads a file into a [`Config`], or reports everything that is wrong with it. [`Watch`] reports
//! when to read the file again, and [`plan()`] shows what that changes.

mod access;
mod audit;
mod bridge;
mod bridge_types;
mod child_env;
pub(crate) mod clients;
mod contradictions;
mod count;
mod credentials;
mod database;
mod defaults;
mod diagnostic;
mod env_file;
mod environment;
mod identity;
mod limits;
mod lint;
mod load;
mod mcp_checks;
mod mcp_servers;
mod naming;
mod native;
mod oauth_types;
mod otlp;
mod plan;
mod read;
mod reader;
mod reference;
mod resolver;
mod run_as;
mod secrets;
mod server;
mod setting;
mod single;
mod telemetry;
mod tool_names;
mod transport;
mod types;
mod unfilled;
mod unread;
mod watch;
mod with_key;

#[cfg(test)]
mod shipped;
#[cfg(test)]
pub(super) mod tests;

pub(crate) use {
    access::is_email,
    env_file::read as read_env_file,
    environment::read_dotenv,
    identity::check_key_name,
    lint::{has_token_prefix, looks_random, looks_secret},
    read::value::check_glob,
    reference::{is_variable, variable_of},
    server::{listen_on, odd_in_path, parse_listen, path_prefix, root_path},
    telemetry::level,
    tool_names::exact_glob,
};
pub use {
    bridge_types::*,
    child_env::{OWN_FOLDERS, child_environment},
    count::{BridgeCount, Standing},
    defaults::DEFAULT_WORKSPACE,
    diagnostic::{Diagnostic, Severity},
    environment::Environment,
    load::{HeaderSource, Loaded, Off, Overrides, load, load_bridge, load_mcpo, load_with},
    naming::nearest_name,
    oauth_types::*,
    plan::{Plan, in_force, plan},
    run_as::RunAs,
    single::{is_url, remote, single, stdio},
    types::*,
    unread::unread,
    watch::Watch,
};
