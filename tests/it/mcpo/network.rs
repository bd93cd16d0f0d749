//! Reverse proxies, browsers, TLS (mcpo contract §7).

use reqwest::{Certificate, Client, Method};
use serde_json::{Value, json};

use super::{mcpo, probe, probe_words, with_config};
use crate::harness::{Bridge, Setup};

/// mcpo's command line for the recorded server's `r_text`, after options.
fn single(options: &[&str]) -> Setup {
    let words = probe_words("r_text");
    let mut line = options.to_vec();
    line.push("--");
    line.extend(words.iter().map(String::as_str));
    mcpo(&line)
}

/// The `servers` member of a document, if it is there.
async fn servers(bridge: &Bridge, path: &str) -> Value {
    let answer = bridge.get(path).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.text);
    answer.json()["servers"].clone()
}

/// The URL that a page loads its document from; it loads nothing from elsewhere.
async fn page_url(bridge: &Bridge, path: &str) -> String {
    let answer = bridge.get(path).await;
    assert_eq!(answer.status, 200, "{path}");
    let page = answer.text;
    assert!(
        !page.contains("http://") && !page.contains("https://"),
        "{page}"
    );
    let assets: Vec<&str> = page
        .split(['"', '\''])
        .filter(|word| word.contains("/docs/assets/"))
        .collect();
    assert!(assets.len() >= 2, "{page}");
    for asset in assets {
        assert_eq!(bridge.get(asset).await.status, 200, "{asset}");
    }
    let url = page.split("data-url=\"").nth(1).unwrap();
    url.split('"').next().unwrap().to_owned()
}

/// Options of the recording, the path before each server, what the root says.
#[tokio::test]
async fn path_prefixes_stand_before_servers_and_nothing_else() {
    for (given, prefix) in [("/pre", "/pre/"), ("pre/x/", "/pre/x/"), ("", "/")] {
        let bridge = with_config(&[("ok", probe("r_text"))], &["--path-prefix", given])
            .ready()
            .await;
        let root = bridge.get("/openapi.json").await.json();
        assert_eq!(
            root["info"]["description"],
            format!(
                "Automatically generated API from MCP Tool Schemas\n\n- **available tools**：\n    - [ok]({prefix}ok/docs)"
            )
        );
        assert_eq!(root.get("servers"), None);
        let document = format!("{prefix}ok/openapi.json");
        assert_eq!(
            servers(&bridge, &document).await,
            json!([{"url": format!("{prefix}ok")}])
        );
        let tool = format!("{prefix}ok/r_text");
        assert_eq!(
            root["paths"].as_object().unwrap().keys().next(),
            Some(&tool)
        );
        assert_eq!(bridge.post(&tool, "").await.text, "\"hello\"");
        assert_eq!(page_url(&bridge, "/docs").await, "/openapi.json");
        assert_eq!(
            page_url(&bridge, &format!("{prefix}ok/docs")).await,
            document
        );
        if prefix != "/" {
            assert_eq!(bridge.post("/ok/r_text", "").await.status, 404);
        }
    }
}

#[tokio::test]
async fn one_server_takes_no_path_prefix() {
    let bridge = single(&["--path-prefix", "/pre"]).ready().await;
    assert_eq!(
        bridge.get("/openapi.json").await.json().get("servers"),
        None
    );
    assert_eq!(bridge.post("/r_text", "").await.status, 200);
    assert_eq!(bridge.post("/pre/r_text", "").await.status, 404);
}

/// B16: a proxy may take the prefix off or leave it on.
#[tokio::test]
async fn root_paths_answer_with_and_without() {
    let servers_of = [("ok", probe("r_text"))];
    for (given, root, prefix) in [
        (&["--root-path", "/api/mcpo"][..], "/api/mcpo", ""),
        (
            &["--root-path", "/api/mcpo", "--path-prefix", "/pre"],
            "/api/mcpo",
            "/pre",
        ),
        // Without its slash everything is out of reach there.
        (&["--root-path", "api/"], "/api", ""),
    ] {
        let bridge = with_config(&servers_of, given).ready().await;
        for before in ["", root] {
            assert_eq!(
                servers(&bridge, &format!("{before}/openapi.json")).await,
                json!([{"url": root}])
            );
            assert_eq!(
                servers(&bridge, &format!("{before}{prefix}/ok/openapi.json")).await,
                json!([{"url": format!("{root}{prefix}/ok")}])
            );
            let tool = format!("{before}{prefix}/ok/r_text");
            assert_eq!(bridge.post(&tool, "").await.text, "\"hello\"", "{tool}");
            assert_eq!(
                page_url(&bridge, &format!("{before}/docs")).await,
                format!("{root}/openapi.json")
            );
            assert_eq!(
                page_url(&bridge, &format!("{before}{prefix}/ok/docs")).await,
                format!("{root}{prefix}/ok/openapi.json")
            );
        }
    }
}

