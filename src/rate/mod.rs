//! How often: calls a minute of a caller, of a group, to a bridge.

use std::{sync::Arc, time::Duration};

use crate::{auth::Caller, config::Config, name::BridgeName, redis::Redis};

/// One call too many.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} made all calls of this minute; try again in {} s", .retry_after.as_secs().max(1))]
pub struct TooMany {
    /// Whose calls ran out: `you`, `group developers`, `all callers of bridge github`.
    pub what: String,
    /// When the next call passes.
    pub retry_after: Duration,
}

/// The counters.
#[derive(Debug)]
pub struct Rates {}

impl Rates {
    /// The bounds of a configuration, counted over all replicas where there is Redis.
    pub fn new(_config: &Config, _redis: Option<Arc<Redis>>) -> Self {
        Self {}
    }

    /// Counts one call.
    pub async fn count(
        &self,
        _caller: &Caller,
        _groups: &[Arc<str>],
        _bridge: &BridgeName,
    ) -> Result<(), TooMany> {
        Ok(())
    }
}
