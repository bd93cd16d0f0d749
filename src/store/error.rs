//! [`StoreError`]: why the database did not answer.

/// Why the database did not answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// It cannot be reached, or not in time. Nothing is decided without it.
    #[error("the database does not answer: {0}")]
    Down(String),
    /// A newer version of this program wrote it.
    #[error(
        "the database has migration {found}, this program knows {known} at most; use the newer program"
    )]
    Newer {
        /// The newest migration there.
        found: i64,
        /// Our newest.
        known: i64,
    },
    /// It answered with an error of its own.
    #[error("the database refused: {0}")]
    Query(String),
    /// There is no room for more of this kind now; some of it goes by itself.
    #[error("{0}")]
    Full(String),
    /// What was to be stored cannot be: too long, or with a NUL byte. The input is at fault, not
    /// the database.
    #[error("{0}")]
    Invalid(String),
}

impl From<sqlx::Error> for StoreError {
    /// Sorts what the driver says. Its messages name no values and no credentials.
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

/// Whether an answer means that the database as a whole cannot serve now.
fn is_outage(refusal: &dyn sqlx::error::DatabaseError) -> bool {
    let Some(code) = refusal.code() else {
        return false;
    };
    if refusal
        .try_downcast_ref::<sqlx::postgres::PgDatabaseError>()
        .is_some()
    {
        // Connection exceptions, refused log-ins, no such database, no resources, shutting down
        // or cancelled by the statement timeout, I/O errors (PostgreSQL, appendix A).
        return ["08", "28", "53", "57", "58"]
            .iter()
            .any(|class| code.starts_with(class))
            || code == "3D000";
    }
    // BUSY, LOCKED, READONLY, IOERR, CORRUPT, FULL, CANTOPEN, NOTADB; the upper bits say more
    // (SQLite, result codes).
    code.parse::<i32>()
        .is_ok_and(|code| matches!(code & 0xff, 5 | 6 | 8 | 10 | 11 | 13 | 14 | 26))
}
