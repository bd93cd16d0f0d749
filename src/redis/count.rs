//! Counts calls over all replicas, with a script that implements GCRA, the algorithm of `governor`.

use std::{num::NonZeroU32, time::Duration};

use super::{RedisClient, RedisDownError};

/// The prefix of the counters' names.
const PREFIX: &str = "mcp-bridge:rate:";

/// A minute in microseconds.
const MINUTE: f64 = 60_000_000.0;

/// A limit that refused the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitExceededError {
    /// Its index in the request.
    pub index: usize,
    /// When it allows the next call.
    pub retry_after: Duration,
}

impl RedisClient {
    /// Counts one call under each name, or under none if one of them refuses it, in one round trip
    /// (GCRA; a whole minute's calls may come at once).
    pub async fn count_all(
        &self,
        counters: &[(String, NonZeroU32)],
    ) -> Result<Result<(), LimitExceededError>, RedisDownError> {
        let mut invocation = self.script.prepare_invoke();
        for (name, per_minute) in counters {
            let interval = MINUTE / f64::from(per_minute.get());
            invocation
                .key(format!("{PREFIX}{name}"))
                .arg(interval)
                .arg(MINUTE - interval);
        }
        let (place, wait): (usize, u64) = self
            .ask(async |mut connection| invocation.invoke_async(&mut connection).await)
            .await?;
        Ok(match place.checked_sub(1) {
            None => Ok(()),
            Some(index) => Err(LimitExceededError {
                index,
                retry_after: Duration::from_micros(wait),
            }),
        })
    }
}
