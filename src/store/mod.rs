//! The only code that speaks SQL: grants, members, keys and the audit trail in SQLite or
//! PostgreSQL, and Open WebUI's own tables, which are only read.
//!
//! One SQL text serves both databases. Opening contacts nothing: [`Store::run`] connects, migrates
//! and listens in the background, and until then every method answers [`StoreError::Down`].

mod directory;
mod error;
mod record;
mod rows;

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

pub use directory::{Account, Directory, MemberGroup};
pub use error::StoreError;
pub use record::{CallFilter, CallRecord, ChangeFilter, ChangeRecord};
pub use rows::{Actor, GrantRow, GroupRow, KeyRow, Member, UserRow};

use crate::config::{self, Database};

/// What `/health` says of the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// It answers.
    Connected,
    /// It does not, and why.
    Disconnected(String),
}

/// The database with our own tables.
#[derive(Debug)]
pub struct Store {}

impl Store {
    /// Prepares the pool; contacts nothing.
    pub fn open(_database: &Database) -> Result<Self, StoreError> {
        Ok(Self {})
    }

    /// Connects, migrates and seeds, again and again until it works; then listens to changes of
    /// other replicas and looks after the connection until it is told to stop.
    pub async fn run(self: Arc<Self>, _seed: config::Access, stop: CancellationToken) {
        stop.cancelled().await;
    }

    /// Creates or updates our tables. Says which migrations were applied.
    pub async fn migrate(&self) -> Result<Vec<String>, StoreError> {
        Err(StoreError::not_built())
    }

    /// Puts the grants and administrators of the file into the tables; deletes nothing.
    pub async fn seed(&self, _access: &config::Access) -> Result<(), StoreError> {
        Err(StoreError::not_built())
    }

    /// Whether the database answered when it was last looked at; asks nothing.
    pub fn health(&self) -> Health {
        Health::Disconnected("not built".to_owned())
    }

    /// A number that grows with every change of grants, members, administrators or keys that we
    /// make or hear of, and whenever we may have missed one. Whoever keeps what they read notes it
    /// before they read.
    pub fn version(&self) -> u64 {
        0
    }

    // --- what access asks, a query each ---

    /// Every grant of every group: `group_tenant_mapping` and our own narrowed ones.
    pub async fn grants(&self) -> Result<Vec<GrantRow>, StoreError> {
        Err(StoreError::not_built())
    }

    /// What our tables say of a user, in any case of letters. No rows are an empty answer.
    pub async fn member(&self, _email: &str) -> Result<Member, StoreError> {
        Err(StoreError::not_built())
    }

    /// Every stored API key that is not revoked.
    pub async fn keys(&self) -> Result<Vec<KeyRow>, StoreError> {
        Err(StoreError::not_built())
    }

    // --- what administrators do; each change and its record are one transaction ---

    /// All users that our tables know, with their groups, by e-mail.
    pub async fn users(&self) -> Result<Vec<UserRow>, StoreError> {
        Err(StoreError::not_built())
    }

    /// All groups that have a grant or a member, by name.
    pub async fn groups(&self) -> Result<Vec<GroupRow>, StoreError> {
        Err(StoreError::not_built())
    }

    /// Adds a member; false if they were one.
    pub async fn add_member(
        &self,
        _actor: &Actor,
        _email: &str,
        _group: &str,
    ) -> Result<bool, StoreError> {
        Err(StoreError::not_built())
    }

    /// Removes a member; false if they were none.
    pub async fn remove_member(
        &self,
        _actor: &Actor,
        _email: &str,
        _group: &str,
    ) -> Result<bool, StoreError> {
        Err(StoreError::not_built())
    }

    /// Makes a user an administrator, or no longer.
    pub async fn set_admin(
        &self,
        _actor: &Actor,
        _email: &str,
        _is_admin: bool,
    ) -> Result<bool, StoreError> {
        Err(StoreError::not_built())
    }

    /// Grants; false if the very same grant stood already. One without globs and not `read_only`
    /// is a row of `group_tenant_mapping`, any other one of our own table.
    pub async fn grant(&self, _actor: &Actor, _grant: &GrantRow) -> Result<bool, StoreError> {
        Err(StoreError::not_built())
    }

    /// Revokes all that a group may do with a bridge, narrowed or not; says how many grants went.
    pub async fn revoke(
        &self,
        _actor: &Actor,
        _group: &str,
        _bridge: &str,
    ) -> Result<u64, StoreError> {
        Err(StoreError::not_built())
    }

    /// Replaces the unnarrowed grants of a group.
    pub async fn set_grants(
        &self,
        _actor: &Actor,
        _group: &str,
        _bridges: &[String],
    ) -> Result<(), StoreError> {
        Err(StoreError::not_built())
    }

    /// Removes a group with its members and grants; says how many of each.
    pub async fn delete_group(
        &self,
        _actor: &Actor,
        _group: &str,
    ) -> Result<(u64, u64), StoreError> {
        Err(StoreError::not_built())
    }

    /// Stores an API key by its hash; false if the name is taken.
    pub async fn add_key(&self, _actor: &Actor, _key: &KeyRow) -> Result<bool, StoreError> {
        Err(StoreError::not_built())
    }

    /// Revokes a stored API key; false if there is none of that name.
    pub async fn revoke_key(&self, _actor: &Actor, _name: &str) -> Result<bool, StoreError> {
        Err(StoreError::not_built())
    }

    // --- the audit trail ---

    /// Writes records; one with an id that is known replaces the `started` one and no other.
    pub async fn put_calls(&self, _calls: &[CallRecord]) -> Result<(), StoreError> {
        Err(StoreError::not_built())
    }

    /// Marks what an instance that is gone had `started` as `interrupted`; says how many.
    pub async fn interrupt_calls(&self, _instance: &str) -> Result<u64, StoreError> {
        Err(StoreError::not_built())
    }

    /// Records, the newest first.
    pub async fn calls(&self, _filter: &CallFilter) -> Result<Vec<CallRecord>, StoreError> {
        Err(StoreError::not_built())
    }

    /// Writes records of changes that had no transaction of their own; known ids are left alone.
    pub async fn put_changes(&self, _changes: &[ChangeRecord]) -> Result<(), StoreError> {
        Err(StoreError::not_built())
    }

    /// Records of changes, the newest first.
    pub async fn changes(&self, _filter: &ChangeFilter) -> Result<Vec<ChangeRecord>, StoreError> {
        Err(StoreError::not_built())
    }

    /// Deletes up to `limit` calls that are older (microseconds since 1970); says how many.
    pub async fn purge_calls(&self, _before: i64, _limit: u32) -> Result<u64, StoreError> {
        Err(StoreError::not_built())
    }
}
