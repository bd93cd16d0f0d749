//! What outlives reloads: the database, Open WebUI's, Redis. Opening contacts none of them.

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

/// Prepares what a configuration names.
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

/// What is kept of credentials.
pub struct Kept {
    /// What they are sealed with; `None` where nothing is kept.
    pub keyring: Option<Arc<Keyring>>,
    /// What groups call servers with.
    pub group_keys: Arc<GroupKeys>,
}

/// Reads what is kept of credentials, from now on.
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

/// What tools made for their callers, deleted after its day from now on.
pub fn files(sources: &Sources, lifecycle: &Lifecycle) -> Arc<Files> {
    let files = Arc::new(Files::new(sources.store.clone()));
    let run = Arc::clone(&files).run(lifecycle.bridges.clone());
    lifecycle.tracker.spawn(run);
    files
}

/// What sessions show to their servers.
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

/// The logins that are kept.
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
    // Where mcpo keeps its logins (mcpo contract §9.2).
    let home = std::env::home_dir();
    accounts.beside(home.map(|home| home.join(".mcpo").join("tokens")))
}
