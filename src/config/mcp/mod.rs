//! Bridges from elsewhere than `bridges.toml`: an `mcpServers` file, or the command line.

pub(super) mod checks;
pub(super) mod entry;
pub(super) mod env_file;
pub(super) mod servers;
pub(super) mod single;
pub(super) mod unfilled;
