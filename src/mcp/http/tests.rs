//! Tests of Streamable HTTP with servers that behave in all known unusual ways.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::State,
    response::{IntoResponse as _, Response},
    routing,
};
use futures::StreamExt as _;
use http::{HeaderMap, StatusCode, header};
use rmcp::{
    RoleClient, ServiceExt as _,
    model::{ClientRequest, ListToolsRequest},
    service::RunningService,
};
use serde_json::{Value, json};

use super::{
    connect_error, suggests_sse,
    testing::{
        LIMIT, Quiet, Server, TOKEN, assert_answer, call, courier, odd_answer, odd_answers,
        redactor, remote, unasked,
    },
    transport,
};
use crate::config::{RemoteKind, RemoteSettings};
use crate::mcp::decode::raw_result;
use crate::mcp::error::{CallError, ConnectError};

/// A result that rmcp's own decoder loses: an image without a type, an unknown block, and a top-level key
/// that belongs to another type of result.
const ODD: &str =
    r#"{"action":"accept","content":[{"type":"image","data":"AA=="},{"type":"hologram"}],"x":1e2}"#;

/// The state of the server.
#[derive(Default)]
struct Memory {
    /// The number of the current session.
    session: AtomicUsize,
    /// Calls of `session gone, 400`.
    processed: AtomicUsize,
    /// The number of redirected requests.
    redirected: AtomicUsize,
}

type Shared = Arc<Memory>;

async fn start() -> (Server, Shared) {
    let memory = Shared::default();
    let slash = Arc::clone(&memory);
    let router = Router::new()
        .route(
            "/mcp",
            routing::post(post)
                .get(get)
                .delete(|| async { StatusCode::OK }),
        )
        .route(
            "/slash",
            routing::any(|| async move {
                slash.redirected.fetch_add(1, Ordering::SeqCst);
                redirect("/mcp")
            }),
        )
        .route(
            "/away",
            routing::any(|| async { redirect("http://127.0.0.1:9/mcp?key=abcdefgh") }),
        )
        .with_state(Arc::clone(&memory));
    (Server::start(router).await, memory)
}

fn redirect(to: &'static str) -> Response {
    (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, to)]).into_response()
}

/// Resumes the stream that `resumed` began. There is no notification stream.
async fn get(headers: HeaderMap) -> Response {
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok());
    match last.and_then(|id| id.strip_prefix("call-")) {
        Some(id) => events(event(&json!(id.parse::<i64>().unwrap()), ODD)),
        None if last.is_some() => StatusCode::NOT_FOUND.into_response(),
        None => StatusCode::METHOD_NOT_ALLOWED.into_response(),
    }
}

