//! [`ArgumentError`]: why arguments are rejected, in FastAPI's format.

use std::io;

use jsonschema::Validator;
use serde_json::{Value, json};

use super::{
    advice,
    counted::{MeteredJson, MeteredValue},
    digits::Written,
    strays::UnknownProperty,
    words::{self, ErrorTranslator},
};

use crate::error_code::ErrorCode;

/// The maximum number of details in one refusal. A model needs only a few to correct itself.
pub const DETAILS_MAX: usize = 20;

/// The longest `input` that a detail repeats, in bytes of JSON.
const INPUT_BYTES_MAX: usize = 512;

/// How much of a longer `input` is shown, in characters.
const INPUT_CHARS_SHOWN: usize = 200;

/// Why arguments are rejected.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ArgumentError {
    /// The body is not JSON: status 400, code `invalid_json`.
    #[error("{said}")]
    InvalidJson {
        /// The parser's error.
        said: String,
        /// A sentence for models, unless mcpo's conventions apply.
        message: Option<String>,
    },
    /// The arguments do not fit the tool's schema: status 422, code `invalid_arguments`.
    #[error("{n} of the arguments cannot be accepted", n = .details.len())]
    Invalid {
        /// The errors, by position.
        details: Vec<ValidationDetail>,
        /// A sentence for models, unless mcpo's conventions apply.
        message: Option<String>,
    },
    /// Validating the arguments takes too much work: status 422, code `arguments_too_costly`.
    #[error(
        "these arguments cannot be checked in reasonable time, because the tool's input schema is too complex; calling again will not help: use another tool, or ask the administrator to have the schema of this tool simplified"
    )]
    TooCostly,
    /// The body contains too many values for the memory of a call: status 413, code `body_too_large`.
    #[error("the request body contains more than {0} values; send fewer")]
    TooManyValues(usize),
}

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

impl ArgumentError {
    /// Returns the `code` of the answer.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::InvalidJson { .. } => ErrorCode::InvalidJson,
            Self::Invalid { .. } => ErrorCode::InvalidArguments,
            Self::TooCostly => ErrorCode::ArgumentsTooCostly,
            Self::TooManyValues(_) => ErrorCode::BodyTooLarge,
        }
    }

    /// Returns the sentence for models, if there is one in addition to [`ArgumentError::detail`].
    pub fn message(&self) -> Option<&str> {
        match self {
            Self::InvalidJson { message, .. } | Self::Invalid { message, .. } => message.as_deref(),
            Self::TooCostly | Self::TooManyValues(_) => None,
        }
    }

    /// Returns the `detail` of the answer: a sentence, or FastAPI's list.
    pub fn detail(&self) -> Value {
        match self {
            Self::InvalidJson { .. } | Self::TooCostly | Self::TooManyValues(_) => {
                Value::String(self.to_string())
            }
            Self::Invalid { details, .. } => {
                details.iter().map(ValidationDetail::to_json).collect()
            }
        }
    }

    /// Creates the refusal for a parser error, with the position.
    pub(super) fn bad_json(error: &serde_json::Error) -> Self {
        let error = error.to_string();
        let said = match error.strip_prefix("recursion limit exceeded") {
            Some(place) => {
                format!("the body is nested too deeply, at most 128 levels are read{place}")
            }
            None => format!("the body is not valid JSON: {error}"),
        };
        let message = None;
        Self::InvalidJson { said, message }
    }

    /// Creates the refusal for invalid arguments, without a sentence yet.
    pub(super) fn invalid(details: Vec<ValidationDetail>) -> Self {
        let message = None;
        Self::Invalid { details, message }
    }

    /// Creates the refusal for integers that cannot be passed on unchanged.
    pub(super) fn long_integers(numbers: Vec<Written>) -> Self {
        let detail = |(path, number)| ValidationDetail::long_integer(path, number);
        Self::invalid(numbers.into_iter().take(DETAILS_MAX).map(detail).collect())
    }

    /// Creates the refusal for a missing body.
    pub(super) fn missing_body() -> Self {
        Self::invalid(vec![ValidationDetail::new(
            "missing",
            words::body(),
            "Field required",
            &Value::Null,
        )])
    }

    /// Creates the refusal for JSON that is not an object.
    pub(super) fn not_an_object(value: &Value) -> Self {
        Self::invalid(vec![ValidationDetail::new(
            words::OBJECT_TYPE.0,
            words::body(),
            words::OBJECT_TYPE.1,
            value,
        )])
    }

    /// Creates the refusal for validator errors, the outermost first. Inputs are shown as `sent`.
    pub(super) fn of(
        validator: &Validator<MeteredJson>,
        schema: &Value,
        arguments: &Value,
        sent: &Value,
    ) -> Self {
        let words = ErrorTranslator { schema, sent };
        let mut errors: Vec<_> = validator.iter_errors(MeteredValue(arguments)).collect();
        errors.sort_by_key(words::depth);
        let mut details = Vec::new();
        for error in &errors {
            if details.len() >= DETAILS_MAX {
                break;
            }
            words.describe(error, &[], &mut details);
        }
        details.truncate(DETAILS_MAX);
        Self::invalid(details)
    }

    /// Creates the refusal for arguments that nest too deeply for details: it names single invalid ones.
    pub(super) fn of_properties(names: &[&str], sent: &Value) -> Self {
        let misfit = |loc: Vec<Value>, input: &Value| {
            ValidationDetail::new(
                "value_error",
                loc,
                "Value error, this does not fit the schema of the tool",
                input,
            )
        };
        if names.is_empty() {
            return Self::invalid(vec![misfit(words::body(), sent)]);
        }
        let detail = |name: &&str| {
            let loc = vec![Value::from("body"), Value::from(*name)];
            misfit(loc, sent.get(*name).unwrap_or(&Value::Null))
        };
        Self::invalid(names.iter().take(DETAILS_MAX).map(detail).collect())
    }
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

    /// Creates the detail for a key that the schema does not define.
    pub(super) fn stray(stray: &UnknownProperty, input: &Value) -> Self {
        let mut loc = words::body();
        loc.extend(stray.path.iter().cloned());
        loc.push(Value::from(stray.name.as_str()));
        Self::new("extra_forbidden", loc, advice::of_stray(stray), input)
    }

    /// Creates the detail for an integer that cannot be passed on unchanged.
    fn long_integer(path: Vec<Value>, number: String) -> Self {
        let mut loc = words::body();
        loc.extend(path);
        Self::new(
            "int_parsing_size",
            loc,
            "Integers beyond 64 bits cannot be passed on unchanged; send it as a string if the tool accepts one",
            &Value::String(number),
        )
    }

    /// Returns one entry of FastAPI's list.
    fn to_json(&self) -> Value {
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
