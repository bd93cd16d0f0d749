//! HTTP services and their documents.

use std::time::Duration;

use axum::{
    Json, Router,
    body::Bytes,
    extract::{Path, RawQuery},
    response::{Html, IntoResponse as _, Response},
    routing,
};
use http::{HeaderMap, StatusCode, header};
use serde_json::{Map, Value, json};
use tokio_util::task::TaskTracker;

use super::schema::{Definitions, Document};
use super::*;
use crate::config::RemoteKind;
use crate::mcp::error::{CallError, ConnectError};
use crate::mcp::http::testing::{LIMIT, Server, TOKEN, courier, redactor, unasked};

/// A service with everything that a document can ask of us.
fn document() -> Value {
    json!({
        "openapi": "3.1.0",
        "info": { "title": "shop", "version": "1" },
        "servers": [{ "url": "/{stage}/", "variables": { "stage": { "default": "v1" } } }],
        "paths": {
            "/items/{item id}/move": {
                "parameters": [
                    { "name": "item id", "in": "path", "required": true, "schema": { "type": "string" } },
                    { "name": "X-Trace", "in": "header", "schema": { "type": "string" } },
                    { "name": "session", "in": "cookie", "schema": { "type": "string" } },
                ],
                "get": { "operationId": "get_item" },
                "post": {
                    "operationId": "move_item",
                    "summary": "Move",
                    "description": "Moves an item.",
                    "parameters": [
                        { "$ref": "#/components/parameters/Tags" },
                        { "name": "to", "in": "query", "required": true, "description": "A shelf", "schema": { "type": "integer" } },
                        { "name": "filter", "in": "query", "style": "deepObject", "schema": { "type": "object" } },
                        { "name": "Authorization", "in": "header", "schema": { "type": "string" } },
                    ],
                    "requestBody": {
                        "required": true,
                        "content": { "application/json": { "schema": { "$ref": "#/components/schemas/Move" } } },
                    },
                    "responses": {
                        "200": { "description": "", "content": { "application/json": { "schema": { "$ref": "#/components/schemas/Node" } } } },
                    },
                },
            },
            "/batch": { "post": {
                "requestBody": { "required": true, "content": { "application/json": {
                    "schema": { "type": "array", "items": { "$ref": "#/components/schemas/Node" } } } } },
            } },
            "/form": { "post": {
                "operationId": "form",
                "requestBody": { "content": { "application/x-www-form-urlencoded": {
                    "schema": { "type": "object", "properties": { "a": { "type": "string" } }, "required": ["a"] } } } },
            } },
            "/upload": { "post": {
                "operationId": "upload",
                "requestBody": { "required": true, "content": { "multipart/form-data": { "schema": {} } } },
            } },
            "/answers/{kind}": { "post": {
                "operationId": "answers",
                "parameters": [{ "name": "kind", "in": "path", "required": true, "schema": {} }],
            } },
            "/twice": { "post": { "operationId": "form" } },
        },
        "components": {
            "parameters": {
                "Tags": { "name": "tags", "in": "query", "schema": { "type": "array", "items": { "type": "string" } } },
            },
            "schemas": {
                "Move": {
                    "type": "object",
                    "title": "Move",
                    "properties": {
                        "to": { "type": "string" },
                        "near": { "$ref": "#/components/schemas/Node" },
                        "far": { "$ref": "https://example.com/far.json" },
                    },
                    "required": ["to"],
                    "additionalProperties": false,
                },
                "Node": {
                    "type": "object",
                    "properties": { "next": { "$ref": "#/components/schemas/Node" } },
                    "example": { "$ref": "left alone" },
                    "discriminator": { "propertyName": "kind" },
                },
            },
        },
    })
}

/// Says what it was asked, or answers with the kind that the path names.
fn service() -> Router {
    let document = document();
    Router::new()
        .route(
            "/openapi.json",
            routing::get(move || async move { Json(document) }),
        )
        .route("/v1/answers/{kind}", routing::post(answer))
        .fallback(echo)
}

