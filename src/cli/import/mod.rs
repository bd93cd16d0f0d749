//! `mcp-bridge import`: an `mcpServers` file, or that of another client, as `bridges.toml`.
//!
//! Nothing is lost: what has no place in the new file stands in it as a comment. Secrets do not
//! move along: they become references, and the head of the file lists the variables to set.

mod env_file;
mod importer;
mod run;
mod table;
mod text;

pub use run::run;

#[cfg(test)]
mod tests;
