//! [`GroupKeys`]: the keys that groups use instead of the shared credentials of a bridge, cached in
//! memory.
//!
//! The first of a caller's groups that has keys for a bridge decides. If its keys are unusable (for
//! example, sealed with a key that is missing), calls of the group are refused. They never fall
//! back to the shared credentials.

mod credentials;
mod stored;
mod table;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;

use self::table::{GroupKeyEntry, GroupKeyTable};
pub use self::{
    credentials::GroupCredentials,
    stored::{GroupKeyPutError, StoredGroupKey, put_group_key},
};
use super::EncryptionKeys;
use crate::{
    name::BridgeName,
    secret::Redactor,
    store::{GroupKeyRow, Store, StoreError},
};

/// How long calls wait for the first read after the start. The database usually responds within
/// milliseconds.
const PATIENCE: Duration = Duration::from_secs(2);
/// When to retry after a read failed or found unusable keys.
const AGAIN: Duration = Duration::from_secs(30);

/// Why the credentials for a call are unknown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GroupKeyError {
    /// The tables have not been read since the start.
    #[error("the keys of groups have not been read from the database yet; try again in a moment")]
    Unread,
    /// The group has keys or an endpoint, but they are unusable.
    #[error("the credentials of the group `{group}` for `{bridge}` cannot be used: {why}")]
    Unusable {
        /// The group.
        group: Arc<str>,
        /// The bridge.
        bridge: String,
        /// Which of them, and what to do. Contains no value.
        why: Arc<str>,
    },
}

/// The keys and endpoints of all groups.
#[derive(Debug)]
pub struct GroupKeys {
    /// `None` before the first read.
    table: ArcSwap<Option<GroupKeyTable>>,
    /// Whether no group has keys. This is true in most installations and is checked in every call.
    is_empty: AtomicBool,
    /// True after the first read.
    is_read: watch::Sender<bool>,
    /// Until when calls wait for the first read.
    patience_ends: Instant,
    /// Redacts the keys.
    redactor: Redactor,
}

impl GroupKeys {
    /// An empty set, for a bridge without a database.
    pub fn none() -> Self {
        Self {
            table: ArcSwap::from_pointee(Some(GroupKeyTable::default())),
            is_empty: AtomicBool::new(true),
            is_read: watch::Sender::new(true),
            patience_ends: Instant::now(),
            redactor: Redactor::default(),
        }
    }

    /// A set that was not read yet. [`GroupKeys::run`] reads it and adds each key to the redactor.
    pub fn unread(redactor: Redactor) -> Self {
        Self {
            table: ArcSwap::from_pointee(None),
            is_empty: AtomicBool::new(false),
            is_read: watch::Sender::new(false),
            patience_ends: Instant::now() + PATIENCE,
            redactor,
        }
    }

    /// The keys for a bridge, from the first of these groups that has any.
    pub fn of(
        &self,
        groups: &[Arc<str>],
        bridge: &BridgeName,
    ) -> Result<Option<Arc<GroupCredentials>>, GroupKeyError> {
        if groups.is_empty() || self.is_empty.load(Ordering::Acquire) {
            return Ok(None);
        }
        let table = self.table.load();
        let Some(table) = &**table else {
            return Err(GroupKeyError::Unread);
        };
        let Some(found) = table.of(groups, bridge.as_str()) else {
            return Ok(None);
        };
        match found {
            (_, GroupKeyEntry::Usable(key)) => Ok(Some(Arc::clone(key))),
            (group, GroupKeyEntry::Unusable(why)) => Err(GroupKeyError::Unusable {
                group: Arc::clone(group),
                bridge: bridge.to_string(),
                why: Arc::clone(why),
            }),
        }
    }

    /// Waits for the first read, at most a few seconds after the start. Calls that arrive during
    /// the start would otherwise find the keys unread.
    pub async fn ready(&self) {
        let mut is_read = self.is_read.subscribe();
        let read = is_read.wait_for(|is_read| *is_read);
        // If the wait times out, [`GroupKeys::of`] reports it.
        drop(tokio::time::timeout_at(self.patience_ends, read).await);
    }

