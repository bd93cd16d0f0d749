//! [`RawMessage`]: a JSON-RPC message, parsed as leniently as possible.
//!
//! The rule (JSON-RPC 2.0, section 5): a message with the id of a request in flight is its answer, whatever
//! else is unusual in it. All transports parse messages here.

use std::{borrow::Cow, fmt};

use rmcp::model::{ErrorCode, ErrorData, RequestId};
use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, SeqAccess, Visitor},
};
use serde_json::{Value, value::RawValue};

use super::unasked::ID_BYTES_MAX;
use crate::json::{MENDED_BYTES_MAX, read_lenient, repair};

/// The limit for an error's message, in bytes. The rest is cut off.
const ERROR_TEXT_BYTES_MAX: usize = 64 << 10;
/// The largest `data` of an error that is kept, in bytes. Larger data is dropped.
const ERROR_DATA_BYTES_MAX: usize = 256 << 10;
/// Members in which servers put their text instead of `message`, in order of preference.
const OTHER_WORDS: [&str; 6] = [
    "detail",
    "error_description",
    "description",
    "msg",
    "title",
    "error",
];
/// The maximum number of messages in one text: as many as the requests that can be in flight on a connection.
const BATCH_MAX: usize = 256;
/// How much of an unreadable message is searched for an id at each end, in bytes.
const ENDS_BYTES: usize = 4 << 10;

/// A message with its parts as text.
#[derive(Debug, Deserialize)]
pub struct RawMessage<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    id: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    method: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    result: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    error: Option<&'a RawValue>,
}

/// The kind of a message.
#[derive(Debug)]
pub enum MessageKind<'a> {
    /// A request from the server.
    Request(RequestId, Cow<'a, str>),
    /// A notification from the server.
    Notification(Cow<'a, str>),
    /// An answer to a request. Some servers leave the id out when they report an error.
    Answer(Option<RequestId>, ResponseContent<'a>),
    /// Anything else.
    Other,
}

/// The content of an answer.
#[derive(Debug, Clone, Copy)]
pub enum ResponseContent<'a> {
    /// `result`, which may be `null`.
    Result(&'a RawValue),
    /// `error`, which is not `null`.
    Error(&'a RawValue),
    /// Neither `result` nor `error`.
    Neither,
}

/// Deserializes a member that is present, also if it is `null`.
fn present<'de: 'a, 'a, D: Deserializer<'de>>(reader: D) -> Result<Option<&'a RawValue>, D::Error> {
    <&'a RawValue>::deserialize(reader).map(Some)
}

impl<'a> RawMessage<'a> {
    /// Parses an object. Returns `None` for any other text.
    pub fn read(text: &'a str) -> Option<Self> {
        // serde would accept an array as the members in order.
        let is_object = text.trim_ascii_start().starts_with('{');
        is_object.then(|| serde_json::from_str(text).ok()).flatten()
    }

    /// Returns the kind of the message.
    pub fn shape(self) -> MessageKind<'a> {
        let Self {
            id,
            method,
            result,
            error,
        } = self;
        let (has_id, id) = (
            id.is_some_and(|id| id.get() != "null"),
            id.and_then(read_id),
        );
        let method =
            method.and_then(|method| serde_json::from_str::<BorrowedText<'a>>(method.get()).ok());
        let error = error.filter(|error| error.get() != "null");
        // Some servers repeat the method in their answer.
        let is_answer = error.is_some() || result.is_some_and(|result| result.get() != "null");
        match (method, id) {
            (Some(BorrowedText(method)), Some(id)) if !is_answer => {
                MessageKind::Request(id, method)
            }
            (Some(BorrowedText(method)), None) if !is_answer && !has_id => {
                MessageKind::Notification(method)
            }
            (_, id) => match (error, result) {
                (Some(error), _) => MessageKind::Answer(id, ResponseContent::Error(error)),
                (None, Some(result)) => MessageKind::Answer(id, ResponseContent::Result(result)),
                (None, None) if id.is_some() => MessageKind::Answer(id, ResponseContent::Neither),
                (None, None) => MessageKind::Other,
            },
        }
    }
}

/// A text, borrowed if it has no escapes.
#[derive(Deserialize)]
struct BorrowedText<'a>(#[serde(borrow)] Cow<'a, str>);

/// Returns the text of a message without a byte order mark (RFC 8259, section 8.1) and leading blanks. U+FFFD
/// replaces bytes that are not UTF-8. Returns `None` for a large message that is not UTF-8, because that copy
/// takes three times its size.
pub fn text_of(message: &[u8]) -> Option<Cow<'_, str>> {
    if let Ok(text) = std::str::from_utf8(message) {
        return Some(Cow::Borrowed(without_mark(text)));
    }
    if message.len() > MENDED_BYTES_MAX {
        return None;
    }
    let mut text = String::from_utf8_lossy(message).into_owned();
    text.drain(..text.len() - without_mark(&text).len());
    Some(Cow::Owned(text))
}

