//! The warnings of `check` about PostgreSQL: copies of the access tables that mcp-bridge does not read.

use tokio::runtime::Runtime;

use crate::{
    config::{Config, DatabaseUrl, Diagnostic},
    store::{Store, TableCopy},
};

/// Returns a warning for each copy. It returns none if the database is SQLite or cannot be reached, because a check
/// must work without the database.
pub fn warnings(config: &Config) -> Vec<Diagnostic> {
    let Some(database) = &config.database else {
        return Vec::new();
    };
    if let DatabaseUrl::Sqlite(_) = database.url {
        return Vec::new();
    }
    let found = Store::open(database).ok().zip(Runtime::new().ok());
    let copies = found.and_then(|(store, runtime)| runtime.block_on(store.copies()).ok());
    copies.iter().flatten().map(warning).collect()
}

fn warning(copy: &TableCopy) -> Diagnostic {
    Diagnostic::warning(copy.problem()).with_hint(copy.advice())
}
