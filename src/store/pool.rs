//! [`Pool`] and [`Tx`]: one SQL text, one list of values, both databases.

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

/// The schema of our tables on PostgreSQL.
pub(super) const SCHEMA: &str = "mcp_proxy";

/// How both databases are reached.
#[derive(Debug, Clone)]
pub(super) enum Target {
    /// A file.
    Sqlite(SqliteConnectOptions),
    /// A server.
    Postgres(PgConnectOptions),
}

impl Target {
    /// Reads the place out of the configuration; contacts nothing.
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
                // The text of the error may quote the URL, and with it the password.
                .map_err(|_| StoreError::Invalid("the URL of the database cannot be read; write `postgres://user:password@host:5432/name`".to_owned())),
        }
    }

    /// Where it is, without credentials.
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

    /// SQLite as we write it: readers beside one writer, and waits for another process's lock.
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

    /// SQLite as somebody else's, only read.
    pub(super) fn only_read(self, timeout: Duration) -> Self {
        match self {
            Self::Sqlite(options) => Self::Sqlite(options.read_only(true).busy_timeout(timeout)),
            Self::Postgres(options) => Self::Postgres(options),
        }
    }

    /// A pool; connects when it is first asked. `setup` is run on each new PostgreSQL connection,
    /// with the statement timeout in milliseconds as its one value.
    pub(super) fn pool(&self, connections: u32, timeout: Duration, setup: &'static str) -> Pool {
        match self {
            Self::Sqlite(options) => {
                Pool::Sqlite(pool_options(connections, timeout).connect_lazy_with(options.clone()))
            }
            Self::Postgres(options) => {
                let limit = timeout.as_millis().max(1).to_string();
                Pool::Postgres(
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

/// Connections stay open: whoever loses one notices when it is next taken.
fn pool_options<DB: sqlx::Database>(connections: u32, timeout: Duration) -> PoolOptions<DB> {
    PoolOptions::new()
        .max_connections(connections.max(1))
        .acquire_timeout(timeout)
        .idle_timeout(None)
        .max_lifetime(None)
}

/// Makes the file if there is none, readable by us alone; its companions `-wal` and `-shm` take
/// over its mode.
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

/// Connections of either kind.
#[derive(Debug, Clone)]
pub(super) enum Pool {
    /// To a file.
    Sqlite(SqlitePool),
    /// To a server.
    Postgres(PgPool),
}

/// A transaction of either kind. Dropped without a commit it is rolled back.
#[derive(Debug)]
pub(super) enum Tx {
    /// In a file.
    Sqlite(Transaction<'static, Sqlite>),
    /// At a server.
    Postgres(Transaction<'static, Postgres>),
}

/// What a query is given.
#[derive(Debug, Clone)]
pub(super) enum Value<'a> {
    /// Text.
    Text(Cow<'a, str>),
    /// Text or null.
    OptText(Option<Cow<'a, str>>),
    /// A number.
    Int(i64),
    /// A number or null.
    OptInt(Option<i64>),
    /// Yes or no.
    Bool(bool),
    /// Bytes.
    Bytes(&'a [u8]),
}

impl Value<'_> {
    /// PostgreSQL cannot store a NUL byte in a text, and SQLite cuts the text there for others.
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

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

impl<'a> From<&'a String> for Value<'a> {
    fn from(text: &'a String) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

impl From<String> for Value<'_> {
    fn from(text: String) -> Self {
        Self::Text(Cow::Owned(text))
    }
}

impl From<i64> for Value<'_> {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl From<bool> for Value<'_> {
    fn from(yes: bool) -> Self {
        Self::Bool(yes)
    }
}

/// Gives a query its values; the same code for both types of query.
macro_rules! bound {
    ($query:expr, $values:expr) => {{
        let mut query = $query;
        for value in $values {
            value.check()?;
            query = match value {
                Value::Text(text) => query.bind(text.as_ref()),
                Value::OptText(text) => query.bind(text.as_deref()),
                Value::Int(number) => query.bind(*number),
                Value::OptInt(number) => query.bind(*number),
                Value::Bool(yes) => query.bind(*yes),
                Value::Bytes(bytes) => query.bind(*bytes),
            };
        }
        query
    }};
}

/// A row of either database becomes a value of ours.
pub(super) trait Row:
    for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin
{
}

impl<T> Row for T where T: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin
{}

impl Pool {
    /// All rows of a query.
    pub(super) async fn fetch<T: Row>(
        &self,
        sql: impl SqlSafeStr,
        values: &[Value<'_>],
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

    /// All rows of a query over tables that change under us: no plan of it is kept.
    pub(super) async fn fetch_unprepared<T: Row>(
        &self,
        sql: SqlStr,
        values: &[Value<'_>],
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

    /// Begins a transaction. SQLite's takes the lock for writing at once: one that took it later
    /// could fail half way.
    pub(super) async fn begin(&self) -> Result<Tx, StoreError> {
        Ok(match self {
            Self::Sqlite(pool) => Tx::Sqlite(pool.begin_with("BEGIN IMMEDIATE").await?),
            Self::Postgres(pool) => Tx::Postgres(pool.begin().await?),
        })
    }

    /// Whether it is a file.
    pub(super) fn is_sqlite(&self) -> bool {
        matches!(self, Self::Sqlite(_))
    }
}

impl Tx {
    /// All rows of a query.
    pub(super) async fn fetch<T: Row>(
        &mut self,
        sql: impl SqlSafeStr,
        values: &[Value<'_>],
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

    /// Executes a statement; says how many rows it touched.
    pub(super) async fn execute(
        &mut self,
        sql: impl SqlSafeStr,
        values: &[Value<'_>],
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

    /// Makes it so.
    pub(super) async fn commit(self) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(tx) => tx.commit().await?,
            Self::Postgres(tx) => tx.commit().await?,
        }
        Ok(())
    }

    /// Whether it is in a file.
    pub(super) fn is_sqlite(&self) -> bool {
        matches!(self, Self::Sqlite(_))
    }
}