    /// Keeps the keys in sync with the tables until `stop`, and seals values that are stored in
    /// plain text.
    pub async fn run(
        self: Arc<Self>,
        store: Arc<Store>,
        keyring: Arc<EncryptionKeys>,
        stop: CancellationToken,
    ) {
        let keep = Box::pin(self.keep(&store, &keyring));
        tokio::select! {
            () = stop.cancelled() => {}
            () = keep => {}
        }
    }

    /// Never returns.
    async fn keep(&self, store: &Store, keyring: &EncryptionKeys) {
        let mut changed = store.accounts_changed();
        let mut is_told = false;
        loop {
            // Changes from here on cause another read.
            changed.mark_unchanged();
            let is_settled = match self.look(store, keyring).await {
                Ok(plain) => adopt(store, keyring, &plain, &mut is_told).await && self.is_sound(),
                // The store logs the outage and notifies when the database is back.
                Err(StoreError::Down(_)) => false,
                Err(error) => {
                    tracing::warn!("cannot read the keys of groups: {error}");
                    false
                }
            };
            let again = async {
                if is_settled {
                    std::future::pending::<()>().await;
                } else {
                    tokio::time::sleep(AGAIN).await;
                }
            };
            tokio::select! {
                heard = changed.changed() => if heard.is_err() {
                    return;
                },
                () = again => {}
            }
        }
    }

    /// Reads the tables. Returns the rows that are stored in plain text.
    async fn look(
        &self,
        store: &Store,
        keyring: &EncryptionKeys,
    ) -> Result<Vec<GroupKeyRow>, StoreError> {
        let rows = store.group_keys().await?;
        let endpoints = store.endpoints().await?;
        let old = self.table.load_full();
        let old = (*old).as_ref();
        let open = |row: &GroupKeyRow| StoredGroupKey::read(row).open(keyring);
        let new = GroupKeyTable::build(old, &rows, &endpoints, open);
        // Do this before calls can use the keys.
        for (_bridge, _group, key) in new.usable() {
            // Only administrators of the whole program set these keys, so all of them are redacted.
            self.redactor.learn_all(key.values.values().cloned());
        }
        new.log(old);
        let is_empty = new.is_empty();
        self.table.store(Arc::new(Some(new)));
        self.is_empty.store(is_empty, Ordering::Release);
        self.is_read.send_replace(true);
        let is_plain =
            |row: &GroupKeyRow| matches!(StoredGroupKey::read(row), StoredGroupKey::Plain(..));
        Ok(rows.into_iter().filter(is_plain).collect())
    }

    /// Whether all keys are usable.
    fn is_sound(&self) -> bool {
        (**self.table.load())
            .as_ref()
            .is_some_and(GroupKeyTable::is_sound)
    }
}

/// Seals rows that the proxy stored in plain text. They are used as they are until then, and also
/// if there is no key to seal them with. Returns false if sealing must be tried again.
async fn adopt(
    store: &Store,
    keyring: &EncryptionKeys,
    plain: &[GroupKeyRow],
    is_told: &mut bool,
) -> bool {
    if plain.is_empty() {
        return true;
    }
    let vault = match keyring.to_seal() {
        Ok(vault) => vault,
        Err(error) => {
            if !*is_told {
                *is_told = true;
                tracing::warn!(
                    "{} group keys are stored in the database in plain text: {error}",
                    plain.len()
                );
            }
            return false;
        }
    };
    let mut sealed = 0_usize;
    for row in plain {
        let new = StoredGroupKey::seal(&vault, &row.name, &row.stored);
        match store.reseal_group_key(&row.name, &row.stored, &new).await {
            // Another replica sealed it, or the value has changed.
            Ok(false) => {}
            Ok(true) => sealed += 1,
            Err(error) => {
                tracing::warn!(
                    "cannot seal a key of a group yet; it stays in plain text in the database: {error}"
                );
                return false;
            }
        }
    }
    if sealed > 0 {
        tracing::info!(
            "sealed {sealed} keys of groups that were stored in the database in plain text"
        );
    }
    true
}

#[cfg(test)]
mod tests;
