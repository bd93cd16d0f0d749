//! [`Count`]: a number that only grows.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts from zero; an addition takes no lock.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// From zero.
    pub const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// One more.
    pub fn one(&self) {
        self.add(1);
    }

    /// So many more.
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// How many by now.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
