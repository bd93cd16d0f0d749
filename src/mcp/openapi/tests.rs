//! Tests of HTTP services and their documents.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{Path, RawQuery},
    response::{Html, IntoResponse as _, Response},
    routing,
};
use http::{HeaderMap, StatusCode, header};
use serde_json::{Map, Value, json};
use tokio::sync::Notify;
use tokio_util::task::TaskTracker;

use super::schema::{ResolvableDocument, SchemaDefinitions};
use super::*;
use crate::config::RemoteKind;
use crate::mcp::error::{CallError, ConnectError};
use crate::mcp::http::testing::{LIMIT, Server, TOKEN, courier, redactor, unasked};

/// A service that uses all supported features of a document.
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
                "get": { "operationId": "get_item", "summary": "Get" },
                "head": { "operationId": "peek" },
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
            "/files/{folder}": files(),
            "/answers/{kind}": { "post": {
                "operationId": "answers_kind",
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

/// The operations of one path, with bodies that are not JSON.
fn files() -> Value {
    json!({
        "post": {
            "operationId": "store",
            "requestBody": { "required": true, "content": { "multipart/form-data": { "schema": {
                "type": "object", "required": ["file"],
                "properties": { "file": { "type": "string", "format": "binary", "description": "A scan" },
                                "note": { "type": "string" } } } } } },
        },
        "put": {
            "operationId": "write",
            "parameters": [{ "name": "folder", "in": "path", "style": "matrix", "schema": {} }],
            "requestBody": { "content": { "image/png": {} } },
        },
        "patch": {
            "operationId": "patch",
            "requestBody": { "required": true, "content": { "application/merge-patch+json": {
                "schema": { "type": "object" } } } },
        },
        "delete": { "parameters": [{ "name": "force", "in": "query", "schema": { "type": "boolean" } }] },
    })
}

/// Echoes the request, or answers with the content type in the path.
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
    method: http::Method,
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
        "method": method.as_str(),
        "cookie": header("cookie"),
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
        "page" => typed("text/html; charset=utf-8", b"<p>hi</p>"),
        "page-refused" => (StatusCode::BAD_GATEWAY, Html("<p>down</p>")).into_response(),
        "csv" => typed("text/csv", b"a,b\n1,\xff"),
        "pdf" => typed("application/pdf", b"%PDF\0"),
        "401" => StatusCode::UNAUTHORIZED.into_response(),
        "403" => (StatusCode::FORBIDDEN, "not yours").into_response(),
        "403-silent" => StatusCode::FORBIDDEN.into_response(),
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
            "items_item id_move",
            json!({ "item id": "a/b ?é", "to": "shelf", "query_to": 7, "tags": ["x", "y&z", null],
                    "filter": { "q": "1" }, "X-Trace": "t", "session": "s 1;", "near": {} }),
            json!({ "path": "/v1/items/a%2Fb%20%3F%C3%A9/move", "query": "tags=x&tags=y%26z&query_to=7",
                    "body": "{\"to\":\"shelf\",\"near\":{}}", "type": "application/json", "trace": "t",
                    "cookie": "session=s%201%3B" }),
        ),
        (
            "items_item id_move_get",
            json!({ "item id": "a", "ignored": 1 }),
            json!({ "method": "GET", "path": "/v1/items/a/move" }),
        ),
        (
            "batch",
            json!({ "body": [{}, { "next": null }] }),
            json!({ "path": "/v1/batch", "body": "[{},{\"next\":null}]", "type": "application/json" }),
        ),
        (
            "form",
            json!({ "a": "1 & 2", "b": [1, true] }),
            json!({ "path": "/v1/form", "body": "a=1+%26+2&b=1&b=true",
                    "type": "application/x-www-form-urlencoded" }),
        ),
        ("form", json!({}), json!({ "path": "/v1/form" })),
        (
            "twice",
            json!({ "ignored": 1 }),
            json!({ "path": "/v1/twice" }),
        ),
        (
            "files_folder_put",
            json!({ "folder": ["a", "b"], "body": "aGk=" }),
            json!({ "method": "PUT", "path": "/v1/files/;folder=a,b", "body": "hi", "type": "image/png" }),
        ),
        (
            "files_folder_patch",
            json!({ "folder": "a", "body": { "x": null } }),
            json!({ "method": "PATCH", "path": "/v1/files/a", "body": "{\"x\":null}",
                    "type": "application/merge-patch+json" }),
        ),
        (
            "files_folder_delete",
            json!({ "folder": "a", "force": true }),
            json!({ "method": "DELETE", "path": "/v1/files/a", "query": "force=true" }),
        ),
    ];
    for (tool, arguments, expected) in cases {
        let mut seen = echoed(&session, tool, arguments).await;
        assert_eq!(seen["trusted"].take(), true, "{tool}");
        let query = seen["query"].take().as_str().map(|query| {
            query
                .replace("filter%5Bq%5D=1&", "")
                .replace("&filter%5Bq%5D=1", "")
        });
        seen["query"] = json!(query.map(|query| query.replace("&to=7", "&query_to=7")));
        let mut whole = json!({ "method": "POST", "query": null, "body": "", "type": null, "trace": null,
                                "cookie": null, "trusted": null });
        whole.as_object_mut().unwrap().extend(object(expected));
        assert_eq!(seen, whole, "{tool}");
    }
}

