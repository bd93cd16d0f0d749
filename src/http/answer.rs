//! [`ResponseBody`]: the body of a response, passed on in pieces as the client reads it.
//!
//! A body in one piece would be copied into the connection's buffers at once. The bridge could then
//! not tell how much of it the client has read.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use axum::body::{Body, Bytes, HttpBody};
use http_body::{Frame, SizeHint};

use super::{
    error::ApiError,
    sender::RequestSender,
    server::{ClientConnection, UnreadResponseGuard},
};
use crate::settings::{ResponseMemory, UNCOUNTED_BYTES};

/// The size of a piece, in bytes.
const PIECE: usize = 64 << 10;

/// How much of the end of a body is copied, in bytes. Without the copy, a buffer of the connection
/// that still holds one of the last pieces would keep the whole body in memory after it is no
/// longer counted.
const TAIL: usize = 256 << 10;

/// A body, with the memory that it counts for until it is read.
#[derive(Debug)]
pub struct ResponseBody {
    left: Bytes,
    /// Whether the rest is still a slice of a larger buffer.
    is_whole: bool,
    unread: Option<UnreadResponseGuard>,
    _held: Option<ResponseMemory>,
}

impl ResponseBody {
    /// Makes the body of a response.
    pub fn body(
        bytes: Bytes,
        unread: Option<UnreadResponseGuard>,
        held: Option<ResponseMemory>,
    ) -> Body {
        Body::new(Self {
            is_whole: bytes.len() > TAIL,
            left: bytes,
            unread,
            _held: held,
        })
    }
}

/// The body of a response. A large body is counted until the caller has read it. On a multiplexed
/// connection (HTTP/2) every body is counted, because the client decides for each stream when to
/// read it.
pub async fn counted(bytes: &Bytes, sender: &RequestSender) -> Result<Body, ApiError> {
    let size = bytes.len();
    let Some(seat) = &sender.seat else {
        return Ok(Body::from(Bytes::clone(bytes)));
    };
    if size <= UNCOUNTED_BYTES && !sender.is_multiplexed {
        return Ok(Body::from(Bytes::clone(bytes)));
    }
    // Boxed because the future is large and most answers are small.
    let held = Box::pin(seat.hold_answer(size)).await?;
    let unread = sender.connection.as_ref().map(ClientConnection::unread);
    Ok(ResponseBody::body(Bytes::clone(bytes), unread, held))
}

impl HttpBody for ResponseBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.left.is_empty() {
            return Poll::Ready(None);
        }
        if let Some(unread) = &self.unread {
            unread.moved();
        }
        if self.is_whole && self.left.len() <= TAIL {
            self.is_whole = false;
            self.left = Bytes::copy_from_slice(&self.left);
        }
        let size = self.left.len().min(PIECE);
        Poll::Ready(Some(Ok(Frame::data(self.left.split_to(size)))))
    }

    fn is_end_stream(&self) -> bool {
        self.left.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left.len() as u64)
    }
}
