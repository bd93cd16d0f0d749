//! [`GroupKeys`]: what groups have instead of the shared credentials of a bridge, in memory.
//!
//! The first of a caller's groups that has anything for a bridge decides. What it has cannot be
//! used sometimes: sealed under a key that we lack, say. Then its calls are refused; they never go
//! on with the shared credentials instead.

mod stored;
mod table;

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;
use url::Url;

pub use self::stored::{PutError, Stored, put_group_key};
use self::table::{Entry, Table};
use super::Keyring;
use crate::{
    name::BridgeName,
    secret::{Redactor, Secret},
    store::{GroupKeyRow, Store, StoreError},
};

/// How long calls wait for the first look, from the start on; the database mostly answers within
/// milliseconds.
const PATIENCE: Duration = Duration::from_secs(2);
/// When a look at the tables failed, or found what cannot be used, the next one comes by itself.
const AGAIN: Duration = Duration::from_secs(30);

/// What a group has of its own for a bridge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupKey {
    /// The group.
    pub group: Arc<str>,
    /// Another number for anything other below; sessions that were made with it are not used on.
    pub revision: u64,
    /// Its values for variables of the configuration.
    pub values: BTreeMap<String, Secret>,
    /// Where its calls go instead.
    pub endpoint: Option<Url>,
}

/// Why it is not known what to call a server with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GroupKeyRefusal {
    /// The tables have not been read since the start.
    #[error("the keys of groups are not read from the database yet; try again in a moment")]
    Unread,
    /// The group has something of its own, and it is of no use.
    #[error("the credentials of the group `{group}` for `{bridge}` cannot be used: {why}")]
    Unusable {
        /// The group.
        group: Arc<str>,
        /// The bridge.
        bridge: String,
        /// Which of them, and what to do; no value.
        why: Arc<str>,
    },
}

/// The keys and endpoints of all groups.
#[derive(Debug)]
pub struct GroupKeys {
    /// `None` before the first look.
    table: ArcSwap<Option<Table>>,
    /// No group has anything: true almost everywhere, and asked at every call.
    is_empty: AtomicBool,
    /// True from the first look on.
    is_read: watch::Sender<bool>,
    /// Until when calls wait for that look.
    patience_ends: Instant,
    /// Takes the values out of whatever is written.
    redactor: Redactor,
}

impl GroupKeys {
    /// Where nothing is kept there are none.
    pub fn none() -> Self {
        Self {
            table: ArcSwap::from_pointee(Some(Table::default())),
            is_empty: AtomicBool::new(true),
            is_read: watch::Sender::new(true),
            patience_ends: Instant::now(),
            redactor: Redactor::default(),
        }
    }

    /// Not read yet; [`GroupKeys::run`] reads them, and has each value taken out of what is written.
    pub fn unread(redactor: Redactor) -> Self {
        Self {
            table: ArcSwap::from_pointee(None),
            is_empty: AtomicBool::new(false),
            is_read: watch::Sender::new(false),
            patience_ends: Instant::now() + PATIENCE,
            redactor,
        }
    }

    /// What the first of these groups that has anything has for a bridge.
    pub fn of(
        &self,
        groups: &[Arc<str>],
        bridge: &BridgeName,
    ) -> Result<Option<Arc<GroupKey>>, GroupKeyRefusal> {
        if groups.is_empty() || self.is_empty.load(Ordering::Acquire) {
            return Ok(None);
        }
        let table = self.table.load();
        let Some(table) = &**table else {
            return Err(GroupKeyRefusal::Unread);
        };
        let Some(found) = table.of(groups, bridge.as_str()) else {
            return Ok(None);
        };
        match found {
            (_, Entry::Usable(key)) => Ok(Some(Arc::clone(key))),
            (group, Entry::Unusable(why)) => Err(GroupKeyRefusal::Unusable {
                group: Arc::clone(group),
                bridge: bridge.to_string(),
                why: Arc::clone(why),
            }),
        }
    }

    /// Waits for the first look, some seconds after the start at most: calls that come with the start
    /// find them unread.
    pub async fn ready(&self) {
        let mut is_read = self.is_read.subscribe();
        let read = is_read.wait_for(|is_read| *is_read);
        // Whoever waited in vain is told so by [`GroupKeys::of`].
        drop(tokio::time::timeout_at(self.patience_ends, read).await);
    }

    /// Keeps them as the tables are until it is told to stop, and seals what stands there plain.
    pub async fn run(
        self: Arc<Self>,
        store: Arc<Store>,
        keyring: Arc<Keyring>,
        stop: CancellationToken,
    ) {
        let keep = Box::pin(self.keep(&store, &keyring));
        tokio::select! {
            () = stop.cancelled() => {}
            () = keep => {}
        }
    }

    /// Never returns.
    async fn keep(&self, store: &Store, keyring: &Keyring) {
        let mut changed = store.accounts_changed();
        let mut is_told = false;
        loop {
            // What changes from here on is looked at again.
            changed.mark_unchanged();
            let is_settled = match self.look(store, keyring).await {
                Ok(plain) => adopt(store, keyring, &plain, &mut is_told).await && self.is_sound(),
                // The store says itself that it is down; it tells us when it is back.
                Err(StoreError::Down(_)) => false,
                Err(error) => {
                    tracing::warn!("the keys of groups cannot be read: {error}");
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

    /// Reads the tables; gives the rows that stand there plain.
    async fn look(&self, store: &Store, keyring: &Keyring) -> Result<Vec<GroupKeyRow>, StoreError> {
        let rows = store.group_keys().await?;
        let endpoints = store.endpoints().await?;
        let old = self.table.load_full();
        let old = (*old).as_ref();
        let open = |row: &GroupKeyRow| Stored::read(row).open(keyring);
        let new = Table::build(old, &rows, &endpoints, open);
        // Before anybody can call with them.
        for (_bridge, _group, key) in new.usable() {
            // Only administrators of the whole program set them, so all of them are looked for.
            self.redactor.learn_all(key.values.values().cloned());
        }
        new.log(old);
        let is_empty = new.is_empty();
        self.table.store(Arc::new(Some(new)));
        self.is_empty.store(is_empty, Ordering::Release);
        self.is_read.send_replace(true);
        let is_plain = |row: &GroupKeyRow| matches!(Stored::read(row), Stored::Plain(..));
        Ok(rows.into_iter().filter(is_plain).collect())
    }

    /// Whether all that is there can be used.
    fn is_sound(&self) -> bool {
        (**self.table.load()).as_ref().is_some_and(Table::is_sound)
    }
}

/// Seals rows that the proxy left plain. They count as they are until then, and go on counting
/// where there is no key to seal them with. False if that is to be tried again.
async fn adopt(
    store: &Store,
    keyring: &Keyring,
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
                    "{} keys of groups stand in the database as plain text: {error}",
                    plain.len()
                );
            }
            return false;
        }
    };
    let mut sealed = 0_usize;
    for row in plain {
        let new = Stored::seal(&vault, &row.name, &row.stored);
        match store.reseal_group_key(&row.name, &row.stored, &new).await {
            // Another replica did it, or somebody stored another value.
            Ok(false) => {}
            Ok(true) => sealed += 1,
            Err(error) => {
                tracing::warn!("a key of a group stays plain in the database for now: {error}");
                return false;
            }
        }
    }
    if sealed > 0 {
        tracing::info!("sealed {sealed} keys of groups that stood in the database as plain text");
    }
    true
}

#[cfg(test)]
mod tests;
