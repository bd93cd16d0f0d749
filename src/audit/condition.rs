//! [`Condition`]: what works and what does not, told in the log and on `/health`.

use std::sync::{
    Arc,
    atomic::{AtomicI64, AtomicU64, Ordering},
};

use arc_swap::ArcSwapOption;
use jiff::Timestamp;

use super::AuditHealth;

/// While the journal fails the log says so this often, in microseconds.
const REMINDER: i64 = 10_000_000;

/// What works and what does not. Reading it takes no lock.
#[derive(Debug, Default)]
pub(super) struct Condition {
    /// Bytes that are not yet in the database.
    pub backlog: AtomicU64,
    /// Calls that have begun and not ended.
    pub open: AtomicU64,
    /// Records that went to the log instead, since the start.
    lost: AtomicU64,
    /// How many of them the log has counted.
    told: AtomicU64,
    /// When the log last counted them, microseconds since 1970.
    told_at: AtomicI64,
    /// Why records cannot be written.
    journal: Trouble,
    /// Why the disk does not take them.
    disk: Trouble,
    /// Why they do not reach the database.
    shipping: Trouble,
}

/// Something that does not work, while it does not.
#[derive(Debug, Default)]
struct Trouble(ArcSwapOption<Failure>);

/// What does not work, and since when.
#[derive(Debug)]
struct Failure {
    what: String,
    since: Timestamp,
}

impl Trouble {
    /// Notes it; true where it is new. A cause that changes keeps the time of the first.
    fn note(&self, what: &str) -> bool {
        let before = self.0.load();
        if before.as_ref().is_some_and(|failure| failure.what == what) {
            return false;
        }
        let since = before
            .as_ref()
            .map_or_else(Timestamp::now, |failure| failure.since);
        let is_new = before.is_none();
        self.0.store(Some(Arc::new(Failure {
            what: what.to_owned(),
            since,
        })));
        is_new
    }

    /// Forgets it; true where there was something.
    fn clear(&self) -> bool {
        self.0.load().is_some() && self.0.swap(None).is_some()
    }

    fn describe(&self) -> Option<String> {
        let failure = self.0.load();
        let failure = failure.as_ref()?;
        Some(format!("{} since {:.0}", failure.what, failure.since))
    }
}

impl Condition {
    /// A record was written.
    pub(super) fn written(&self) {
        if self.journal.clear() {
            let lost = self.lost.load(Ordering::Relaxed);
            self.told.store(lost, Ordering::Relaxed);
            tracing::info!(lost, "the audit journal is written again");
        }
    }

    /// A record could not be written. `is_lost` where it will not be written later either.
    pub(super) fn unwritten(&self, why: &str, is_lost: bool) {
        let lost = self.lost.fetch_add(u64::from(is_lost), Ordering::Relaxed) + u64::from(is_lost);
        let is_new = self.journal.note(why);
        let now = Timestamp::now().as_microsecond();
        let told_at = self.told_at.load(Ordering::Relaxed);
        let is_due = is_new || now - told_at >= REMINDER;
        // Of all that find it due, one tells.
        if is_due
            && self
                .told_at
                .compare_exchange(told_at, now, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
        {
            let told = self.told.swap(lost, Ordering::Relaxed);
            tracing::error!(
                reason = why,
                lost = lost.saturating_sub(told),
                lost_since_start = lost,
                "the audit journal cannot be written"
            );
        }
    }

    /// Whether records cannot be written.
    pub(super) fn is_journal_failing(&self) -> bool {
        self.journal.0.load().is_some()
    }

    /// The disk has all that was written.
    pub(super) fn synced(&self) {
        if self.disk.clear() {
            tracing::info!("the disk takes the audit journal again");
        }
    }

    /// The disk does not say that it has what was written: only a power cut would show.
    pub(super) fn unsynced(&self, why: &str) {
        if self.disk.note(why) {
            tracing::error!(reason = why, "the disk does not take the audit journal");
        }
    }

    /// The database took records.
    pub(super) fn shipped(&self) {
        if self.shipping.clear() {
            tracing::info!("the audit trail reaches the database again");
        }
    }

    /// The database took none.
    pub(super) fn unshipped(&self, why: &str) {
        if self.shipping.note(why) {
            tracing::warn!(
                reason = why,
                "the audit trail does not reach the database; the journal keeps it until it does"
            );
        }
    }

    /// Bytes went into the database, or are given up.
    pub(super) fn settle(&self, bytes: u64) {
        // The closure always answers: nothing to handle.
        self.backlog
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |backlog| {
                Some(backlog.saturating_sub(bytes))
            })
            .ok();
    }

    /// For `/health`.
    pub(super) fn health(&self) -> AuditHealth {
        let troubles = [&self.journal, &self.disk, &self.shipping];
        let failing: Vec<_> = troubles.into_iter().filter_map(Trouble::describe).collect();
        AuditHealth {
            is_on: true,
            backlog_bytes: self.backlog.load(Ordering::Relaxed),
            lost: self.lost.load(Ordering::Relaxed),
            failing: (!failing.is_empty()).then(|| failing.join("; ")),
        }
    }
}
