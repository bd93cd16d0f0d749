//! [`ArgumentError`]: why arguments are rejected, in FastAPI's format.

use jsonschema::Validator;
use serde_json::Value;

use super::{
    counted::{MeteredJson, MeteredValue},
    detail::{DETAILS_MAX, ValidationDetail, body},
    digits::Written,
    words::{self, ErrorTranslator},
};

use crate::error_code::ErrorCode;

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
            body(),
            "Field required",
            &Value::Null,
        )])
    }

    /// Creates the refusal for JSON that is not an object.
    pub(super) fn not_an_object(value: &Value) -> Self {
        Self::invalid(vec![ValidationDetail::new(
            words::OBJECT_TYPE.0,
            body(),
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
            return Self::invalid(vec![misfit(body(), sent)]);
        }
        let detail = |name: &&str| {
            let loc = vec![Value::from("body"), Value::from(*name)];
            misfit(loc, sent.get(*name).unwrap_or(&Value::Null))
        };
        Self::invalid(names.iter().take(DETAILS_MAX).map(detail).collect())
    }
}
