//! [`ReloadCounters`]: counts reloads of the configuration.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::{SystemTime, UNIX_EPOCH},
};

use super::count::AtomicCounter;

/// Counts reloads. The start counts as the first one.
#[derive(Debug)]
pub struct ReloadCounters {
    /// Reloads that were applied.
    pub applied: AtomicCounter,
    /// Reloads that found errors and changed nothing.
    pub refused: AtomicCounter,
    /// Whether the last reload was applied.
    is_applied: AtomicBool,
    /// When a configuration was last applied, in seconds since 1970.
    applied_at: AtomicU64,
}

impl Default for ReloadCounters {
    fn default() -> Self {
        Self {
            applied: AtomicCounter::new(),
            refused: AtomicCounter::new(),
            is_applied: AtomicBool::new(true),
            applied_at: AtomicU64::new(now()),
        }
    }
}

impl ReloadCounters {
    /// Counts a reload.
    pub fn note(&self, is_applied: bool) {
        self.is_applied.store(is_applied, Ordering::Relaxed);
        if is_applied {
            self.applied.one();
            self.applied_at.store(now(), Ordering::Relaxed);
        } else {
            self.refused.one();
        }
    }

    /// Whether the current content of the file is in effect.
    pub fn is_applied(&self) -> bool {
        self.is_applied.load(Ordering::Relaxed)
    }

    /// When a configuration was last applied, in seconds since 1970.
    pub fn applied_at(&self) -> u64 {
        self.applied_at.load(Ordering::Relaxed)
    }
}

fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |since| since.as_secs())
}
