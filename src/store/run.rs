//! [`Store::run`]: connects, migrates, seeds, listens, and starts over when the database is lost.
//!
//! One connection of its own both hears of changes and proves that the database is alive, so that
//! a silent cut is noticed and a busy pool is not mistaken for a dead database.

use std::{sync::Arc, time::Duration};

use rand::RngExt as _;
use sqlx::{
    Connection as _, PgConnection, PgPool, SqliteConnection,
    pool::PoolOptions,
    postgres::{PgConnectOptions, PgListener},
};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::{Health, Store, StoreError, pool::Target, seed};
use crate::config;

/// What our triggers notify (migration 3).
const CHANNEL: &str = "mcp_bridge_access";
/// What they notify of accounts (migration 4).
const CHANNEL_ACCOUNTS: &str = "mcp_bridge_accounts";
/// What `pg_stat_activity` calls the connection that listens.
const LISTENER: &str = "mcp-bridge listener";
/// How often the connection is asked for a sign of life.
const PROBE: Duration = Duration::from_secs(2);
/// How often a SQLite file is looked at for changes of other processes.
const GLANCE: Duration = Duration::from_millis(250);
/// The pause after the first failed try; doubles.
const PAUSE_MIN: Duration = Duration::from_millis(100);
/// The longest pause: how late we notice that the database is back.
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// Both generations of a SQLite file (migrations 3 and 4).
const GENERATIONS: &str = "SELECT a.generation, b.generation \
    FROM bridge_generation a, bridge_account_generation b";

/// The connection that is watched.
enum Watch {
    /// Notifications of the triggers.
    Postgres(Box<PgListener>),
    /// Looks at the generation whenever the file changed.
    Sqlite(SqliteConnection),
}

/// Why a watch ended.
enum Lost {
    /// The connection was closed; the database may well be there.
    Closed,
    /// Nothing comes back.
    Silent,
}

impl Store {
    /// Connects, migrates and seeds, again and again until it works; then listens to changes of
    /// other replicas and looks after the connection until it is told to stop.
    pub async fn run(self: Arc<Self>, seed: config::Access, stop: CancellationToken) {
        let keep = Box::pin(self.keep(&seed));
        tokio::select! {
            () = stop.cancelled() => {}
            () = keep => {}
        }
    }

