//! [`RedisClient`]: a connection that is restored automatically, with short timeouts.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use arc_swap::ArcSwapOption;
use redis::{
    Client, RedisResult, Script,
    aio::{ConnectionManager, ConnectionManagerConfig},
};

use super::script;
use crate::config;

/// The timeout of a request. A call waits for it.
const TIMEOUT: Duration = Duration::from_millis(250);

/// The timeout of a new connection. Callers still wait no longer than [`TIMEOUT`].
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// How often a request checks whether an unreachable Redis is back, in milliseconds. All other
/// requests fail at once.
const PROBE_INTERVAL_MS: u64 = 500;

/// After this many consecutive requests without a response the connection is dropped: the peer may
/// be gone silently, which TCP notices only after minutes.
const SILENCES_MAX: u32 = 3;

/// Redis does not respond.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Redis is not responding: {0}")]
pub struct RedisDownError(pub String);

/// A connection that is restored automatically.
pub struct RedisClient {
    client: Client,
    /// Open WebUI's key prefix.
    pub(super) prefix: String,
    /// The script that counts calls.
    pub(super) script: Script,
    /// `None` before the first request, and after the connection was dropped.
    connection: ArcSwapOption<ConnectionManager>,
    /// The reference time of `away_until`.
    start: Instant,
    /// Until then no request is sent, in milliseconds after `start`.
    away_until: AtomicU64,
    is_away: AtomicBool,
    silences: AtomicU32,
}

impl RedisClient {
    /// Prepares the connection. Contacts nothing.
    pub fn open(config: &config::RedisSettings) -> Result<Self, RedisDownError> {
        // The error of the library may repeat the URL, including the password.
        let client = Client::open(config.url.expose()).map_err(|_| {
            RedisDownError(
                "its URL is not valid; write `redis://[:PASSWORD@]HOST[:PORT][/DB]`".to_owned(),
            )
        })?;
        Ok(Self {
            client,
            prefix: config.prefix.clone(),
            script: Script::new(script::SCRIPT),
            connection: ArcSwapOption::empty(),
            start: Instant::now(),
            away_until: AtomicU64::new(0),
            is_away: AtomicBool::new(false),
            silences: AtomicU32::new(0),
        })
    }

    /// Sends one request, with a timeout of 250 ms. Must be called inside a Tokio runtime.
    pub(super) async fn ask<T>(
        &self,
        question: impl AsyncFnOnce(ConnectionManager) -> RedisResult<T>,
    ) -> Result<T, RedisDownError> {
        self.may_ask()?;
        let connection = self.connection()?;
        match tokio::time::timeout(TIMEOUT, question(ConnectionManager::clone(&connection))).await {
            Ok(Ok(answer)) => {
                self.note_answer();
                Ok(answer)
            }
            Ok(Err(error)) => Err(self.note_failure(error.to_string())),
            Err(_) => {
                if self.silences.fetch_add(1, Ordering::Relaxed) + 1 >= SILENCES_MAX {
                    self.silences.store(0, Ordering::Relaxed);
                    self.connection.store(None);
                }
                Err(self.note_failure(format!("no response within {} ms", TIMEOUT.as_millis())))
            }
        }
    }

    /// Fails at once while Redis is known to be unreachable, except for an occasional request.
    fn may_ask(&self) -> Result<(), RedisDownError> {
        if !self.is_away.load(Ordering::Relaxed) {
            return Ok(());
        }
        let now = self.now();
        let until = self.away_until.load(Ordering::Relaxed);
        let next = now + PROBE_INTERVAL_MS;
        let is_probe = now >= until
            && self
                .away_until
                .compare_exchange(until, next, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok();
        if is_probe {
            Ok(())
        } else {
            Err(RedisDownError("it was unreachable a moment ago".to_owned()))
        }
    }

    fn connection(&self) -> Result<Arc<ConnectionManager>, RedisDownError> {
        if let Some(connection) = self.connection.load_full() {
            return Ok(connection);
        }
        // One attempt each: if it fails, the request fails at once, and the next attempt runs in
        // the background.
        let config = ConnectionManagerConfig::new()
            .set_number_of_retries(0)
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(Some(TIMEOUT));
        let connection = ConnectionManager::new_lazy_with_config(self.client.clone(), config)
            .map_err(|error| self.note_failure(error.to_string()))?;
        let connection = Arc::new(connection);
        self.connection.store(Some(Arc::clone(&connection)));
        Ok(connection)
    }

    fn note_answer(&self) {
        self.silences.store(0, Ordering::Relaxed);
        if self.is_away.load(Ordering::Relaxed) && self.is_away.swap(false, Ordering::Relaxed) {
            tracing::info!("Redis is responding again");
        }
    }

    fn note_failure(&self, reason: String) -> RedisDownError {
        let until = self.now() + PROBE_INTERVAL_MS;
        self.away_until.fetch_max(until, Ordering::Relaxed);
        if !self.is_away.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                reason,
                "Redis is not responding; until it does, each replica counts only its own calls"
            );
        }
        RedisDownError(reason)
    }

    /// Milliseconds since `start`.
    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// The derived output would contain the URL.
impl fmt::Debug for RedisClient {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("RedisClient")
            .field("prefix", &self.prefix)
            .field("is_away", &self.is_away)
            .finish_non_exhaustive()
    }
}
