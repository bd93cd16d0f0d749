//! The only code that uses SQL: grants, members, keys, accounts and the audit trail in SQLite or
//! PostgreSQL, and Open WebUI's own tables, which are only read.
//!
//! One SQL text serves both databases. Opening a store contacts nothing: [`Store::run`] connects,
//! migrates and listens in the background. Until it has connected, every method returns
//! [`StoreError::Down`].

mod access;
mod accounts;
mod admin;
mod calls;
mod changes;
mod copies;
mod directory;
mod error;
mod files;
mod group_keys;
mod keys;
mod logins;
mod migrate;
mod open;
mod pool;
mod record;
mod rows;
mod run;
mod seed;
mod table_copy;

pub use accounts::{AccountKey, RefreshClaim};
pub use directory::{DirectoryUser, UserDirectory};
pub use error::StoreError;
pub use files::{FileBounds, FileOwner, FileRow};
pub use group_keys::{EndpointRow, GroupKeyName, GroupKeyRow};
pub use open::{Store, StoreHealth};
pub use record::{CallFilter, CallRecord, ChangeFilter, ChangeRecord};
pub use rows::{ChangeActor, GrantRow, GroupRow, KeyRow, MemberRow, UserRow};
pub use table_copy::TableCopy;

#[cfg(test)]
pub mod testing;
#[cfg(test)]
mod tests;
mod text_rules;
