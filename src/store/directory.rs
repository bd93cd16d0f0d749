//! [`Directory`]: Open WebUI's own tables, of whatever release (Open WebUI contract §9); only read.

use std::time::Duration;

use super::StoreError;
use crate::config::DatabaseUrl;

/// A user of Open WebUI.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Their id.
    pub id: String,
    /// As written there.
    pub email: String,
    /// Their name.
    pub name: String,
    /// `user`, `admin` or `pending`.
    pub role: String,
    /// Whether their `auth` row is there and active.
    pub is_active: bool,
    /// `auth.session_stamp`; the outer `None` where the release has no such column.
    pub session_stamp: Option<Option<String>>,
    /// Whether a second factor is asked of them (`auth.mfa.enable`, and their own `auth.mfa`).
    pub wants_mfa: bool,
    /// Their groups, those above them included.
    pub groups: Vec<MemberGroup>,
}

/// A group of Open WebUI.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberGroup {
    /// Its id.
    pub id: String,
    /// Its name, which need not be unique.
    pub name: String,
}

/// Open WebUI's users and groups.
#[derive(Debug)]
pub struct Directory {}

impl Directory {
    /// Prepares the pool, read-only; contacts nothing.
    pub fn open(_url: &DatabaseUrl, _timeout: Duration) -> Result<Self, StoreError> {
        Ok(Self {})
    }

    /// The user of an id.
    pub async fn user(&self, _id: &str) -> Result<Option<Account>, StoreError> {
        Err(StoreError::Down("not built".to_owned()))
    }

    /// The user of an e-mail, in any case of letters.
    pub async fn user_of_email(&self, _email: &str) -> Result<Option<Account>, StoreError> {
        Err(StoreError::Down("not built".to_owned()))
    }

    /// The user of an API key (`sk-…`).
    pub async fn user_of_key(&self, _key: &str) -> Result<Option<Account>, StoreError> {
        Err(StoreError::Down("not built".to_owned()))
    }
}