/// Returns a text without a byte order mark and leading blanks.
pub fn without_mark(text: &str) -> &str {
    text.trim_start_matches(|begin: char| begin == '\u{feff}' || begin.is_ascii_whitespace())
}

/// Splits a text that holds several messages: a batch (MCP 2025-03-26), or messages that follow each other
/// without a line break. Everything after the last complete message, or after [`BATCH_MAX`] messages, is
/// dropped. Returns an empty list for any other text.
pub fn messages_in(text: &str) -> Vec<&str> {
    if text.starts_with('[') {
        let batch: Option<MessageBatch<'_>> = serde_json::from_str(text).ok();
        let batch = batch.map(|batch| batch.0).unwrap_or_default();
        return batch.into_iter().map(RawValue::get).collect();
    }
    if !text.starts_with('{') {
        return Vec::new();
    }
    let values = serde_json::Deserializer::from_str(text).into_iter::<&RawValue>();
    let values = values.map_while(Result::ok).take(BATCH_MAX);
    values.map(RawValue::get).collect()
}

/// The first elements of an array.
struct MessageBatch<'a>(Vec<&'a RawValue>);

impl<'de: 'a, 'a> Deserialize<'de> for MessageBatch<'a> {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        /// Deserializes a [`MessageBatch`].
        struct BatchVisitor;

        impl<'de> Visitor<'de> for BatchVisitor {
            type Value = MessageBatch<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array")
            }

            fn visit_seq<A: SeqAccess<'de>>(
                self,
                mut rest: A,
            ) -> Result<MessageBatch<'de>, A::Error> {
                let mut batch = Vec::new();
                while batch.len() < BATCH_MAX {
                    match rest.next_element()? {
                        Some(element) => batch.push(element),
                        None => return Ok(MessageBatch(batch)),
                    }
                }
                while rest.next_element::<IgnoredAny>()?.is_some() {}
                Ok(MessageBatch(batch))
            }
        }

        reader.deserialize_seq(BatchVisitor)
    }
}

/// Repairs a message that is almost JSON.
pub fn mended(text: &str) -> Option<String> {
    let mended = text.starts_with('{').then(|| repair(text)).flatten()?;
    (mended != text).then_some(mended)
}

/// Parses an id: a number (also with a fraction of zero) or a text. Returns `None` for any other value and
/// for an id that is longer than any the bridge answers. rmcp would read it into a value first, and a list of
/// numbers in its place would take all memory.
pub fn read_id(raw: &RawValue) -> Option<RequestId> {
    let text = raw.get();
    match text.parse() {
        Ok(number) => Some(RequestId::Number(number)),
        Err(_) if text.len() > ID_BYTES_MAX => None,
        Err(_) => match text.split_once('.') {
            Some((whole, zeros)) if !zeros.is_empty() && zeros.bytes().all(|zero| zero == b'0') => {
                whole.parse().ok().map(RequestId::Number)
            }
            _ => serde_json::from_str(text).ok(),
        },
    }
}

/// A JSON-RPC error. Its parts stay text until they are known to be small.
#[derive(Deserialize)]
struct RawError<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    code: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    message: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    data: Option<&'a RawValue>,
}

