//! Converts the result of a tool to the body of an HTTP response. No I/O.
//!
//! Results are parsed leniently: a block of an unknown type, a missing key or a wrong type does not affect
//! the rest of the answer.

mod block;
mod file;

use bytes::Bytes;
use serde_json::{Map, Value};

use self::block::ReplyBlock;
pub use self::file::{EmbeddedFile, Keep};
use crate::{
    json::{self, RawJson},
    secret::Redactor,
};

/// mcpo's message for a failed tool without a reason. Saved prompts contain this sentence.
const NO_REASON: &str = "Unknown tool execution error";

/// Members of a result that are metadata and not part of the answer.
const ENVELOPE: &[&str] = &[
    "_meta",
    "content",
    "isError",
    "resultType",
    "structuredContent",
];

/// A successful answer, to be sent with status 200.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolReply {
    /// The type of the body.
    pub content_type: ContentType,
    /// Compact JSON in UTF-8, or a page.
    pub body: Bytes,
}

/// The types of response bodies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContentType {
    /// JSON.
    Json,
    /// An HTML page to display. Send it with `Content-Disposition: inline`.
    Html,
}

/// The tool reported a failure, or its answer is not a valid result.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct ToolError {
    /// The message for the model.
    pub message: String,
    /// The server's additional data for programs.
    pub data: Option<Value>,
}

impl ContentType {
    /// Returns the value of the `Content-Type` header.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Html => "text/html; charset=utf-8",
        }
    }
}

impl ToolReply {
    /// Converts the `result` of a `tools/call` (docs/http.md).
    ///
    /// A single content element is unwrapped, several become an array, and none becomes `[]` unless there is
    /// `structuredContent`. With `embed_html`, the first HTML resource is the whole answer.
    #[cfg(any(test, fuzzing))]
    pub fn from_result(result: Value, embed_html: bool) -> Result<Self, ToolError> {
        Self::of(result, None, embed_html, None)
    }

    /// Converts the JSON text of such a result, parsed as leniently as possible. Fails only if the text is
    /// not JSON at all. Integers beyond 64 bits keep their digits. `keep` takes the files out
    /// of the result and returns the text that replaces each of them.
    pub fn from_text(
        text: String,
        embed_html: bool,
        keep: Option<Keep<'_>>,
    ) -> serde_json::Result<Result<Self, ToolError>> {
        let result = json::read_lenient(&text)?;
        let exact = exact_structured(&text);
        // A large text is freed before its values are processed.
        drop(text);
        Ok(Self::of(result, exact, embed_html, keep))
    }

    /// Returns the reply for a result. `exact` is its original `structuredContent`, if its digits matter.
    fn of(
        result: Value,
        exact: Option<Vec<u8>>,
        embed_html: bool,
        keep: Option<Keep<'_>>,
    ) -> Result<Self, ToolError> {
        let mut result = match result {
            Value::Object(result) => result,
            // An empty answer.
            Value::Null => Map::new(),
            other => return Ok(Self::json(other.to_string().into_bytes())),
        };
        if let Some(unfinished) = unfinished(&mut result) {
            return Err(unfinished);
        }
        let content = result.remove("content");
        let structured = result
            .remove("structuredContent")
            .filter(|value| !value.is_null());
        let is_error = is_true(result.get("isError"));
        let mut blocks = blocks(content, keep.filter(|_| !is_error));
        if is_error {
            return Err(ToolError::from_parts(&blocks, structured));
        }
        if embed_html
            && let Some(place) = blocks
                .iter()
                .position(|block| matches!(block, ReplyBlock::Page(_)))
            && let ReplyBlock::Page(page) = blocks.swap_remove(place)
        {
            return Ok(Self {
                content_type: ContentType::Html,
                body: Bytes::from(page),
            });
        }
        Ok(Self::json(match (blocks.as_slice(), structured) {
            ([], Some(structured)) => exact.unwrap_or_else(|| structured.to_string().into_bytes()),
            ([], None) => rest(result).to_string().into_bytes(),
            ([block], _) => written(std::slice::from_ref(block)),
            (blocks, _) => {
                let mut body = vec![b'['];
                body.append(&mut written(blocks));
                body.push(b']');
                body
            }
        }))
    }

    /// Returns the reply with secrets redacted, because a server may return its own token. The output is
    /// searched and not the input, in which a character can be written in several ways. An answer without
    /// secrets is unchanged.
    #[must_use]
    pub fn without_secrets(self, redactor: &Redactor) -> Self {
        if !redactor.finds(&self.body) {
            return self;
        }
        let value = match self.content_type {
            ContentType::Json => serde_json::from_slice::<Value>(&self.body).ok(),
            ContentType::Html => None,
        };
        let body = if let Some(mut value) = value {
            redactor.clean_json(&mut value);
            value.to_string()
        } else {
            let text = String::from_utf8_lossy(&self.body);
            redactor.redact(&text).into_owned()
        };
        Self {
            content_type: self.content_type,
            body: Bytes::from(body),
        }
    }