    /// Never returns.
    async fn keep(&self, seed: &config::Access) {
        let mut pause = PAUSE_MIN;
        loop {
            let began = Instant::now();
            match self.connect(seed).await {
                Ok(watch) => {
                    // Whatever happened before we listened was not heard of.
                    self.bump_all();
                    if self.set_health(Health::Connected) {
                        tracing::info!("connected to the database, {}", self.target.place());
                    }
                    if let Lost::Silent = self.watch(watch).await {
                        self.down(&StoreError::Down(format!(
                            "{}: the connection went silent",
                            self.target.place()
                        )));
                    }
                    self.bump_all();
                    if began.elapsed() > PAUSE_MAX {
                        // The first new try comes at once.
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

    /// Notes that the database is lost; logs it once.
    fn down(&self, error: &StoreError) {
        let reason = match error {
            StoreError::Down(reason) => reason.clone(),
            other => other.to_string(),
        };
        let was_connected = self.health() == Health::Connected;
        // The first reason is news, and so is a wholly other one; the same one again is not.
        if self.set_health(Health::Disconnected(reason.clone())) {
            if was_connected {
                tracing::error!("lost the database: {reason}");
            } else {
                tracing::warn!("no database: {reason}");
            }
        }
    }

    /// One try, from nothing to a connection that listens.
    async fn connect(&self, access: &config::Access) -> Result<Watch, StoreError> {
        if let Target::Postgres(options) = &self.target {
            // The pool repeats a refused connection until its time is up, and hides the reason.
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
        // Each time: only what was never sown here is, and this may be another, empty database.
        self.within(seed::TIMEOUT, self.sow(access)).await?;
        self.within(self.timeout, self.open_watch()).await
    }

    /// Opens the connection that is watched.
    async fn open_watch(&self) -> Result<Watch, StoreError> {
        match &self.target {
            Target::Postgres(options) => {
                let pool = listener_pool(options, self.timeout);
                let mut listener = PgListener::connect_with(&pool).await?;
                // Whoever reconnects has to bump the version, and that is us.
                listener.eager_reconnect(false);
                listener.listen_all([CHANNEL, CHANNEL_ACCOUNTS]).await?;
                Ok(Watch::Postgres(Box::new(listener)))
            }
            Target::Sqlite(options) => Ok(Watch::Sqlite(
                SqliteConnection::connect_with(options).await?,
            )),
        }
    }

    /// Watches until the connection is lost.
    async fn watch(&self, watch: Watch) -> Lost {
        match watch {
            Watch::Postgres(listener) => self.watch_postgres(*listener).await,
            Watch::Sqlite(connection) => self.watch_sqlite(connection).await,
        }
    }

    async fn watch_postgres(&self, mut listener: PgListener) -> Lost {
        let mut probe = interval(PROBE);
        probe.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                heard = listener.try_recv() => match heard {
                    Ok(Some(first)) => {
                        // A thousand notifications are one change.
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
                    Ok(None) | Err(_) => return Lost::Closed,
                },
                _ = probe.tick() => {}
                () = self.doubt.notified() => {}
            }
            let ask = sqlx::query("SELECT 1").execute(&mut listener);
            match tokio::time::timeout(self.timeout.min(PROBE), ask).await {
                Ok(Ok(_)) => {}
                Ok(Err(_)) => return Lost::Closed,
                Err(_) => return Lost::Silent,
            }
        }
    }

    /// Of access, of accounts.
    fn bump_heard(&self, [of_access, of_accounts]: [bool; 2]) {
        if of_access {
            self.bump();
        }
        if of_accounts {
            self.bump_accounts();
        }
    }

    async fn watch_sqlite(&self, mut connection: SqliteConnection) -> Lost {
        let mut glance = interval(GLANCE);
        glance.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut seen = None;
        loop {
            glance.tick().await;
            let look = look(&mut connection, seen);
            match tokio::time::timeout(self.timeout, look).await {
                Ok(Ok(now)) => {
                    if let Some(Look {
                        access, accounts, ..
                    }) = seen
                    {
                        self.bump_heard([access != now.access, accounts != now.accounts]);
                    }
                    seen = Some(now);
                }
                // Somebody holds the file for longer than our patience; it is still there.
                Ok(Err(sqlx::Error::Database(error))) if error.code().as_deref() == Some("5") => {}
                Ok(Err(_)) => return Lost::Closed,
                Err(_) => return Lost::Silent,
            }
        }
    }
}

/// A pool of one for the listener, which insists on a pool.
fn listener_pool(options: &PgConnectOptions, timeout: Duration) -> PgPool {
    PoolOptions::new()
        .max_connections(1)
        .acquire_timeout(timeout)
        .idle_timeout(None)
        .max_lifetime(None)
        .connect_lazy_with(options.clone().application_name(LISTENER))
}

/// What a SQLite file looked like.
#[derive(Debug, Clone, Copy)]
struct Look {
    /// The version of the file.
    file: i64,
    /// The generation of access in it.
    access: i64,
    /// The generation of accounts in it.
    accounts: i64,
}

/// Looks at the file; the generations are read when it changed.
async fn look(connection: &mut SqliteConnection, seen: Option<Look>) -> Result<Look, sqlx::Error> {
    let (file,): (i64,) = sqlx::query_as("PRAGMA data_version")
        .fetch_one(&mut *connection)
        .await?;
    if let Some(seen) = seen
        && seen.file == file
    {
        return Ok(seen);
    }
    let (access, accounts): (i64, i64) = sqlx::query_as(GENERATIONS).fetch_one(connection).await?;
    Ok(Look {
        file,
        access,
        accounts,
    })
}
