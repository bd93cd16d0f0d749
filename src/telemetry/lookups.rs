//! [`CacheName`]: hits and misses of caches.
//!
//! Reloads create the caches anew, and they belong to several layers. The counters belong to the
//! process.

use super::count::AtomicCounter;

/// The caches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheName {
    /// All grants of the bridge's tables.
    Grants,
    /// A user's groups in the bridge's tables.
    Members,
    /// Session tokens whose signature was verified.
    Tokens,
    /// Users in Open WebUI's database.
    Users,
    /// Open WebUI sessions that were checked with its API.
    Sessions,
}

/// The hits and misses of a cache.
#[derive(Debug, Default)]
pub struct CacheCounters {
    /// The value was in the cache.
    pub hits: AtomicCounter,
    /// The value was not in the cache.
    pub misses: AtomicCounter,
}

/// In the order of [`CacheName::ALL`].
static FOUND: [CacheCounters; CacheName::ALL.len()] = [const {
    CacheCounters {
        hits: AtomicCounter::new(),
        misses: AtomicCounter::new(),
    }
}; CacheName::ALL.len()];

impl CacheName {
    /// All caches.
    const ALL: [Self; 5] = [
        Self::Grants,
        Self::Members,
        Self::Tokens,
        Self::Users,
        Self::Sessions,
    ];

    /// The name in metrics.
    fn as_str(self) -> &'static str {
        match self {
            Self::Grants => "grants",
            Self::Members => "members",
            Self::Tokens => "tokens",
            Self::Users => "users",
            Self::Sessions => "sessions",
        }
    }

    /// Counts a lookup.
    pub fn note(self, is_hit: bool) {
        if let Some(found) = FOUND.get(self as usize) {
            let count = if is_hit { &found.hits } else { &found.misses };
            count.one();
        }
    }
}

/// The counters by the names of the caches.
pub fn lookups() -> impl Iterator<Item = (&'static str, &'static CacheCounters)> {
    CacheName::ALL.iter().map(|it| it.as_str()).zip(&FOUND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_memory_has_counts_of_its_own() {
        for (place, memory) in CacheName::ALL.into_iter().enumerate() {
            assert_eq!(place, memory as usize, "{memory:?}");
        }
    }
}
