//! Counting calls over all replicas: GCRA, the algorithm of `governor`, in a script.

use std::{num::NonZeroU32, time::Duration};

use super::{Redis, RedisDown};

/// Before the names of our counters.
const PREFIX: &str = "mcp-bridge:rate:";

/// A minute in microseconds.
const MINUTE: f64 = 60_000_000.0;

/// Counts one call under each key, or under none if one of them refuses. Times are microseconds of
/// Redis's clock; an argument is the interval between calls and the tolerance. Answers 0, or the
/// place of the key that refuses and how long to wait. A counter that is as good as new expires.
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

/// A counter that refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused {
    /// Its place among those that were asked.
    pub index: usize,
    /// When it passes the next call.
    pub retry_after: Duration,
}

impl Redis {
    /// Counts one call under each name (GCRA, a minute's calls may come at once), or under none if
    /// one of them refuses; in one round trip.
    pub async fn count_all(
        &self,
        counters: &[(String, NonZeroU32)],
    ) -> Result<Result<(), Refused>, RedisDown> {
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
            Some(index) => Err(Refused {
                index,
                retry_after: Duration::from_micros(wait),
            }),
        })
    }
}
