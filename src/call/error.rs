//! [`ServiceError`]: an error for a caller, the same for every protocol.

use std::borrow::Cow;

use serde_json::{Value, json};
use url::Url;

use crate::{
    access::AccessRefusal,
    audit::AuditWriteError,
    auth,
    bridge::{ArgumentCheckError, CallFailure},
    credential::TICKET_TTL,
    error_code::ErrorCode,
    mcp::CallError,
    name::BridgeName,
    plain_text,
    rate::RateLimitError,
    schema,
    secret::Redactor,
    settings::PlaceError,
    store::StoreError,
};

/// An error for a caller: a code for programs, and texts for people and models. It knows neither
/// HTTP nor MCP; the part of the program that speaks a protocol adds what that protocol needs.
#[derive(Debug, Clone)]
pub struct ServiceError {
    /// The error code, for programs.
    pub code: ErrorCode,
    /// The detail, for people and models: a sentence for the bridge's own errors,
    /// `{"message"[,"data"]}` for a server's error, a list for invalid arguments.
    pub detail: Box<Value>,
    /// When the caller may try again: seconds, or the date that the server sent.
    pub retry_after: Option<String>,
    /// Where the caller can connect an account.
    pub connect_url: Option<Box<str>>,
    /// Texts for [`Self::message`] beyond the detail. Boxed, because errors are passed by value.
    pub advice: Option<Box<ErrorAdvice>>,
    /// The number with which the server reported the error, if it answered with an error of its
    /// own (`error.code` of JSON-RPC).
    pub server_code: Option<i64>,
    /// Whether the texts are already redacted or do not need it.
    is_clean: bool,
}

/// Texts for [`ServiceError::message`] beyond the detail.
#[derive(Debug, Clone, Default)]
pub struct ErrorAdvice {
    /// What is wrong. It replaces the detail.
    pub said: Option<String>,
    /// What to do, if the code alone does not tell.
    pub next: Option<String>,
    /// Whether `said` is already the complete sentence.
    pub is_sentence: bool,
}

impl ServiceError {
    /// An error of the bridge, with a sentence as its detail.
    pub fn new(code: ErrorCode, detail: impl Into<String>) -> Self {
        Self::with_detail(code, Value::String(detail.into()))
    }

    /// An error with a detail of another shape.
    pub fn with_detail(code: ErrorCode, detail: Value) -> Self {
        Self {
            code,
            detail: Box::new(detail),
            retry_after: None,
            connect_url: None,
            advice: None,
            server_code: None,
            is_clean: false,
        }
    }

    /// An error that a server or its tool reported, in the server's words.
    pub fn reported(code: ErrorCode, message: &str, data: Option<Value>) -> Self {
        Self::with_detail(code, detail_of(message, data))
    }

    /// Sets a plainer text for models than the detail.
    #[must_use]
    pub fn say(mut self, said: impl Into<String>) -> Self {
        self.advice.get_or_insert_default().said = Some(said.into());
        self
    }

    /// The same with a complete sentence, to which nothing is added.
    #[must_use]
    pub fn say_all(mut self, said: impl Into<String>) -> Self {
        self.advice.get_or_insert_default().is_sentence = true;
        self.say(said)
    }

    /// Sets the advice for models.
    #[must_use]
    pub fn advise(mut self, next: impl Into<String>) -> Self {
        self.advice.get_or_insert_default().next = Some(next.into());
        self
    }

    /// Marks the texts as written by the bridge and the caller only, so they are not redacted. Text
    /// that a caller sent is returned unchanged, even if it contains a secret: stars would tell the
    /// caller that their guess was a secret.
    #[must_use]
    pub fn of_caller(mut self) -> Self {
        self.is_clean = true;
        self
    }

    /// Sets when the caller may try again.
    #[must_use]
    pub fn retry_after(mut self, when: impl Into<String>) -> Self {
        self.retry_after = Some(when.into());
        self
    }

