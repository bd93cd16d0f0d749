//! Reads the event stream of one connection until it ends.

use std::{pin::pin, sync::Arc};

use futures::{Stream, StreamExt as _};
use rmcp::{RoleClient, model::RequestId, service::RxJsonRpcMessage};
use tokio::sync::mpsc;

use crate::mcp::decode::MessageDecoder;
use crate::mcp::http::{StreamItem, TransportError};
use crate::mcp::unasked::UnsolicitedMessages;

/// Puts every message of `stream` into `queue`, in order. Returns when the stream has ended; the queue then
/// closes.
pub async fn run(
    stream: impl Stream<Item = Result<StreamItem, reqwest::Error>> + Send,
    decoder: Arc<MessageDecoder>,
    queue: mpsc::Sender<RxJsonRpcMessage<RoleClient>>,
    unasked: UnsolicitedMessages,
) {
    let mut stream = pin!(stream);
    while let Some(frame) = stream.next().await {
        // The bridge stops reading from a server that does not read the answers.
        unasked.room().await;
        // A flood in one chunk must not block the other tasks of this thread.
        tokio::task::coop::consume_budget().await;
        let message = match frame {
            // Some servers use a different event name for their answers.
            Ok(StreamItem::Event(event)) if event.event == "message" || is_object(&event.data) => {
                let message = decoder.received(event.data.as_bytes());
                if message.is_none() {
                    tracing::debug!(bytes = event.data.len(), "skipped an event");
                }
                message
            }
            Ok(StreamItem::Event(event)) => {
                unasked.note(event.data.len());
                None
            }
            Ok(StreamItem::TooLarge(ends)) => refusal(&decoder, ends.id(), &unasked),
            Err(error) => {
                tracing::debug!(reason = %TransportError::from(error), "the event stream failed");
                return;
            }
        };
        let more = std::iter::from_fn(|| decoder.take_more());
        for message in message.into_iter().chain(more) {
            if queue.send(message).await.is_err() {
                return;
            }
        }
    }
}

/// Whether the data of an event may be a message.
fn is_object(data: &str) -> bool {
    data.trim_ascii_start().starts_with('{')
}

/// Builds the answer that replaces an event that is too large, if its request is known.
fn refusal(
    decoder: &MessageDecoder,
    id: Option<i64>,
    unasked: &UnsolicitedMessages,
) -> Option<RxJsonRpcMessage<RoleClient>> {
    let mut pending = decoder.pending();
    let named = id.map(RequestId::Number).filter(|id| pending.contains(id));
    let id = match (named, pending.len()) {
        (Some(id), _) => Some(id),
        (None, 1) => pending.pop(),
        (None, _) => None,
    };
    if id.is_none() {
        unasked.note(0);
        tracing::debug!("skipped an event that is too large");
    }
    Some(decoder.too_large(id?, unasked.message_bytes_max()))
}