async fn post(State(memory): State<Shared>, headers: HeaderMap, body: Bytes) -> Response {
    if headers
        .get("authorization")
        .is_none_or(|value| value != TOKEN)
    {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let message: Value = serde_json::from_slice(&body).unwrap();
    let id = message["id"].clone();
    match message["method"].as_str().unwrap() {
        "initialize" => {
            let session = memory.session.fetch_add(1, Ordering::SeqCst) + 1;
            let result = json!({
                "protocolVersion": "2025-06-18",
                "capabilities": { "tools": {} },
                "serverInfo": { "name": "odd", "version": "1" },
            });
            (
                [("mcp-session-id", session.to_string())],
                answer(&id, &result.to_string()),
            )
                .into_response()
        }
        "tools/list" => answer(&id, r#"{"tools":[{"name":"bare","vendor":true}]}"#),
        "tools/call" => {
            let session = memory.session.load(Ordering::SeqCst).to_string();
            if headers
                .get("mcp-session-id")
                .is_none_or(|value| *value != session)
            {
                return StatusCode::NOT_FOUND.into_response();
            }
            tool(&memory, message["params"]["name"].as_str().unwrap(), &id).await
        }
        _ => StatusCode::ACCEPTED.into_response(),
    }
}

fn answer(id: &Value, result: &str) -> Response {
    let body = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#);
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

fn events(body: impl Into<Body>) -> Response {
    ([(header::CONTENT_TYPE, "text/event-stream")], body.into()).into_response()
}

fn event(id: &Value, result: &str) -> String {
    format!("event: message\ndata: {{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{result}}}\n\n")
}

fn refusal(status: u16, id: &Value, code: i64, message: &str) -> Response {
    let error =
        json!({ "jsonrpc": "2.0", "id": id, "error": { "code": code, "message": message } });
    (StatusCode::from_u16(status).unwrap(), Json(error)).into_response()
}

async fn tool(memory: &Memory, name: &str, id: &Value) -> Response {
    let huge = format!(r#"{{"content":[],"x":"{}"}}"#, "y".repeat(LIMIT));
    match name {
        "json" => answer(id, ODD),
        odd if odd.starts_with("odd json") => {
            let body = odd_answer(odd, id).unwrap();
            ([(header::CONTENT_TYPE, "application/json")], body).into_response()
        }
        odd if odd.starts_with("odd events") => {
            events(format!("data: {}\n\n", odd_answer(odd, id).unwrap()))
        }
        "events with a name" => events(event(id, ODD).replace("message", "response")),
        "202" => StatusCode::ACCEPTED.into_response(),
        "204" => StatusCode::NO_CONTENT.into_response(),
        "json, id as text" => answer(&json!(id.to_string()), ODD),
        "json called text" => {
            let body = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{ODD}}}"#);
            ([(header::CONTENT_TYPE, "text/plain")], body).into_response()
        }
        "events" => events(event(id, ODD)),
        "events, id as text" => events(event(&json!(id.to_string()), ODD)),
        "events with noise" => events(format!(
            "\u{feff}: hi\r\n\r\nevent: ping\r\ndata: 1\r\n\r\ndata: no json\n\nid: 7\ndata:\n\ndata: {{\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{{\"progressToken\":0,\"progress\":1}}}}\n\n{}",
            event(id, ODD)
        )),
        "events in tiny pieces" => {
            let bytes = event(id, ODD).into_bytes();
            let pieces = bytes
                .into_iter()
                .map(|byte| Ok::<_, std::io::Error>(vec![byte]));
            events(Body::from_stream(futures::stream::iter(
                pieces.collect::<Vec<_>>(),
            )))
        }
        "events, refused" => events(
            "data: {\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-32000,\"message\":\"no\"}}\n\n",
        ),
        "json, huge" => answer(id, &huge),
        "events, huge" => events(event(id, &huge)),
        "endless" => {
            let pieces = futures::stream::repeat_with(|| Ok::<_, std::io::Error>("x".repeat(1024)));
            (
                [(header::CONTENT_TYPE, "application/json")],
                Body::from_stream(pieces),
            )
                .into_response()
        }
        "resumed" => events(format!("retry: 10\nid: call-{id}\ndata:\n\n")),
        "resumed in vain" => events("id: forgotten\nretry: 10\ndata:\n\n"),
        "stream ends" => events(": nothing\n\n"),
        "stream breaks" => {
            let pieces =
                futures::stream::iter([Ok("data: {"), Err(std::io::Error::other("broken"))]);
            events(Body::from_stream(pieces))
        }
        "empty" => StatusCode::OK.into_response(),
        "html" => (
            [(header::CONTENT_TYPE, "text/html; charset=utf-8")],
            "<html>\n  <h1>Sign in</h1> sesame-sesame </html>",
        )
            .into_response(),
        "other json" => Json(json!({ "ok": true })).into_response(),
        _ => refused(memory, name, id).await,
    }
}

/// The cases with an error status, and those that need the session.
async fn refused(memory: &Memory, name: &str, id: &Value) -> Response {
    let status = |status: u16| StatusCode::from_u16(status).unwrap();
    match name {
        "401" => (
            status(401),
            [(header::WWW_AUTHENTICATE, "Bearer realm=\"x\"")],
        )
            .into_response(),
        "403" => status(403).into_response(),
        "401 in words" => (status(401), Json(json!({"error": "not\nyou"}))).into_response(),
        "403 in words" => (status(403), "not in your plan").into_response(),
        "403 in JSON-RPC" => refusal(403, id, -32_001, "not in your plan"),
        "429" => (status(429), [(header::RETRY_AFTER, "17")]).into_response(),
        "500" => (status(500), "boom").into_response(),
        "500 in JSON-RPC" => refusal(500, &json!("server-error"), -32_603, "inside"),
        "302" => (status(302), [(header::LOCATION, "/login")]).into_response(),
        "400" => refusal(400, &Value::Null, -32_602, "unknown sessionId"),
        "refused" => refusal(200, id, -32_602, "bad"),
        "session gone" => {
            memory.session.fetch_add(1, Ordering::SeqCst);
            StatusCode::NOT_FOUND.into_response()
        }
        "session gone, 400" if memory.processed.fetch_add(1, Ordering::SeqCst) == 0 => refusal(
            400,
            &Value::Null,
            -32_000,
            "Bad Request: No valid session ID provided",
        ),
        "session gone, 400" => answer(id, ODD),
        "slow" => {
            tokio::time::sleep(Duration::from_millis(300)).await;
            answer(id, ODD)
        }
        other => panic!("no such case: {other}"),
    }
}

async fn serve(remote: &RemoteSettings) -> Result<RunningService<RoleClient, Quiet>, ConnectError> {
    let (transport, last) = transport(&courier(), remote, &unasked(), &redactor())?;
    Quiet
        .serve(transport)
        .await
        .map_err(|error| connect_error(error, &last))
}

#[tokio::test]
async fn every_odd_answer_has_its_meaning() {
    let (server, _) = start().await;
    let session = serve(&server.remote("/mcp", RemoteKind::StreamableHttp))
        .await
        .unwrap();
    let odd = Ok(ODD.to_owned());
    let rpc = |code, message: &str| {
        let message = message.to_owned();
        Err(CallError::Rpc {
            code,
            message,
            data: None,
        })
    };
    let protocol = |reason: &str| Err(CallError::Protocol(reason.to_owned()));
    let auth = |status, words: &str| Err(CallError::Auth(status, words.to_owned()));
    let http = |status, words: &str| Err(CallError::Http(status, words.to_owned()));
    let cases = [
        ("json", odd.clone()),
        ("json, id as text", odd.clone()),
        ("json called text", odd.clone()),
        ("events", odd.clone()),
        ("events, id as text", odd.clone()),
        ("events with noise", odd.clone()),
        ("events in tiny pieces", odd.clone()),
        ("events, refused", rpc(-32_000, "no")),
        ("json, huge", Err(CallError::TooLarge(LIMIT))),
        ("events, huge", Err(CallError::TooLarge(LIMIT))),
        ("endless", Err(CallError::TooLarge(LIMIT))),
        ("resumed", odd.clone()),
        ("resumed in vain", Err(CallError::Lost)),
        (
            "stream ends",
            protocol("it ended the answer without a result"),
        ),
        ("202", protocol("HTTP 202 without an answer")),
        ("204", protocol("HTTP 204 without an answer")),
        ("events with a name", odd.clone()),
        ("stream breaks", Err(CallError::Lost)),
        ("empty", protocol("an empty answer")),
        (
            "html",
            protocol("`text/html` instead of JSON: <html> <h1>Sign in</h1> *** </html>"),
        ),
        (
            "other json",
            protocol(r#"its JSON does not answer the request: {"ok":true}"#),
        ),
        ("401", auth(401, "")),
        ("403", auth(403, "")),
        ("401 in words", auth(401, ": not you")),
        ("403 in words", auth(403, ": not in your plan")),
        ("403 in JSON-RPC", rpc(-32_001, "not in your plan")),
        (
            "429",
            Err(CallError::RateLimited {
                retry_after: Some("17".to_owned()),
            }),
        ),
        ("500", http(500, ": boom")),
        ("500 in JSON-RPC", rpc(-32_603, "inside")),
        (
            "302",
            http(
                302,
                ": it redirects to `/login`, which the bridge does not follow; if that is intended, use it as the `url`",
            ),
        ),
        ("400", rpc(-32_602, "unknown sessionId")),
        ("refused", rpc(-32_602, "bad")),
        ("session gone, 400", odd.clone()),
        ("json", odd.clone()),
    ];
    for (case, expected) in cases {
        let got = call(session.peer(), case).await;
        assert_eq!(format!("{got:?}"), format!("{expected:?}"), "{case}");
    }
}

#[tokio::test]
async fn an_answer_with_our_id_ends_its_call() {
    let (server, _) = start().await;
    let session = serve(&server.remote("/mcp", RemoteKind::StreamableHttp))
        .await
        .unwrap();
    for (number, (text, expected)) in odd_answers().iter().enumerate() {
        for kind in ["json", "events"] {
            let began = Instant::now();
            let got = call(session.peer(), &format!("odd {kind} {number}")).await;
            assert_answer(&got, expected, &format!("{kind}: {text}"));
            assert!(began.elapsed() < Duration::from_secs(2), "{kind}: {text}");
        }
    }
}

#[tokio::test]
async fn an_odd_tool_list_arrives_whole() {
    let (server, _) = start().await;
    let session = serve(&server.remote("/mcp", RemoteKind::StreamableHttp))
        .await
        .unwrap();
    let request = ClientRequest::ListToolsRequest(ListToolsRequest::default());
    let result = session.peer().send_request(request).await.unwrap();
    assert_eq!(
        raw_result(result).unwrap(),
        r#"{"tools":[{"name":"bare","vendor":true}]}"#
    );
}

#[tokio::test]
async fn a_new_session_follows_an_ended_one() {
    let (server, memory) = start().await;
    let session = serve(&server.remote("/mcp", RemoteKind::StreamableHttp))
        .await
        .unwrap();
    memory.session.store(41, Ordering::SeqCst);
    assert_eq!(call(session.peer(), "json").await.unwrap(), ODD);
    assert_eq!(memory.session.load(Ordering::SeqCst), 42);
    // The server ends each session at once, so the call was never processed.
    let lost = call(session.peer(), "session gone").await;
    assert!(matches!(lost, Err(CallError::NotSent(_))), "{lost:?}");
}

#[tokio::test]
async fn what_never_left_is_told_from_what_may_have_arrived() {
    let (server, _) = start().await;
    let session = serve(&server.remote("/mcp", RemoteKind::StreamableHttp))
        .await
        .unwrap();
    let peer = session.peer().clone();
    assert_eq!(call(&peer, "json").await.unwrap(), ODD);
    drop(server);
    // Either the connection breaks or a new one is refused; only the second is certain.
    tokio::time::sleep(Duration::from_millis(100)).await;
    let refused = call(&peer, "json").await;
    match refused {
        Err(CallError::NotSent(reason)) => {
            assert!(
                reason.contains("127.0.0.1") && reason.contains("refused"),
                "{reason}"
            );
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_connection_that_breaks_after_the_request_is_lost() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    let tracker = tokio_util::task::TaskTracker::new();
    tracker.spawn(async move {
        // Answers the first request, and sends half of an answer to the second.
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut buffer = [0; 4096];
        let _read = socket.read(&mut buffer).await.unwrap();
        socket
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-type: app")
            .await
            .unwrap();
    });
    let error = serve(&remote(&url, RemoteKind::StreamableHttp))
        .await
        .unwrap_err();
    assert!(matches!(&error, ConnectError::Unreachable(_)), "{error:?}");
    assert!(!error.to_string().contains("http://"), "{error}");
}

#[tokio::test]
async fn connects_are_refused_with_their_reason() {
    let (server, _) = start().await;
    let kind = RemoteKind::StreamableHttp;
    let mut stranger = server.remote("/mcp", kind);
    stranger.headers.clear();
    let page = Server::start(Router::new().fallback(|| async {
        (
            [(header::CONTENT_TYPE, "text/html")],
            "<p>Hello, <b>you</b>",
        )
    }))
    .await;
    let old = Server::start(Router::new().route("/sse", routing::get(|| async {}))).await;
    let other = Server::start(
        Router::new().fallback(|| async { refusal(400, &Value::Null, -32_000, "No sessionId") }),
    )
    .await;
    let cases = [
        (
            stranger,
            "the server refused the bridge's credentials (HTTP 401)",
        ),
        (
            server.remote("/away", kind),
            "the server answered HTTP 307: it redirects to `http://127.0.0.1:9/mcp`, which the bridge does not follow; if that is intended, use it as the `url`",
        ),
        (
            page.remote("/", kind),
            "the server does not speak MCP: `text/html` instead of JSON: <p>Hello, <b>you</b>",
        ),
        (old.remote("/sse", kind), "the server answered HTTP 405"),
        (
            other.remote("/", kind),
            "the server answered HTTP 400: No sessionId",
        ),
        (
            remote("http://nothing.invalid/mcp", kind),
            "cannot reach the server: `nothing.invalid`: ",
        ),
        (
            remote("http://127.0.0.1:9/mcp", kind),
            "cannot reach the server: `127.0.0.1:9`: Connection refused",
        ),
    ];
    for (remote, expected) in cases {
        let error = serve(&remote).await.unwrap_err();
        assert!(
            error.to_string().starts_with(expected),
            "{error} is not {expected}"
        );
        let sse = matches!(error, ConnectError::Http(400 | 405, _));
        assert_eq!(suggests_sse(&error), sse, "{error}");
    }
}

#[tokio::test]
async fn a_redirect_within_the_origin_is_followed_once_with_credentials() {
    let (server, memory) = start().await;
    let session = serve(&server.remote("/slash", RemoteKind::StreamableHttp))
        .await
        .unwrap();
    assert_eq!(call(session.peer(), "events").await.unwrap(), ODD);
    assert_eq!(memory.redirected.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn calls_run_side_by_side() {
    let (server, _) = start().await;
    let session = serve(&server.remote("/mcp", RemoteKind::StreamableHttp))
        .await
        .unwrap();
    let begun = Instant::now();
    let calls = (0..64).map(|_| call(session.peer(), "slow"));
    let results = futures::future::join_all(calls).await;
    assert!(results.iter().all(Result::is_ok));
    assert!(
        begun.elapsed() < Duration::from_secs(2),
        "{:?}",
        begun.elapsed()
    );
}

#[tokio::test]
async fn a_server_that_stalls_on_used_connections_is_cured() {
    // Sends the head first and the answer a moment later, on a socket without TCP_NODELAY (axum's default).
    let router = Router::new().fallback(|body: Bytes| async move {
        let message: Value = serde_json::from_slice(&body).unwrap();
        let id = message["id"].clone();
        match message["method"].as_str() {
            Some("tools/call") => {
                let answer = event(&id, ODD);
                let pieces = futures::stream::once(async { Ok::<_, std::io::Error>(": open\n\n".to_owned()) })
                    .chain(futures::stream::once(async move {
                        tokio::time::sleep(Duration::from_millis(1)).await;
                        Ok(answer)
                    }));
                events(Body::from_stream(pieces))
            }
            Some("initialize") => answer(&id, r#"{"protocolVersion":"2025-06-18","capabilities":{},"serverInfo":{"name":"x","version":"1"}}"#),
            _ => StatusCode::ACCEPTED.into_response(),
        }
    });
    let server = Server::start(router).await;
    let session = serve(&server.remote("/", RemoteKind::StreamableHttp))
        .await
        .unwrap();
    let mut best = Duration::MAX;
    for _ in 0..20 {
        let begun = Instant::now();
        for _ in 0..10 {
            assert_eq!(call(session.peer(), "any").await.unwrap(), ODD);
        }
        best = best.min(begun.elapsed());
    }
    // Ten delayed answers take at least 400 ms.
    assert!(best < Duration::from_millis(300), "{best:?}");
}
