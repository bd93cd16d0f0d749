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
    alive::{Health, Ping},
    answers::{Asked, RawCalls, Stall, too_large},
    body::{self, Kind},
    failure::{Failure, LastFailure},
    message::{cancelled, first_request, passed_into},
    pace::Pace,
};
use crate::{
    mcp::{credential::Courier, preview::preview, progress::Ears, unasked::Unasked},
    secret::Redactor,
};

/// `MCP 2025-11-25, transports, session management`
const SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");
/// The longest session id, in bytes: it goes with every request.
const SESSION_ID_BYTES_MAX: usize = 1 << 10;
/// `MCP 2025-11-25, transports, protocol version header`
const PROTOCOL_VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
/// `HTML, server-sent events`
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// The first revision in which rmcp itself must read the tool list.
const MODERN: &[u8] = b"2026-07-28";

/// How long a stream that is being opened is waited for.
const STREAM_WAIT: Duration = Duration::from_millis(500);

/// What rmcp's transport gets.
type Answer<T> = Result<T, StreamableHttpError<Failure>>;

/// A remote server's endpoint. Cheap to clone; all clones are one connection's.
#[derive(Debug, Clone)]
pub struct HttpEndpoint(Arc<Inner>);

/// What the clones share.
#[derive(Debug)]
struct Inner {
    /// Sends the requests.
    courier: Courier,
    /// Where the operator says the server is.
    url: Url,
    /// Where it redirected us: asked for directly from then on, which halves the time of a call.
    moved: OnceLock<Url>,
    /// Sent with every request.
    headers: HeaderMap,
    /// Keeps secrets out of messages.
    redactor: Redactor,
    /// What the server sends unasked.
    unasked: Unasked,
    /// The requests in flight.
    calls: RawCalls,
    /// Who wants to hear of them.
    ears: Ears,
    /// For errors that rmcp swallows.
    last: LastFailure,
    /// Whether connections may be reused.
    stall: Stall,
    /// How soon streams are opened again.
    pace: Mutex<Pace>,
    /// Whether the session works.
    health: Health,
}

impl HttpEndpoint {
    /// Describes an endpoint; nothing is sent yet. What the server sends unasked goes to `unasked`, which
    /// also bounds an answer.
    pub fn new(
        courier: Courier,
        url: Url,
        headers: HeaderMap,
        unasked: Unasked,
        redactor: Redactor,
    ) -> Self {
        Self(Arc::new(Inner {
            courier,
            url,
            moved: OnceLock::new(),
            headers,
            calls: RawCalls::new(unasked.clone(), redactor.clone()),
            redactor,
            unasked,
            ears: Ears::default(),
            last: LastFailure::default(),
            stall: Stall::default(),
            pace: Mutex::default(),
            health: Health::default(),
        }))
    }

    /// What went wrong last.
    pub fn last_failure(&self) -> LastFailure {
        self.0.last.clone()
    }

    /// The headers of one request: the operator's, then the protocol's over them.
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

    /// Where the server is.
    fn url(&self) -> &Url {
        self.0.moved.get().unwrap_or(&self.0.url)
    }

    /// Notes a failure for [`connect_error`](super::failure::connect_error).
    fn fail<T>(&self, failure: impl Into<Failure>) -> Answer<T> {
        Err(StreamableHttpError::Client(
            self.0.last.note(failure.into()),
        ))
    }