    /// A JSON answer.
    fn json(body: Vec<u8>) -> Self {
        Self {
            content_type: ContentType::Json,
            body: Bytes::from(body),
        }
    }
}

impl ToolError {
    /// Reads a result with `isError`: its joined texts, or its other contents.
    fn from_parts(blocks: &[ReplyBlock], structured: Option<Value>) -> Self {
        let texts: Vec<&str> = blocks.iter().filter_map(ReplyBlock::text).collect();
        let message = texts.join("\n");
        match structured {
            _ if !message.trim().is_empty() => Self {
                message,
                data: structured,
            },
            Some(structured) => Self {
                message: structured.to_string(),
                data: None,
            },
            None => Self {
                message: NO_REASON.to_owned(),
                data: None,
            },
        }
    }
}

/// Returns the HTTP status for a server's JSON-RPC error; the same as mcpo's.
pub fn status_of(code: i64) -> u16 {
    match code {
        -32700 | -32600 => 400,
        -32601 => 404,
        -32602 => 422,
        _ => 500,
    }
}

/// Returns the `structuredContent` of a result as compact JSON, if it may contain an integer that a [`Value`]
/// cannot hold.
fn exact_structured(text: &str) -> Option<Vec<u8>> {
    if !json::has_long_digits(text.as_bytes()) {
        return None;
    }
    let RawJson::Object(members) = RawJson::open(serde_json::from_str(text).ok()?).ok()? else {
        return None;
    };
    let (_, value) = members
        .into_iter()
        .find(|(key, _)| key == "structuredContent")?;
    let mut exact = Vec::new();
    json::compact(value.get(), &mut exact).ok()?;
    Some(exact)
}

/// Rejects a result that only announces a later one (`MCP 2026-07-28, resultType`).
fn unfinished(result: &mut Map<String, Value>) -> Option<ToolError> {
    let kind = result.get("resultType").and_then(Value::as_str);
    // Servers of the first task drafts send a `task` without `resultType`.
    let task = kind == Some("task")
        || (kind.is_none()
            && result.get("task").is_some_and(Value::is_object)
            && !result.contains_key("content"));
    if task {
        return Some(ToolError {
            message: "the tool started a background task, which cannot be followed over HTTP"
                .to_owned(),
            data: result.remove("task"),
        });
    }
    (kind == Some("input_required")).then(|| ToolError {
        message: "the tool asks the user for more input, which cannot be given over HTTP; call it \
                  again with everything it needs in the arguments"
            .to_owned(),
        data: result.remove("inputRequests"),
    })
}

/// Reads `content`, whatever its type.
fn blocks(content: Option<Value>, mut keep: Option<Keep<'_>>) -> Vec<ReplyBlock> {
    let mut read = |mut block: Value| {
        let file = keep.as_mut().and_then(|keep| {
            let file = EmbeddedFile::take(&mut block)?;
            Some(ReplyBlock::Plain(keep(file)))
        });
        file.unwrap_or_else(|| ReplyBlock::read(block))
    };
    match content {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(blocks)) => blocks.into_iter().map(read).collect(),
        Some(block) => vec![read(block)],
    }
}

/// Writes blocks as JSON, separated by commas.
fn written(blocks: &[ReplyBlock]) -> Vec<u8> {
    let mut body = Vec::with_capacity(blocks.iter().map(ReplyBlock::len).sum::<usize>() + 2);
    for (index, block) in blocks.iter().enumerate() {
        if index > 0 {
            body.push(b',');
        }
        block.write(&mut body);
    }
    body
}

/// Returns the rest of a result without content: nothing, or its unknown members.
fn rest(mut result: Map<String, Value>) -> Value {
    // The name in the first revision of the protocol (`MCP 2024-10-07`).
    if let Some(old) = result.remove("toolResult") {
        return old;
    }
    result.retain(|key, _| !ENVELOPE.contains(&key.as_str()));
    if result.is_empty() {
        Value::Array(Vec::new())
    } else {
        Value::Object(result)
    }
}

/// Whether a value is true, also as a text.
fn is_true(value: Option<&Value>) -> bool {
    match value {
        Some(Value::Bool(value)) => *value,
        Some(Value::String(value)) => value.eq_ignore_ascii_case("true"),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
