//! [`Acceptor`]: connections whose first bytes have a deadline.
//!
//! hyper bounds the head of an HTTP/1 request, but first it tells HTTP/1 from HTTP/2 by as many
//! bytes as both may share, and waits for those without end.

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

/// What an HTTP/2 client sends first (RFC 9113 §3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Wraps the connections of another acceptor.
#[derive(Debug, Clone)]
pub struct Acceptor<A> {
    /// The other one.
    inner: A,
    /// For the bytes that tell the protocol.
    limit: Duration,
}

impl<A> Acceptor<A> {
    /// Gives the connections of `inner` so long.
    pub fn new(inner: A, limit: Duration) -> Self {
        Self { inner, limit }
    }
}

impl<A, I, S> Accept<I, S> for Acceptor<A>
where
    A: Accept<I, S>,
    A::Future: Send + 'static,
    A::Stream: Send,
    A::Service: Send,
{
    type Stream = Impatient<A::Stream>;
    type Service = A::Service;
    type Future = BoxFuture<'static, io::Result<(Self::Stream, Self::Service)>>;

    fn accept(&self, stream: I, service: S) -> Self::Future {
        let accepting = self.inner.accept(stream, service);
        let limit = self.limit;
        Box::pin(async move {
            let (stream, service) = accepting.await?;
            Ok((Impatient::new(stream, limit), service))
        })
    }
}

/// A connection that fails to be read when its first bytes do not come.
#[derive(Debug)]
pub struct Impatient<S> {
    /// The connection.
    stream: S,
    /// The deadline; gone once the protocol can be told.
    deadline: Option<Pin<Box<Sleep>>>,
    /// How many bytes of [`PREFACE`] have come.
    matched: usize,
}

impl<S> Impatient<S> {
    /// Starts the clock.
    fn new(stream: S, limit: Duration) -> Self {
        Self {
            stream,
            deadline: Some(Box::pin(sleep(limit))),
            matched: 0,
        }
    }

    /// Looks at bytes as they come.
    fn saw(&mut self, bytes: &[u8]) {
        let expected = PREFACE.iter().skip(self.matched);
        let alike = expected.zip(bytes).take_while(|(a, b)| a == b).count();
        self.matched += alike;
        if alike < bytes.len() || self.matched == PREFACE.len() {
            self.deadline = None;
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Impatient<S> {
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

impl<S: AsyncWrite + Unpin> AsyncWrite for Impatient<S> {
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
