//! Who may call: keys, pages in browsers, doors that stand open.

use reqwest::Method;

use crate::harness::{Bridge, Setup, free_port};

const OPEN: &str = "[bridges.good]\n{bad good}\n";
const KEYS: &str = "
[identity.keys.team]
key = '${TEAM_KEY}'
[identity.keys.bot]
key = '${BOT_KEY}'
[bridges.good]
{bad good}
";

/// With two keys.
async fn keyed() -> Bridge {
    let setup = Setup::toml(KEYS).env("TEAM_KEY", "k3y-of-the-team");
    setup.env("BOT_KEY", "k3y:of the bot").ready().await
}

#[tokio::test]
async fn keys_are_taken_in_every_usual_form() {
    let bridge = keyed().await;
    // user:k3y-of-the-team, :k3y:of the bot, user:wrong, k3y-of-the-team
    let cases = [
        (None, 401, "Missing or invalid Authorization header"),
        (Some(""), 401, "Missing or invalid Authorization header"),
        (Some("Bearer k3y-of-the-team"), 200, ""),
        (Some("bearer k3y-of-the-team"), 200, ""),
        (Some("BEARER   k3y-of-the-team  "), 200, ""),
        (Some("Bearer k3y:of the bot"), 200, ""),
        (Some("Basic dXNlcjprM3ktb2YtdGhlLXRlYW0="), 200, ""),
        (Some("Basic OmszeTpvZiB0aGUgYm90"), 200, ""),
        (Some("basic dXNlcjprM3ktb2YtdGhlLXRlYW0="), 200, ""),
        (Some("Basic dXNlcjp3cm9uZw=="), 401, "Invalid credentials"),
        (
            Some("Basic azN5LW9mLXRoZS10ZWFt"),
            401,
            "Invalid Basic Authentication format",
        ),
        (Some("Basic ?"), 401, "Invalid Basic Authentication format"),
        (Some("Bearer wrong"), 401, "Invalid API key"),
        (Some("Bearer k3y-of-the-tea"), 401, "Invalid API key"),
        (Some("Bearer k3y-of-the-teams"), 401, "Invalid API key"),
        (Some("Bearer K3Y-OF-THE-TEAM"), 401, "Invalid API key"),
        (Some("Bearer"), 401, "Unsupported authorization method"),
        (Some("Bearer "), 401, "Unsupported authorization method"),
        (
            Some("k3y-of-the-team"),
            401,
            "Unsupported authorization method",
        ),
        (
            Some("Digest k3y-of-the-team"),
            401,
            "Unsupported authorization method",
        ),
    ];
    let mut wrong = Vec::new();
    for (sent, status, detail) in cases {
        let header = sent.map(|sent| ("authorization", sent));
        let headers: Vec<_> = header.into_iter().collect();
        let body = r#"{"message": "hi"}"#;
        let answer = bridge
            .send(Method::POST, "/good/echo", &headers, body)
            .await;
        let is_right = answer.status == status
            && (status == 200
                || (answer.json()["detail"] == detail
                    && answer.code() == "unauthorized"
                    && answer.header("www-authenticate") == "Bearer, Basic"));
        if !is_right {
            wrong.push(format!("{sent:?}: {} {}", answer.status, answer.text));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    let log = bridge.log();
    assert!(
        log.contains("caller.id=\"team\"") && log.contains("caller.id=\"bot\""),
        "{log}"
    );
    assert!(!log.contains("k3y"), "{log}");
    // An identity is asked for before anything else is looked at.
    assert_eq!(bridge.post("/good/echo", "{").await.status, 401);
    let large = "x".repeat(20_000_000);
    let answer = bridge.send(Method::POST, "/good/echo", &[], &large).await;
    assert_eq!(answer.status, 401);
}

#[tokio::test]
async fn without_a_key_pages_from_elsewhere_may_do_nothing() {
    let bridge = Setup::toml(OPEN).ready().await;
    let port = bridge.base.rsplit(':').next().unwrap().to_owned();
    let own = format!("http://127.0.0.1:{port}");
    let hi = r#"{"message": "hi"}"#;
    let cases = [
        ("host: localhost\r\n".to_owned(), 200, ""),
        (format!("host: 127.0.0.1:{port}\r\n"), 200, ""),
        (format!("host: [::1]:{port}\r\n"), 200, ""),
        ("host: LocalHost:80\r\n".to_owned(), 200, ""),
        ("host: app.localhost\r\n".to_owned(), 200, ""),
        (
            format!("host: 127.0.0.1:{port}\r\norigin: {own}\r\n"),
            200,
            "",
        ),
        ("host: evil.example\r\n".to_owned(), 403, "forbidden_host"),
        (
            format!("host: evil.example:{port}\r\n"),
            403,
            "forbidden_host",
        ),
        (
            "host: localhost.evil.example\r\n".to_owned(),
            403,
            "forbidden_host",
        ),
        (
            "host: localhost\r\norigin: https://evil.example\r\n".to_owned(),
            403,
            "forbidden_origin",
        ),
        (
            "host: localhost\r\norigin: null\r\n".to_owned(),
            403,
            "forbidden_origin",
        ),
        (
            "host: evil.example\r\norigin: http://evil.example\r\n".to_owned(),
            403,
            "forbidden_host",
        ),
        (
            "host: localhost\r\norigin: http://localhost:9\r\n".to_owned(),
            403,
            "forbidden_origin",
        ),
    ];
    let mut wrong = Vec::new();
    for (headers, status, code) in cases {
        for line in ["POST /good/echo", "POST /refresh", "GET /servers"] {
            let request = format!(
                "{line} HTTP/1.1\r\n{headers}connection: close\r\ncontent-type: text/plain\r\ncontent-length: {}\r\n\r\n{hi}",
                hi.len()
            );
            let (seen, text) = bridge.raw(&request).await;
            if seen != status || !text.contains(code) {
                wrong.push(format!("{line} {headers}: {text}"));
            }
            if text
                .to_ascii_lowercase()
                .contains("access-control-allow-origin")
            {
                wrong.push(format!("{line} {headers} may be read: {text}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
async fn without_a_key_a_foreign_host_reads_no_route() {
    let bridge = Setup::toml(OPEN).ready().await;
    let get = async |path: &str, headers: &str| {
        let request = format!("GET {path} HTTP/1.1\r\n{headers}connection: close\r\n\r\n");
        bridge.raw(&request).await
    };
    let paths = [
        "/",
        "/servers",
        "/openapi.json",
        "/good/openapi.json",
        "/docs",
        "/good/docs",
        "/docs/assets/swagger-ui.css",
        "/admin",
        "/oauth",
        "/nothing",
    ];
    for path in paths {
        for host in [
            "host: evil.example\r\n",
            "host: localhost\r\nhost: evil.example\r\n",
            "host: evil.example\r\nauthorization: Bearer x\r\n",
        ] {
            if path == "/admin" || path.contains("assets") {
                // The same bytes for everybody: there is nothing to read.
                continue;
            }
            let (status, text) = get(path, host).await;
            assert!(
                status == 403 && text.contains("forbidden_host"),
                "{path} {host}: {text}"
            );
        }
    }
    let (status, text) = get("/admin", "host: evil.example\r\n").await;
    assert_eq!(status, 403, "{text}");
    let (status, text) = get("http://evil.example/openapi.json", "host: localhost\r\n").await;
    assert!(status == 403 && text.contains("forbidden_host"), "{text}");
    let (status, text) = get("/health", "host: evil.example\r\n").await;
    assert_eq!(status, 200, "{text}");
}

#[tokio::test]
async fn without_a_key_nothing_is_done_for_other_sites_or_behind_a_proxy() {
    let bridge = Setup::toml(OPEN).ready().await;
    let hi = r#"{"message": "hi"}"#;
    let cases = [
        (("sec-fetch-site", "same-origin"), 200),
        (("sec-fetch-site", "none"), 200),
        (("sec-fetch-site", "cross-site"), 403),
        (("sec-fetch-site", "same-site"), 403),
        (("x-forwarded-for", "203.0.113.7"), 401),
        (("x-forwarded-proto", "https"), 401),
        (("x-forwarded-for", ""), 401),
        (("forwarded", "for=203.0.113.7"), 401),
        (("via", "1.1 proxy"), 401),
        (("x-real-ip", "203.0.113.7"), 401),
        (("cf-connecting-ip", "203.0.113.7"), 401),
        (("true-client-ip", "203.0.113.7"), 401),
        (("x-original-forwarded-for", "203.0.113.7"), 401),
        (("x-request-id", "r1"), 200),
    ];
    for (header, status) in cases {
        let sent = [header];
        let answer = bridge.send(Method::POST, "/good/echo", &sent, hi).await;
        assert_eq!(answer.status, status, "{header:?}: {}", answer.text);
        if status == 401 {
            assert!(answer.text.contains("anonymous = true"), "{}", answer.text);
            for path in ["/openapi.json", "/admin/api/bridges", "/servers"] {
                let answer = bridge.send(Method::GET, path, &[header], "").await;
                assert_eq!(answer.status, 401, "{path} {header:?}: {}", answer.text);
            }
        }
    }
    // The operator may say that everybody is meant.
    let open = format!("[identity]\nanonymous = true\n{OPEN}");
    let bridge = Setup::toml(&open).ready().await;
    let proxied = [("x-forwarded-for", "203.0.113.7")];
    let answer = bridge.send(Method::POST, "/good/echo", &proxied, hi).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
}

#[tokio::test]
async fn cors_is_off_until_it_is_configured() {
    let origin = ("origin", "https://chat.example.org");
    let preflight = [
        origin,
        ("access-control-request-method", "POST"),
        (
            "access-control-request-headers",
            "authorization,content-type",
        ),
    ];
    let closed = keyed().await;
    let answer = closed
        .send(Method::OPTIONS, "/good/echo", &preflight, "")
        .await;
    assert_eq!(answer.header("access-control-allow-origin"), "");

    let toml = format!("[server]\ncors_allow_origins = ['https://chat.example.org']\n{KEYS}");
    let setup = Setup::toml(&toml).env("TEAM_KEY", "k3y-of-the-team");
    let bridge = setup.env("BOT_KEY", "b").ready().await;
    let answer = bridge
        .send(Method::OPTIONS, "/good/echo", &preflight, "")
        .await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("access-control-allow-origin"), origin.1);
    assert!(
        answer
            .header("access-control-allow-methods")
            .contains("POST")
    );
    assert!(
        answer
            .header("access-control-allow-headers")
            .contains("authorization")
    );
    // Errors can be read too.
    for (path, status) in [("/openapi.json", 200), ("/good", 401), ("/nothing", 404)] {
        let answer = bridge.send(Method::GET, path, &[origin], "").await;
        assert_eq!(answer.status, status, "{path}");
        assert_eq!(
            answer.header("access-control-allow-origin"),
            origin.1,
            "{path}"
        );
        assert!(answer.header("vary").contains("origin"), "{path}");
    }
    let other = ("origin", "https://evil.example");
    let answer = bridge
        .send(Method::GET, "/openapi.json", &[other], "")
        .await;
    assert_eq!(answer.header("access-control-allow-origin"), "");
}

#[tokio::test]
async fn a_door_to_the_network_is_not_left_open_by_accident() {
    for address in ["0.0.0.0", "[::]", "192.0.2.1"] {
        let listen = format!("{address}:{}", free_port());
        let setup = Setup::toml(OPEN).env("BRIDGE_LISTEN", &listen);
        let (code, log) = setup.output().await;
        assert_eq!(code, 2, "{log}");
        assert!(
            log.contains(&format!(
                "error: {listen} is reachable from other machines, and no API key is on"
            )),
            "{log}"
        );
        assert!(
            log.contains("anonymous = true") && log.contains("MCP_API_KEY"),
            "{log}"
        );
        assert!(!log.contains("listening"), "{log}");
    }
    // A key that is blank is no key.
    let toml = format!("[identity.keys.team]\nkey = '${{TEAM_KEY}}'\n{OPEN}");
    let listen = format!("0.0.0.0:{}", free_port());
    let setup = Setup::toml(&toml).env("TEAM_KEY", "  ");
    let (code, log) = setup.env("BRIDGE_LISTEN", &listen).output().await;
    assert_eq!(code, 2, "{log}");
    assert!(log.contains("TEAM_KEY is"), "{log}");
}

#[tokio::test]
async fn everybody_may_call_where_that_is_said() {
    let toml = format!("[identity]\nanonymous = true\n{OPEN}");
    let setup = Setup::toml(&toml);
    let listen = format!("0.0.0.0:{}", setup.port());
    let bridge = setup.env("BRIDGE_LISTEN", &listen).ready().await;
    let hi = r#"{"message": "hi"}"#;
    assert_eq!(bridge.post("/good/echo", hi).await.status, 200);
    let request = format!(
        "POST /good/echo HTTP/1.1\r\nhost: bridge.example\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{hi}",
        hi.len()
    );
    assert_eq!(bridge.raw(&request).await.0, 200, "any name");
    let origin = ("origin", "https://evil.example");
    let answer = bridge.send(Method::POST, "/good/echo", &[origin], hi).await;
    answer.assert_error(403, "forbidden_origin");
    let answer = bridge.post("/refresh", "").await;
    answer.assert_error(403, "forbidden");
}

#[tokio::test]
async fn nobody_may_call_where_that_is_said() {
    let toml = format!("[identity]\nanonymous = false\n{OPEN}");
    let bridge = Setup::toml(&toml).ready().await;
    assert_eq!(
        bridge
            .post("/good/echo", r#"{"message": "hi"}"#)
            .await
            .status,
        401
    );
    assert_eq!(bridge.post("/refresh", "").await.status, 401);
}
