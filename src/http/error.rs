//! [`ApiError`]: the common form of every error response.

use std::borrow::Cow;

use axum::response::{IntoResponse, Response};
use http::{
    HeaderValue, StatusCode,
    header::{ALLOW, RETRY_AFTER, WWW_AUTHENTICATE},
};
use serde::Serialize;
use serde_json::{Value, json};
use url::Url;

use super::message::{self, message};
use crate::{
    access::Denial,
    audit::AuditDown,
    auth::Refusal,
    bridge::Failure,
    config::Flavor,
    credential::TICKET_TTL,
    error_code::ErrorCode,
    mcp::CallError,
    name::BridgeName,
    plain_text,
    rate::TooMany,
    reply::{ToolError, status_of},
    secret::Redactor,
    settings::PlaceError,
    store::StoreError,
};

/// An error response: `{"detail", "message", "retry", "code", "request_id"}`. `message` is written
/// for models. mcpo's flavors leave out `message` and `retry`.
#[derive(Debug, Clone)]
pub struct ApiError {
    /// The HTTP status.
    pub status: StatusCode,
    /// The error code, for programs.
    pub code: ErrorCode,
    /// The detail, for people and models: a sentence for the bridge's own errors,
    /// `{"message"[,"data"]}` for a server's error, a list for invalid arguments.
    pub detail: Box<Value>,
    /// The `Retry-After` header: seconds, or the value that the server sent.
    pub retry_after: Option<String>,
    /// The challenge of a 401 (`WWW-Authenticate`).
    pub challenge: Option<&'static str>,
    /// The methods that a 405 allows (`Allow`).
    pub allow: Option<&'static str>,
    /// Where the caller can connect an account.
    pub connect_url: Option<Box<str>>,
    /// Texts for `message` beyond the detail. Boxed, because errors are passed by value.
    pub advice: Option<Box<Advice>>,
    /// Whether the texts are already redacted or do not need it.
    is_clean: bool,
}

/// Texts for `message` beyond the detail.
#[derive(Debug, Clone, Default)]
pub struct Advice {
    /// What is wrong. It replaces the detail.
    pub said: Option<String>,
    /// What to do, if the code alone does not tell.
    pub next: Option<String>,
    /// Whether `said` is already the complete sentence.
    pub is_sentence: bool,
}

/// The method of a call.
pub const POST: &str = "POST";
/// The methods of a read-only route.
pub const GET: &str = "GET,HEAD";

/// The JSON body.
#[derive(Serialize)]
struct Body<'a> {
    /// See [`ApiError::detail`].
    detail: &'a Value,
    /// See [`message`].
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    /// See [`message::may_retry`].
    #[serde(skip_serializing_if = "Option::is_none")]
    retry: Option<bool>,
    /// See [`ApiError::code`].
    code: ErrorCode,
    /// See [`ApiError::connect_url`].
    #[serde(skip_serializing_if = "Option::is_none")]
    connect_url: Option<&'a str>,
    /// The request id, which is also in the log line.
    request_id: &'a str,
}

impl ApiError {
    /// An error of the bridge, with a sentence as its detail.
    pub fn new(code: ErrorCode, detail: impl Into<String>) -> Self {
        Self::with_detail(code, Value::String(detail.into()))
    }

    /// An error with a detail of another shape.
    pub fn with_detail(code: ErrorCode, detail: Value) -> Self {
        Self {
            status: status(code.status()),
            code,
            detail: Box::new(detail),
            retry_after: None,
            challenge: None,
            allow: None,
            connect_url: None,
            advice: None,
            is_clean: false,
        }
    }

    /// Sets another status than the default for the code.
    #[must_use]
    pub fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
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

    /// Marks the texts as written by the bridge and the caller only, so they are not redacted. Text
    /// that a caller sent is returned unchanged, even if it contains a secret: stars would tell the
    /// caller that their guess was a secret.
    #[must_use]
    pub fn of_caller(mut self) -> Self {
        self.is_clean = true;
        self
    }

    /// Adds the link with which the caller connects their account, in words that a model can pass
    /// on.
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

    /// Sets when the caller may try again.
    pub fn retry_after(mut self, when: impl Into<String>) -> Self {
        self.retry_after = Some(when.into());
        self
    }

