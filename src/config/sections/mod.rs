//! The sections of `bridges.toml` outside of `[identity]` and `[bridges]`: their types, defaults and rules.

pub(super) mod access;
pub(super) mod audit;
pub(super) mod database;
pub(super) mod limits;
pub(super) mod otlp;
pub(super) mod server;
pub(super) mod telemetry;
