//! [`AccessCache`]: caches the grants and members of the tables.
//!
//! A cached value is valid while [`Store::version`] is unchanged, and for at most
//! `access.cache_ttl`. Values in use are refreshed before they expire, so that a busy bridge does
//! not wait for its database.

use std::{
    fmt,
    hash::Hash,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use arc_swap::ArcSwapOption;
use moka::future::Cache;
use tokio_util::task::TaskTracker;

use super::{policy::AccessPolicy, view::CallerMembership};
use crate::{
    store::{MemberRow, Store, StoreError},
    telemetry::CacheName,
};

/// The maximum number of cached members.
const MEMBERS_MAX: u64 = 10_000;
/// The grants are one value; during a change there are two.
const POLICIES_MAX: u64 = 2;
/// The part of its lifetime after which a value in use is refreshed.
const RENEWED_AFTER: f32 = 0.75;

/// What the bridge's tables contain about one user.
#[derive(Debug, Default)]
pub struct MemberRecord {
    /// Their groups.
    pub groups: Vec<Arc<str>>,
    /// `user_admin_status`.
    pub is_admin: bool,
    /// The permissions that were last built from it.
    pub cached_membership: ArcSwapOption<CachedMembership>,
}

/// Permissions, and the groups they were built from.
#[derive(Debug)]
pub struct CachedMembership {
    /// The groups, unless they come from the bridge's tables.
    pub groups: Option<Arc<[Arc<str>]>>,
    /// The permissions.
    pub standing: Arc<CallerMembership>,
}

/// The cached tables.
#[derive(Debug)]
pub struct AccessCache {
    /// The source.
    store: Arc<Store>,
    /// All grants.
    policy: VersionedCache<(), AccessPolicy>,
    /// Users, by e-mail address.
    members: VersionedCache<Arc<str>, MemberRecord>,
}

impl AccessCache {
    /// A cache of the tables in this store.
    pub fn new(store: Arc<Store>, ttl: Duration, tracker: &TaskTracker) -> Self {
        Self {
            store,
            policy: VersionedCache::new(POLICIES_MAX, ttl, tracker, CacheName::Grants),
            members: VersionedCache::new(MEMBERS_MAX, ttl, tracker, CacheName::Members),
        }
    }

    /// How long a value is valid.
    pub fn ttl(&self) -> Duration {
        self.policy.ttl
    }

    /// All grants.
    pub async fn policy(&self) -> Result<Arc<AccessPolicy>, StoreError> {
        let (store, tracker) = (Arc::clone(&self.store), self.policy.tracker.clone());
        let read = || async move {
            let rows = store.grants().await?;
            let compiled = tracker
                .spawn_blocking(move || AccessPolicy::compile(rows))
                .await;
            compiled.map_err(|error| StoreError::Query(error.to_string()))
        };
        self.policy.get((), self.store.version(), read).await
    }

    /// What the bridge's tables contain about a user.
    pub async fn member(&self, email: &Arc<str>) -> Result<Arc<MemberRecord>, StoreError> {
        let (store, asked) = (Arc::clone(&self.store), Arc::clone(email));
        let read = || async move { store.member(&asked).await.map(MemberRecord::from) };
        let key = Arc::clone(email);
        self.members.get(key, self.store.version(), read).await
    }
}

impl From<MemberRow> for MemberRecord {
    fn from(member: MemberRow) -> Self {
        Self {
            groups: member.groups.iter().map(|it| it.as_str().into()).collect(),
            is_admin: member.is_admin,
            cached_membership: ArcSwapOption::empty(),
        }
    }
}

/// Compares what the tables contain, not what was built from it.
impl PartialEq for MemberRecord {
    fn eq(&self, other: &Self) -> bool {
        self.groups == other.groups && self.is_admin == other.is_admin
    }
}

/// A cache, by key and by the store version before the read.
struct VersionedCache<K, T> {
    /// The values. Each is read by one task at a time.
    cache: Cache<(K, u64), Arc<CachedValue<T>>>,
    /// How long a value is valid.
    ttl: Duration,
    /// Runs the tasks that refresh values.
    tracker: TaskTracker,
    /// The name of the hit and miss counters.
    lookups: CacheName,
}

/// A cached value.
#[derive(Debug)]
struct CachedValue<T> {
    /// The value.
    value: Arc<T>,
    /// When the read began.
    at: Instant,
    /// Whether it is being refreshed.
    is_renewing: AtomicBool,
}

impl<K, T> VersionedCache<K, T>
where
    K: Hash + Eq + Clone + Send + Sync + 'static,
    T: PartialEq + Send + Sync + 'static,
{
    /// An empty cache for at most `max` values.
    fn new(max: u64, ttl: Duration, tracker: &TaskTracker, lookups: CacheName) -> Self {
        Self {
            cache: Cache::builder().max_capacity(max).time_to_live(ttl).build(),
            ttl,
            tracker: tracker.clone(),
            lookups,
        }
    }

    /// A valid value. Reads it if necessary. Callers that wait for the same read share its error.
    async fn get<F>(
        &self,
        key: K,
        version: u64,
        read: impl FnOnce() -> F,
    ) -> Result<Arc<T>, StoreError>
    where
        F: Future<Output = Result<T, StoreError>> + Send + 'static,
    {
        let key = (key, version);
        if let Some(kept) = self.cache.get(&key).await {
            let age = kept.at.elapsed();
            if age < self.ttl {
                let is_old = age > self.ttl.mul_f32(RENEWED_AFTER);
                if is_old && !kept.is_renewing.swap(true, Ordering::Relaxed) {
                    self.renew(key, Arc::clone(&kept), read());
                }
                self.lookups.note(true);
                return Ok(Arc::clone(&kept.value));
            }
        }
        self.lookups.note(false);
        // Boxed because it is large and the common path does not get here.
        Box::pin(self.read(key, read())).await
    }

    /// Reads now.
    async fn read(
        &self,
        key: (K, u64),
        reading: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<Arc<T>, StoreError> {
        let is_over = |kept: &Arc<CachedValue<T>>| kept.at.elapsed() >= self.ttl;
        if self
            .cache
            .get(&key)
            .await
            .is_some_and(|kept| is_over(&kept))
        {
            self.cache.invalidate(&key).await;
        }
        let at = Instant::now();
        let reading = async {
            reading
                .await
                .map(|value| CachedValue::new(Arc::new(value), at))
        };
        let kept = self.cache.try_get_with(key, reading).await;
        kept.map(|kept| Arc::clone(&kept.value))
            .map_err(|error| StoreError::clone(&error))
    }

    /// Refreshes a value before it expires. If the content did not change, the old value is kept.
    fn renew(
        &self,
        key: (K, u64),
        old: Arc<CachedValue<T>>,
        reading: impl Future<Output = Result<T, StoreError>> + Send + 'static,
    ) {
        let cache = self.cache.clone();
        self.tracker.spawn(async move {
            let at = Instant::now();
            match reading.await {
                Ok(value) if value == *old.value => {
                    let same = CachedValue::new(Arc::clone(&old.value), at);
                    cache.insert(key, same).await;
                }
                Ok(value) => {
                    cache
                        .insert(key, CachedValue::new(Arc::new(value), at))
                        .await;
                }
                Err(error) => {
                    tracing::debug!(%error, "cannot refresh cached access data");
                    old.is_renewing.store(false, Ordering::Relaxed);
                }
            }
        });
    }
}

impl<K, T> fmt::Debug for VersionedCache<K, T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("VersionedCache");
        shown.field("ttl", &self.ttl).finish_non_exhaustive()
    }
}

impl<T> CachedValue<T> {
    /// A value whose read began at this time.
    fn new(value: Arc<T>, at: Instant) -> Arc<Self> {
        Arc::new(Self {
            value,
            at,
            is_renewing: AtomicBool::new(false),
        })
    }
}
