//! Decodes what a server sends, by the method of the request.
//!
//! rmcp's own decoder tries twenty result types in turn and does not know the request. One unexpected field
//! therefore loses a whole result or a whole tool list, and most of the decoder's time goes into types that
//! do not match. This decoder remembers the method of each request in flight. It does not interpret the
//! answers to `tools/call` and `tools/list`: they pass through rmcp as their own JSON text inside
//! [`ServerResult::CustomResult`], and [`raw_result`] takes that text out again.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use rmcp::{
    RoleClient,
    model::{
        ClientNotification, ClientRequest, CustomResult, ErrorCode, ErrorData, JsonRpcMessage,
        RequestId, ServerResult,
    },
    service::{RxJsonRpcMessage, TxJsonRpcMessage},
};
use serde::de::Error as _;
use serde_json::Value;

use super::{
    aside,
    envelope::{self, MessageKind, RawMessage, ResponseContent},
    handshake,
    preview::preview,
    progress::{ProgressRegistry, is_progress},
    unasked::{AnswerLimits, UnsolicitedMessages},
    weight::{weight, weight_max},
};
use crate::{compute::in_place, secret::Redactor};

/// The bridge's JSON-RPC error code for an answer above the size limit. It is in the range that the
/// specification reserves for implementations.
pub const TOO_LARGE: ErrorCode = ErrorCode(-32_090);

/// The bridge's JSON-RPC error code for an answer that cannot be decoded.
pub const UNREADABLE: ErrorCode = ErrorCode(-32_091);

/// The method that lists tools.
pub const LIST: &str = "tools/list";

/// The size limit for answers to all methods except `tools/call` and `tools/list`, in bytes.
const OTHER_BYTES_MAX: usize = 2 << 20;
/// The maximum number of canceled requests whose answers may still arrive.
const GIVEN_UP_MAX: usize = 1_024;
/// How long an answer without an id may belong to a canceled request.
const GIVEN_UP_FOR: Duration = Duration::from_secs(30);

/// The kind of a request. Each kind has its own way of decoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestKind {
    /// `initialize`
    Initialize,
    /// `server/discover`
    Discover,
    /// `tools/call`
    Call,
    /// `tools/list`
    List,
    /// All others: rmcp decodes them.
    Other,
}

/// The decoder of one connection.
#[derive(Debug, Default)]
pub struct MessageDecoder {
    /// The requests in flight.
    kinds: Mutex<HashMap<RequestId, RequestKind>>,
    /// Canceled requests, oldest first. An answer that arrives late for one does not count as unrequested.
    given_up: Mutex<VecDeque<(RequestId, Instant)>>,
    /// Further answers that arrived in one message with another answer.
    more: Mutex<VecDeque<RxJsonRpcMessage<RoleClient>>>,
    /// Handles what the server sends unasked.
    unasked: UnsolicitedMessages,
    /// The listeners for progress.
    ears: ProgressRegistry,
    /// Whether a request was canceled: the server may still send an answer to it.
    has_given_up: AtomicBool,
    /// Whether this decoder handles the answer to one request only.
    is_for_one: bool,
    /// Whether a request after `initialize` was answered. Until then an error without an id may refer to the
    /// notification that the session is ready.
    has_answered: AtomicBool,
    /// Redacts secrets in the parts of an answer that are shown.
    redactor: Redactor,
}

impl MessageDecoder {
    /// Creates a decoder for a connection. What the server sends unasked goes to `unasked`.
    pub fn new(unasked: UnsolicitedMessages, redactor: Redactor) -> Self {
        Self {
            unasked,
            redactor,
            ..Self::default()
        }
    }

    /// Creates a decoder for the answer to one request on a connection that carries others too.
    pub fn of_one(unasked: UnsolicitedMessages, redactor: Redactor) -> Self {
        Self {
            is_for_one: true,
            ..Self::new(unasked, redactor)
        }
    }

    /// Records a message that is about to be sent.
    pub fn sent(&self, message: &TxJsonRpcMessage<RoleClient>) {
        match message {
            JsonRpcMessage::Request(request) => {
                self.change(|kinds| {
                    kinds.insert(request.id.clone(), RequestKind::of(&request.request));
                });
                self.ears.note(message);
            }
            JsonRpcMessage::Notification(notification) => {
                // The bridge does not wait for an answer after a cancellation, but one may arrive.
                if let ClientNotification::CancelledNotification(cancelled) =
                    &notification.notification
                    && let Some(id) = &cancelled.params.request_id
                {
                    self.give_up(id);
                }
            }
            JsonRpcMessage::Response(_) | JsonRpcMessage::Error(_) => {}
        }
    }

