//! [`DatabasePool`] and [`DatabaseTransaction`]: one SQL text and one list of values for both databases.

use std::{borrow::Cow, path::Path, str::FromStr as _, time::Duration};

use sqlx::{
    ConnectOptions as _, FromRow, PgPool, Postgres, SqlSafeStr, SqlStr, Sqlite, SqlitePool,
    Transaction,
    pool::PoolOptions,
    postgres::{PgConnectOptions, PgRow},
    query::Query,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteRow},
};

use super::StoreError;
use crate::config::DatabaseUrl;

/// How to reach the database.
#[derive(Debug, Clone)]
pub(super) enum DatabaseTarget {
    /// A file.
    Sqlite(SqliteConnectOptions),
    /// A server.
    Postgres(PgConnectOptions),
}

impl DatabaseTarget {
    /// Reads the target from the configuration. Contacts nothing.
    pub(super) fn new(url: &DatabaseUrl) -> Result<Self, StoreError> {
        match url {
            DatabaseUrl::Sqlite(path) => Ok(Self::Sqlite(
                SqliteConnectOptions::new()
                    .filename(path)
                    .disable_statement_logging(),
            )),
            DatabaseUrl::Postgres(url) => PgConnectOptions::from_str(url.expose())
                .map(|options| {
                    Self::Postgres(
                        options
                            .application_name("mcp-bridge")
                            .disable_statement_logging(),
                    )
                })
                // The text of the error may quote the URL, which contains the password.
                .map_err(|_| StoreError::Invalid("the URL of the database cannot be read; write `postgres://user:password@host:5432/name`".to_owned())),
        }
    }

    /// The location, without credentials.
    pub(super) fn place(&self) -> String {
        match self {
            Self::Sqlite(options) => format!("SQLite at {}", options.get_filename().display()),
            Self::Postgres(options) => match options.get_socket() {
                Some(socket) => format!("PostgreSQL at {}", socket.display()),
                None => format!(
                    "PostgreSQL at {}:{}",
                    options.get_host(),
                    options.get_port()
                ),
            },
        }
    }

    /// SQLite with write access: readers work in parallel with one writer, and locks of other
    /// processes are waited for.
    pub(super) fn written_by_us(self, timeout: Duration) -> Self {
        match self {
            Self::Sqlite(options) => Self::Sqlite(
                options
                    .create_if_missing(false)
                    .journal_mode(SqliteJournalMode::Wal)
                    .busy_timeout(timeout),
            ),
            Self::Postgres(options) => Self::Postgres(options),
        }
    }

    /// SQLite without write access, for the database of another program.
    pub(super) fn only_read(self, timeout: Duration) -> Self {
        match self {
            Self::Sqlite(options) => Self::Sqlite(options.read_only(true).busy_timeout(timeout)),
            Self::Postgres(options) => Self::Postgres(options),
        }
    }

    /// Creates a pool, which connects when it is first used. `setup` runs on each new PostgreSQL
    /// connection, with the statement timeout in milliseconds as its only value.
    pub(super) fn pool(
        &self,
        connections: u32,
        timeout: Duration,
        setup: &'static str,
    ) -> DatabasePool {
        match self {
            Self::Sqlite(options) => DatabasePool::Sqlite(
                pool_options(connections, timeout).connect_lazy_with(options.clone()),
            ),
            Self::Postgres(options) => {
                let limit = timeout.as_millis().max(1).to_string();
                DatabasePool::Postgres(
                    pool_options(connections, timeout)
                        .after_connect(move |connection, _| {
                            let limit = limit.clone();
                            Box::pin(async move {
                                sqlx::query(setup).bind(limit).execute(connection).await?;
                                Ok(())
                            })
                        })
                        .connect_lazy_with(options.clone()),
                )
            }
        }
    }
}

/// Connections stay open. A lost connection is noticed when it is next used.
fn pool_options<DB: sqlx::Database>(connections: u32, timeout: Duration) -> PoolOptions<DB> {
    PoolOptions::new()
        .max_connections(connections.max(1))
        .acquire_timeout(timeout)
        .idle_timeout(None)
        .max_lifetime(None)
}

/// Creates the file if it does not exist, readable only by this user. The files `-wal` and `-shm`
/// get the same mode.
pub(super) fn create_file(path: &Path) -> Result<(), StoreError> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(StoreError::Down(format!("cannot create the file: {error}"))),
    }
}

/// A connection pool of either kind.
#[derive(Debug, Clone)]
pub(super) enum DatabasePool {
    /// To a file.
    Sqlite(SqlitePool),
    /// To a server.
    Postgres(PgPool),
}

