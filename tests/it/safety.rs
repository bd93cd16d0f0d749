//! What browsers are told of our answers, and what pages of other origins may do with them.

use std::path::PathBuf;

use reqwest::Method;
use tokio::process::Command;

use crate::{
    harness::{Bridge, Setup, fixture, until},
    mcpo,
};

/// Paths that a browser may be led to, pages and others.
const PATHS: [&str; 14] = [
    "/",
    "/docs",
    "/docs/",
    "/redoc",
    "/good/docs",
    "/admin",
    "/admin/",
    "/oauth/callback?state=x&code=y",
    "/oauth/good/connect",
    "/oauth/nothing/connect",
    "/openapi.json",
    "/nothing/here",
    "/health",
    "/docs/assets/oauth2-redirect.html",
];

/// Whatever a path answers: it is of its type, and a page has a policy without holes.
async fn assert_safe(bridge: &Bridge, paths: &[&str]) -> Vec<String> {
    let mut pages = Vec::new();
    for path in paths {
        let answer = bridge.get(path).await;
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert_ne!(answer.header("cache-control"), "", "{path}");
        if !answer.header("content-type").starts_with("text/html") {
            continue;
        }
        pages.push((*path).to_owned());
        let policy = answer.header("content-security-policy");
        for word in [
            "default-src 'none'",
            "base-uri 'none'",
            "form-action",
            "frame-ancestors 'none'",
        ] {
            assert!(policy.contains(word), "{path}: {word} is not in {policy}");
        }
        assert!(!policy.contains("unsafe"), "{path}: {policy}");
        assert_eq!(answer.header("referrer-policy"), "no-referrer", "{path}");
        for inline in ["<style", " style=", " onclick=", "<script>"] {
            assert!(!answer.text.contains(inline), "{path} has {inline}");
        }
    }
    pages
}

#[tokio::test]
async fn every_page_has_a_policy() {
    let bridge = Setup::toml("[bridges.good]\n{bad good}\n").ready().await;
    let pages = assert_safe(&bridge, &PATHS).await;
    for page in ["/docs", "/good/docs", "/admin", "/oauth/good/connect"] {
        assert!(
            pages.contains(&page.to_owned()),
            "{page} is no page: {pages:?}"
        );
    }
    let script = bridge.get("/docs/assets/docs.js").await;
    assert_eq!(script.status, 200);
    assert!(script.text.contains("persistAuthorization: false"));

    let servers = [("time", mcpo::probe("s_noargs_props"))];
    let bridge = mcpo::with_config(&servers, &[]).listening().await;
    let pages = assert_safe(&bridge, &["/docs", "/time/docs", "/openapi.json"]).await;
    assert_eq!(pages, ["/docs", "/time/docs"]);
}

/// Waits until the tools of the server are there.
async fn listed(bridge: &Bridge) {
    until(async || call(bridge, &[]).await.0 != 404).await;
}

/// A call as a client with these headers sends it.
async fn call(bridge: &Bridge, headers: &[(&str, &str)]) -> (u16, String) {
    let answer = bridge
        .send(Method::POST, "/time/s_noargs_props", headers, "{}")
        .await;
    let code = if answer.status == 403 {
        answer.code()
    } else {
        String::new()
    };
    (answer.status, code)
}

#[tokio::test]
async fn without_a_key_no_web_page_calls_under_mcpos_rules() {
    let servers = [("time", mcpo::probe("s_noargs_props"))];
    let bridge = mcpo::with_config(&servers, &[]).listening().await;
    listed(&bridge).await;
    let own = bridge.base.clone();
    let plain = ("content-type", "text/plain");
    let refused: [(&[(&str, &str)], &str); 7] = [
        (&[("origin", "https://evil.example")], "forbidden_origin"),
        (
            &[("origin", "https://evil.example"), plain],
            "forbidden_origin",
        ),
        (&[("origin", "null")], "forbidden_origin"),
        (
            &[("sec-fetch-site", "cross-site"), plain],
            "forbidden_origin",
        ),
        (&[("sec-fetch-site", "same-site")], "forbidden_origin"),
        (&[("host", "evil.example")], "forbidden_host"),
        (
            &[
                ("host", "evil.example:8000"),
                ("origin", "http://evil.example:8000"),
            ],
            "forbidden_host",
        ),
    ];
    for (headers, code) in refused {
        assert_eq!(
            call(&bridge, headers).await,
            (403, code.to_owned()),
            "{headers:?}"
        );
    }
    let served: [&[(&str, &str)]; 5] = [
        &[],
        &[plain],
        &[("origin", &own)],
        &[("host", "mcpo:8000")],
        &[("sec-fetch-site", "same-origin"), ("origin", &own)],
    ];
    for headers in served {
        assert_eq!(call(&bridge, headers).await.0, 200, "{headers:?}");
    }
    for path in ["/openapi.json", "/docs", "/time/openapi.json"] {
        let foreign = [("host", "evil.example")];
        let answer = bridge.send(Method::GET, path, &foreign, "").await;
        assert_eq!(answer.status, 403, "{path}");
        let read = [("origin", "https://evil.example")];
        let answer = bridge.send(Method::GET, path, &read, "").await;
        assert_eq!(answer.header("access-control-allow-origin"), "", "{path}");
    }
}

#[tokio::test]
async fn named_origins_and_keys_open_mcpos_command_line() {
    let servers = [("time", mcpo::probe("s_noargs_props"))];
    let evil = [("origin", "https://evil.example")];
    let named = mcpo::with_config(
        &servers,
        &["--cors-allow-origins", "https://tools.example.com"],
    );
    let named = named.listening().await;
    listed(&named).await;
    assert_eq!(
        call(&named, &[("origin", "https://tools.example.com")])
            .await
            .0,
        200
    );
    assert_eq!(call(&named, &[("host", "tools.example.com")]).await.0, 200);
    assert_eq!(call(&named, &evil).await.0, 403);
    let all = mcpo::with_config(&servers, &["--cors-allow-origins", "*"]);
    let all = all.listening().await;
    listed(&all).await;
    assert_eq!(call(&all, &evil).await.0, 200);
    let keyed = mcpo::with_config(&servers, &["--api-key", "top-secret"])
        .listening()
        .await;
    let headers = [
        ("authorization", "Bearer top-secret"),
        ("origin", "https://app.example"),
        ("host", "tools.example.com"),
    ];
    until(async || call(&keyed, &headers).await.0 == 200).await;
}

#[tokio::test]
async fn the_page_of_documents_works_under_its_policy() {
    let playwright = fixture("../.peers/npm/browser/node_modules/playwright-core");
    let chromium = [
        "/usr/bin/chromium",
        "/usr/bin/chromium-browser",
        "/usr/bin/google-chrome",
    ];
    let chromium = chromium.iter().map(PathBuf::from).find(|it| it.is_file());
    let chromium = chromium.expect("chromium is missing: install Debian's package chromium");
    let bridge = Setup::toml("[bridges.good]\n{bad good}\n").ready().await;
    let node = fixture("../.peers/node/bin/node");
    let node = if node.exists() { node } else { "node".into() };
    let output = Command::new(node)
        .arg(fixture("it/docs_browser.mjs"))
        .arg(&bridge.base)
        .args([&chromium, &playwright])
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(std::time::Duration::from_mins(1), output).await;
    let output = output.expect("the browser is done in time").unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{}", bridge.log());
}
