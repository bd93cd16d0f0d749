//! [`Store`]: opening it, its health, and how every method reaches the database.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use futures::future::BoxFuture;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use super::{
    StoreError,
    copies::TableCopy,
    pool::{Pool, Target, Tx},
};
use crate::config::Database;

/// Connections that read SQLite at once; one writes.
const SQLITE_READERS: u32 = 4;

/// The workspace that sees all others: the program itself.
pub(super) const ALL: &str = "*";

/// What each connection to PostgreSQL is told: where our tables are, and how long a statement may
/// take.
const SETUP: &str = "SELECT set_config('search_path', 'mcp_proxy', false), \
    set_config('statement_timeout', $1, false)";

/// What `/health` says of the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// It answers.
    Connected,
    /// It does not, and why.
    Disconnected(String),
}

/// The database with our own tables.
#[derive(Debug)]
pub struct Store {
    /// How to reach it.
    pub(super) target: Target,
    /// Reads. The same pool as `write` on PostgreSQL.
    pub(super) read: Pool,
    /// Writes; one connection on SQLite.
    pub(super) write: Pool,
    /// How long a method may take.
    pub(super) timeout: Duration,
    /// Whether transactions of one workspace must give up our rights, since these ignore
    /// row-level security.
    pub(super) is_above_policies: AtomicBool,
    /// Whether it was said that policies do not bind us.
    pub(super) was_warned: AtomicBool,
    /// The copies of inherited tables that were warned of last.
    pub(super) copies_told: ArcSwap<Vec<TableCopy>>,
    /// Told when a method found the database out of reach, so that it is looked at now.
    pub(super) doubt: Notify,
    health: ArcSwap<Health>,
    /// Cancelled once the first try to connect has ended, either way.
    tried: CancellationToken,
    version: AtomicU64,
    accounts: watch::Sender<u64>,
}

impl Store {
    /// Prepares the pool; contacts nothing.
    pub fn open(database: &Database) -> Result<Self, StoreError> {
        let timeout = database.timeout;
        let target = Target::new(&database.url)?.written_by_us(timeout);
        let (read, write) = if let Target::Sqlite(_) = target {
            (
                target.pool(SQLITE_READERS, timeout, SETUP),
                target.pool(1, timeout, SETUP),
            )
        } else {
            let pool = target.pool(database.connections_max, timeout, SETUP);
            (pool.clone(), pool)
        };
        Ok(Self {
            target,
            read,
            write,
            timeout,
            is_above_policies: AtomicBool::new(false),
            was_warned: AtomicBool::new(false),
            copies_told: ArcSwap::default(),
            doubt: Notify::new(),
            health: ArcSwap::from_pointee(Health::Disconnected("not connected yet".to_owned())),
            tried: CancellationToken::new(),
            version: AtomicU64::new(0),
            accounts: watch::Sender::new(0),
        })
    }

    /// Whether the database answered when it was last looked at; asks nothing.
    pub fn health(&self) -> Health {
        Health::clone(&self.health.load())
    }

    /// A number that grows with every change of grants, members, administrators or keys that we
    /// make or hear of, and whenever we may have missed one. Whoever keeps what they read notes it
    /// before they read.
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Like [`Store::version`] for accounts, and for keys and endpoints of groups. It is apart:
    /// tokens are renewed all day, and what is known of access stays good meanwhile.
    pub fn accounts_changed(&self) -> watch::Receiver<u64> {
        self.accounts.subscribe()
    }

    /// Access changed, or may have.
    pub(super) fn bump(&self) {
        self.version.fetch_add(1, Ordering::AcqRel);
    }

    /// Accounts changed, or may have.
    pub(super) fn bump_accounts(&self) {
        self.accounts
            .send_modify(|version| *version = version.wrapping_add(1));
    }

    /// Anything may have changed.
    pub(super) fn bump_all(&self) {
        self.bump();
        self.bump_accounts();
    }

