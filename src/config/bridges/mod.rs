//! `[bridges.NAME]`: how a server is reached, with which credentials, and which of its tools are published.

pub(super) mod child_env;
pub(super) mod headers;
pub(super) mod oauth;
pub(super) mod oauth_types;
pub(super) mod resolver;
pub(super) mod run_as;
pub(super) mod settle;
pub(super) mod table;
pub(super) mod tool_names;
pub(super) mod transport;
pub(super) mod types;
pub(super) mod with_key;

#[cfg(test)]
mod tests;
