//! One call: its path, its body, its answer.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::harness::{Bridge, Setup};

/// Two bridges: one that works and records, one that is off.
async fn bridge() -> Bridge {
    let toml = "
[limits]
body_bytes_max = 10000
[bridges.good]
{bad good --record {dir}/record}
[bridges.pages]
embed_html = true
{bad good}
[bridges.off]
command = 'true'
env = { A = '${NOT_SET_ANYWHERE}' }
";
    Setup::toml(toml).ready().await
}

/// The arguments of the last call that the server saw.
fn last_arguments(bridge: &Bridge) -> Value {
    let record = bridge.read("record");
    let mut calls = record
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let last = calls.rfind(|it| it["event"] == "call");
    last.expect("a call")["arguments"].clone()
}

#[tokio::test]
async fn every_body_is_taken_or_refused_in_words() {
    let bridge = bridge().await;
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let deep = format!(r#"{{"data": {}}}"#, nested(60));
    let too_deep = format!(r#"{{"data": {}}}"#, nested(4_000));
    let large = format!(r#"{{"message": "{}"}}"#, "x".repeat(10_000));
    let cases: &[(&str, &str, u16, &str)] = &[
        ("calls", "", 200, ""),
        ("calls", "   \n", 200, ""),
        ("calls", "null", 200, ""),
        ("calls", "{}", 200, ""),
        ("calls", r#"{"arguments": {}}"#, 200, ""),
        ("calls", r#"{"arguments": null}"#, 200, ""),
        ("calls", r#"{"unknown": [1, {"a": null}]}"#, 200, ""),
        ("echo", "\u{feff}{\"message\": \"hi\"}", 200, r#""hi""#),
        (
            "echo",
            r#"{"arguments": {"message": "hi"}}"#,
            200,
            r#""hi""#,
        ),
        (
            "echo",
            r#"{"message": "größe 日本 🙂 \u0000 \ud83d\ude42"}"#,
            200,
            "größe 日本 🙂",
        ),
        ("echo", "", 422, r#""loc":["body"]"#),
        ("echo", "{}", 422, r#""loc":["body","message"]"#),
        ("echo", "[]", 422, "invalid_arguments"),
        ("echo", "5", 422, "invalid_arguments"),
        ("echo", r#""{\"message\": \"hi\"}""#, 200, r#""hi""#),
        (
            "echo",
            r#"{"message": {"a": 1}}"#,
            422,
            r#""loc":["body","message"]"#,
        ),
        ("echo", r#"{"message": "hi""#, 400, "invalid_json"),
        ("echo", "message=hi", 400, "invalid_json"),
        ("echo", r#"{"message": NaN}"#, 400, "invalid_json"),
        ("echo", r#"{"message": "hi"} {}"#, 400, "invalid_json"),
        ("echo", &large, 413, "body_too_large"),
        (
            "slow",
            r#"{"seconds": "soon"}"#,
            422,
            r#""loc":["body","seconds"]"#,
        ),
        ("rpc_error", &deep, 500, "it went wrong"),
        ("rpc_error", &too_deep, 400, "invalid_json"),
        (
            "measure",
            r#"{"unit": "K"}"#,
            422,
            r#""loc":["body","unit"]"#,
        ),
    ];
    let mut wrong = Vec::new();
    for (tool, body, status, piece) in cases {
        let answer = bridge.post(&format!("/good/{tool}"), body).await;
        if answer.status != *status || !answer.text.contains(piece) {
            let shown: String = body.chars().take(60).collect();
            wrong.push(format!("{tool} {shown}: {} {}", answer.status, answer.text));
        }
        if answer.status >= 400 && answer.json()["request_id"] != answer.header("x-request-id") {
            wrong.push(format!("no request id: {}", answer.text));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
async fn a_body_is_taken_by_its_content_and_bounded_by_its_length() {
    let bridge = bridge().await;
    let (status, text) = bridge
        .line(
            "POST /good/echo",
            "content-type: text/plain\r\n",
            r#"{"message": "hi"}"#,
        )
        .await;
    assert_eq!(status, 200, "{text}");
    // The answer comes through although the client is still writing.
    let huge = "x".repeat(20_000_000);
    let answer = bridge.post("/good/echo", &huge).await;
    answer.assert_error(413, "body_too_large");
    // Without a length, the limit holds as well.
    let head = "POST /good/echo HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n";
    let chunks = format!("4e20\r\n{}\r\n0\r\n\r\n", " ".repeat(20_000));
    let (status, text) = bridge.raw(&format!("{head}{chunks}")).await;
    assert_eq!(status, 413, "{text}");
}

/// Clients that keep connections found theirs dead at the next request, without having been told.
#[tokio::test]
async fn a_connection_lives_on_after_an_answer_that_did_not_want_the_body() {
    let bridge = bridge().await;
    let address = bridge.base.trim_start_matches("http://");
    for (path, status) in [
        ("/good/none", 404),
        ("/nowhere/echo", 404),
        ("/", 405),
        ("/openapi.json", 405),
        ("/refresh", 200),
    ] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let head = format!("POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        // Time enough for an answer that does not wait for the body.
        tokio::time::sleep(Duration::from_millis(200)).await;
        stream.write_all(br#"{"a": 12}"#).await.unwrap();
        assert_eq!(next_status(&mut stream).await, status, "{path}");
        let second = b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n";
        stream.write_all(second).await.unwrap();
        assert_eq!(next_status(&mut stream).await, 200, "after {path}");
    }
}

/// The status of an answer that arrives in one piece, as small ones do on loopback.
async fn next_status(stream: &mut TcpStream) -> u16 {
    let mut buffer = vec![0; 65_536];
    let read = stream.read(&mut buffer).await.unwrap();
    let text = String::from_utf8_lossy(&buffer[..read]);
    let status = text.split(' ').nth(1).unwrap_or_default();
    status
        .parse()
        .unwrap_or_else(|_| panic!("no answer: {text:?}"))
}

#[tokio::test]
async fn arguments_arrive_as_the_schema_wants_them() {
    let bridge = bridge().await;
    let cases = [
        ("measure", json!({}), json!({"unit": "C"})),
        (
            "measure",
            json!({"exact": "true", "places": "2", "tags": ["a"]}),
            json!({"exact": true, "places": 2, "tags": ["a"], "unit": "C"}),
        ),
        (
            "measure",
            json!({"exact": null, "unit": "F", "places": 3.0}),
            json!({"unit": "F", "places": 3}),
        ),
        ("slow", json!({"seconds": "0"}), json!({"seconds": 0})),
        (
            "fail",
            json!({"message": "x", "more": {"a": [1.50, null]}}),
            json!({"message": "x", "more": {"a": [1.5, null]}}),
        ),
        (
            "content",
            json!({"kinds": ["text"], "structured": {"arguments": {"b": 1}}}),
            json!({"kinds": ["text"], "structured": {"arguments": {"b": 1}}}),
        ),
    ];
    for (tool, sent, seen) in cases {
        let path = format!("/good/{tool}");
        let answer = bridge.post(&path, &sent.to_string()).await;
        assert_ne!(answer.code(), "invalid_arguments", "{}", answer.text);
        assert_eq!(last_arguments(&bridge), seen, "{tool} {sent}");
    }
}

#[tokio::test]
async fn every_path_is_what_it_seems() {
    let bridge = bridge().await;
    let hi = r#"{"message": "hi"}"#;
    let cases = [
        ("POST /good/echo", 200, r#""hi""#),
        ("POST /good/echo?x=1", 200, r#""hi""#),
        ("POST /good/echo/", 200, r#""hi""#),
        ("POST /good_echo", 200, r#""hi""#),
        ("POST /%67ood/ech%6f", 200, r#""hi""#),
        ("POST /Good/echo", 404, "not_found"),
        (
            "POST /good/ECHO",
            404,
            "bridge `good` has no tool `ECHO`; did you mean `echo`?",
        ),
        (
            "POST /nobody/echo",
            404,
            "there is no bridge `nobody`; the bridges are `good`, `pages`",
        ),
        ("POST /nothing", 404, "the bridges are `good`, `pages`"),
        (
            "POST /good/nothing",
            404,
            "bridge `good` has no tool `nothing`; it has `",
        ),
        (
            "POST /off/echo",
            503,
            "bridge `off` is disabled: NOT_SET_ANYWHERE is not set",
        ),
        ("POST /off/echo", 503, r#""code":"disabled""#),
        ("POST /off_echo", 503, r#""code":"disabled""#),
        (
            "POST /good_nothing",
            404,
            "bridge `good` has no tool `nothing`",
        ),
        ("POST //good/echo", 404, "not_found"),
        ("POST /good//echo", 404, "not_found"),
        ("POST /good/echo//", 404, "not_found"),
        ("POST /good/../good/echo", 404, "not_found"),
        ("POST /./good/echo", 404, "not_found"),
        ("POST /good%2Fecho", 404, "not_found"),
        ("POST /good%2fecho", 404, "not_found"),
        ("POST /good/%ff", 404, "not_found"),
        ("POST /good/%zz", 404, "not_found"),
        ("POST /good", 405, "method_not_allowed"),
        ("GET /good/echo", 405, "call a tool with POST"),
        ("PUT /good/echo", 405, "allow: POST"),
        ("DELETE /good_echo", 405, "allow: POST"),
        ("PATCH /good/echo", 405, "allow: POST"),
        ("GET /refresh", 405, "allow: POST"),
        ("POST /servers", 405, "method_not_allowed"),
        ("GET /docs/assets/../../etc/passwd", 404, "not_found"),
        ("GET /docs/assets/..%2f..%2fCargo.toml", 404, "not_found"),
    ];
    let mut wrong = Vec::new();
    for (line, status, piece) in cases {
        let (seen, text) = bridge.line(line, "", hi).await;
        if seen != status || !text.contains(piece) {
            wrong.push(format!("{line}: {text}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    // A path without end costs nothing but itself.
    let long = format!("/good/{}", "a".repeat(20_000));
    let answer = bridge.post(&long, "{}").await;
    assert!(answer.text.len() < 1_000, "{}", answer.text.len());
}

#[tokio::test]
async fn the_servers_errors_have_their_status() {
    let bridge = bridge().await;
    for (code, status) in [
        (-32700, 400),
        (-32600, 400),
        (-32601, 404),
        (-32602, 422),
        (-32603, 500),
        (-32000, 500),
        (7, 500),
    ] {
        let body = json!({"code": code, "message": "no way", "data": {"n": 1}});
        let answer = bridge.post("/good/rpc_error", &body.to_string()).await;
        assert_eq!(answer.status, status, "{code}: {}", answer.text);
        assert_eq!(
            answer.json()["detail"],
            json!({"message": "no way", "data": {"n": 1}}),
            "{code}"
        );
        assert_eq!(answer.code(), "server_error");
    }
    let answer = bridge
        .post("/good/fail", r#"{"message": "no such row"}"#)
        .await;
    answer.assert_error(422, "tool_error");
    assert_eq!(answer.json()["detail"]["message"], "no such row");
}

#[tokio::test]
async fn every_kind_of_content_is_answered() {
    let bridge = bridge().await;
    let answers = [
        (json!({"kinds": ["text"]}), json!("words")),
        (json!({"kinds": ["json"]}), json!({"a": [1, 2.5, null]})),
        (json!({"kinds": ["resource"]}), json!("inside")),
        (json!({"kinds": ["html"]}), json!("<p>hi</p>")),
        (json!({"kinds": ["link"]}), json!("file:///b.txt")),
        (
            json!({"kinds": ["audio"]}),
            json!("data:audio/wav;base64,UklGRg=="),
        ),
        (json!({"kinds": []}), json!([])),
        (
            json!({"kinds": [], "structured": {"x": null}}),
            json!({"x": null}),
        ),
        (
            json!({"kinds": ["text", "json"]}),
            json!(["words", {"a": [1, 2.5, null]}]),
        ),
    ];
    for (sent, seen) in answers {
        let answer = bridge.post("/good/content", &sent.to_string()).await;
        assert_eq!((answer.status, answer.json()), (200, seen), "{sent}");
        assert_eq!(answer.header("content-type"), "application/json");
    }
    let image = bridge
        .post("/good/content", r#"{"kinds": ["image"]}"#)
        .await;
    let image = image.json();
    assert!(
        image
            .as_str()
            .unwrap()
            .starts_with("data:image/png;base64,iVBOR")
    );
    let odd = bridge.post("/good/unknown_content", "{}").await.json();
    assert_eq!(odd, json!({"type": "hologram", "data": {"depth": 3}}));
    let page = bridge
        .post("/pages/content", r#"{"kinds": ["text", "html"]}"#)
        .await;
    assert_eq!(page.text, "<p>hi</p>");
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    assert_eq!(page.header("content-disposition"), "inline");
    let said = bridge.post("/good/notify", r#"{"count": 50}"#).await;
    assert_eq!(said.text, r#""said 50""#);
}

#[tokio::test]
async fn an_output_schema_is_the_schema_of_the_answer() {
    let bridge = bridge().await;
    let document = bridge.get("/openapi.json").await.json();
    let operation = &document["paths"]["/good/measure"]["post"];
    let schema = &operation["responses"]["200"]["content"]["application/json"]["schema"];
    assert_eq!(
        schema["properties"]["degrees"]["type"], "number",
        "{operation:#}"
    );
    assert_eq!(schema["required"], json!(["degrees"]));
    let id = operation["operationId"].as_str().unwrap();
    assert_eq!(id, "good_measure");
    let answer = bridge.post(&format!("/{id}"), r#"{"unit": "F"}"#).await;
    assert_eq!(answer.json(), json!({"degrees": 21.5, "unit": "F"}));
}

#[tokio::test]
async fn heads_are_answered_without_bodies() {
    let bridge = bridge().await;
    for path in [
        "/",
        "/servers",
        "/health",
        "/ready",
        "/good",
        "/openapi.json",
        "/docs",
    ] {
        let head = bridge.send(Method::HEAD, path, &[], "").await;
        let get = bridge.get(path).await;
        assert_eq!((head.status, head.text.as_str()), (200, ""), "{path}");
        assert_eq!(
            head.header("content-type"),
            get.header("content-type"),
            "{path}"
        );
        assert_eq!(head.header("etag"), get.header("etag"), "{path}");
    }
}
