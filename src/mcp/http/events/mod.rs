//! Reads server-sent events within a size limit.
//!
//! `eventsource-stream` does the parsing, but it needs clean input: it scans a line again for every chunk
//! that extends it (so a large result would take quadratic time), a byte order mark makes it panic, and one
//! invalid UTF-8 byte makes it buffer forever. [`EventLines`] therefore runs before it: it collects a whole event,
//! counts its bytes, and passes it on line by line.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
};

use bytes::{Buf as _, Bytes, BytesMut};
use eventsource_stream::{EventStream, EventStreamError};
use futures::{Stream, StreamExt as _, future};

pub use eventsource_stream::Event;

use crate::mcp::unasked::UnsolicitedMessages;

/// How much is kept of each end of a rejected event, in bytes: enough to find a JSON-RPC id.
const KEPT: usize = 96;

/// The longest line with the id of an event, in bytes. The parser copies the id into each following event,
/// and a resumed stream sends it in a header.
const ID_LINE_BYTES_MAX: usize = 1 << 10;

/// The data of an event above this size, in bytes, bypasses the parser.
const LARGE_EVENT_BYTES: usize = 256 << 10;

/// The number of lines that are passed on before the task yields.
const LINES_AT_ONCE: u32 = 512;

/// One item of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StreamItem {
    /// An event.
    Event(Event),
    /// An event above the limit. The stream continues after it.
    TooLarge(DiscardedEvent),
}

/// Both ends of a discarded event, to find the request that it answers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DiscardedEvent {
    /// The first bytes of its last line.
    head: Vec<u8>,
    /// The last bytes of its last line.
    tail: Vec<u8>,
}