    /// Forgets a request whose answer will not come or no longer matters.
    pub fn forget(&self, id: &RequestId) {
        self.change(|kinds| {
            kinds.remove(id);
        });
    }

    /// Marks a canceled request. Its answer may still arrive.
    fn give_up(&self, id: &RequestId) {
        self.forget(id);
        self.has_given_up.store(true, Ordering::Relaxed);
        let mut given_up = lock(&self.given_up);
        if given_up.len() == GIVEN_UP_MAX {
            given_up.pop_front();
        }
        given_up.push_back((id.clone(), Instant::now()));
    }

    /// Whether an id belongs to a canceled request. The request is then forgotten.
    fn is_late(&self, id: &RequestId) -> bool {
        if !self.has_given_up.load(Ordering::Relaxed) {
            return false;
        }
        let mut given_up = lock(&self.given_up);
        let found = given_up.iter().position(|(late, _)| late == id);
        found.is_some_and(|place| given_up.remove(place).is_some())
    }

    /// Returns the requests in flight.
    pub fn pending(&self) -> Vec<RequestId> {
        self.kinds().keys().cloned().collect()
    }

    /// Decodes one message. Returns `None` for messages that do not answer a request: [`UnsolicitedMessages`] counts them
    /// and answers them if necessary.
    pub fn received(&self, message: &[u8]) -> Option<RxJsonRpcMessage<RoleClient>> {
        in_place(message.len(), || self.read(message))
    }

    /// Returns a further answer from the message that [`MessageDecoder::received`] decoded.
    pub fn take_more(&self) -> Option<RxJsonRpcMessage<RoleClient>> {
        lock(&self.more).pop_front()
    }

    /// Does the work of [`MessageDecoder::received`] on the current thread.
    fn read(&self, message: &[u8]) -> Option<RxJsonRpcMessage<RoleClient>> {
        let Some(text) = envelope::text_of(message) else {
            return self.named(message, "");
        };
        if let Some(envelope) = RawMessage::read(&text) {
            return self.take(envelope, &text);
        }
        let messages = envelope::messages_in(&text);
        if !messages.is_empty() {
            return self.take_all(&messages);
        }
        if let Some(mended) = envelope::mended(&text)
            && let Some(envelope) = RawMessage::read(&mended)
        {
            return self.take(envelope, &mended);
        }
        self.named(message, &text)
    }

    /// Handles a message that cannot be read. It fails the request that the message names.
    fn named(&self, message: &[u8], text: &str) -> Option<RxJsonRpcMessage<RoleClient>> {
        let Some(id) = envelope::named_id(&self.pending(), message, message) else {
            self.unasked.note(message.len());
            return None;
        };
        self.unasked.answered(message.len());
        Some(self.unreadable(id, "it is not valid JSON", text))
    }

    /// Handles one message.
    fn take(&self, envelope: RawMessage<'_>, text: &str) -> Option<RxJsonRpcMessage<RoleClient>> {
        let size = text.len();
        match envelope.shape() {
            MessageKind::Request(id, method) => {
                self.unasked.request(id, &method, size);
                None
            }
            MessageKind::Notification(method) => self.notified(&method, text.as_bytes()),
            MessageKind::Answer(id, outcome) => {
                let own = match &id {
                    Some(id) => self.own_id(id),
                    None => self.nameless(outcome),
                };
                let answer = own.and_then(|id| self.answer(id, outcome, text));
                if answer.is_some() || id.is_some_and(|id| self.is_late(&id)) {
                    self.unasked.answered(size);
                } else {
                    self.unasked.note(size);
                }
                answer
            }
            MessageKind::Other => {
                self.unasked.note(size);
                None
            }
        }
    }

    /// Handles all messages of one text. Returns the first answer; [`MessageDecoder::take_more`] returns the others.
    fn take_all(&self, messages: &[&str]) -> Option<RxJsonRpcMessage<RoleClient>> {
        let mut first = None;
        for message in messages {
            let Some(envelope) = RawMessage::read(message) else {
                self.unasked.note(message.len());
                continue;
            };
            match self.take(envelope, message) {
                Some(answer) if first.is_some() => lock(&self.more).push_back(answer),
                Some(answer) => first = Some(answer),
                None => {}
            }
        }
        first
    }

    /// Handles a notification. rmcp receives only the notifications that it needs.
    fn notified(&self, method: &str, message: &[u8]) -> Option<RxJsonRpcMessage<RoleClient>> {
        let is_for_rmcp = self.unasked.notification(method, message.len());
        if is_progress(method) {
            self.ears.hear(message, || self.only_one());
        }
        is_for_rmcp
            .then(|| serde_json::from_slice(message).ok())
            .flatten()
    }

