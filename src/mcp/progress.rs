//! What a server says of a call while it works on it, brought to whoever asked to hear it.
//!
//! Nothing of this costs a call that nobody listens to. One that is listened to carries an [`Ear`]
//! beside its message, and on the wire a progress token that is unique on its connection. The
//! transports hand over what they read in the order it came; rmcp would run a task for each
//! notification, and lose the order.

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

/// The notification that names a progress token.
const PROGRESS: &str = "notifications/progress";
/// The notification that names no call; deprecated in 2026-07-28, and sent until it is gone.
const MESSAGE: &str = "notifications/message";

/// The largest notification that is read, in bytes: read into values, it would be many times as large.
const MESSAGE_BYTES_MAX: usize = 64 << 10;
/// As much of a server's words is kept, in bytes.
const TEXT_BYTES_MAX: usize = 4 << 10;

/// What a server says of a call on its way.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Progress {
    /// In its own words.
    pub text: String,
    /// Whether that is only the beginning of them.
    pub is_cut: bool,
    /// How far it is.
    pub reached: Option<f64>,
    /// Out of how much, if it knows.
    pub total: Option<f64>,
}

/// Hears what is said of one call. Only the latest is kept: whoever reads slowly misses what was
/// said before, and nothing grows.
#[derive(Debug)]
pub struct Ear(watch::Sender<Progress>);

/// Goes with a request that is listened to, never in its message. Weak, so that nobody hears of a
/// call that is over.
#[derive(Debug, Clone)]
pub struct Heard(pub Weak<Ear>);

/// Who hears what on one connection.
#[derive(Debug, Clone, Default)]
pub struct Ears(Arc<Mutex<HashMap<ProgressToken, Listening>>>);

/// Somebody who listens.
#[derive(Debug)]
struct Listening {
    /// The request they want to hear of.
    request: RequestId,
    /// Where they hear it.
    ear: Weak<Ear>,
}

/// A log message, as far as it is told: what is for developers alone is not.
#[derive(Debug, Deserialize)]
struct LogMessage {
    /// `debug`, `info`, and so on.
    level: String,
    /// Anything.
    data: Value,
}

impl Ear {
    /// An ear, and where what it hears can be read.
    pub fn new() -> (Arc<Self>, watch::Receiver<Progress>) {
        let (sender, receiver) = watch::channel(Progress::default());
        (Arc::new(Self(sender)), receiver)
    }

    /// Hears something.
    fn hear(&self, progress: Progress) {
        self.0.send_replace(progress);
    }
}

/// Whether a notification is for [`Ears`].
pub fn is_progress(method: &str) -> bool {
    matches!(method, PROGRESS | MESSAGE)
}

impl Ears {
    /// Notes who listens to a message that is about to be sent, and forgets those whose calls are over.
    pub fn note(&self, message: &TxJsonRpcMessage<RoleClient>) {
        let JsonRpcMessage::Request(request) = message else {
            return;
        };
        let ClientRequest::CallToolRequest(call) = &request.request else {
            return;
        };
        let Some(Heard(ear)) = call.extensions.get::<Heard>() else {
            return;
        };
        let meta = call.extensions.get::<RequestMetaObject>();
        let Some(token) = meta.and_then(RequestMetaObject::get_progress_token) else {
            return;
        };
        let listening = Listening {
            request: request.id.clone(),
            ear: Weak::clone(ear),
        };
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        table.retain(|_, it| it.ear.strong_count() > 0);
        table.insert(token, listening);
    }

    /// Hands a notification to whoever listens. `request` is the one it belongs to where it names
    /// none itself; `None`: nobody can tell.
    pub fn hear(&self, message: &[u8], request: impl FnOnce() -> Option<RequestId>) {
        let table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if table.is_empty() || message.len() > MESSAGE_BYTES_MAX {
            return;
        }
        if let Some(params) = params::<ProgressNotificationParam>(PROGRESS, message) {
            if let Some(ear) = of_token(&table, &params.progress_token) {
                ear.hear(Progress::of_progress(params));
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
            ear.hear(Progress::of_text(words(params.data)));
        }
    }
}

impl Progress {
    /// What a progress notification says.
    fn of_progress(params: ProgressNotificationParam) -> Self {
        Self {
            reached: Some(params.progress),
            total: params.total,
            ..Self::of_text(params.message.unwrap_or_default())
        }
    }

    /// What a log message says.
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

/// Who listens behind a token. Some servers send a number back as text.
fn of_token(table: &HashMap<ProgressToken, Listening>, token: &ProgressToken) -> Option<Arc<Ear>> {
    let found = table.get(token).or_else(|| match &token.0 {
        RequestId::String(text) => table.get(&ProgressToken(RequestId::Number(text.parse().ok()?))),
        RequestId::Number(_) => None,
    });
    found?.ear.upgrade()
}

/// The parameters of a notification, if it is this one.
fn params<T: DeserializeOwned>(method: &str, message: &[u8]) -> Option<T> {
    #[derive(Deserialize)]
    struct Notification<T> {
        method: String,
        params: T,
    }
    let notification: Notification<T> = serde_json::from_slice(message).ok()?;
    (notification.method == method).then_some(notification.params)
}

/// The words of a log message: a text, or the one in an object, as `FastMCP` writes it.
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

    /// A call with a token, and who listens to it.
    fn call(id: i64, ear: &Arc<Ear>) -> TxJsonRpcMessage<RoleClient> {
        let mut call = CallToolRequest::new(CallToolRequestParams::new("count"));
        let token = ProgressToken(RequestId::Number(id + 100));
        let meta = RequestMetaObject::with_progress_token(token);
        call.extensions.insert(meta);
        call.extensions.insert(Heard(Arc::downgrade(ear)));
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
        let ears = Ears::default();
        let ((one, heard_one), (two, heard_two)) = (Ear::new(), Ear::new());
        ears.note(&call(1, &one));
        ears.note(&call(2, &two));
        ears.hear(&progress(&json!(101), "first"), || None);
        ears.hear(&progress(&json!("102"), "second"), || None);
        for nobody in [json!(103), json!("x"), json!(1), json!(null)] {
            ears.hear(&progress(&nobody, "lost"), || Some(RequestId::Number(1)));
        }
        assert_eq!(heard_one.borrow().text, "first");
        assert_eq!(heard_one.borrow().reached, Some(1.0));
        assert_eq!(heard_one.borrow().total, Some(2.5));
        assert_eq!(heard_two.borrow().text, "second");
    }

    #[test]
    fn a_log_message_is_heard_where_its_call_is_known() {
        let ears = Ears::default();
        let (ear, mut heard) = Ear::new();
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
        let ears = Ears::default();
        let (ear, heard) = Ear::new();
        ears.note(&call(1, &ear));
        ears.hear(&progress(&json!(101), &"ü".repeat(9_000)), || None);
        assert!(heard.borrow().is_cut && heard.borrow().text.len() <= TEXT_BYTES_MAX);
        drop(ear);
        ears.hear(&progress(&json!(101), "too late"), || None);
        let (other, _heard) = Ear::new();
        ears.note(&call(2, &other));
        assert_eq!(ears.0.lock().unwrap().len(), 1, "the first is gone");
    }
}
