//! `mcp-bridge mcpo`, and `mcp-bridge` itself, behind a bridge: their documents are read as any other.

use serde_json::{Value, json};

use super::{call, tools, warnings};
use crate::{
    harness::{Bridge, Setup, until},
    mcpo::{mcpo, probe_words},
};

/// A bridge to the document at this address.
async fn bridge(url: &str) -> Bridge {
    let toml = format!("[bridges.api]\nurl = '{url}'\ntransport = 'openapi'\n");
    Setup::toml(&toml).ready().await
}

/// The schema of a tool's arguments, in a document of ours.
fn arguments(document: &Value, path: &str) -> Value {
    let operation = &document["paths"][path]["post"];
    let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
    match schema["$ref"].as_str() {
        Some(reference) => document
            .pointer(reference.trim_start_matches('#'))
            .unwrap_or_else(|| panic!("{reference}"))
            .clone(),
        None => schema.clone(),
    }
}

#[tokio::test]
async fn the_tools_of_mcpo_keep_their_names_and_schemas() {
    let wanted = ["r_text", "s_enum", "s_ref_recursive_defs", "r_iserror"];
    let words = probe_words(&wanted.join(","));
    let mut options = vec!["--"];
    options.extend(words.iter().map(String::as_str));
    let behind = mcpo(&options).spawn();
    let behind = listening(behind).await;
    let bridge = bridge(&format!("{}/openapi.json", behind.base)).await;
    // It may not know its tools yet when its document is read first.
    until(async || tools(&bridge).await.len() == wanted.len()).await;
    let mut names = tools(&bridge).await;
    names.sort();
    let mut expected = wanted.map(str::to_owned);
    expected.sort();
    assert_eq!(names, expected);
    assert_eq!(warnings(&bridge).await, json!([]));

    // The document is put together a moment after the list.
    let knows = |text: &str| text.contains("/api/s_enum");
    until(async || knows(&bridge.get("/openapi.json").await.text)).await;
    let document = bridge.get("/openapi.json").await.json();
    let listed = arguments(&document, "/api/s_enum").to_string();
    assert!(listed.contains("enum"), "{listed}");
    let own = behind.get("/openapi.json").await.json();
    let own = arguments(&own, "/s_enum");
    for (name, schema) in own["properties"].as_object().unwrap() {
        let kept = &arguments(&document, "/api/s_enum")["properties"][name];
        assert_eq!(kept["enum"], schema["enum"], "{name}");
    }
    let direct = behind.post("/r_text", "{}").await;
    assert_eq!(call(&bridge, "r_text", json!({})).await, direct.ok());
    // By the id that mcpo generates, too.
    assert_eq!(
        call(&bridge, "tool_r_text_post", json!({})).await,
        direct.json()
    );
    let failed = bridge.post("/api/r_iserror", "{}").await;
    let own = behind.post("/r_iserror", "{}").await.json();
    assert_eq!(failed.code(), "tool_error", "{}", failed.text);
    let message = own["detail"]["message"].as_str().or(own["detail"].as_str());
    assert!(
        failed.text.contains("HTTP 500"),
        "{} {message:?}",
        failed.text
    );
}

/// Waits until mcpo's command line listens.
async fn listening(mut bridge: Bridge) -> Bridge {
    bridge
        .wait_for("/openapi.json", |status| status == 200)
        .await;
    bridge
}

#[tokio::test]
async fn our_own_document_is_read_too() {
    let behind = Setup::toml("[bridges.good]\n{bad good}\n").ready().await;
    let bridge = bridge(&format!("{}/openapi.json", behind.base)).await;
    let names = tools(&bridge).await;
    assert!(names.contains(&"good_echo".to_owned()), "{names:?}");
    let answer = call(&bridge, "good_echo", json!({ "message": "hi" })).await;
    assert_eq!(answer, "hi");
}