    /// Decodes the answer to a request in flight.
    fn answer(
        &self,
        id: RequestId,
        outcome: ResponseContent<'_>,
        text: &str,
    ) -> Option<RxJsonRpcMessage<RoleClient>> {
        let raw = match outcome {
            ResponseContent::Error(error) => {
                self.forget(&id);
                let error = envelope::read_error(error.get());
                return Some(JsonRpcMessage::error(error, Some(id)));
            }
            ResponseContent::Neither => {
                let reason = "it has neither `result` nor `error`";
                return Some(self.unreadable(id, reason, text));
            }
            ResponseContent::Result(raw) => raw.get(),
        };
        let kind = self.change(|kinds| kinds.remove(&id))?;
        if kind != RequestKind::Initialize {
            self.has_answered.store(true, Ordering::Relaxed);
        }
        let limit = kind.bytes_max(self.unasked.bounds());
        if raw.len() > limit || (!kind.is_text() && weight(raw.as_bytes()) > weight_max(limit)) {
            return Some(self.too_large(id, limit));
        }
        Some(JsonRpcMessage::response(kind.decode(raw), id))
    }

    /// Finds the request that an answer without an id belongs to: the only one in flight, if the server
    /// cannot mean another one (JSON-RPC 2.0, section 5: an error has no id if the request's id could not be
    /// read). A result must name its request.
    fn nameless(&self, outcome: ResponseContent<'_>) -> Option<RequestId> {
        if !matches!(outcome, ResponseContent::Error(_)) {
            return None;
        }
        let kinds = self.kinds();
        let (id, kind) = kinds.iter().next().filter(|_| kinds.len() == 1)?;
        // The first error before any answer may refer to `notifications/initialized`.
        let is_first =
            *kind == RequestKind::List && !self.has_answered.swap(true, Ordering::Relaxed);
        let gave_up = lock(&self.given_up).back().map(|(_, when)| when.elapsed());
        let is_clear = !is_first && gave_up.is_none_or(|since| since > GIVEN_UP_FOR);
        is_clear.then(|| id.clone())
    }

    /// Builds the error that replaces an answer which cannot be decoded.
    pub fn unreadable(
        &self,
        id: RequestId,
        reason: &str,
        text: &str,
    ) -> RxJsonRpcMessage<RoleClient> {
        self.forget(&id);
        let error = unreadable(reason, text, &self.redactor);
        JsonRpcMessage::error(error, Some(id))
    }

    /// Builds the error that replaces an answer larger than `limit` bytes.
    pub fn too_large(&self, id: RequestId, limit: usize) -> RxJsonRpcMessage<RoleClient> {
        self.forget(&id);
        let error = ErrorData::new(
            TOO_LARGE,
            format!("the answer is larger than {limit} bytes"),
            None,
        );
        JsonRpcMessage::error(error, Some(id))
    }

    /// Returns the request in flight, if there is only one and the server cannot mean another one.
    fn only_one(&self) -> Option<RequestId> {
        let kinds = self.kinds();
        let is_clear = kinds.len() == 1 && !self.has_given_up.load(Ordering::Relaxed);
        kinds.keys().next().filter(|_| is_clear).cloned()
    }

    /// Finds the request that an id answers. Some servers send a number back as text.
    fn own_id(&self, id: &RequestId) -> Option<RequestId> {
        let kinds = self.kinds();
        if kinds.contains_key(id) {
            return Some(id.clone());
        }
        match id {
            RequestId::String(text) => {
                let number = RequestId::Number(text.parse().ok()?);
                kinds.contains_key(&number).then_some(number)
            }
            RequestId::Number(_) => None,
        }
    }

    /// Changes the table and updates how large an answer may be.
    fn change<T>(&self, change: impl FnOnce(&mut HashMap<RequestId, RequestKind>) -> T) -> T {
        let mut kinds = self.kinds();
        let changed = change(&mut kinds);
        // A decoder for a single answer does not know the other requests on its connection.
        if !self.is_for_one {
            let bounds = self.unasked.bounds();
            self.unasked
                .expect(RequestKind::largest(kinds.values(), bounds));
        }
        changed
    }

    /// Locks the table.
    fn kinds(&self) -> MutexGuard<'_, HashMap<RequestId, RequestKind>> {
        lock(&self.kinds)
    }
}