    /// Refuses what its status alone refuses. A refused credential keeps its challenge.
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
        let asked = Asked::new(&message, modern, &self.0.calls);
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
            // Boxed: it is large, and most requests are taken.
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
            let reason = format!("its session id has more than {SESSION_ID_BYTES_MAX} bytes");
            return self.fail(Failure::Protocol(reason));
        }
        let given = given
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned);
        let content_type = body::content_type(&response);
        if Kind::of(&content_type) == Kind::Events {
            let sessions = session.is_some() && !modern;
            let stream = self.stream(response, Some(asked), sessions, ping);
            return Ok(StreamableHttpPostResponse::Sse(stream, given));
        }
        self.json(&message, asked, ping, (given, content_type), response)
            .await
    }

    /// Asks whether the session of a request lives.
    fn ping(&self, headers: &HeaderMap) -> Ping {
        Ping {
            courier: self.0.courier.clone(),
            url: self.url().clone(),
            headers: headers.clone(),
        }
    }

    /// Takes a message that the server accepted without an answer. The answer to a request may come on a
    /// stream that the client opened; where there is none, it will not come.
    async fn taken(&self, asked: Asked, status: StatusCode) -> Answer<StreamableHttpPostResponse> {
        if asked.id().is_some() && !self.0.health.has_stream() {
            // The stream is opened when the session begins, and may be on its way.
            tokio::time::sleep(STREAM_WAIT).await;
            if !self.0.health.has_stream() {
                let reason = format!("HTTP {} without an answer", status.as_u16());
                return self.fail(Failure::Protocol(reason));
            }
        }
        Ok(accepted(asked))
    }

    /// Reads an answer that is no stream. Some servers call their JSON `text/plain`.
    async fn json(
        &self,
        message: &ClientJsonRpcMessage,
        asked: Asked,
        ping: Option<Ping>,
        (session, content_type): (Option<String>, String),
        response: Response,
    ) -> Answer<StreamableHttpPostResponse> {
        let limit = self.0.unasked.message_bytes_max();
        let body = match body::read(response, limit).await {
            Ok(body) => body,
            Err(Failure::TooLarge(limit)) => {
                return match asked.refuse(too_large(limit)) {
                    Some(answer) => Ok(StreamableHttpPostResponse::Json(answer, session)),
                    None => self.fail(Failure::TooLarge(limit)),
                };
            }
            Err(failure) => return self.fail(failure),
        };
        if asked.id().is_none() {
            // A notification wants no answer: whatever this is, it was taken.
            return Ok(accepted(asked));
        }
        if let Some(answer) = asked.decode(message, &body) {
            if self.is_gone_by(&answer, ping).await {
                return Err(StreamableHttpError::SessionExpired);
            }
            return Ok(StreamableHttpPostResponse::Json(answer, session));
        }
        if body.is_empty() {
            return self.fail(Failure::Protocol("an empty answer".to_owned()));
        }
        let preview = preview(&body, &self.0.redactor);
        self.fail(Failure::Protocol(match Kind::of(&content_type) {
            Kind::Json => format!("its JSON is no answer to the request: {preview}"),
            Kind::Events | Kind::Other if content_type.is_empty() => {
                format!("an answer without content type instead of JSON: {preview}")
            }
            Kind::Events | Kind::Other => format!("`{content_type}` instead of JSON: {preview}"),
        }))
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
        // Neither a missing stream nor a forgotten session gets better by asking again.
        if status.is_client_error()
            || status == StatusCode::NOT_IMPLEMENTED
            || (status.is_success() && Kind::of(&body::content_type(&response)) != Kind::Events)
        {
            return Err(StreamableHttpError::ServerDoesNotSupportSse);
        }
        if !status.is_success() {
            return self.fail(Failure::Http(status.as_u16(), String::new()));
        }
        Ok(self.stream(response, None, true, None))
    }

    /// Waits before a stream is opened again, the longer the more often the server closes it.
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

    /// Forgets the calls that a message ends: all of them when a session begins, one when it is
    /// cancelled.
    fn forget_ended(&self, message: &ClientJsonRpcMessage) {
        if first_request(message).is_some() {
            self.0.calls.clear();
        } else if let Some(id) = cancelled(message) {
            self.0.calls.forget(id);
        }
    }
}

impl StreamableHttpClient for HttpEndpoint {
    type Error = Failure;

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

    // The limit is ours: it holds for JSON answers too.
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

    /// The server may keep its session: whatever it answers, ours is over.
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

/// The answer will come on another stream, if one is due.
fn accepted(mut asked: Asked) -> StreamableHttpPostResponse {
    asked.resumable();
    StreamableHttpPostResponse::Accepted
}

/// Makes a header value of what the server or the session gave us.
fn header_value(text: &str) -> Answer<HeaderValue> {
    HeaderValue::from_str(text).map_err(|_| {
        StreamableHttpError::Client(Failure::Protocol(
            "a session or event id that fits no header".to_owned(),
        ))
    })
}
