//! Each caller their own account.

use std::time::Duration;

use serde_json::json;
use tokio::time::sleep;

use super::{ADMIN, WEBUI, call, link_in, server, setup, until_status, whoami};
use crate::harness::{Browser, OAuthPeer, OpenWebUi, User, until};

const ALICE: &str = "alice@example.org";
const BOB: &str = "bob@example.org";

#[tokio::test]
async fn each_caller_acts_with_their_own_account() {
    let peer = OAuthPeer::start(&[]).await;
    let bridge = setup(&peer, "").ready().await;
    let (alice, bob) = tokio::join!(whoami(&bridge, ALICE, "mine"), whoami(&bridge, BOB, "mine"));
    let (alice, bob) = (link_in(&alice), link_in(&bob));
    // Both log in at once.
    let (mut one, mut two) = (Browser::new(), Browser::new());
    let (one, two) = tokio::join!(
        one.connect(&alice, "alice-there"),
        two.connect(&bob, "bob-there")
    );
    assert_eq!(
        (one.status, two.status),
        (200, 200),
        "{} {}",
        one.text,
        two.text
    );
    let called = whoami(&bridge, ALICE, "mine").await;
    assert_eq!(called.text, "\"alice-there mcp:tools\"");
    let called = whoami(&bridge, BOB, "mine").await;
    assert_eq!(called.text, "\"bob-there mcp:tools\"");
    // Upper case is the same person.
    let called = whoami(&bridge, "Alice@Example.ORG", "mine").await;
    assert_eq!(called.text, "\"alice-there mcp:tools\"");
    // Who has none is asked, though the tools are known by now; the bridge is not down for it.
    let carol = whoami(&bridge, "carol@example.org", "mine").await;
    link_in(&carol);
    assert_eq!(server(&bridge, "mine").await["status"], "ready");
    // An API key is somebody too.
    let key = bridge.as_admin().call("mine/whoami", "{}").await;
    link_in(&key);
    assert!(!key.text.contains(ADMIN));
}

#[tokio::test]
async fn a_link_opened_by_somebody_else_is_refused() {
    let peer = OAuthPeer::start(&[]).await;
    let more = "[identity.open_webui]\nsecret_key = '${OA_WEBUI}'\n";
    let setup = setup(&peer, more).env("OA_WEBUI", WEBUI);
    let file = setup.path().join("webui.db");
    OpenWebUi::in_sqlite(&file).await;
    let text = std::fs::read_to_string(setup.path().join("bridges.toml")).unwrap();
    let text = text.replace(
        "[database]\n",
        "[database]\nopen_webui = '{dir}/webui.db'\n",
    );
    setup.write("bridges.toml", &text);
    let bridge = setup.ready().await;
    let link = link_in(&whoami(&bridge, ALICE, "mine").await);
    let mut bob = Browser::signed_in(&User::Bob.token(WEBUI));
    let page = bob.open(&link).await;
    assert_eq!(page.status, 403, "{}", page.text);
    assert!(page.text.contains(ALICE) && page.text.contains(BOB));
    // He cannot go on with it either.
    let ticket = link.rsplit_once('/').unwrap().1.to_owned();
    let page = bob.submit(&page, &[("ticket", &ticket)]).await;
    assert_eq!(page.status, 403);
    assert_eq!(peer.stat("registrations").await, 0);
    // She can, and without a link too.
    let mut alice = Browser::signed_in(&User::Alice.token(WEBUI));
    let page = alice.open(&link).await;
    assert!(page.status == 200 && page.text.contains(ALICE));
    let here = format!("{}/oauth/mine/connect", link.split_once("/c/").unwrap().0);
    let page = alice.connect(&here, "alice-there").await;
    assert_eq!(page.status, 200, "{}", page.text);
    let called = whoami(&bridge, ALICE, "mine").await;
    assert_eq!(called.text, "\"alice-there mcp:tools\"");
    link_in(&whoami(&bridge, BOB, "mine").await);
}