    /// Adds the link with which the caller connects their account, in words that a model can pass
    /// on.
    #[must_use]
    pub fn connect_at(mut self, url: &Url) -> Self {
        let before = self.detail.as_str().unwrap_or_default();
        let detail = format!(
            "{before}. Show the user this link, good for {} minutes, and try again once they have connected: {url}",
            TICKET_TTL.as_secs() / 60
        );
        self = self.say_all(detail.as_str());
        self.detail = Box::new(Value::String(detail));
        self.connect_url = Some(url.as_str().into());
        self
    }

    /// What is wrong, in words for models.
    pub fn said(&self) -> Cow<'_, str> {
        let said = self.advice.as_ref().and_then(|it| it.said.as_deref());
        match (said, &*self.detail) {
            (Some(said), _) => Cow::Borrowed(said),
            (None, Value::String(said)) => Cow::Borrowed(said),
            (None, detail) => match detail.get("message").and_then(Value::as_str) {
                Some(said) => Cow::Borrowed(said),
                None => Cow::Borrowed("the arguments do not match the tool's schema"),
            },
        }
    }

    /// Redacts the texts and the server's time to try again. A second call does nothing.
    pub fn clean(&mut self, redactor: &Redactor) {
        if std::mem::replace(&mut self.is_clean, true) {
            return;
        }
        redactor.clean_json(&mut self.detail);
        if let Some(ErrorAdvice { said, next, .. }) = self.advice.as_deref_mut() {
            for text in [said, next].into_iter().flatten() {
                *text = redactor.redact(text).into_owned();
            }
        }
        if let Some(when) = &mut self.retry_after {
            redactor.clean(when);
        }
    }

    /// What was asked for does not exist.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(ErrorCode::NotFound, detail).of_caller()
    }

    /// The error for a caller without a grant for a bridge, or for one of its tools. The denial
    /// lists the groups that have access, if the caller may know them.
    pub fn denied(denial: &AccessRefusal, bridge: &BridgeName, tool: Option<&str>) -> Self {
        let mut text = match tool {
            Some(tool) => format!(
                "you may not use tool `{}` of bridge `{bridge}`",
                shown(tool)
            ),
            None => format!("you may not use bridge `{bridge}`"),
        };
        if !denial.allowing.is_empty() {
            text.push_str("; members of these groups may: ");
            text.push_str(&denial.allowing.join(", "));
        }
        Self::new(ErrorCode::Forbidden, text)
            .advise(format!(
                "ask an administrator for access to `{bridge}`; do not retry"
            ))
            .of_caller()
    }
}

/// A request without a valid identity.
impl From<auth::AuthenticationError> for ServiceError {
    fn from(refusal: auth::AuthenticationError) -> Self {
        let error =
            |refusal: &auth::AuthenticationError| Self::new(refusal.code(), refusal.to_string());
        match refusal {
            auth::AuthenticationError::Store(down) => down.into(),
            auth::AuthenticationError::TooManyFailures(wait) => {
                error(&refusal).retry_after(wait.to_string())
            }
            refusal if refusal.is_outage() => {
                tracing::warn!("{refusal}");
                error(&refusal).retry_after("5")
            }
            refusal => error(&refusal),
        }
    }
}

/// A request without a place, or without memory for its body or its answer.
impl From<PlaceError> for ServiceError {
    fn from(error: PlaceError) -> Self {
        Self::new(ErrorCode::Busy, error.to_string()).retry_after("1")
    }
}

/// The database does not answer. Without it, access cannot be decided.
impl From<StoreError> for ServiceError {
    fn from(error: StoreError) -> Self {
        tracing::warn!("{error}");
        Self::new(
            ErrorCode::StoreUnavailable,
            "access cannot be checked because the database does not answer; try again in a moment",
        )
        .retry_after("5")
    }
}

/// A call beyond the rate limit.
impl From<RateLimitError> for ServiceError {
    fn from(refused: RateLimitError) -> Self {
        // Rounded up, so that a caller who waits this long is admitted.
        let wait = refused.retry_after.as_millis().div_ceil(1_000).max(1);
        Self::new(ErrorCode::RateLimited, refused.to_string()).retry_after(wait.to_string())
    }
}

