//! Keys of groups, headers that go on, logins that mcpo left.

use reqwest::Method;
use serde_json::{Value, json};

use super::{ADMIN, FORWARDER, SEAL, until_status};
use crate::harness::{Answer, Bridge, Browser, OAuthPeer, Setup, Upstream, until};

/// Users of group `red` and group `blue`, and one of none.
const GROUPS: &[(&str, &str)] = &[("rita@example.org", "red"), ("bob@example.org", "blue")];

fn setup(more: &str) -> Setup {
    Setup::toml(&format!(
        "[database]\nsecret_key = '${{OA_SEAL}}'\n\
         [identity.keys.admin]\nkey = '${{OA_ADMIN}}'\ngroups = ['MCP-Admin']\n\
         [identity.keys.forwarder]\nkey = '${{OA_FORWARDER}}'\nforwards = true\n\
         [access]\ndefault_groups = ['everyone']\n[access.groups]\neveryone = ['child', 'own', 'far']\n{more}"
    ))
    .env("OA_ADMIN", ADMIN)
    .env("OA_FORWARDER", FORWARDER)
    .env("OA_SEAL", SEAL)
}

async fn call(bridge: &Bridge, user: &str, path: &str, more: &[(&str, &str)]) -> Answer {
    let key = format!("Bearer {FORWARDER}");
    let mut headers = vec![
        ("authorization", key.as_str()),
        ("x-openwebui-user-email", user),
    ];
    headers.extend_from_slice(more);
    bridge.send(Method::POST, path, &headers, "{}").await
}

async fn change(bridge: &Bridge, method: Method, path: &str, body: Value) -> Answer {
    let key = format!("Bearer {ADMIN}");
    let headers = [
        ("authorization", key.as_str()),
        ("content-type", "application/json"),
    ];
    let path = format!("/admin/api{path}");
    let answer = bridge
        .send(method, &path, &headers, &body.to_string())
        .await;
    assert!(answer.status < 300, "{} {}", answer.status, answer.text);
    answer
}

async fn set_key(bridge: &Bridge, group: &str, server: &str, value: &str) {
    let body =
        json!({"tenant_id": group, "server_id": server, "key_name": "OA_KEY", "key_value": value});
    change(bridge, Method::POST, "/tenant-keys", body).await;
}

async fn members(bridge: &Bridge) {
    for (user, group) in GROUPS {
        let body = json!({"email": user, "group_name": group});
        change(bridge, Method::POST, "/users/groups", body).await;
    }
}

#[tokio::test]
async fn a_groups_key_comes_before_the_shared_one_in_a_child_of_its_own() {
    let bridge = setup("[bridges.child]\n{bad good}\nenv = { KEY = '${OA_KEY}' }\n")
        .env("OA_KEY", "the-shared-one")
        .ready()
        .await;
    members(&bridge).await;
    set_key(&bridge, "red", "child", "the-key-of-red").await;
    let key = async |user: &str| {
        let answer = call(&bridge, user, "/child/env", &[]).await;
        answer.json()["KEY"].as_str().unwrap_or_default().to_owned()
    };
    until(async || key("rita@example.org").await == "***").await;
    // What it is nobody sees; that it is another, and that the children are two.
    let pid = async |user: &str| call(&bridge, user, "/child/pid", &[]).await.text;
    assert_ne!(pid("rita@example.org").await, pid("bob@example.org").await);
    assert_eq!(pid("carol@example.org").await, pid("bob@example.org").await);
    // Another key is another child.
    let before = pid("rita@example.org").await;
    set_key(&bridge, "red", "child", "another-key-of-red").await;
    until(async || pid("rita@example.org").await != before).await;
    let body = json!({"tenant_id": "red", "server_id": "child", "key_name": "OA_KEY"});
    change(&bridge, Method::DELETE, "/tenant-keys", body).await;
    until(async || pid("rita@example.org").await == pid("bob@example.org").await).await;
}

