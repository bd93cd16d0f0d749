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
    pool::{DatabasePool, DatabaseTarget, DatabaseTransaction},
    table_copy::TableCopy,
};
use crate::config::DatabaseSettings;

/// Concurrent connections that read SQLite; one more connection writes.
const SQLITE_READERS: u32 = 4;

/// The workspace that sees all others. The program itself uses it.
pub(super) const ALL: &str = "*";

/// The setup of each connection to PostgreSQL: where the bridge's tables are, and how long a
/// statement may take.
const SETUP: &str = "SELECT set_config('search_path', 'mcp_proxy', false), \
    set_config('statement_timeout', $1, false)";

/// The state of the database for `/health`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreHealth {
    /// It responds.
    Connected,
    /// It does not respond, with the reason.
    Disconnected(String),
}

/// The database with the bridge's own tables.
#[derive(Debug)]
pub struct Store {
    /// How to reach the database.
    pub(super) target: DatabaseTarget,
    /// For reading. With PostgreSQL the same pool as `write`.
    pub(super) read: DatabasePool,
    /// For writing. With SQLite a single connection.
    pub(super) write: DatabasePool,
    /// The time limit of a method.
    pub(super) timeout: Duration,
    /// Whether the database user ignores row-level security. Transactions of one workspace must
    /// then switch to a role with fewer rights.
    pub(super) is_above_policies: AtomicBool,
    /// Whether the log already says that row-level security is ignored.
    pub(super) was_warned: AtomicBool,
    /// The copied tables that the log last warned of.
    pub(super) copies_told: ArcSwap<Vec<TableCopy>>,
    /// Notified when a method could not reach the database, so that it is checked at once.
    pub(super) doubt: Notify,
    health: ArcSwap<StoreHealth>,
    /// Canceled after the first attempt to connect, successful or not.
    tried: CancellationToken,
    version: AtomicU64,
    accounts: watch::Sender<u64>,
}

impl Store {
    /// Creates the pools. Contacts nothing.
    pub fn open(database: &DatabaseSettings) -> Result<Self, StoreError> {
        let timeout = database.timeout;
        let target = DatabaseTarget::new(&database.url)?.written_by_us(timeout);
        let (read, write) = if let DatabaseTarget::Sqlite(_) = target {
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
            health: ArcSwap::from_pointee(StoreHealth::Disconnected(
                "not connected yet".to_owned(),
            )),
            tried: CancellationToken::new(),
            version: AtomicU64::new(0),
            accounts: watch::Sender::new(0),
        })
    }

    /// The state of the database at the last check. Does not contact it.
    pub fn health(&self) -> StoreHealth {
        StoreHealth::clone(&self.health.load())
    }

    /// A number that grows with every change of grants, members, administrators or keys, whether
    /// made here or reported by another replica, and whenever a change may have been missed. If you
    /// cache data, read this number before you read the data.
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Like [`Store::version`], for accounts and for keys and endpoints of groups. It is separate
    /// because tokens are renewed all day, and cached access data must stay valid meanwhile.
    pub fn accounts_changed(&self) -> watch::Receiver<u64> {
        self.accounts.subscribe()
    }

    /// Notes that access changed or may have changed.
    pub(super) fn bump(&self) {
        self.version.fetch_add(1, Ordering::AcqRel);
    }

    /// Notes that accounts changed or may have changed.
    pub(super) fn bump_accounts(&self) {
        self.accounts
            .send_modify(|version| *version = version.wrapping_add(1));
    }

    /// Notes that anything may have changed.
    pub(super) fn bump_all(&self) {
        self.bump();
        self.bump_accounts();
    }

    /// Sets the state. Returns true if it is a change.
    pub(super) fn set_health(&self, health: StoreHealth) -> bool {
        let is_news = **self.health.load() != health;
        if is_news {
            self.health.store(Arc::new(health));
        }
        self.tried.cancel();
        is_news
    }

    /// Runs the work of a method within the timeout. Refuses it at once while the database is known
    /// to be down. Calls before the end of the first attempt to connect wait for it, within the
    /// same timeout.
    pub(super) fn bounded<'a, T: 'a>(
        &'a self,
        work: impl Future<Output = Result<T, StoreError>> + Send + 'a,
    ) -> impl Future<Output = Result<T, StoreError>> + Send + 'a {
        self.bounded_by(self.timeout, work)
    }

    /// [`Store::bounded`] with another time limit.
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
            if let StoreHealth::Disconnected(reason) = &**self.health.load() {
                return Err(StoreError::Down(reason.clone()));
            }
            let result = work.await;
            if let Err(StoreError::Down(_)) = result {
                self.doubt.notify_one();
            }
            result
        }
    }

    /// Runs the work within a time limit. If the database cannot be reached, the error says where
    /// it is. The work is boxed early, because queries are tens of kilobytes large.
    pub(super) fn within<'a, T: 'a>(
        &'a self,
        limit: Duration,
        work: impl Future<Output = Result<T, StoreError>> + Send + 'a,
    ) -> impl Future<Output = Result<T, StoreError>> + Send + 'a {
        let work: BoxFuture<'a, Result<T, StoreError>> = Box::pin(work);
        async move {
            let result = tokio::time::timeout(limit, work).await.unwrap_or_else(|_| {
                let limit = humantime::format_duration(limit);
                Err(StoreError::Down(format!("no response within {limit}")))
            });
            result.map_err(|error| match error {
                StoreError::Down(reason) => {
                    StoreError::Down(format!("{}: {reason}", self.target.place()))
                }
                other => other,
            })
        }
    }

    /// Begins a transaction. It may use the inherited tables, which have no workspaces; after that,
    /// call [`Store::scope`].
    pub(super) async fn begin(&self) -> Result<DatabaseTransaction, StoreError> {
        self.write.begin().await
    }

    /// Restricts the rest of a transaction to the rows of a workspace; [`ALL`] means all of them.
    /// From here on the inherited tables may be inaccessible.
    pub(super) async fn scope(
        &self,
        tx: &mut DatabaseTransaction,
        workspace: &str,
    ) -> Result<(), StoreError> {
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

    /// Begins a transaction that only reads the rows of a workspace.
    pub(super) async fn begin_reading(
        &self,
        workspace: &str,
    ) -> Result<DatabaseTransaction, StoreError> {
        let mut tx = match &self.read {
            // A plain BEGIN does not take the write lock.
            DatabasePool::Sqlite(pool) => DatabaseTransaction::Sqlite(pool.begin().await?),
            DatabasePool::Postgres(pool) => DatabaseTransaction::Postgres(pool.begin().await?),
        };
        self.scope(&mut tx, workspace).await?;
        Ok(tx)
    }
}

/// Microseconds since 1970 UTC.
pub(super) fn now() -> i64 {
    jiff::Timestamp::now().as_microsecond()
}
