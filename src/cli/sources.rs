//! The data sources that outlive reloads: the database, Open WebUI's database, and Redis. Opening them does not
//! connect to them.

use std::sync::Arc;

use anyhow::Context as _;
use tokio_util::task::TaskTracker;

use crate::{
    auth::AuthSources,
    config::Config,
    credential::{AccountRegistry, CredentialProvider, EncryptionKeys, GroupKeys, Variants},
    files::FileStore,
    lifecycle::ProcessLifecycle,
    redis::RedisClient,
    secret::Redactor,
    store::{Store, UserDirectory},
};

/// Opens the data sources of a configuration.
pub fn open(
    config: &Config,
    http: reqwest::Client,
    tracker: TaskTracker,
) -> anyhow::Result<AuthSources> {
    let mut sources = AuthSources {
        http,
        tracker,
        ..AuthSources::default()
    };
    let Some(database) = &config.database else {
        return Ok(sources);
    };
    let store = Store::open(database).context("`url` in [database]")?;
    sources.store = Some(Arc::new(store));
    if let Some(url) = &database.open_webui {
        let directory = UserDirectory::open(url, database.timeout);
        let directory = directory.context("`open_webui` in [database]")?;
        sources.directory = Some(Arc::new(directory));
    }
    if let Some(redis) = &database.redis {
        let redis = RedisClient::open(redis).context("`redis_url` in [database]")?;
        sources.redis = Some(Arc::new(redis));
    }
    Ok(sources)
}

/// The stored credentials.
pub struct CredentialStores {
    /// The keys that encrypt them. `None` without a database.
    pub keyring: Option<Arc<EncryptionKeys>>,
    /// The keys that groups use for servers.
    pub group_keys: Arc<GroupKeys>,
}

/// Starts to read the stored credentials, and to follow their changes.
pub fn kept(
    config: &Config,
    sources: &AuthSources,
    lifecycle: &ProcessLifecycle,
    redactor: &Redactor,
) -> CredentialStores {
    let (Some(database), Some(store)) = (&config.database, &sources.store) else {
        return CredentialStores {
            keyring: None,
            group_keys: Arc::new(GroupKeys::none()),
        };
    };
    let keyring = Arc::new(EncryptionKeys::new(database));
    let group_keys = Arc::new(GroupKeys::unread(redactor.clone()));
    let run = Arc::clone(&group_keys).run(
        Arc::clone(store),
        Arc::clone(&keyring),
        lifecycle.bridges.clone(),
    );
    lifecycle.tracker.spawn(run);
    CredentialStores {
        keyring: Some(keyring),
        group_keys,
    }
}

/// Opens the store of files that tools return, and starts to delete expired files.
pub fn files(sources: &AuthSources, lifecycle: &ProcessLifecycle) -> Arc<FileStore> {
    let files = Arc::new(FileStore::new(sources.store.clone()));
    let run = Arc::clone(&files).run(lifecycle.bridges.clone());
    lifecycle.tracker.spawn(run);
    files
}

/// Builds the credentials that sessions send to their servers.
pub fn credentials(
    sources: &AuthSources,
    kept: &CredentialStores,
    variants: Box<Variants>,
    redactor: &Redactor,
) -> Arc<CredentialProvider> {
    let accounts = accounts(sources, kept.keyring.clone(), redactor);
    let group_keys = Arc::clone(&kept.group_keys);
    Arc::new(CredentialProvider::new(accounts, group_keys, variants))
}

/// Opens the stored logins, or keeps logins in memory without a database.
pub fn accounts(
    sources: &AuthSources,
    keyring: Option<Arc<EncryptionKeys>>,
    redactor: &Redactor,
) -> Arc<AccountRegistry> {
    let (redactor, tracker) = (redactor.clone(), sources.tracker.clone());
    let accounts = match (&sources.store, keyring) {
        (Some(store), Some(keyring)) => {
            AccountRegistry::in_database(Arc::clone(store), keyring, redactor, tracker)
        }
        (Some(_), None) | (None, _) => AccountRegistry::in_memory(redactor, tracker),
    };
    // mcpo stores its logins in this folder.
    let home = std::env::home_dir();
    accounts.beside(home.map(|home| home.join(".mcpo").join("tokens")))
}
