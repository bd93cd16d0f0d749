//! A real FastAPI service without operation ids of its own.

use std::process::Stdio;

use serde_json::json;
use tokio::process::{Child, Command};

use super::{call, tools, warnings};
use crate::harness::{Bridge, PATIENCE, Setup, fixture, free_port};

/// Starts the service and a bridge to it.
async fn start(lines: &str) -> (Child, Bridge) {
    let python = fixture("../.peers/py/open-webui/bin/python");
    assert!(python.exists(), "FastAPI is missing: run ./scripts/peers");
    let port = free_port();
    let service = Command::new(python)
        .arg(fixture("it/servers/openapi/fastapi_app.py"))
        .arg(port.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let begun = tokio::time::Instant::now();
    while tokio::net::TcpStream::connect(("127.0.0.1", port))
        .await
        .is_err()
    {
        assert!(begun.elapsed() < PATIENCE, "FastAPI does not start");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let toml = format!(
        "[bridges.api]\nurl = 'http://127.0.0.1:{port}/openapi.json'\ntransport = 'openapi'\n{lines}\n"
    );
    (service, Setup::toml(&toml).ready().await)
}

#[tokio::test]
async fn its_operations_do_what_they_say() {
    let (_service, bridge) = start("").await;
    assert_eq!(tools(&bridge).await.len(), 9);
    assert_eq!(warnings(&bridge).await, json!([]));
    for (tool, arguments, expected) in [
        (
            "items_item_id",
            json!({ "item_id": "ä b", "q": ["1", "2"], "color": "green" }),
            json!({ "item_id": "ä b", "q": ["1", "2"], "color": "green" }),
        ),
        (
            "update_item_items__item_id__put",
            json!({ "item_id": "1", "name": "n" }),
            json!({ "item_id": "1", "item": { "name": "n", "color": "red", "tags": [] } }),
        ),
        (
            "items_item_id_delete",
            json!({ "item_id": "1", "x-reason": "old", "session": "s1" }),
            json!({ "deleted": "1", "reason": "old", "session": "s1" }),
        ),
        (
            "items_patch",
            json!({ "body": [{ "name": "a" }, { "name": "b" }] }),
            json!(2),
        ),
        (
            "upload",
            json!({ "file": "aGk=", "file_filename": "a.txt", "note": "n", "more": ["YQ==", "Yg=="] }),
            json!({ "name": "a.txt", "type": "application/octet-stream", "size": 2, "note": "n", "more": 2 }),
        ),
        (
            "login_login_post",
            json!({ "user": "u&v", "roles": ["a", "b"] }),
            json!({ "user": "u&v", "roles": ["a", "b"] }),
        ),
        ("page", json!({}), json!("<h1>Hello</h1>")),
        (
            "raw",
            json!({}),
            json!("data:application/octet-stream;base64,AAH/"),
        ),
    ] {
        assert_eq!(call(&bridge, tool, arguments).await, expected, "{tool}");
    }
    let forbidden = bridge
        .post("/api/items_item_id_delete", r#"{"item_id": "forbidden"}"#)
        .await;
    forbidden.assert_error(422, "tool_error");
    assert!(
        forbidden.text.contains("item `forbidden` stays"),
        "{}",
        forbidden.text
    );
}

#[tokio::test]
async fn its_page_is_shown() {
    let (_service, bridge) = start("embed_html = true").await;
    let answer = bridge.post("/api/page", "{}").await;
    assert_eq!(
        (answer.status, answer.text.as_str()),
        (200, "<h1>Hello</h1>")
    );
}
