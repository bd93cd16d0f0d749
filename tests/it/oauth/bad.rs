//! Authorization servers that do not do as they should, people who say no, keys that are lost.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{SEAL, link_in, server, setup, shared_link, until_status, whoami};
use crate::harness::{Browser, OAuthPeer, Setup, until};

const ALICE: &str = "alice@example.org";

/// Answers of every place that discovery looks at.
const WELL_KNOWN: &str = "/.well-known/*";

/// Presses the button on the page for everybody's account.
async fn press(bridge: &crate::harness::Bridge) -> crate::harness::Page {
    let mut browser = Browser::new();
    let page = browser.open(&shared_link(bridge, "team").await).await;
    browser.go_on(&page).await
}

/// What discovery may meet: its name, where, what is answered there, and a word of what is told.
fn bad_metadata() -> Vec<(&'static str, &'static str, Value, &'static str)> {
    let json_type = json!({"content-type": "application/json"});
    let metadata = |issuer: &str| {
        json!({
            "issuer": issuer,
            "authorization_endpoint": "{base}/authorize",
            "token_endpoint": "{base}/token",
            "registration_endpoint": "{base}/register",
            "response_types_supported": ["code"],
            "code_challenge_methods_supported": ["S256"],
        })
        .to_string()
    };
    let resource = |resource: &str, server: &str| {
        json!({"resource": resource, "authorization_servers": [server]}).to_string()
    };
    vec![
        (
            "server error",
            WELL_KNOWN,
            json!({"status": 500}),
            "HTTP 500",
        ),
        (
            "loop",
            WELL_KNOWN,
            json!({"status": 302, "headers": {"location": "{base}/.well-known/oauth-protected-resource/mcp"}}),
            "redirect",
        ),
        (
            "another host",
            WELL_KNOWN,
            json!({"status": 302, "headers": {"location": "http://10.1.2.3/metadata"}}),
            "10.1.2.3",
        ),
        (
            "another issuer",
            "/.well-known/oauth-authorization-server*",
            json!({"status": 200, "body": metadata("https://evil.example"), "headers": json_type}),
            "evil.example",
        ),
        (
            "a private address",
            "/.well-known/oauth-protected-resource*",
            json!({"status": 200, "body": resource("{base}/mcp", "http://10.1.2.3"), "headers": json_type}),
            "10.1.2.3",
        ),
        (
            "another resource",
            "/.well-known/oauth-protected-resource*",
            json!({"status": 200, "body": resource("https://other.example/mcp", "{base}"), "headers": json_type}),
            "other.example",
        ),
        (
            "no S256",
            "/.well-known/oauth-authorization-server*",
            json!({"status": 200, "headers": json_type, "body": metadata("{base}/").replace("S256", "plain")}),
            "S256",
        ),
        (
            "a script for a login page",
            "/.well-known/oauth-authorization-server*",
            json!({"status": 200, "headers": json_type, "body": metadata("{base}/").replace("{base}/authorize", "javascript:alert(1)")}),
            "not https",
        ),
        (
            "HTML",
            WELL_KNOWN,
            json!({"status": 200, "body": "<html>hello</html>", "headers": {"content-type": "text/html"}}),
            "",
        ),
        ("nothing", WELL_KNOWN, json!({"status": 404}), ""),
    ]
}

#[tokio::test]
async fn metadata_that_cannot_be_used_is_told_on_the_page() {
    let peer = OAuthPeer::start(&[]).await;
    let bridge = setup(&peer, "").ready().await;
    for (what, path, fault, needle) in bad_metadata() {
        peer.well().await;
        peer.fault(path, fault).await;
        // With nothing to go by, the endpoints of the oldest revision are tried: none is there.
        if needle.is_empty() {
            peer.fault("/register", json!({"status": 404})).await;
        }
        let began = Instant::now();
        let page = press(&bridge).await;
        assert_eq!(page.status, 502, "{what}: {}", page.text);
        assert!(page.text.contains(needle), "{what}: {}", page.text);
        assert!(!page.text.contains("<html>hello"), "{what}");
        assert!(began.elapsed() < Duration::from_secs(15), "{what}");
        assert_eq!(server(&bridge, "team").await["status"], "needs_login");
    }
    peer.well().await;
    let link = shared_link(&bridge, "team").await;
    let page = Browser::new().connect(&link, "the-team").await;
    assert_eq!(page.status, 200, "{}", page.text);
}

