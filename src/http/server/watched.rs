//! [`WatchedStream`]: a connection that can be cut, and whose client must read its responses.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Sleep, sleep},
};

use super::connections::{ClientConnection, UNREAD_MAX};

/// A stream below TLS and HTTP.
///
/// While the client does not read, the bridge does not read from it either. Otherwise a client that
/// sends requests without end and reads no response could fill the memory.
#[derive(Debug)]
pub struct WatchedStream {
    stream: TcpStream,
    connection: Arc<ClientConnection>,
    /// The deadline of a blocked write. `None` if no write is blocked.
    blocked: Option<Pin<Box<Sleep>>>,
}

impl WatchedStream {
    /// Wraps a connection.
    pub fn new(stream: TcpStream, connection: Arc<ClientConnection>) -> Self {
        Self {
            stream,
            connection,
            blocked: None,
        }
    }

    /// Checks the outcome of a write. A write that is blocked for too long fails.
    fn wrote<T>(
        &mut self,
        context: &mut Context<'_>,
        outcome: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if outcome.is_ready() {
            if self.blocked.take().is_some() {
                self.connection.reader.wake();
            }
            return outcome;
        }
        if self.connection.is_cut() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        let deadline = self
            .blocked
            .get_or_insert_with(|| Box::pin(sleep(UNREAD_MAX)));
        if deadline.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Poll::Pending
    }
}

impl AsyncRead for WatchedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // The waker is registered first, so that a cut between the check and the read is not
        // missed.
        self.connection.reader.register(context.waker());
        if self.connection.is_cut() {
            // The reader sees the end of the stream.
            return Poll::Ready(Ok(()));
        }
        if self.blocked.is_some() {
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        let bytes = buffer.filled().len() - before;
        if read.is_pending() {
            self.connection.waits();
        }
        if bytes > 0 && !self.connection.may_read(bytes) {
            tracing::debug!("a client sends incomplete request heads; its connection is closed");
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        read
    }
}

impl AsyncWrite for WatchedStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.wrote(context, wrote)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.stream).poll_write_vectored(context, bytes);
        self.wrote(context, wrote)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

impl Drop for WatchedStream {
    fn drop(&mut self) {
        self.connection.closed();
    }
}
