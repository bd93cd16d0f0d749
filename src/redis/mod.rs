//! Redis, where several replicas count together and Open WebUI notes who signed out. Every question
//! is bounded in time, and a Redis that is away costs precision, never a call.

use std::{num::NonZeroU32, time::Duration};

use crate::config;

/// Redis does not answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Redis does not answer: {0}")]
pub struct RedisDown(pub String);

/// A connection that comes back by itself.
#[derive(Debug)]
pub struct Redis {}

impl Redis {
    /// Prepares the connection; contacts nothing.
    pub fn open(_config: &config::Redis) -> Result<Self, RedisDown> {
        Ok(Self {})
    }

    /// Whether Open WebUI revoked a token: by its id, or all of the user's that are not newer than
    /// a revocation (Open WebUI contract §7.3 step 5).
    pub async fn is_revoked(
        &self,
        _user: &str,
        _token_id: Option<&str>,
        _issued_at: Option<i64>,
    ) -> Result<bool, RedisDown> {
        Err(RedisDown("not built".to_owned()))
    }

    /// Counts one call under a name (GCRA); the inner error says how long to wait.
    pub async fn count(
        &self,
        _name: &str,
        _per_minute: NonZeroU32,
    ) -> Result<Result<(), Duration>, RedisDown> {
        Err(RedisDown("not built".to_owned()))
    }
}
