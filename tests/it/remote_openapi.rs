//! HTTP services that are no MCP servers: their operations become tools.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Json, Router,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse as _, Redirect, Response},
    routing::{get, post},
};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::{
    harness::Bridge,
    remote::{beside_a_good_one, good_answers},
};

/// What the service says of itself: an operation for each path.
fn document() -> Value {
    let free = json!({"content": {"application/json": {"schema": {"type": "object"}}}});
    let mut paths = json!({
        "/create_sheet/{folder}": {"post": {
            "summary": "Create Sheet", "description": "Makes a sheet.",
            "parameters": [
                {"name": "folder", "in": "path", "required": true, "schema": {"type": "string"}},
                {"name": "dry", "in": "query", "schema": {"type": "boolean", "default": false}}
            ],
            "requestBody": {"required": true, "content": {"application/json": {"schema": {
                "type": "object", "required": ["title"],
                "properties": {"title": {"type": "string"}, "rows": {"type": "integer", "default": 3}}
            }}}},
            "responses": {"200": {"content": {"application/json": {"schema": {
                "type": "object", "properties": {"title": {"type": "string"}}}}}}}
        }},
        "/list": {"head": {"summary": "Not a tool"}, "options": {"summary": "Not a tool"}}
    });
    for path in [
        "refuse", "crash", "locked", "limited", "text", "image", "hang", "moved", "big", "empty",
    ] {
        paths[format!("/{path}")] =
            json!({"post": {"summary": path, "requestBody": free, "responses": {}}});
    }
    json!({"openapi": "3.1.0", "info": {"title": "Sheets", "version": "1"}, "paths": paths})
}

/// Starts the service; how often anything but its document was asked for.
async fn service() -> (u16, Arc<AtomicUsize>) {
    let calls = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&calls);
    let counted = axum::middleware::from_fn(move |request, next: axum::middleware::Next| {
        count.fetch_add(1, Ordering::Relaxed);
        next.run(request)
    });
    let routes = Router::new()
        .route("/create_sheet/{folder}", post(create))
        .route(
            "/refuse",
            post(async || {
                let body = json!({"detail": [{"loc": ["body", "title"], "msg": "Field required"}]});
                (StatusCode::UNPROCESSABLE_ENTITY, Json(body))
            }),
        )
        .route(
            "/crash",
            post(async || (StatusCode::INTERNAL_SERVER_ERROR, "oh no")),
        )
        .route("/locked", post(async || StatusCode::UNAUTHORIZED))
        .route(
            "/limited",
            post(async || (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, "7")])),
        )
        .route("/text", post(async || "plain words"))
        .route(
            "/image",
            post(async || ([(header::CONTENT_TYPE, "image/png")], vec![1_u8, 2, 3])),
        )
        .route(
            "/hang",
            post(async || tokio::time::sleep(Duration::from_mins(10)).await),
        )
        .route(
            "/moved",
            post(async || Redirect::temporary("http://127.0.0.2:9/elsewhere")),
        )
        .route("/big", post(async || "x".repeat(50_000_000)))
        .route("/empty", post(async || StatusCode::NO_CONTENT))
        .layer(counted)
        .route("/openapi.json", get(async || Json(document())));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move { axum::serve(listener, routes).await });
    (port, calls)
}