/// Parses as much of a JSON-RPC error as possible. A long message is cut, and large `data` is dropped.
pub fn read_error(raw: &str) -> ErrorData {
    let is_object = raw.starts_with('{');
    let parts = is_object.then(|| serde_json::from_str::<RawError<'_>>(raw).ok());
    let Some(parts) = parts.flatten() else {
        return error_of(ErrorCode::INTERNAL_ERROR, words_of(raw), None);
    };
    let code = parts.code.map(RawValue::get).unwrap_or_default();
    let data = parts.data.map(RawValue::get);
    let data = data.filter(|data| data.len() <= ERROR_DATA_BYTES_MAX);
    let message = parts.message.and_then(|message| words_of(message.get()));
    let mut message = message.or_else(|| other_words(raw));
    let number = read_code(code);
    if number.is_none()
        && let Some(word) = words_of(code)
    {
        message = Some(match message {
            Some(message) => format!("{message} ({word})"),
            None => word,
        });
    }
    let data = data.and_then(|data| read_lenient(data).ok());
    error_of(number.unwrap_or(ErrorCode::INTERNAL_ERROR), message, data)
}

/// Builds an error from its parts.
fn error_of(code: ErrorCode, message: Option<String>, data: Option<Value>) -> ErrorData {
    let mut message = message.unwrap_or_else(|| "the server gave no reason".to_owned());
    message.truncate(message.floor_char_boundary(ERROR_TEXT_BYTES_MAX));
    ErrorData::new(code, message, data)
}

/// Parses a code: a number, also in a text or with a fraction.
fn read_code(raw: &str) -> Option<ErrorCode> {
    let digits = raw.trim_matches('"');
    let digits = digits.split_once('.').map_or(digits, |(whole, _)| whole);
    digits.parse().ok().map(ErrorCode)
}

/// Returns the text of a value, or its JSON if it is not a text. `None` for `null` and for an empty text.
fn words_of(raw: &str) -> Option<String> {
    let cut = raw.get(..raw.floor_char_boundary(ERROR_TEXT_BYTES_MAX));
    let words = match raw.as_bytes().first() {
        None | Some(b'n') => None,
        Some(b'"') => read_lenient::<String>(raw).ok(),
        Some(_) => cut.map(str::to_owned),
    };
    words.filter(|words| !words.trim().is_empty())
}

/// Returns the text of an error without `message`.
fn other_words(raw: &str) -> Option<String> {
    if raw.len() > ERROR_DATA_BYTES_MAX {
        return None;
    }
    let error: Value = read_lenient(raw).ok()?;
    let texts = OTHER_WORDS.iter().filter_map(|name| error.get(name));
    let mut texts = texts
        .filter_map(Value::as_str)
        .filter(|text| !text.trim().is_empty());
    texts.next().map(str::to_owned)
}

/// Finds the request that an unreadable message answers. SDKs write `"id":N` first or last. Returns `None` if
/// the bytes do not look like a message.
pub fn named_id(pending: &[RequestId], head: &[u8], tail: &[u8]) -> Option<RequestId> {
    let ends = ends_of(head, tail);
    let is_message = ends[0].starts_with('{')
        && ends.iter().any(|end| {
            ["\"jsonrpc\"", "\"result\"", "\"error\""]
                .iter()
                .any(|member| end.contains(member))
        });
    if !is_message {
        return None;
    }
    let mut found = pending.iter().filter(|id| {
        let text = id.to_string();
        let is_in = |end: &String| {
            [",", "}"].iter().any(|after| {
                end.contains(&format!("\"id\":{text}{after}"))
                    || end.contains(&format!("\"id\":\"{text}\"{after}"))
            })
        };
        ends.iter().any(is_in)
    });
    let only = found.next()?;
    found.next().is_none().then(|| only.clone())
}

/// Whether both ends look like those of a JSON-RPC message.
pub fn looks_like_message(head: &[u8], tail: &[u8]) -> bool {
    let ends = ends_of(head, tail);
    ends[0].starts_with('{') && ends.iter().any(|end| end.contains("\"jsonrpc\""))
}

/// Both ends of a message, without blanks.
fn ends_of(head: &[u8], tail: &[u8]) -> [String; 2] {
    let head = head.get(..head.len().min(ENDS_BYTES)).unwrap_or_default();
    let tail = tail
        .get(tail.len().saturating_sub(ENDS_BYTES)..)
        .unwrap_or_default();
    [head, tail].map(|end| String::from_utf8_lossy(end).replace(' ', ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Describes a message in short form.
    fn shape(text: &str) -> String {
        match RawMessage::read(text).map(RawMessage::shape) {
            Some(MessageKind::Request(id, method)) => format!("request {id} {method}"),
            Some(MessageKind::Notification(method)) => format!("notification {method}"),
            Some(MessageKind::Answer(id, outcome)) => {
                let id = id.map_or_else(|| "?".to_owned(), |id| id.to_string());
                match outcome {
                    ResponseContent::Result(result) => format!("result {id} {result}"),
                    ResponseContent::Error(error) => format!("error {id} {error}"),
                    ResponseContent::Neither => format!("neither {id}"),
                }
            }
            Some(MessageKind::Other) => "other".to_owned(),
            None => "unreadable".to_owned(),
        }
    }

    #[test]
    fn what_carries_an_id_and_an_outcome_is_an_answer() {
        for (text, expected) in [
            (r#"{"id":1,"result":{}}"#, "result 1 {}"),
            (r#"{"id":1,"result":null}"#, "result 1 null"),
            (r#"{"id":1,"result":null,"error":"e"}"#, "error 1 \"e\""),
            (r#"{"id":1,"result":{},"error":null}"#, "result 1 {}"),
            (r#"{"id":1,"error":null}"#, "neither 1"),
            (r#"{"id":1}"#, "neither 1"),
            (r#"{"id":1.0,"result":1}"#, "result 1 1"),
            (r#"{"id":"1","result":1}"#, "result 1 1"),
            (
                r#"{"id":1,"method":"tools/call","result":{}}"#,
                "result 1 {}",
            ),
            (r#"{"id":1,"method":null,"result":{}}"#, "result 1 {}"),
            (r#"{"id":1,"method":7,"error":{}}"#, "error 1 {}"),
            (r#"{"id":null,"error":{}}"#, "error ? {}"),
            (r#"{"error":{}}"#, "error ? {}"),
            (r#"{"id":1,"method":"ping"}"#, "request 1 ping"),
            (
                r#"{"id":1,"method":"ping","result":null}"#,
                "request 1 ping",
            ),
            (r#"{"method":"m"}"#, "notification m"),
            (r#"{"id":null,"method":"m"}"#, "notification m"),
            (r#"{"id":[1],"method":"m"}"#, "other"),
            (r#"{"level":"info"}"#, "other"),
            ("[1]", "unreadable"),
            ("{", "unreadable"),
        ] {
            assert_eq!(shape(text), expected, "{text}");
        }
    }

    #[test]
    fn as_much_of_an_error_is_read_as_can_be() {
        for (raw, code, message, data) in [
            (
                r#"{"code":-32000,"message":"boom","data":[1]}"#,
                -32_000,
                "boom",
                Some("[1]"),
            ),
            (
                r#"{"code":"E_FAIL","message":"boom"}"#,
                -32_603,
                "boom (E_FAIL)",
                None,
            ),
            (
                r#"{"code":"-32001","message":"boom"}"#,
                -32_001,
                "boom",
                None,
            ),
            (
                r#"{"code":-32001.0,"message":"boom"}"#,
                -32_001,
                "boom",
                None,
            ),
            (
                r#"{"code":-32603,"message":null}"#,
                -32_603,
                "the server gave no reason",
                None,
            ),
            (
                r#"{"code":5,"message":{"en":"boom"}}"#,
                5,
                r#"{"en":"boom"}"#,
                None,
            ),
            (r#"{"code":null,"detail":"boom"}"#, -32_603, "boom", None),
            (
                r#"{"message":"half \ud83d"}"#,
                -32_603,
                "half \u{fffd}",
                None,
            ),
            (r#"{"message":"m","data":NaN}"#, -32_603, "m", None),
            (r#""boom""#, -32_603, "boom", None),
            ("true", -32_603, "true", None),
            (r#"["boom"]"#, -32_603, r#"["boom"]"#, None),
            ("{}", -32_603, "the server gave no reason", None),
        ] {
            let error = read_error(&repair(raw).unwrap());
            assert_eq!((error.code.0, &*error.message), (code, message), "{raw}");
            let data: Option<Value> = data.map(|data| serde_json::from_str(data).unwrap());
            assert_eq!(error.data.filter(|data| !data.is_null()), data, "{raw}");
        }
    }

    #[test]
    fn a_text_costs_little_more_than_its_bytes() {
        for text in [
            format!("[{}0]", "0,".repeat(1_000_000)),
            "{}".repeat(1_000_000),
            format!(r#"[{}{{"id":1}}]"#, "[],".repeat(1_000_000)),
        ] {
            assert_eq!(messages_in(&text).len(), BATCH_MAX);
        }
        assert_eq!(
            messages_in(r#"[{"id":1},{"id":2}]"#),
            [r#"{"id":1}"#, r#"{"id":2}"#]
        );
        assert!(
            messages_in(r#"[{"id":1},"#).is_empty(),
            "a message that is cut off is not a message"
        );
        let mut bytes = vec![0xff; MENDED_BYTES_MAX];
        bytes[0] = b'{';
        assert!(text_of(&bytes).is_some());
        bytes.push(b'}');
        assert!(text_of(&bytes).is_none());
    }

    #[test]
    fn an_error_brings_few_words_and_little_data() {
        let words = "ü".repeat(100_000);
        let data = format!("[{}0]", "0,".repeat(200_000));
        for raw in [
            format!(r#"{{"code":-1,"message":"{words}","data":{data}}}"#),
            format!(r#"{{"code":"{words}","data":{data}}}"#),
            data,
        ] {
            let error = read_error(&raw);
            assert!(error.message.len() <= ERROR_TEXT_BYTES_MAX);
            assert_eq!(error.data, None);
        }
    }

    #[test]
    fn an_unreadable_message_belongs_to_the_request_that_it_names() {
        let pending = [RequestId::Number(3), RequestId::Number(31)];
        for (text, id) in [
            (r#"{"jsonrpc":"2.0","id":3,"result":{"#, Some(3)),
            (r#"{"result": {"x": , "id" : 31}"#, Some(31)),
            (r#"{"jsonrpc":"2.0","id":"3","err"#, Some(3)),
            (r#"{"jsonrpc":"2.0","id":4,"result":{"#, None),
            (r#"{"level":"info","id":3,"#, None),
            (r#"got {"jsonrpc":"2.0","id":3,"#, None),
        ] {
            let found = named_id(&pending, text.as_bytes(), text.as_bytes());
            assert_eq!(found, id.map(RequestId::Number), "{text}");
        }
    }
}
