//! [`RateLimits`]: which rate limits apply to a call, and where they are counted.

use std::{collections::HashMap, num::NonZeroU32, sync::Arc, time::Duration};

use governor::clock::DefaultClock;

use super::local::{AggregateLimiter, CallerLimiter};
use crate::{auth::Caller, config::Config, name::BridgeName, redis::RedisClient};

/// A rate limit was exceeded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} reached the limit of calls per minute; try again in {} s", .retry_after.as_secs().max(1))]
pub struct RateLimitError {
    /// The calls that were counted: `you`, `group developers`, or `all callers of bridge github`.
    pub what: String,
    /// When the next call is allowed.
    pub retry_after: Duration,
}

/// The rate limits. A whole minute's calls may come at once; after that, one call is allowed per
/// minute / `calls_per_minute` (GCRA).
///
/// With Redis, a call is counted under all of its limits, or under none if one refuses it. Without
/// Redis, a call that a later limit refuses has already been counted by the earlier ones, because
/// `governor` cannot undo that. It uses up part of the caller's own minute.
#[derive(Debug)]
pub struct RateLimits {
    redis: Option<Arc<RedisClient>>,
    callers: Option<Arc<CallerLimiter<DefaultClock>>>,
    groups: HashMap<Arc<str>, Arc<AggregateLimiter<DefaultClock>>>,
    bridges: HashMap<BridgeName, Arc<AggregateLimiter<DefaultClock>>>,
}

/// A limit that applies to a call.
#[derive(Debug)]
enum ApplicableLimit<'a> {
    Caller(&'a CallerLimiter<DefaultClock>, &'a Arc<str>),
    Group(&'a AggregateLimiter<DefaultClock>, &'a str),
    Bridge(&'a AggregateLimiter<DefaultClock>, &'a BridgeName),
}

impl RateLimits {
    /// The limits of a configuration. With Redis they are counted over all replicas.
    pub fn new(config: &Config, redis: Option<Arc<RedisClient>>) -> Self {
        let nothing = Self {
            redis: None,
            callers: None,
            groups: HashMap::new(),
            bridges: HashMap::new(),
        };
        nothing.renew(config, redis)
    }

    /// The limits of another configuration. Unchanged limits keep their counts.
    pub fn renew(&self, config: &Config, redis: Option<Arc<RedisClient>>) -> Self {
        let callers = config.limits.calls_per_minute.map(|limit| {
            let kept = self.callers.as_ref().filter(|it| it.per_minute() == limit);
            kept.map_or_else(
                || Arc::new(CallerLimiter::new(limit, DefaultClock::default())),
                Arc::clone,
            )
        });
        let groups = config.limits.groups.iter().map(|(name, limit)| {
            let name = Arc::from(name.as_str());
            let counter = counter(self.groups.get(&name), *limit);
            (name, counter)
        });
        let bridges = config.bridges.iter().filter_map(|bridge| {
            let limit = bridge.calls_per_minute?;
            let counter = counter(self.bridges.get(&bridge.name), limit);
            Some((bridge.name.clone(), counter))
        });
        Self {
            redis,
            callers,
            groups: groups.collect(),
            bridges: bridges.collect(),
        }
    }

    /// Counts one call of the caller, of each of their groups, and to the bridge.
    pub async fn count(
        &self,
        caller: &Caller,
        groups: &[Arc<str>],
        bridge: &BridgeName,
    ) -> Result<(), RateLimitError> {
        let bounds = self.bounds(caller, groups, bridge);
        if bounds.is_empty() {
            return Ok(());
        }
        // Boxed because it is large and most calls have no limits.
        Box::pin(self.count_all(&bounds)).await
    }

    /// Counts one call under these limits.
    async fn count_all(&self, bounds: &[ApplicableLimit<'_>]) -> Result<(), RateLimitError> {
        if let Some(redis) = &self.redis {
            let counters: Vec<_> = bounds.iter().map(ApplicableLimit::counter).collect();
            // An unreachable Redis was already logged.
            if let Ok(counted) = redis.count_all(&counters).await {
                return counted.map_err(|refused| RateLimitError {
                    what: bounds
                        .get(refused.index)
                        .map(ApplicableLimit::what)
                        .unwrap_or_default(),
                    retry_after: refused.retry_after,
                });
            }
        }
        for bound in bounds {
            bound.count().map_err(|retry_after| RateLimitError {
                what: bound.what(),
                retry_after,
            })?;
        }
        Ok(())
    }

    /// The limits that apply to a call. Allocates only if a limit is configured.
    fn bounds<'a>(
        &'a self,
        caller: &'a Caller,
        groups: &'a [Arc<str>],
        bridge: &'a BridgeName,
    ) -> Vec<ApplicableLimit<'a>> {
        let mut bounds = Vec::new();
        if let Some(callers) = &self.callers {
            bounds.push(ApplicableLimit::Caller(callers, &caller.id));
        }
        if !self.groups.is_empty() {
            let limited = groups.iter().filter_map(|group| {
                let counter = self.groups.get(group)?;
                Some(ApplicableLimit::Group(counter, group))
            });
            bounds.extend(limited);
        }
        if let Some(counter) = self.bridges.get(bridge) {
            bounds.push(ApplicableLimit::Bridge(counter, bridge));
        }
        bounds
    }
}

/// Keeps the counter if its limit is unchanged.
fn counter(
    kept: Option<&Arc<AggregateLimiter<DefaultClock>>>,
    per_minute: NonZeroU32,
) -> Arc<AggregateLimiter<DefaultClock>> {
    match kept.filter(|kept| kept.per_minute() == per_minute) {
        Some(kept) => Arc::clone(kept),
        None => Arc::new(AggregateLimiter::new(per_minute, DefaultClock::default())),
    }
}

impl ApplicableLimit<'_> {
    fn count(&self) -> Result<(), Duration> {
        match self {
            Self::Caller(callers, id) => callers.count(id),
            Self::Group(counter, _) | Self::Bridge(counter, _) => counter.count(),
        }
    }

    /// The name in Redis, and the limit.
    fn counter(&self) -> (String, NonZeroU32) {
        match self {
            Self::Caller(callers, id) => (format!("caller:{id}"), callers.per_minute()),
            Self::Group(counter, name) => (format!("group:{name}"), counter.per_minute()),
            Self::Bridge(counter, name) => (format!("bridge:{name}"), counter.per_minute()),
        }
    }

    fn what(&self) -> String {
        match self {
            Self::Caller(..) => "you".to_owned(),
            Self::Group(_, name) => format!("group {name}"),
            Self::Bridge(_, name) => format!("all callers of bridge {name}"),
        }
    }
}
