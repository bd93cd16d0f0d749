//! One MCP endpoint, as rmcp's Streamable HTTP transport uses it.

mod refusal;
mod stream;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::{Duration, Instant},
};

use futures::stream::BoxStream;
use http::{
    HeaderMap, HeaderName, HeaderValue, StatusCode,
    header::{ACCEPT, AUTHORIZATION, CONNECTION, CONTENT_TYPE, WWW_AUTHENTICATE},
};
use reqwest::Response;
use rmcp::{
    model::ClientJsonRpcMessage,
    transport::streamable_http_client::{
        AuthRequiredError, InsufficientScopeError, SseError, StreamableHttpClient,
        StreamableHttpError, StreamableHttpPostResponse,
    },
};
use sse_stream::Sse;
use url::Url;

use super::{
    alive::{SessionHealth, SessionPing},
    answers::{DelayedAckDetector, PendingRequest, RequestTracker, too_large},
    body::{self, BodyKind},
    failure::{LastTransportError, TransportError},
    message::{cancelled, first_request, passed_into},
    pace::StreamReopenLimiter,
};
use crate::{
    mcp::{
        credential::AuthorizedClient, preview::preview, progress::ProgressRegistry,
        unasked::UnsolicitedMessages,
    },
    secret::Redactor,
};

/// `MCP 2025-11-25, transports, session management`
const SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");
/// The longest session id, in bytes. It is sent with every request.
const SESSION_ID_BYTES_MAX: usize = 1 << 10;
/// `MCP 2025-11-25, transports, protocol version header`
const PROTOCOL_VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
/// `HTML, server-sent events`
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// The first revision in which rmcp itself has to read the tool list.
const MODERN: &[u8] = b"2026-07-28";

/// How long to wait for a stream that is being opened.
const STREAM_WAIT: Duration = Duration::from_millis(500);

/// The result type for rmcp's transport.
type Answer<T> = Result<T, StreamableHttpError<TransportError>>;

/// A remote server's endpoint. Clones are cheap and belong to one connection.
#[derive(Debug, Clone)]
pub struct HttpEndpoint(Arc<HttpEndpointState>);

/// The state that the clones share.
#[derive(Debug)]
struct HttpEndpointState {
    /// Sends the requests.
    courier: AuthorizedClient,
    /// The configured URL.
    url: Url,
    /// The redirect target. Later requests go there directly, which halves the time of a call.
    moved: OnceLock<Url>,
    /// Headers that are sent with every request.
    headers: HeaderMap,
    /// Redacts secrets in messages.
    redactor: Redactor,
    /// Handles what the server sends unasked.
    unasked: UnsolicitedMessages,
    /// The requests in flight.
    calls: RequestTracker,
    /// The listeners for progress.
    ears: ProgressRegistry,
    /// Stores errors that rmcp does not report.
    last: LastTransportError,
    /// Whether connections may be reused.
    stall: DelayedAckDetector,
    /// Limits how soon streams are reopened.
    pace: Mutex<StreamReopenLimiter>,
    /// The health of the session.
    health: SessionHealth,
}

impl HttpEndpoint {
    /// Creates an endpoint without sending anything. What the server sends unasked goes to `unasked`, which
    /// also limits the size of an answer.
    pub fn new(
        courier: AuthorizedClient,
        url: Url,
        headers: HeaderMap,
        unasked: UnsolicitedMessages,
        redactor: Redactor,
    ) -> Self {
        Self(Arc::new(HttpEndpointState {
            courier,
            url,
            moved: OnceLock::new(),
            headers,
            calls: RequestTracker::new(unasked.clone(), redactor.clone()),
            redactor,
            unasked,
            ears: ProgressRegistry::default(),
            last: LastTransportError::default(),
            stall: DelayedAckDetector::default(),
            pace: Mutex::default(),
            health: SessionHealth::default(),
        }))
    }

    /// Returns the store of the last failure.
    pub fn last_failure(&self) -> LastTransportError {
        self.0.last.clone()
    }

