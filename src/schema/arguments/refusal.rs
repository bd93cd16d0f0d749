//! [`Refusal`]: why arguments are not passed on, in FastAPI's shape.

use std::io;

use jsonschema::Validator;
use serde_json::{Value, json};

use super::{
    advice,
    counted::{Counted, Seen},
    digits::Written,
    strays::Stray,
    words::{self, Words},
};

use crate::error_code::ErrorCode;

/// How many details one refusal gives: a model corrects itself by a few.
pub const DETAILS_MAX: usize = 20;

/// The longest `input` repeated in a detail, in bytes of JSON.
const INPUT_BYTES_MAX: usize = 512;

/// How much of a longer `input` is shown, in characters.
const INPUT_CHARS_SHOWN: usize = 200;

/// Why arguments are not passed on.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// The body is no JSON: status 400, code `invalid_json`.
    #[error("{said}")]
    InvalidJson {
        /// The reader's complaint.
        said: String,
        /// A sentence for models, by our habits.
        message: Option<String>,
    },
    /// The arguments do not fit the tool's schema: status 422, code `invalid_arguments`.
    #[error("{n} of the arguments cannot be accepted", n = .details.len())]
    Invalid {
        /// What is wrong, place by place.
        details: Vec<Detail>,
        /// A sentence for models, by our habits.
        message: Option<String>,
    },
    /// Checking the arguments takes more work than a call may: status 422, code
    /// `arguments_too_costly`.
    #[error(
        "these arguments cannot be checked in reasonable time, because the tool's input schema is too complex; calling again will not help: use another tool, or tell the administrator that the schema of this tool has to be simplified"
    )]
    TooCostly,
    /// The body holds too many values for the memory of a call: status 413, code
    /// `body_too_large`.
    #[error("the request body holds more than {0} values; send fewer")]
    TooManyValues(usize),
}

/// What is wrong at one place, in pydantic's words.
#[derive(Debug, Clone, PartialEq)]
pub struct Detail {
    /// pydantic's name of the error, such as `int_parsing`.
    pub kind: &'static str,
    /// `body`, then the keys and indices that lead to the place.
    pub loc: Vec<Value>,
    /// A sentence.
    pub msg: String,
    /// What was sent there, shortened if long.
    pub input: Value,
    /// What was expected, for programs.
    pub ctx: Option<Value>,
}

impl Refusal {
    /// For programs: the `code` of the answer.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::InvalidJson { .. } => ErrorCode::InvalidJson,
            Self::Invalid { .. } => ErrorCode::InvalidArguments,
            Self::TooCostly => ErrorCode::ArgumentsTooCostly,
            Self::TooManyValues(_) => ErrorCode::BodyTooLarge,
        }
    }

    /// The sentence for models, where there is one beside [`Refusal::detail`].
    pub fn message(&self) -> Option<&str> {
        match self {
            Self::InvalidJson { message, .. } | Self::Invalid { message, .. } => message.as_deref(),
            Self::TooCostly | Self::TooManyValues(_) => None,
        }
    }

    /// The `detail` of the answer: a sentence, or FastAPI's list.
    pub fn detail(&self) -> Value {
        match self {
            Self::InvalidJson { .. } | Self::TooCostly | Self::TooManyValues(_) => {
                Value::String(self.to_string())
            }
            Self::Invalid { details, .. } => details.iter().map(Detail::to_json).collect(),
        }
    }

    /// The reader's complaint, with the position.
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

    /// What does not fit, without a sentence so far.
    pub(super) fn invalid(details: Vec<Detail>) -> Self {
        let message = None;
        Self::Invalid { details, message }
    }

    /// Integers that we cannot pass on as they are.
    pub(super) fn long_integers(numbers: Vec<Written>) -> Self {
        let detail = |(path, number)| Detail::long_integer(path, number);
        Self::invalid(numbers.into_iter().take(DETAILS_MAX).map(detail).collect())
    }

    /// Nothing was sent where something is needed.
    pub(super) fn missing_body() -> Self {
        Self::invalid(vec![Detail::new(
            "missing",
            words::body(),
            "Field required",
            &Value::Null,
        )])
    }

    /// The body is JSON but no object.
    pub(super) fn not_an_object(value: &Value) -> Self {
        Self::invalid(vec![Detail::new(
            words::OBJECT_TYPE.0,
            words::body(),
            words::OBJECT_TYPE.1,
            value,
        )])
    }

    /// What a validator says of arguments, the outermost first; inputs are shown as `sent`.
    pub(super) fn of(
        validator: &Validator<Counted>,
        schema: &Value,
        arguments: &Value,
        sent: &Value,
    ) -> Self {
        let words = Words { schema, sent };
        let mut errors: Vec<_> = validator.iter_errors(Seen(arguments)).collect();
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

    /// For arguments too deep to say more: which of them do not fit, if it is single ones.
    pub(super) fn of_properties(names: &[&str], sent: &Value) -> Self {
        let misfit = |loc: Vec<Value>, input: &Value| {
            Detail::new(
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

impl Detail {
    /// A detail without `ctx`.
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

    /// The same with `ctx`.
    pub(super) fn with(mut self, ctx: Value) -> Self {
        self.ctx = Some(ctx);
        self
    }

    /// A key that the schema does not name.
    pub(super) fn stray(stray: &Stray, input: &Value) -> Self {
        let mut loc = words::body();
        loc.extend(stray.path.iter().cloned());
        loc.push(Value::from(stray.name.as_str()));
        Self::new("extra_forbidden", loc, advice::of_stray(stray), input)
    }

    /// An integer that we cannot pass on as it is.
    fn long_integer(path: Vec<Value>, number: String) -> Self {
        let mut loc = words::body();
        loc.extend(path);
        Self::new(
            "int_parsing_size",
            loc,
            "Integers past 64 bits cannot be passed on unchanged; send it as a string if the tool takes one",
            &Value::String(number),
        )
    }

    /// One entry of FastAPI's list.
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

/// Repeats what was sent, but not megabytes of it.
fn shortened(input: &Value) -> Value {
    let mut start = Start(Vec::new());
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

/// Takes [`INPUT_BYTES_MAX`] bytes and fails on more.
struct Start(Vec<u8>);

impl io::Write for Start {
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