#[tokio::test]
async fn an_answer_counts_once_and_in_the_browser_that_asked() {
    let peer = OAuthPeer::start(&[]).await;
    let bridge = setup(&peer, "").ready().await;
    let link = link_in(&whoami(&bridge, ALICE, "mine").await);
    let mut browser = Browser::new();
    let page = browser.open(&link).await;
    let page = browser.go_on(&page).await;
    let answer = browser.consent_location(&page, "alice-there").await;
    // Somebody who got hold of it brings it first: it is spent, and connects nobody.
    let page = Browser::new().open(&answer).await;
    assert_eq!(page.status, 400, "{}", page.text);
    let page = browser.open(&answer).await;
    assert_eq!(page.status, 400, "{}", page.text);
    link_in(&whoami(&bridge, ALICE, "mine").await);
    let page = browser.connect(&link, "alice-there").await;
    assert_eq!(page.status, 200, "{}", page.text);
    let page = browser.open(page.url.as_str()).await;
    assert_eq!(page.status, 400, "replayed: {}", page.text);
    let called = whoami(&bridge, ALICE, "mine").await;
    assert_eq!(called.text, "\"alice-there mcp:tools\"");
}

#[tokio::test]
async fn sessions_are_bounded_and_idle_ones_end() {
    let peer = OAuthPeer::start(&[]).await;
    let more = format!(
        "[bridges.few]\nurl = '{}'\noauth = {{}}\ncredential = 'caller'\nsessions_max = 2\nsession_idle = '1s'\n",
        peer.url
    );
    let setup = setup(&peer, &more);
    let text = std::fs::read_to_string(setup.path().join("bridges.toml")).unwrap();
    setup.write("bridges.toml", &text.replace("'team', ", "'team', 'few', "));
    let bridge = setup.ready().await;
    for (user, login) in [(ALICE, "a"), (BOB, "b"), ("carol@example.org", "c")] {
        let link = link_in(&whoami(&bridge, user, "few").await);
        let page = Browser::new().connect(&link, login).await;
        assert_eq!(page.status, 200, "{}", page.text);
    }
    until_status(&bridge, "few", "idle").await;
    // Two call; there is no third place while they do, and one as soon as one has done.
    let slow = json!({"seconds": 1.0});
    let (first, second, third) = tokio::join!(
        call(&bridge, ALICE, "/few/slow", &slow),
        call(&bridge, BOB, "/few/slow", &slow),
        async {
            sleep(Duration::from_millis(500)).await;
            whoami(&bridge, "carol@example.org", "few").await
        }
    );
    assert_eq!((first.status, second.status), (200, 200), "{}", first.text);
    third.assert_error(503, "busy");
    let called = whoami(&bridge, "carol@example.org", "few").await;
    assert_eq!(called.text, "\"c mcp:tools\"");
    until_status(&bridge, "few", "idle").await;
    let called = whoami(&bridge, BOB, "few").await;
    assert_eq!(called.text, "\"b mcp:tools\"");
}

#[tokio::test]
async fn tools_are_known_after_a_restart_without_anybodys_token() {
    let peer = OAuthPeer::start(&[]).await;
    let mut bridge = setup(&peer, "").ready().await;
    let link = link_in(&whoami(&bridge, ALICE, "mine").await);
    Browser::new().connect(&link, "alice-there").await;
    until_status(&bridge, "mine", "ready").await;
    until(async || {
        bridge
            .get("/openapi.json")
            .await
            .text
            .contains("mine_whoami")
    })
    .await;
    sleep(Duration::from_millis(300)).await;
    bridge.kill().await;
    let before = peer.stat("requests").await;
    bridge.start_again().await;
    assert!(
        bridge
            .get("/openapi.json")
            .await
            .text
            .contains("mine_whoami")
    );
    assert_eq!(server(&bridge, "mine").await["status"], "idle");
    assert_eq!(
        peer.stat("requests").await,
        before,
        "nobody's token was used"
    );
    let called = whoami(&bridge, ALICE, "mine").await;
    assert_eq!(called.text, "\"alice-there mcp:tools\"");
}

#[tokio::test]
async fn whoever_disconnects_is_asked_again() {
    let peer = OAuthPeer::start(&[]).await;
    let bridge = setup(&peer, "").ready().await;
    let link = link_in(&whoami(&bridge, ALICE, "mine").await);
    Browser::new().connect(&link, "alice-there").await;
    assert_eq!(whoami(&bridge, ALICE, "mine").await.status, 200);
    let alice = bridge.as_user(ALICE);
    let list = alice.get("/oauth").await.json();
    let mine = list["bridges"]
        .as_array()
        .unwrap()
        .iter()
        .find(|it| it["bridge"] == "mine");
    assert_eq!(mine.unwrap()["connected"], true, "{list}");
    let gone = alice.delete("/oauth/mine/connect", "").await;
    assert_eq!(gone.json()["status"], "disconnected", "{}", gone.text);
    link_in(&whoami(&bridge, ALICE, "mine").await);
}

