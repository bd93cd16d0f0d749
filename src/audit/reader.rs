//! [`JournalReader`]: turns the segments of one instance into rows for the database.
//!
//! It joins the start and the end of each call. Its memory is bounded: a batch by rows and bytes,
//! and open calls by `limits.requests_max` of the process that wrote them.

use std::{
    collections::{BTreeMap, HashMap},
    io,
    sync::Arc,
};

use super::{
    line::{self, JournalEntry},
    segment::JournalSegment,
};
use crate::store::{CallRecord, ChangeRecord};

/// The maximum number of rows of a batch.
pub(super) const BATCH_ROWS: usize = 500;

/// How many bytes are read at once, and about how large a batch may become. This is much more than
/// the longest line.
const CHUNK_BYTES: usize = 512 * 1024;

/// How much of an unreadable line is kept, in bytes.
const TORN_BYTES_MAX: usize = 4096;

/// Records that are written to the database together.
#[derive(Debug, Default)]
pub(super) struct JournalBatch {
    /// Calls, each once, in its latest state.
    pub calls: Vec<CallRecord>,
    /// Changes.
    pub changes: Vec<ChangeRecord>,
    /// Unreadable lines, with the reason.
    pub unreadable: Vec<(String, String)>,
    /// Its size in the journal.
    pub bytes: u64,
    /// The index of each call in `calls`.
    places: HashMap<String, usize>,
}

impl JournalBatch {
    fn is_full(&self) -> bool {
        self.calls.len() + self.changes.len() + self.unreadable.len() >= BATCH_ROWS
            || self.bytes >= CHUNK_BYTES as u64
    }

    fn put(&mut self, record: CallRecord) {
        if let Some(row) = self
            .places
            .get(&record.id)
            .and_then(|place| self.calls.get_mut(*place))
        {
            *row = record;
        } else {
            self.places.insert(record.id.clone(), self.calls.len());
            self.calls.push(record);
        }
    }

    fn set_aside(&mut self, line: &[u8], reason: String) {
        let line = line.get(..TORN_BYTES_MAX).unwrap_or(line);
        self.unreadable
            .push((String::from_utf8_lossy(line).into_owned(), reason));
    }
}

/// How far a segment has been read.
#[derive(Debug, Default)]
struct SegmentCursor {
    /// The position up to which it was read, in bytes.
    offset: u64,
    /// Calls that began in this segment and have not ended. While there are any, the segment must
    /// stay, because a restart needs their starts.
    open: usize,
}

/// Reads the segments of one instance.
#[derive(Debug, Default)]
pub(super) struct JournalReader {
    cursors: BTreeMap<u64, SegmentCursor>,
    /// Calls that have begun and not ended, with the number of the segment they began in.
    open: HashMap<String, (CallRecord, u64)>,
    /// The batch that was read and is not in the database yet.
    pending: Option<Arc<JournalBatch>>,
    buffer: Vec<u8>,
}

impl JournalReader {
    /// The next batch to ship. Returns the same batch until [`JournalReader::commit`], and `None` when
    /// everything is shipped.
    pub(super) fn batch(
        &mut self,
        segments: &[Arc<JournalSegment>],
    ) -> io::Result<Option<Arc<JournalBatch>>> {
        if self.pending.is_none() {
            let mut batch = JournalBatch::default();
            for segment in segments {
                while self.read(segment, &mut batch)? {}
                if batch.is_full() {
                    break;
                }
            }
            if batch.bytes > 0 {
                self.pending = Some(Arc::new(batch));
            }
        }
        Ok(self.pending.clone())
    }

    /// Notes that the database has stored the batch.
    pub(super) fn commit(&mut self) {
        self.pending = None;
    }

    /// Whether a segment is shipped and no longer needed.
    pub(super) fn is_done(&self, segment: &JournalSegment) -> io::Result<bool> {
        let Some(cursor) = self.cursors.get(&segment.number) else {
            return Ok(segment.is_finished() && segment.len()? == 0);
        };
        Ok(self.pending.is_none()
            && segment.is_finished()
            && cursor.open == 0
            && cursor.offset >= segment.len()?)
    }

    /// Forgets a deleted segment.
    pub(super) fn forget(&mut self, number: u64) {
        self.cursors.remove(&number);
    }

    /// Reads one chunk. Returns false if nothing is left or the batch is full.
    fn read(&mut self, segment: &JournalSegment, batch: &mut JournalBatch) -> io::Result<bool> {
        if batch.is_full() {
            return Ok(false);
        }
        // Check this before reading: a segment that is finished now has all its lines.
        let is_finished = segment.is_finished();
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.resize(CHUNK_BYTES, 0);
        let offset = self.cursors.entry(segment.number).or_default().offset;
        let result = segment.read_at(&mut buffer, offset);
        let mut consumed = 0;
        if let Ok(read) = result {
            let chunk = buffer.get(..read).unwrap_or_default();
            for (line, end) in line::lines(chunk) {
                self.take(line, segment.number, batch);
                consumed = end;
                if batch.is_full() {
                    break;
                }
            }
            let is_end = read < CHUNK_BYTES;
            let rest = chunk.get(consumed..).unwrap_or_default();
            if !rest.is_empty()
                && !batch.is_full()
                && (is_end && is_finished || consumed == 0 && !is_end)
            {
                batch.set_aside(rest, "it was cut short".to_owned());
                consumed = read;
            }
        }
        self.buffer = buffer;
        result?;
        let cursor = self.cursors.entry(segment.number).or_default();
        cursor.offset += consumed as u64;
        batch.bytes += consumed as u64;
        Ok(consumed > 0)
    }

    fn take(&mut self, line: &[u8], number: u64, batch: &mut JournalBatch) {
        if line.is_empty() {
            return;
        }
        match line::parse(line) {
            Ok(JournalEntry::Call(record)) => {
                if record.outcome == "started" {
                    self.cursors.entry(number).or_default().open += 1;
                    self.open
                        .insert(record.id.clone(), (CallRecord::clone(&record), number));
                }
                batch.put(*record);
            }
            Ok(JournalEntry::End(end)) => match self.open.remove(&*end.id) {
                Some((mut record, began_in)) => {
                    let cursor = self.cursors.entry(began_in).or_default();
                    cursor.open = cursor.open.saturating_sub(1);
                    end.complete(&mut record);
                    batch.put(record);
                }
                None => batch.set_aside(line, "the start of this call is missing".to_owned()),
            },
            Ok(JournalEntry::Change(record)) => batch.changes.push(*record),
            Err(error) => batch.set_aside(line, format!("it cannot be read: {error}")),
        }
    }
}
