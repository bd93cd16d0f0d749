//! The only code that speaks SQL: grants, members, keys, accounts and the audit trail in SQLite or
//! PostgreSQL, and Open WebUI's own tables, which are only read.
//!
//! One SQL text serves both databases. Opening contacts nothing: [`Store::run`] connects, migrates
//! and listens in the background, and until then every method answers [`StoreError::Down`].

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

pub use accounts::{AccountKey, Claim};
pub use copies::TableCopy;
pub use directory::{Account, Directory};
pub use error::StoreError;
pub use files::{FileBounds, FileOwner, FileRow};
pub use group_keys::{EndpointRow, GroupKeyName, GroupKeyRow};
pub use open::{Health, Store};
pub use record::{CallFilter, CallRecord, ChangeFilter, ChangeRecord};
pub use rows::{Actor, GrantRow, GroupRow, KeyRow, Member, UserRow};

#[cfg(test)]
pub mod testing;
#[cfg(test)]
mod tests;