impl DiscardedEvent {
    /// Returns the JSON-RPC id if it is at the very beginning (Python, Go, Rust servers) or at the very end
    /// (the TypeScript SDK) of the message.
    pub fn id(&self) -> Option<i64> {
        let head = String::from_utf8_lossy(&self.head);
        let head = head.trim_start_matches("data:").trim_start();
        let first = head
            .strip_prefix(r#"{"jsonrpc":"2.0","id":"#)
            .or_else(|| head.strip_prefix(r#"{"jsonrpc": "2.0", "id": "#))
            .and_then(|rest| rest.split_once(','))
            .and_then(|(id, _)| id.parse().ok());
        first.or_else(|| {
            let tail = String::from_utf8_lossy(&self.tail);
            let (_, id) = tail.trim_end().strip_suffix('}')?.rsplit_once(r#""id":"#)?;
            id.trim().parse().ok()
        })
    }
}

/// Reads the events of a body. Events that are larger than `unasked` allows are never held in memory, and
/// everything that is not an event with data counts against it. The stream ends after the first error of the
/// body, and when the session is over.
pub fn frames<S, E>(
    body: S,
    unasked: UnsolicitedMessages,
) -> impl Stream<Item = Result<StreamItem, E>> + Send
where
    S: Stream<Item = Result<Bytes, E>> + Send + Unpin,
    E: Send,
{
    let aside = ParserBypass::default();
    EventStream::new(EventLines::new(body, unasked, aside.clone())).filter_map(move |event| {
        future::ready(match event {
            Ok(mut event) => {
                if let Some(data) = aside.take() {
                    event.data = data;
                }
                Some(Ok(StreamItem::Event(event)))
            }
            Err(EventStreamError::Transport(EventLinesError::TooLarge(ends))) => {
                Some(Ok(StreamItem::TooLarge(ends)))
            }
            Err(EventStreamError::Transport(EventLinesError::Body(error))) => Some(Err(error)),
            // `EventLines` passes on only complete lines of valid UTF-8.
            Err(EventStreamError::Utf8(_) | EventStreamError::Parser(_)) => None,
        })
    })
}

/// The data of a large event, which bypasses the parser because the parser would copy it three times.
#[derive(Debug, Clone, Default)]
struct ParserBypass(Arc<Mutex<Option<String>>>);

impl ParserBypass {
    /// Stores the data of a line. Returns the replacement for the parser, or the line itself if it has no
    /// data.
    fn put(&self, line: Bytes) -> Bytes {
        let Some(data) = line.strip_prefix(b"data:") else {
            return line;
        };
        let data = data.strip_prefix(b" ").unwrap_or(data);
        let data = data.strip_suffix(b"\n").unwrap_or(data);
        let Ok(data) = String::from_utf8(data.to_vec()) else {
            return line;
        };
        *self.lock() = Some(data);
        Bytes::from_static(b"data: aside\n")
    }

    /// Takes the stored data back.
    fn take(&self) -> Option<String> {
        self.lock().take()
    }

    fn lock(&self) -> MutexGuard<'_, Option<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why the sequence of lines stops.
#[derive(Debug)]
enum EventLinesError<E> {
    /// An event exceeded the limit and was discarded.
    TooLarge(DiscardedEvent),
    /// The body failed.
    Body(E),
}

/// A body as clean lines, each ending in one line feed. Lines are passed on as soon as their event is
/// complete.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each field is an independent fact about the stream"
)]
struct EventLines<S> {
    /// The body.
    body: S,
    /// Received bytes that have not been examined.
    chunk: Bytes,
    /// The lines of the event that is being received. The last one is incomplete.
    event: BytesMut,
    /// The start of the incomplete line in `event`.
    line_start: usize,
    /// A complete event that is being passed on line by line.
    ready: Bytes,
    /// The number of data lines of the event that is being received.
    data_count: usize,
    /// Whether the data in `ready` bypasses the parser, because it is one large line.
    goes_around: bool,
    /// The store for such data.
    aside: ParserBypass,
    /// Limits the size of `event`, and counts everything that is not an event.
    unasked: UnsolicitedMessages,
    /// Set while the rest of an event that is too large is discarded.
    refused: Option<DiscardedEvent>,
    /// Whether the last byte was a carriage return. A line feed that follows belongs to it.
    after_cr: bool,
    /// Whether no line was read yet, so that a byte order mark is possible.
    at_start: bool,
    /// The number of lines that were passed on since the task last yielded.
    handed_on: u32,
    /// Whether the body has ended.
    ended: bool,
    /// Whether a chunk of the body was read since the task last yielded.
    has_read: bool,
}

impl<S> EventLines<S> {
    /// Starts to read.
    fn new(body: S, unasked: UnsolicitedMessages, aside: ParserBypass) -> Self {
        Self {
            body,
            chunk: Bytes::new(),
            event: BytesMut::new(),
            line_start: 0,
            // After this empty line the parser does not look for a byte order mark.
            ready: Bytes::from_static(b"\n"),
            data_count: 0,
            goes_around: false,
            aside,
            unasked,
            refused: None,
            after_cr: false,
            at_start: true,
            handed_on: 0,
            ended: false,
            has_read: false,
        }
    }

    /// Takes the received bytes up to the end of the next event. A rejected event is returned when its end
    /// has passed.
    fn advance(&mut self) -> Option<DiscardedEvent> {
        while self.ready.is_empty() && self.chunk.has_remaining() {
            if std::mem::take(&mut self.after_cr) && self.chunk.first() == Some(&b'\n') {
                self.chunk.advance(1);
                continue;
            }
            let end = self
                .chunk
                .iter()
                .position(|byte| matches!(byte, b'\r' | b'\n'));
            let piece = self.chunk.split_to(end.unwrap_or(self.chunk.len()));
            self.append(&piece);
            if end.is_some() {
                self.after_cr = self.chunk.first() == Some(&b'\r');
                self.chunk.advance(1);
                if let Some(ends) = self.finish_line() {
                    return Some(ends);
                }
            }
        }
        None
    }

    /// Adds to the incomplete line, or to the remains of a rejected event.
    fn append(&mut self, piece: &[u8]) {
        if self.refused.is_none()
            && self.event.len() + piece.len() > self.unasked.message_bytes_max()
        {
            let line = self.event.split_off(self.line_start);
            self.refused = Some(DiscardedEvent::default());
            self.data_count = 0;
            self.event = BytesMut::new();
            self.line_start = 0;
            self.append(&line);
        }
        match &mut self.refused {
            Some(ends) => {
                self.unasked.skipped(piece.len());
                ends.push(piece);
            }
            None => self.event.extend_from_slice(piece),
        }
        // In a rejected event this only distinguishes an empty line from one with content.
        if self.refused.is_some() && !piece.is_empty() {
            self.line_start = 1;
        }
    }

    /// Completes the line. An empty line ends the event.
    fn finish_line(&mut self) -> Option<DiscardedEvent> {
        if self.refused.is_some() {
            let empty = std::mem::take(&mut self.line_start) == 0;
            return if empty { self.refused.take() } else { None };
        }
        self.clean_line();
        let line = self.event.get(self.line_start..).unwrap_or_default();
        let empty = line.is_empty();
        // Comments and unknown fields would accumulate, because servers use them to keep a stream alive.
        let is_known = [&b"data"[..], b"event", b"id", b"retry"]
            .iter()
            .any(|field| line.starts_with(field));
        let is_long_id = line.starts_with(b"id") && line.len() > ID_LINE_BYTES_MAX;
        let is_left_out = !empty && (!is_known || is_long_id);
        if is_left_out {
            self.unasked.note(line.len());
            self.event.truncate(self.line_start);
            return None;
        }
        let is_data = line.starts_with(b"data");
        if !is_data && !empty {
            self.unasked.note_field(line.len());
        }
        self.data_count += usize::from(is_data);
        self.event.extend_from_slice(b"\n");
        self.line_start = self.event.len();
        if empty {
            self.line_start = 0;
            self.ready = self.event.split().freeze();
            // The reader of the events counts those that have data.
            let data_count = std::mem::take(&mut self.data_count);
            if data_count == 0 {
                self.unasked.note(self.ready.len());
            }
            self.goes_around = data_count == 1 && self.ready.len() > LARGE_EVENT_BYTES;
        }
        None
    }

    /// Makes the completed line valid UTF-8 and removes the byte order mark from the first line.
    fn clean_line(&mut self) {
        let mut line = self.event.split_off(self.line_start);
        if std::mem::take(&mut self.at_start) && line.starts_with(b"\xef\xbb\xbf") {
            line.advance(3);
        }
        match std::str::from_utf8(&line) {
            Ok(_) => self.event.unsplit(line),
            Err(_) => self
                .event
                .extend_from_slice(String::from_utf8_lossy(&line).as_bytes()),
        }
    }
}

impl<S, E> Stream for EventLines<S>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
{
    type Item = Result<Bytes, EventLinesError<E>>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            if let Some(end) = memchr::memchr(b'\n', &this.ready) {
                // An event of many lines must not block the other tasks of this thread either.
                this.handed_on = (this.handed_on + 1) % LINES_AT_ONCE;
                if this.handed_on == 0 {
                    context.waker().wake_by_ref();
                    return Poll::Pending;
                }
                let line = this.ready.split_to(end + 1);
                if this.goes_around && line.len() > LARGE_EVENT_BYTES / 2 {
                    // The rest is a line or two, and would keep the whole event in memory.
                    this.ready = Bytes::copy_from_slice(&this.ready);
                    return Poll::Ready(Some(Ok(this.aside.put(line))));
                }
                return Poll::Ready(Some(Ok(line)));
            }
            if this.unasked.is_over() {
                return Poll::Ready(None);
            }
            if let Some(ends) = this.advance() {
                return Poll::Ready(Some(Err(EventLinesError::TooLarge(ends))));
            }
            if !this.ready.is_empty() {
                continue;
            }
            if this.ended {
                return Poll::Ready(None);
            }
            // The chunk may have contained only comments, so that no other task has run since.
            if std::mem::take(&mut this.has_read) {
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            match ready!(this.body.poll_next_unpin(context)) {
                Some(Ok(chunk)) => {
                    this.has_read = true;
                    this.chunk = chunk;
                }
                Some(Err(error)) => {
                    this.ended = true;
                    return Poll::Ready(Some(Err(EventLinesError::Body(error))));
                }
                None => {
                    this.ended = true;
                    return Poll::Ready(
                        this.refused
                            .take()
                            .map(|ends| Err(EventLinesError::TooLarge(ends))),
                    );
                }
            }
        }
    }
}

impl DiscardedEvent {
    /// Discards bytes but keeps both ends of the line.
    fn push(&mut self, piece: &[u8]) {
        let room = KEPT.saturating_sub(self.head.len());
        self.head.extend(piece.iter().take(room));
        let skipped = piece.len().saturating_sub(KEPT);
        self.tail.extend(piece.iter().skip(skipped));
        let surplus = self.tail.len().saturating_sub(KEPT);
        self.tail.drain(..surplus);
    }
}

/// Returns the events of a stream that arrives in these pieces, with a limit of one kilobyte per event.
#[cfg(fuzzing)]
pub fn frames_of(pieces: &[&[u8]]) -> Vec<StreamItem> {
    use futures::{FutureExt as _, StreamExt as _};
    let pieces: Vec<Result<Bytes, std::convert::Infallible>> = pieces
        .iter()
        .map(|piece| Ok(Bytes::copy_from_slice(piece)))
        .collect();
    let unasked = UnsolicitedMessages::new(crate::mcp::AnswerLimits {
        result_bytes_max: 1_024,
        tools_bytes_max: 1_024,
    });
    let frames = frames(futures::stream::iter(pieces), unasked);
    // The stream only ever waits in order to yield.
    let mut collected = Box::pin(frames.collect::<Vec<_>>());
    let all = loop {
        if let Some(all) = collected.as_mut().now_or_never() {
            break all;
        }
    };
    let all: Vec<StreamItem> = all.into_iter().filter_map(Result::ok).collect();
    for frame in &all {
        // The replacement of an invalid byte takes three bytes.
        let is_bounded = match frame {
            StreamItem::Event(event) => {
                event.data.len() <= 3 * 1_024 && event.id.len() <= 3 * ID_LINE_BYTES_MAX
            }
            StreamItem::TooLarge(ends) => ends.head.len() + ends.tail.len() <= 2 * KEPT,
        };
        assert!(is_bounded, "{frame:?}");
    }
    all
}

#[cfg(test)]
mod tests;
