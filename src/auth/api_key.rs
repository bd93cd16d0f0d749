//! API keys from the configuration and from the bridge's tables.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use arc_swap::ArcSwapOption;
use jsonwebtoken::get_current_timestamp;
use sha2::{Digest as _, Sha256};
use tokio::sync::Mutex;

use super::{
    AuthenticationError,
    caller::{AuthenticationMethod, Caller},
};
use crate::{
    config::ApiKey,
    store::{KeyRow, Store, StoreError},
};

/// How long to wait after a failed read before the next read.
const REST: Duration = Duration::from_millis(500);

/// The holder of an API key.
#[derive(Debug, Clone)]
pub struct ApiKeyHolder {
    /// The holder as a caller.
    pub caller: Arc<Caller>,
    /// Whether the holder may act for the user named in the request's headers.
    pub forwards: bool,
    /// Whether the key comes from the tables, where an administrator of one workspace may have
    /// created it.
    pub is_stored: bool,
    /// When the key expires, in seconds since 1970.
    expires_at: Option<i64>,
}

/// All keys.
#[derive(Debug)]
pub struct ApiKeyAuth {
    /// Keys from the configuration.
    configured: Vec<(ApiKey, ApiKeyHolder)>,
    /// Keys from the tables.
    stored: Option<StoredApiKeys>,
}

/// The keys from the tables, cached until the tables change.
#[derive(Debug)]
struct StoredApiKeys {
    store: Arc<Store>,
    /// The last snapshot.
    read: ArcSwapOption<ApiKeySnapshot>,
    /// Held during a read. Contains the time and the error of the last failed read.
    reading: Mutex<Option<(Instant, StoreError)>>,
}

/// The keys at one version of the store.
#[derive(Debug)]
struct ApiKeySnapshot {
    /// [`Store::version`] before the read.
    version: u64,
    /// Keyed by the SHA-256 hash of each key. A lookup reveals nothing about other keys: steering a
    /// hash close to a stored one would require breaking SHA-256.
    holders: HashMap<[u8; 32], ApiKeyHolder>,
}

impl ApiKeyAuth {
    /// The keys of a configuration and of a store.
    pub fn new(configured: &[ApiKey], store: Option<Arc<Store>>) -> Self {
        let holder = |key: &ApiKey| ApiKeyHolder {
            caller: caller(&key.name, &key.groups, &key.workspace, key.forwards),
            forwards: key.forwards,
            is_stored: false,
            expires_at: None,
        };
        Self {
            configured: configured
                .iter()
                .map(|key| (key.clone(), holder(key)))
                .collect(),
            stored: store.map(|store| StoredApiKeys {
                store,
                read: ArcSwapOption::empty(),
                reading: Mutex::default(),
            }),
        }
    }

    /// Whether at least one key exists.
    pub async fn any(&self) -> Result<bool, AuthenticationError> {
        if !self.configured.is_empty() {
            return Ok(true);
        }
        match &self.stored {
            Some(stored) => Ok(!stored.snapshot().await?.holders.is_empty()),
            None => Ok(false),
        }
    }

    /// The holder of a configured key. Compares with every key even after a match, so that the time
    /// reveals nothing.
    pub fn configured(&self, sent: &str) -> Option<&ApiKeyHolder> {
        let mut found = None;
        for (key, holder) in &self.configured {
            if key.matches(sent) {
                found = Some(holder);
            }
        }
        found
    }

    /// The holder of a stored key.
    pub async fn stored(&self, sent: &str) -> Result<Option<ApiKeyHolder>, AuthenticationError> {
        let Some(stored) = &self.stored else {
            return Ok(None);
        };
        let hash: [u8; 32] = Sha256::digest(sent).into();
        let snapshot = stored.snapshot().await?;
        let Some(holder) = snapshot.holders.get(&hash) else {
            return Ok(None);
        };
        let now = i64::try_from(get_current_timestamp()).unwrap_or(i64::MAX);
        if holder.expires_at.is_some_and(|end| end <= now) {
            return Err(AuthenticationError::KeyExpired);
        }
        Ok(Some(holder.clone()))
    }
}

impl StoredApiKeys {
    /// The current keys, from memory or from one shared read. Tasks that waited for a failed read
    /// do not retry one after another; otherwise the last one would wait far too long.
    async fn snapshot(&self) -> Result<Arc<ApiKeySnapshot>, AuthenticationError> {
        if let Some(snapshot) = self.fresh() {
            return Ok(snapshot);
        }
        // Boxed because it is large and the common path does not get here.
        Box::pin(self.read_anew()).await
    }

    async fn read_anew(&self) -> Result<Arc<ApiKeySnapshot>, AuthenticationError> {
        let mut failed = self.reading.lock().await;
        if let Some(snapshot) = self.fresh() {
            return Ok(snapshot);
        }
        if let Some((at, error)) = &*failed
            && at.elapsed() < REST
        {
            return Err(error.clone().into());
        }
        let version = self.store.version();
        let rows = match self.store.keys().await {
            Ok(rows) => rows,
            Err(error) => {
                *failed = Some((Instant::now(), error.clone()));
                return Err(error.into());
            }
        };
        let snapshot = Arc::new(ApiKeySnapshot::new(version, rows));
        self.read.store(Some(Arc::clone(&snapshot)));
        Ok(snapshot)
    }

    fn fresh(&self) -> Option<Arc<ApiKeySnapshot>> {
        let version = self.store.version();
        let snapshot = self.read.load_full()?;
        (snapshot.version == version).then_some(snapshot)
    }
}

impl ApiKeySnapshot {
    fn new(version: u64, rows: Vec<KeyRow>) -> Self {
        let holders = rows.into_iter().map(|row| {
            let holder = ApiKeyHolder {
                caller: caller(&row.name, &row.groups, &row.workspace, row.forwards),
                forwards: row.forwards,
                is_stored: true,
                expires_at: row.expires_at,
            };
            (row.hash, holder)
        });
        Self {
            version,
            holders: holders.collect(),
        }
    }
}

/// The caller that a key stands for.
fn caller(name: &str, groups: &[String], workspace: &str, vouches: bool) -> Arc<Caller> {
    // The audit record must not look as if a person had called. New keys cannot have names that
    // look like e-mail addresses, but tables may contain old ones.
    let shown = if name.contains('@') {
        format!("key:{name}")
    } else {
        name.to_owned()
    };
    let mut caller = Caller::named(&shown, AuthenticationMethod::ApiKey);
    caller.groups =
        (!groups.is_empty()).then(|| groups.iter().map(|it| Arc::from(it.as_str())).collect());
    caller.workspace = workspace.into();
    caller.vouches = vouches;
    Arc::new(caller)
}
