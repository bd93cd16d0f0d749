//! [`Answer`]: the body of an answer, handed out in pieces as its reader takes them.
//!
//! A body in one piece would be copied into the buffers of the connection at once, and nothing would
//! tell how much of it is still there.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use axum::body::{Body, Bytes, HttpBody};
use http_body::{Frame, SizeHint};

use super::{
    connections::{Connection, Unread},
    error::ApiError,
    gate::{Held, UNCOUNTED_BYTES},
    sender::Sender,
};

/// The size of a piece, in bytes.
const PIECE: usize = 64 << 10;

/// The last pieces are copied, in bytes: a buffer of the connection that holds one of them would
/// otherwise keep the whole answer, which is counted no more.
const TAIL: usize = 256 << 10;

/// A body, and what it holds until it is taken.
#[derive(Debug)]
pub struct Answer {
    left: Bytes,
    /// Whether what is left is a part of something larger.
    is_whole: bool,
    unread: Option<Unread>,
    _held: Option<Held>,
}

impl Answer {
    /// The body of an answer.
    pub fn body(bytes: Bytes, unread: Option<Unread>, held: Option<Held>) -> Body {
        Body::new(Self {
            is_whole: bytes.len() > TAIL,
            left: bytes,
            unread,
            _held: held,
        })
    }
}

/// The body of an answer. A large one is counted until its caller has read it, and so is every one
/// that shares its connection with others: there a client decides for each when it reads.
pub async fn counted(bytes: &Bytes, sender: &Sender) -> Result<Body, ApiError> {
    let size = bytes.len();
    let Some(seat) = &sender.seat else {
        return Ok(Body::from(Bytes::clone(bytes)));
    };
    if size <= UNCOUNTED_BYTES && !sender.is_multiplexed {
        return Ok(Body::from(Bytes::clone(bytes)));
    }
    // Boxed: it is large, and most answers are small.
    let held = Box::pin(seat.hold_answer(size)).await?;
    let unread = sender.connection.as_ref().map(Connection::unread);
    Ok(Answer::body(Bytes::clone(bytes), unread, held))
}

impl HttpBody for Answer {
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
