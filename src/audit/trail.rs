//! [`Audit`]: writes the audit records of calls.

use std::{
    borrow::Cow,
    io,
    sync::Arc,
    sync::atomic::{AtomicU64, Ordering},
    time::Instant,
};

use jiff::Timestamp;
use tokio::sync::Notify;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    condition::Condition,
    journal::{Gathered, Journal, Room},
    keeper::{self, Files},
    line::{self, End, Line},
    refusals::Refusals,
    shipper::{self, Shipper},
};
use crate::{
    config::{self, OnFailure},
    secret::Redactor,
    store::{CallRecord, ChangeRecord, Store},
};

/// A record could not be written, and the operator chose to refuse such calls. Contains the reason
/// and the record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("this call cannot be recorded, and this server does not run unaudited calls: {0}")]
pub struct AuditDown(pub String, pub Box<CallRecord>);

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

/// The audit trail.
#[derive(Debug)]
pub struct Audit {
    /// `None` if it is disabled.
    writer: Option<Arc<Writer>>,
}

/// The writer of the audit trail.
#[derive(Debug)]
pub(super) struct Writer {
    /// Stores the records.
    pub journal: Journal,
    /// Tracks failures.
    pub condition: Condition,
    /// What happens to calls that cannot be recorded.
    on_failure: OnFailure,
    /// Redacts secrets from texts of callers and servers.
    redactor: Redactor,
    /// The number of the next record.
    next: AtomicU64,
    /// Notified when a batch is full.
    pub full: Notify,
    /// Refused calls that will be combined into one record.
    refusals: Refusals,
}

impl Audit {
    /// Opens the journal and starts the shipper. The shipper ends after `stop` with a last round,
    /// and the last calls should have ended by then: it waits 5 s for the others. If the folder
    /// cannot be written, the log and the health show it at once, but this is not an error, because
    /// the folder may become writable later. A reload does not affect the audit trail: `[audit]` is
    /// read at the start.
    pub fn start(
        config: &config::Audit,
        store: Option<Arc<Store>>,
        redactor: &Redactor,
        tracker: &TaskTracker,
        stop: CancellationToken,
    ) -> Arc<Self> {
        if !config.is_on {
            return Arc::new(Self { writer: None });
        }
        let writer = Arc::new(Writer::new(config, redactor));
        if let Err(error) = writer.journal.probe() {
            writer.condition.unwritten(&error.to_string(), false);
        }
        tracker.spawn(keeper::run(
            Arc::clone(&writer),
            if store.is_some() {
                Files::Shipped
            } else {
                Files::Kept(config.retention)
            },
            stop.clone(),
        ));
        if let Some(store) = store {
            if let Some(retention) = config.retention {
                tracker.spawn(shipper::purge(Arc::clone(&store), retention, stop.clone()));
            }
            tracker.spawn(Shipper::new(Arc::clone(&writer), store).run(stop));
        }
        Self::of(&writer)
    }

    /// The handle of a writer that calls use.
    pub(super) fn of(writer: &Arc<Writer>) -> Arc<Self> {
        Arc::new(Self {
            writer: Some(Arc::clone(writer)),
        })
    }

