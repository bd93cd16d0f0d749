//! Writes messages to a server's stdin, many in one go when many callers have one.

use std::{
    io,
    sync::{Mutex as StdMutex, MutexGuard, PoisonError},
};

use serde::Serialize;
use tokio::{io::AsyncWriteExt as _, process::ChildStdin, sync::Mutex, task::yield_now};

/// Messages on their way to a server.
#[derive(Debug)]
pub struct Outbox {
    /// Messages that nobody has begun to write.
    waiting: StdMutex<Waiting>,
    /// The pipe, and how far it was written.
    pipe: Mutex<Pipe>,
}

/// Lines, one after the other.
#[derive(Debug, Default)]
struct Waiting {
    /// The lines.
    lines: Vec<u8>,
    /// The ticket of the last of them.
    last: u64,
}

/// The pipe.
#[derive(Debug)]
struct Pipe {
    /// Until it is closed, or a write failed: what comes after half a line is lost anyway.
    stdin: Option<ChildStdin>,
    /// The last ticket whose line is in the pipe, newline and all.
    written: u64,
    /// A buffer to swap with, so that none is allocated in the steady state.
    spare: Vec<u8>,
}

/// Buffers above this many bytes are given back after a large message.
const BUFFER_BYTES_KEPT: usize = 64 << 10;

impl Outbox {
    /// Writes to this pipe.
    pub fn new(stdin: ChildStdin) -> Self {
        Self {
            waiting: StdMutex::default(),
            pipe: Mutex::new(Pipe {
                stdin: Some(stdin),
                written: 0,
                spare: Vec::new(),
            }),
        }
    }

    /// Puts a message into the queue, as one line, and gives its ticket. The callers' number is
    /// bounded by the bridge's slots, and so is the queue.
    pub fn queue(&self, message: &impl Serialize) -> io::Result<u64> {
        let mut waiting = self.waiting();
        let before = waiting.lines.len();
        if let Err(error) = serde_json::to_writer(&mut waiting.lines, message) {
            waiting.lines.truncate(before);
            return Err(error.into());
        }
        waiting.lines.push(b'\n');
        waiting.last += 1;
        Ok(waiting.last)
    }

    /// Waits until the line of a ticket is in the pipe. Whoever comes first writes all lines that
    /// are there; the others find theirs written. An error means that the line's end did not go
    /// out: the server has not seen it.
    pub async fn written(&self, ticket: u64) -> io::Result<()> {
        // Callers that are ready now queue theirs before the first one writes.
        yield_now().await;
        let mut pipe = self.pipe.lock().await;
        if pipe.written >= ticket {
            return Ok(());
        }
        let Some(mut stdin) = pipe.stdin.take() else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        let mut lines = std::mem::take(&mut pipe.spare);
        let last = {
            let mut waiting = self.waiting();
            std::mem::swap(&mut lines, &mut waiting.lines);
            waiting.last
        };
        // Dropped in between, the pipe stays closed: half a line may have gone out.
        stdin.write_all(&lines).await?;
        lines.clear();
        lines.shrink_to(BUFFER_BYTES_KEPT);
        pipe.spare = lines;
        pipe.written = last;
        pipe.stdin = Some(stdin);
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
