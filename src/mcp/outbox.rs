//! Writes messages to a server's stdin, many in one go when many callers have one.

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

/// Messages on their way to a server.
#[derive(Debug)]
pub struct Outbox {
    /// Messages that nobody has begun to write.
    waiting: StdMutex<Waiting>,
    /// The pipe.
    pipe: Mutex<Pipe>,
    /// The last ticket whose line is in the pipe, newline and all: also of a batch that broke off.
    written: AtomicU64,
}

/// Lines, one after the other.
#[derive(Debug, Default)]
struct Waiting {
    /// The lines.
    lines: Vec<u8>,
    /// Where each of them ends.
    ends: Vec<usize>,
    /// The ticket of the last of them.
    last: u64,
}

/// The pipe.
#[derive(Debug)]
struct Pipe {
    /// Until it is closed, or a write failed: what comes after half a line is lost anyway.
    stdin: Option<ChildStdin>,
    /// A buffer to swap with, so that none is allocated in the steady state.
    spare: Vec<u8>,
}

/// Bytes that wait for a server which does not read. A message that would be on top of that is refused.
const WAITING_BYTES_MAX: usize = 32 << 20;

/// Buffers above this many bytes are given back after a large message.
const BUFFER_BYTES_KEPT: usize = 64 << 10;

impl Outbox {
    /// Writes to this pipe.
    pub fn new(stdin: ChildStdin) -> Self {
        Self {
            waiting: StdMutex::default(),
            pipe: Mutex::new(Pipe {
                stdin: Some(stdin),
                spare: Vec::new(),
            }),
            written: AtomicU64::new(0),
        }
    }

    /// Puts a message into the queue, as one line, and gives its ticket. Fails when the server reads so
    /// slowly that [`WAITING_BYTES_MAX`] wait already.
    pub fn queue(&self, message: &impl Serialize) -> io::Result<u64> {
        // Before the lock, because large arguments take a while.
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

    /// Whether the line of a ticket is in the pipe: then the server may act on it, whatever came
    /// of the lines behind it.
    pub fn is_written(&self, ticket: u64) -> bool {
        self.written.load(Ordering::Acquire) >= ticket
    }

    /// Waits until the line of a ticket is in the pipe. Whoever comes first writes all lines that
    /// are there; the others find theirs written. After an error [`Self::is_written`] tells which
    /// lines of the batch went out all the same.
    pub async fn written(&self, ticket: u64) -> io::Result<()> {
        // Callers that are ready now queue theirs before the first one writes.
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
        // Dropped in between, the pipe stays closed: half a line may have gone out.
        self.write(&mut stdin, &lines, &ends, first).await?;
        lines.clear();
        lines.shrink_to(BUFFER_BYTES_KEPT);
        pipe.spare = lines;
        pipe.stdin = Some(stdin);
        Ok(())
    }

    /// Writes lines, the first of which has the ticket `first`, and notes each that went out whole.
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

    /// Closes the pipe: the polite way to tell a server to end.
    pub async fn close(&self) {
        self.pipe.lock().await.stdin = None;
    }

    /// The queue, also after a panic elsewhere: it is whole between two statements.
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
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
        let outbox = Outbox::new(idle.stdin.take().unwrap());
        let first = outbox.queue(&"a").unwrap();
        let second = outbox.queue(&"b").unwrap();
        let third = outbox.queue(&"c").unwrap();
        let (ends, lines) = {
            let waiting = outbox.waiting();
            (waiting.ends.clone(), waiting.lines.clone())
        };
        // Takes one line and a half, then is gone.
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
