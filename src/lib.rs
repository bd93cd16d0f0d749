//! `mcp-bridge` puts every MCP server a team uses behind one OpenAPI surface.
//!
//! The modules below are listed from the bottom layer up. A module may use only the layers above
//! its own in this list; `tests/tidy/` checks this. `ARCHITECTURE.md` explains how they work
//! together.

// Which characters are visible.
mod plain_text;

// Vocabulary types that every other module uses, and text similarity.
mod error_code;
mod json;
mod name;
mod near;
mod secret;

// Threads for CPU-bound work on untrusted data.
mod compute;

// Encrypts stored secrets.
mod vault;

// The definition of a tool.
mod tool;

// Translation: pure functions between the shapes of MCP and HTTP.
mod reply;
mod schema;

// Configuration, and the OpenAPI documents that the bridge publishes.
mod config;
mod openapi;

// Logs, metrics and traces.
mod telemetry;

// Isolates child processes, and ends them together with this process.
mod isolation;

// Edges: the only code that uses MCP, SQL and Redis.
mod mcp;
mod redis;
mod store;

// Audit: a record of every call that survives crashes and outages.
mod audit;

// Identity: who is calling.
mod auth;

// The credentials that sessions present to servers.
mod credential;

// Authorization, and rate limits.
mod access;
mod rate;

// Progress of running calls in Open WebUI's chats.
mod chat;

// Files in results of tools, kept for a day for their caller.
mod files;

// Bridges: one supervised task for each bridge.
mod bridge;

// The settings that requests use and a reload replaces, and the limit on concurrent requests.
mod settings;

// Applies a changed configuration while the process runs.
mod reload;

// A call, from the identity of its caller to the result of its server.
mod call;

// The HTTP routes, and the signals that stop the server.
mod http;
mod lifecycle;

// Entry points for the fuzz targets, built only for them.
#[cfg(fuzzing)]
pub mod fuzzing;

// The command line, which puts everything above together.
pub mod cli;
