//! Reads what a server sends, by the method it answers.
//!
//! rmcp's own decoder tries twenty result types in turn and knows nothing of the request, so one
//! odd field loses a whole result or a whole tool list, and most of its time goes into types that
//! do not match. This one remembers the method of each request in flight. The answers to
//! `tools/call` and `tools/list` are not interpreted here at all: they travel as their own JSON
//! text inside [`ServerResult::CustomResult`], for [`raw_result`] to take out.

use std::{
    borrow::Cow,
    collections::HashMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use rmcp::{
    RoleClient,
    model::{
        ClientNotification, ClientRequest, CustomResult, DiscoverResult, ErrorCode, ErrorData,
        InitializeResult, JsonRpcMessage, RequestId, ServerResult,
    },
    service::{RxJsonRpcMessage, TxJsonRpcMessage},
};
use serde::Deserialize;
use serde_json::{Value, value::RawValue};

use super::progress::{Ears, is_progress};

/// Our JSON-RPC error code for an answer that is larger than the limit; in the range the
/// specification leaves to implementations.
pub const TOO_LARGE: ErrorCode = ErrorCode(-32_090);

/// What a request asked for, as far as its answer is decoded differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// `initialize`
    Initialize,
    /// `server/discover`
    Discover,
    /// `tools/call` and `tools/list`
    Raw,
    /// The rest: rmcp decides.
    Other,
}

/// The envelope of a JSON-RPC message; the result stays text.
#[derive(Deserialize)]
struct Envelope<'a> {
    /// Absent in notifications and in errors that nobody asked for.
    #[serde(default)]
    id: Option<RequestId>,
    /// Present in requests and notifications.
    #[serde(borrow, default)]
    method: Option<Cow<'a, str>>,
    /// Present in answers.
    #[serde(borrow, default)]
    result: Option<&'a RawValue>,
    /// Present in refusals.
    #[serde(default)]
    error: Option<ErrorData>,
}

/// The decoder of one connection.
#[derive(Debug, Default)]
pub struct Decoder {
    /// The requests in flight.
    kinds: Mutex<HashMap<RequestId, Kind>>,
    /// Who wants to hear of them.
    ears: Ears,
    /// Whether a request was given up: the server may still speak of it.
    has_given_up: AtomicBool,
    /// Whether a number that comes back as text is the same id.
    takes_text_ids: bool,
}

impl Decoder {
    /// A decoder for answers that can only be to one request: there a number that some servers
    /// send back as text is as good as the number. Among many requests it is not.
    pub fn of_one() -> Self {
        Self {
            takes_text_ids: true,
            ..Self::default()
        }
    }

    /// Notes a message that is about to be sent.
    pub fn sent(&self, message: &TxJsonRpcMessage<RoleClient>) {
        match message {
            JsonRpcMessage::Request(request) => {
                self.kinds()
                    .insert(request.id.clone(), Kind::of(&request.request));
                self.ears.note(message);
            }
            JsonRpcMessage::Notification(notification) => {
                // No answer is awaited after a cancellation, though one may come.
                if let ClientNotification::CancelledNotification(cancelled) =
                    &notification.notification
                    && let Some(id) = &cancelled.params.request_id
                {
                    self.forget(id);
                    self.has_given_up.store(true, Ordering::Relaxed);
                }
            }
            JsonRpcMessage::Response(_) | JsonRpcMessage::Error(_) => {}
        }
    }

    /// Forgets a request whose answer will not come or no longer matters.
    pub fn forget(&self, id: &RequestId) {
        self.kinds().remove(id);
    }

    /// The requests in flight.
    pub fn pending(&self) -> Vec<RequestId> {
        self.kinds().keys().cloned().collect()
    }

