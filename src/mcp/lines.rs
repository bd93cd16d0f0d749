//! Reads newline-delimited messages without holding more than the limit.

use std::io;

use tokio::io::{AsyncBufRead, AsyncBufReadExt as _};

/// Bytes that are kept of the start and of the end of an overlong message: enough to find its `id`, which
/// SDKs write first or last.
const ENDS_BYTES: usize = 512;

/// A line, or the parts of it that were kept.
#[derive(Debug, PartialEq, Eq)]
pub enum BoundedLine<'a> {
    /// A complete line, without its line break.
    Whole(&'a [u8]),
    /// A line over the limit: its first and last bytes.
    TooLong {
        /// The first [`ENDS_BYTES`], or as many as were asked for.
        head: &'a [u8],
        /// The last [`ENDS_BYTES`].
        tail: &'a [u8],
    },
    /// This many bytes of a line over the limit were discarded. Its end has not arrived yet.
    Passing(usize),
}

/// A line reader whose state survives a dropped `next`.
#[derive(Debug)]
pub struct LineReader<R> {
    /// The source of the bytes.
    reader: R,
    /// The longest line, in bytes.
    limit: usize,
    /// How much is kept of each end of an overlong line, in bytes.
    ends: usize,
    /// The bytes of the current line, up to `limit`. For an overlong line: its start.
    line: Vec<u8>,
    /// The last bytes of an overlong line.
    tail: Vec<u8>,
    /// Whether the current line is over the limit.
    is_overlong: bool,
    /// Whether the line in `line` was returned. The next call removes it.
    is_done: bool,
}

impl<R: AsyncBufRead + Unpin> LineReader<R> {
    /// Reads lines of at most `limit` bytes.
    pub fn new(reader: R, limit: usize) -> Self {
        Self {
            reader,
            limit,
            ends: ENDS_BYTES,
            line: Vec::new(),
            tail: Vec::new(),
            is_overlong: false,
            is_done: false,
        }
    }

    /// Sets how many bytes are kept of each end of an overlong line, at most the limit.
    pub fn with_ends(mut self, bytes: usize) -> Self {
        self.ends = bytes.min(self.limit);
        self
    }

    /// Changes the longest line, in bytes. The new limit also applies to a line that is being read.
    pub fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// Returns the next line; `None` at the end of the stream. A last line without a line break is dropped: a
    /// server that died while writing did not finish its message.
    ///
    /// Cancel-safe.
    pub async fn next(&mut self) -> io::Result<Option<BoundedLine<'_>>> {
        if self.is_done {
            self.start_over();
        }
        loop {
            let chunk = self.reader.fill_buf().await?;
            if chunk.is_empty() {
                return Ok(None);
            }
            let end = memchr::memchr(b'\n', chunk);
            let part = chunk.get(..end.unwrap_or(chunk.len())).unwrap_or_default();
            let used = part.len() + usize::from(end.is_some());
            if self.is_overlong || self.line.len() + part.len() > self.limit {
                let (line, tail) = (&mut self.line, &mut self.tail);
                keep_ends(line, tail, part, (self.is_overlong, self.ends));
                self.is_overlong = true;
            } else {
                self.line.extend_from_slice(part);
            }
            self.reader.consume(used);
            if end.is_some() {
                self.is_done = true;
                return Ok(Some(self.current()));
            }
            if self.is_overlong {
                return Ok(Some(BoundedLine::Passing(used)));
            }
        }
    }

    /// The number of bytes that are kept of the current line.
    #[cfg(any(test, fuzzing))]
    pub fn kept_bytes(&self) -> usize {
        self.line.capacity() + self.tail.capacity()
    }

    /// What was read of a last line without a line break. Empty if there is none.
    pub fn rest(&self) -> BoundedLine<'_> {
        if self.is_done {
            BoundedLine::Whole(&[])
        } else {
            self.current()
        }
    }

    /// The line that was just completed.
    fn current(&self) -> BoundedLine<'_> {
        if self.is_overlong {
            BoundedLine::TooLong {
                head: &self.line,
                tail: &self.tail,
            }
        } else {
            BoundedLine::Whole(&self.line)
        }
    }

    /// Prepares for the next line and frees the memory of a rare large one.
    fn start_over(&mut self) {
        self.line.clear();
        self.line.shrink_to(64 << 10);
        self.tail.clear();
        self.is_overlong = false;
        self.is_done = false;
    }
}

/// Adds `part` to a line over the limit and keeps only the two ends.
fn keep_ends(
    head: &mut Vec<u8>,
    tail: &mut Vec<u8>,
    part: &[u8],
    (was_overlong, ends): (bool, usize),
) {
    if !was_overlong {
        tail.extend_from_slice(last(head, ends));
        let missing = ends.saturating_sub(head.len()).min(part.len());
        head.extend_from_slice(part.get(..missing).unwrap_or_default());
        head.truncate(ends);
        head.shrink_to(64 << 10);
    }
    tail.extend_from_slice(last(part, ends));
    let excess = tail.len().saturating_sub(ends);
    tail.drain(..excess);
}

/// The last `count` bytes.
fn last(bytes: &[u8], count: usize) -> &[u8] {
    bytes
        .get(bytes.len().saturating_sub(count)..)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn all(input: &[u8], capacity: usize, limit: usize) -> Vec<String> {
        let reader = tokio::io::BufReader::with_capacity(capacity, input);
        let mut lines = LineReader::new(reader, limit);
        let mut found = Vec::new();
        while let Some(line) = lines.next().await.unwrap() {
            found.push(match line {
                BoundedLine::Passing(_) => continue,
                BoundedLine::Whole(line) => String::from_utf8_lossy(line).into_owned(),
                BoundedLine::TooLong { head, tail } => format!(
                    "{}…{}",
                    String::from_utf8_lossy(head),
                    String::from_utf8_lossy(tail)
                ),
            });
        }
        found
    }

    #[tokio::test]
    async fn lines_are_the_same_for_every_chunk_size() {
        for capacity in [1, 2, 3, 7, 64] {
            assert_eq!(
                all(b"one\n\ntwo\nrest", capacity, 10).await,
                ["one", "", "two"]
            );
        }
    }

    #[tokio::test]
    async fn an_overlong_line_keeps_its_ends_and_the_next_line_is_whole() {
        let long = format!("HEAD{}TAIL\nnext\n", "x".repeat(5_000));
        for capacity in [1, 100, 4096, 10_000] {
            let found = all(long.as_bytes(), capacity, 1_000).await;
            assert_eq!(found.len(), 2, "capacity {capacity}");
            assert!(found[0].starts_with("HEADx") && found[0].ends_with("xTAIL"));
            assert_eq!(found[0].chars().count(), 2 * ENDS_BYTES + 1);
            assert_eq!(found[1], "next");
        }
    }
}
