//! Progress of a call: delivers the server's progress messages to their listeners.
//!
//! This costs nothing for a call without a listener. A call with a listener carries a [`ProgressSink`] next to its
//! message, and on the wire a progress token that is unique on its connection. The transports pass on the
//! notifications in the order in which they arrive; rmcp would run a task for each notification and lose the
//! order.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use rmcp::{
    RoleClient,
    model::{
        ClientRequest, JsonRpcMessage, ProgressNotificationParam, ProgressToken, RequestId,
        RequestMetaObject,
    },
    service::TxJsonRpcMessage,
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use tokio::sync::watch;

/// The notification that carries a progress token.
const PROGRESS: &str = "notifications/progress";
/// The log notification, which names no call. Deprecated in 2026-07-28, but servers still send it.
const MESSAGE: &str = "notifications/message";

/// The largest notification that is parsed, in bytes. Parsed values take many times that size.
const MESSAGE_BYTES_MAX: usize = 64 << 10;
/// The limit for the text of a message, in bytes.
const TEXT_BYTES_MAX: usize = 4 << 10;

/// A progress message of a call.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ProgressMessage {
    /// The server's text.
    pub text: String,
    /// Whether the text was cut off.
    pub is_cut: bool,
    /// The progress so far.
    pub reached: Option<f64>,
    /// The total, if the server knows it.
    pub total: Option<f64>,
}

/// Receives the progress of one call. Only the latest message is kept: a slow reader misses earlier ones, and
/// memory does not grow.
#[derive(Debug)]
pub struct ProgressSink(watch::Sender<ProgressMessage>);

/// Travels next to a request that has a listener, never inside its message. The reference is weak, so that
/// messages after the end of the call are dropped.
#[derive(Debug, Clone)]
pub struct ProgressHandle(pub Weak<ProgressSink>);

/// The listeners of one connection.
#[derive(Debug, Clone, Default)]
pub struct ProgressRegistry(Arc<Mutex<HashMap<ProgressToken, ProgressListener>>>);

/// One listener.
#[derive(Debug)]
struct ProgressListener {
    /// The request whose progress is wanted.
    request: RequestId,
    /// The receiver.
    ear: Weak<ProgressSink>,
}

/// A log message that is passed on. Debug messages are not.
#[derive(Debug, Deserialize)]
struct LogMessage {
    /// `debug`, `info`, and so on.
    level: String,
    /// Any JSON value.
    data: Value,
}

impl ProgressSink {
    /// Creates a receiver and the channel from which its messages are read.
    pub fn new() -> (Arc<Self>, watch::Receiver<ProgressMessage>) {
        let (sender, receiver) = watch::channel(ProgressMessage::default());
        (Arc::new(Self(sender)), receiver)
    }

    /// Receives a message.
    fn hear(&self, progress: ProgressMessage) {
        self.0.send_replace(progress);
    }
}

/// Whether a notification is for [`ProgressRegistry`].
pub fn is_progress(method: &str) -> bool {
    matches!(method, PROGRESS | MESSAGE)
}

impl ProgressRegistry {
    /// Registers the listener of a message that is about to be sent, and removes listeners whose calls have
    /// ended.
    pub fn note(&self, message: &TxJsonRpcMessage<RoleClient>) {
        let JsonRpcMessage::Request(request) = message else {
            return;
        };
        let ClientRequest::CallToolRequest(call) = &request.request else {
            return;
        };
        let Some(ProgressHandle(ear)) = call.extensions.get::<ProgressHandle>() else {
            return;
        };
        let meta = call.extensions.get::<RequestMetaObject>();
        let Some(token) = meta.and_then(RequestMetaObject::get_progress_token) else {
            return;
        };
        let listening = ProgressListener {
            request: request.id.clone(),
            ear: Weak::clone(ear),
        };
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        table.retain(|_, it| it.ear.strong_count() > 0);
        table.insert(token, listening);
    }

    /// Delivers a notification to its listener. `request` returns the request that a notification without a
    /// token belongs to, or `None` if that is unknown.
    pub fn hear(&self, message: &[u8], request: impl FnOnce() -> Option<RequestId>) {
        let table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if table.is_empty() || message.len() > MESSAGE_BYTES_MAX {
            return;
        }
        if let Some(params) = params::<ProgressNotificationParam>(PROGRESS, message) {
            if let Some(ear) = of_token(&table, &params.progress_token) {
                ear.hear(ProgressMessage::of_progress(params));
            }
            return;
        }
        let Some(params) = params::<LogMessage>(MESSAGE, message) else {
            return;
        };
        let Some(request) = request().filter(|_| params.level != "debug") else {
            return;
        };
        let listening = table.values().find(|it| it.request == request);
        if let Some(ear) = listening.and_then(|it| it.ear.upgrade()) {
            ear.hear(ProgressMessage::of_text(words(params.data)));
        }
    }
}

impl ProgressMessage {
    /// Converts a progress notification.
    fn of_progress(params: ProgressNotificationParam) -> Self {
        Self {
            reached: Some(params.progress),
            total: params.total,
            ..Self::of_text(params.message.unwrap_or_default())
        }
    }

