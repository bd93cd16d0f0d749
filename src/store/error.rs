//! [`StoreError`]: why a database operation failed.

/// Why a database operation failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The database cannot be reached, or not in time. No decision is made without it.
    #[error("the database is not responding: {0}")]
    Down(String),
    /// A newer version of this program created the tables.
    #[error(
        "the database has migration {found}, but this program supports only migrations up to {known}; use the newer version of the program"
    )]
    Newer {
        /// The newest migration in the database.
        found: i64,
        /// The newest migration that this program supports.
        known: i64,
    },
    /// The database returned an error.
    #[error("the database returned an error: {0}")]
    Query(String),
    /// There are too many entries of this kind now. Some of them will expire.
    #[error("{0}")]
    Full(String),
    /// The value cannot be stored: it is too long or contains a NUL byte. The input is the cause,
    /// not the database.
    #[error("{0}")]
    Invalid(String),
}

impl From<sqlx::Error> for StoreError {
    /// Classifies an error of the driver. Its messages contain no values and no credentials.
    fn from(error: sqlx::Error) -> Self {
        use sqlx::Error;
        match &error {
            Error::Database(refusal) => {
                let message = refusal.message().to_owned();
                if is_outage(refusal.as_ref()) {
                    Self::Down(message)
                } else {
                    Self::Query(message)
                }
            }
            Error::Io(cause) => Self::Down(cause.to_string()),
            Error::PoolTimedOut => Self::Down("no connection became free in time".to_owned()),
            Error::Tls(_)
            | Error::Protocol(_)
            | Error::PoolClosed
            | Error::WorkerCrashed
            | Error::BeginFailed => Self::Down(error.to_string()),
            _ => Self::Query(error.to_string()),
        }
    }
}

/// Whether an error means that the database as a whole is unavailable.
fn is_outage(refusal: &dyn sqlx::error::DatabaseError) -> bool {
    let Some(code) = refusal.code() else {
        return false;
    };
    if refusal
        .try_downcast_ref::<sqlx::postgres::PgDatabaseError>()
        .is_some()
    {
        // Connection errors, rejected logins, missing database, insufficient resources, shutdown,
        // cancellation by the statement timeout, and I/O errors (PostgreSQL documentation, appendix
        // A).
        return ["08", "28", "53", "57", "58"]
            .iter()
            .any(|class| code.starts_with(class))
            || code == "3D000";
    }
    // BUSY, LOCKED, READONLY, IOERR, CORRUPT, FULL, CANTOPEN and NOTADB. The upper bits contain
    // details (SQLite result codes).
    code.parse::<i32>()
        .is_ok_and(|code| matches!(code & 0xff, 5 | 6 | 8 | 10 | 11 | 13 | 14 | 26))
}