/// More rights for one call ended the session for all others.
#[tokio::test]
async fn a_call_that_lacks_rights_leaves_the_session_to_the_others() {
    let peer = OAuthPeer::start(&[]).await;
    let bridge = setup(&peer, "").ready().await;
    let link = link_in(&whoami(&bridge, ALICE, "mine").await);
    Browser::new().connect(&link, "alice-there").await;
    assert_eq!(whoami(&bridge, ALICE, "mine").await.status, 200);
    let lacks = r#"Bearer error="insufficient_scope", scope="mcp:write""#;
    let fault = json!({"status": 403, "headers": {"www-authenticate": lacks}, "times": 1});
    peer.fault("/mcp", fault).await;
    link_in(&whoami(&bridge, ALICE, "mine").await);
    let before = peer.stat("requests").await;
    assert_eq!(whoami(&bridge, ALICE, "mine").await.status, 200);
    assert_eq!(
        peer.stat("requests").await,
        before + 1,
        "the call alone, and no new session"
    );
}

/// Each call renewed a token that the server refused however new it was.
#[tokio::test]
async fn a_token_that_is_refused_however_new_is_not_renewed_with_every_call() {
    let peer = OAuthPeer::start(&[]).await;
    let bridge = setup(&peer, "").ready().await;
    let link = link_in(&whoami(&bridge, ALICE, "mine").await);
    Browser::new().connect(&link, "alice-there").await;
    assert_eq!(whoami(&bridge, ALICE, "mine").await.status, 200);
    let refuses = json!({"status": 401, "headers": {"www-authenticate": "Bearer"}});
    peer.fault("/mcp", refuses).await;
    // The session that there was, and the one that was to take its place.
    for _ in 0..2 {
        link_in(&whoami(&bridge, ALICE, "mine").await);
    }
    let before = (peer.stat("refreshes").await, peer.stat("requests").await);
    for _ in 0..5 {
        link_in(&whoami(&bridge, ALICE, "mine").await);
    }
    let after = (peer.stat("refreshes").await, peer.stat("requests").await);
    assert_eq!(after, before, "renewals and requests");
    // Another login helps at once.
    peer.well().await;
    let link = link_in(&whoami(&bridge, ALICE, "mine").await);
    Browser::new().connect(&link, "alice-again").await;
    let called = whoami(&bridge, ALICE, "mine").await;
    assert_eq!(called.text, "\"alice-again mcp:tools\"");
}

/// The first calls of a bridge whose tools are not known came before the limit.
#[tokio::test]
async fn who_may_not_call_again_has_nothing_asked_for() {
    let peer = OAuthPeer::start(&[]).await;
    let bridge = setup(&peer, "[limits]\ncalls_per_minute = 2\n")
        .ready()
        .await;
    for _ in 0..2 {
        link_in(&whoami(&bridge, ALICE, "mine").await);
    }
    let refused = whoami(&bridge, ALICE, "mine").await;
    refused.assert_error(429, "rate_limited");
}

#[tokio::test]
async fn a_caller_without_grant_gets_no_link() {
    let peer = OAuthPeer::start(&[]).await;
    let more = format!(
        "[bridges.other]\nurl = '{}'\noauth = {{}}\ncredential = 'caller'\n",
        peer.url
    );
    let bridge = setup(&peer, &more).ready().await;
    let refused = whoami(&bridge, ALICE, "other").await;
    refused.assert_error(403, "forbidden");
    assert!(!refused.text.contains("ticket"));
    let alice = bridge.as_user(ALICE);
    for (path, code) in [
        ("/oauth/other/connect", "forbidden"),
        ("/oauth/team/connect", "forbidden"),
        ("/oauth/demo/connect", "no_login_here"),
        ("/oauth/nobody/connect", "not_found"),
    ] {
        let answer = alice.post(path, "{}").await;
        assert_eq!(answer.code(), code, "{path} {}", answer.text);
    }
    let answer = bridge.post("/oauth/mine/connect", "{}").await;
    assert_eq!(answer.status, 401, "{}", answer.text);
}
