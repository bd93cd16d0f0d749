//! Redis, which replicas use to count calls together, and Open WebUI to record who signed out.
//! Every request has a short timeout. If Redis is unreachable, counts are less exact, but no call
//! fails.

mod client;
mod count;
mod revoked;
mod script;

#[cfg(test)]
mod tests;

pub use client::{RedisClient, RedisDownError};
