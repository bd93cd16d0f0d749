//! Passes answers through rmcp's transport unchanged.
//!
//! rmcp decodes the events of a stream itself, without knowing the request, and would lose any result with an
//! unexpected field. The result of a tool call is therefore replaced by its own JSON text before rmcp sees
//! it: a text fits only [`CustomResult`](rmcp::model::CustomResult), and
//! [`raw_result`](crate::mcp::decode::raw_result) takes it out again.

mod asked;

use std::{
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::{Duration, Instant},
};

use rmcp::model::{ErrorData, JsonRpcMessage, RequestId, ServerJsonRpcMessage};
use sse_stream::Sse;

pub use self::asked::{PendingRequest, RequestTracker};
use super::{
    super::{
        aside,
        decode::{RequestKind, TOO_LARGE, unreadable},
        envelope::{
            MessageKind, RawMessage, ResponseContent, mended, messages_in, named_id, read_error,
            without_mark,
        },
        handshake,
        progress::{ProgressRegistry, is_progress},
        unasked::UnsolicitedMessages,
        weight::{weight, weight_max},
    },
    alive::SessionHealth,
    events::{DiscardedEvent, Event, StreamItem},
    failure::GONE,
};
use crate::compute::in_place;

/// The shortest delay before a stream is reopened that a server can ask for.
const RETRY_MIN: Duration = Duration::from_millis(250);
/// The longest such delay.
const RETRY_MAX: Duration = Duration::from_mins(1);

/// The error that replaces an answer which is too large.
pub fn too_large(bytes_max: usize) -> ErrorData {
    ErrorData::new(
        TOO_LARGE,
        format!("the answer is larger than {bytes_max} bytes"),
        None,
    )
}

/// Returns the text of an answer with this error.
fn refusal(error: ErrorData, id: RequestId) -> Option<String> {
    let refusal: ServerJsonRpcMessage = JsonRpcMessage::error(error, Some(id));
    serde_json::to_string(&refusal).ok()
}

/// Returns an answer that rmcp decodes itself, with the id as it was sent and the displayed members repaired.
fn typed(kind: RequestKind, id: &RequestId, result: &str) -> Option<String> {
    let lenient = match kind {
        RequestKind::Initialize => handshake::initialize_result(result)
            .and_then(|result| serde_json::to_string(&result).ok()),
        RequestKind::Discover => handshake::discover_result(result)
            .and_then(|result| serde_json::to_string(&result).ok()),
        RequestKind::Call | RequestKind::List | RequestKind::Other => None,
    };
    let (id, result) = (
        serde_json::to_string(id).ok()?,
        lenient.as_deref().unwrap_or(result),
    );
    Some(format!(
        r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#
    ))
}

/// Returns the position of a part inside its text.
fn place_of(part: &str, text: &str) -> Option<Range<usize>> {
    let start = part.as_ptr().addr().checked_sub(text.as_ptr().addr())?;
    let place = start..start + part.len();
    (text.get(place.clone()) == Some(part)).then_some(place)
}

/// Returns the part of a text without copying it.
fn cut(mut text: String, place: Range<usize>) -> String {
    text.truncate(place.end);
    text.drain(..place.start);
    text
}

/// Rewrites the events of one stream.
#[derive(Debug)]
pub struct EventRewriter {
    /// The requests in flight, some of whose results stay text.
    pub calls: RequestTracker,
    /// The listeners for progress.
    pub ears: ProgressRegistry,
    /// The request that this stream answers; `None` for a stream that the client opened by GET.
    pub asked: Option<PendingRequest>,
    /// Whether a broken stream can be resumed. This requires a session of MCP 2025-11-25 or older.
    pub sessions: bool,
    /// Records the delay of the answer.
    pub stall: DelayedAckDetector,
    /// When the head of the answer arrived.
    pub opened: Instant,
    /// The health of the session.
    pub health: SessionHealth,
    /// Whether the stream broke before its end.
    pub has_broken: bool,
}

impl EventRewriter {
    /// Converts a received frame into the event that rmcp sees.
    pub fn frame(&mut self, frame: StreamItem) -> Sse {
        match frame {
            StreamItem::Event(event) => in_place(event.data.len(), || self.event(event)),
            StreamItem::TooLarge(ends) => Sse {
                data: self.refusal(&ends),
                ..Sse::default()
            },
        }
    }

