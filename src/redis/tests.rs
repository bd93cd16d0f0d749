//! Tests with a real Redis.

use std::{
    num::NonZeroU32,
    time::{Duration, Instant},
};

use redis::AsyncCommands as _;

use super::{RedisClient, RedisDownError};
use crate::{config, secret::Secret};

#[expect(
    clippy::disallowed_methods,
    reason = "the test script sets the address of Redis"
)]
fn url() -> String {
    std::env::var("TEST_REDIS_URL").expect(
        "TEST_REDIS_URL is not set: run ./scripts/test, or eval \"$(./scripts/databases start DIR)\"",
    )
}

fn open(url: &str, prefix: &str) -> RedisClient {
    let url = Secret::new(url);
    let prefix = prefix.to_owned();
    RedisClient::open(&config::RedisSettings { url, prefix }).unwrap()
}

fn unique(name: &str) -> String {
    format!("{name}-{:016x}", rand::random::<u64>())
}

async fn set(key: &str, value: &str) {
    let client = redis::Client::open(url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let _: () = connection.set_ex(key, value, 60).await.unwrap();
}

async fn count(
    redis: &RedisClient,
    name: &str,
    per_minute: NonZeroU32,
) -> Result<Result<(), Duration>, RedisDownError> {
    let counted = redis.count_all(&[(name.to_owned(), per_minute)]).await?;
    Ok(counted.map_err(|refused| refused.retry_after))
}

fn per_minute(calls: u32) -> NonZeroU32 {
    NonZeroU32::new(calls).unwrap()
}

#[tokio::test]
async fn tokens_are_revoked_by_id_and_by_user() {
    let prefix = unique("open-webui");
    let redis = open(&url(), &prefix);
    assert_eq!(
        redis.is_revoked("u1", Some("t1"), Some(100)).await,
        Ok(false)
    );
    set(&format!("{prefix}:auth:token:t1:revoked"), "1").await;
    assert_eq!(
        redis.is_revoked("u1", Some("t1"), Some(100)).await,
        Ok(true)
    );
    assert_eq!(
        redis.is_revoked("u1", Some("t2"), Some(100)).await,
        Ok(false)
    );
    assert_eq!(redis.is_revoked("u1", None, None).await, Ok(false));
    set(&format!("{prefix}:auth:user:u1:revoked_at"), "100").await;
    for (issued_at, is_revoked) in [
        (Some(99), true),
        (Some(100), true),
        (Some(101), false),
        (None, true),
    ] {
        assert_eq!(
            redis.is_revoked("u1", Some("t2"), issued_at).await,
            Ok(is_revoked)
        );
    }
    assert_eq!(redis.is_revoked("u2", Some("t2"), Some(1)).await, Ok(false));
    set(&format!("{prefix}:auth:user:u3:revoked_at"), "not a time").await;
    assert_eq!(redis.is_revoked("u3", None, Some(1)).await, Ok(true));
}

#[tokio::test]
async fn two_replicas_count_together() {
    let name = unique("caller");
    let (one, two) = (open(&url(), "x"), open(&url(), "x"));
    for _ in 0..5 {
        assert_eq!(count(&one, &name, per_minute(10)).await, Ok(Ok(())));
        assert_eq!(count(&two, &name, per_minute(10)).await, Ok(Ok(())));
    }
    let wait = count(&one, &name, per_minute(10))
        .await
        .unwrap()
        .unwrap_err();
    assert!(
        wait > Duration::from_secs(4) && wait <= Duration::from_secs(6),
        "{wait:?}"
    );
}

#[tokio::test]
async fn a_refused_counter_takes_nothing_from_the_others() {
    let redis = open(&url(), "x");
    let both = [
        (unique("caller"), per_minute(2)),
        (unique("bridge"), per_minute(1)),
    ];
    assert_eq!(redis.count_all(&both).await, Ok(Ok(())));
    for _ in 0..5 {
        assert_eq!(redis.count_all(&both).await.unwrap().unwrap_err().index, 1);
    }
    assert_eq!(count(&redis, &both[0].0, both[0].1).await, Ok(Ok(())));
    assert!(count(&redis, &both[0].0, both[0].1).await.unwrap().is_err());
}

#[tokio::test]
async fn a_counter_passes_again_after_its_interval_and_expires() {
    let redis = open(&url(), "x");
    let name = unique("caller");
    // One call per 20 ms.
    let limit = per_minute(3000);
    while count(&redis, &name, limit).await.unwrap().is_ok() {}
    let wait = count(&redis, &name, limit)
        .await
        .unwrap()
        .err()
        .unwrap_or_default();
    assert!(wait <= Duration::from_millis(20), "{wait:?}");
    tokio::time::sleep(wait + Duration::from_millis(2)).await;
    assert_eq!(count(&redis, &name, limit).await, Ok(Ok(())));
    let client = redis::Client::open(url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let expires: i64 = connection
        .pttl(format!("mcp-bridge:rate:{name}"))
        .await
        .unwrap();
    assert!(expires > 0 && expires <= 60_100, "{expires}");
}

#[tokio::test]
async fn one_that_is_away_is_known_to_be_away_and_comes_back() {
    // First a listener that never responds, then no listener, then a real Redis behind a proxy.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let redis = open(&format!("redis://:hunter2secret@{address}/"), "x");
    let begin = Instant::now();
    let down = count(&redis, "x", per_minute(1)).await.unwrap_err();
    assert!(
        begin.elapsed() < Duration::from_millis(600),
        "{:?}",
        begin.elapsed()
    );
    let begin = Instant::now();
    for _ in 0..100 {
        count(&redis, "x", per_minute(1)).await.unwrap_err();
    }
    assert!(
        begin.elapsed() < Duration::from_millis(400),
        "{:?}",
        begin.elapsed()
    );
    assert!(
        !format!("{down} {down:?} {redis:?}").contains("hunter2"),
        "{redis:?}"
    );
    drop(listener);

    let redis = open(&format!("redis://{address}/"), "x");
    count(&redis, "x", per_minute(1)).await.unwrap_err();
    let listener = tokio::net::TcpListener::bind(address).await.unwrap();
    let real = redis::Client::open(url())
        .unwrap()
        .get_connection_info()
        .addr()
        .to_string();
    let proxy = async {
        loop {
            let (mut from, _) = listener.accept().await.unwrap();
            let mut to = tokio::net::TcpStream::connect(&real).await.unwrap();
            tokio::io::copy_bidirectional(&mut from, &mut to).await.ok();
        }
    };
    let name = unique("caller");
    let back = async {
        let begin = Instant::now();
        while count(&redis, &name, per_minute(100)).await.is_err() {
            assert!(
                begin.elapsed() < Duration::from_secs(10),
                "it never came back"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        () = proxy => {}
        () = back => {}
    }
}

#[test]
fn a_url_that_is_none_is_not_repeated() {
    let url = Secret::new("http://:hunter2secret@x");
    let prefix = String::new();
    let down = RedisClient::open(&config::RedisSettings { url, prefix }).unwrap_err();
    assert!(
        !down.to_string().contains("hunter2") && down.to_string().contains("redis://"),
        "{down}"
    );
}