/// Locks a table. A poisoned lock is safe to use: no statement leaves a table half changed.
fn lock<T>(table: &Mutex<T>) -> MutexGuard<'_, T> {
    table.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Builds the error for an answer that cannot be decoded. It quotes the beginning of the answer.
pub fn unreadable(reason: &str, text: &str, redactor: &Redactor) -> ErrorData {
    let preview = preview(text.as_bytes(), redactor);
    let message = if preview.is_empty() {
        reason.to_owned()
    } else {
        format!("{reason}: {preview}")
    };
    ErrorData::new(UNREADABLE, message, None)
}

impl RequestKind {
    /// Returns the kind of a request.
    pub fn of(request: &ClientRequest) -> Self {
        match request {
            ClientRequest::CallToolRequest(_) => Self::Call,
            ClientRequest::ListToolsRequest(_) => Self::List,
            ClientRequest::InitializeRequest(_) => Self::Initialize,
            ClientRequest::DiscoverRequest(_) => Self::Discover,
            // A page whose cursor is not a text.
            ClientRequest::CustomRequest(request) if request.method == LIST => Self::List,
            _ => Self::Other,
        }
    }

    /// Whether the result stays text, so that its weight equals its size in bytes.
    fn is_text(self) -> bool {
        matches!(self, Self::Call | Self::List)
    }

    /// Returns the size limit for the result of such a request, in bytes.
    pub fn bytes_max(self, bounds: AnswerLimits) -> usize {
        let bytes = match self {
            Self::Call => bounds.result_bytes_max,
            Self::List => bounds.tools_bytes_max,
            Self::Initialize | Self::Discover | Self::Other => OTHER_BYTES_MAX,
        };
        bytes.min(bounds.result_bytes_max)
    }

    /// Returns the largest size limit of these kinds, in bytes; 0 if there are none.
    pub fn largest<'a>(kinds: impl Iterator<Item = &'a Self>, bounds: AnswerLimits) -> usize {
        let mut largest = 0;
        for kind in kinds {
            largest = largest.max(kind.bytes_max(bounds));
            // This is the common case, and no other kind has a higher limit.
            if *kind == Self::Call {
                break;
            }
        }
        largest
    }

    /// Decodes the answer to such a request. An answer that does not fit stays raw.
    fn decode(self, raw: &str) -> ServerResult {
        let typed = match self {
            Self::Call | Self::List => None,
            Self::Initialize => {
                handshake::initialize_result(raw).map(ServerResult::InitializeResult)
            }
            Self::Discover => handshake::discover_result(raw).map(ServerResult::DiscoverResult),
            Self::Other => serde_json::from_str(raw).ok(),
        };
        typed.unwrap_or_else(|| keep_raw(raw))
    }
}

/// Wraps a result's JSON text so that it passes through rmcp untouched.
pub fn keep_raw(raw: &str) -> ServerResult {
    ServerResult::CustomResult(CustomResult::new(Value::String(raw.to_owned())))
}

/// Takes the JSON text of a result out again. A result that rmcp decoded itself (tool lists over Streamable
/// HTTP) is serialized again.
pub fn raw_result(result: ServerResult) -> Result<String, serde_json::Error> {
    match result {
        ServerResult::CustomResult(CustomResult(Value::String(raw))) => {
            aside::take(raw).ok_or_else(|| serde_json::Error::custom("the result is gone"))
        }
        other => serde_json::to_string(&other),
    }
}

/// Returns one request of each kind with its id, for the fuzz target and the property test.
#[cfg(any(test, fuzzing))]
pub fn requests_of_each_kind() -> [(i64, ClientRequest); 3] {
    use rmcp::model::{
        CallToolRequest, CallToolRequestParams, ClientConfig, InitializeRequest, ListToolsRequest,
    };
    let call = CallToolRequest::new(CallToolRequestParams::new("t"));
    [
        (
            0,
            ClientRequest::InitializeRequest(InitializeRequest::new(ClientConfig::default())),
        ),
        (
            1,
            ClientRequest::ListToolsRequest(ListToolsRequest::default()),
        ),
        (2, ClientRequest::CallToolRequest(call)),
    ]
}

#[cfg(test)]
mod tests {
    use rmcp::{
        model::{
            CallToolRequest, CallToolRequestParams, CancelledNotification,
            CancelledNotificationParam, ClientJsonRpcMessage,
        },
        service::ServiceError,
    };

    use super::*;
    use crate::mcp::http::{
        call_error,
        testing::{LIMIT, assert_answer, odd_answer, odd_answers},
    };

