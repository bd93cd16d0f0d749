//! Logging in to servers that other SDKs protect, and over the old HTTP+SSE.

use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::{
    harness::{Answer, Bridge, Browser, OAuthPeer, Page, Ports, until},
    oauth::{call, link_in, server, setup, shared_link, until_status, whoami},
};

const ALICE: &str = "alice@example.org";
const BOB: &str = "bob@example.org";

/// Connects everybody's account at a peer that asks nobody.
async fn connect_team(bridge: &Bridge) -> Page {
    let link = shared_link(bridge, "team").await;
    Browser::new().connect_at_once(&link).await
}

/// Connects the account of a caller there, by the link that their refused call gives.
async fn connect(bridge: &Bridge, refused: &Answer) {
    let link = link_in(refused);
    let page = Browser::new().connect_at_once(&link).await;
    assert_eq!(page.status, 200, "{}\n{}", page.text, bridge.log());
}

/// Forgets everybody's account.
async fn disconnect_team(bridge: &Bridge) {
    let gone = bridge.as_admin().delete("/oauth/team/connect", "{}").await;
    assert_eq!(gone.json()["status"], "disconnected", "{}", gone.text);
    until_status(bridge, "team", "needs_login").await;
}

/// Forgets the account of a caller.
async fn disconnect(bridge: &Bridge, user: &str) {
    let user = bridge.as_user(user);
    let gone = user.delete("/oauth/mine/connect", "").await;
    assert_eq!(gone.json()["status"], "disconnected", "{}", gone.text);
}

#[tokio::test]
async fn fastmcp_with_one_account_for_everybody() {
    let peer = OAuthPeer::fastmcp(&["--access-ttl", "4"]).await;
    let bridge = setup(&peer, "").ready().await;
    let page = connect_team(&bridge).await;
    assert_eq!(page.status, 200, "{}\n{}", page.text, bridge.log());
    until_status(&bridge, "team", "ready").await;
    let called = whoami(&bridge, BOB, "team").await;
    assert_eq!(called.text, "\"login 1 mcp:tools\"");

    // Ahead of its end, and well after it: shown once more, an expired token would end the login here.
    sleep(Duration::from_millis(3500)).await;
    let calls = (0..4).map(|_| whoami(&bridge, BOB, "team"));
    for called in futures::future::join_all(calls).await {
        assert_eq!(called.text, "\"login 1 mcp:tools\"", "{}", bridge.log());
    }
    assert_eq!(peer.stat("refreshes").await, 1);
    sleep(Duration::from_millis(4500)).await;
    let called = whoami(&bridge, BOB, "team").await;
    assert_eq!(called.text, "\"login 1 mcp:tools\"", "{}", bridge.log());
    assert_eq!(peer.stat("refreshes").await, 2);

    // The refusal of a refresh comes as 401 here.
    peer.revoke().await;
    let refused = whoami(&bridge, BOB, "team").await;
    refused.assert_error(503, "needs_login");
    until_status(&bridge, "team", "needs_login").await;
    connect_team(&bridge).await;
    until_status(&bridge, "team", "ready").await;
    let called = whoami(&bridge, BOB, "team").await;
    assert_eq!(called.text, "\"login 2 mcp:tools\"");
    assert_eq!(peer.stat("registrations").await, 1);

    disconnect_team(&bridge).await;
    until(async || peer.stat("revocations").await == 1).await;
}

