//! Services that are described by documents as they are found: FastAPI without ids, Swagger 2.0 in YAML,
//! our own. The service behind them says what it was sent.

mod behind;
mod documents;
mod fastapi;
mod names;

use std::fs;

use axum::{
    Json, Router,
    body::Bytes,
    http::{HeaderMap, Method, Uri, header},
    response::{Html, IntoResponse as _, Response},
    routing::get,
};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::harness::{Bridge, Setup, fixture};

/// Starts a service with this document, of this content type; everything else that it is asked for is
/// told back.
async fn service(kind: &'static str, document: String) -> u16 {
    let routes = Router::new()
        .route(
            "/openapi",
            get(async move || ([(header::CONTENT_TYPE, kind)], document)),
        )
        .route("/page", get(async || Html("<h1>Hello</h1>")))
        .fallback(echo);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move { axum::serve(listener, routes).await });
    port
}

/// What was asked.
async fn echo(method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let header = |name: header::HeaderName| {
        let value = headers.get(name).map(|value| value.to_str().unwrap());
        value.unwrap_or_default().to_owned()
    };
    let seen = json!({
        "line": format!("{method} {uri}"), "type": header(header::CONTENT_TYPE),
        "cookie": header(header::COOKIE), "body": String::from_utf8_lossy(&body),
    });
    Json(seen).into_response()
}

/// A document that stands beside the test servers.
fn stored(name: &str) -> String {
    fs::read_to_string(fixture("it/servers/openapi").join(name)).unwrap()
}

/// A bridge `api` to a service at this port, with more lines of its own.
fn setup(port: u16, lines: &str) -> Setup {
    Setup::toml(&format!(
        "[bridges.api]\nurl = 'http://127.0.0.1:{port}/openapi'\ntransport = 'openapi'\n{lines}\n"
    ))
}

/// The names of the tools of `api`, as they are listed.
async fn tools(bridge: &Bridge) -> Vec<String> {
    let listed = bridge.get("/api").await.json();
    let tools = listed["tools"].as_array().unwrap().iter();
    tools
        .map(|tool| tool["name"].as_str().unwrap().to_owned())
        .collect()
}

/// The warnings of `api`.
async fn warnings(bridge: &Bridge) -> Value {
    bridge.get("/api").await.json()["warnings"].clone()
}

/// Calls a tool of `api`, which answers with 200.
async fn call(bridge: &Bridge, tool: &str, arguments: Value) -> Value {
    let answer = bridge
        .post(&format!("/api/{tool}"), &arguments.to_string())
        .await;
    assert_eq!(answer.status, 200, "{tool}: {}", answer.text);
    answer.json()
}
