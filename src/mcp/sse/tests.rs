//! Tests of the deprecated HTTP+SSE transport with servers that behave in all known unusual ways.

use std::{
    collections::HashMap,
    convert::Infallible,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Query, Request, State},
    response::{IntoResponse as _, Response},
    routing,
};
use futures::stream;
use http::{HeaderMap, Method, StatusCode, header};
use rmcp::{RoleClient, ServiceExt as _, service::RunningService, transport::Transport as _};
use serde_json::{Value, json};
use tokio::{
    sync::mpsc::{UnboundedSender, unbounded_channel},
    time::timeout,
};
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

use super::{connect, transport::SseTransport};
use crate::config::{RemoteKind, RemoteSettings};
use crate::mcp::error::{CallError, ConnectError};
use crate::mcp::http::testing::{
    LIMIT, Quiet, Server, TOKEN, assert_answer, call, courier, odd_answer, odd_answers, redactor,
    unasked,
};

/// A result that rmcp's own decoder would lose.
const ODD: &str = r#"{"action":"accept","content":[{"type":"hologram"}],"x":1e2}"#;

/// The event channel of each session. Removing an entry ends the stream.
type Streams = Arc<Mutex<HashMap<String, UnboundedSender<String>>>>;

/// Serves the stream at `path`, with messages at `endpoint`.
fn server(path: &str, endpoint: &'static str) -> (Router, Streams) {
    let streams = Streams::default();
    let opened = Arc::clone(&streams);
    let open = move || {
        let (sender, receiver) = unbounded_channel();
        let id = opened.lock().unwrap().len().to_string();
        sender.send(": hello\n\n".to_owned()).unwrap();
        sender
            .send(format!("event: endpoint\r\ndata: {endpoint}{id}\r\n\r\n"))
            .unwrap();
        opened.lock().unwrap().insert(id, sender);
        let events = stream::unfold(receiver, |mut receiver| async {
            Some((Ok::<_, Infallible>(receiver.recv().await?), receiver))
        });
        async { events_of(Body::from_stream(events)) }
    };
    let router = Router::new()
        .route(path, routing::get(open))
        .fallback(routing::post(post))
        .with_state(Arc::clone(&streams));
    (router, streams)
}

fn events_of(body: Body) -> Response {
    (
        [(header::CONTENT_TYPE, "text/event-stream; charset=utf-8")],
        body,
    )
        .into_response()
}

async fn post(
    State(streams): State<Streams>,
    Query(query): Query<HashMap<String, String>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if headers
        .get("authorization")
        .is_none_or(|value| value != TOKEN)
    {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let session = query.get("s").cloned().unwrap_or_default();
    let Some(sender) = streams.lock().unwrap().get(&session).cloned() else {
        return (StatusCode::NOT_FOUND, "Session not found").into_response();
    };
    let message: Value = serde_json::from_slice(&body).unwrap();
    let id = message["id"].clone();
    let answer = |result: &str| format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#);
    let send = |data: String| {
        sender
            .send(format!("event: message\ndata: {data}\n\n"))
            .unwrap();
        (StatusCode::ACCEPTED, "Accepted").into_response()
    };
    if message["method"] == "initialize" {
        return send(answer(
            r#"{"protocolVersion":"2024-11-05","capabilities":{"tools":{}},"serverInfo":{"name":"x","version":"1"}}"#,
        ));
    }
    let json = |body: String| ([(header::CONTENT_TYPE, "application/json")], body).into_response();
    match message["params"]["name"].as_str().unwrap_or_default() {
        "" => StatusCode::ACCEPTED.into_response(),
        "stream" => send(answer(ODD)),
        odd if odd.starts_with("odd stream") => send(odd_answer(odd, &id).unwrap()),
        odd if odd.starts_with("odd body") => json(odd_answer(odd, &id).unwrap()),
        "body" => json(answer(ODD)),
        "receipt" => {
            send(answer(ODD));
            json(r#"{"status":"ok"}"#.to_owned())
        }
        "noise" => {
            send("no json".to_owned());
            send(r#"{"jsonrpc":"2.0","id":4711,"result":{}}"#.to_owned());
            send(answer(ODD))
        }
        "huge" => send(answer(&json!("x".repeat(LIMIT)).to_string())),
        "huge body" => json(answer(&json!("x".repeat(LIMIT)).to_string())),
        "refused" => (
            StatusCode::BAD_REQUEST,
            r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32602,"message":"bad"}}"#,
        )
            .into_response(),
        "403" => StatusCode::FORBIDDEN.into_response(),
        "429" => (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, "9")]).into_response(),
        "500" => (StatusCode::INTERNAL_SERVER_ERROR, "boom").into_response(),
        "gone" => {
            drop(streams.lock().unwrap().remove(&session));
            StatusCode::ACCEPTED.into_response()
        }
        "unknown session" => {
            (StatusCode::BAD_REQUEST, "No transport found for sessionId").into_response()
        }
        other => panic!("no such case: {other}"),
    }
}

