//! [`AuditLog`]: writes the audit records of calls.

use std::{borrow::Cow, sync::Arc, sync::atomic::Ordering, time::Instant};

use jiff::Timestamp;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    condition::AuditHealth,
    journal::JournalQuota,
    keeper::{self, SegmentRetention},
    line::{self, CallEnd, JournalEntryRef},
    shipper::{self, JournalShipper},
    writer::AuditWriter,
};
use crate::{
    config::{self, AuditFailurePolicy},
    secret::Redactor,
    store::{CallRecord, ChangeRecord, Store},
};

/// A record could not be written, and the operator chose to refuse such calls. Contains the reason
/// and the record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("this call cannot be recorded, and this server does not run unaudited calls: {0}")]
pub struct AuditWriteError(pub String, pub Box<CallRecord>);

/// The audit trail.
#[derive(Debug)]
pub struct AuditLog {
    /// `None` if it is disabled.
    writer: Option<Arc<AuditWriter>>,
}

impl AuditLog {
    /// Opens the journal and starts the shipper. The shipper ends after `stop` with a last round,
    /// and the last calls should have ended by then: it waits 5 s for the others. If the folder
    /// cannot be written, the log and the health show it at once, but this is not an error, because
    /// the folder may become writable later. A reload does not affect the audit trail: `[audit]` is
    /// read at the start.
    pub fn start(
        config: &config::AuditSettings,
        store: Option<Arc<Store>>,
        redactor: &Redactor,
        tracker: &TaskTracker,
        stop: CancellationToken,
    ) -> Arc<Self> {
        if !config.is_on {
            return Arc::new(Self { writer: None });
        }
        let writer = Arc::new(AuditWriter::new(config, redactor));
        if let Err(error) = writer.journal.probe() {
            writer.condition.unwritten(&error.to_string(), false);
        }
        tracker.spawn(keeper::run(
            Arc::clone(&writer),
            if store.is_some() {
                SegmentRetention::Shipped
            } else {
                SegmentRetention::Kept(config.retention)
            },
            stop.clone(),
        ));
        if let Some(store) = store {
            if let Some(retention) = config.retention {
                tracker.spawn(shipper::purge(Arc::clone(&store), retention, stop.clone()));
            }
            tracker.spawn(JournalShipper::new(Arc::clone(&writer), store).run(stop));
        }
        Self::of(&writer)
    }

    /// The handle of a writer that calls use.
    pub(super) fn of(writer: &Arc<AuditWriter>) -> Arc<Self> {
        Arc::new(Self {
            writer: Some(Arc::clone(writer)),
        })
    }

    /// Records that a call begins, before its server is contacted. Fills in `id`, `instance`,
    /// `time`, `outcome` and `status` of the record.
    pub async fn begin(&self, mut record: CallRecord) -> Result<OpenAuditRecord, AuditWriteError> {
        let started = Instant::now();
        let Some(writer) = &self.writer else {
            return Ok(OpenAuditRecord {
                writer: None,
                state: RecordState::Written(String::new()),
                started,
            });
        };
        writer.name(&mut record);
        "started".clone_into(&mut record.outcome);
        record.status = 0;
        let gathered = writer
            .journal
            .gather(&JournalEntryRef::Call(&record), JournalQuota::Normal);
        // From here on the call gets an end, even if this future is dropped.
        let mut begun =
            OpenAuditRecord::new(writer, RecordState::Written(record.id.clone()), started);
        if let Err(why) = writer.settle(gathered).await {
            if writer.on_failure == AuditFailurePolicy::Refuse {
                writer.condition.unwritten(&why, false);
                begun.forget();
                return Err(AuditWriteError(why, Box::new(record)));
            }
            writer.lose(&JournalEntryRef::Call(&record), &why);
            begun.state = RecordState::Unwritten(Box::new(record));
        }
        Ok(begun)
    }