/// Says what it was sent.
async fn create(
    axum::extract::Path(folder): axum::extract::Path<String>,
    uri: http::Uri,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> Response {
    let authorization = headers[header::AUTHORIZATION].to_str().unwrap();
    if authorization != "Bearer s3cr3t-t0ken-value" {
        return StatusCode::FORBIDDEN.into_response();
    }
    let query = uri.query().unwrap_or_default();
    Json(json!({"folder": folder, "query": query, "body": body})).into_response()
}

async fn bridge(port: u16) -> Bridge {
    let lines = format!(
        "url = 'http://127.0.0.1:{port}/openapi.json'\ntransport = 'openapi'\ntimeout = '1s'\n\
         headers = {{ Authorization = 'Bearer ${{TOKEN}}' }}"
    );
    let setup = beside_a_good_one(&[("sheets".to_owned(), lines)]);
    setup.env("TOKEN", "s3cr3t-t0ken-value").ready().await
}

#[tokio::test]
async fn operations_are_tools() {
    let (port, calls) = service().await;
    let bridge = bridge(port).await;
    let server = bridge.until("sheets", "ready").await;
    assert_eq!(
        (&server["tier"], &server["tools"]),
        (&json!("openapi"), &json!(11))
    );
    let document = bridge.get("/openapi.json").await.json();
    let paths: Vec<&String> = document["paths"].as_object().unwrap().keys().collect();
    assert!(
        !paths.iter().any(|path| path.ends_with("/list")),
        "{paths:?}"
    );
    let path = paths
        .iter()
        .find(|path| path.contains("create_sheet"))
        .unwrap();
    let operation = &document["paths"][path.as_str()]["post"];
    assert_eq!(operation["description"], "Makes a sheet.");

    assert_eq!(calls.load(Ordering::Relaxed), 0);
    let sent = json!({"folder": "a b/c", "dry": "true", "title": "T", "rows": "4"});
    let answer = bridge.post(path, &sent.to_string()).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(
        answer.json(),
        json!({"folder": "a b/c", "query": "dry=true", "body": {"title": "T", "rows": 4}})
    );
    let refused = bridge.post(path, r#"{"folder": "a", "rows": 4}"#).await;
    assert_eq!(refused.status, 422);
    assert_eq!(refused.json()["detail"][0]["loc"], json!(["body", "title"]));
    assert_eq!(
        calls.load(Ordering::Relaxed),
        1,
        "refused before it is sent"
    );
    assert!(!bridge.log().contains("s3cr3t-t0ken-value"));
}

#[tokio::test]
async fn its_failures_are_told_like_those_of_a_server() {
    let (port, _) = service().await;
    let bridge = bridge(port).await;
    bridge.until("sheets", "ready").await;
    let cases = [
        ("text", 200, "", r#""plain words""#),
        ("image", 200, "", r#""data:image/png;base64,AQID""#),
        ("empty", 200, "", "[]"),
        ("refuse", 422, "tool_error", "Field required"),
        (
            "crash",
            422,
            "tool_error",
            "HTTP 500 Internal Server Error: oh no",
        ),
        (
            "locked",
            502,
            "upstream_auth",
            "refused the bridge's credentials (HTTP 401)",
        ),
        ("limited", 429, "rate_limited", "fewer calls"),
        ("hang", 504, "timeout", "no answer within 1s"),
        ("moved", 502, "upstream_error", "HTTP 307"),
        ("big", 502, "result_too_large", "larger than"),
    ];
    let mut wrong = Vec::new();
    for (tool, status, code, piece) in cases {
        let answer = bridge.post(&format!("/sheets/{tool}"), "{}").await;
        let seen = if status == 200 {
            String::new()
        } else {
            answer.code()
        };
        if (answer.status, seen.as_str()) != (status, code) || !answer.text.contains(piece) {
            wrong.push(format!("{tool}: {} {}", answer.status, answer.text));
        }
        if tool == "limited" && answer.header("retry-after") != "7" {
            wrong.push(format!("{:?}", answer.headers));
        }
        good_answers(&bridge).await;
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(bridge.server("sheets").await["status"], "ready");
}

#[tokio::test]
async fn a_page_without_a_document_is_explained() {
    let (port, _) = service().await;
    let lines =
        |path: &str| format!("url = 'http://127.0.0.1:{port}{path}'\ntransport = 'openapi'");
    let bridges = [
        ("missing".to_owned(), lines("/nothing.json")),
        (
            "nobody".to_owned(),
            "url = 'http://127.0.0.1:9/openapi.json'\ntransport = 'openapi'".to_owned(),
        ),
    ];
    let bridge = beside_a_good_one(&bridges).ready().await;
    for (name, piece) in [("missing", "HTTP 404"), ("nobody", "Connection refused")] {
        let server = bridge.server(name).await;
        assert!(
            server["reason"].as_str().unwrap().contains(piece),
            "{server}"
        );
        let answer = bridge.post(&format!("/{name}/x"), "{}").await;
        answer.assert_error(503, "unavailable");
    }
    good_answers(&bridge).await;
}