    /// Records that a call begins, before its server is contacted. Fills in `id`, `instance`,
    /// `time`, `outcome` and `status` of the record.
    pub async fn begin(&self, mut record: CallRecord) -> Result<Begun, AuditDown> {
        let started = Instant::now();
        let Some(writer) = &self.writer else {
            return Ok(Begun {
                writer: None,
                state: State::Written(String::new()),
                started,
            });
        };
        writer.name(&mut record);
        "started".clone_into(&mut record.outcome);
        record.status = 0;
        let gathered = writer.journal.gather(&Line::Call(&record), Room::Normal);
        // From here on the call gets an end, even if this future is dropped.
        let mut begun = Begun::new(writer, State::Written(record.id.clone()), started);
        if let Err(why) = writer.settle(gathered).await {
            if writer.on_failure == OnFailure::Refuse {
                writer.condition.unwritten(&why, false);
                begun.forget();
                return Err(AuditDown(why, Box::new(record)));
            }
            writer.lose(&Line::Call(&record), &why);
            begun.state = State::Unwritten(Box::new(record));
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
            writer.put(&Line::Change(&change), Room::Reserve);
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

impl Writer {
    pub(super) fn new(config: &config::Audit, redactor: &Redactor) -> Self {
        Self {
            journal: Journal::new(&config.journal, config.journal_bytes_max),
            condition: Condition::default(),
            on_failure: config.on_failure,
            redactor: redactor.clone(),
            next: AtomicU64::new(0),
            full: Notify::new(),
            refusals: Refusals::default(),
        }
    }

    /// An ID that is unique over all runs of the program.
    fn id(&self) -> String {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        format!("{}-{number}", self.journal.instance())
    }

    /// Fills in the fields that the writer sets.
    fn name(&self, record: &mut CallRecord) {
        record.id = self.id();
        self.journal.instance().clone_into(&mut record.instance);
        record.time = Timestamp::now().as_microsecond();
        line::clean(record, &self.redactor);
        line::bound(record);
    }

    /// Writes the record of one refused call or of several combined ones.
    fn put_refused(&self, mut record: CallRecord) {
        self.name(&mut record);
        self.put(&Line::Call(&record), Room::Normal);
    }

    /// Writes the records of refused calls whose window has ended; at the end, of all windows.
    pub(super) fn put_refusals(&self, is_end: bool) {
        for record in self.refusals.due(Instant::now(), is_end) {
            self.put_refused(record);
        }
    }

    /// Writes a line, or logs it if that fails.
    fn put(&self, line: &Line<'_>, room: Room) {
        if let Err(why) = self.write(line, room) {
            self.lose(line, &why);
        }
    }

    fn write(&self, line: &Line<'_>, room: Room) -> Result<(), String> {
        let written = self.journal.append(line, room);
        self.count(written)
    }

    /// Writes the gathered lines after all other tasks that are ready could add theirs.
    async fn settle(&self, gathered: io::Result<Gathered>) -> Result<(), String> {
        let gathered = gathered.map_err(|error| error.to_string())?;
        tokio::task::yield_now().await;
        self.count(self.journal.settle(gathered))
    }

    /// Counts the bytes that were written.
    fn count(&self, written: io::Result<u64>) -> Result<(), String> {
        let written = written.map_err(|error| error.to_string())?;
        self.condition.written();
        let before = self.condition.backlog.fetch_add(written, Ordering::Relaxed);
        if shipper::batch_of(before) != shipper::batch_of(before + written) {
            self.full.notify_one();
        }
        Ok(())
    }

    /// The last resort: writes the whole record to the log.
    fn lose(&self, line: &Line<'_>, why: &str) {
        self.condition.unwritten(why, true);
        let text = serde_json::to_string(line).unwrap_or_default();
        tracing::warn!(record = %text, "this audit record could not be written to the journal");
    }
}

/// A call whose start was recorded. If it is dropped without [`Begun::end`], its outcome is
/// `cancelled`.
#[derive(Debug)]
pub struct Begun {
    /// `None` after the end was written, or if nothing is recorded.
    writer: Option<Arc<Writer>>,
    state: State,
    started: Instant,
}

/// What the journal contains about a running call.
#[derive(Debug)]
enum State {
    /// Its record, with this ID.
    Written(String),
    /// Nothing. The end will write the whole record, if writing works by then.
    Unwritten(Box<CallRecord>),
}

impl Begun {
    fn new(writer: &Arc<Writer>, state: State, started: Instant) -> Self {
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
            writer.journal.gather(line, Room::Reserve)
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
        write: impl FnOnce(&Line<'_>) -> T,
    ) -> T {
        let end = |id| End {
            id,
            outcome: Cow::Borrowed(outcome),
            status,
            duration_us: i64::try_from(self.started.elapsed().as_micros()).unwrap_or(i64::MAX),
            response_bytes: i64::try_from(response_bytes).unwrap_or(i64::MAX),
        };
        match &mut self.state {
            State::Written(id) => write(&Line::End(&end(Cow::Borrowed(id.as_str())))),
            State::Unwritten(record) => {
                end(Cow::Borrowed("")).complete(record);
                write(&Line::Call(record))
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

impl Drop for Begun {
    fn drop(&mut self) {
        if let Some(writer) = self.writer.take() {
            self.tell("cancelled", 0, 0, |line| writer.put(line, Room::Reserve));
            writer.condition.open.fetch_sub(1, Ordering::Relaxed);
        }
    }
}
