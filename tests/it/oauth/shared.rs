//! One account for everybody.

use std::time::Duration;

use serde_json::json;
use tokio::time::sleep;

use super::{call, server, setup, shared_link, until_status, whoami};
use crate::harness::{Browser, OAuthPeer, until};

#[tokio::test]
async fn somebody_logs_in_and_everybody_calls() {
    let peer = OAuthPeer::start(&[]).await;
    let bridge = setup(&peer, "").ready().await;
    // Nothing waits for a login, and nothing was sent without a token.
    let waiting = server(&bridge, "team").await;
    assert_eq!(waiting["status"], "needs_login");
    assert!(
        waiting["reason"]
            .as_str()
            .unwrap()
            .contains("mcp-bridge login team")
    );
    assert_eq!(waiting["connect"], "/oauth/team/connect");
    assert_eq!(peer.stat("requests").await, 0);
    let sum = call(
        &bridge,
        "bob@example.org",
        "/demo/add",
        &json!({"a": 1, "b": 2}),
    )
    .await;
    assert_eq!(sum.status, 200, "{}", sum.text);
    let refused = whoami(&bridge, "bob@example.org", "team").await;
    refused.assert_error(503, "needs_login");

    let mut browser = Browser::new();
    let page = browser
        .connect(&shared_link(&bridge, "team").await, "the-team")
        .await;
    assert_eq!(page.status, 200, "{}", page.text);
    assert!(page.text.contains("Connected"));
    until_status(&bridge, "team", "ready").await;
    let called = whoami(&bridge, "bob@example.org", "team").await;
    assert_eq!(called.text, "\"the-team mcp:tools\"");
    bridge.until_published("/team/whoami").await;
    let changes = bridge.as_admin().get("/admin/api/changes").await.text;
    assert!(changes.contains("connect_account"), "{changes}");
}

#[tokio::test]
async fn a_login_outlives_a_restart() {
    let peer = OAuthPeer::start(&[]).await;
    let mut bridge = setup(&peer, "").ready().await;
    let link = shared_link(&bridge, "team").await;
    Browser::new().connect(&link, "the-team").await;
    until_status(&bridge, "team", "ready").await;
    bridge.kill().await;
    bridge.start_again().await;
    assert_eq!(server(&bridge, "team").await["status"], "ready");
    assert_eq!(peer.stat("registrations").await, 1);
}

#[tokio::test]
async fn a_token_is_renewed_ahead_of_its_end_once_for_all() {
    // Renewed when a fifth of its life is left.
    let peer = OAuthPeer::start(&["--access-ttl", "4"]).await;
    let bridge = setup(&peer, "").ready().await;
    let link = shared_link(&bridge, "team").await;
    Browser::new().connect(&link, "the-team").await;
    until_status(&bridge, "team", "ready").await;
    for round in 1..=2 {
        sleep(Duration::from_millis(3500)).await;
        let calls = (0..8).map(|_| whoami(&bridge, "bob@example.org", "team"));
        for answer in futures::future::join_all(calls).await {
            assert_eq!(answer.status, 200, "{}\n{}", answer.text, bridge.log());
        }
        assert_eq!(peer.stat("refreshes").await, round);
    }
}

#[tokio::test]
async fn a_clock_that_is_wrong_costs_one_renewal() {
    // The server counts 2 s and says an hour: we hear of it by a 401.
    let peer = OAuthPeer::start(&["--access-ttl", "2", "--says-ttl", "3600"]).await;
    let bridge = setup(&peer, "").ready().await;
    let link = shared_link(&bridge, "team").await;
    Browser::new().connect(&link, "the-team").await;
    until_status(&bridge, "team", "ready").await;
    sleep(Duration::from_millis(2500)).await;
    let called = whoami(&bridge, "bob@example.org", "team").await;
    assert_eq!(called.status, 200, "{}\n{}", called.text, bridge.log());
    assert_eq!(peer.stat("refreshes").await, 1);
}