#[tokio::test]
async fn a_refused_registration_says_what_to_do() {
    let peer = OAuthPeer::start(&[]).await;
    let bridge = setup(&peer, "").ready().await;
    for fault in [
        json!({"status": 403, "body": {"error": "access_denied", "error_description": "ask us first"}}),
        json!({"status": 400, "body": "<h1>no</h1>"}),
        json!({"status": 429}),
        json!({"status": 201, "body": "no json"}),
    ] {
        peer.well().await;
        peer.fault("/register", fault.clone()).await;
        let page = press(&bridge).await;
        assert_eq!(page.status, 502, "{fault} {}", page.text);
        assert!(
            page.text.contains("client_id") || page.text.contains("429"),
            "{fault} {}",
            page.text
        );
    }
}

#[tokio::test]
async fn a_token_endpoint_that_fails_connects_nobody() {
    let peer = OAuthPeer::start(&[]).await;
    let bridge = setup(&peer, "").ready().await;
    for (fault, needle) in [
        (
            json!({"status": 400, "body": {"error": "invalid_request", "error_description": "odd"}}),
            "odd",
        ),
        (
            json!({"status": 400, "body": {"error": "invalid_grant"}}),
            "invalid_grant",
        ),
        (json!({"status": 429, "body": ""}), "429"),
        (json!({"status": 500, "body": "oops"}), "500"),
        (json!({"status": 200, "body": "{}"}), "cannot be used"),
        (json!({"delay": 30}), "cannot be used"),
    ] {
        peer.well().await;
        peer.fault("/token", fault.clone()).await;
        let link = link_in(&whoami(&bridge, ALICE, "mine").await);
        let began = Instant::now();
        let page = Browser::new().connect(&link, "alice-there").await;
        assert_eq!(page.status, 502, "{fault} {}", page.text);
        assert!(page.text.contains(needle), "{fault} {}", page.text);
        assert!(began.elapsed() < Duration::from_secs(20), "{fault}");
        link_in(&whoami(&bridge, ALICE, "mine").await);
    }
}

#[tokio::test]
async fn a_state_that_is_wrong_missing_or_old_connects_nobody() {
    let peer = OAuthPeer::start(&[]).await;
    let bridge = setup(&peer, "").ready().await;
    let link = link_in(&whoami(&bridge, ALICE, "mine").await);
    let mut browser = Browser::new();
    let page = browser.open(&link).await;
    let page = browser.go_on(&page).await;
    let answer = browser.consent_location(&page, "alice-there").await;
    let state = answer
        .split("state=")
        .nth(1)
        .unwrap()
        .split('&')
        .next()
        .unwrap();
    for wrong in [
        answer.replace(state, "another"),
        answer.replace("state=", "other="),
        answer.replace("code=", "other="),
        format!(
            "{}&iss=https%3A%2F%2Fevil.example",
            answer.replace(state, "x")
        ),
        answer.split('?').next().unwrap().to_owned(),
    ] {
        let page = browser.open(&wrong).await;
        assert!(matches!(page.status, 400 | 403), "{wrong} {}", page.text);
    }
    link_in(&whoami(&bridge, ALICE, "mine").await);
}

#[tokio::test]
async fn an_answer_of_another_issuer_is_refused() {
    let peer = OAuthPeer::start(&[]).await;
    let bridge = setup(&peer, "").ready().await;
    let link = link_in(&whoami(&bridge, ALICE, "mine").await);
    let mut browser = Browser::new();
    let page = browser.open(&link).await;
    let page = browser.go_on(&page).await;
    let answer = browser.consent_location(&page, "alice-there").await;
    let page = browser
        .open(&format!("{answer}&iss=https%3A%2F%2Fevil.example"))
        .await;
    assert_eq!(page.status, 502, "{}", page.text);
    assert!(page.text.contains("evil.example"), "{}", page.text);
    assert_eq!(peer.stat("tokens").await, 0);
}

