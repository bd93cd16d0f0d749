//! Reads the rest of a request body that a handler did not read, before the response is sent.
//!
//! The HTTP server closes a connection with unread bytes after the response, and the response does
//! not announce it. A client that is still writing would get a broken pipe instead of the response.
//! A client that keeps the connection alive would find it closed at its next request.

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

use crate::http::server::{ClientPeer, OpenRequestGuard};

/// How long the rest of a body is read.
const LEFTOVER_TIMEOUT: Duration = Duration::from_secs(5);

/// How much of it is read, in bytes.
const LEFTOVER_BYTES_MAX: usize = 64 << 20;

/// The body of a request while a handler uses it.
#[derive(Debug)]
pub struct LeftoverBody {
    /// Keeps the request open until its body is read, even if no handler reads it.
    _open: Option<OpenRequestGuard>,
    /// Receives the part of the body that the handler did not read.
    left: Option<oneshot::Receiver<Body>>,
}

impl LeftoverBody {
    /// Lends the body of a request to a handler.
    pub fn lend(request: Request) -> (Request, Self) {
        let peer = request.extensions().get::<ConnectInfo<ClientPeer>>();
        let open = peer.map(|ConnectInfo(peer)| peer.connection.open());
        // A client that waits for `100 Continue` has not sent its body yet and does not have to.
        if request.body().is_end_stream() || request.headers().contains_key(header::EXPECT) {
            let left = None;
            return (request, Self { _open: open, left });
        }
        let (give_back, left) = oneshot::channel();
        let request = request.map(|body| {
            Body::new(RecoverableBody {
                body: Some(body),
                give_back: Some(give_back),
            })
        });
        let left = Some(left);
        (request, Self { _open: open, left })
    }

    /// Reads the rest of the body, within the bounds, before the response with this status is sent.
    pub async fn read(mut self, status: StatusCode) {
        // A client whose body already timed out gets no second wait.
        if status != StatusCode::REQUEST_TIMEOUT
            && let Some(left) = &mut self.left
            && let Ok(body) = left.try_recv()
        {
            // Boxed because the future is large and rarely needed.
            Box::pin(discard(body)).await;
        }
    }
}

/// Reads a body and discards it.
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
        tracing::debug!(
            "a client kept sending the body of a refused request; its connection is closed"
        );
    }
}

/// A body that is handed back if its reader drops it before its end.
struct RecoverableBody {
    /// The body. It is `None` only after the drop.
    body: Option<Body>,
    /// Receives the body on drop.
    give_back: Option<oneshot::Sender<Body>>,
}

impl HttpBody for RecoverableBody {
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

impl Drop for RecoverableBody {
    fn drop(&mut self) {
        if let (Some(body), Some(give_back)) = (self.body.take(), self.give_back.take())
            && !body.is_end_stream()
        {
            // If the client is gone, the receiver is gone too.
            drop(give_back.send(body));
        }
    }
}