/// Returns the request that the service received for a call.
async fn echoed(session: &OpenApiSession, tool: &str, arguments: Value) -> Value {
    let passed = HeaderMap::new();
    let result = session.call(tool, object(arguments), &passed).await;
    let result: Value = serde_json::from_str(&result.unwrap()).unwrap();
    serde_json::from_str(result["content"][0]["text"].as_str().unwrap()).unwrap()
}

#[tokio::test]
async fn files_are_sent_in_parts_and_never_as_nothing() {
    let server = Server::start(service()).await;
    let session = open(&server, "/openapi.json").await.unwrap();
    let arguments = json!({ "folder": "f", "file": "aGk=", "file_filename": "a.txt", "note": "n" });
    let seen = echoed(&session, "files_folder", arguments).await;
    let kind = seen["type"].as_str().unwrap();
    let boundary = kind.strip_prefix("multipart/form-data; boundary=").unwrap();
    let body = seen["body"].as_str().unwrap().replace(boundary, "B");
    let expected = "--B\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\n\
        Content-Type: application/octet-stream\r\n\r\nhi\r\n\
        --B\r\nContent-Disposition: form-data; name=\"note\"\r\n\r\nn\r\n--B--\r\n";
    assert_eq!(body, expected);
    let arguments = object(json!({ "folder": "f", "file": "no base64!" }));
    let passed = HeaderMap::new();
    let refused = session.call("files_folder", arguments, &passed).await;
    assert!(
        matches!(refused, Err(CallError::Rpc { code: -32_602, .. })),
        "a file that is no base64"
    );
    assert_eq!(
        session.flaws(),
        [
            "`POST /upload`: left out: its multipart body does not say which fields it has",
            "`POST /twice`: it cannot be called by its operation id, because another tool has that name",
        ]
    );
}

#[tokio::test]
async fn a_document_without_operations_is_read_until_it_has_some() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let document = async move || {
        let is_late = count.fetch_add(1, Ordering::Relaxed) > 1;
        let paths = if is_late {
            json!({ "/a": { "get": {} } })
        } else {
            json!({})
        };
        Json(json!({ "openapi": "3.1.0", "paths": paths }))
    };
    let server = Server::start(Router::new().route("/late", routing::get(document))).await;
    let session = open(&server, "/late").await.unwrap();
    assert!(session.list_tools().is_empty());
    let changed = Arc::new(Notify::new());
    session.follow(Arc::clone(&changed)).await;
    changed.notified().await;
    assert_eq!(session.list_tools()[0]["name"], "a");
    // A document with tools is not read again.
    session.follow(changed).await;
    assert_eq!(asked.load(Ordering::Relaxed), 3);
}

#[tokio::test]
async fn passed_cookies_are_not_mixed_with_those_of_arguments() {
    let server = Server::start(service()).await;
    let session = open(&server, "/openapi.json").await.unwrap();
    let passed = HeaderMap::from_iter([(header::COOKIE, "mine=1".parse().unwrap())]);
    let arguments = object(json!({ "item id": "a", "session": "s" }));
    let result = session.call("items_item id_move_get", arguments, &passed);
    let result = result.await.unwrap();
    assert!(
        result.contains("mine=1") && !result.contains("session=s"),
        "{result}"
    );
}