    /// Builds the headers of one request: the operator's, overridden by those of the protocol.
    fn headers(
        &self,
        accept: &'static str,
        session: Option<&str>,
        token: Option<&str>,
        extra: HashMap<HeaderName, HeaderValue>,
    ) -> Answer<HeaderMap> {
        let mut headers = self.0.headers.clone();
        #[expect(clippy::iter_over_hash_type, reason = "headers have no order")]
        for (name, value) in extra {
            headers.insert(name, value);
        }
        headers.insert(ACCEPT, HeaderValue::from_static(accept));
        if let Some(session) = session {
            headers.insert(SESSION_ID, header_value(session)?);
        }
        if let Some(token) = token {
            let mut value = header_value(&format!("Bearer {token}"))?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        Ok(headers)
    }

    /// The current URL of the server.
    fn url(&self) -> &Url {
        self.0.moved.get().unwrap_or(&self.0.url)
    }

    /// Records a failure for [`connect_error`](super::failure::connect_error).
    fn fail<T>(&self, failure: impl Into<TransportError>) -> Answer<T> {
        Err(StreamableHttpError::Client(
            self.0.last.note(failure.into()),
        ))
    }

    /// Fails on statuses that need no look at the body. A response that rejects the credentials keeps its
    /// challenge.
    fn check(&self, response: &Response) -> Answer<()> {
        let (status, headers) = (response.status(), response.headers());
        let Some(failure) = body::refused_by_status(status, headers) else {
            return Ok(());
        };
        if !body::is_auth(status) {
            return self.fail(failure);
        }
        self.0.last.note(failure);
        let challenge = headers
            .get(WWW_AUTHENTICATE)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
            .to_owned();
        Err(if status == StatusCode::UNAUTHORIZED {
            StreamableHttpError::AuthRequired(AuthRequiredError::new(challenge))
        } else {
            StreamableHttpError::InsufficientScope(InsufficientScopeError::new(challenge, None))
        })
    }

    /// Sends one message and reads its answer.
    async fn post(
        &self,
        message: ClientJsonRpcMessage,
        session: Option<&str>,
        token: Option<&str>,
        extra: HashMap<HeaderName, HeaderValue>,
    ) -> Answer<StreamableHttpPostResponse> {
        let modern = extra
            .get(&PROTOCOL_VERSION)
            .is_some_and(|version| version.as_bytes() >= MODERN);
        self.forget_ended(&message);
        let asked = PendingRequest::new(&message, modern, &self.0.calls);
        self.0.ears.note(&message);
        let accept = "application/json, text/event-stream";
        let mut headers = self.headers(accept, session, token, extra)?;
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if self.0.stall.is_certain() {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        passed_into(&message, &mut headers);
        let ping = session.map(|_| self.ping(&headers));
        if first_request(&message).is_some() {
            self.0.health.begins();
        } else if session.is_some() && self.0.health.take_gone() {
            return Err(StreamableHttpError::SessionExpired);
        }
        let request = self.0.courier.client.post(self.url().clone());
        let request = request.headers(headers).body(serde_json::to_vec(&message)?);
        let response = match self.0.courier.send(request).await {
            Ok(response) => response,
            Err(error) => return self.fail(error),
        };
        let status = response.status();
        if !status.is_success() {
            // Boxed because it is large and most requests are accepted.
            return Box::pin(self.refused(&message, asked, ping, response)).await;
        }
        if response.url() != self.url() {
            self.0.moved.get_or_init(|| response.url().clone());
        }
        if matches!(status, StatusCode::ACCEPTED | StatusCode::NO_CONTENT) {
            return self.taken(asked, status).await;
        }
        let given = response.headers().get(&SESSION_ID);
        if given.is_some_and(|id| id.len() > SESSION_ID_BYTES_MAX) {
            let reason =
                format!("the server's session id has more than {SESSION_ID_BYTES_MAX} bytes");
            return self.fail(TransportError::Protocol(reason));
        }
        let given = given
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned);
        let content_type = body::content_type(&response);
        if BodyKind::of(&content_type) == BodyKind::Events {
            let sessions = session.is_some() && !modern;
            let stream = self.stream(response, Some(asked), sessions, ping);
            return Ok(StreamableHttpPostResponse::Sse(stream, given));
        }
        self.json(&message, asked, ping, (given, content_type), response)
            .await
    }

    /// Builds a ping for the session of a request.
    fn ping(&self, headers: &HeaderMap) -> SessionPing {
        SessionPing {
            courier: self.0.courier.clone(),
            url: self.url().clone(),
            headers: headers.clone(),
        }
    }

    /// Handles a message that the server accepted without an answer. The answer to a request may arrive on a
    /// stream that the client opened. Without such a stream it will not arrive.
    async fn taken(
        &self,
        asked: PendingRequest,
        status: StatusCode,
    ) -> Answer<StreamableHttpPostResponse> {
        if asked.id().is_some() && !self.0.health.has_stream() {
            // The stream is opened when the session begins, and may still be opening.
            tokio::time::sleep(STREAM_WAIT).await;
            if !self.0.health.has_stream() {
                let reason = format!("HTTP {} without an answer", status.as_u16());
                return self.fail(TransportError::Protocol(reason));
            }
        }
        Ok(accepted(asked))
    }

    /// Reads an answer that is not a stream. Some servers send JSON as `text/plain`.
    async fn json(
        &self,
        message: &ClientJsonRpcMessage,
        asked: PendingRequest,
        ping: Option<SessionPing>,
        (session, content_type): (Option<String>, String),
        response: Response,
    ) -> Answer<StreamableHttpPostResponse> {
        let limit = self.0.unasked.message_bytes_max();
        let body = match body::read(response, limit).await {
            Ok(body) => body,
            Err(TransportError::TooLarge(limit)) => {
                return match asked.refuse(too_large(limit)) {
                    Some(answer) => Ok(StreamableHttpPostResponse::Json(answer, session)),
                    None => self.fail(TransportError::TooLarge(limit)),
                };
            }
            Err(failure) => return self.fail(failure),
        };
        if asked.id().is_none() {
            // A notification needs no answer: the server accepted it, whatever the body says.
            return Ok(accepted(asked));
        }
        if let Some(answer) = asked.decode(message, &body) {
            if self.is_gone_by(&answer, ping).await {
                return Err(StreamableHttpError::SessionExpired);
            }
            return Ok(StreamableHttpPostResponse::Json(answer, session));
        }
        if body.is_empty() {
            return self.fail(TransportError::Protocol("an empty answer".to_owned()));
        }
        let preview = preview(&body, &self.0.redactor);
        self.fail(TransportError::Protocol(
            match BodyKind::of(&content_type) {
                BodyKind::Json => format!("its JSON does not answer the request: {preview}"),
                BodyKind::Events | BodyKind::Other if content_type.is_empty() => {
                    format!("an answer without a content type instead of JSON: {preview}")
                }
                BodyKind::Events | BodyKind::Other => {
                    format!("`{content_type}` instead of JSON: {preview}")
                }
            },
        ))
    }

    /// Opens the notification stream, or resumes a broken one.
    async fn get(
        &self,
        session: Option<&str>,
        last_event_id: Option<String>,
        token: Option<&str>,
        extra: HashMap<HeaderName, HeaderValue>,
    ) -> Answer<BoxStream<'static, Result<Sse, SseError>>> {
        let mut headers = self.headers("text/event-stream", session, token, extra)?;
        if let Some(id) = &last_event_id {
            headers.insert(LAST_EVENT_ID, header_value(id)?);
        }
        self.keep_pace(last_event_id.is_some()).await;
        let request = self.0.courier.client.get(self.url().clone());
        let response = match self.0.courier.send(request.headers(headers)).await {
            Ok(response) => response,
            Err(error) => return self.fail(error),
        };
        self.check(&response)?;
        let status = response.status();
        // Asking again helps neither if the stream is not supported nor if the session is unknown.
        if status.is_client_error()
            || status == StatusCode::NOT_IMPLEMENTED
            || (status.is_success()
                && BodyKind::of(&body::content_type(&response)) != BodyKind::Events)
        {
            return Err(StreamableHttpError::ServerDoesNotSupportSse);
        }
        if !status.is_success() {
            return self.fail(TransportError::Http(status.as_u16(), String::new()));
        }
        Ok(self.stream(response, None, true, None))
    }

