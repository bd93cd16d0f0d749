//! The admin page: its files and headers, and what it does in a real browser.

use std::{path::PathBuf, time::Duration};

use reqwest::Method;
use serde_json::json;
use tokio::{process::Command, time::timeout};

use crate::{
    harness::{Bridge, Setup, fixture, until},
    mcpo,
};

const FILES: [(&str, &str); 4] = [
    ("/admin", "text/html; charset=utf-8"),
    ("/admin/", "text/html; charset=utf-8"),
    ("/admin/page.css", "text/css; charset=utf-8"),
    ("/admin/page.js", "text/javascript; charset=utf-8"),
];

const ADMIN: &str = "key-of-the-administrators";

const TOML: &str = "
[identity.keys.ops]
key = '${ADMIN}'
groups = ['MCP-Admin']
[access.groups]
readers = ['good']
[bridges.good]
{bad good}
";

async fn start() -> Bridge {
    Setup::toml(TOML).admin_key("ADMIN", ADMIN).ready().await
}

#[tokio::test]
async fn the_page_is_public_and_strict() {
    let bridge = start().await;
    for (path, kind) in FILES {
        let answer = bridge.get(path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
        assert_eq!(answer.header("content-type"), kind, "{path}");
        let policy = answer.header("content-security-policy");
        for word in [
            "default-src 'none';",
            "script-src 'self';",
            "style-src 'self';",
            "connect-src 'self';",
            "img-src data:;",
            "form-action 'none';",
            "base-uri 'none';",
            "frame-ancestors 'none';",
        ] {
            assert!(policy.contains(word), "{path}: {word} is not in {policy}");
        }
        assert!(!policy.contains("unsafe"), "{path}: {policy}");
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cache-control", "no-cache"),
        ] {
            assert_eq!(answer.header(name), value, "{path}: {name}");
        }
        let tag = answer.header("etag");
        assert!(tag.starts_with('"') && tag.ends_with('"'), "{tag}");
        let known = [("if-none-match", tag)];
        let again = bridge.send(Method::GET, path, &known, "").await;
        assert_eq!((again.status, again.text.as_str()), (304, ""), "{path}");
        assert_eq!(again.header("etag"), tag, "{path}");
        let other = [("if-none-match", "\"another\"")];
        let other = bridge.send(Method::GET, path, &other, "").await;
        assert_eq!(other.status, 200, "{path}");
        let head = bridge.send(Method::HEAD, path, &[], "").await;
        assert_eq!((head.status, head.text.as_str()), (200, ""), "{path}");
        assert_eq!(bridge.post(path, "{}").await.status, 405, "{path}");
    }
    assert_eq!(bridge.get("/admin/page.html").await.status, 404);
}

#[tokio::test]
async fn the_page_loads_nothing_from_elsewhere() {
    let bridge = start().await;
    for (path, _) in FILES {
        let text = bridge.get(path).await.text;
        for word in [
            "http:",
            "https:",
            "=\"//",
            "url(",
            "@import",
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "{{",
        ] {
            assert!(!text.contains(word), "{path} has {word}");
        }
    }
    let page = bridge.get("/admin").await.text;
    let links: Vec<&str> = page
        .split('"')
        .filter(|text| text.starts_with('/') && !text.contains(['<', ' ']))
        .collect();
    assert_eq!(links, ["/admin/page.css", "/admin/page.js", "/docs"]);
    for link in links {
        assert_eq!(bridge.get(link).await.status, 200, "{link}");
    }
    let docs = bridge.get("/docs").await.text;
    assert!(docs.contains("href=\"/admin\""), "{docs}");
}

#[tokio::test]
async fn the_page_knows_the_path_before_ours() {
    let toml = format!("[server]\nroot_path = '/it&co'\n{TOML}");
    let bridge = Setup::toml(&toml).admin_key("ADMIN", ADMIN).ready().await;
    for prefix in ["", "/it&co"] {
        for (path, kind) in FILES {
            let answer = bridge.get(&format!("{prefix}{path}")).await;
            let told = (answer.status, answer.header("content-type"));
            assert_eq!(told, (200, kind), "{prefix}{path}");
        }
        let page = bridge.get(&format!("{prefix}/admin")).await.text;
        for text in [
            "data-root=\"/it&amp;co\"",
            "src=\"/it&amp;co/admin/page.js\"",
            "href=\"/it&amp;co/admin/page.css\"",
        ] {
            assert!(page.contains(text), "{prefix}: {text}");
        }
    }
}

#[tokio::test]
async fn mcpo_has_no_such_page() {
    let servers = [("time", mcpo::probe("echo"))];
    let bridge = mcpo::with_config(&servers, &[]).listening().await;
    for (path, _) in FILES {
        assert_eq!(bridge.get(path).await.status, 404, "{path}");
    }
    assert!(!bridge.get("/docs").await.text.contains("/admin"));
}

#[tokio::test]
async fn the_page_is_told_who_asks() {
    let toml = format!("{TOML}[identity.keys.plain]\nkey = 'key-of-nobody-in-particular'\n");
    let bridge = Setup::toml(&toml).admin_key("ADMIN", ADMIN).ready().await;
    let me = "/admin/api/me";
    let stranger = bridge.get(me).await;
    // With Basic in it the browser would ask for a password, and not the page.
    let told = (stranger.status, stranger.header("www-authenticate"));
    assert_eq!(told, (401, "Bearer"), "{}", stranger.text);
    let plain = bridge
        .as_bearer("key-of-nobody-in-particular")
        .get(me)
        .await;
    assert_eq!(plain.status, 403, "{}", plain.text);
    let admin = bridge.as_admin().get(me).await;
    assert_eq!(
        admin.json(),
        json!({ "id": "ops", "proof": "api_key", "workspace": "default", "enforced": true })
    );
}

#[tokio::test]
async fn the_page_works_in_a_browser() {
    let playwright = fixture("../.peers/npm/browser/node_modules/playwright-core");
    assert!(
        playwright.exists(),
        "playwright-core is missing: run ./scripts/peers"
    );
    let chromium = program(&["chromium", "chromium-browser", "google-chrome"]);
    let chromium = chromium.expect("chromium is missing: install Debian's package chromium");
    let bridge = start().await;
    let admin = bridge.as_admin();
    // A name that would be a script if the page took texts for HTML.
    let evil = "/good/%3Cimg%20src=x%20onerror=alert(1)%3E";
    assert_eq!(admin.post(evil, "{}").await.status, 404);
    until(async || {
        let path = "/admin/api/calls?outcome=not_found";
        let found = admin.get(path).await;
        found.status == 200 && found.json()["count"] == 1
    })
    .await;
    let output = Command::new(node())
        .arg(fixture("it/browser.mjs"))
        .args([&bridge.base, ADMIN])
        .args([&chromium, &playwright])
        .kill_on_drop(true)
        .output();
    let output = timeout(Duration::from_mins(1), output).await;
    let output = output.expect("the browser is done in time").unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{}", bridge.log());
}

/// The first of these programs on PATH.
fn program(names: &[&str]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let mut found = names
        .iter()
        .flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
    found.find(|file| file.is_file())
}

/// `scripts/peers` brings a Node.js of its own where the system's is too old.
fn node() -> PathBuf {
    let own = fixture("../.peers/node/bin/node");
    if own.exists() { own } else { "node".into() }
}