#[tokio::test]
async fn whoever_says_no_connects_nothing() {
    let peer = OAuthPeer::start(&[]).await;
    let bridge = setup(&peer, "").ready().await;
    let link = link_in(&whoami(&bridge, ALICE, "mine").await);
    let mut browser = Browser::new();
    let page = browser.open(&link).await;
    let page = browser.go_on(&page).await;
    let page = browser.consent(&page, "alice-there", "deny").await;
    assert_eq!(page.status, 403, "{}", page.text);
    assert!(page.text.contains("not today"), "{}", page.text);
    link_in(&whoami(&bridge, ALICE, "mine").await);
}

#[tokio::test]
async fn a_link_that_was_cut_altered_or_moved_is_refused() {
    let peer = OAuthPeer::start(&[]).await;
    let bridge = setup(&peer, "").ready().await;
    let link = link_in(&whoami(&bridge, ALICE, "mine").await);
    let (address, ticket) = link.rsplit_once('/').unwrap();
    assert_eq!(ticket.len(), 22, "{link}");
    assert!(address.ends_with("/c"), "{link}");
    let here = address.replace("/c", "/oauth/mine/connect");
    let last = if ticket.ends_with('A') { 'B' } else { 'A' };
    let other = format!("{}{last}", &ticket[..21]);
    for wrong in [
        format!("{address}/{}", &ticket[..18]),
        format!("{address}/{other}"),
        format!("{address}/{ticket}x"),
        format!("{here}?ticket={other}"),
        format!("{here}?ticket="),
        format!("{}?ticket={ticket}", here.replace("/mine/", "/team/")),
    ] {
        let page = Browser::new().open(&wrong).await;
        assert_eq!(page.status, 400, "{wrong} {}", page.text);
    }
    // Whoever brings none has to say who they are.
    let page = Browser::new().open(&here).await;
    assert!(
        page.text.contains("sign in to Open WebUI first"),
        "{}",
        page.text
    );
    assert_eq!(page.status, 401, "{}", page.text);
}

#[tokio::test]
async fn a_refresh_that_fails_for_now_costs_no_call_while_the_token_lives() {
    let peer = OAuthPeer::start(&["--access-ttl", "10"]).await;
    let bridge = setup(&peer, "").ready().await;
    let link = shared_link(&bridge, "team").await;
    Browser::new().connect(&link, "the-team").await;
    until_status(&bridge, "team", "ready").await;
    peer.fault("/token", json!({"status": 503})).await;
    // Due at 8 s, over at 10 s.
    tokio::time::sleep(Duration::from_millis(8300)).await;
    let called = whoami(&bridge, ALICE, "team").await;
    assert_eq!(called.status, 200, "{}", called.text);
    tokio::time::sleep(Duration::from_secs(2)).await;
    let refused = whoami(&bridge, ALICE, "team").await;
    refused.assert_error(503, "unavailable");
    peer.well().await;
    until(async || whoami(&bridge, ALICE, "team").await.status == 200).await;
}

#[tokio::test]
async fn a_lost_key_is_told_and_destroys_nothing() {
    let peer = OAuthPeer::start(&[]).await;
    let mut bridge = setup(&peer, "").ready().await;
    let link = shared_link(&bridge, "team").await;
    Browser::new().connect(&link, "the-team").await;
    until_status(&bridge, "team", "ready").await;
    bridge.kill().await;
    bridge.set_env("OA_SEAL", "another key that seals, 0123456789abcdefgh");
    bridge.start_again().await;
    let down = server(&bridge, "team").await;
    let reason = down["reason"].as_str().unwrap();
    assert!(reason.contains("BRIDGE_SECRET_KEY"), "{down}");
    let refused = whoami(&bridge, ALICE, "team").await;
    assert_eq!(refused.status, 503, "{}", refused.text);
    bridge.kill().await;
    bridge.set_env("OA_SEAL", SEAL);
    bridge.start_again().await;
    assert_eq!(server(&bridge, "team").await["status"], "ready");
}