async fn opened(remote: &RemoteSettings) -> Result<SseTransport, ConnectError> {
    let limit = Duration::from_millis(700);
    connect(
        &courier(),
        remote,
        &unasked(),
        limit,
        &redactor(),
        &TaskTracker::new(),
    )
    .await
}

async fn serve(remote: &RemoteSettings) -> RunningService<RoleClient, Quiet> {
    Quiet.serve(opened(remote).await.unwrap()).await.unwrap()
}

#[tokio::test]
async fn every_odd_answer_has_its_meaning() {
    let (router, _streams) = server("/sse", "/messages/?s=");
    let server = Server::start(router).await;
    let remote = server.remote("/sse", RemoteKind::Sse);
    let odd = Ok(ODD.to_owned());
    let bad = CallError::Rpc {
        code: -32_602,
        message: "bad".to_owned(),
        data: None,
    };
    let cases = [
        ("stream", odd.clone()),
        ("body", odd.clone()),
        ("receipt", odd.clone()),
        ("noise", odd.clone()),
        ("huge", Err(CallError::TooLarge(LIMIT))),
        ("huge body", Err(CallError::TooLarge(LIMIT))),
        ("refused", Err(bad)),
        ("403", Err(CallError::Auth(403, String::new()))),
        (
            "429",
            Err(CallError::RateLimited {
                retry_after: Some("9".to_owned()),
            }),
        ),
        ("500", Err(CallError::Http(500, ": boom".to_owned()))),
        ("stream", odd),
    ];
    let session = serve(&remote).await;
    for (case, expected) in cases {
        let got = call(session.peer(), case).await;
        assert_eq!(format!("{got:?}"), format!("{expected:?}"), "{case}");
    }
    let quit = session.cancel().await;
    assert!(quit.is_ok(), "{quit:?}");
}

#[tokio::test]
async fn an_answer_with_our_id_ends_its_call() {
    let (router, _streams) = server("/sse", "/messages/?s=");
    let server = Server::start(router).await;
    let session = serve(&server.remote("/sse", RemoteKind::Sse)).await;
    for (number, (text, expected)) in odd_answers().iter().enumerate() {
        for kind in ["stream", "body"] {
            let got = call(session.peer(), &format!("odd {kind} {number}")).await;
            assert_answer(&got, expected, &format!("{kind}: {text}"));
        }
    }
}

#[tokio::test]
async fn a_session_ends_with_its_stream() {
    let (router, _streams) = server("/sse", "/messages/?s=");
    let server = Server::start(router).await;
    let remote = server.remote("/sse", RemoteKind::Sse);

    let session = serve(&remote).await;
    let lost = call(session.peer(), "gone").await;
    assert!(matches!(lost, Err(CallError::Lost)), "{lost:?}");
    assert!(
        timeout(Duration::from_secs(5), session.waiting())
            .await
            .is_ok()
    );

    let session = serve(&remote).await;
    let unsent = call(session.peer(), "unknown session").await;
    assert!(
        matches!(unsent, Err(CallError::NotSent(_) | CallError::Lost)),
        "{unsent:?}"
    );
    assert!(
        timeout(Duration::from_secs(5), session.waiting())
            .await
            .is_ok()
    );
}

