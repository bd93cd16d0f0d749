//! Reads what a server sends, by the method it answers.
//!
//! rmcp's own decoder tries twenty result types in turn and knows nothing of the request, so one
//! odd field loses a whole result or a whole tool list, and most of its time goes into types that
//! do not match. This one remembers the method of each request in flight. The answers to
//! `tools/call` and `tools/list` are not interpreted here at all: they travel as their own JSON
//! text inside [`ServerResult::CustomResult`], for [`raw_result`] to take out.

use std::{
    borrow::Cow,
    collections::{HashMap, VecDeque},
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
use serde::{Deserialize, de::Error as _};
use serde_json::{Value, value::RawValue};

use super::{
    aside,
    progress::{Ears, is_progress},
    unasked::{Bounds, ID_BYTES_MAX, Unasked},
    weight::{weight, weight_max},
};
use crate::compute::in_place;

/// Our JSON-RPC error code for an answer that is larger than the limit; in the range the
/// specification leaves to implementations.
pub const TOO_LARGE: ErrorCode = ErrorCode(-32_090);

/// The largest answer to anything but `tools/call` and `tools/list`, in bytes.
const OTHER_BYTES_MAX: usize = 2 << 20;
/// As much of the message of an error is kept, in bytes.
const ERROR_TEXT_BYTES_MAX: usize = 64 << 10;
/// The largest `data` of an error that is kept, in bytes; more is left out.
const ERROR_DATA_BYTES_MAX: usize = 256 << 10;
/// Requests that were given up and whose answers may still come.
const GIVEN_UP_MAX: usize = 1_024;

/// What a request asked for, as far as its answer is decoded differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `initialize`
    Initialize,
    /// `server/discover`
    Discover,
    /// `tools/call`
    Call,
    /// `tools/list`
    List,
    /// The rest: rmcp decides.
    Other,
}

/// The envelope of a JSON-RPC message; the result stays text.
#[derive(Deserialize)]
struct Envelope<'a> {
    /// Absent in notifications and in errors that nobody asked for.
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    /// Present in requests and notifications.
    #[serde(borrow, default)]
    method: Option<Cow<'a, str>>,
    /// Present in answers.
    #[serde(borrow, default)]
    result: Option<&'a RawValue>,
    /// Present in refusals.
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
}

/// A JSON-RPC error; the data stays text until it is known to be small.
#[derive(Deserialize)]
struct RawError<'a> {
    /// The code.
    code: ErrorCode,
    /// The server's words.
    #[serde(borrow)]
    message: Cow<'a, str>,
    /// Anything.
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
}

/// The decoder of one connection.
#[derive(Debug, Default)]
pub struct Decoder {
    /// The requests in flight.
    kinds: Mutex<HashMap<RequestId, Kind>>,
    /// Requests that were given up, the oldest first: an answer that comes late is no flood.
    given_up: Mutex<VecDeque<RequestId>>,
    /// What the server sends unasked.
    unasked: Unasked,
    /// Who wants to hear of them.
    ears: Ears,
    /// Whether a request was given up: the server may still speak of it.
    has_given_up: AtomicBool,
    /// Whether a number that comes back as text is the same id.
    takes_text_ids: bool,
}

impl Decoder {
    /// A decoder for a connection; what its server sends unasked goes to `unasked`.
    pub fn new(unasked: Unasked) -> Self {
        Self {
            unasked,
            ..Self::default()
        }
    }

    /// A decoder for answers that can only be to one request: there a number that some servers
    /// send back as text is as good as the number. Among many requests it is not.
    pub fn of_one(unasked: Unasked) -> Self {
        Self {
            takes_text_ids: true,
            ..Self::new(unasked)
        }
    }

