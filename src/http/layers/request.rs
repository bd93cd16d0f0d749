//! The outermost layer: assigns the request id, writes one log line per request and renders errors.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Instant};

use axum::{
    body::Bytes,
    extract::{ConnectInfo, MatchedPath, Request, State},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use futures::FutureExt as _;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, Version, header};

use super::{RefusalLogLimiter, leftover::LeftoverBody, safety::protect};
use crate::{
    config::Flavor,
    error_code::ErrorCode,
    http::{
        browser,
        connect::without_link,
        error::ApiError,
        sender::RequestId,
        server::{ClientConnection, ClientPeer},
        state::AppState,
    },
    name::{BridgeName, ToolName},
    secret::Redactor,
    settings::PlaceError,
    telemetry::RequestSpan,
};

/// The header that carries the request id, in requests and responses.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The longest request id that is accepted from a caller, in bytes.
const REQUEST_ID_BYTES_MAX: usize = 64;

/// What a handler adds to the log line of a request.
#[derive(Debug, Clone)]
pub struct RequestLogFields {
    /// The bridge.
    pub bridge: Option<BridgeName>,
    /// The tool.
    pub tool: Option<ToolName>,
    /// The caller.
    pub caller: Option<String>,
}

/// The state of [`observe`].
#[derive(Debug)]
pub struct RequestObserver {
    /// Limits the log lines about refused requests.
    pub quiet: RefusalLogLimiter,
    /// The state that handlers share: the redactor, the drain signal, the counters.
    pub state: Arc<AppState>,
}

/// Serves one request within the limit on concurrent requests. Every error is redacted, wherever
/// its text came from.
pub async fn observe(
    State(observer): State<Arc<RequestObserver>>,
    request: Request,
    next: Next,
) -> Response {
    let (request, leftover) = LeftoverBody::lend(request);
    let response = answer(&observer, request, next).await;
    leftover.read(response.status()).await;
    response
}

