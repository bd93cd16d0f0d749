//! [`ValidationDetail`]: the error at one position of the arguments, in FastAPI's format.

use std::io;

use serde_json::{Value, json};

use super::strays::UnknownProperty;

/// The maximum number of details in one refusal. A model needs only a few to correct itself.
pub const DETAILS_MAX: usize = 20;

/// The longest `input` that a detail repeats, in bytes of JSON.
const INPUT_BYTES_MAX: usize = 512;

/// How much of a longer `input` is shown, in characters.
const INPUT_CHARS_SHOWN: usize = 200;

/// The error at one position, in pydantic's words.
#[derive(Debug, Clone, PartialEq)]
pub struct ValidationDetail {
    /// pydantic's name of the error, such as `int_parsing`.
    pub kind: &'static str,
    /// `body`, then the keys and indices of the position.
    pub loc: Vec<Value>,
    /// A sentence.
    pub msg: String,
    /// The sent value, shortened if long.
    pub input: Value,
    /// The expected value, for programs.
    pub ctx: Option<Value>,
}

/// The start of every `loc`.
pub fn body() -> Vec<Value> {
    vec![Value::from("body")]
}

impl ValidationDetail {
    /// Creates a detail without `ctx`.
    pub(super) fn new(
        kind: &'static str,
        loc: Vec<Value>,
        msg: impl Into<String>,
        input: &Value,
    ) -> Self {
        Self {
            kind,
            loc,
            msg: msg.into(),
            input: shortened(input),
            ctx: None,
        }
    }

    /// Adds a `ctx`.
    pub(super) fn with(mut self, ctx: Value) -> Self {
        self.ctx = Some(ctx);
        self
    }

    /// Creates the detail for a key that the schema does not define, with a sentence about it.
    pub(super) fn stray(stray: &UnknownProperty, msg: String, input: &Value) -> Self {
        let mut loc = body();
        loc.extend(stray.path.iter().cloned());
        loc.push(Value::from(stray.name.as_str()));
        Self::new("extra_forbidden", loc, msg, input)
    }

    /// Creates the detail for an integer that cannot be passed on unchanged.
    pub(super) fn long_integer(path: Vec<Value>, number: String) -> Self {
        let mut loc = body();
        loc.extend(path);
        Self::new(
            "int_parsing_size",
            loc,
            "Integers beyond 64 bits cannot be passed on unchanged; send it as a string if the tool accepts one",
            &Value::String(number),
        )
    }

    /// Returns one entry of FastAPI's list.
    pub(super) fn to_json(&self) -> Value {
        let mut entry = json!({
            "type": self.kind,
            "loc": self.loc,
            "msg": self.msg,
            "input": self.input,
        });
        if let (Some(ctx), Some(entry)) = (&self.ctx, entry.as_object_mut()) {
            entry.insert("ctx".to_owned(), ctx.clone());
        }
        entry
    }
}

/// Repeats the sent value, shortened if it is large.
fn shortened(input: &Value) -> Value {
    let mut start = BoundedBuffer(Vec::new());
    if serde_json::to_writer(&mut start, input).is_ok() {
        return input.clone();
    }
    let written = String::from_utf8_lossy(&start.0);
    let text: String = input
        .as_str()
        .unwrap_or(&written)
        .chars()
        .take(INPUT_CHARS_SHOWN)
        .collect();
    Value::String(text + "…")
}

/// A buffer for [`INPUT_BYTES_MAX`] bytes, which fails on more.
struct BoundedBuffer(Vec<u8>);

impl io::Write for BoundedBuffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = INPUT_BYTES_MAX.saturating_sub(self.0.len());
        if room == 0 {
            return Err(io::Error::other("enough"));
        }
        let taken = bytes.len().min(room);
        self.0.extend(bytes.iter().take(taken));
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