    /// Converts the text of a log message.
    fn of_text(mut text: String) -> Self {
        let is_cut = text.len() > TEXT_BYTES_MAX;
        text.truncate(text.floor_char_boundary(TEXT_BYTES_MAX));
        Self {
            text,
            is_cut,
            ..Self::default()
        }
    }
}

/// Finds the listener for a token. Some servers send a number back as text.
fn of_token(
    table: &HashMap<ProgressToken, ProgressListener>,
    token: &ProgressToken,
) -> Option<Arc<ProgressSink>> {
    let found = table.get(token).or_else(|| match &token.0 {
        RequestId::String(text) => table.get(&ProgressToken(RequestId::Number(text.parse().ok()?))),
        RequestId::Number(_) => None,
    });
    found?.ear.upgrade()
}

/// Parses the parameters of a notification, if its method matches.
fn params<T: DeserializeOwned>(method: &str, message: &[u8]) -> Option<T> {
    #[derive(Deserialize)]
    struct RawNotification<T> {
        method: String,
        params: T,
    }
    let notification: RawNotification<T> = serde_json::from_slice(message).ok()?;
    (notification.method == method).then_some(notification.params)
}

/// Returns the text of a log message: a text, or the text inside an object, as `FastMCP` sends it.
fn words(data: Value) -> String {
    match data {
        Value::String(text) => text,
        Value::Object(mut members) => {
            let text = ["msg", "message"].iter().find_map(|name| {
                let text = members.get_mut(*name)?;
                text.is_string().then(|| text.take())
            });
            match text {
                Some(Value::String(text)) => text,
                _ => Value::Object(members).to_string(),
            }
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use rmcp::model::{CallToolRequest, CallToolRequestParams};
    use serde_json::json;

    use super::*;

    /// A call with a token and a listener.
    fn call(id: i64, ear: &Arc<ProgressSink>) -> TxJsonRpcMessage<RoleClient> {
        let mut call = CallToolRequest::new(CallToolRequestParams::new("count"));
        let token = ProgressToken(RequestId::Number(id + 100));
        let meta = RequestMetaObject::with_progress_token(token);
        call.extensions.insert(meta);
        call.extensions.insert(ProgressHandle(Arc::downgrade(ear)));
        JsonRpcMessage::request(ClientRequest::CallToolRequest(call), RequestId::Number(id))
    }

    fn progress(token: &Value, text: &str) -> Vec<u8> {
        let params =
            json!({ "progressToken": token, "progress": 1, "total": 2.5, "message": text });
        json!({ "jsonrpc": "2.0", "method": PROGRESS, "params": params })
            .to_string()
            .into_bytes()
    }

    fn log(level: &str, data: &Value) -> Vec<u8> {
        json!({ "jsonrpc": "2.0", "method": MESSAGE, "params": { "level": level, "data": data } })
            .to_string()
            .into_bytes()
    }

    #[test]
    fn each_call_hears_of_itself_alone() {
        let ears = ProgressRegistry::default();
        let ((one, heard_one), (two, heard_two)) = (ProgressSink::new(), ProgressSink::new());
        ears.note(&call(1, &one));
        ears.note(&call(2, &two));
        ears.hear(&progress(&json!(101), "first"), || None);
        ears.hear(&progress(&json!("102"), "second"), || None);
        for unknown in [json!(103), json!("x"), json!(1), json!(null)] {
            ears.hear(&progress(&unknown, "lost"), || Some(RequestId::Number(1)));
        }
        assert_eq!(heard_one.borrow().text, "first");
        assert_eq!(heard_one.borrow().reached, Some(1.0));
        assert_eq!(heard_one.borrow().total, Some(2.5));
        assert_eq!(heard_two.borrow().text, "second");
    }

    #[test]
    fn a_log_message_is_heard_where_its_call_is_known() {
        let ears = ProgressRegistry::default();
        let (ear, mut heard) = ProgressSink::new();
        ears.note(&call(1, &ear));
        ears.hear(&log("info", &json!("whose?")), || None);
        ears.hear(&log("info", &json!("another's")), || {
            Some(RequestId::Number(2))
        });
        ears.hear(&log("debug", &json!("details")), || {
            Some(RequestId::Number(1))
        });
        assert!(!heard.has_changed().unwrap());
        for (data, expected) in [
            (json!("plain"), "plain"),
            (json!({ "msg": "of FastMCP", "extra": null }), "of FastMCP"),
            (json!({ "message": "named" }), "named"),
            (json!({ "n": 1 }), "{\"n\":1}"),
            (json!([1]), "[1]"),
        ] {
            ears.hear(&log("notice", &data), || Some(RequestId::Number(1)));
            assert_eq!(heard.borrow_and_update().text, expected);
        }
    }

    #[test]
    fn a_call_that_is_over_is_forgotten_and_long_words_are_cut() {
        let ears = ProgressRegistry::default();
        let (ear, heard) = ProgressSink::new();
        ears.note(&call(1, &ear));
        ears.hear(&progress(&json!(101), &"ü".repeat(9_000)), || None);
        assert!(heard.borrow().is_cut && heard.borrow().text.len() <= TEXT_BYTES_MAX);
        drop(ear);
        ears.hear(&progress(&json!(101), "too late"), || None);
        let (other, _heard) = ProgressSink::new();
        ears.note(&call(2, &other));
        assert_eq!(ears.0.lock().unwrap().len(), 1, "the first is gone");
    }
}
