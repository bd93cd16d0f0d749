//! [`RequestTracker`] and [`PendingRequest`]: the requests in flight, and the form of their results.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rmcp::model::{
    ClientJsonRpcMessage, ClientRequest, ErrorData, JsonRpcMessage, RequestId, ServerJsonRpcMessage,
};

use super::{
    super::{
        super::{
            decode::{MessageDecoder, RequestKind},
            envelope::text_of,
            unasked::UnsolicitedMessages,
            weight::{weight, weight_max},
        },
        body::json_rpc_error,
    },
    too_large,
};
use crate::{compute::in_place, json::read_lenient, secret::Redactor};

/// The requests in flight on one connection.
#[derive(Debug, Clone, Default)]
pub struct RequestTracker {
    /// The requests, by id.
    asked: Arc<Mutex<HashMap<RequestId, TrackedRequest>>>,
    /// Handles what the server sends unasked.
    pub(super) unasked: UnsolicitedMessages,
    /// Redacts secrets in the parts of an answer that are shown.
    pub(super) redactor: Redactor,
}

/// The properties of a request in flight.
#[derive(Debug, Clone, Copy)]
pub(super) struct TrackedRequest {
    /// The kind of the request.
    pub(super) kind: RequestKind,
    /// Whether its result passes through rmcp as text.
    pub(super) raw: bool,
}

impl RequestTracker {
    /// Creates an empty table. What the server sends unasked goes to `unasked`.
    pub fn new(unasked: UnsolicitedMessages, redactor: Redactor) -> Self {
        Self {
            asked: Arc::default(),
            unasked,
            redactor,
        }
    }

    /// Removes a request: its answer arrived, or will not arrive.
    pub fn forget(&self, id: &RequestId) {
        self.change(|asked| asked.remove(id));
    }

    /// Removes all requests, because their session is over.
    pub fn clear(&self) {
        self.change(HashMap::clear);
    }

    /// Removes and returns the request that an id answers. Some servers send a numeric id back as text.
    pub(super) fn take(&self, id: &RequestId) -> Option<(RequestId, TrackedRequest)> {
        self.change(|asked| {
            if let Some(found) = asked.remove_entry(id) {
                return Some(found);
            }
            match id {
                RequestId::String(text) => {
                    asked.remove_entry(&RequestId::Number(text.parse().ok()?))
                }
                RequestId::Number(_) => None,
            }
        })
    }

    /// Returns the requests in flight.
    pub(super) fn pending(&self) -> Vec<RequestId> {
        self.lock().keys().cloned().collect()
    }

    /// Whether a request is in flight.
    pub(super) fn has(&self, id: &RequestId) -> bool {
        self.lock().contains_key(id)
    }

    /// Changes the table and updates how large an answer may be.
    fn change<T>(&self, change: impl FnOnce(&mut HashMap<RequestId, TrackedRequest>) -> T) -> T {
        let mut asked = self.lock();
        let changed = change(&mut asked);
        let kinds = asked.values().map(|noted| &noted.kind);
        self.unasked
            .expect(RequestKind::largest(kinds, self.unasked.bounds()));
        changed
    }

    /// Locks the table. A poisoned lock is safe to use: no statement leaves the table half changed.
    pub(super) fn lock(&self) -> MutexGuard<'_, HashMap<RequestId, TrackedRequest>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request in flight. Its answer is expected until this value is dropped.
#[derive(Debug)]
pub struct PendingRequest {
    /// The request's id; `None` for a notification or an answer that the bridge sends.
    pub(super) id: Option<RequestId>,
    /// Whether the result stays text.
    raw: bool,
    /// Whether the answer may arrive on another stream after this one broke.
    pub(super) resumable: bool,
    /// The table that contains the id.
    calls: RequestTracker,
}

impl PendingRequest {
    /// Registers a message that is about to be sent. `modern` means MCP 2026-07-28 or later, in which rmcp
    /// itself has to read the tool list for the `x-mcp-header` annotations.
    pub fn new(message: &ClientJsonRpcMessage, modern: bool, calls: &RequestTracker) -> Self {
        let (id, raw) = match message {
            JsonRpcMessage::Request(request) => {
                let noted = TrackedRequest {
                    kind: RequestKind::of(&request.request),
                    raw: stays_raw(&request.request, modern),
                };
                calls.change(|asked| asked.insert(request.id.clone(), noted));
                (Some(request.id.clone()), noted.raw)
            }
            JsonRpcMessage::Notification(_)
            | JsonRpcMessage::Response(_)
            | JsonRpcMessage::Error(_) => (None, false),
        };
        Self {
            id,
            raw,
            resumable: false,
            calls: calls.clone(),
        }
    }

    /// The request's id.
    pub fn id(&self) -> Option<&RequestId> {
        self.id.as_ref()
    }

    /// Marks that the answer may arrive on another stream, so that dropping this value keeps the id.
    pub fn resumable(&mut self) {
        self.resumable = true;
    }

    /// Decodes a JSON body that answers `message`. Returns `None` if the body does not answer it.
    pub fn decode(
        &self,
        message: &ClientJsonRpcMessage,
        body: &[u8],
    ) -> Option<ServerJsonRpcMessage> {
        let is_list = matches!(
            message,
            JsonRpcMessage::Request(request)
                if matches!(request.request, ClientRequest::ListToolsRequest(_))
        );
        let unasked = &self.calls.unasked;
        let decoded = if is_list && !self.raw {
            let limit = unasked.bounds().tools_bytes_max;
            let read = || {
                let is_light = weight(body) <= weight_max(limit);
                is_light.then(|| read_lenient(&text_of(body)?).ok())
            };
            let Some(decoded) = in_place(body.len(), read) else {
                return self.refuse(too_large(limit));
            };
            decoded
        } else {
            let decoder = MessageDecoder::of_one(unasked.clone(), self.calls.redactor.clone());
            decoder.sent(message);
            decoder.received(body)
        };
        decoded.or_else(|| self.refuse(json_rpc_error(body)?))
    }

    /// Builds an answer that contains this error.
    pub fn refuse(&self, error: ErrorData) -> Option<ServerJsonRpcMessage> {
        Some(JsonRpcMessage::error(error, Some(self.id.clone()?)))
    }
}

impl Drop for PendingRequest {
    fn drop(&mut self) {
        if let (Some(id), false) = (&self.id, self.resumable) {
            self.calls.forget(id);
        }
    }
}

/// Whether the result of a request stays text.
fn stays_raw(request: &ClientRequest, modern: bool) -> bool {
    match request {
        ClientRequest::CallToolRequest(_) => true,
        ClientRequest::ListToolsRequest(_) => !modern,
        _ => false,
    }
}
