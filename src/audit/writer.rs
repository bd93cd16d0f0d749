//! [`AuditWriter`]: writes records to the journal. Calls, the keeper and the shipper share it.

use std::{
    io,
    sync::atomic::{AtomicU64, Ordering},
    time::Instant,
};

use jiff::Timestamp;
use tokio::sync::Notify;

use super::{
    condition::AuditMonitor,
    journal::{BatchedLine, Journal, JournalQuota},
    line::{self, JournalEntryRef},
    refusals::RefusalAggregator,
};
use crate::{
    config::{self, AuditFailurePolicy},
    secret::Redactor,
    store::CallRecord,
};

/// A waiting shipper is woken when this much has accumulated: about one batch.
const BATCH_BYTES: u64 = 256 * 1024;

/// The writer of the audit trail.
#[derive(Debug)]
pub(super) struct AuditWriter {
    /// Stores the records.
    pub journal: Journal,
    /// Tracks failures.
    pub condition: AuditMonitor,
    /// What happens to calls that cannot be recorded.
    pub(super) on_failure: AuditFailurePolicy,
    /// Redacts secrets from texts of callers and servers.
    pub(super) redactor: Redactor,
    /// The number of the next record.
    next: AtomicU64,
    /// Notified when a batch is full.
    pub full: Notify,
    /// Refused calls that will be combined into one record.
    pub(super) refusals: RefusalAggregator,
}

impl AuditWriter {
    pub(super) fn new(config: &config::AuditSettings, redactor: &Redactor) -> Self {
        Self {
            journal: Journal::new(&config.journal, config.journal_bytes_max),
            condition: AuditMonitor::default(),
            on_failure: config.on_failure,
            redactor: redactor.clone(),
            next: AtomicU64::new(0),
            full: Notify::new(),
            refusals: RefusalAggregator::default(),
        }
    }

    /// An ID that is unique over all runs of the program.
    pub(super) fn id(&self) -> String {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        format!("{}-{number}", self.journal.instance())
    }

    /// Fills in the fields that the writer sets.
    pub(super) fn name(&self, record: &mut CallRecord) {
        record.id = self.id();
        self.journal.instance().clone_into(&mut record.instance);
        record.time = Timestamp::now().as_microsecond();
        line::clean(record, &self.redactor);
        line::bound(record);
    }

    /// Writes the record of one refused call or of several combined ones.
    pub(super) fn put_refused(&self, mut record: CallRecord) {
        self.name(&mut record);
        self.put(&JournalEntryRef::Call(&record), JournalQuota::Normal);
    }

    /// Writes the records of refused calls whose window has ended; at the end, of all windows.
    pub(super) fn put_refusals(&self, is_end: bool) {
        for record in self.refusals.due(Instant::now(), is_end) {
            self.put_refused(record);
        }
    }

    /// Writes a line, or logs it if that fails.
    pub(super) fn put(&self, line: &JournalEntryRef<'_>, room: JournalQuota) {
        if let Err(why) = self.write(line, room) {
            self.lose(line, &why);
        }
    }

    fn write(&self, line: &JournalEntryRef<'_>, room: JournalQuota) -> Result<(), String> {
        let written = self.journal.append(line, room);
        self.count(written)
    }

    /// Writes the gathered lines after all other tasks that are ready could add theirs.
    pub(super) async fn settle(&self, gathered: io::Result<BatchedLine>) -> Result<(), String> {
        let gathered = gathered.map_err(|error| error.to_string())?;
        tokio::task::yield_now().await;
        self.count(self.journal.settle(gathered))
    }

    /// Counts the bytes that were written.
    fn count(&self, written: io::Result<u64>) -> Result<(), String> {
        let written = written.map_err(|error| error.to_string())?;
        self.condition.written();
        let before = self.condition.backlog.fetch_add(written, Ordering::Relaxed);
        if batch_of(before) != batch_of(before + written) {
            self.full.notify_one();
        }
        Ok(())
    }

    /// The last resort: writes the whole record to the log.
    pub(super) fn lose(&self, line: &JournalEntryRef<'_>, why: &str) {
        self.condition.unwritten(why, true);
        let text = serde_json::to_string(line).unwrap_or_default();
        tracing::warn!(record = %text, "this audit record could not be written to the journal");
    }
}

/// The batch that a byte of the backlog belongs to. The writer wakes the shipper with each new
/// batch.
fn batch_of(backlog: u64) -> u64 {
    backlog / BATCH_BYTES
}