#[tokio::test]
async fn a_bridge_of_groups_needs_no_shared_key_and_takes_none() {
    let upstream = Upstream::start("plain").await;
    let more = format!(
        "[bridges.own]\nurl = 'http://127.0.0.1:{}/mcp'\nheaders = {{ X-Own = '${{OA_KEY}}' }}\ncredential = 'group'\n",
        upstream.port
    );
    let bridge = setup(&more).ready().await;
    members(&bridge).await;
    let refused = call(&bridge, "bob@example.org", "/own/headers", &[]).await;
    assert_eq!(
        (refused.status, refused.code().as_str()),
        (403, "no_credential"),
        "{}",
        refused.text
    );
    set_key(&bridge, "red", "own", "the-key-of-red").await;
    until(async || {
        call(&bridge, "rita@example.org", "/own/headers", &[])
            .await
            .status
            == 200
    })
    .await;
    let shown = reqwest::get(format!("http://127.0.0.1:{}/__headers", upstream.port)).await;
    let shown: Value = shown.unwrap().json().await.unwrap();
    assert_eq!(shown["x-own"], "the-key-of-red");
    let refused = call(&bridge, "bob@example.org", "/own/headers", &[]).await;
    assert_eq!(refused.status, 403, "{}", refused.text);
}

#[tokio::test]
async fn headers_go_on_by_name_and_never_what_is_meant_for_us() {
    let upstream = Upstream::start("plain").await;
    let more = format!(
        "[bridges.far]\nurl = 'http://127.0.0.1:{}/mcp'\nheaders = {{ X-Fixed = 'ours' }}\npass_headers = ['X-Request-Source']\n",
        upstream.port
    );
    let bridge = setup(&more).ready().await;
    let sent = [
        ("x-request-source", "chat 7"),
        ("x-other", "stays here"),
        ("x-fixed", "theirs"),
    ];
    let answer = call(&bridge, "bob@example.org", "/far/headers", &sent).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let shown = reqwest::get(format!("http://127.0.0.1:{}/__headers", upstream.port)).await;
    let shown: Value = shown.unwrap().json().await.unwrap();
    assert_eq!(shown["x-request-source"], "chat 7");
    assert_eq!(shown["x-fixed"], "ours");
    for absent in [
        "x-other",
        "authorization",
        "x-openwebui-user-email",
        "cookie",
    ] {
        assert_eq!(shown[absent], Value::Null, "{shown}");
    }
    // Without them nothing is left of the last call.
    call(&bridge, "bob@example.org", "/far/headers", &[]).await;
    let shown = reqwest::get(format!("http://127.0.0.1:{}/__headers", upstream.port)).await;
    let shown: Value = shown.unwrap().json().await.unwrap();
    assert_eq!(shown["x-request-source"], Value::Null);
}

#[tokio::test]
async fn a_login_that_mcpo_left_is_taken_over() {
    let peer = OAuthPeer::start(&["--access-ttl", "60"]).await;
    let far = format!("[bridges.far]\nurl = '{}'\noauth = {{}}\n", peer.url);
    // A login of ours, in the files that mcpo writes.
    let first = setup(&far).ready().await;
    let link = super::shared_link(&first, "far").await;
    let page = Browser::new().connect(&link, "the-team").await;
    assert_eq!(page.status, 200, "{}", page.text);
    let (tokens, client) = peer.last_login().await;
    let setup = setup(&far);
    let folder = setup.path().join("home/.mcpo/tokens");
    std::fs::create_dir_all(&folder).unwrap();
    // md5("far") begins with these.
    std::fs::write(folder.join("17d96574_tokens.json"), tokens.to_string()).unwrap();
    std::fs::write(folder.join("17d96574_client.json"), client.to_string()).unwrap();
    let home = setup.path().join("home");
    let bridge = setup.env("HOME", home.to_str().unwrap()).ready().await;
    until_status(&bridge, "far", "ready").await;
    let key = format!("Bearer {ADMIN}");
    let headers = [("authorization", key.as_str())];
    let called = bridge
        .send(Method::POST, "/far/whoami", &headers, "{}")
        .await;
    assert_eq!(called.text, "\"the-team mcp:tools\"");
    assert_eq!(peer.stat("registrations").await, 1);
}
