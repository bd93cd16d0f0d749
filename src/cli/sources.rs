//! The data sources that outlive reloads: the database, Open WebUI's database, and Redis. Opening them does not
//! connect to them.

use std::sync::Arc;

use anyhow::Context as _;
use tokio_util::task::TaskTracker;

use crate::{
    auth::Sources,
    config::Config,
    credential::{Accounts, Credentials, GroupKeys, Keyring, Variants},
    files::Files,
    lifecycle::Lifecycle,
    redis::Redis,
    secret::Redactor,
    store::{Directory, Store},
};

/// Opens the data sources of a configuration.
pub fn open(
    config: &Config,
    http: reqwest::Client,
    tracker: TaskTracker,
) -> anyhow::Result<Sources> {
    let mut sources = Sources {
        http,
        tracker,
        ..Sources::default()
    };
    let Some(database) = &config.database else {
        return Ok(sources);
    };
    let store = Store::open(database).context("`url` in [database]")?;
    sources.store = Some(Arc::new(store));
    if let Some(url) = &database.open_webui {
        let directory = Directory::open(url, database.timeout);
        let directory = directory.context("`open_webui` in [database]")?;
        sources.directory = Some(Arc::new(directory));
    }
    if let Some(redis) = &database.redis {
        let redis = Redis::open(redis).context("`redis_url` in [database]")?;
        sources.redis = Some(Arc::new(redis));
    }
    Ok(sources)
}

/// The stored credentials.
pub struct Kept {
    /// The keys that encrypt them. `None` without a database.
    pub keyring: Option<Arc<Keyring>>,
    /// The keys that groups use for servers.
    pub group_keys: Arc<GroupKeys>,
}

/// Starts to read the stored credentials, and to follow their changes.
pub fn kept(
    config: &Config,
    sources: &Sources,
    lifecycle: &Lifecycle,
    redactor: &Redactor,
) -> Kept {
    let (Some(database), Some(store)) = (&config.database, &sources.store) else {
        return Kept {
            keyring: None,
            group_keys: Arc::new(GroupKeys::none()),
        };
    };
    let keyring = Arc::new(Keyring::new(database));
    let group_keys = Arc::new(GroupKeys::unread(redactor.clone()));
    let run = Arc::clone(&group_keys).run(
        Arc::clone(store),
        Arc::clone(&keyring),
        lifecycle.bridges.clone(),
    );
    lifecycle.tracker.spawn(run);
    Kept {
        keyring: Some(keyring),
        group_keys,
    }
}

/// Opens the store of files that tools return, and starts to delete expired files.
pub fn files(sources: &Sources, lifecycle: &Lifecycle) -> Arc<Files> {
    let files = Arc::new(Files::new(sources.store.clone()));
    let run = Arc::clone(&files).run(lifecycle.bridges.clone());
    lifecycle.tracker.spawn(run);
    files
}

/// Builds the credentials that sessions send to their servers.
pub fn credentials(
    sources: &Sources,
    kept: &Kept,
    variants: Box<Variants>,
    redactor: &Redactor,
) -> Arc<Credentials> {
    let accounts = accounts(sources, kept.keyring.clone(), redactor);
    let group_keys = Arc::clone(&kept.group_keys);
    Arc::new(Credentials::new(accounts, group_keys, variants))
}

/// Opens the stored logins, or keeps logins in memory without a database.
pub fn accounts(
    sources: &Sources,
    keyring: Option<Arc<Keyring>>,
    redactor: &Redactor,
) -> Arc<Accounts> {
    let (redactor, tracker) = (redactor.clone(), sources.tracker.clone());
    let accounts = match (&sources.store, keyring) {
        (Some(store), Some(keyring)) => {
            Accounts::in_database(Arc::clone(store), keyring, redactor, tracker)
        }
        (Some(_), None) | (None, _) => Accounts::in_memory(redactor, tracker),
    };
    // mcpo stores its logins in this folder.
    let home = std::env::home_dir();
    accounts.beside(home.map(|home| home.join(".mcpo").join("tokens")))
}