async fn echo(
    request_uri: http::Uri,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let header = |name: &str| {
        headers
            .get(name)
            .map(|value| value.to_str().unwrap().to_owned())
    };
    Json(json!({
        "path": request_uri.path(),
        "query": query,
        "body": String::from_utf8_lossy(&body),
        "type": header("content-type"),
        "trace": header("x-trace"),
        "trusted": header("authorization").as_deref() == Some(TOKEN),
    }))
    .into_response()
}

async fn answer(Path(kind): Path<String>) -> Response {
    let typed = |kind: &'static str, body: &'static [u8]| {
        ([(header::CONTENT_TYPE, kind)], body).into_response()
    };
    match kind.as_str() {
        "json" => typed(
            "application/json",
            b"{\"n\": 1.50, \"n2\": 12345678901234567890123}",
        ),
        "text" => typed("text/plain", b"hi"),
        "png" => typed("image/png", b"\x89PNG"),
        "bytes" => typed("application/octet-stream", b"\xff\x00"),
        "nothing" => StatusCode::NO_CONTENT.into_response(),
        "401" => StatusCode::UNAUTHORIZED.into_response(),
        "429" => (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, "3")]).into_response(),
        "422" => (
            StatusCode::UNPROCESSABLE_ENTITY,
            "{\"detail\":\"sesame-sesame is no id\"}",
        )
            .into_response(),
        "500" => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        "302" => (StatusCode::FOUND, [(header::LOCATION, "/login")]).into_response(),
        "307" => (
            StatusCode::TEMPORARY_REDIRECT,
            [(header::LOCATION, "/v1/echoed")],
        )
            .into_response(),
        "huge" => "x".repeat(LIMIT + 1).into_response(),
        other => panic!("no such case: {other}"),
    }
}

async fn open(server: &Server, path: &str) -> Result<OpenApiSession, ConnectError> {
    let remote = server.remote(path, RemoteKind::OpenApi);
    let limit = Duration::from_millis(500);
    let bounds = unasked().bounds();
    let tracker = TaskTracker::new();
    OpenApiSession::connect(&courier(), &remote, bounds, limit, &redactor(), &tracker).await
}

fn object(value: Value) -> Map<String, Value> {
    let Value::Object(map) = value else {
        panic!("{value}");
    };
    map
}

#[tokio::test]
async fn operations_become_tools() {
    let server = Server::start(service()).await;
    let session = open(&server, "/openapi.json").await.unwrap();
    insta::assert_json_snapshot!(session.list_tools());
}

#[tokio::test]
async fn arguments_become_requests() {
    let server = Server::start(service()).await;
    let session = open(&server, "/openapi.json").await.unwrap();
    let cases = [
        (
            "move_item",
            json!({ "item id": "a/b ?é", "to": "shelf", "query_to": 7, "tags": ["x", "y&z", null],
                    "filter": { "q": "1" }, "X-Trace": "t", "near": {} }),
            json!({ "path": "/v1/items/a%2Fb%20%3F%C3%A9/move", "query": "tags=x&tags=y%26z&query_to=7",
                    "body": "{\"to\":\"shelf\",\"near\":{}}", "type": "application/json", "trace": "t" }),
        ),
        (
            "batch",
            json!({ "body": [{}, { "next": null }] }),
            json!({ "path": "/v1/batch", "query": null, "body": "[{},{\"next\":null}]", "type": "application/json", "trace": null }),
        ),
        (
            "form",
            json!({ "a": "1 & 2", "b": [1, true] }),
            json!({ "path": "/v1/form", "query": null, "body": "a=1+%26+2&b=1&b=true",
                    "type": "application/x-www-form-urlencoded", "trace": null }),
        ),
        (
            "form",
            json!({}),
            json!({ "path": "/v1/form", "query": null, "body": "", "type": null, "trace": null }),
        ),
        (
            "form_2",
            json!({ "ignored": 1 }),
            json!({ "path": "/v1/twice", "query": null, "body": "", "type": null, "trace": null }),
        ),
    ];
    for (tool, arguments, expected) in cases {
        let result = session
            .call(tool, object(arguments), &HeaderMap::new())
            .await
            .unwrap();
        let result: Value = serde_json::from_str(&result).unwrap();
        let mut seen: Value =
            serde_json::from_str(result["content"][0]["text"].as_str().unwrap()).unwrap();
        assert_eq!(seen["trusted"].take(), true, "{tool}");
        seen.as_object_mut().unwrap().remove("trusted");
        let query = seen["query"].take().as_str().map(|query| {
            query
                .replace("filter%5Bq%5D=1&", "")
                .replace("&filter%5Bq%5D=1", "")
        });
        seen["query"] = json!(query.map(|query| query.replace("&to=7", "&query_to=7")));
        assert_eq!(seen, expected, "{tool}");
    }
}

