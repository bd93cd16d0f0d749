//! What outlives reloads: the database, Open WebUI's, Redis. Opening contacts none of them.

use std::sync::Arc;

use anyhow::Context as _;
use tokio_util::task::TaskTracker;

use crate::{
    auth::Sources,
    config::Config,
    credential::{Accounts, Credentials, Keyring, Variants},
    lifecycle::Lifecycle,
    redis::Redis,
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

/// What sessions show to their servers.
pub fn credentials(
    config: &Config,
    sources: &Sources,
    variants: Box<Variants>,
    _lifecycle: &Lifecycle,
) -> Arc<Credentials> {
    Arc::new(Credentials::new(accounts(config, sources), None, variants))
}

/// The logins that a configuration keeps.
pub fn accounts(config: &Config, sources: &Sources) -> Arc<Accounts> {
    let redactor = crate::secret::Redactor::default();
    match (&config.database, &sources.store) {
        (Some(database), Some(store)) => Accounts::in_database(
            Arc::clone(store),
            Arc::new(Keyring::new(database)),
            redactor,
        ),
        _ => Accounts::in_memory(redactor),
    }
}
