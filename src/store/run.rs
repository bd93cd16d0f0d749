//! [`Store::run`]: connects, migrates, seeds, and listens; starts over when the connection is lost.
//!
//! One dedicated connection receives changes and also proves that the database is alive. So a
//! silent connection loss is noticed, and a busy pool is not mistaken for a dead database.

use std::{sync::Arc, time::Duration};

use rand::RngExt as _;
use sqlx::{
    Connection as _, PgConnection, PgPool, SqliteConnection,
    pool::PoolOptions,
    postgres::{PgConnectOptions, PgListener},
};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::{Store, StoreError, StoreHealth, pool::DatabaseTarget, seed};
use crate::config;

/// The notification channel of the triggers (migration 3).
const CHANNEL: &str = "mcp_bridge_access";
/// The notification channel for accounts (migration 4).
const CHANNEL_ACCOUNTS: &str = "mcp_bridge_accounts";
/// The name of the listening connection in `pg_stat_activity`.
const LISTENER: &str = "mcp-bridge listener";
/// How often the connection is checked.
const PROBE: Duration = Duration::from_secs(2);
/// How often a SQLite file is checked for changes by other processes.
const GLANCE: Duration = Duration::from_millis(250);
/// The pause after the first failed attempt. It doubles with each further one.
const PAUSE_MIN: Duration = Duration::from_millis(100);
/// The longest pause, and thus the longest time until a recovered database is noticed.
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// Both generation counters of a SQLite file (migrations 3 and 4).
const GENERATIONS: &str = "SELECT a.generation, b.generation \
    FROM bridge_generation a, bridge_account_generation b";

/// The connection that is watched.
enum WatchConnection {
    /// Notifications of the triggers.
    Postgres(Box<PgListener>),
    /// Reads the generation counters whenever the file changes.
    Sqlite(SqliteConnection),
}

/// Why watching ended.
enum StoreWatchError {
    /// The connection was closed. The database may still be running.
    Closed,
    /// The database does not respond.
    Silent,
}

impl Store {
    /// Connects, migrates and seeds, and retries until that works. Then receives changes of other
    /// replicas and monitors the connection until `stop`.
    pub async fn run(self: Arc<Self>, seed: config::AccessSettings, stop: CancellationToken) {
        let keep = Box::pin(self.keep(&seed));
        tokio::select! {
            () = stop.cancelled() => {}
            () = keep => {}
        }
    }

    /// Never returns.
    async fn keep(&self, seed: &config::AccessSettings) {
        let mut pause = PAUSE_MIN;
        loop {
            let began = Instant::now();
            match self.connect(seed).await {
                Ok(watch) => {
                    // Changes before the listener started were not reported.
                    self.bump_all();
                    if self.set_health(StoreHealth::Connected) {
                        tracing::info!("connected to the database, {}", self.target.place());
                    }
                    if let StoreWatchError::Silent = self.watch(watch).await {
                        self.down(&StoreError::Down(format!(
                            "{}: the connection went silent",
                            self.target.place()
                        )));
                    }
                    self.bump_all();
                    if began.elapsed() > PAUSE_MAX {
                        // The first new attempt starts at once.
                        pause = PAUSE_MIN;
                        continue;
                    }
                }
                Err(error) => self.down(&error),
            }
            let jitter = rand::rng().random_range(0.8..1.2);
            tokio::time::sleep(pause.mul_f64(jitter)).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    /// Notes that the database is unreachable and logs it once.
    fn down(&self, error: &StoreError) {
        let reason = match error {
            StoreError::Down(reason) => reason.clone(),
            other => other.to_string(),
        };
        let was_connected = self.health() == StoreHealth::Connected;
        // Log the first reason, and each different one, but not the same one again.
        if self.set_health(StoreHealth::Disconnected(reason.clone())) {
            if was_connected {
                tracing::error!("lost the connection to the database: {reason}");
            } else {
                tracing::warn!("cannot connect to the database: {reason}");
            }
        }
    }

    /// One attempt to connect, migrate, seed and listen.
    async fn connect(
        &self,
        access: &config::AccessSettings,
    ) -> Result<WatchConnection, StoreError> {
        if let DatabaseTarget::Postgres(options) = &self.target {
            // The pool retries a refused connection until its timeout and hides the reason.
            self.within(self.timeout, async {
                Ok(PgConnection::connect_with(options).await?.close().await?)
            })
            .await?;
        }
        let applied = self.apply_patiently().await?;
        if !applied.is_empty() {
            tracing::info!("applied migrations: {}", applied.join(", "));
        }
        self.warn_of_copies().await;
        // Seed after each connect: this may be another, empty database, and lines that were already
        // seeded are skipped.
        self.within(seed::TIMEOUT, self.sow(access)).await?;
        self.within(self.timeout, self.open_watch()).await
    }

    /// Opens the connection that is watched.
    async fn open_watch(&self) -> Result<WatchConnection, StoreError> {
        match &self.target {
            DatabaseTarget::Postgres(options) => {
                let pool = listener_pool(options, self.timeout);
                let mut listener = PgListener::connect_with(&pool).await?;
                // After a reconnect the version must grow, so this code reconnects itself.
                listener.eager_reconnect(false);
                listener.listen_all([CHANNEL, CHANNEL_ACCOUNTS]).await?;
                Ok(WatchConnection::Postgres(Box::new(listener)))
            }
            DatabaseTarget::Sqlite(options) => Ok(WatchConnection::Sqlite(
                SqliteConnection::connect_with(options).await?,
            )),
        }
    }

    /// Watches until the connection is lost.
    async fn watch(&self, watch: WatchConnection) -> StoreWatchError {
        match watch {
            WatchConnection::Postgres(listener) => self.watch_postgres(*listener).await,
            WatchConnection::Sqlite(connection) => self.watch_sqlite(connection).await,
        }
    }

    async fn watch_postgres(&self, mut listener: PgListener) -> StoreWatchError {
        let mut probe = interval(PROBE);
        probe.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                heard = listener.try_recv() => match heard {
                    Ok(Some(first)) => {
                        // Many notifications at once count as one change.
                        let mut is_heard = [false; 2];
                        let mut next = Some(first);
                        while let Some(notification) = next {
                            let is_of_accounts = notification.channel() == CHANNEL_ACCOUNTS;
                            is_heard[usize::from(is_of_accounts)] = true;
                            next = listener.next_buffered();
                        }
                        self.bump_heard(is_heard);
                        continue;
                    }
                    Ok(None) | Err(_) => return StoreWatchError::Closed,
                },
                _ = probe.tick() => {}
                () = self.doubt.notified() => {}
            }
            let ask = sqlx::query("SELECT 1").execute(&mut listener);
            match tokio::time::timeout(self.timeout.min(PROBE), ask).await {
                Ok(Ok(_)) => {}
                Ok(Err(_)) => return StoreWatchError::Closed,
                Err(_) => return StoreWatchError::Silent,
            }
        }
    }

