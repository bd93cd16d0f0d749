//! [`ApiError`]: a [`ServiceError`] as an HTTP response.

use std::ops::{Deref, DerefMut};

use axum::response::{IntoResponse, Response};
use http::{
    HeaderValue, StatusCode,
    header::{ALLOW, RETRY_AFTER, WWW_AUTHENTICATE},
};
use serde::Serialize;
use serde_json::Value;

use crate::{
    access::AccessRefusal,
    auth::AuthenticationError,
    call::ServiceError,
    config::Flavor,
    error_code::ErrorCode,
    name::BridgeName,
    reply::{ToolError, status_of},
    store::StoreError,
};

/// An error response: `{"detail", "message", "retry", "code", "request_id"}`. `message` is written
/// for models. mcpo's flavors leave out `message` and `retry`.
#[derive(Debug, Clone)]
pub struct ApiError {
    /// The code and the texts.
    error: ServiceError,
    /// The HTTP status.
    pub status: StatusCode,
    /// The challenge of a 401 (`WWW-Authenticate`).
    pub challenge: Option<&'static str>,
    /// The methods that a 405 allows (`Allow`).
    pub allow: Option<&'static str>,
}

/// The method of a call.
pub const POST: &str = "POST";
/// The methods of a read-only route.
pub const GET: &str = "GET,HEAD";

/// The JSON body.
#[derive(Serialize)]
struct ErrorBody<'a> {
    /// See [`ServiceError::detail`].
    detail: &'a Value,
    /// See [`ServiceError::message`].
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    /// See [`ServiceError::may_retry`].
    #[serde(skip_serializing_if = "Option::is_none")]
    retry: Option<bool>,
    /// See [`ServiceError::code`].
    code: ErrorCode,
    /// See [`ServiceError::connect_url`].
    #[serde(skip_serializing_if = "Option::is_none")]
    connect_url: Option<&'a str>,
    /// The request id, which is also in the log line.
    request_id: &'a str,
}

impl Deref for ApiError {
    type Target = ServiceError;

    fn deref(&self) -> &ServiceError {
        &self.error
    }
}

impl DerefMut for ApiError {
    fn deref_mut(&mut self) -> &mut ServiceError {
        &mut self.error
    }
}

impl<E: Into<ServiceError>> From<E> for ApiError {
    fn from(error: E) -> Self {
        let error = error.into();
        let number = error
            .server_code
            .map_or_else(|| error.code.status(), status_of);
        Self {
            status: status(number),
            error,
            challenge: None,
            allow: None,
        }
    }
}

impl ApiError {
    /// An error of the bridge, with a sentence as its detail.
    pub fn new(code: ErrorCode, detail: impl Into<String>) -> Self {
        ServiceError::new(code, detail).into()
    }

    /// Changes the code and the texts.
    fn map(mut self, change: impl FnOnce(ServiceError) -> ServiceError) -> Self {
        self.error = change(self.error);
        self
    }

    /// Sets another status than the default for the code.
    #[must_use]
    pub fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// See [`ServiceError::advise`].
    #[must_use]
    pub fn advise(self, next: impl Into<String>) -> Self {
        self.map(|error| error.advise(next))
    }

    /// See [`ServiceError::of_caller`].
    #[must_use]
    pub fn of_caller(self) -> Self {
        self.map(ServiceError::of_caller)
    }