/// The refresh token counts once: a login was lost with the caller for whom it was being renewed.
#[tokio::test]
async fn a_login_outlives_a_caller_who_hangs_up_while_it_is_renewed() {
    let peer = OAuthPeer::start(&["--access-ttl", "4", "--says-ttl", "3600"]).await;
    let bridge = setup(&peer, "").ready().await;
    let link = shared_link(&bridge, "team").await;
    Browser::new().connect(&link, "the-team").await;
    until_status(&bridge, "team", "ready").await;
    sleep(Duration::from_millis(4500)).await;
    peer.fault("/token", json!({"delay": 1, "times": 1})).await;
    let call = whoami(&bridge, "bob@example.org", "team");
    let given_up = tokio::time::timeout(Duration::from_millis(500), call).await;
    assert!(given_up.is_err(), "the renewal takes longer than that");
    until(async || peer.stat("refreshes").await == 1).await;
    let called = whoami(&bridge, "bob@example.org", "team").await;
    assert_eq!(called.status, 200, "{}\n{}", called.text, bridge.log());
    assert_eq!(peer.stat("refreshes").await, 1);
}

#[tokio::test]
async fn a_login_that_was_revoked_is_told_and_a_new_one_helps() {
    let peer = OAuthPeer::start(&[]).await;
    let bridge = setup(&peer, "").ready().await;
    let link = shared_link(&bridge, "team").await;
    Browser::new().connect(&link, "the-team").await;
    until_status(&bridge, "team", "ready").await;
    peer.revoke().await;
    let refused = whoami(&bridge, "bob@example.org", "team").await;
    refused.assert_error(503, "needs_login");
    until_status(&bridge, "team", "needs_login").await;
    assert!(
        !bridge.log().contains("could not be reached"),
        "{}",
        bridge.log()
    );
    // Its tools stay published, and it is not asked again and again.
    assert!(
        bridge
            .get("/openapi.json")
            .await
            .text
            .contains("team_whoami")
    );
    let asked = peer.stat("requests").await;
    sleep(Duration::from_secs(2)).await;
    assert_eq!(peer.stat("requests").await, asked);
    let link = shared_link(&bridge, "team").await;
    Browser::new().connect(&link, "the-team").await;
    until_status(&bridge, "team", "ready").await;
    let called = whoami(&bridge, "bob@example.org", "team").await;
    assert_eq!(called.text, "\"the-team mcp:tools\"");
}

#[tokio::test]
async fn what_is_disconnected_is_forgotten() {
    let peer = OAuthPeer::start(&[]).await;
    let bridge = setup(&peer, "").ready().await;
    let link = shared_link(&bridge, "team").await;
    Browser::new().connect(&link, "the-team").await;
    until_status(&bridge, "team", "ready").await;
    let gone = bridge.as_admin().delete("/oauth/team/connect", "{}").await;
    assert_eq!(
        (gone.status, gone.json()["status"].as_str()),
        (200, Some("disconnected"))
    );
    until_status(&bridge, "team", "needs_login").await;
    let again = bridge.as_admin().delete("/oauth/team/connect", "{}").await;
    assert_eq!(again.json()["status"], "not connected");
}

#[tokio::test]
async fn more_rights_are_asked_for_at_the_next_login() {
    let peer = OAuthPeer::start(&["--scopes", "mcp:tools,mcp:write"]).await;
    let more = format!(
        "[bridges.narrow]\nurl = '{}'\noauth = {{ scopes = ['mcp:tools'] }}\n",
        peer.url
    );
    let bridge = setup(&peer, &more).ready().await;
    let link = shared_link(&bridge, "narrow").await;
    Browser::new().connect(&link, "the-team").await;
    until_status(&bridge, "narrow", "ready").await;
    let challenge = "Bearer error=\"insufficient_scope\", scope=\"mcp:tools mcp:write\"";
    let fault = json!({"status": 403, "headers": {"www-authenticate": challenge}, "times": 1});
    peer.fault("/mcp", fault).await;
    let path = "/narrow/whoami";
    let refused = bridge.as_admin().post(path, "{}").await;
    refused.assert_error(503, "needs_login");
    assert!(refused.text.contains("mcp:write"), "{}", refused.text);
    // The rest goes on with what was granted.
    let called = bridge.as_admin().post(path, "{}").await;
    assert_eq!(called.text, "\"the-team mcp:tools\"");
    let mut browser = Browser::new();
    let page = browser.open(&shared_link(&bridge, "narrow").await).await;
    let page = browser.go_on(&page).await;
    assert!(page.text.contains("mcp:write"), "{}", page.text);
    browser.consent(&page, "the-team", "approve").await;
    until(async || {
        bridge
            .as_admin()
            .post(path, "{}")
            .await
            .text
            .contains("mcp:write")
    })
    .await;
}

