//! The events of a body, rewritten for rmcp.

use std::time::Instant;

use futures::{
    StreamExt as _,
    future::ready,
    stream::{BoxStream, once},
};
use http::{
    Version,
    header::{CONTENT_LENGTH, TRANSFER_ENCODING},
};
use reqwest::Response;
use rmcp::transport::streamable_http_client::SseError;
use sse_stream::Sse;

use super::{
    super::{
        alive::{PingOutcome, SessionPing, tells_of_session},
        answers::{EventRewriter, PendingRequest},
        body,
        events::{StreamItem, frames},
    },
    HttpEndpoint,
};

impl HttpEndpoint {
    /// Returns the events of a body, rewritten.
    pub(super) fn stream(
        &self,
        response: Response,
        asked: Option<PendingRequest>,
        sessions: bool,
        ping: Option<SessionPing>,
    ) -> BoxStream<'static, Result<Sse, SseError>> {
        let mut rewriter = EventRewriter {
            calls: self.0.calls.clone(),
            ears: self.0.ears.clone(),
            asked,
            sessions,
            stall: self.0.stall.clone(),
            opened: Instant::now(),
            health: self.0.health.clone(),
            // A body that ends with its connection may be truncated.
            has_broken: !is_framed(&response),
        };
        let last = self.0.last.clone();
        let unasked = self.0.unasked.clone();
        let health = self.0.health.clone();
        let open = rewriter.asked.is_none().then(|| health.stream());
        let frames = frames(Box::pin(response.bytes_stream()), unasked.clone());
        frames
            .then(move |frame| {
                // The bridge stops reading from a server that does not read the answers.
                let (unasked, ping) = (unasked.clone(), ping.clone());
                let has_worked = health.has_worked();
                async move {
                    unasked.room().await;
                    // A flood in one chunk must not block the other tasks of this thread.
                    tokio::task::coop::consume_budget().await;
                    let is_gone = match (&frame, ping) {
                        (Ok(frame), Some(ping)) if has_worked && is_suspect(frame) => {
                            Box::pin(ping.send()).await != PingOutcome::Lives
                        }
                        _ => false,
                    };
                    (frame, is_gone)
                }
            })
            .map(Some)
            .chain(once(ready(None)))
            .filter_map(move |frame| {
                let _open = &open;
                let event = match frame {
                    Some((Ok(_), true)) => rewriter.gone().map(Ok),
                    Some((Ok(frame), false)) => Some(Ok(rewriter.frame(frame))),
                    Some((Err(error), _)) => {
                        rewriter.breaks();
                        let failure = last.note(error.into());
                        Some(Err(SseError::Body(Box::new(failure))))
                    }
                    None => rewriter.ended().map(Ok),
                };
                ready(event)
            })
            .boxed()
    }
}

/// Whether the message framing marks the end of a body, so that a closed connection is not the only sign (RFC
/// 9112, section 6.3).
fn is_framed(response: &Response) -> bool {
    let headers = response.headers();
    response.version() > Version::HTTP_11
        || headers.contains_key(TRANSFER_ENCODING)
        || headers.contains_key(CONTENT_LENGTH)
}

/// Whether an event is a small error about the session.
fn is_suspect(frame: &StreamItem) -> bool {
    match frame {
        StreamItem::Event(event) => {
            event.data.len() <= body::REFUSAL_BYTES_MAX && tells_of_session(&event.data)
        }
        StreamItem::TooLarge(_) => false,
    }
}