/// Produces the response as it is sent.
async fn answer(observer: &RequestObserver, mut request: Request, next: Next) -> Response {
    let RequestObserver { quiet, state } = observer;
    let began = Instant::now();
    let peer = request.extensions().get::<ConnectInfo<ClientPeer>>();
    let connection = peer.map(|ConnectInfo(peer)| Arc::clone(&peer.connection));
    let _busy = connection.as_ref().map(ClientConnection::busy);
    // If a client pipelines many requests, each of them yields to the other connections.
    if connection.is_some_and(|connection| connection.is_pipelined()) {
        tokio::task::yield_now().await;
    }
    let redactor = &state.redactor;
    let version = request.version();
    let request_id = request_id(request.headers());
    let shared = RequestId::new(&request_id);
    request.extensions_mut().insert(shared);
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let span = begin_span(state, &mut request);
    let response = if let Err(error) = browser::check_hosts(state, &request) {
        error.into_response()
    // If a probe failed under load, an orchestrator would restart a process that is only busy.
    } else if is_probe(uri.path()) || uri.path() == "/metrics" {
        run(next, request).await
    } else {
        let entered = state.settings.load().gate.enter();
        match entered {
            Some(seat) => {
                request.extensions_mut().insert(Arc::clone(&seat));
                let response = run(next, request).await;
                drop(seat);
                response
            }
            None => ApiError::from(PlaceError::Entering).into_response(),
        }
    };
    let text = request_id.to_str().unwrap_or_default();
    let flavor = state.settings.load().config.flavor;
    let mut response = render(response, text, &uri, redactor, flavor);
    protect(&mut response, &method);
    state.metering.answered(response.status());
    let trace = span.map(|span| end_span(&span, text, &method, &response));
    let note = response.extensions().get::<RequestLogFields>();
    let is_identified = note.is_some_and(|note| note.caller.is_some());
    if is_probe(uri.path()) || quiet.is_logged(response.status(), is_identified) {
        log(
            text,
            trace.as_deref(),
            &method,
            &without_link(uri.path()),
            &response,
            began,
        );
    }
    let headers = response.headers_mut();
    headers.insert(REQUEST_ID, request_id);
    // A client that keeps the connection alive would lose its next request. HTTP/2 has the GOAWAY
    // frame for this.
    if state.draining.is_cancelled() && version <= Version::HTTP_11 {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// Runs the routes. A panic in a handler fails only that request. The panic hook has already logged
/// its message.
async fn run(next: Next, request: Request) -> Response {
    let answer = AssertUnwindSafe(next.run(request)).catch_unwind();
    answer.await.unwrap_or_else(|_said| {
        tracing::error!("a request handler panicked");
        ApiError::new(
            ErrorCode::Internal,
            "this is a bug in the bridge; its log has the details under this request id",
        )
        .into_response()
    })
}

/// Whether the path is a probe. Probes are answered from memory at any load, and their log lines
/// are only debug lines.
fn is_probe(path: &str) -> bool {
    matches!(path, "/health" | "/ready")
}

/// The caller's request id if it is safe to use, or else 64 new random bits. The id is not
/// redacted: stars would tell the caller that their guess was a secret.
fn request_id(headers: &HeaderMap) -> HeaderValue {
    let sent = headers.get(REQUEST_ID);
    match sent {
        Some(id) if id.to_str().is_ok_and(is_harmless) => id.clone(),
        _ => HeaderValue::try_from(format!("{:016x}", rand::random::<u64>()))
            .unwrap_or(HeaderValue::from_static("none")),
    }
}

/// Whether an id is safe in log lines and responses.
fn is_harmless(id: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
    !id.is_empty() && id.len() <= REQUEST_ID_BYTES_MAX && id.bytes().all(is_plain)
}

/// Gives an [`ApiError`] its body and keeps the headers that inner layers added.
fn render(
    mut response: Response,
    request_id: &str,
    uri: &Uri,
    redactor: &Redactor,
    flavor: Flavor,
) -> Response {
    let Some(mut error) = response.extensions_mut().remove::<ApiError>() else {
        return response;
    };
    // Text that the caller sent is returned unchanged, not redacted.
    let asked = [uri.path(), uri.query().unwrap_or_default()].map(str::as_bytes);
    error.clean(&redactor.for_caller(&asked, Bytes::new()));
    let mut rendered = error.render(request_id, flavor);
    let own: Vec<HeaderName> = rendered.headers().keys().cloned().collect();
    let (parts, _empty) = response.into_parts();
    for (name, value) in &parts.headers {
        if !own.contains(name) && *name != header::CONTENT_LENGTH {
            rendered.headers_mut().append(name.clone(), value.clone());
        }
    }
    *rendered.extensions_mut() = parts.extensions;
    rendered
        .extensions_mut()
        .insert(ResponseErrorCode(error.code));
    rendered
}

/// The error code of a response.
#[derive(Debug, Clone, Copy)]
struct ResponseErrorCode(ErrorCode);

/// Starts the span of a request if traces are collected. Probes and metrics get no span.
fn begin_span(state: &AppState, request: &mut Request) -> Option<ActiveSpan> {
    let path = request.uri().path();
    if is_probe(path) || path == "/metrics" {
        return None;
    }
    let span = state
        .traces
        .request(request.method(), &without_link(path), request.headers())?;
    let route = request.extensions().get::<MatchedPath>().cloned();
    request.extensions_mut().insert(span.clone());
    Some(ActiveSpan { span, route })
}

/// A span in progress.
struct ActiveSpan {
    /// The span.
    span: RequestSpan,
    /// The matched route. It is `None` for a call.
    route: Option<MatchedPath>,
}

/// Ends the span of a request and returns the id of its trace.
fn end_span(traced: &ActiveSpan, request_id: &str, method: &Method, response: &Response) -> String {
    let ActiveSpan { span, route } = traced;
    let note = response.extensions().get::<RequestLogFields>();
    if let Some(note) = note {
        span.called(note.bridge.as_ref(), note.tool.as_ref());
    }
    let route = route.as_ref().map(MatchedPath::as_str);
    if let Some(route) = route.or(note.map(|_call| "/{bridge}/{tool}")) {
        span.routed(method.as_str(), route);
    }
    let code = response
        .extensions()
        .get::<ResponseErrorCode>()
        .map(|code| code.0);
    span.answered(request_id, response.status().as_u16(), code);
    span.trace_id()
}

/// Writes the log line of a request. Calls are logged at INFO; pages, documents and probes at
/// DEBUG, so that an idle bridge behind a health check stays quiet.
fn log(
    request_id: &str,
    trace: Option<&str>,
    method: &Method,
    path: &str,
    response: &Response,
    began: Instant,
) {
    let status = response.status();
    let note = response.extensions().get::<RequestLogFields>();
    let code = response
        .extensions()
        .get::<ResponseErrorCode>()
        .map(|code| code.0.as_str());
    // Rounded to whole microseconds, because more digits carry no information.
    let duration_ms = (began.elapsed().as_secs_f64() * 1_000_000.0).round() / 1_000.0;
    match note {
        Some(note) => tracing::info!(
            request.id = request_id,
            trace.id = trace,
            bridge.name = note.bridge.as_ref().map(BridgeName::as_str),
            tool.name = note.tool.as_ref().map(ToolName::as_str),
            caller.id = note.caller.as_deref(),
            status = status.as_u16(),
            code,
            duration_ms,
            "call"
        ),
        None if status == StatusCode::NOT_FOUND || status.is_success() || is_probe(path) => {
            tracing::debug!(request.id = request_id, trace.id = trace, %method, path, status = status.as_u16(), duration_ms, "request");
        }
        None => {
            tracing::info!(request.id = request_id, trace.id = trace, %method, path, status = status.as_u16(), code, duration_ms, "request");
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::{Router, body::Body, middleware::from_fn, routing::get};
    use tower::ServiceExt as _;

    use super::*;

    #[tokio::test]
    async fn a_panic_costs_its_request_alone() {
        let breaks = get(async || -> Response { panic!("a defect") });
        let router = Router::new()
            .route("/breaks", breaks)
            .route("/works", get(async || "fine"))
            .layer(from_fn(async |request: Request, next: Next| {
                run(next, request).await
            }));
        for (path, status) in [("/breaks", 500), ("/works", 200)] {
            let request = Request::get(path).body(Body::empty()).unwrap();
            let response = router.clone().oneshot(request).await.unwrap();
            assert_eq!(response.status().as_u16(), status, "{path}");
        }
    }
}