#[tokio::test]
async fn a_bridge_that_waits_for_a_login_turns_on_by_itself() {
    let peer = OAuthPeer::start(&[]).await;
    let more = format!(
        "[bridges.auto]\nurl = '{}'\nenabled = 'auto'\noauth = {{}}\nheaders = {{ Authorization = 'Bearer ${{OA_NO_SUCH_KEY}}' }}\n",
        peer.url
    );
    let bridge = setup(&peer, &more).ready().await;
    let off = server(&bridge, "auto").await;
    assert_eq!(
        (&off["status"], &off["enabled"]),
        (&json!("disabled"), &json!(false))
    );
    let reason = off["reason"].as_str().unwrap();
    assert!(reason.contains("OA_NO_SUCH_KEY is not set"), "{reason}");
    assert!(reason.contains("mcp-bridge login auto"), "{reason}");
    let refused = bridge.as_admin().post("/auto/whoami", "{}").await;
    refused.assert_error(503, "disabled");
    let link = shared_link(&bridge, "auto").await;
    Browser::new().connect(&link, "the-team").await;
    let on = until_status(&bridge, "auto", "ready").await;
    assert_eq!(on["enabled"], true);
}

#[tokio::test]
async fn a_registered_client_is_used_again() {
    let peer = OAuthPeer::start(&[]).await;
    let bridge = setup(&peer, "").ready().await;
    for _ in 0..2 {
        let link = shared_link(&bridge, "team").await;
        let page = Browser::new().connect(&link, "the-team").await;
        assert_eq!(page.status, 200);
    }
    assert_eq!(peer.stat("registrations").await, 1);
    // One that was never finished may be one that the server forgot.
    let mut browser = Browser::new();
    let page = browser.open(&shared_link(&bridge, "team").await).await;
    browser.go_on(&page).await;
    let link = shared_link(&bridge, "team").await;
    Browser::new().connect(&link, "the-team").await;
    assert_eq!(peer.stat("registrations").await, 2);
}

#[tokio::test]
async fn a_client_of_the_vendors_console_needs_no_registration() {
    let port = crate::harness::free_port();
    let bridge_port = crate::harness::free_port();
    let client = format!("our-id:our-secret:http://localhost:{bridge_port}/oauth/callback");
    let peer = OAuthPeer::start_at(port, &["--no-dcr", "--client", &client]).await;
    let more = format!(
        "[bridges.known]\nurl = '{}'\noauth = {{ client_id = 'our-id', client_secret = '${{OA_CLIENT}}' }}\n",
        peer.url
    );
    let setup = setup(&peer, &more).env("OA_CLIENT", "our-secret").env(
        "BRIDGE_PUBLIC_URL",
        &format!("http://localhost:{bridge_port}"),
    );
    // The public address is where a proxy would be; the answer is brought by hand.
    setup.write(
        "bridges.toml",
        &std::fs::read_to_string(setup.path().join("bridges.toml"))
            .unwrap()
            .replace(
                "[server]\n",
                "[server]\npublic_url = '${BRIDGE_PUBLIC_URL}'\n",
            ),
    );
    let bridge = setup.ready().await;
    let link = shared_link(&bridge, "known").await;
    assert!(link.starts_with(&format!("http://localhost:{bridge_port}/c/")));
    let here = |url: &str| url.replace(&format!("http://localhost:{bridge_port}"), &bridge.base);
    let mut browser = Browser::new();
    let page = browser.open(&here(&link)).await;
    let page = browser.go_on(&page).await;
    let code = browser.consent_location(&page, "the-team").await;
    assert!(code.starts_with(&format!("http://localhost:{bridge_port}/oauth/callback?")));
    let page = browser.open(&here(&code)).await;
    assert_eq!(page.status, 200, "{}", page.text);
    until_status(&bridge, "known", "ready").await;
    assert_eq!(peer.stat("registrations").await, 0);
    // The authorization server hears of its end; of a public client this one takes no such word.
    let gone = bridge.as_admin().delete("/oauth/known/connect", "{}").await;
    assert_eq!(gone.json()["status"], "disconnected", "{}", gone.text);
    assert_eq!(peer.stat("revocations").await, 1);
}
