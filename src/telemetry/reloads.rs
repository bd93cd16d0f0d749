//! [`Reloads`]: what came of reading the configuration anew.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::{SystemTime, UNIX_EPOCH},
};

use super::count::Count;

/// What came of reloads; the start is the first of them.
#[derive(Debug)]
pub struct Reloads {
    /// That were applied.
    pub applied: Count,
    /// That found errors and changed nothing.
    pub refused: Count,
    /// Whether the last one was applied.
    is_applied: AtomicBool,
    /// When one was applied last, in seconds since 1970.
    applied_at: AtomicU64,
}

impl Default for Reloads {
    fn default() -> Self {
        Self {
            applied: Count::new(),
            refused: Count::new(),
            is_applied: AtomicBool::new(true),
            applied_at: AtomicU64::new(now()),
        }
    }
}

impl Reloads {
    /// Counts one.
    pub fn note(&self, is_applied: bool) {
        self.is_applied.store(is_applied, Ordering::Relaxed);
        if is_applied {
            self.applied.one();
            self.applied_at.store(now(), Ordering::Relaxed);
        } else {
            self.refused.one();
        }
    }

    /// Whether what the file says now is in force.
    pub fn is_applied(&self) -> bool {
        self.is_applied.load(Ordering::Relaxed)
    }

    /// When a configuration was applied last, in seconds since 1970.
    pub fn applied_at(&self) -> u64 {
        self.applied_at.load(Ordering::Relaxed)
    }
}

fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |since| since.as_secs())
}
