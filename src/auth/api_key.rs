//! API keys: those of the configuration and those of our tables.

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
    Refusal,
    caller::{Caller, Proof},
};
use crate::{
    config::ApiKey,
    store::{KeyRow, Store, StoreError},
};

/// How long nobody reads again after a read that failed.
const REST: Duration = Duration::from_millis(500);

/// Whoever holds a key.
#[derive(Debug, Clone)]
pub struct Holder {
    /// As a caller of their own.
    pub caller: Arc<Caller>,
    /// Whether they vouch for the user named in the headers beside the key.
    pub forwards: bool,
    /// Whether it stands in the tables, where an administrator of one workspace may have put it.
    pub is_stored: bool,
    /// When the key ends, seconds since 1970.
    expires_at: Option<i64>,
}

/// All keys.
#[derive(Debug)]
pub struct Keys {
    /// Those of the configuration.
    configured: Vec<(ApiKey, Holder)>,
    /// Those of our tables.
    stored: Option<Stored>,
}

/// The keys of our tables, kept in memory while nothing changes there.
#[derive(Debug)]
struct Stored {
    store: Arc<Store>,
    /// What was read last.
    read: ArcSwapOption<Snapshot>,
    /// Held by the one who reads; how that failed last.
    reading: Mutex<Option<(Instant, StoreError)>>,
}

/// The keys as of a version of the store.
#[derive(Debug)]
struct Snapshot {
    /// [`Store::version`] before they were read.
    version: u64,
    /// By the SHA-256 of their texts. Looking one up tells nothing of the others: who can steer a
    /// hash near a stored one has broken SHA-256.
    holders: HashMap<[u8; 32], Holder>,
}

impl Keys {
    /// The keys of a configuration and of a store.
    pub fn new(configured: &[ApiKey], store: Option<Arc<Store>>) -> Self {
        let holder = |key: &ApiKey| Holder {
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
            stored: store.map(|store| Stored {
                store,
                read: ArcSwapOption::empty(),
                reading: Mutex::default(),
            }),
        }
    }

    /// Whether there is any key at all.
    pub async fn any(&self) -> Result<bool, Refusal> {
        if !self.configured.is_empty() {
            return Ok(true);
        }
        match &self.stored {
            Some(stored) => Ok(!stored.snapshot().await?.holders.is_empty()),
            None => Ok(false),
        }
    }

    /// The holder of a configured key. Compares with every key, also after a match: the time tells
    /// nothing.
    pub fn configured(&self, sent: &str) -> Option<&Holder> {
        let mut found = None;
        for (key, holder) in &self.configured {
            if key.matches(sent) {
                found = Some(holder);
            }
        }
        found
    }

    /// The holder of a stored key.
    pub async fn stored(&self, sent: &str) -> Result<Option<Holder>, Refusal> {
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
            return Err(Refusal::KeyExpired);
        }
        Ok(Some(holder.clone()))
    }
}

impl Stored {
    /// The keys as they are now: from memory, else read by one of all who ask. Those who waited
    /// for a read that failed do not each try again, or the last of them would wait for ever.
    async fn snapshot(&self) -> Result<Arc<Snapshot>, Refusal> {
        if let Some(snapshot) = self.fresh() {
            return Ok(snapshot);
        }
        // Boxed: it is large, and a warm path does not come here.
        Box::pin(self.read_anew()).await
    }

    async fn read_anew(&self) -> Result<Arc<Snapshot>, Refusal> {
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
        let snapshot = Arc::new(Snapshot::new(version, rows));
        self.read.store(Some(Arc::clone(&snapshot)));
        Ok(snapshot)
    }

    fn fresh(&self) -> Option<Arc<Snapshot>> {
        let version = self.store.version();
        let snapshot = self.read.load_full()?;
        (snapshot.version == version).then_some(snapshot)
    }
}

impl Snapshot {
    fn new(version: u64, rows: Vec<KeyRow>) -> Self {
        let holders = rows.into_iter().map(|row| {
            let holder = Holder {
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

/// A key as a caller.
fn caller(name: &str, groups: &[String], workspace: &str, vouches: bool) -> Arc<Caller> {
    // A record must not read as if a person had called: names like e-mails are refused for new keys,
    // and tables may hold old ones.
    let shown = if name.contains('@') {
        format!("key:{name}")
    } else {
        name.to_owned()
    };
    let mut caller = Caller::named(&shown, Proof::ApiKey);
    caller.groups =
        (!groups.is_empty()).then(|| groups.iter().map(|it| Arc::from(it.as_str())).collect());
    caller.workspace = workspace.into();
    caller.vouches = vouches;
    Arc::new(caller)
}