/// Arguments that were not accepted.
impl From<ArgumentCheckError> for ServiceError {
    fn from(error: ArgumentCheckError) -> Self {
        match error {
            ArgumentCheckError::Refused(refusal) => refusal.into(),
            ArgumentCheckError::Busy => {
                Self::new(ErrorCode::Busy, error.to_string()).retry_after("1")
            }
        }
    }
}

/// Arguments that do not match the schema or cannot be checked.
impl From<schema::ArgumentError> for ServiceError {
    fn from(refusal: schema::ArgumentError) -> Self {
        let error = Self::with_detail(refusal.code(), refusal.detail());
        match refusal.message() {
            Some(message) => error.say_all(message),
            None => error,
        }
    }
}

/// A call that cannot be recorded, if the configuration refuses such calls.
impl From<AuditWriteError> for ServiceError {
    fn from(error: AuditWriteError) -> Self {
        tracing::warn!("{error}");
        Self::new(
            ErrorCode::AuditUnavailable,
            "the call was refused because the audit trail cannot record it now; try again in a moment",
        )
        .retry_after("5")
    }
}

/// A call without a result.
impl From<CallFailure> for ServiceError {
    fn from(failure: CallFailure) -> Self {
        let text = failure.to_string();
        match failure {
            CallFailure::NotGranted(..) => Self::new(ErrorCode::Forbidden, text),
            CallFailure::Disabled(..) => {
                Self::new(ErrorCode::Disabled, text).advise("tell the user; do not retry")
            }
            CallFailure::Unavailable {
                bridge,
                retry_after,
                ..
            } => Self::new(ErrorCode::Unavailable, text)
                .say(format!("bridge `{bridge}` is not available now"))
                .retry_after(retry_after.to_string()),
            CallFailure::Refused { .. } => Self::new(ErrorCode::UpstreamAuth, text),
            CallFailure::NeedsLogin { bridge, .. } => {
                let said =
                    format!("bridge `{bridge}` cannot be used yet. An administrator has to log in");
                Self::new(ErrorCode::NeedsLogin, text)
                    .say(said)
                    .advise("tell the user; do not retry")
            }
            CallFailure::ConnectRequired { .. } => Self::new(ErrorCode::ConnectRequired, text)
                .advise("tell the user; do not retry before they have connected it"),
            CallFailure::NoCredential { bridge, .. } => {
                let next = format!("ask an administrator for keys of `{bridge}`; do not retry");
                Self::new(ErrorCode::NoCredential, text).advise(next)
            }
            CallFailure::Busy(..) | CallFailure::OwnShare(_) => {
                Self::new(ErrorCode::Busy, text).retry_after("1")
            }
            CallFailure::Call(error) => error.into(),
        }
    }
}

/// A server that did not answer, or answered without a result.
impl From<CallError> for ServiceError {
    fn from(error: CallError) -> Self {
        let (code, text) = (error.code(), error.to_string());
        match error {
            CallError::Rpc {
                code: number,
                message,
                data,
            } => {
                let mut error = Self::reported(code, &message, data);
                error.server_code = Some(number);
                error
            }
            CallError::NotSent(_) => Self::new(code, text).retry_after("1"),
            CallError::RateLimited { retry_after } => {
                Self::new(code, text).retry_after(retry_after.unwrap_or_else(|| "60".to_owned()))
            }
            CallError::Timeout(_)
            | CallError::Lost
            | CallError::Auth(..)
            | CallError::NoToken(_)
            | CallError::TooLarge(_)
            | CallError::Http(..)
            | CallError::Protocol(_) => Self::new(code, text),
        }
    }
}

/// A name that a caller sent, shortened and on one line.
pub fn shown(name: &str) -> String {
    let name: String = name.chars().take(100).collect();
    plain_text::line(&name).into_owned()
}

/// The shape of a server's error: `{"message"[,"data"]}`.
fn detail_of(message: &str, data: Option<Value>) -> Value {
    match data {
        None | Some(Value::Null) => json!({ "message": message }),
        Some(data) => json!({ "message": message, "data": data }),
    }
}