#[tokio::test]
async fn arguments_that_would_leave_the_operation_are_refused() {
    let server = Server::start(service()).await;
    let session = open(&server, "/openapi.json").await.unwrap();
    for item in [json!(".."), json!("."), json!(""), Value::Null] {
        let refused = session
            .call(
                "items_item id_move",
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
            "items_item id_move",
            object(json!({ "item id": "a", "X-Trace": "a\nb" })),
            &HeaderMap::new(),
        )
        .await;
    assert!(
        matches!(refused, Err(CallError::Rpc { code: -32_602, .. })),
        "{refused:?}"
    );
    let unknown = session
        .call("move_item", Map::new(), &HeaderMap::new())
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
        ("page", Ok(json!({ "content": [{ "type": "resource", "resource": {
            "uri": "/v1/answers/page", "mimeType": "text/html", "text": "<p>hi</p>" } }] }).to_string())),
        ("csv", text("a,b\n1,\u{fffd}")),
        ("pdf", Ok(json!({ "content": [{ "type": "resource", "resource": {
            "uri": "/v1/answers/pdf", "mimeType": "application/pdf", "blob": "JVBERgA=" } }] }).to_string())),
        ("401", Err(CallError::Auth(401, String::new()))),
        ("403", failed("HTTP 403 Forbidden: not yours")),
        ("403-silent", Err(CallError::Auth(403, String::new()))),
        ("page-refused", failed("HTTP 502 Bad Gateway: <p>down</p>")),
        ("429", Err(CallError::RateLimited { retry_after: Some("3".to_owned()) })),
        ("422", failed("HTTP 422 Unprocessable Entity: {\"detail\":\"*** is no id\"}")),
        ("500", failed("HTTP 500 Internal Server Error")),
        ("302", Err(CallError::Http(302, ": it redirects to `/login`, which the bridge does not follow; if that is intended, use it as the `url`".to_owned()))),
        ("huge", Err(CallError::TooLarge(LIMIT))),
    ];
    for (kind, expected) in cases {
        let got = session
            .call(
                "answers_kind",
                object(json!({ "kind": kind })),
                &HeaderMap::new(),
            )
            .await;
        assert_eq!(format!("{got:?}"), format!("{expected:?}"), "{kind}");
    }
    let followed = session
        .call(
            "answers_kind",
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
            "answers_kind",
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
            routing::get(|| async { Json(json!({ "swagger": "1.2" })) }),
        )
        .route(
            "/future",
            routing::get(|| async { Json(json!({ "openapi": "4.0.0" })) }),
        )
        .route("/other", routing::get(|| async { Json(json!({})) }))
        .route("/list", routing::get(|| async { Json(json!([])) }))
        .route("/yaml", routing::get(|| async { "openapi: [3.0.0\n" }))
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
            "the server does not speak MCP: its document has the OpenAPI (Swagger) version `1.2`; 2.0, 3.0 or 3.1 is required",
        ),
        (
            "/future",
            "the server does not speak MCP: its document has the OpenAPI (Swagger) version `4.0.0`; 2.0, 3.0 or 3.1 is required",
        ),
        (
            "/other",
            "the server does not speak MCP: its URL does not return an OpenAPI document",
        ),
        (
            "/list",
            "the server does not speak MCP: its OpenAPI document is not a JSON object: []",
        ),
        (
            "/yaml",
            "the server does not speak MCP: its OpenAPI document is not valid YAML: ",
        ),
        (
            "/page",
            "the server does not speak MCP: `text/html` instead of an OpenAPI document in JSON or YAML: <p>docs",
        ),
        (
            "/401",
            "the server refused the bridge's credentials (HTTP 401)",
        ),
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
    let document = ResolvableDocument::new(&root, true);
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
        // A property may have the name of a keyword.
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
        let mut definitions = SchemaDefinitions::default();
        assert_eq!(document.take(&schema, &mut definitions), expected);
        drop(document.finish(definitions));
    }
}
