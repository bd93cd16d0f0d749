//! Interprets an error status: an answer, an unknown session, or a failure.

use http::StatusCode;
use reqwest::Response;
use rmcp::{
    model::{ClientJsonRpcMessage, ErrorData, JsonRpcMessage, ServerJsonRpcMessage},
    transport::streamable_http_client::{StreamableHttpError, StreamableHttpPostResponse},
};

use super::{
    super::{
        alive::{PingOutcome, SessionPing, did_not_run, speaks_of_session},
        answers::PendingRequest,
        body,
        failure::TransportError,
        message::{OpeningRequest, first_request, is_of_mcp, is_session_gone},
    },
    Answer, HttpEndpoint, accepted,
};

impl HttpEndpoint {
    /// Whether an answer is an error about the session, and the session is really gone.
    pub(super) async fn is_gone_by(
        &self,
        answer: &ServerJsonRpcMessage,
        ping: Option<SessionPing>,
    ) -> bool {
        match (answer, ping) {
            (JsonRpcMessage::Error(error), Some(ping)) => {
                self.0.health.has_worked()
                    && speaks_of_session(&error.error.message)
                    && ping.send().await != PingOutcome::Lives
            }
            (JsonRpcMessage::Response(_), Some(_)) => {
                self.0.health.works();
                false
            }
            _ => false,
        }
    }

    /// Reads an error body. A JSON-RPC error is an answer, unless it only says that the URL does not speak
    /// MCP (MCP 2025-11-25, transports, backwards compatibility).
    pub(super) async fn refused(
        &self,
        message: &ClientJsonRpcMessage,
        asked: PendingRequest,
        ping: Option<SessionPing>,
        response: Response,
    ) -> Answer<StreamableHttpPostResponse> {
        let (status, headers) = (response.status(), response.headers());
        if asked.id().is_none() {
            tracing::debug!(%status, "the server refused a notification");
            return Ok(accepted(asked));
        }
        if let Some(failure) = body::refused_by_head(status, headers) {
            return self.fail(failure);
        }
        let body = body::read_refusal(response).await;
        let error = body::json_rpc_error(&body);
        if let Some(ping) = ping
            && let Some(expired) = self.expired(status, error.as_ref(), &body, ping).await
        {
            return expired;
        }
        let first = first_request(message);
        if body::is_auth(status) && (error.is_none() || first.is_some()) {
            let words = body::words(&body, &self.0.redactor);
            return self.fail(TransportError::Auth(status.as_u16(), words));
        }
        let error = match (error, first) {
            (Some(error), Some(OpeningRequest::Initialize)) if !is_of_mcp(&error) => {
                let hint = format!(": {}", self.0.redactor.redact(&error.message));
                return self.fail(TransportError::Http(status.as_u16(), hint));
            }
            // After any client error the lifecycle continues with `initialize`.
            (None, Some(OpeningRequest::Discover)) if status.is_client_error() => {
                Some(ErrorData::invalid_request(format!("HTTP {status}"), None))
            }
            (error, _) => error,
        };
        match error.and_then(|error| asked.refuse(error)) {
            Some(answer) => Ok(StreamableHttpPostResponse::Json(answer, None)),
            None => self.fail(body::refused_by_body(status, &body, &self.0.redactor)),
        }
    }

    /// Interprets an error status for a request with a session id that the server no longer knows.
    async fn expired(
        &self,
        status: StatusCode,
        error: Option<&ErrorData>,
        body: &[u8],
        ping: SessionPing,
    ) -> Option<Answer<StreamableHttpPostResponse>> {
        let is_told = error.is_some_and(is_session_gone);
        let is_unknown = match status {
            StatusCode::NOT_FOUND => error.is_none() || is_told,
            StatusCode::BAD_REQUEST => is_told,
            _ => false,
        };
        if is_unknown {
            return Some(Err(StreamableHttpError::SessionExpired));
        }
        let health = &self.0.health;
        if !health.has_worked() && !health.is_refused_again() {
            return None;
        }
        let PingOutcome::Gone(pinged) = ping.send().await else {
            return None;
        };
        if !health.has_worked() {
            let words = body::words(body, &self.0.redactor);
            let status = status.as_u16();
            let reason =
                format!("the server refuses all requests of a new session (HTTP {status}){words}");
            return Some(self.fail(TransportError::NotSent(reason)));
        }
        tracing::debug!(%status, "the server no longer knows the session");
        if did_not_run(status, pinged) {
            return Some(Err(StreamableHttpError::SessionExpired));
        }
        // The call may have run, so it is not sent again. The next call begins a new session.
        health.is_lost();
        None
    }
}
