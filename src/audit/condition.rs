//! [`AuditMonitor`]: the state of the audit trail, reported in the log and on `/health`.

use std::sync::{
    Arc,
    atomic::{AtomicI64, AtomicU64, Ordering},
};

use arc_swap::ArcSwapOption;
use jiff::Timestamp;

/// How often the log repeats that the journal fails, in microseconds.
const REMINDER: i64 = 10_000_000;

/// The state of the audit trail for `/health`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditHealth {
    /// Whether it is enabled.
    pub is_on: bool,
    /// Bytes in the journal that are not in the database yet.
    pub backlog_bytes: u64,
    /// Records since the start that went to the log instead of the journal.
    pub lost: u64,
    /// What fails and since when, while something fails.
    pub failing: Option<String>,
}

/// The state of the audit trail. Reading it takes no lock.
#[derive(Debug, Default)]
pub(super) struct AuditMonitor {
    /// Bytes that are not in the database yet.
    pub backlog: AtomicU64,
    /// Calls that have begun and not ended.
    pub open: AtomicU64,
    /// Records since the start that went to the log instead of the journal.
    lost: AtomicU64,
    /// How many of them the log has reported.
    told: AtomicU64,
    /// When the log last reported them, in microseconds since 1970.
    told_at: AtomicI64,
    /// Why records cannot be written.
    journal: CurrentFailure,
    /// Why the disk does not store them.
    disk: CurrentFailure,
    /// Why they do not reach the database.
    shipping: CurrentFailure,
}

/// A failure, while it lasts.
#[derive(Debug, Default)]
struct CurrentFailure(ArcSwapOption<AuditFailure>);

/// What fails, and since when.
#[derive(Debug)]
struct AuditFailure {
    what: String,
    since: Timestamp,
}

impl CurrentFailure {
    /// Records a failure. Returns true if it is new. If the cause changes, the time of the first
    /// failure stays.
    fn note(&self, what: &str) -> bool {
        let before = self.0.load();
        if before.as_ref().is_some_and(|failure| failure.what == what) {
            return false;
        }
        let since = before
            .as_ref()
            .map_or_else(Timestamp::now, |failure| failure.since);
        let is_new = before.is_none();
        self.0.store(Some(Arc::new(AuditFailure {
            what: what.to_owned(),
            since,
        })));
        is_new
    }

    /// Clears the failure. Returns true if there was one.
    fn clear(&self) -> bool {
        self.0.load().is_some() && self.0.swap(None).is_some()
    }

    fn describe(&self) -> Option<String> {
        let failure = self.0.load();
        let failure = failure.as_ref()?;
        Some(format!("{} since {:.0}", failure.what, failure.since))
    }
}

impl AuditMonitor {
    /// Notes that a record was written.
    pub(super) fn written(&self) {
        if self.journal.clear() {
            let lost = self.lost.load(Ordering::Relaxed);
            self.told.store(lost, Ordering::Relaxed);
            tracing::info!(lost, "the audit journal can be written again");
        }
    }

    /// Notes that a record could not be written. `is_lost` means that it will not be written later
    /// either.
    pub(super) fn unwritten(&self, why: &str, is_lost: bool) {
        let lost = self.lost.fetch_add(u64::from(is_lost), Ordering::Relaxed) + u64::from(is_lost);
        let is_new = self.journal.note(why);
        let now = Timestamp::now().as_microsecond();
        let told_at = self.told_at.load(Ordering::Relaxed);
        let is_due = is_new || now - told_at >= REMINDER;
        // If several tasks find it due, only one of them logs.
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
                "cannot write the audit journal"
            );
        }
    }

    /// Whether records cannot be written.
    pub(super) fn is_journal_failing(&self) -> bool {
        self.journal.0.load().is_some()
    }

    /// Notes that the disk has stored everything that was written.
    pub(super) fn synced(&self) {
        if self.disk.clear() {
            tracing::info!("the audit journal is synced to disk again");
        }
    }

    /// Notes that syncing failed. Data would be lost only in a power failure.
    pub(super) fn unsynced(&self, why: &str) {
        if self.disk.note(why) {
            tracing::error!(reason = why, "cannot sync the audit journal to disk");
        }
    }

    /// Notes that the database stored records.
    pub(super) fn shipped(&self) {
        if self.shipping.clear() {
            tracing::info!("the audit trail is written to the database again");
        }
    }

    /// Notes that the database stored no records.
    pub(super) fn unshipped(&self, why: &str) {
        if self.shipping.note(why) {
            tracing::warn!(
                reason = why,
                "cannot write the audit trail to the database; the journal keeps it in the meantime"
            );
        }
    }

    /// Notes that bytes were stored in the database or given up.
    pub(super) fn settle(&self, bytes: u64) {
        // The closure always returns a value, so the update cannot fail.
        self.backlog
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |backlog| {
                Some(backlog.saturating_sub(bytes))
            })
            .ok();
    }

    /// The state for `/health`.
    pub(super) fn health(&self) -> AuditHealth {
        let troubles = [&self.journal, &self.disk, &self.shipping];
        let failing: Vec<_> = troubles
            .into_iter()
            .filter_map(CurrentFailure::describe)
            .collect();
        AuditHealth {
            is_on: true,
            backlog_bytes: self.backlog.load(Ordering::Relaxed),
            lost: self.lost.load(Ordering::Relaxed),
            failing: (!failing.is_empty()).then(|| failing.join("; ")),
        }
    }
}
