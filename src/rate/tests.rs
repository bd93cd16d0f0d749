//! Rate limits in one process and with several replicas.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use governor::clock::FakeRelativeClock;

use super::{
    RateLimits,
    local::{AggregateLimiter, CallerLimiter},
};
use crate::{
    auth::{AuthenticationMethod, Caller},
    config::{self, Config, Environment},
    name::BridgeName,
    redis::RedisClient,
    secret::Secret,
};

fn limit(calls: u32) -> NonZeroU32 {
    NonZeroU32::new(calls).unwrap()
}

fn config(caller: Option<u32>, group: Option<u32>, bridge: Option<u32>) -> Config {
    let words = ["x".to_owned()];
    let mut config = config::single(
        &words,
        &Environment::default(),
        &config::CliOverrides::default(),
    )
    .unwrap()
    .config;
    config.limits.calls_per_minute = caller.map(limit);
    config.limits.groups = group
        .map(|calls| ("developers".to_owned(), limit(calls)))
        .into_iter()
        .collect();
    config.bridges[0].calls_per_minute = bridge.map(limit);
    config
}

fn developers() -> Vec<Arc<str>> {
    vec!["analysts".into(), "developers".into()]
}

async fn count(rates: &RateLimits, caller: &str, bridge: &BridgeName) -> Result<(), String> {
    let caller = Caller::named(caller, AuthenticationMethod::ApiKey);
    let counted = rates.count(&caller, &developers(), bridge).await;
    counted.map_err(|too_many| too_many.what)
}

#[test]
fn a_minutes_calls_may_come_at_once_and_then_one_each_interval() {
    let clock = FakeRelativeClock::default();
    let callers = CallerLimiter::new(limit(6), clock.clone());
    let (alice, bob) = ("alice".into(), "bob".into());
    for _ in 0..6 {
        assert_eq!(callers.count(&alice), Ok(()));
    }
    assert_eq!(callers.count(&alice), Err(Duration::from_secs(10)));
    assert_eq!(callers.count(&bob), Ok(()));
    clock.advance(Duration::from_secs(4));
    assert_eq!(callers.count(&alice), Err(Duration::from_secs(6)));
    clock.advance(Duration::from_secs(6));
    assert_eq!(callers.count(&alice), Ok(()));
    assert!(callers.count(&alice).is_err());

    let counter = AggregateLimiter::new(limit(1), clock.clone());
    assert_eq!(counter.count(), Ok(()));
    assert_eq!(counter.count(), Err(Duration::from_mins(1)));
}

#[test]
fn callers_that_rest_are_forgotten() {
    let clock = FakeRelativeClock::default();
    let callers = CallerLimiter::new(limit(60), clock.clone());
    for number in 0..4000 {
        callers.count(&format!("caller {number}").into()).unwrap();
    }
    assert_eq!(callers.len(), 4000);
    clock.advance(Duration::from_mins(2));
    for _ in 0..200 {
        callers.count(&"alice".into()).ok();
    }
    assert_eq!(callers.len(), 1);
}

#[tokio::test]
async fn caller_groups_and_bridge_are_counted_in_this_order() {
    let config = config(Some(2), Some(3), Some(4));
    let bridge = config.bridges[0].name.clone();
    let rates = RateLimits::new(&config, None);
    assert_eq!(count(&rates, "alice", &bridge).await, Ok(()));
    assert_eq!(count(&rates, "alice", &bridge).await, Ok(()));
    assert_eq!(count(&rates, "alice", &bridge).await, Err("you".to_owned()));
    assert_eq!(count(&rates, "bob", &bridge).await, Ok(()));
    assert_eq!(
        count(&rates, "bob", &bridge).await,
        Err("group developers".to_owned())
    );
    let carol = Caller::named("carol", AuthenticationMethod::ApiKey);
    assert_eq!(rates.count(&carol, &[], &bridge).await, Ok(()));
    let too_many = rates.count(&carol, &[], &bridge).await.unwrap_err();
    assert_eq!(too_many.what, format!("all callers of bridge {bridge}"));
    assert!(
        too_many.retry_after > Duration::from_secs(10),
        "{too_many:?}"
    );
}

#[tokio::test]
async fn without_bounds_everything_passes() {
    let config = config(None, None, None);
    let bridge = config.bridges[0].name.clone();
    let rates = RateLimits::new(&config, None);
    for _ in 0..10_000 {
        assert_eq!(count(&rates, "alice", &bridge).await, Ok(()));
    }
}

#[tokio::test]
async fn a_reload_keeps_the_counts_of_bounds_that_stay() {
    let before = config(Some(1), None, Some(5));
    let bridge = before.bridges[0].name.clone();
    let rates = RateLimits::new(&before, None);
    assert_eq!(count(&rates, "alice", &bridge).await, Ok(()));
    let rates = rates.renew(&config(Some(1), Some(9), Some(6)), None);
    assert_eq!(count(&rates, "alice", &bridge).await, Err("you".to_owned()));
    let rates = rates.renew(&config(Some(2), Some(9), Some(6)), None);
    assert_eq!(count(&rates, "alice", &bridge).await, Ok(()));
}

#[expect(
    clippy::disallowed_methods,
    reason = "the test script sets the address of Redis"
)]
fn redis() -> Arc<RedisClient> {
    let url = std::env::var("TEST_REDIS_URL").expect(
        "TEST_REDIS_URL is not set: run ./scripts/test, or eval \"$(./scripts/databases start DIR)\"",
    );
    open(&url)
}

fn open(url: &str) -> Arc<RedisClient> {
    let (url, prefix) = (Secret::new(url), String::new());
    Arc::new(RedisClient::open(&config::RedisSettings { url, prefix }).unwrap())
}

#[tokio::test]
async fn replicas_with_redis_count_together() {
    let config = config(Some(4), None, None);
    let bridge = config.bridges[0].name.clone();
    let caller = format!("caller-{:016x}", rand::random::<u64>());
    let one = RateLimits::new(&config, Some(redis()));
    let two = RateLimits::new(&config, Some(redis()));
    for _ in 0..2 {
        assert_eq!(count(&one, &caller, &bridge).await, Ok(()));
        assert_eq!(count(&two, &caller, &bridge).await, Ok(()));
    }
    assert_eq!(count(&one, &caller, &bridge).await, Err("you".to_owned()));
    assert_eq!(count(&two, &caller, &bridge).await, Err("you".to_owned()));
}

#[tokio::test]
async fn while_redis_is_away_each_replica_counts_for_itself() {
    let config = config(Some(2), None, None);
    let bridge = config.bridges[0].name.clone();
    let rates = RateLimits::new(&config, Some(open("redis://127.0.0.1:1/")));
    assert_eq!(count(&rates, "alice", &bridge).await, Ok(()));
    assert_eq!(count(&rates, "alice", &bridge).await, Ok(()));
    assert_eq!(count(&rates, "alice", &bridge).await, Err("you".to_owned()));
}
