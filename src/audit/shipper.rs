//! [`JournalShipper`]: moves the journal into the database.
//!
//! Records count as shipped after the database has committed them. After a crash they may be
//! written again; the database keeps one row per ID, so this changes nothing. A segment is deleted
//! when all of it is shipped and every call that began in it has ended.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError, atomic::Ordering},
    time::Duration,
};

use jiff::Timestamp;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{
    reader::{JournalBatch, JournalReader},
    rejects::RejectFile,
    segment::{self, JournalSegment},
    sink::{AuditRow, AuditSink},
    writer::AuditWriter,
};
use crate::store::StoreError;

/// How long a record waits for others, to share one transaction.
const TICK: Duration = Duration::from_millis(500);

/// How often to look for journals of processes that have exited.
const ADOPT_INTERVAL: Duration = Duration::from_mins(1);

/// The maximum number of such journals that are open at the same time.
const LEFTOVERS_MAX: usize = 16;

/// The first and the longest wait while the database is unreachable.
const RETRY: (Duration, Duration) = (TICK, Duration::from_secs(30));

/// The time limit of the last round.
const LAST_ROUND: Duration = Duration::from_secs(5);

/// How often the last round checks again.
const LAST_TICK: Duration = Duration::from_millis(50);

/// A shipped segment of at least this size, in bytes, is replaced with a new one, so that little
/// must be shipped again after a crash.
const ROTATE_BYTES: u64 = 1024 * 1024;

/// How many rows one statement of the purge deletes.
const PURGE_ROWS: u32 = 5000;

/// How often old records are purged.
const PURGE_INTERVAL: Duration = Duration::from_hours(1);

/// The first purge runs soon, so that a process which never runs for an hour also purges.
const FIRST_PURGE: Duration = Duration::from_secs(5);

/// The pause between two statements of the purge, because calls have priority.
const PURGE_PAUSE: Duration = Duration::from_millis(50);

/// While more must be shipped, shipping takes one part in this many of the time. Calls have
/// priority because they share the CPU cores.
const LEISURE: u32 = 20;

/// When the journal is full to one part in this many, shipping no longer pauses.
const HURRY: u64 = 4;

/// The longest pause between two batches.
const REST_MAX: Duration = Duration::from_secs(1);

/// Moves the journal into the database.
#[derive(Debug)]
pub(super) struct JournalShipper<S> {
    writer: Arc<AuditWriter>,
    store: Arc<S>,
    rejects: RejectFile,
    reader: Shared,
    /// Journals of processes that have exited.
    leftovers: Vec<OrphanedJournal>,
    /// When to look for more of them.
    adopt_at: Instant,
    /// Why a shipped segment could not be deleted.
    untidy: Option<io::Error>,
}

/// A reader, lent to the thread that reads.
type Shared = Arc<Mutex<JournalReader>>;

/// The journal of a process that has exited.
#[derive(Debug)]
struct OrphanedJournal {
    instance: String,
    segments: Vec<Arc<JournalSegment>>,
    reader: Shared,
}