#[tokio::test]
async fn fastmcp_with_an_account_for_each() {
    let peer = OAuthPeer::fastmcp(&["--access-ttl", "4"]).await;
    let bridge = setup(&peer, "").ready().await;
    connect(&bridge, &whoami(&bridge, ALICE, "mine").await).await;
    connect(&bridge, &whoami(&bridge, BOB, "mine").await).await;
    // Past the end of both tokens, both at once.
    for _ in 0..2 {
        let (alice, bob) =
            tokio::join!(whoami(&bridge, ALICE, "mine"), whoami(&bridge, BOB, "mine"));
        assert_eq!(alice.text, "\"login 1 mcp:tools\"", "{}", bridge.log());
        assert_eq!(bob.text, "\"login 2 mcp:tools\"", "{}", bridge.log());
        sleep(Duration::from_millis(4500)).await;
    }
    assert_eq!(peer.stat("refreshes").await, 2);
    disconnect(&bridge, ALICE).await;
    until(async || peer.stat("revocations").await == 1).await;
    link_in(&whoami(&bridge, ALICE, "mine").await);
    let bob = whoami(&bridge, BOB, "mine").await;
    assert_eq!(bob.text, "\"login 2 mcp:tools\"", "{}", bridge.log());
    peer.revoke().await;
    let refused = whoami(&bridge, BOB, "mine").await;
    connect(&bridge, &refused).await;
    let bob = whoami(&bridge, BOB, "mine").await;
    assert_eq!(bob.text, "\"login 3 mcp:tools\"", "{}", bridge.log());
}

/// Its authorization server has a port of its own, takes a client's secret in the form alone, gives
/// nothing to renew a token with, and answers 500 to a token that it does not know.
#[tokio::test]
async fn the_typescript_sdk_with_one_account_for_everybody() {
    let ports = Ports::free();
    let peer = OAuthPeer::typescript(ports).await;
    let bridge = setup(&peer, "").ready().await;
    let page = connect_team(&bridge).await;
    assert_eq!(page.status, 200, "{}\n{}", page.text, bridge.log());
    until_status(&bridge, "team", "ready").await;
    let greet = async || call(&bridge, BOB, "/team/greet", &json!({"name": "Bob"})).await;
    assert_eq!(greet().await.text, "\"Hello, Bob!\"");

    // It is away until the bridge asks rarely, and comes back without a memory.
    peer.kill().await;
    until(async || greet().await.header("retry-after").parse().unwrap_or(0) > 8).await;
    let asked = Instant::now();
    let _peer = OAuthPeer::typescript(ports).await;
    // The client is not known any more, which is told to the person and not to us.
    let page = connect_team(&bridge).await;
    assert_eq!(page.status, 400, "{}", page.text);
    let page = connect_team(&bridge).await;
    assert_eq!(page.status, 200, "{}\n{}", page.text, bridge.log());
    // The login ends the wait.
    until_status(&bridge, "team", "ready").await;
    assert!(asked.elapsed() < Duration::from_secs(8), "{}", bridge.log());
    assert_eq!(greet().await.text, "\"Hello, Bob!\"");
    disconnect_team(&bridge).await;
    let refused = greet().await;
    assert_eq!(refused.code(), "needs_login");
}

#[tokio::test]
async fn the_typescript_sdk_with_an_account_for_each() {
    let peer = OAuthPeer::typescript(Ports::free()).await;
    let bridge = setup(&peer, "").ready().await;
    for user in [ALICE, BOB] {
        let greet = async || call(&bridge, user, "/mine/greet", &json!({"name": user})).await;
        connect(&bridge, &greet().await).await;
        assert_eq!(greet().await.text, format!("\"Hello, {user}!\""));
    }
    disconnect(&bridge, ALICE).await;
    let greet = async |user| call(&bridge, user, "/mine/greet", &json!({"name": "you"})).await;
    link_in(&greet(ALICE).await);
    assert_eq!(greet(BOB).await.text, "\"Hello, you!\"");
}

