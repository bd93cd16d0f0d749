//! [`DeadlineAcceptor`]: connections with a deadline for their first bytes.
//!
//! hyper bounds the time for the head of an HTTP/1 request. But before that it reads the bytes that
//! distinguish HTTP/1 from HTTP/2, and it waits for those without a limit.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use axum_server::accept::Accept;
use futures::future::BoxFuture;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep},
};

/// The first bytes that an HTTP/2 client sends (RFC 9113 §3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Adds the deadline to the connections of another acceptor.
#[derive(Debug, Clone)]
pub struct DeadlineAcceptor<A> {
    /// The other acceptor.
    inner: A,
    /// The time limit for the bytes that identify the protocol.
    limit: Duration,
}

impl<A> DeadlineAcceptor<A> {
    /// Adds this time limit to the connections of `inner`.
    pub fn new(inner: A, limit: Duration) -> Self {
        Self { inner, limit }
    }
}

impl<A, I, S> Accept<I, S> for DeadlineAcceptor<A>
where
    A: Accept<I, S>,
    A::Future: Send + 'static,
    A::Stream: Send,
    A::Service: Send,
{
    type Stream = DeadlineStream<A::Stream>;
    type Service = A::Service;
    type Future = BoxFuture<'static, io::Result<(Self::Stream, Self::Service)>>;

    fn accept(&self, stream: I, service: S) -> Self::Future {
        let accepting = self.inner.accept(stream, service);
        let limit = self.limit;
        Box::pin(async move {
            let (stream, service) = accepting.await?;
            Ok((DeadlineStream::new(stream, limit), service))
        })
    }
}

/// A connection whose reads fail if its first bytes do not arrive in time.
#[derive(Debug)]
pub struct DeadlineStream<S> {
    /// The connection.
    stream: S,
    /// The deadline. It is removed once the protocol is known.
    deadline: Option<Pin<Box<Sleep>>>,
    /// The number of bytes of [`PREFACE`] that have arrived.
    matched: usize,
}

impl<S> DeadlineStream<S> {
    /// Starts the deadline.
    fn new(stream: S, limit: Duration) -> Self {
        Self {
            stream,
            deadline: Some(Box::pin(sleep(limit))),
            matched: 0,
        }
    }

    /// Compares arriving bytes with the preface.
    fn saw(&mut self, bytes: &[u8]) {
        let expected = PREFACE.iter().skip(self.matched);
        let alike = expected.zip(bytes).take_while(|(a, b)| a == b).count();
        self.matched += alike;
        if alike < bytes.len() || self.matched == PREFACE.len() {
            self.deadline = None;
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for DeadlineStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Some(deadline) = &mut self.deadline else {
            return Pin::new(&mut self.stream).poll_read(context, buffer);
        };
        if deadline.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        self.saw(buffer.filled().get(before..).unwrap_or_default());
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for DeadlineStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
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
        Pin::new(&mut self.stream).poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
