//! [`Memory`]: what the tables say of grants and members, for as long as it counts.
//!
//! What was read counts while [`Store::version`] stays what it was before the reading, and for
//! `access.cache_ttl` at most. What is in use is read again before that time is over, so that a
//! busy bridge does not wait for its database.

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

use super::{policy::Policy, view::Standing};
use crate::{
    store::{Member, Store, StoreError},
    telemetry::Lookups,
};

/// Members that are remembered at most.
const MEMBERS_MAX: u64 = 10_000;
/// The grants are one value; while it changes there are two.
const POLICIES_MAX: u64 = 2;
/// The part of its time after which what is in use is read again.
const RENEWED_AFTER: f32 = 0.75;

/// What our tables say of one user.
#[derive(Debug, Default)]
pub struct Known {
    /// Their groups.
    pub groups: Vec<Arc<str>>,
    /// `user_admin_status`.
    pub is_admin: bool,
    /// What was last made of it, for as long as it is made of the same.
    pub made: ArcSwapOption<Made>,
}

/// A standing, and what it was made of.
#[derive(Debug)]
pub struct Made {
    /// The groups, where they are not those of our tables.
    pub groups: Option<Arc<[Arc<str>]>>,
    /// It.
    pub standing: Arc<Standing>,
}

/// What was read.
#[derive(Debug)]
pub struct Memory {
    /// Where it is read.
    store: Arc<Store>,
    /// The grants, whole.
    policy: Kept<(), Policy>,
    /// Users, by e-mail.
    members: Kept<Arc<str>, Known>,
}

impl Memory {
    /// Of these tables.
    pub fn new(store: Arc<Store>, ttl: Duration, tracker: &TaskTracker) -> Self {
        Self {
            store,
            policy: Kept::new(POLICIES_MAX, ttl, tracker, Lookups::Grants),
            members: Kept::new(MEMBERS_MAX, ttl, tracker, Lookups::Members),
        }
    }

    /// How long it counts.
    pub fn ttl(&self) -> Duration {
        self.policy.ttl
    }

    /// All grants.
    pub async fn policy(&self) -> Result<Arc<Policy>, StoreError> {
        let (store, tracker) = (Arc::clone(&self.store), self.policy.tracker.clone());
        let read = || async move {
            let rows = store.grants().await?;
            let compiled = tracker.spawn_blocking(move || Policy::compile(rows)).await;
            compiled.map_err(|error| StoreError::Query(error.to_string()))
        };
        self.policy.get((), self.store.version(), read).await
    }

    /// What our tables say of a user.
    pub async fn member(&self, email: &Arc<str>) -> Result<Arc<Known>, StoreError> {
        let (store, asked) = (Arc::clone(&self.store), Arc::clone(email));
        let read = || async move { store.member(&asked).await.map(Known::from) };
        let key = Arc::clone(email);
        self.members.get(key, self.store.version(), read).await
    }
}

impl From<Member> for Known {
    fn from(member: Member) -> Self {
        Self {
            groups: member.groups.iter().map(|it| it.as_str().into()).collect(),
            is_admin: member.is_admin,
            made: ArcSwapOption::empty(),
        }
    }
}

/// What the tables say, not what was made of it.
impl PartialEq for Known {
    fn eq(&self, other: &Self) -> bool {
        self.groups == other.groups && self.is_admin == other.is_admin
    }
}

/// Values by key and by the version that was asked for before they were read.
struct Kept<K, T> {
    /// The values. One reading of each at a time.
    cache: Cache<(K, u64), Arc<Read<T>>>,
    /// How long they count.
    ttl: Duration,
    /// Runs what reads ahead.
    tracker: TaskTracker,
    /// What looks are counted as.
    lookups: Lookups,
}

/// A value that was read.
#[derive(Debug)]
struct Read<T> {
    /// It.
    value: Arc<T>,
    /// When the reading began.
    at: Instant,
    /// Whether it is being read again.
    is_renewing: AtomicBool,
}

impl<K, T> Kept<K, T>
where
    K: Hash + Eq + Clone + Send + Sync + 'static,
    T: PartialEq + Send + Sync + 'static,
{
    /// Nothing yet; so many values at most.
    fn new(max: u64, ttl: Duration, tracker: &TaskTracker, lookups: Lookups) -> Self {
        Self {
            cache: Cache::builder().max_capacity(max).time_to_live(ttl).build(),
            ttl,
            tracker: tracker.clone(),
            lookups,
        }
    }

    /// A value that counts, read now if there is none. Whoever waits for the same reading shares
    /// its error.
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
        // Boxed: it is large, and a warm path does not come here.
        Box::pin(self.read(key, read())).await
    }

    /// Reads now.
    async fn read(
        &self,
        key: (K, u64),
        reading: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<Arc<T>, StoreError> {
        let is_over = |kept: &Arc<Read<T>>| kept.at.elapsed() >= self.ttl;
        if self
            .cache
            .get(&key)
            .await
            .is_some_and(|kept| is_over(&kept))
        {
            self.cache.invalidate(&key).await;
        }
        let at = Instant::now();
        let reading = async { reading.await.map(|value| Read::new(Arc::new(value), at)) };
        let kept = self.cache.try_get_with(key, reading).await;
        kept.map(|kept| Arc::clone(&kept.value))
            .map_err(|error| StoreError::clone(&error))
    }

    /// Reads ahead of time. What did not change stays the same value.
    fn renew(
        &self,
        key: (K, u64),
        old: Arc<Read<T>>,
        reading: impl Future<Output = Result<T, StoreError>> + Send + 'static,
    ) {
        let cache = self.cache.clone();
        self.tracker.spawn(async move {
            let at = Instant::now();
            match reading.await {
                Ok(value) if value == *old.value => {
                    let same = Read::new(Arc::clone(&old.value), at);
                    cache.insert(key, same).await;
                }
                Ok(value) => cache.insert(key, Read::new(Arc::new(value), at)).await,
                Err(error) => {
                    tracing::debug!(%error, "what access needs could not be read ahead of time");
                    old.is_renewing.store(false, Ordering::Relaxed);
                }
            }
        });
    }
}

impl<K, T> fmt::Debug for Kept<K, T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("Kept");
        shown.field("ttl", &self.ttl).finish_non_exhaustive()
    }
}

impl<T> Read<T> {
    /// A value whose reading began then.
    fn new(value: Arc<T>, at: Instant) -> Arc<Self> {
        Arc::new(Self {
            value,
            at,
            is_renewing: AtomicBool::new(false),
        })
    }
}