#[tokio::test]
async fn arguments_that_would_leave_the_operation_are_refused() {
    let server = Server::start(service()).await;
    let session = open(&server, "/openapi.json").await.unwrap();
    for item in [json!(".."), json!("."), json!(""), Value::Null] {
        let refused = session
            .call(
                "move_item",
                object(json!({ "item id": item })),
                &HeaderMap::new(),
            )
            .await;
        assert!(
            matches!(refused, Err(CallError::Rpc { code: -32_602, .. })),
            "{refused:?}"
        );
    }
    let refused = session
        .call(
            "move_item",
            object(json!({ "item id": "a", "X-Trace": "a\nb" })),
            &HeaderMap::new(),
        )
        .await;
    assert!(
        matches!(refused, Err(CallError::Rpc { code: -32_602, .. })),
        "{refused:?}"
    );
    let unknown = session
        .call("get_item", Map::new(), &HeaderMap::new())
        .await;
    assert!(
        matches!(unknown, Err(CallError::Rpc { code: -32_602, .. })),
        "{unknown:?}"
    );
}

#[tokio::test]
async fn answers_become_results() {
    let server = Server::start(service()).await;
    let session = open(&server, "/openapi.json").await.unwrap();
    let text =
        |text: &str| Ok(json!({ "content": [{ "type": "text", "text": text }] }).to_string());
    let failed = |text: &str| {
        Ok(json!({ "content": [{ "type": "text", "text": text }], "isError": true }).to_string())
    };
    let cases = [
        ("json", text("{\"n\": 1.50, \"n2\": 12345678901234567890123}")),
        ("text", text("hi")),
        ("png", Ok(json!({ "content": [{ "type": "image", "data": "iVBORw==", "mimeType": "image/png" }] }).to_string())),
        ("bytes", Ok(json!({ "content": [{ "type": "resource", "resource": {
            "uri": "/v1/answers/bytes", "mimeType": "application/octet-stream", "blob": "/wA=" } }] }).to_string())),
        ("nothing", Ok(r#"{"content":[]}"#.to_owned())),
        ("401", Err(CallError::Auth(401, String::new()))),
        ("429", Err(CallError::RateLimited { retry_after: Some("3".to_owned()) })),
        ("422", failed("HTTP 422 Unprocessable Entity: {\"detail\":\"*** is no id\"}")),
        ("500", failed("HTTP 500 Internal Server Error")),
        ("302", Err(CallError::Http(302, ": it redirects to `/login`, which is not followed; if that is right, make it the `url`".to_owned()))),
        ("huge", Err(CallError::TooLarge(LIMIT))),
    ];
    for (kind, expected) in cases {
        let got = session
            .call(
                "answers",
                object(json!({ "kind": kind })),
                &HeaderMap::new(),
            )
            .await;
        assert_eq!(format!("{got:?}"), format!("{expected:?}"), "{kind}");
    }
    let followed = session
        .call(
            "answers",
            object(json!({ "kind": "307" })),
            &HeaderMap::new(),
        )
        .await
        .unwrap();
    assert!(
        followed.contains("/v1/echoed") && followed.contains(r#"\"trusted\":true"#),
        "{followed}"
    );
    drop(server);
    tokio::time::sleep(Duration::from_millis(100)).await;
    let unsent = session
        .call(
            "answers",
            object(json!({ "kind": "json" })),
            &HeaderMap::new(),
        )
        .await;
    assert!(matches!(unsent, Err(CallError::NotSent(_))), "{unsent:?}");
}

#[tokio::test]
async fn connects_are_refused_with_their_reason() {
    let elsewhere = json!({ "openapi": "3.0.3", "servers": [{ "url": "http://10.0.0.1/api" }],
                            "paths": { "/a": { "post": {} } } });
    let router = Router::new()
        .route(
            "/swagger",
            routing::get(|| async { Json(json!({ "swagger": "2.0" })) }),
        )
        .route(
            "/future",
            routing::get(|| async { Json(json!({ "openapi": "4.0.0" })) }),
        )
        .route("/other", routing::get(|| async { Json(json!({})) }))
        .route("/list", routing::get(|| async { Json(json!([])) }))
        .route("/yaml", routing::get(|| async { "openapi: 3.0.0\n" }))
        .route("/page", routing::get(|| async { Html("<p>docs") }))
        .route("/401", routing::get(|| async { StatusCode::UNAUTHORIZED }))
        .route(
            "/slow",
            routing::get(|| async { tokio::time::sleep(Duration::from_secs(9)).await }),
        )
        .route("/elsewhere", routing::get(|| async { Json(elsewhere) }));
    let server = Server::start(router).await;
    for (path, expected) in [
        (
            "/swagger",
            "the server does not speak MCP: its document is of OpenAPI (Swagger) `2.0`; 3.0 or 3.1 is needed",
        ),
        (
            "/future",
            "the server does not speak MCP: its document is of OpenAPI (Swagger) `4.0.0`; 3.0 or 3.1 is needed",
        ),
        (
            "/other",
            "the server does not speak MCP: the JSON at its URL is no OpenAPI document",
        ),
        (
            "/list",
            "the server does not speak MCP: its OpenAPI document is no JSON object: []",
        ),
        (
            "/yaml",
            "the server does not speak MCP: its OpenAPI document is YAML; the URL of the JSON one is needed",
        ),
        (
            "/page",
            "the server does not speak MCP: `text/html` instead of an OpenAPI document in JSON: <p>docs",
        ),
        ("/401", "the server refused our credentials (HTTP 401)"),
        ("/missing", "the server answered HTTP 404"),
        ("/slow", "no answer to `OpenAPI document` within "),
        (
            "/elsewhere",
            "the server does not speak MCP: `servers[0].url` of its document names another origin, `http://10.0.0.1`",
        ),
    ] {
        let error = open(&server, path).await.unwrap_err();
        assert!(
            error.to_string().starts_with(expected),
            "{error} is not {expected}"
        );
    }
}

#[test]
fn the_dialect_of_3_0_becomes_json_schema() {
    let root =
        json!({ "components": { "schemas": { "A": { "type": "string", "nullable": true } } } });
    let document = Document::new(&root, true);
    for (schema, expected) in [
        (
            json!({ "type": "string", "nullable": true }),
            json!({ "type": ["string", "null"] }),
        ),
        (
            json!({ "type": "string", "enum": ["a"], "nullable": true }),
            json!({ "type": ["string", "null"], "enum": ["a", null] }),
        ),
        (
            json!({ "allOf": [{ "$ref": "#/components/schemas/A" }], "nullable": true }),
            json!({ "anyOf": [{ "allOf": [{ "$ref": "#/$defs/A" }] }, { "type": "null" }] }),
        ),
        (
            json!({ "minimum": 1, "exclusiveMinimum": true, "maximum": 2, "exclusiveMaximum": false }),
            json!({ "maximum": 2, "exclusiveMinimum": 1 }),
        ),
        (json!({ "example": 1 }), json!({ "examples": [1] })),
        // A property may be called like a keyword.
        (
            json!({ "properties": { "nullable": { "type": "boolean" }, "example": {}, "$ref": { "type": "string" } } }),
            json!({ "properties": { "nullable": { "type": "boolean" }, "example": {}, "$ref": { "type": "string" } } }),
        ),
        (
            json!({ "default": { "$ref": "x", "nullable": true } }),
            json!({ "default": { "$ref": "x", "nullable": true } }),
        ),
        (
            json!({ "$ref": "#/components/schemas/Missing", "title": "t" }),
            json!({ "title": "t" }),
        ),
    ] {
        let mut definitions = Definitions::default();
        assert_eq!(document.take(&schema, &mut definitions), expected);
        drop(document.finish(definitions));
    }
}
