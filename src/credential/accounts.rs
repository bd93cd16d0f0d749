//! [`AccountRegistry`]: all logins, each with one token for all its sessions.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use moka::sync::Cache;
use tokio::sync::watch;
use tokio_util::task::TaskTracker;
use url::Url;

use super::{
    LoginFlow, TicketStore,
    account::AccountToken,
    account_store::{AccountBackend, AccountStore},
    key::EncryptionKeys,
    machine::MachineToken,
};
use crate::{
    config::OAuthSettings,
    mcp::TokenSource,
    secret::{Redactor, Secret, SecretSource},
    store::{AccountKey, Store},
};

/// The maximum number of owners whose token is in memory. Others are read again when needed.
const OWNERS_MAX: u64 = 10_000;
/// How long an unused token stays in memory.
const OWNER_IDLE: Duration = Duration::from_hours(1);

/// All logins.
#[derive(Debug)]
pub struct AccountRegistry {
    /// Where they are stored.
    kept: Arc<AccountStore>,
    /// The tokens in use, by owner.
    tokens: Cache<AccountKey, Arc<AccountToken>>,
    /// Tokens of bridges that do not need a user login, by bridge.
    machines: Mutex<HashMap<String, Arc<MachineToken>>>,
}

impl AccountRegistry {
    /// Accounts in the bridge's tables.
    pub fn in_database(
        store: Arc<Store>,
        keys: Arc<EncryptionKeys>,
        redactor: Redactor,
        tracker: TaskTracker,
    ) -> Self {
        let changes = store.accounts_changed();
        let place = AccountBackend::Database {
            store,
            keys,
            changes,
        };
        Self::at(place, redactor, tracker)
    }

    /// Accounts in memory, for a bridge without a database.
    pub fn in_memory(redactor: Redactor, tracker: TaskTracker) -> Self {
        Self::at(AccountBackend::Memory(Mutex::default()), redactor, tracker)
    }

    /// Also takes over logins that mcpo stored in a folder.
    pub fn beside(mut self, mcpo: Option<PathBuf>) -> Arc<Self> {
        if let Some(kept) = Arc::get_mut(&mut self.kept) {
            kept.mcpo = mcpo;
        }
        Arc::new(self)
    }

    fn at(place: AccountBackend, redactor: Redactor, tracker: TaskTracker) -> Self {
        Self {
            kept: Arc::new(AccountStore {
                place,
                redactor,
                mcpo: None,
                tracker,
            }),
            tokens: Cache::builder()
                .max_capacity(OWNERS_MAX)
                .time_to_idle(OWNER_IDLE)
                .build(),
            machines: Mutex::default(),
        }
    }

    /// The token of a login. All sessions of its owner share it.
    pub(super) fn account(
        &self,
        key: AccountKey,
        server: &Url,
        settings: &OAuthSettings,
    ) -> Arc<dyn TokenSource> {
        let known = self.tokens.get(&key);
        if let Some(token) = known.filter(|it| it.server == *server && it.settings == *settings) {
            return token;
        }
        let kept = Arc::clone(&self.kept);
        let token = AccountToken::new(kept, key.clone(), server, settings);
        self.tokens.insert(key, Arc::clone(&token));
        token
    }

    /// The token that a bridge gets without a user login.
    pub(super) fn machine(
        &self,
        bridge: &str,
        server: &Url,
        settings: &OAuthSettings,
    ) -> Arc<dyn TokenSource> {
        let mut machines = self.machines.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = machines.get(bridge)
            && known.server == *server
            && known.settings == *settings
        {
            return Arc::clone(known) as Arc<dyn TokenSource>;
        }
        let machine = MachineToken::new(bridge, server, settings, self.kept.redactor.clone());
        machines.insert(bridge.to_owned(), Arc::clone(&machine));
        machine
    }

    /// Makes the redactor remove a group's secrets for a bridge.
    pub(super) fn hide(
        &self,
        bridge: &str,
        group: &str,
        secrets: impl IntoIterator<Item = Secret>,
    ) {
        let giver = SecretSource::stranger(bridge, group);
        self.kept.redactor.learn_from(&giver, secrets);
    }

    /// Connects accounts; `None` without a database.
    pub fn logins(&self) -> Option<LoginFlow> {
        match &self.kept.place {
            AccountBackend::Database { store, keys, .. } => Some(LoginFlow::new(
                Arc::clone(store),
                Arc::clone(&self.kept),
                Arc::clone(keys),
            )),
            AccountBackend::Memory(_) => None,
        }
    }

    /// Creates links to connect accounts; `None` without a database.
    pub fn tickets(&self) -> Option<TicketStore> {
        match &self.kept.place {
            AccountBackend::Database { store, keys, .. } => {
                Some(TicketStore::new(Arc::clone(store), Arc::clone(keys)))
            }
            AccountBackend::Memory(_) => None,
        }
    }

    /// The database, if there is one.
    pub fn store(&self) -> Option<&Arc<Store>> {
        match &self.kept.place {
            AccountBackend::Database { store, .. } => Some(store),
            AccountBackend::Memory(_) => None,
        }
    }

    /// Changes with each change of an account; `None` without a database.
    pub fn changes(&self) -> Option<watch::Receiver<u64>> {
        match &self.kept.place {
            AccountBackend::Database { changes, .. } => Some(changes.clone()),
            AccountBackend::Memory(_) => None,
        }
    }
}