    /// Notes changes of access and of accounts.
    fn bump_heard(&self, [of_access, of_accounts]: [bool; 2]) {
        if of_access {
            self.bump();
        }
        if of_accounts {
            self.bump_accounts();
        }
    }

    async fn watch_sqlite(&self, mut connection: SqliteConnection) -> StoreWatchError {
        let mut glance = interval(GLANCE);
        glance.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut seen = None;
        loop {
            glance.tick().await;
            let look = look(&mut connection, seen);
            match tokio::time::timeout(self.timeout, look).await {
                Ok(Ok(now)) => {
                    if let Some(ChangeCounters {
                        access, accounts, ..
                    }) = seen
                    {
                        self.bump_heard([access != now.access, accounts != now.accounts]);
                    }
                    seen = Some(now);
                }
                // Another process holds the file locked for longer than the timeout; the file is
                // still there.
                Ok(Err(sqlx::Error::Database(error))) if error.code().as_deref() == Some("5") => {}
                Ok(Err(_)) => return StoreWatchError::Closed,
                Err(_) => return StoreWatchError::Silent,
            }
        }
    }
}

/// A pool with one connection, because the listener requires a pool.
fn listener_pool(options: &PgConnectOptions, timeout: Duration) -> PgPool {
    PoolOptions::new()
        .max_connections(1)
        .acquire_timeout(timeout)
        .idle_timeout(None)
        .max_lifetime(None)
        .connect_lazy_with(options.clone().application_name(LISTENER))
}

/// The state of a SQLite file at one check.
#[derive(Debug, Clone, Copy)]
struct ChangeCounters {
    /// The data version of the file.
    file: i64,
    /// The generation counter of access.
    access: i64,
    /// The generation counter of accounts.
    accounts: i64,
}

/// Checks the file. Reads the generation counters if it changed.
async fn look(
    connection: &mut SqliteConnection,
    seen: Option<ChangeCounters>,
) -> Result<ChangeCounters, sqlx::Error> {
    let (file,): (i64,) = sqlx::query_as("PRAGMA data_version")
        .fetch_one(&mut *connection)
        .await?;
    if let Some(seen) = seen
        && seen.file == file
    {
        return Ok(seen);
    }
    let (access, accounts): (i64, i64) = sqlx::query_as(GENERATIONS).fetch_one(connection).await?;
    Ok(ChangeCounters {
        file,
        access,
        accounts,
    })
}