    /// Waits before a stream is reopened. The delay grows each time the server closes it early.
    async fn keep_pace(&self, is_resumed: bool) {
        let wait = {
            let mut pace = self.0.pace.lock().unwrap_or_else(PoisonError::into_inner);
            if is_resumed {
                pace.before_resuming(Instant::now())
            } else {
                pace.before_opening(Instant::now())
            }
        };
        tokio::time::sleep(wait).await;
    }

    /// Removes the calls that a message ends: all of them if a session begins, one if it is canceled.
    fn forget_ended(&self, message: &ClientJsonRpcMessage) {
        if first_request(message).is_some() {
            self.0.calls.clear();
        } else if let Some(id) = cancelled(message) {
            self.0.calls.forget(id);
        }
    }
}

impl StreamableHttpClient for HttpEndpoint {
    type Error = TransportError;

    async fn post_message(
        &self,
        _uri: Arc<str>,
        message: ClientJsonRpcMessage,
        session_id: Option<Arc<str>>,
        auth_header: Option<String>,
        custom_headers: HashMap<HeaderName, HeaderValue>,
    ) -> Answer<StreamableHttpPostResponse> {
        let (session, token) = (session_id.as_deref(), auth_header.as_deref());
        self.post(message, session, token, custom_headers).await
    }