/// A transaction of either kind. It is rolled back if it is dropped without a commit.
#[derive(Debug)]
pub(super) enum DatabaseTransaction {
    /// In a file.
    Sqlite(Transaction<'static, Sqlite>),
    /// At a server.
    Postgres(Transaction<'static, Postgres>),
}

/// A value of a query.
#[derive(Debug, Clone)]
pub(super) enum SqlValue<'a> {
    /// Text.
    Text(Cow<'a, str>),
    /// Text or null.
    OptText(Option<Cow<'a, str>>),
    /// A number.
    Int(i64),
    /// A number or null.
    OptInt(Option<i64>),
    /// A boolean.
    Bool(bool),
    /// Bytes.
    Bytes(&'a [u8]),
}

impl SqlValue<'_> {
    /// Refuses NUL bytes: PostgreSQL cannot store them in a text, and with SQLite other programs
    /// would see the text cut off there.
    fn check(&self) -> Result<(), StoreError> {
        match self {
            Self::Text(text) | Self::OptText(Some(text)) if text.contains('\0') => {
                Err(StoreError::Invalid(
                    "a text with a NUL byte cannot be stored; leave it out".to_owned(),
                ))
            }
            _ => Ok(()),
        }
    }
}

impl<'a> From<&'a str> for SqlValue<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

impl<'a> From<&'a String> for SqlValue<'a> {
    fn from(text: &'a String) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

impl From<String> for SqlValue<'_> {
    fn from(text: String) -> Self {
        Self::Text(Cow::Owned(text))
    }
}

impl From<i64> for SqlValue<'_> {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl From<bool> for SqlValue<'_> {
    fn from(yes: bool) -> Self {
        Self::Bool(yes)
    }
}

/// Binds the values of a query, with the same code for both databases.
macro_rules! bound {
    ($query:expr, $values:expr) => {{
        let mut query = $query;
        for value in $values {
            value.check()?;
            query = match value {
                SqlValue::Text(text) => query.bind(text.as_ref()),
                SqlValue::OptText(text) => query.bind(text.as_deref()),
                SqlValue::Int(number) => query.bind(*number),
                SqlValue::OptInt(number) => query.bind(*number),
                SqlValue::Bool(yes) => query.bind(*yes),
                SqlValue::Bytes(bytes) => query.bind(*bytes),
            };
        }
        query
    }};
}

/// A type that can be read from a row of either database.
pub(super) trait DatabaseRow:
    for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin
{
}

impl<T> DatabaseRow for T where
    T: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin
{
}

impl DatabasePool {
    /// All rows of a query.
    pub(super) async fn fetch<T: DatabaseRow>(
        &self,
        sql: impl SqlSafeStr,
        values: &[SqlValue<'_>],
    ) -> Result<Vec<T>, StoreError> {
        let sql = sql.into_sql_str();
        Ok(match self {
            Self::Sqlite(pool) => {
                bound!(sqlx::query_as::<Sqlite, T>(sql), values)
                    .fetch_all(pool)
                    .await?
            }
            Self::Postgres(pool) => {
                bound!(sqlx::query_as::<Postgres, T>(sql), values)
                    .fetch_all(pool)
                    .await?
            }
        })
    }

    /// All rows of a query over tables that another program may change, so the query plan is not
    /// cached.
    pub(super) async fn fetch_unprepared<T: DatabaseRow>(
        &self,
        sql: SqlStr,
        values: &[SqlValue<'_>],
    ) -> Result<Vec<T>, StoreError> {
        Ok(match self {
            Self::Sqlite(pool) => {
                bound!(sqlx::query_as::<Sqlite, T>(sql), values)
                    .persistent(false)
                    .fetch_all(pool)
                    .await?
            }
            Self::Postgres(pool) => {
                bound!(sqlx::query_as::<Postgres, T>(sql), values)
                    .persistent(false)
                    .fetch_all(pool)
                    .await?
            }
        })
    }

    /// Begins a transaction. With SQLite it takes the write lock at once: taking it later could
    /// fail half way.
    pub(super) async fn begin(&self) -> Result<DatabaseTransaction, StoreError> {
        Ok(match self {
            Self::Sqlite(pool) => {
                DatabaseTransaction::Sqlite(pool.begin_with("BEGIN IMMEDIATE").await?)
            }
            Self::Postgres(pool) => DatabaseTransaction::Postgres(pool.begin().await?),
        })
    }

    /// Whether it is a SQLite file.
    pub(super) fn is_sqlite(&self) -> bool {
        matches!(self, Self::Sqlite(_))
    }
}

impl DatabaseTransaction {
    /// All rows of a query.
    pub(super) async fn fetch<T: DatabaseRow>(
        &mut self,
        sql: impl SqlSafeStr,
        values: &[SqlValue<'_>],
    ) -> Result<Vec<T>, StoreError> {
        let sql = sql.into_sql_str();
        Ok(match self {
            Self::Sqlite(tx) => {
                bound!(sqlx::query_as::<Sqlite, T>(sql), values)
                    .fetch_all(&mut **tx)
                    .await?
            }
            Self::Postgres(tx) => {
                bound!(sqlx::query_as::<Postgres, T>(sql), values)
                    .fetch_all(&mut **tx)
                    .await?
            }
        })
    }

    /// Executes a statement. Returns how many rows it changed.
    pub(super) async fn execute(
        &mut self,
        sql: impl SqlSafeStr,
        values: &[SqlValue<'_>],
    ) -> Result<u64, StoreError> {
        let sql = sql.into_sql_str();
        Ok(match self {
            Self::Sqlite(tx) => {
                let query: Query<'_, Sqlite, _> = bound!(sqlx::query(sql), values);
                query.execute(&mut **tx).await?.rows_affected()
            }
            Self::Postgres(tx) => {
                let query: Query<'_, Postgres, _> = bound!(sqlx::query(sql), values);
                query.execute(&mut **tx).await?.rows_affected()
            }
        })
    }

    /// Executes a script of several statements.
    pub(super) async fn script(&mut self, sql: &'static str) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(tx) => {
                sqlx::raw_sql(sql).execute(&mut **tx).await?;
            }
            Self::Postgres(tx) => {
                sqlx::raw_sql(sql).execute(&mut **tx).await?;
            }
        }
        Ok(())
    }

    /// Commits the transaction.
    pub(super) async fn commit(self) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(tx) => tx.commit().await?,
            Self::Postgres(tx) => tx.commit().await?,
        }
        Ok(())
    }

    /// Whether it is a SQLite file.
    pub(super) fn is_sqlite(&self) -> bool {
        matches!(self, Self::Sqlite(_))
    }
}