    /// 404 with a sentence.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(ErrorCode::NotFound, detail).of_caller()
    }

    /// 405 with the allowed methods. `None` if the router sets the `Allow` header.
    pub fn method_not_allowed(allow: Option<&'static str>) -> Self {
        let detail = match allow {
            Some(POST) => "Method Not Allowed: call a tool with POST and a JSON body",
            _ => "Method Not Allowed: the `Allow` header lists the methods of this path",
        };
        let mut error = Self::new(ErrorCode::MethodNotAllowed, detail);
        error.allow = allow;
        error
    }

    /// The error for a request without a valid identity. Under mcpo's rules it has mcpo's status,
    /// text and challenge: without `--strict-auth`, mcpo distinguishes only wrong keys from all
    /// other failures. The status is 503 if the failure is not the caller's fault.
    pub fn unidentified(refusal: Refusal, flavor: Flavor, is_strict: bool) -> Self {
        let is_native = flavor == Flavor::Native;
        if let Refusal::Store(error) = refusal {
            return Self::store(error);
        }
        if let Refusal::TooManyFailures(wait) = refusal {
            return Self::new(refusal.code(), refusal.to_string()).retry_after(wait.to_string());
        }
        if refusal.is_outage() {
            tracing::warn!("{refusal}");
            return Self::new(refusal.code(), refusal.to_string()).retry_after("5");
        }
        let refusal = match refusal {
            Refusal::Missing | Refusal::Scheme | Refusal::Format | Refusal::Password
                if !is_native && !is_strict =>
            {
                Refusal::Missing
            }
            refusal => refusal,
        };
        if !is_native && matches!(refusal, Refusal::Key | Refusal::Password) {
            return Self::new(refusal.code(), refusal.to_string())
                .with_status(StatusCode::FORBIDDEN);
        }
        let mut error = Self::new(refusal.code(), refusal.to_string());
        error.challenge = Some(if is_native || is_strict {
            "Bearer, Basic"
        } else {
            "Bearer"
        });
        error
    }

    /// Removes Basic from the challenge of a 401. With Basic in it, the browser would ask for a
    /// name and a password itself, before the page learns of the error.
    pub fn without_prompt(mut self) -> Self {
        self.challenge = self.challenge.map(|_| "Bearer");
        self
    }

    /// The error for a caller without a grant for a bridge, or for one of its tools. The denial
    /// lists the groups that have access, if the caller may know them.
    pub fn denied(denial: &Denial, bridge: &BridgeName, tool: Option<&str>) -> Self {
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

    /// The error for a call beyond the rate limit.
    pub fn too_many(refused: &TooMany) -> Self {
        // Rounded up, so that a caller who waits this long is admitted.
        let wait = refused.retry_after.as_millis().div_ceil(1_000).max(1);
        Self::new(ErrorCode::RateLimited, refused.to_string()).retry_after(wait.to_string())
    }

    /// The error for a call that cannot be recorded, if the configuration refuses such calls.
    #[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
    pub fn unrecorded(error: AuditDown) -> Self {
        tracing::warn!("{error}");
        Self::new(ErrorCode::AuditUnavailable,
            "the call was refused because the audit trail cannot record it now; try again in a moment",
        )
        .retry_after("5")
    }

    /// The error if the database does not answer. Without it, access cannot be decided.
    #[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
    pub fn store(error: StoreError) -> Self {
        tracing::warn!("{error}");
        Self::new(
            ErrorCode::StoreUnavailable,
            "access cannot be checked because the database does not answer; try again in a moment",
        )
        .retry_after("5")
    }

    /// An error that the tool itself reported. The bridge and the server work, so the status is
    /// 422. mcpo's clients expect 500, so mcpo's flavors keep it.
    pub fn tool(error: ToolError, flavor: Flavor) -> Self {
        let status = match flavor {
            Flavor::Native => StatusCode::UNPROCESSABLE_ENTITY,
            Flavor::Mcpo | Flavor::McpoSingle => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let said = format!("the tool failed: {}", error.message);
        let detail = detail_of(&error.message, error.data);
        Self::with_detail(ErrorCode::ToolError, detail)
            .with_status(status)
            .say(said)
    }

    /// The error for a call that failed.
    pub fn call(failure: Failure) -> Self {
        let text = failure.to_string();
        match failure {
            Failure::NotGranted(..) => Self::new(ErrorCode::Forbidden, text),
            Failure::Disabled(..) => {
                Self::new(ErrorCode::Disabled, text).advise("tell the user; do not retry")
            }
            Failure::Unavailable {
                bridge,
                retry_after,
                ..
            } => Self::new(ErrorCode::Unavailable, text)
                .say(format!("bridge `{bridge}` is not available now"))
                .retry_after(retry_after.to_string()),
            Failure::Refused { .. } => Self::new(ErrorCode::UpstreamAuth, text),
            Failure::NeedsLogin { bridge, .. } => {
                let said =
                    format!("bridge `{bridge}` cannot be used yet. An administrator has to log in");
                Self::new(ErrorCode::NeedsLogin, text)
                    .say(said)
                    .advise("tell the user; do not retry")
            }
            Failure::ConnectRequired { .. } => Self::new(ErrorCode::ConnectRequired, text)
                .advise("tell the user; do not retry before they have connected it"),
            Failure::NoCredential { bridge, .. } => {
                let next = format!("ask an administrator for keys of `{bridge}`; do not retry");
                Self::new(ErrorCode::NoCredential, text).advise(next)
            }
            Failure::Busy(..) | Failure::OwnShare(_) => {
                Self::new(ErrorCode::Busy, text).retry_after("1")
            }
            Failure::Call(error) => Self::server(error),
        }
    }

    /// The error for a server that did not answer, or answered without a result.
    fn server(error: CallError) -> Self {
        let (code, text) = (error.code(), error.to_string());
        match error {
            CallError::Rpc {
                code: rpc,
                message,
                data,
            } => Self::with_detail(code, detail_of(&message, data))
                .with_status(status(status_of(rpc))),
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

    /// Redacts the texts and the server's `Retry-After`. A second call does nothing.
    pub fn clean(&mut self, redactor: &Redactor) {
        if std::mem::replace(&mut self.is_clean, true) {
            return;
        }
        redactor.clean_json(&mut self.detail);
        if let Some(Advice { said, next, .. }) = self.advice.as_deref_mut() {
            for text in [said, next].into_iter().flatten() {
                *text = redactor.redact(text).into_owned();
            }
        }
        if let Some(when) = &mut self.retry_after {
            redactor.clean(when);
        }
    }

    /// The size of the answer's body, in bytes.
    pub fn size(&self, request_id: &str, flavor: Flavor) -> u64 {
        let text = serde_json::to_string(&self.body(request_id, flavor));
        text.map_or(0, |text| u64::try_from(text.len()).unwrap_or(u64::MAX))
    }

    fn body<'a>(&'a self, request_id: &'a str, flavor: Flavor) -> Body<'a> {
        let is_native = flavor == Flavor::Native;
        Body {
            detail: &self.detail,
            message: is_native.then(|| message(self)),
            retry: is_native.then(|| message::may_retry(self)),
            code: self.code,
            connect_url: self.connect_url.as_deref(),
            request_id,
        }
    }

    /// The HTTP response.
    pub fn render(&self, request_id: &str, flavor: Flavor) -> Response {
        let body = self.body(request_id, flavor);
        let mut response = (self.status, axum::Json(body)).into_response();
        let headers = response.headers_mut();
        if let Some(value) = self
            .retry_after
            .as_deref()
            .and_then(|value| HeaderValue::from_str(value).ok())
        {
            headers.insert(RETRY_AFTER, value);
        }
        if let Some(challenge) = self.challenge {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        if let Some(allow) = self.allow {
            headers.insert(ALLOW, HeaderValue::from_static(allow));
        }
        response
    }
}

impl From<PlaceError> for ApiError {
    fn from(error: PlaceError) -> Self {
        Self::new(ErrorCode::Busy, error.to_string()).retry_after("1")
    }
}

/// The error is stored as an extension of the response. The outermost layer knows the request id
/// and renders it.
impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// The status with this number, or 500 if it is not valid in HTTP.
fn status(number: u16) -> StatusCode {
    StatusCode::from_u16(number).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_told_in_the_words_of_whoever_is_spoken() {
        let down = || Refusal::Store(StoreError::Down("secret-host".to_owned()));
        let both = Some("Bearer, Basic");
        let (native, mcpo) = (Flavor::Native, Flavor::Mcpo);
        let table = [
            (Refusal::Missing, native, false, 401, "unauthorized", both),
            (Refusal::Key, native, false, 401, "unauthorized", both),
            (Refusal::Expired, native, false, 401, "unauthorized", both),
            (
                Refusal::Contradiction,
                native,
                true,
                401,
                "unauthorized",
                both,
            ),
            (Refusal::Untrusted, native, false, 401, "unauthorized", both),
            (down(), native, false, 503, "store_unavailable", None),
            (
                Refusal::Unavailable("x"),
                native,
                false,
                503,
                "identity_unavailable",
                None,
            ),
            (Refusal::Key, mcpo, false, 403, "unauthorized", None),
            (Refusal::Key, mcpo, true, 403, "unauthorized", None),
            (
                Refusal::Missing,
                mcpo,
                false,
                401,
                "unauthorized",
                Some("Bearer"),
            ),
            (
                Refusal::Password,
                mcpo,
                false,
                401,
                "unauthorized",
                Some("Bearer"),
            ),
            (Refusal::Password, mcpo, true, 403, "unauthorized", None),
            (Refusal::Scheme, mcpo, true, 401, "unauthorized", both),
        ];
        for (refusal, flavor, is_strict, status, code, challenge) in table {
            let error = ApiError::unidentified(refusal.clone(), flavor, is_strict);
            let told = (error.status.as_u16(), error.code.as_str(), error.challenge);
            assert_eq!(told, (status, code, challenge), "{refusal:?} {flavor:?}");
            assert_eq!(error.retry_after.is_some(), status == 503, "{refusal:?}");
            assert!(!error.detail.to_string().contains("secret-host"));
        }
    }
}
