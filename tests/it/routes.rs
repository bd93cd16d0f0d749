//! Lists, documents, pages and probes.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{Bridge, Setup};

const TOML: &str = "
[server]
title = 'The tools'
[bridges.good]
description = 'Good things'
{bad good}
[bridges.off]
command = 'true'
env = { A = '${NOT_SET_ANYWHERE}' }
[bridges.broken]
command = 'no-such-program-x'
";

/// Ready, with one bridge of each kind.
async fn bridge() -> Bridge {
    Setup::toml(TOML).ready().await
}

/// The keys of an object, sorted.
fn keys(value: &Value) -> Vec<&str> {
    let mut keys: Vec<_> = value
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    keys.sort_unstable();
    keys
}

#[tokio::test]
async fn health_and_ready_answer_at_once() {
    let late = format!("{TOML}\n[bridges.late]\n{{bad late 2}}\n");
    let mut bridge = Setup::toml(&late).listening().await;
    let ready = bridge.get("/ready").await;
    assert_eq!(
        (ready.status, &ready.json()["status"]),
        (503, &json!("starting"))
    );
    bridge.wait_for("/ready", |status| status == 200).await;
    let began = Instant::now();
    let health = bridge.get("/health").await;
    assert!(began.elapsed() < Duration::from_millis(500));
    assert_eq!(health.status, 200);
    let body = health.json();
    assert_eq!(body["status"], "healthy");
    assert_eq!(body["service"], "mcp-bridge");
    assert_eq!(body["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(body["bridges"]["total"], 4);
    assert_eq!(body["bridges"]["ready"], 2);
    assert_eq!(body["bridges"]["disabled"], 1);
    assert_eq!(
        body["bridges"]["backing_off"].as_u64().unwrap()
            + body["bridges"]["failed"].as_u64().unwrap(),
        1,
        "{body}"
    );
    assert!(body["tools"].as_u64().unwrap() > 20);
}

#[tokio::test]
async fn lists_have_the_shapes_that_clients_know() {
    let bridge = bridge().await;
    let root = bridge.get("/").await.json();
    let ids: Vec<_> = root["servers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| &it["id"])
        .collect();
    assert_eq!(ids, ["good", "off", "broken"]);
    assert_eq!(root["servers"][0]["endpoint"], "/good/");

    let servers = bridge.get("/servers").await.json();
    assert_eq!(
        keys(&servers),
        ["by_tier", "servers", "summary", "total_servers", "usage"]
    );
    assert_eq!(servers["total_servers"], 3);
    assert_eq!(keys(&servers["by_tier"]), ["stdio"]);
    assert_eq!(
        keys(&servers["usage"]),
        ["example", "execute_tool", "list_tools"]
    );
    let good = &servers["servers"][0];
    for (key, value) in [
        ("id", json!("good")),
        ("name", json!("bad-server")),
        ("tier", json!("stdio")),
        ("description", json!("Good things")),
        ("enabled", json!(true)),
        ("endpoint", json!("/good/")),
        ("tools_endpoint", json!("/good")),
        ("status", json!("ready")),
    ] {
        assert_eq!(good[key], value, "{key}");
    }
    let off = &servers["servers"][1];
    assert_eq!(
        (&off["enabled"], &off["status"], &off["reason"]),
        (
            &json!(false),
            &json!("disabled"),
            &json!("NOT_SET_ANYWHERE is not set")
        )
    );
    let broken = &servers["servers"][2];
    assert!(
        broken["reason"]
            .as_str()
            .unwrap()
            .contains("no such program"),
        "{broken}"
    );

    for path in ["/good", "/good/"] {
        let list = bridge.get(path).await.json();
        assert_eq!(
            (&list["server"], &list["tier"], &list["enabled"]),
            (&json!("good"), &json!("stdio"), &json!(true)),
            "{path}"
        );
        let tools = list["tools"].as_array().unwrap();
        assert_eq!(list["tool_count"], tools.len());
        assert_eq!(
            tools[0],
            json!({"name": "echo", "description": "Gives the message back", "endpoint": "/good/echo"})
        );
        assert_eq!(keys(&list["usage"]), ["example", "execute"]);
    }
    let broken = bridge.get("/broken").await;
    assert_eq!(
        (broken.status, &broken.json()["tool_count"]),
        (200, &json!(0))
    );
}

#[tokio::test]
async fn documents_are_served_from_memory_and_stay_the_same() {
    let bridge = bridge().await;
    let first = bridge.get("/openapi.json").await;
    let etag = first.header("etag").to_owned();
    assert!(
        etag.starts_with('"') && etag.ends_with('"'),
        "{etag} is strong"
    );
    assert_eq!(first.header("content-type"), "application/json");
    let weak = format!("W/{etag}");
    let listed = format!("\"other\", {etag}");
    for (tag, status) in [
        (etag.as_str(), 304),
        (weak.as_str(), 304),
        (listed.as_str(), 304),
        ("*", 304),
        ("\"other\"", 200),
        ("", 200),
    ] {
        let answer = bridge
            .send(
                reqwest::Method::GET,
                "/openapi.json",
                &[("if-none-match", tag)],
                "",
            )
            .await;
        assert_eq!(
            (answer.status, answer.header("etag")),
            (status, etag.as_str()),
            "{tag}"
        );
        assert_eq!(answer.text.is_empty(), status == 304, "{tag}");
    }
    let document = first.json();
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(document["info"]["title"], "The tools");
    let paths = keys(&document["paths"]);
    assert!(
        paths.iter().all(|path| path.starts_with("/good/")),
        "tools only: {paths:?}"
    );
    let own = bridge.get("/good/openapi.json").await;
    assert_eq!(own.status, 200);
    assert_ne!(own.header("etag"), etag);
    assert_eq!(own.json()["servers"][0]["url"], "/good");
    // Another process with the same file says the same, byte for byte.
    let again = self::bridge().await;
    for (path, text) in [
        ("/openapi.json", &first.text),
        ("/good/openapi.json", &own.text),
    ] {
        assert_eq!(&again.get(path).await.text, text, "{path}");
    }
}

#[tokio::test]
async fn pages_need_nothing_from_elsewhere() {
    let bridge = bridge().await;
    for page in ["/docs", "/good/docs"] {
        let answer = bridge.get(page).await;
        assert_eq!(answer.status, 200, "{page}");
        assert_eq!(answer.header("content-type"), "text/html; charset=utf-8");
        for scheme in ["http:", "https:", "=\"//", "url(", "@import"] {
            assert!(!answer.text.contains(scheme), "{page} has {scheme}");
        }
        let links: Vec<&str> = answer
            .text
            .split(['"', '\''])
            .filter(|text| text.starts_with('/') && !text.contains(['<', ' ', '\n']))
            .collect();
        assert!(links.len() >= 4, "{links:?}");
        for link in links {
            let asset = bridge.get(link).await;
            assert_eq!(asset.status, 200, "{link}");
            assert!(!asset.header("content-type").is_empty(), "{link}");
            let is_style = asset.header("content-type").starts_with("text/css");
            assert!(!is_style || !asset.text.contains("url(http"), "{link}");
        }
    }
    assert_eq!(bridge.get("/docs/assets/nothing.js").await.status, 404);
}

#[tokio::test]
async fn a_title_cannot_break_out_of_the_page() {
    let toml = "[server]\ntitle = '</title><script>alert(1)</script>'\n";
    let bridge = Setup::toml(toml).ready().await;
    let page = bridge.get("/docs").await.text;
    assert!(!page.contains("<script>alert"), "{page}");
}

#[tokio::test]
async fn documents_can_be_kept_from_strangers() {
    let toml = "
[server]
public_spec = false
[identity.keys.team]
key = '${TEAM_KEY}'
[bridges.good]
{bad good}
[bridges.off]
command = 'true'
env = { A = '${NOT_SET_ANYWHERE}' }
";
    let bridge = Setup::toml(toml)
        .env("TEAM_KEY", "k3y-of-the-team")
        .ready()
        .await;
    let team = bridge.as_bearer("k3y-of-the-team");
    for path in [
        "/openapi.json",
        "/docs",
        "/good/openapi.json",
        "/good/docs",
        "/good",
    ] {
        let stranger = bridge.get(path).await;
        assert_eq!(
            (stranger.status, stranger.code().as_str()),
            (401, "unauthorized"),
            "{path}"
        );
        let known = team.get(path).await;
        assert_eq!(known.status, 200, "{path}");
    }
    // Nor do they learn what there is.
    for path in [
        "/good/echo",
        "/good/nothing",
        "/nobody/echo",
        "/off/echo",
        "/nothing",
    ] {
        let stranger = bridge.post(path, "{}").await;
        assert_eq!(stranger.status, 401, "{path}: {}", stranger.text);
        assert!(!stranger.text.contains("NOT_SET_ANYWHERE"));
    }
    for path in ["/health", "/ready"] {
        assert_eq!(bridge.get(path).await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn request_ids_are_echoed_if_they_are_harmless() {
    let bridge = bridge().await;
    let long = "a".repeat(65);
    for (sent, is_kept) in [
        ("abc-123_x.y:z", true),
        ("", false),
        ("a b", false),
        ("<script>", false),
        ("a\"b", false),
        (long.as_str(), false),
    ] {
        let answer = bridge
            .send(
                reqwest::Method::POST,
                "/nothing",
                &[("x-request-id", sent)],
                "{}",
            )
            .await;
        let id = answer.header("x-request-id");
        assert_eq!(id == sent, is_kept, "{sent}: {id}");
        assert!(!id.is_empty());
        assert_eq!(answer.json()["request_id"], id);
    }
}

#[tokio::test]
async fn a_root_path_works_with_and_without_a_proxy_that_strips_it() {
    let toml = format!(
        "[server]\nroot_path = '/api/tools'\n{}",
        TOML.replace("[server]\n", "")
    );
    let toml = toml.replace("title = 'The tools'\n", "");
    let bridge = Setup::toml(&toml).ready().await;
    for prefix in ["", "/api/tools"] {
        for path in [
            "/openapi.json",
            "/docs",
            "/good",
            "/good/openapi.json",
            "/servers",
            "/health",
        ] {
            assert_eq!(
                bridge.get(&format!("{prefix}{path}")).await.status,
                200,
                "{prefix}{path}"
            );
        }
        let answer = bridge
            .post(&format!("{prefix}/good/echo"), r#"{"message": "hi"}"#)
            .await;
        assert_eq!(answer.text, r#""hi""#, "{prefix}");
    }
    let (status, text) = bridge.line("GET /api/tools?x=1", "", "").await;
    assert_eq!(status, 200, "{text}");
    assert_eq!(bridge.get("/api/toolsmith/good").await.status, 404);
    let document = bridge.get("/openapi.json").await.json();
    assert_eq!(document["servers"][0]["url"], "/api/tools");
    let own = bridge.get("/good/openapi.json").await.json();
    assert_eq!(own["servers"][0]["url"], "/api/tools/good");
    let page = bridge.get("/docs").await.text;
    assert!(page.contains("/api/tools/docs/assets/"), "{page}");
}