    /// Rewrites an event. An event that is not JSON-RPC keeps its id, which is needed to resume the stream,
    /// and loses its data (rmcp would treat a `connect` event as broken).
    fn event(&mut self, event: Event) -> Sse {
        if self.sessions && !event.id.is_empty() {
            self.asked.iter_mut().for_each(PendingRequest::resumable);
        }
        // Some servers use a different event name for their answers.
        let data = if without_mark(&event.data).starts_with(['{', '[']) {
            self.message(event.data)
        } else {
            self.unasked().note(event.data.len());
            None
        };
        let retry = event.retry.map(|wait| wait.clamp(RETRY_MIN, RETRY_MAX));
        Sse {
            event: None,
            data,
            id: (!event.id.is_empty()).then_some(event.id),
            retry: retry.and_then(|wait| u64::try_from(wait.as_millis()).ok()),
        }
    }

    /// Rewrites a JSON-RPC message. Only answers to requests in flight, and the few notifications that rmcp
    /// needs, are passed on.
    fn message(&mut self, data: String) -> Option<String> {
        let Some(envelope) = RawMessage::read(&data) else {
            return self.odd(&data);
        };
        match envelope.shape() {
            MessageKind::Request(id, method) => {
                self.unasked().request(id, &method, data.len());
                None
            }
            MessageKind::Notification(method) => {
                let is_for_rmcp = self.unasked().notification(&method, data.len());
                if is_progress(&method) {
                    // A message on the stream of a request refers to that request.
                    let own = self.asked.as_ref().and_then(|asked| asked.id.clone());
                    self.ears.hear(data.as_bytes(), || own);
                }
                is_for_rmcp.then_some(data)
            }
            MessageKind::Answer(id, ResponseContent::Result(result)) => {
                let place = place_of(result.get(), &data)?;
                // The stream of a request contains the answer to it.
                let id = id.or_else(|| self.own());
                self.result(&id?, place, data)
            }
            MessageKind::Answer(id, ResponseContent::Error(error)) => {
                let error = read_error(error.get());
                self.error(error, id.as_ref(), data.len())
            }
            MessageKind::Answer(Some(id), ResponseContent::Neither) => {
                self.unreadable(&id, "it has neither `result` nor `error`", &data)
            }
            MessageKind::Answer(None, ResponseContent::Neither) | MessageKind::Other => {
                self.unasked().note(data.len());
                None
            }
        }
    }

    /// Rewrites a text that is not one message: several messages, or one that is almost JSON. The first
    /// answer is passed on.
    fn odd(&mut self, data: &str) -> Option<String> {
        let text = without_mark(data);
        let mut messages = messages_in(text);
        messages.retain(|message| message.starts_with('{'));
        if !messages.is_empty() {
            let answers = messages
                .into_iter()
                .map(|message| self.message(message.to_owned()));
            return answers.fold(None, Option::or);
        }
        if let Some(mended) = mended(text).filter(|mended| RawMessage::read(mended).is_some()) {
            return self.message(mended);
        }
        let pending = self.calls.pending();
        if let Some(id) = named_id(&pending, text.as_bytes(), text.as_bytes()) {
            return self.unreadable(&id, "it is not valid JSON", text);
        }
        self.unasked().note(data.len());
        tracing::debug!(
            bytes = data.len(),
            "skipped an event that is not a JSON-RPC message"
        );
        None
    }

    /// The request of this stream, until it is answered.
    fn own(&self) -> Option<RequestId> {
        let own = self.asked.as_ref().and_then(|asked| asked.id.clone());
        own.filter(|own| self.calls.has(own))
    }

    /// Builds the error that replaces an answer which cannot be decoded.
    fn unreadable(&self, id: &RequestId, reason: &str, text: &str) -> Option<String> {
        let Some((id, _)) = self.calls.take(id) else {
            self.unasked().note(text.len());
            return None;
        };
        self.unasked().answered(text.len());
        refusal(unreadable(reason, text, &self.calls.redactor), id)
    }

    /// Builds the event that replaces an error which only says that the session is gone.
    pub fn gone(&mut self) -> Option<Sse> {
        let id = self.own()?;
        self.calls.forget(&id);
        let words = "the server no longer knows the session";
        let data = refusal(ErrorData::new(GONE, words, None), id)?;
        Some(Sse {
            data: Some(data),
            ..Sse::default()
        })
    }

