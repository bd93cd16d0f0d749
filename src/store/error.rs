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
}

impl StoreError {
    /// For the methods that are still to come.
    pub(super) fn not_built() -> Self {
        Self::Down("not built".to_owned())
    }
}