    // The limit is the bridge's own and applies to JSON answers too.
    async fn post_message_with_max_sse_event_size(
        &self,
        _uri: Arc<str>,
        message: ClientJsonRpcMessage,
        session_id: Option<Arc<str>>,
        auth_header: Option<String>,
        custom_headers: HashMap<HeaderName, HeaderValue>,
        _max_sse_event_size: usize,
    ) -> Answer<StreamableHttpPostResponse> {
        let (session, token) = (session_id.as_deref(), auth_header.as_deref());
        self.post(message, session, token, custom_headers).await
    }

    /// Deletes the session. The server may refuse; the bridge is done with the session in any case.
    async fn delete_session(
        &self,
        _uri: Arc<str>,
        session_id: Arc<str>,
        auth_header: Option<String>,
        custom_headers: HashMap<HeaderName, HeaderValue>,
    ) -> Answer<()> {
        let token = auth_header.as_deref();
        let headers = self.headers("*/*", Some(&session_id), token, custom_headers)?;
        let request = self.0.courier.client.delete(self.url().clone());
        if let Err(reason) = self.0.courier.send(request.headers(headers)).await {
            tracing::debug!(%reason, "could not end the session");
        }
        Ok(())
    }

    async fn get_stream(
        &self,
        _uri: Arc<str>,
        session_id: Option<Arc<str>>,
        last_event_id: Option<String>,
        auth_header: Option<String>,
        custom_headers: HashMap<HeaderName, HeaderValue>,
    ) -> Answer<BoxStream<'static, Result<Sse, SseError>>> {
        let (session, token) = (session_id.as_deref(), auth_header.as_deref());
        self.get(session, last_event_id, token, custom_headers)
            .await
    }

    async fn get_stream_with_max_sse_event_size(
        &self,
        _uri: Arc<str>,
        session_id: Option<Arc<str>>,
        last_event_id: Option<String>,
        auth_header: Option<String>,
        custom_headers: HashMap<HeaderName, HeaderValue>,
        _max_sse_event_size: usize,
    ) -> Answer<BoxStream<'static, Result<Sse, SseError>>> {
        let (session, token) = (session_id.as_deref(), auth_header.as_deref());
        self.get(session, last_event_id, token, custom_headers)
            .await
    }
}

/// The answer will arrive on another stream, if one is due.
fn accepted(mut asked: PendingRequest) -> StreamableHttpPostResponse {
    asked.resumable();
    StreamableHttpPostResponse::Accepted
}

/// Builds a header value from a text of the server or the session.
fn header_value(text: &str) -> Answer<HeaderValue> {
    HeaderValue::from_str(text).map_err(|_| {
        StreamableHttpError::Client(TransportError::Protocol(
            "the session or event id is not a valid header value".to_owned(),
        ))
    })
}