/// Routes every message to the fallback, whatever its path.
fn one_path(inner: Router) -> Router {
    Router::new().fallback(move |request: Request| {
        let (mut parts, body) = request.into_parts();
        if parts.method == Method::POST {
            let query = parts.uri.query().unwrap_or_default();
            parts.uri = format!("/x?{query}").parse().unwrap();
        }
        inner.clone().oneshot(Request::from_parts(parts, body))
    })
}

#[tokio::test]
async fn endpoints_are_found_where_servers_put_them() {
    for (path, endpoint) in [
        ("/sse", "/sse?s="),
        ("/sse/sse", "/sse/messages/?s="),
        ("/sse", "messages?s="),
        ("/a/sse", "?s="),
    ] {
        let (router, _streams) = server(path, endpoint);
        // Playwright accepts messages at the URL of the stream.
        let same_path = endpoint.starts_with("/sse?") || endpoint.starts_with('?');
        let router = if same_path { one_path(router) } else { router };
        let server = Server::start(router).await;
        let session = serve(&server.remote(path, RemoteKind::Sse)).await;
        assert_eq!(
            call(session.peer(), "stream").await.unwrap(),
            ODD,
            "{path} {endpoint}"
        );
    }
}

#[tokio::test]
async fn connects_are_refused_with_their_reason() {
    let silent = || async {
        events_of(Body::from_stream(stream::pending::<
            Result<Bytes, Infallible>,
        >()))
    };
    let brief = || async { events_of(Body::from("data: hi\n\n")) };
    let (elsewhere, _streams) = server("/elsewhere", "http://127.0.0.1:9/messages?s=");
    let router = elsewhere
        .route("/silent", routing::get(silent))
        .route("/brief", routing::get(brief))
        .route(
            "/page",
            routing::get(|| async { axum::response::Html("<p>hi") }),
        )
        .route(
            "/refused",
            routing::get(|| async { StatusCode::UNAUTHORIZED }),
        )
        .route(
            "/missing",
            routing::get(|| async { (StatusCode::NOT_FOUND, "no sesame-sesame here") }),
        );
    let server = Server::start(router).await;
    for (path, expected) in [
        (
            "/elsewhere",
            "the server does not speak MCP: its `endpoint` event names another origin, `http://127.0.0.1:9`",
        ),
        ("/silent", "no answer to `endpoint event` within "),
        (
            "/brief",
            "the server does not speak MCP: its event stream ended before the `endpoint` event",
        ),
        (
            "/page",
            "the server does not speak MCP: `text/html` instead of an event stream: <p>hi",
        ),
        (
            "/refused",
            "the server refused the bridge's credentials (HTTP 401)",
        ),
        ("/missing", "the server answered HTTP 404: no *** here"),
    ] {
        let error = opened(&server.remote(path, RemoteKind::Sse))
            .await
            .unwrap_err();
        assert!(
            error.to_string().starts_with(expected),
            "{error} is not {expected}"
        );
    }
}

#[tokio::test]
async fn closing_stops_the_reader() {
    let (router, streams) = server("/sse", "/messages/?s=");
    let server = Server::start(router).await;
    let tracker = TaskTracker::new();
    let limit = Duration::from_secs(5);
    let remote = server.remote("/sse", RemoteKind::Sse);
    let mut closed = connect(
        &courier(),
        &remote,
        &unasked(),
        limit,
        &redactor(),
        &tracker,
    )
    .await
    .unwrap();
    let dropped = connect(
        &courier(),
        &remote,
        &unasked(),
        limit,
        &redactor(),
        &tracker,
    )
    .await
    .unwrap();
    assert_eq!(tracker.len(), 2);
    closed.close().await.unwrap();
    assert!(closed.receive().await.is_none());
    drop(dropped);
    tracker.close();
    timeout(Duration::from_secs(5), tracker.wait())
        .await
        .unwrap();
    // The server notices too: its ends of the streams close.
    let senders: Vec<_> = streams
        .lock()
        .unwrap()
        .drain()
        .map(|(_, sender)| sender)
        .collect();
    for sender in senders {
        timeout(Duration::from_secs(5), sender.closed())
            .await
            .unwrap();
    }
}