    /// Records a call that was refused before it began. The caller sets `outcome` and `status`;
    /// `id`, `instance` and `time` are filled in here. Many refusals of one sender become one
    /// record per minute. A failure is logged and counted.
    pub fn refused(&self, record: CallRecord) {
        if let Some(writer) = &self.writer
            && let Some(record) = writer.refusals.take(record, Instant::now())
        {
            writer.put_refused(record);
        }
    }

    /// Records a change that has no transaction of its own. `id` and `time` are filled in here.
    pub fn change(&self, mut change: ChangeRecord) {
        if let Some(writer) = &self.writer {
            change.id = writer.id();
            change.time = Timestamp::now().as_microsecond();
            line::clean_change(&mut change, &writer.redactor);
            writer.put(&JournalEntryRef::Change(&change), JournalQuota::Reserve);
        }
    }

    /// The state of the audit trail. Takes no lock.
    pub fn health(&self) -> AuditHealth {
        self.writer
            .as_ref()
            .map(|writer| writer.condition.health())
            .unwrap_or_default()
    }
}

/// A call whose start was recorded. If it is dropped without [`OpenAuditRecord::end`], its outcome is
/// `cancelled`.
#[derive(Debug)]
pub struct OpenAuditRecord {
    /// `None` after the end was written, or if nothing is recorded.
    writer: Option<Arc<AuditWriter>>,
    state: RecordState,
    started: Instant,
}

/// What the journal contains about a running call.
#[derive(Debug)]
enum RecordState {
    /// Its record, with this ID.
    Written(String),
    /// Nothing. The end will write the whole record, if writing works by then.
    Unwritten(Box<CallRecord>),
}

impl OpenAuditRecord {
    fn new(writer: &Arc<AuditWriter>, state: RecordState, started: Instant) -> Self {
        writer.condition.open.fetch_add(1, Ordering::Relaxed);
        Self {
            writer: Some(Arc::clone(writer)),
            state,
            started,
        }
    }

    /// Records how the call ended: `ok`, or the code of the error.
    pub async fn end(mut self, outcome: &str, status: u16, response_bytes: u64) {
        let Some(writer) = self.writer.take() else {
            return;
        };
        let gathered = self.tell(outcome, status, response_bytes, |line| {
            writer.journal.gather(line, JournalQuota::Reserve)
        });
        writer.condition.open.fetch_sub(1, Ordering::Relaxed);
        if let Err(why) = writer.settle(gathered).await {
            self.tell(outcome, status, response_bytes, |line| {
                writer.lose(line, &why);
            });
        }
    }

    /// Builds the line of the end.
    fn tell<T>(
        &mut self,
        outcome: &str,
        status: u16,
        response_bytes: u64,
        write: impl FnOnce(&JournalEntryRef<'_>) -> T,
    ) -> T {
        let end = |id| CallEnd {
            id,
            outcome: Cow::Borrowed(outcome),
            status,
            duration_us: i64::try_from(self.started.elapsed().as_micros()).unwrap_or(i64::MAX),
            response_bytes: i64::try_from(response_bytes).unwrap_or(i64::MAX),
        };
        match &mut self.state {
            RecordState::Written(id) => {
                write(&JournalEntryRef::End(&end(Cow::Borrowed(id.as_str()))))
            }
            RecordState::Unwritten(record) => {
                end(Cow::Borrowed("")).complete(record);
                write(&JournalEntryRef::Call(record))
            }
        }
    }

    /// Discards the call: it did not begin.
    fn forget(mut self) {
        if let Some(writer) = self.writer.take() {
            writer.condition.open.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Drop for OpenAuditRecord {
    fn drop(&mut self) {
        if let Some(writer) = self.writer.take() {
            self.tell("cancelled", 0, 0, |line| {
                writer.put(line, JournalQuota::Reserve);
            });
            writer.condition.open.fetch_sub(1, Ordering::Relaxed);
        }
    }
}