    /// Notes a message that is about to be sent.
    pub fn sent(&self, message: &TxJsonRpcMessage<RoleClient>) {
        match message {
            JsonRpcMessage::Request(request) => {
                self.change(|kinds| {
                    kinds.insert(request.id.clone(), Kind::of(&request.request));
                });
                self.ears.note(message);
            }
            JsonRpcMessage::Notification(notification) => {
                // No answer is awaited after a cancellation, though one may come.
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

    /// Forgets a request that was cancelled; its answer may be on its way.
    fn give_up(&self, id: &RequestId) {
        self.forget(id);
        self.has_given_up.store(true, Ordering::Relaxed);
        let mut given_up = lock(&self.given_up);
        if given_up.len() == GIVEN_UP_MAX {
            given_up.pop_front();
        }
        given_up.push_back(id.clone());
    }

    /// Whether an id is of a request that was given up. It is then forgotten.
    fn is_late(&self, id: &RequestId) -> bool {
        if !self.has_given_up.load(Ordering::Relaxed) {
            return false;
        }
        let mut given_up = lock(&self.given_up);
        let found = given_up.iter().position(|late| late == id);
        found.is_some_and(|place| given_up.remove(place).is_some())
    }

    /// The requests in flight.
    pub fn pending(&self) -> Vec<RequestId> {
        self.kinds().keys().cloned().collect()
    }

    /// Decodes one message. `None` for all that is no answer to a request of ours: it is counted, and
    /// answered where it has to be, by [`Unasked`].
    pub fn received(&self, message: &[u8]) -> Option<RxJsonRpcMessage<RoleClient>> {
        in_place(message.len(), || self.read(message))
    }

    /// [`Decoder::received`], on this thread.
    fn read(&self, message: &[u8]) -> Option<RxJsonRpcMessage<RoleClient>> {
        let size = message.len();
        // An array would be read as the members of the envelope, in order.
        let is_object = message.trim_ascii_start().starts_with(b"{");
        let envelope = is_object.then(|| serde_json::from_slice::<Envelope<'_>>(message));
        let Some(Ok(envelope)) = envelope else {
            self.unasked.note(size);
            return None;
        };
        match (envelope.method, envelope.id.map(read_id)) {
            (Some(method), Some(Some(id))) => {
                self.unasked.request(id, &method, size);
                None
            }
            (Some(method), None) => self.notified(&method, message),
            (None, Some(Some(id))) => {
                let answer = self.answer(&id, envelope.result, envelope.error);
                if answer.is_some() || self.is_late(&id) {
                    self.unasked.answered(size);
                } else {
                    self.unasked.note(size);
                }
                answer
            }
            (_, Some(None)) | (None, None) => {
                self.unasked.note(size);
                None
            }
        }
    }

    /// Takes a notification; rmcp gets what it needs itself.
    fn notified(&self, method: &str, message: &[u8]) -> Option<RxJsonRpcMessage<RoleClient>> {
        let is_for_rmcp = self.unasked.notification(method, message.len());
        if is_progress(method) {
            self.ears.hear(message, || self.only_one());
        }
        is_for_rmcp
            .then(|| serde_json::from_slice(message).ok())
            .flatten()
    }

    /// The answer to a request in flight.
    fn answer(
        &self,
        id: &RequestId,
        result: Option<&RawValue>,
        error: Option<&RawValue>,
    ) -> Option<RxJsonRpcMessage<RoleClient>> {
        let id = self.own_id(id)?;
        if let Some(error) = error {
            let error = read_error(error.get())?;
            self.forget(&id);
            return Some(JsonRpcMessage::error(error, Some(id)));
        }
        let raw = result?.get();
        let kind = self.change(|kinds| kinds.remove(&id))?;
        let limit = kind.bytes_max(self.unasked.bounds());
        if raw.len() > limit || (!kind.is_text() && weight(raw.as_bytes()) > weight_max(limit)) {
            return Some(self.too_large(id, limit));
        }
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
    fn own_id(&self, id: &RequestId) -> Option<RequestId> {
        let kinds = self.kinds();
        if kinds.contains_key(id) {
            return Some(id.clone());
        }
        match id {
            RequestId::String(text) if self.takes_text_ids => {
                let number = RequestId::Number(text.parse().ok()?);
                kinds.contains_key(&number).then_some(number)
            }
            RequestId::String(_) | RequestId::Number(_) => None,
        }
    }

    /// Changes the table, and notes how large an answer may come now.
    fn change<T>(&self, change: impl FnOnce(&mut HashMap<RequestId, Kind>) -> T) -> T {
        let mut kinds = self.kinds();
        let changed = change(&mut kinds);
        // One for a single answer knows nothing of the others on its connection.
        if !self.takes_text_ids {
            let bounds = self.unasked.bounds();
            self.unasked.expect(Kind::largest(kinds.values(), bounds));
        }
        changed
    }

    /// The table.
    fn kinds(&self) -> MutexGuard<'_, HashMap<RequestId, Kind>> {
        lock(&self.kinds)
    }
}

/// Locks a table, also after a panic elsewhere: they are whole between two statements.
fn lock<T>(table: &Mutex<T>) -> MutexGuard<'_, T> {
    table.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Reads an id; `None` for what is none, or is longer than any that is answered. rmcp would read it into
/// a value first, and a list of numbers in its place would take all memory.
pub fn read_id(raw: &RawValue) -> Option<RequestId> {
    let text = raw.get();
    match text.parse() {
        Ok(number) => Some(RequestId::Number(number)),
        Err(_) if text.len() > ID_BYTES_MAX => None,
        Err(_) => serde_json::from_str(text).ok(),
    }
}

/// Reads a JSON-RPC error. A long message is cut, and `data` that is large is left out.
pub fn read_error(raw: &str) -> Option<ErrorData> {
    let error: RawError<'_> = serde_json::from_str(raw).ok()?;
    let mut message = error.message.into_owned();
    message.truncate(message.floor_char_boundary(ERROR_TEXT_BYTES_MAX));
    let data = error
        .data
        .filter(|data| data.get().len() <= ERROR_DATA_BYTES_MAX)
        .and_then(|data| serde_json::from_str(data.get()).ok());
    Some(ErrorData::new(error.code, message, data))
}

impl Kind {
    /// What a request asks for.
    pub fn of(request: &ClientRequest) -> Self {
        match request {
            ClientRequest::CallToolRequest(_) => Self::Call,
            ClientRequest::ListToolsRequest(_) => Self::List,
            ClientRequest::InitializeRequest(_) => Self::Initialize,
            ClientRequest::DiscoverRequest(_) => Self::Discover,
            _ => Self::Other,
        }
    }

    /// Whether its result stays text, which weighs what it has in bytes.
    fn is_text(self) -> bool {
        matches!(self, Self::Call | Self::List)
    }

    /// The largest result of such a request, in bytes.
    pub fn bytes_max(self, bounds: Bounds) -> usize {
        let bytes = match self {
            Self::Call => bounds.result_bytes_max,
            Self::List => bounds.tools_bytes_max,
            Self::Initialize | Self::Discover | Self::Other => OTHER_BYTES_MAX,
        };
        bytes.min(bounds.result_bytes_max)
    }

    /// The largest answer to any of these, in bytes; 0 for none.
    pub fn largest<'a>(kinds: impl Iterator<Item = &'a Self>, bounds: Bounds) -> usize {
        let mut largest = 0;
        for kind in kinds {
            largest = largest.max(kind.bytes_max(bounds));
            // The common case, and nothing is larger.
            if *kind == Self::Call {
                break;
            }
        }
        largest
    }

    /// Decodes the answer to such a request; what does not fit stays raw.
    fn decode(self, raw: &str) -> ServerResult {
        let typed = match self {
            Self::Call | Self::List => None,
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
        ServerResult::CustomResult(CustomResult(Value::String(raw))) => {
            aside::take(raw).ok_or_else(|| serde_json::Error::custom("the result is gone"))
        }
        other => serde_json::to_string(&other),
    }
}

/// One request of each kind, with its id, for the fuzz target and the property test.
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
    use rmcp::model::{
        CallToolRequest, CallToolRequestParams, CancelledNotification, CancelledNotificationParam,
        ClientJsonRpcMessage,
    };

    use super::*;

    /// A decoder that was asked for a call with this id.
    fn asked(id: i64) -> Decoder {
        let decoder = Decoder::default();
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
            r#"{"jsonrpc":"2.0","id":null,"error":{"code":1,"message":"no"}}"#,
            r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#,
            r#"[{"jsonrpc":"2.0","id":1,"result":{}}]"#,
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
    fn an_error_brings_few_words_and_little_data() {
        let decoder = asked(1);
        let text = format!(
            r#"{{"jsonrpc":"2.0","id":1,"error":{{"code":-1,"message":"{}","data":[{}0]}}}}"#,
            "ü".repeat(100_000),
            "0,".repeat(200_000)
        );
        let Some(JsonRpcMessage::Error(error)) = decoder.received(text.as_bytes()) else {
            panic!("no error");
        };
        assert!(error.error.message.len() <= ERROR_TEXT_BYTES_MAX);
        assert_eq!(error.error.data, None);
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