/// Why a round ended early.
#[derive(Debug, thiserror::Error)]
enum ShippingError {
    #[error("{0}")]
    Store(#[from] StoreError),
    #[error("the journal cannot be read or cleaned up: {0}")]
    Journal(#[from] io::Error),
}

impl<S: AuditSink> JournalShipper<S> {
    /// A shipper for what the writer writes.
    pub(super) fn new(writer: Arc<AuditWriter>, store: Arc<S>) -> Self {
        Self {
            rejects: RejectFile::new(writer.journal.folder()),
            writer,
            store,
            reader: Shared::default(),
            leftovers: Vec::new(),
            adopt_at: Instant::now(),
            untidy: None,
        }
    }

    /// Ships until `stop`, and then ships the rest within the time limit of the last round. What
    /// remains stays in the journal for the next start.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let mut retry = RETRY.0;
        loop {
            let result = tokio::select! {
                result = self.round(true) => result,
                () = stop.cancelled() => break,
            };
            let pause = self.pause(result, &mut retry);
            let is_healthy = pause == TICK;
            tokio::select! {
                () = stop.cancelled() => break,
                () = self.writer.full.notified(), if is_healthy => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
        if tokio::time::timeout(LAST_ROUND, self.finish())
            .await
            .is_err()
        {
            tracing::warn!(
                bytes = self.backlog(),
                "part of the audit trail is not in the database yet; the journal keeps it for the next start"
            );
        }
    }

    /// Records the outcome of a round and returns how long to wait.
    fn pause(&self, result: Result<(), ShippingError>, retry: &mut Duration) -> Duration {
        match result {
            Ok(()) => {
                self.writer.condition.shipped();
                *retry = RETRY.0;
                TICK
            }
            Err(problem) => {
                self.writer.condition.unshipped(&problem.to_string());
                let longest = *retry;
                *retry = (longest * 2).min(RETRY.1);
                // Replicas that lost the same database should not all reconnect at the same time.
                longest.mul_f64(rand::random_range(0.5..1.0)) + Duration::from_millis(1)
            }
        }
    }

    /// The last round: runs until every call has ended and is shipped.
    async fn finish(&mut self) {
        self.writer.put_refusals(true);
        let mut retry = RETRY.0;
        loop {
            let result = self.round(false).await;
            let is_done = result.is_ok() && self.writer.condition.open.load(Ordering::Relaxed) == 0;
            self.pause(result, &mut retry);
            if is_done {
                // No call is in progress, so the active segment is deleted too.
                self.writer.journal.rotate();
                let last = self.round(false).await;
                self.pause(last, &mut retry);
                return;
            }
            tokio::time::sleep(LAST_TICK).await;
        }
    }

    /// Bytes that must still be shipped.
    fn backlog(&self) -> u64 {
        self.writer.condition.backlog.load(Ordering::Relaxed)
    }

    /// Ships everything. With `is_leisurely` it pauses between batches.
    async fn round(&mut self, is_leisurely: bool) -> Result<(), ShippingError> {
        if Instant::now() >= self.adopt_at {
            self.adopt().await;
        }
        loop {
            let began = Instant::now();
            if !self.step().await? {
                break;
            }
            if is_leisurely && self.backlog() < self.writer.journal.bytes_max() / HURRY {
                let rest = began.elapsed() * (LEISURE - 1);
                tokio::time::sleep(rest.min(REST_MAX)).await;
            }
        }
        // A failed deletion does not stop shipping. It is reported and tried again.
        self.untidy.take().map_or(Ok(()), |error| Err(error.into()))
    }

    /// Ships one batch of each journal. Returns false if nothing is left.
    async fn step(&mut self) -> Result<bool, ShippingError> {
        let segments = self.writer.journal.segments();
        let mut more = self.ship(&self.reader, &segments).await?;
        self.untidy = self.tidy(&segments).err();
        if !more
            && let Some((_, size)) = self.writer.journal.active()
            && size >= ROTATE_BYTES
        {
            self.writer.journal.rotate();
        }
        let mut index = 0;
        while let Some(leftover) = self.leftovers.get(index) {
            if self.ship(&leftover.reader, &leftover.segments).await? {
                more = true;
                index += 1;
            } else {
                self.bury(leftover).await?;
                self.leftovers.remove(index);
            }
        }
        Ok(more)
    }

    /// Ships one batch. Returns false if everything is shipped.
    async fn ship(
        &self,
        reader: &Shared,
        segments: &[Arc<JournalSegment>],
    ) -> Result<bool, ShippingError> {
        let (lent, segments) = (Arc::clone(reader), segments.to_vec());
        // Older files may have to be read from the disk.
        let read = tokio::task::spawn_blocking(move || lock(&lent).batch(&segments));
        let Some(batch) = read.await.map_err(io::Error::other)?? else {
            return Ok(false);
        };
        self.put(&batch).await?;
        lock(reader).commit();
        self.writer.condition.settle(batch.bytes);
        self.writer.condition.shipped();
        Ok(true)
    }

    /// Deletes shipped segments.
    fn tidy(&self, segments: &[Arc<JournalSegment>]) -> io::Result<()> {
        let mut reader = lock(&self.reader);
        for segment in segments {
            if reader.is_done(segment)? {
                self.writer.journal.delete(segment)?;
                reader.forget(segment.number);
            }
        }
        Ok(())
    }

    /// Writes a batch to the database.
    async fn put(&self, batch: &JournalBatch) -> Result<(), StoreError> {
        self.put_rows(&batch.calls).await?;
        self.put_rows(&batch.changes).await?;
        for (line, reason) in &batch.unreadable {
            self.rejects.put(line, reason);
        }
        Ok(())
    }

    /// Writes rows. Rows that the database rejects are put aside.
    async fn put_rows<R: AuditRow>(&self, rows: &[R]) -> Result<(), StoreError> {
        let mut parts = vec![rows];
        while let Some(part) = parts.pop() {
            if part.is_empty() {
                continue;
            }
            let Err(error) = R::put(&*self.store, part).await else {
                continue;
            };
            match (error, part) {
                (StoreError::Query(why) | StoreError::Invalid(why), [row]) => {
                    self.set_aside(row, why).await?;
                }
                (StoreError::Query(_) | StoreError::Invalid(_), _) => {
                    let (first, second) = part.split_at(part.len() / 2);
                    parts.extend([second, first]);
                }
                (error, _) => return Err(error),
            }
        }
        Ok(())
    }

    /// Puts a row aside if the database accepts a bare row in its place. Otherwise the database
    /// itself has failed, and the row is not the cause.
    async fn set_aside<R: AuditRow>(&self, row: &R, why: String) -> Result<(), StoreError> {
        match R::put(&*self.store, &[row.bare()]).await {
            Ok(()) => {
                let text = serde_json::to_string(row).unwrap_or_default();
                self.rejects
                    .put(&text, &format!("the database rejects it: {why}"));
                Ok(())
            }
            Err(StoreError::Query(_) | StoreError::Invalid(_)) => Err(StoreError::Query(why)),
            Err(error) => Err(error),
        }
    }

    /// Takes over journals of processes that have exited.
    async fn adopt(&mut self) {
        let writer = Arc::clone(&self.writer);
        let room = LEFTOVERS_MAX.saturating_sub(self.leftovers.len());
        let found = tokio::task::spawn_blocking(move || adopt(&writer, room));
        let found = found
            .await
            .unwrap_or_else(|error| Err(io::Error::other(error)));
        let found = found.unwrap_or_else(|error| {
            tracing::warn!(%error, "cannot look for audit journals of exited processes");
            Vec::new()
        });
        for leftover in found {
            tracing::info!(
                instance = leftover.instance,
                files = leftover.segments.len(),
                "shipping the audit journal of a process that has exited"
            );
            self.leftovers.push(leftover);
        }
        // There may be more, so look again soon.
        let full = self.leftovers.len() >= LEFTOVERS_MAX;
        self.adopt_at = Instant::now() + if full { TICK } else { ADOPT_INTERVAL };
    }

    /// Finishes a shipped journal: calls without an end were interrupted.
    async fn bury(&self, leftover: &OrphanedJournal) -> Result<(), ShippingError> {
        let count = self.store.interrupt_calls(&leftover.instance).await?;
        for segment in &leftover.segments {
            let len = segment.len()?;
            segment.delete()?;
            self.writer.journal.give_back(len);
        }
        tracing::info!(
            instance = leftover.instance,
            interrupted = count,
            "shipped the audit journal of a process that has exited"
        );
        Ok(())
    }
}

/// Takes over at most `room` journals of processes that have exited.
fn adopt(writer: &AuditWriter, room: usize) -> io::Result<Vec<OrphanedJournal>> {
    let journal = &writer.journal;
    let mut found = Vec::new();
    for (instance, paths) in segment::list(journal.folder())? {
        if found.len() >= room {
            break;
        }
        if instance == journal.instance() {
            continue;
        }
        let segments = match segment::adopt(paths) {
            Ok(Some(segments)) => segments,
            Ok(None) => continue,
            Err(error) => {
                tracing::warn!(%error, instance, "cannot read the audit journal of a process that has exited");
                continue;
            }
        };
        let mut bytes = 0;
        for segment in &segments {
            bytes += segment.len()?;
        }
        journal.take_in(bytes);
        writer.condition.backlog.fetch_add(bytes, Ordering::Relaxed);
        found.push(OrphanedJournal {
            instance,
            segments: segments.into_iter().map(Arc::new).collect(),
            reader: Shared::default(),
        });
    }
    Ok(found)
}

/// After a panic in the reader, at worst a batch is repeated.
fn lock(reader: &Shared) -> std::sync::MutexGuard<'_, JournalReader> {
    reader.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Deletes old records, first soon and then every hour, until `stop`.
pub(super) async fn purge<S: AuditSink>(
    store: Arc<S>,
    retention: Duration,
    stop: CancellationToken,
) {
    let mut interval = FIRST_PURGE;
    loop {
        // Spread the replicas over the hour.
        let pause = interval.mul_f64(rand::random_range(0.5..1.5));
        interval = PURGE_INTERVAL;
        if tokio::time::timeout(pause, stop.cancelled()).await.is_ok() {
            return;
        }
        let age = i64::try_from(retention.as_micros()).unwrap_or(i64::MAX);
        let before = Timestamp::now().as_microsecond().saturating_sub(age);
        let mut deleted = 0;
        loop {
            match store.purge_calls(before, PURGE_ROWS).await {
                Ok(count) => {
                    deleted += count;
                    if count < u64::from(PURGE_ROWS) {
                        break;
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "could not delete old audit records; the next attempt is in an hour");
                    break;
                }
            }
            if tokio::time::timeout(PURGE_PAUSE, stop.cancelled())
                .await
                .is_ok()
            {
                return;
            }
        }
        if deleted > 0 {
            tracing::info!(
                deleted,
                "deleted audit records that were past the retention period"
            );
        }
    }
}
