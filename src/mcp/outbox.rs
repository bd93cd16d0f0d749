//! Writes messages to a server's stdin. Messages of many callers are written in one batch.

use std::{
    io,
    sync::{
        Mutex as StdMutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use serde::Serialize;
use tokio::{
    io::{AsyncWrite, AsyncWriteExt as _},
    process::ChildStdin,
    sync::Mutex,
    task::yield_now,
};

/// The queue of messages for a server.
#[derive(Debug)]
pub struct StdioWriter {
    /// Messages that are not being written yet.
    waiting: StdMutex<QueuedLines>,
    /// The pipe.
    pipe: Mutex<StdinPipe>,
    /// The ticket of the last line that was written completely, also if its batch failed later.
    written: AtomicU64,
}

/// The lines to write.
#[derive(Debug, Default)]
struct QueuedLines {
    /// The lines, concatenated.
    lines: Vec<u8>,
    /// The end of each line.
    ends: Vec<usize>,
    /// The ticket of the last line.
    last: u64,
}

/// The pipe.
#[derive(Debug)]
struct StdinPipe {
    /// Set until the pipe is closed or a write fails. After half a line, everything that follows is lost.
    stdin: Option<ChildStdin>,
    /// A second buffer to swap with, so that the steady state allocates nothing.
    spare: Vec<u8>,
}

/// The maximum number of bytes that wait for a server which does not read. Further messages are rejected.
const WAITING_BYTES_MAX: usize = 32 << 20;

/// Buffers above this size, in bytes, are freed after a large message.
const BUFFER_BYTES_KEPT: usize = 64 << 10;

impl StdioWriter {
    /// Creates a queue for this pipe.
    pub fn new(stdin: ChildStdin) -> Self {
        Self {
            waiting: StdMutex::default(),
            pipe: Mutex::new(StdinPipe {
                stdin: Some(stdin),
                spare: Vec::new(),
            }),
            written: AtomicU64::new(0),
        }
    }

    /// Adds a message to the queue as one line and returns its ticket. Fails if [`WAITING_BYTES_MAX`] bytes
    /// are waiting already, because the server reads too slowly.
    pub fn queue(&self, message: &impl Serialize) -> io::Result<u64> {
        // Serialized before the lock is taken, because large arguments take a while.
        let mut line = serde_json::to_vec(message)?;
        line.push(b'\n');
        let mut waiting = self.waiting();
        if waiting.lines.len() >= WAITING_BYTES_MAX {
            return Err(io::ErrorKind::QuotaExceeded.into());
        }
        if waiting.lines.is_empty() && line.len() > BUFFER_BYTES_KEPT {
            waiting.lines = line;
        } else {
            waiting.lines.extend_from_slice(&line);
        }
        let end = waiting.lines.len();
        waiting.ends.push(end);
        waiting.last += 1;
        Ok(waiting.last)
    }

    /// Whether the line of a ticket was written completely. If so, the server may act on it, even if later
    /// lines failed.
    pub fn is_written(&self, ticket: u64) -> bool {
        self.written.load(Ordering::Acquire) >= ticket
    }

    /// Waits until the line of a ticket is written. The first caller writes all queued lines; the others find
    /// theirs written. After an error, [`Self::is_written`] tells which lines of the batch were written.
    pub async fn written(&self, ticket: u64) -> io::Result<()> {
        // Other callers that are ready now can queue their lines before the first one writes.
        yield_now().await;
        let mut pipe = self.pipe.lock().await;
        if self.is_written(ticket) {
            return Ok(());
        }
        let Some(mut stdin) = pipe.stdin.take() else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        let mut lines = std::mem::take(&mut pipe.spare);
        let (ends, first) = {
            let mut waiting = self.waiting();
            std::mem::swap(&mut lines, &mut waiting.lines);
            let ends = std::mem::take(&mut waiting.ends);
            let before = waiting
                .last
                .saturating_sub(ends.len().try_into().unwrap_or(0));
            (ends, before + 1)
        };
        // If this future is dropped here, the pipe stays closed, because half a line may have been written.
        self.write(&mut stdin, &lines, &ends, first).await?;
        lines.clear();
        lines.shrink_to(BUFFER_BYTES_KEPT);
        pipe.spare = lines;
        pipe.stdin = Some(stdin);
        Ok(())
    }

    /// Writes lines, of which the first has the ticket `first`, and records each line that was written
    /// completely.
    async fn write(
        &self,
        stdin: &mut (impl AsyncWrite + Unpin),
        lines: &[u8],
        ends: &[usize],
        first: u64,
    ) -> io::Result<()> {
        let (mut sent, mut tickets) = (0, (first..).zip(ends).peekable());
        while let Some(rest) = lines.get(sent..).filter(|rest| !rest.is_empty()) {
            let count = stdin.write(rest).await?;
            if count == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            sent += count;
            while let Some((ticket, _end)) = tickets.next_if(|(_ticket, end)| **end <= sent) {
                self.written.store(ticket, Ordering::Release);
            }
        }
        Ok(())
    }

    /// Closes the pipe, which asks the server to exit.
    pub async fn close(&self) {
        self.pipe.lock().await.stdin = None;
    }

    /// Locks the queue. A poisoned lock is safe to use: no statement leaves the queue half changed.
    fn waiting(&self) -> MutexGuard<'_, QueuedLines> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::process::Stdio;

    use super::*;

    #[tokio::test]
    async fn of_a_batch_that_breaks_off_the_whole_lines_count_as_sent() {
        let mut idle = tokio::process::Command::new("sleep")
            .arg("60")
            .stdin(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let outbox = StdioWriter::new(idle.stdin.take().unwrap());
        let first = outbox.queue(&"a").unwrap();
        let second = outbox.queue(&"b").unwrap();
        let third = outbox.queue(&"c").unwrap();
        let (ends, lines) = {
            let waiting = outbox.waiting();
            (waiting.ends.clone(), waiting.lines.clone())
        };
        // The pipe accepts one and a half lines, then closes.
        let (mut near, far) = tokio::io::duplex(6);
        let cut = tokio::time::timeout(
            std::time::Duration::from_millis(50),
            outbox.write(&mut near, &lines, &ends, first),
        );
        assert!(cut.await.is_err(), "the pipe is full");
        drop(far);
        assert!(outbox.is_written(first));
        assert!(!outbox.is_written(second) && !outbox.is_written(third));
    }
}
