//! [`CallerLimiter`] and [`AggregateLimiter`]: the counters of this process.

use std::{
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use governor::{
    NotUntil, Quota, RateLimiter,
    clock::{Clock, Reference},
    middleware::NoOpMiddleware,
    state::{InMemoryState, NotKeyed, keyed::DashMapStateStore},
};

/// After this many calls, counters of inactive callers are removed. So there are at most as many
/// counters as callers in the last minute plus this many.
const SWEEP_CALLS: u32 = 4096;

/// `governor`'s rate limiter with keys.
type Keyed<C> =
    RateLimiter<Arc<str>, DashMapStateStore<Arc<str>>, C, NoOpMiddleware<<C as Clock>::Instant>>;

/// Counts the calls of each caller.
#[derive(Debug)]
pub(super) struct CallerLimiter<C: Clock> {
    per_minute: NonZeroU32,
    limiter: Keyed<C>,
    clock: C,
    calls: AtomicU32,
}

impl<C: Clock + Clone> CallerLimiter<C> {
    /// Allows each caller this many calls per minute.
    pub(super) fn new(per_minute: NonZeroU32, clock: C) -> Self {
        let quota = Quota::per_minute(per_minute);
        Self {
            per_minute,
            limiter: RateLimiter::new(quota, DashMapStateStore::default(), clock.clone()),
            clock,
            calls: AtomicU32::new(0),
        }
    }

    /// The limit per minute.
    pub(super) fn per_minute(&self) -> NonZeroU32 {
        self.per_minute
    }

    /// Counts one call. The error contains how long to wait.
    pub(super) fn count(&self, caller: &Arc<str>) -> Result<(), Duration> {
        if self.calls.fetch_add(1, Ordering::Relaxed) % SWEEP_CALLS == SWEEP_CALLS - 1 {
            self.limiter.retain_recent();
            self.limiter.shrink_to_fit();
        }
        self.limiter
            .check_key(caller)
            .map_err(|until| wait(&until, &self.clock))
    }

    /// How many callers have a counter.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.limiter.len()
    }
}

/// Counts the calls of a group, or to a bridge.
#[derive(Debug)]
pub(super) struct AggregateLimiter<C: Clock> {
    per_minute: NonZeroU32,
    limiter: RateLimiter<NotKeyed, InMemoryState, C, NoOpMiddleware<C::Instant>>,
    clock: C,
}

impl<C: Clock + Clone> AggregateLimiter<C> {
    /// Allows this many calls per minute.
    pub(super) fn new(per_minute: NonZeroU32, clock: C) -> Self {
        let quota = Quota::per_minute(per_minute);
        Self {
            per_minute,
            limiter: RateLimiter::direct_with_clock(quota, clock.clone()),
            clock,
        }
    }

    /// The limit per minute.
    pub(super) fn per_minute(&self) -> NonZeroU32 {
        self.per_minute
    }

    /// Counts one call. The error contains how long to wait.
    pub(super) fn count(&self) -> Result<(), Duration> {
        self.limiter
            .check()
            .map_err(|until| wait(&until, &self.clock))
    }
}

fn wait<I: Reference>(until: &NotUntil<I>, clock: &impl Clock<Instant = I>) -> Duration {
    until.wait_time_from(clock.now())
}