    /// 404 with a sentence.
    pub fn not_found(detail: impl Into<String>) -> Self {
        ServiceError::not_found(detail).into()
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
    pub fn unidentified(refusal: AuthenticationError, flavor: Flavor, is_strict: bool) -> Self {
        let is_native = flavor == Flavor::Native;
        let refusal = match refusal {
            AuthenticationError::Missing
            | AuthenticationError::Scheme
            | AuthenticationError::Format
            | AuthenticationError::Password
                if !is_native && !is_strict =>
            {
                AuthenticationError::Missing
            }
            refusal => refusal,
        };
        let is_forbidden = !is_native
            && matches!(
                refusal,
                AuthenticationError::Key | AuthenticationError::Password
            );
        let mut error = Self::from(refusal);
        if is_forbidden {
            error.status = StatusCode::FORBIDDEN;
        } else if error.code == ErrorCode::Unauthorized {
            error.challenge = Some(if is_native || is_strict {
                "Bearer, Basic"
            } else {
                "Bearer"
            });
        }
        error
    }

    /// Removes Basic from the challenge of a 401. With Basic in it, the browser would ask for a
    /// name and a password itself, before the page learns of the error.
    pub fn without_prompt(mut self) -> Self {
        self.challenge = self.challenge.map(|_| "Bearer");
        self
    }

    /// See [`ServiceError::denied`].
    pub fn access_refused(denial: &AccessRefusal, bridge: &BridgeName, tool: Option<&str>) -> Self {
        ServiceError::denied(denial, bridge, tool).into()
    }

    /// The error if the database does not answer.
    pub fn store(error: StoreError) -> Self {
        error.into()
    }

    /// An error that the tool itself reported. The bridge and the server work, so the status is
    /// 422. mcpo's clients expect 500, so mcpo's flavors keep it.
    pub fn tool(error: ToolError, flavor: Flavor) -> Self {
        let status = match flavor {
            Flavor::Native => StatusCode::UNPROCESSABLE_ENTITY,
            Flavor::Mcpo | Flavor::McpoSingle => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let said = format!("the tool failed: {}", error.message);
        let error = ServiceError::reported(ErrorCode::ToolError, &error.message, error.data);
        Self::from(error.say(said)).with_status(status)
    }

    /// The size of the answer's body, in bytes.
    pub fn size(&self, request_id: &str, flavor: Flavor) -> usize {
        let text = serde_json::to_string(&self.body(request_id, flavor));
        text.map_or(0, |text| text.len())
    }

    fn body<'a>(&'a self, request_id: &'a str, flavor: Flavor) -> ErrorBody<'a> {
        let is_native = flavor == Flavor::Native;
        ErrorBody {
            detail: &self.detail,
            message: is_native.then(|| self.message()),
            retry: is_native.then(|| self.may_retry()),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mcp::CallError;

    #[test]
    fn the_number_of_a_servers_error_decides_the_status() {
        for (code, status) in [(-32601, 404), (-32602, 422), (-32700, 400), (7, 500)] {
            let error = ApiError::from(CallError::Rpc {
                code,
                message: "no".to_owned(),
                data: None,
            });
            assert_eq!(error.status.as_u16(), status, "{code}");
            assert_eq!(error.code, ErrorCode::ServerError);
        }
        assert_eq!(ApiError::from(CallError::Lost).status.as_u16(), 502);
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "a table")]
    fn refusals_use_the_words_of_the_flavor() {
        let down = || AuthenticationError::Store(StoreError::Down("secret-host".to_owned()));
        let both = Some("Bearer, Basic");
        let (native, mcpo) = (Flavor::Native, Flavor::Mcpo);
        let table = [
            (
                AuthenticationError::Missing,
                native,
                false,
                401,
                "unauthorized",
                both,
            ),
            (
                AuthenticationError::Key,
                native,
                false,
                401,
                "unauthorized",
                both,
            ),
            (
                AuthenticationError::Expired,
                native,
                false,
                401,
                "unauthorized",
                both,
            ),
            (
                AuthenticationError::Contradiction,
                native,
                true,
                401,
                "unauthorized",
                both,
            ),
            (
                AuthenticationError::Untrusted,
                native,
                false,
                401,
                "unauthorized",
                both,
            ),
            (down(), native, false, 503, "store_unavailable", None),
            (
                AuthenticationError::Unavailable("x"),
                native,
                false,
                503,
                "identity_unavailable",
                None,
            ),
            (
                AuthenticationError::Key,
                mcpo,
                false,
                403,
                "unauthorized",
                None,
            ),
            (
                AuthenticationError::Key,
                mcpo,
                true,
                403,
                "unauthorized",
                None,
            ),
            (
                AuthenticationError::Missing,
                mcpo,
                false,
                401,
                "unauthorized",
                Some("Bearer"),
            ),
            (
                AuthenticationError::Password,
                mcpo,
                false,
                401,
                "unauthorized",
                Some("Bearer"),
            ),
            (
                AuthenticationError::Password,
                mcpo,
                true,
                403,
                "unauthorized",
                None,
            ),
            (
                AuthenticationError::Scheme,
                mcpo,
                true,
                401,
                "unauthorized",
                both,
            ),
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