    /// Notes how it stands; true if that is news.
    pub(super) fn set_health(&self, health: Health) -> bool {
        let is_news = **self.health.load() != health;
        if is_news {
            self.health.store(Arc::new(health));
        }
        self.tried.cancel();
        is_news
    }

    /// Does the work of a method: at once refused while the database is known to be down, and
    /// within the timeout. Whoever comes before the first try has ended waits for it as long.
    pub(super) fn bounded<'a, T: 'a>(
        &'a self,
        work: impl Future<Output = Result<T, StoreError>> + Send + 'a,
    ) -> impl Future<Output = Result<T, StoreError>> + Send + 'a {
        self.bounded_by(self.timeout, work)
    }

    /// [`Store::bounded`] with a time of its own.
    pub(super) fn bounded_by<'a, T: 'a>(
        &'a self,
        limit: Duration,
        work: impl Future<Output = Result<T, StoreError>> + Send + 'a,
    ) -> impl Future<Output = Result<T, StoreError>> + Send + 'a {
        let work = self.within(limit, work);
        async move {
            if !self.tried.is_cancelled() {
                let tried = tokio::time::timeout(limit, self.tried.cancelled());
                tried.await.ok();
            }
            if let Health::Disconnected(reason) = &**self.health.load() {
                return Err(StoreError::Down(reason.clone()));
            }
            let result = work.await;
            if let Err(StoreError::Down(_)) = result {
                self.doubt.notify_one();
            }
            result
        }
    }

    /// Does the work within a time, and says where the database is if it cannot be reached. The
    /// work is boxed here, before anything holds it: queries are tens of kilobytes.
    pub(super) fn within<'a, T: 'a>(
        &'a self,
        limit: Duration,
        work: impl Future<Output = Result<T, StoreError>> + Send + 'a,
    ) -> impl Future<Output = Result<T, StoreError>> + Send + 'a {
        let work: BoxFuture<'a, Result<T, StoreError>> = Box::pin(work);
        async move {
            let result = tokio::time::timeout(limit, work).await.unwrap_or_else(|_| {
                let limit = humantime::format_duration(limit);
                Err(StoreError::Down(format!("no answer within {limit}")))
            });
            result.map_err(|error| match error {
                StoreError::Down(reason) => {
                    StoreError::Down(format!("{}: {reason}", self.target.place()))
                }
                other => other,
            })
        }
    }

    /// Begins a transaction that may touch the inherited tables, which know no workspaces; then
    /// [`Store::scope`] it.
    pub(super) async fn begin(&self) -> Result<Tx, StoreError> {
        self.write.begin().await
    }

    /// Binds the rest of a transaction to the rows of a workspace, [`ALL`] for those of all. From
    /// here on the inherited tables may be out of reach.
    pub(super) async fn scope(&self, tx: &mut Tx, workspace: &str) -> Result<(), StoreError> {
        if tx.is_sqlite() {
            return Ok(());
        }
        tx.execute(
            "SELECT set_config('mcp_bridge.workspace', $1, true)",
            &[workspace.into()],
        )
        .await?;
        if self.is_above_policies.load(Ordering::Acquire) {
            tx.execute("SET LOCAL ROLE mcp_bridge_scoped", &[]).await?;
        }
        Ok(())
    }

    /// A transaction that only reads the rows of a workspace.
    pub(super) async fn begin_reading(&self, workspace: &str) -> Result<Tx, StoreError> {
        let mut tx = match &self.read {
            // A plain BEGIN takes no lock for writing.
            Pool::Sqlite(pool) => Tx::Sqlite(pool.begin().await?),
            Pool::Postgres(pool) => Tx::Postgres(pool.begin().await?),
        };
        self.scope(&mut tx, workspace).await?;
        Ok(tx)
    }
}

/// Microseconds since 1970 UTC.
pub(super) fn now() -> i64 {
    jiff::Timestamp::now().as_microsecond()
}