    /// Decodes one message. `None` for what is no JSON-RPC, for an answer to a question we never
    /// asked, and for notifications that nobody here listens to.
    pub fn received(&self, message: &[u8]) -> Option<RxJsonRpcMessage<RoleClient>> {
        let envelope: Envelope<'_> = serde_json::from_slice(message).ok()?;
        if let Some(method) = &envelope.method {
            if envelope.id.is_none() && is_progress(method) {
                self.ears.hear(message, || self.only_one());
                return None;
            }
            let wanted = envelope.id.is_some() || is_wanted(method);
            return if wanted {
                serde_json::from_slice(message).ok()
            } else {
                None
            };
        }
        let id = self.own_id(envelope.id?)?;
        if let Some(error) = envelope.error {
            self.forget(&id);
            return Some(JsonRpcMessage::error(error, Some(id)));
        }
        let raw = envelope.result?.get();
        let kind = self.kinds().remove(&id)?;
        Some(JsonRpcMessage::response(kind.decode(raw), id))
    }

    /// The refusal that takes the place of an answer which is larger than `limit` bytes.
    pub fn too_large(&self, id: RequestId, limit: usize) -> RxJsonRpcMessage<RoleClient> {
        self.forget(&id);
        let error = ErrorData::new(
            TOO_LARGE,
            format!("the answer is larger than {limit} bytes"),
            None,
        );
        JsonRpcMessage::error(error, Some(id))
    }

    /// The request in flight, if there is one alone and the server can speak of no other.
    fn only_one(&self) -> Option<RequestId> {
        let kinds = self.kinds();
        let is_clear = kinds.len() == 1 && !self.has_given_up.load(Ordering::Relaxed);
        kinds.keys().next().filter(|_| is_clear).cloned()
    }

    /// Finds the request an id answers.
    fn own_id(&self, id: RequestId) -> Option<RequestId> {
        let kinds = self.kinds();
        if kinds.contains_key(&id) {
            return Some(id);
        }
        match &id {
            RequestId::String(text) if self.takes_text_ids => {
                let number = RequestId::Number(text.parse().ok()?);
                kinds.contains_key(&number).then_some(number)
            }
            RequestId::String(_) | RequestId::Number(_) => None,
        }
    }

    /// The table, also after a panic elsewhere: it is always whole between two statements.
    fn kinds(&self) -> MutexGuard<'_, HashMap<RequestId, Kind>> {
        self.kinds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kind {
    /// What a request asks for.
    fn of(request: &ClientRequest) -> Self {
        match request {
            ClientRequest::CallToolRequest(_) | ClientRequest::ListToolsRequest(_) => Self::Raw,
            ClientRequest::InitializeRequest(_) => Self::Initialize,
            ClientRequest::DiscoverRequest(_) => Self::Discover,
            _ => Self::Other,
        }
    }

    /// Decodes the answer to such a request; what does not fit stays raw.
    fn decode(self, raw: &str) -> ServerResult {
        let typed = match self {
            Self::Raw => None,
            Self::Initialize => serde_json::from_str::<InitializeResult>(raw)
                .ok()
                .map(ServerResult::InitializeResult),
            Self::Discover => serde_json::from_str::<DiscoverResult>(raw)
                .ok()
                .map(ServerResult::DiscoverResult),
            Self::Other => serde_json::from_str(raw).ok(),
        };
        typed.unwrap_or_else(|| keep_raw(raw))
    }
}

/// Wraps a result's JSON text so that it passes through rmcp untouched.
pub fn keep_raw(raw: &str) -> ServerResult {
    ServerResult::CustomResult(CustomResult::new(Value::String(raw.to_owned())))
}

/// Takes the JSON text of a result out again. A result that rmcp decoded by its own rules (tool
/// lists over Streamable HTTP) is written back as JSON.
pub fn raw_result(result: ServerResult) -> Result<String, serde_json::Error> {
    match result {
        ServerResult::CustomResult(CustomResult(Value::String(raw))) => Ok(raw),
        other => serde_json::to_string(&other),
    }
}

/// Whether rmcp is to hear of a notification: the rest (resources, prompts) would only cost a task
/// each, and a server may send them by the thousand.
fn is_wanted(method: &str) -> bool {
    matches!(
        method,
        "notifications/tools/list_changed"
            | "notifications/subscriptions/acknowledged"
            | "notifications/cancelled"
    )
}