#[tokio::test]
async fn one_server_answers_with_and_without_its_root_path() {
    let bridge = single(&["--root-path", "/api/mcpo"]).ready().await;
    for before in ["", "/api/mcpo"] {
        assert_eq!(
            servers(&bridge, &format!("{before}/openapi.json")).await,
            json!([{"url": "/api/mcpo"}])
        );
        assert_eq!(
            bridge.post(&format!("{before}/r_text"), "").await.status,
            200
        );
        assert_eq!(
            page_url(&bridge, &format!("{before}/docs")).await,
            "/api/mcpo/openapi.json"
        );
    }
}

/// A preflight as browsers send it.
async fn preflight(bridge: &Bridge, origin: &str) -> crate::harness::Answer {
    let headers = [
        ("origin", origin),
        ("access-control-request-method", "POST"),
        (
            "access-control-request-headers",
            "authorization,content-type",
        ),
    ];
    bridge.send(Method::OPTIONS, "/r_text", &headers, "").await
}

/// §7, where mcpo says `*` to simple requests the origin is echoed, as by newer versions of what
/// mcpo is built on; browsers take either, and `*` does not go with credentials.
#[tokio::test]
async fn pages_of_any_origin_may_call() {
    let bridge = single(&["--api-key", "k"]).ready().await;
    let answer = preflight(&bridge, "http://x.test").await;
    assert_eq!(answer.status, 200);
    for (name, value) in [
        ("access-control-allow-origin", "http://x.test"),
        ("access-control-allow-credentials", "true"),
        ("access-control-allow-methods", "POST"),
        ("access-control-allow-headers", "authorization,content-type"),
        ("access-control-max-age", "600"),
    ] {
        assert_eq!(answer.header(name), value, "{name}");
    }
    assert!(
        answer
            .headers
            .get_all("vary")
            .iter()
            .any(|vary| { vary.to_str().unwrap().to_lowercase().contains("origin") })
    );
    // Success, refused bodies and refused callers can be read by the page.
    for (path, key, body, status) in [
        ("/r_text", "Bearer k", "", 200),
        ("/r_text", "Bearer k", "{bad", 400),
        ("/r_text", "Bearer x", "", 403),
        ("/r_text", "", "", 401),
        ("/nope", "Bearer k", "", 404),
    ] {
        let headers = [("origin", "http://x.test"), ("authorization", key)];
        let answer = bridge.send(Method::POST, path, &headers, body).await;
        assert_eq!(answer.status, status, "{path} {key} {body}");
        assert_eq!(
            answer.header("access-control-allow-origin"),
            "http://x.test"
        );
        assert_eq!(answer.header("access-control-allow-credentials"), "true");
    }
}

#[tokio::test]
async fn other_origins_than_the_named_are_not_allowed() {
    let options = [
        "--cors-allow-origins",
        "http://a",
        "--cors-allow-origins",
        "http://b",
    ];
    let bridge = single(&options).ready().await;
    for origin in ["http://a", "http://b"] {
        let answer = preflight(&bridge, origin).await;
        assert_eq!(answer.header("access-control-allow-origin"), origin);
    }
    let answer = preflight(&bridge, "http://c").await;
    assert_eq!(answer.header("access-control-allow-origin"), "");
}

#[tokio::test]
async fn a_certificate_makes_it_https_and_nothing_else() {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let setup = single(&[
        "--ssl-certfile",
        "{dir}/cert.pem",
        "--ssl-keyfile",
        "{dir}/key.pem",
    ]);
    setup.write("cert.pem", &made.cert.pem());
    setup.write("key.pem", &made.signing_key.serialize_pem());
    let port = setup.port();
    let bridge = setup.spawn();
    let plain = crate::harness::client();
    let client = Client::builder()
        .add_root_certificate(Certificate::from_pem(made.cert.pem().as_bytes()).unwrap())
        .build()
        .unwrap();
    let url = format!("https://localhost:{port}");
    crate::harness::until(async || {
        let answer = client.get(format!("{url}/ready")).send().await;
        answer.is_ok_and(|answer| answer.status() == 200)
    })
    .await;
    let answer = client.post(format!("{url}/r_text")).send().await.unwrap();
    assert_eq!(
        answer.text().await.unwrap(),
        "\"hello\"",
        "{}",
        bridge.log()
    );
    assert!(
        plain
            .get(format!("{}/docs", bridge.base))
            .send()
            .await
            .is_err()
    );
}

#[tokio::test]
async fn a_certificate_that_is_none_ends_it_with_1() {
    for (options, words) in [
        (
            &["--ssl-certfile", "{dir}/cert.pem"][..],
            "TLS needs a certificate and its key",
        ),
        (
            &["-t", "{dir}/cert.pem", "-K", "{dir}/missing.pem"],
            "cannot use the TLS files",
        ),
    ] {
        let setup = single(options);
        setup.write("cert.pem", "this is no certificate");
        let (code, log) = setup.output().await;
        assert_eq!(code, 1, "{log}");
        assert!(log.contains(words), "{log}");
    }
}