    /// A decoder with a call of this id in flight.
    fn asked(id: i64) -> MessageDecoder {
        let decoder = MessageDecoder::default();
        let call = CallToolRequest::new(CallToolRequestParams::new("t"));
        let request = ClientRequest::CallToolRequest(call);
        let message: ClientJsonRpcMessage = JsonRpcMessage::request(request, RequestId::Number(id));
        decoder.sent(&message);
        decoder
    }

    #[test]
    fn what_was_not_asked_for_is_no_message() {
        let decoder = asked(1);
        let list_id = format!(r#"{{"id":[{}0],"method":"ping"}}"#, "0,".repeat(1_000));
        let long_id = format!(r#"{{"id":"{}","method":"ping"}}"#, "i".repeat(1_000));
        for text in [
            r#"{"jsonrpc":"2.0","id":2,"result":{}}"#,
            r#"{"jsonrpc":"2.0","id":2,"error":{"code":1,"message":"no"}}"#,
            r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#,
            r#"{"level":"error","error":null}"#,
            r#"{"jsonrpc":"2.0","id":null,"result":{}}"#,
            r#"[1,"ping"]"#,
            "null",
            "",
            &list_id,
            &long_id,
        ] {
            assert!(decoder.received(text.as_bytes()).is_none(), "{text}");
        }
        assert!(decoder.unasked.take_owed().is_none());
        let answer = br#"{"jsonrpc":"2.0","id":1,"result":{}}"#;
        assert!(decoder.received(answer).is_some());
        assert!(decoder.received(answer).is_none(), "once");
    }

    #[test]
    fn an_answer_with_our_id_ends_its_call() {
        for (number, (text, expected)) in odd_answers().iter().enumerate() {
            let decoder = asked(1);
            let answer = odd_answer(&format!("odd {number}"), 1).unwrap();
            let got = match decoder.received(answer.as_bytes()) {
                Some(JsonRpcMessage::Response(response)) => {
                    Ok(raw_result(response.result).unwrap())
                }
                Some(JsonRpcMessage::Error(error)) => {
                    Err(call_error(ServiceError::McpError(error.error), LIMIT))
                }
                other => panic!("{text}: {other:?}"),
            };
            assert_answer(&got, expected, text);
            assert!(decoder.pending().is_empty(), "{text}");
        }
    }

    #[test]
    fn answers_of_one_message_come_one_after_the_other() {
        let decoder = asked(1);
        let call = CallToolRequest::new(CallToolRequestParams::new("t"));
        let second = ClientRequest::CallToolRequest(call);
        decoder.sent(&JsonRpcMessage::request(second, RequestId::Number(2)));
        let both = br#"[{"id":2,"result":{}},{"id":1,"result":{}},{"id":3,"result":{}}]"#;
        let answered = |message: Option<RxJsonRpcMessage<RoleClient>>| match message {
            Some(JsonRpcMessage::Response(response)) => Some(response.id),
            _ => None,
        };
        assert_eq!(answered(decoder.received(both)), Some(RequestId::Number(2)));
        assert_eq!(answered(decoder.take_more()), Some(RequestId::Number(1)));
        assert!(decoder.take_more().is_none());
    }

    #[test]
    fn an_error_without_an_id_is_given_to_the_only_request_that_it_can_be_for() {
        let error = br#"{"id":null,"error":{"code":-1,"message":"no"}}"#;
        let list = || {
            let list = ClientRequest::ListToolsRequest(rmcp::model::ListToolsRequest::default());
            JsonRpcMessage::request(list, RequestId::Number(2))
        };
        let two = asked(1);
        two.sent(&list());
        assert!(two.received(error).is_none(), "two are in flight");
        let ready = MessageDecoder::default();
        ready.sent(&list());
        assert!(
            ready.received(error).is_none(),
            "it may be about `initialized`"
        );
        assert!(ready.received(error).is_some(), "and the next one is not");
        let cancelled = asked(1);
        cancelled.give_up(&RequestId::Number(7));
        assert!(
            cancelled.received(error).is_none(),
            "it may be about what was given up"
        );
    }

    #[test]
    fn a_late_answer_to_a_cancelled_call_is_no_flood() {
        for id in 0..100 {
            let decoder = asked(id);
            let param = CancelledNotificationParam::new(Some(RequestId::Number(id)), None);
            let cancelled = CancelledNotification::new(param);
            let message: ClientJsonRpcMessage = JsonRpcMessage::notification(cancelled.into());
            decoder.sent(&message);
            let late = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{}}}}"#);
            assert!(decoder.is_late(&RequestId::Number(id)));
            assert!(!decoder.is_late(&RequestId::Number(id)), "once");
            assert!(decoder.received(late.as_bytes()).is_none());
        }
    }
}
