//! Reads what a handler left of a request's body, before the answer goes out.
//!
//! A connection with unread bytes in it is closed after the answer, without a word of that in the
//! answer: a client that is still writing sees a broken pipe in its place, and one that keeps
//! connections finds this one dead at its next request.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::{Body, Bytes, HttpBody},
    extract::{ConnectInfo, Request},
};
use futures::StreamExt as _;
use http::{StatusCode, header};
use http_body::{Frame, SizeHint};
use tokio::{sync::oneshot, time::timeout};

use crate::http::connections::{Open, Peer};

/// How long a body that nobody wants is read on.
const LEFTOVER_TIMEOUT: Duration = Duration::from_secs(5);

/// How much of it, in bytes.
const LEFTOVER_BYTES_MAX: usize = 64 << 20;

/// The body of a request while a handler has it.
#[derive(Debug)]
pub struct Leftover {
    /// The request is open until it is read on, also where no handler wants it.
    _open: Option<Open>,
    /// What the handler leaves of the body.
    left: Option<oneshot::Receiver<Body>>,
}

impl Leftover {
    /// Lends the body of a request to a handler.
    pub fn lend(request: Request) -> (Request, Self) {
        let peer = request.extensions().get::<ConnectInfo<Peer>>();
        let open = peer.map(|ConnectInfo(peer)| peer.connection.open());
        // A client that waits for our word has not sent anything yet, and need not.
        if request.body().is_end_stream() || request.headers().contains_key(header::EXPECT) {
            let left = None;
            return (request, Self { _open: open, left });
        }
        let (give_back, left) = oneshot::channel();
        let request = request.map(|body| {
            Body::new(Lent {
                body: Some(body),
                give_back: Some(give_back),
            })
        });
        let left = Some(left);
        (request, Self { _open: open, left })
    }

    /// Reads what the handler left, within bounds, before its answer of this status goes out.
    pub async fn read(mut self, status: StatusCode) {
        // A client that was too slow once is not waited for again.
        if status != StatusCode::REQUEST_TIMEOUT
            && let Some(left) = &mut self.left
            && let Ok(body) = left.try_recv()
        {
            // Boxed: it is large, and rarely needed.
            Box::pin(discard(body)).await;
        }
    }
}

/// Reads a body without keeping it.
async fn discard(body: Body) {
    let mut chunks = body.into_data_stream();
    let mut left = LEFTOVER_BYTES_MAX;
    let reading = async {
        while let Some(Ok(chunk)) = chunks.next().await {
            left = left.saturating_sub(chunk.len());
            if left == 0 {
                return;
            }
        }
    };
    if timeout(LEFTOVER_TIMEOUT, reading).await.is_err() {
        tracing::debug!("a refused client goes on sending; its connection is closed");
    }
}

/// A body that comes back when its reader lets go of it before its end.
struct Lent {
    /// There until dropped.
    body: Option<Body>,
    /// Where it goes then.
    give_back: Option<oneshot::Sender<Body>>,
}

impl HttpBody for Lent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        match &mut self.body {
            Some(body) => Pin::new(body).poll_frame(context),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body
            .as_ref()
            .map_or_else(SizeHint::default, HttpBody::size_hint)
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let (Some(body), Some(give_back)) = (self.body.take(), self.give_back.take())
            && !body.is_end_stream()
        {
            // Nobody waits for it when the client is gone.
            drop(give_back.send(body));
        }
    }
}
