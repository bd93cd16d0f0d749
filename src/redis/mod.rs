//! Redis, where several replicas count together and Open WebUI notes who signed out. Every question
//! is bounded in time, and a Redis that is away costs precision, never a call.

mod client;
mod count;
mod revoked;

#[cfg(test)]
mod tests;

pub use client::{Redis, RedisDown};
