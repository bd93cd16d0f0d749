//! [`Redis`]: a connection that comes back by itself, and the patience we have with it.

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

use super::count;
use crate::config;

/// How long an answer may take: a call waits for it.
const TIMEOUT: Duration = Duration::from_millis(250);

/// How long a new connection may take; nobody waits for it longer than [`TIMEOUT`].
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// While Redis is away one question this often, in milliseconds, goes through to see whether it is back; all others
/// are answered at once.
const PROBE_INTERVAL_MS: u64 = 500;

/// After so many questions in a row without an answer the connection is given up: its peer may be
/// gone without a word, which TCP notices after minutes.
const SILENCES_MAX: u32 = 3;

/// Redis does not answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Redis does not answer: {0}")]
pub struct RedisDown(pub String);

/// A connection that comes back by itself.
pub struct Redis {
    client: Client,
    /// Open WebUI's prefix.
    pub(super) prefix: String,
    /// What counts calls.
    pub(super) script: Script,
    /// `None` before the first question, and after the connection was given up.
    connection: ArcSwapOption<ConnectionManager>,
    /// What `away_until` counts from.
    start: Instant,
    /// Until then it is not asked, milliseconds after `start`.
    away_until: AtomicU64,
    is_away: AtomicBool,
    silences: AtomicU32,
}

impl Redis {
    /// Prepares the connection; contacts nothing.
    pub fn open(config: &config::Redis) -> Result<Self, RedisDown> {
        // The library's own words may repeat the URL, password and all.
        let client = Client::open(config.url.expose()).map_err(|_| {
            RedisDown("its URL is none; write `redis://[:PASSWORD@]HOST[:PORT][/DB]`".to_owned())
        })?;
        Ok(Self {
            client,
            prefix: config.prefix.clone(),
            script: Script::new(count::SCRIPT),
            connection: ArcSwapOption::empty(),
            start: Instant::now(),
            away_until: AtomicU64::new(0),
            is_away: AtomicBool::new(false),
            silences: AtomicU32::new(0),
        })
    }

    /// Asks one question, within 250 ms. Must run inside of the runtime.
    pub(super) async fn ask<T>(
        &self,
        question: impl AsyncFnOnce(ConnectionManager) -> RedisResult<T>,
    ) -> Result<T, RedisDown> {
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
                Err(self.note_failure(format!("nothing within {} ms", TIMEOUT.as_millis())))
            }
        }
    }

    /// Refuses at once while Redis is known to be away; lets one through now and then.
    fn may_ask(&self) -> Result<(), RedisDown> {
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
            Err(RedisDown("it was away a moment ago".to_owned()))
        }
    }

    fn connection(&self) -> Result<Arc<ConnectionManager>, RedisDown> {
        if let Some(connection) = self.connection.load_full() {
            return Ok(connection);
        }
        // One attempt each: a question that finds it failed has its answer, and the next attempt
        // runs in the background.
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
            tracing::info!("Redis answers again");
        }
    }

    fn note_failure(&self, reason: String) -> RedisDown {
        let until = self.now() + PROBE_INTERVAL_MS;
        self.away_until.fetch_max(until, Ordering::Relaxed);
        if !self.is_away.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                reason,
                "Redis does not answer; each replica counts its own calls until it does"
            );
        }
        RedisDown(reason)
    }

    /// Milliseconds after `start`.
    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// The client would show its URL.
impl fmt::Debug for Redis {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Redis")
            .field("prefix", &self.prefix)
            .field("is_away", &self.is_away)
            .finish_non_exhaustive()
    }
}
