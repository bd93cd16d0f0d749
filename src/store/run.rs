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
                    self.bump();
                    if self.set_health(Health::Connected) {
                        tracing::info!("connected to the database, {}", self.target.place());
                    }
                    if let Lost::Silent = self.watch(watch).await {
                        self.down(&StoreError::Down(format!(
                            "{}: the connection went silent",
                            self.target.place()
                        )));
                    }
                    self.bump();
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
                listener.listen(CHANNEL).await?;
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
                    Ok(Some(_)) => {
                        // A thousand notifications are one change.
                        while listener.next_buffered().is_some() {}
                        self.bump();
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

    async fn watch_sqlite(&self, mut connection: SqliteConnection) -> Lost {
        let mut glance = interval(GLANCE);
        glance.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut seen = None;
        loop {
            glance.tick().await;
            let look = look(&mut connection, seen);
            match tokio::time::timeout(self.timeout, look).await {
                Ok(Ok(now)) => {
                    if seen.is_some_and(|(_, generation)| generation != now.1) {
                        self.bump();
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

/// The version of the file and the generation in it; the generation is read when the file changed.
async fn look(
    connection: &mut SqliteConnection,
    seen: Option<(i64, i64)>,
) -> Result<(i64, i64), sqlx::Error> {
    let (file,): (i64,) = sqlx::query_as("PRAGMA data_version")
        .fetch_one(&mut *connection)
        .await?;
    if let Some((seen_file, generation)) = seen
        && seen_file == file
    {
        return Ok((file, generation));
    }
    let (generation,): (i64,) = sqlx::query_as("SELECT generation FROM bridge_generation")
        .fetch_one(connection)
        .await?;
    Ok((file, generation))
}