    /// Records that the stream broke: the missing part is lost, and the answer itself is not at fault.
    pub fn breaks(&mut self) {
        self.has_broken = true;
    }

    /// Builds the last event of a stream: an answer, if none arrived and none can arrive later.
    pub fn ended(&mut self) -> Option<Sse> {
        if self.has_broken || self.asked.as_ref().is_some_and(|asked| asked.resumable) {
            return None;
        }
        let id = self.own()?;
        let data = self.unreadable(&id, "it ended the answer without a result", "")?;
        Some(Sse {
            data: Some(data),
            ..Sse::default()
        })
    }

    /// Rewrites the result of a request in flight.
    fn result(&mut self, id: &RequestId, place: Range<usize>, data: String) -> Option<String> {
        let Some((id, noted)) = self.calls.take(id) else {
            self.unasked().note(data.len());
            return None;
        };
        self.unasked().answered(data.len());
        self.health.works();
        let limit = noted.kind.bytes_max(self.unasked().bounds());
        let result = data.get(place.clone())?;
        let is_heavy = !noted.raw && weight(result.as_bytes()) > weight_max(limit);
        if result.len() > limit || is_heavy {
            return refusal(too_large(limit), id);
        }
        if !noted.raw {
            return typed(noted.kind, &id, result);
        }
        let text = if result.len() > aside::LARGE_BYTES {
            serde_json::to_string(&aside::put(cut(data, place)))
        } else {
            serde_json::to_string(result)
        };
        self.answered();
        let (id, text) = (serde_json::to_string(&id).ok()?, text.ok()?);
        Some(format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{text}}}"#))
    }

    /// Rewrites an error. It answers the request of this stream, whatever id it carries.
    fn error(&self, error: ErrorData, id: Option<&RequestId>, size: usize) -> Option<String> {
        let answered = id.and_then(|id| self.calls.take(id)).map(|(id, _)| id);
        let Some(id) = answered.or_else(|| self.own()) else {
            self.unasked().note(size);
            return None;
        };
        self.calls.forget(&id);
        self.unasked().answered(size);
        refusal(error, id)
    }

    /// The handler for what the server sends unasked.
    fn unasked(&self) -> &UnsolicitedMessages {
        &self.calls.unasked
    }

    /// Builds the answer that replaces an event which is too large.
    fn refusal(&mut self, ends: &DiscardedEvent) -> Option<String> {
        let own = self.asked.as_ref().and_then(|asked| asked.id.clone());
        let id = own.or_else(|| ends.id().map(RequestId::Number));
        let Some(id) = id else {
            tracing::debug!("skipped an event that is too large");
            return None;
        };
        let limit = self.unasked().message_bytes_max();
        if self.calls.take(&id).is_none() {
            self.unasked().note(0);
            return None;
        }
        refusal(too_large(limit), id)
    }

    /// Records that the stream has delivered its answer.
    fn answered(&mut self) {
        if let Some(asked) = &mut self.asked {
            asked.resumable = false;
            self.stall.note(self.opened.elapsed());
        }
    }
}

/// Detects a server whose socket waits for a delayed acknowledgment. If the server does not set `TCP_NODELAY`
/// (axum's default), each answer by event stream on a reused connection arrives 40 ms after its head. On a
/// new connection the kernel acknowledges at once, so the bridge then stops reusing connections.
#[derive(Debug, Clone, Default)]
pub struct DelayedAckDetector(Arc<AtomicU8>);

impl DelayedAckDetector {
    /// After this many delayed answers without a fast one, the delay is considered systematic.
    const CERTAIN: u8 = 12;

    /// Records how long after its head an answer arrived.
    fn note(&self, gap: Duration) {
        if self.is_certain() {
            return;
        }
        let count = self.0.load(Ordering::Relaxed);
        let count = match gap.as_millis() {
            38..=50 => count.saturating_add(1),
            // A fast answer disproves the delay. A longer gap may come from a busy machine or a slow tool.
            0..20 => 0,
            _ => count,
        };
        self.0.store(count, Ordering::Relaxed);
        if self.is_certain() {
            tracing::info!(
                "the server delays each answer by 40 ms on reused connections (it does not set \
                 TCP_NODELAY); connections to it are no longer reused"
            );
        }
    }

    /// Whether connections should not be reused.
    pub fn is_certain(&self) -> bool {
        self.0.load(Ordering::Relaxed) >= Self::CERTAIN
    }
}

#[cfg(test)]
mod tests;
