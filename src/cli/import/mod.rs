//! `mcp-bridge import`: converts an `mcpServers` file, or the file of another client, to `bridges.toml`.
//!
//! Settings that `bridges.toml` does not support become comments, so that no setting is lost. Secrets become
//! references to variables, and the head of the file lists the variables to set.

mod env_file;
mod importer;
mod place;
mod run;
mod table;
mod text;

pub use run::run;

#[cfg(test)]
mod tests;
