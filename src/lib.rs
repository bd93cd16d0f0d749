//! `mcp-bridge` puts every MCP server a team uses behind one OpenAPI surface.
//!
//! The modules below are listed from the ground up. A module may use the
//! layers above its own in this list and nothing else; `tests/tidy.rs` holds
//! us to it. `ARCHITECTURE.md` tells how they work together.

// Characters: which of them people can see.
mod plain_text;

// Words: what everything else is written in, and how alike two of them are.
mod error_code;
mod json;
mod name;
mod near;
mod secret;

// Threads for work on strangers' data.
mod compute;

// Seals what stands in the database.
mod vault;

// What a server says of its tools.
mod tool;

// Translation: pure functions between MCP's shapes and HTTP's.
mod reply;
mod schema;

// Inputs: what the operator wrote, and the documents we publish.
mod config;
mod openapi;

// What we say of ourselves.
mod telemetry;

// What keeps the programs that we start apart from us, and ends them with us.
mod isolation;

// Edges: the only code that speaks MCP, SQL and Redis.
mod mcp;
mod redis;
mod store;

// Memory: what happened, through crashes and outages.
mod audit;

// Trust: who is calling us ...
mod auth;

// ... who we are when we call others,
mod credential;

// ... what they may use, and how often.
mod access;
mod rate;

// What they see of a call while it runs.
mod chat;

// What tools made for them, kept for a day.
mod files;

// Heart: one supervised task for each bridge.
mod bridge;

// Surface: the routes, and the signals that start and stop them.
mod http;
mod lifecycle;

// Doors for the fuzz targets, built for them alone.
#[cfg(fuzzing)]
pub mod fuzzing;

// Hands: the command line, which puts everything above together.
pub mod cli;
