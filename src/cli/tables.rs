//! What `check` says of the tables in PostgreSQL: copies of the access tables that nothing reads.

use tokio::runtime::Runtime;

use crate::{
    config::{Config, DatabaseUrl, Diagnostic},
    store::{Store, TableCopy},
};

/// A warning for each copy. None where the database is a file, or cannot be reached from here: a check
/// works without the database too.
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