#[tokio::test]
async fn the_old_sse_with_one_account_for_everybody() {
    let peer = OAuthPeer::start(&["--transport", "sse", "--access-ttl", "4"]).await;
    let bridge = setup(&peer, "").ready().await;
    let link = shared_link(&bridge, "team").await;
    Browser::new().connect(&link, "the-team").await;
    until_status(&bridge, "team", "ready").await;
    let called = whoami(&bridge, BOB, "team").await;
    assert_eq!(called.text, "\"the-team mcp:tools\"", "{}", bridge.log());
    for round in 1..=2 {
        sleep(Duration::from_millis(3500)).await;
        let called = whoami(&bridge, BOB, "team").await;
        assert_eq!(called.text, "\"the-team mcp:tools\"", "{}", bridge.log());
        assert_eq!(peer.stat("refreshes").await, round);
    }
    peer.revoke().await;
    let refused = whoami(&bridge, BOB, "team").await;
    assert_eq!(refused.code(), "needs_login", "{}", refused.text);
    until_status(&bridge, "team", "needs_login").await;
    let link = shared_link(&bridge, "team").await;
    Browser::new().connect(&link, "the-team").await;
    until_status(&bridge, "team", "ready").await;
    let called = whoami(&bridge, BOB, "team").await;
    assert_eq!(called.text, "\"the-team mcp:tools\"", "{}", bridge.log());
    disconnect_team(&bridge).await;
    until(async || peer.stat("revocations").await == 1).await;
}

#[tokio::test]
async fn the_old_sse_with_an_account_for_each() {
    let peer = OAuthPeer::start(&["--transport", "sse", "--access-ttl", "4"]).await;
    let bridge = setup(&peer, "").ready().await;
    for (user, login) in [(ALICE, "alice-there"), (BOB, "bob-there")] {
        let link = link_in(&whoami(&bridge, user, "mine").await);
        let page = Browser::new().connect(&link, login).await;
        assert_eq!(page.status, 200, "{}\n{}", page.text, bridge.log());
    }
    for _ in 0..2 {
        let (alice, bob) =
            tokio::join!(whoami(&bridge, ALICE, "mine"), whoami(&bridge, BOB, "mine"));
        assert_eq!(alice.text, "\"alice-there mcp:tools\"", "{}", bridge.log());
        assert_eq!(bob.text, "\"bob-there mcp:tools\"", "{}", bridge.log());
        sleep(Duration::from_millis(4500)).await;
    }
    disconnect(&bridge, ALICE).await;
    until(async || peer.stat("revocations").await == 1).await;
    link_in(&whoami(&bridge, ALICE, "mine").await);
    let bob = whoami(&bridge, BOB, "mine").await;
    assert_eq!(bob.text, "\"bob-there mcp:tools\"", "{}", bridge.log());
}

#[tokio::test]
async fn a_server_that_takes_no_token_is_left_in_peace() {
    let wants_more = "Bearer error=\"insufficient_scope\", scope=\"mcp:write\"";
    let knows_none = "Bearer error=\"invalid_token\"";
    for (status, challenge) in [(403, wants_more), (401, knows_none)] {
        let peer = OAuthPeer::start(&[]).await;
        let bridge = setup(&peer, "").ready().await;
        let link = shared_link(&bridge, "team").await;
        let mut browser = Browser::new();
        let page = browser.open(&link).await;
        let page = browser.go_on(&page).await;
        let fault = json!({"status": status, "headers": {"www-authenticate": challenge}});
        peer.fault("/mcp", fault).await;
        browser.consent(&page, "the-team", "approve").await;
        until(async || peer.stat("tokens").await > 0).await;
        sleep(Duration::from_secs(1)).await;
        let (requests, tokens) = (peer.stat("requests").await, peer.stat("tokens").await);
        assert!(
            requests < 6 && tokens < 3,
            "{requests} {tokens}\n{}",
            bridge.log()
        );
        sleep(Duration::from_secs(2)).await;
        assert_eq!(peer.stat("requests").await, requests, "{}", bridge.log());
        assert_eq!(server(&bridge, "team").await["status"], "needs_login");
        // Another login is another token.
        peer.well().await;
        let link = shared_link(&bridge, "team").await;
        Browser::new().connect(&link, "the-team").await;
        until_status(&bridge, "team", "ready").await;
    }
}