#[tokio::test]
async fn a_server_that_echoes_its_token_does_not_give_it_away() {
    let peer = OAuthPeer::start(&[]).await;
    let bridge = setup(&peer, "").ready().await;
    let link = shared_link(&bridge, "team").await;
    Browser::new().connect(&link, "the-team").await;
    until_status(&bridge, "team", "ready").await;
    let failed = bridge.as_admin().call("team/leak", "{}").await;
    assert_eq!(failed.status, 422, "{}", failed.text);
    assert!(
        failed.text.contains("is not good enough"),
        "{}",
        failed.text
    );
    assert!(!failed.text.contains("at_"), "{}", failed.text);
    assert!(!bridge.log().contains("at_"), "{}", bridge.log());
    let database = std::fs::read(bridge.dir.path().join("mcp-bridge.db")).unwrap();
    let wal = std::fs::read(bridge.dir.path().join("mcp-bridge.db-wal")).unwrap_or_default();
    for bytes in [database, wal] {
        let text = String::from_utf8_lossy(&bytes);
        assert!(!text.contains("at_") && !text.contains("rt_"));
    }
}

#[tokio::test]
async fn a_login_for_another_address_is_not_shown_to_the_new_one() {
    let peer = OAuthPeer::start(&[]).await;
    let other = OAuthPeer::start(&[]).await;
    let mut bridge = setup(&peer, "").ready().await;
    let link = shared_link(&bridge, "team").await;
    Browser::new().connect(&link, "the-team").await;
    until_status(&bridge, "team", "ready").await;
    bridge.kill().await;
    let text = bridge.read("bridges.toml").replace(&peer.base, &other.base);
    bridge.write("bridges.toml", &text);
    bridge.start_again().await;
    let waiting = until_status(&bridge, "team", "needs_login").await;
    assert!(
        waiting["reason"].as_str().unwrap().contains(&peer.base),
        "{waiting}"
    );
    assert_eq!(other.stat("requests").await, 0);
}

#[tokio::test]
async fn two_replicas_renew_one_token_once() {
    let peer = OAuthPeer::start(&["--access-ttl", "4"]).await;
    let database = crate::harness::Postgres::create().await;
    let on_postgres = |setup: Setup| {
        let text = std::fs::read_to_string(setup.path().join("bridges.toml")).unwrap();
        let text = text.replace(
            "[database]\n",
            &format!("[database]\nurl = '{}'\n", database.url),
        );
        setup.write("bridges.toml", &text);
        setup
    };
    let (one, two) = tokio::join!(
        on_postgres(setup(&peer, "")).ready(),
        on_postgres(setup(&peer, "")).ready()
    );
    // A login at one replica is heard of at the other, wherever the browser comes back.
    let link = shared_link(&one, "team").await;
    Browser::new().connect(&link, "the-team").await;
    until_status(&one, "team", "ready").await;
    until_status(&two, "team", "ready").await;
    for round in 1..=2 {
        tokio::time::sleep(Duration::from_millis(3400)).await;
        let calls = (0..12).map(|number| {
            let bridge = if number % 2 == 0 { &one } else { &two };
            whoami(bridge, ALICE, "team")
        });
        for answer in futures::future::join_all(calls).await {
            assert_eq!(answer.status, 200, "{}\n{}", answer.text, two.log());
        }
        assert_eq!(peer.stat("refreshes").await, round);
    }
}

#[tokio::test]
async fn a_link_counts_in_one_browser_until_an_account_is_connected() {
    let peer = OAuthPeer::start(&[]).await;
    let bridge = setup(&peer, "").ready().await;
    let link = link_in(&whoami(&bridge, ALICE, "mine").await);
    let id = link.rsplit_once('/').unwrap().1;
    let mut first = Browser::new();
    let page = first.open(&link).await;
    let page = first.go_on(&page).await;
    assert_eq!(page.status, 200, "{}", page.text);
    // Another browser may look, and does not go on.
    let mut second = Browser::new();
    let page = second.open(&link).await;
    assert_eq!(page.status, 200, "{}", page.text);
    let page = second.go_on(&page).await;
    assert_eq!(page.status, 403, "{}", page.text);
    let other = link_in(&whoami(&bridge, ALICE, "mine").await);
    assert_ne!(link, other);
    let page = first.connect(&link, "alice-there").await;
    assert_eq!(page.status, 200, "{}", page.text);
    for used in [&link, &other] {
        let page = Browser::new().open(used).await;
        assert_eq!(page.status, 400, "{}", page.text);
    }
    assert!(!bridge.log().contains(id), "the log has the link");
}
