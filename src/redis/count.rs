//! Counts calls over all replicas, with a script that implements GCRA, the algorithm of `governor`.

use std::{num::NonZeroU32, time::Duration};

use super::{RedisClient, RedisDownError};

/// The prefix of the counters' names.
const PREFIX: &str = "mcp-bridge:rate:";

/// A minute in microseconds.
const MINUTE: f64 = 60_000_000.0;

/// Counts one call under each key, or under none if one of them refuses it. Times are microseconds
/// of Redis's clock. Each argument contains the interval between calls and the tolerance. Returns
/// 0, or the index of the key that refuses and how long to wait. A counter expires when it is full
/// again.
pub(super) const SCRIPT: &str = r"
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local next = {}
for i, key in ipairs(KEYS) do
    local interval, tolerance = tonumber(ARGV[2 * i - 1]), tonumber(ARGV[2 * i])
    local tat = math.max(tonumber(redis.call('GET', key) or now), now)
    if tat - tolerance > now then
        return {i, math.ceil(tat - tolerance - now)}
    end
    next[i] = tat + interval
end
for i, key in ipairs(KEYS) do
    redis.call('SET', key, string.format('%.0f', next[i]), 'PX', math.ceil((next[i] - now) / 1000) + 1)
end
return {0, 0}
";

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
