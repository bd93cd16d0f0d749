//! Keys of groups, headers that go on, logins that mcpo left.

use std::time::Duration;

use serde_json::{Value, json};

use super::{until_status, with_keys};
use crate::harness::{Bridge, Browser, OAuthPeer, Setup, Upstream, is_alive, until};

/// The patience of a caller.
const MOMENT: Duration = Duration::from_millis(700);

/// Users of group `red` and group `blue`, and one of none.
const GROUPS: &[(&str, &str)] = &[("rita@example.org", "red"), ("bob@example.org", "blue")];

fn setup(more: &str) -> Setup {
    with_keys(&format!(
        "[access]\ndefault_groups = ['everyone']\n[access.groups]\neveryone = ['child', 'own', 'far']\n{more}"
    ))
}

async fn set_key(bridge: &Bridge, group: &str, server: &str, value: &str) {
    let body =
        json!({"tenant_id": group, "server_id": server, "key_name": "OA_KEY", "key_value": value});
    bridge.admin_api().post("/tenant-keys", body).await.ok();
}

async fn members(bridge: &Bridge) {
    for (user, group) in GROUPS {
        let body = json!({"email": user, "group_name": group});
        bridge.admin_api().post("/users/groups", body).await.ok();
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
        let answer = bridge.as_user(user).call("child/env", "{}").await;
        answer.json()["KEY"].as_str().unwrap_or_default().to_owned()
    };
    until(async || key("rita@example.org").await == "***").await;
    // What it is nobody sees; that it is another, and that the children are two.
    let pid = async |user: &str| bridge.as_user(user).call("child/pid", "{}").await.text;
    assert_ne!(pid("rita@example.org").await, pid("bob@example.org").await);
    assert_eq!(pid("carol@example.org").await, pid("bob@example.org").await);
    // Another key is another child.
    let before = pid("rita@example.org").await;
    set_key(&bridge, "red", "child", "another-key-of-red").await;
    until(async || pid("rita@example.org").await != before).await;
    let body = json!({"tenant_id": "red", "server_id": "child", "key_name": "OA_KEY"});
    bridge.admin_api().delete("/tenant-keys", body).await.ok();
    until(async || pid("rita@example.org").await == pid("bob@example.org").await).await;
}

/// A server that is slow to start was ended with each caller who lost patience, and never came up.
#[tokio::test]
async fn a_slow_server_comes_up_though_its_caller_hung_up() {
    let more = "[bridges.own]\n{bad late 2 --record {dir}/own.jsonl}\nenv = { KEY = '${OA_KEY}' }\ncredential = 'group'\n";
    let bridge = setup(more).ready().await;
    members(&bridge).await;
    set_key(&bridge, "red", "own", "the-key-of-red").await;
    let rita = bridge.as_user("rita@example.org");
    let call = async || rita.call("own/echo", "{}").await;
    // The change of the key is heard of within a moment.
    until(async || tokio::time::timeout(MOMENT, call()).await.is_err()).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let answer = tokio::time::timeout(MOMENT, call()).await;
    let answer = answer.expect("the session is there by now");
    assert_eq!(answer.status, 422, "no message: {}", answer.text);
    let record = bridge.read("own.jsonl");
    assert_eq!(record.matches("\"start\"").count(), 1, "{record}");
}

/// Two of one server at once fight for its files and ports.
#[tokio::test]
async fn a_session_has_ended_before_the_changed_bridge_opens_another() {
    let own = |timeout: u32| {
        format!(
            "[bridges.own]\n{{bad ends-slowly 1.5}}\nenv = {{ KEY = '${{OA_KEY}}' }}\ncredential = 'group'\ntimeout = '{timeout}s'\n"
        )
    };
    let bridge = setup(&own(20)).ready().await;
    members(&bridge).await;
    set_key(&bridge, "red", "own", "the-key-of-red").await;
    let pid = async || {
        let answer = bridge
            .as_user("rita@example.org")
            .call("own/pid", "{}")
            .await;
        answer.text.trim_matches('"').parse::<u64>().unwrap_or(0)
    };
    until(async || pid().await != 0).await;
    let before = pid().await;
    let text = bridge.read("bridges.toml").replace("'20s'", "'21s'");
    bridge.write("bridges.toml", &text);
    bridge.as_admin().post("/refresh", "").await.ok();
    until(async || !matches!(pid().await, 0) && pid().await != before).await;
    assert!(!is_alive(before), "{before} runs beside its successor");
}

/// What a server told of its tools was written down with the credential in it.
#[tokio::test]
async fn a_groups_key_does_not_reach_the_tools_that_are_written_down() {
    let own = "[bridges.own]\ncommand = 'python3'\nargs = ['{tests}/it/servers/leaky.py', 'stdio', '{dir}/planted.json']\n\
        env = { KEY = '${OA_KEY}' }\ncredential = 'group'\n";
    let setup = setup(own);
    setup.write("planted.json", r#"{"KEY": "a-planted-text-of-no-use"}"#);
    let bridge = setup.ready().await;
    members(&bridge).await;
    let key = "the-key-of-red-that-nobody-may-see";
    set_key(&bridge, "red", "own", key).await;
    bridge_knows_tools(&bridge).await;
    let mut bytes = Vec::new();
    for name in ["mcp-bridge.db", "mcp-bridge.db-wal"] {
        bytes.extend(std::fs::read(bridge.dir.path().join(name)).unwrap_or_default());
    }
    let holds = |text: &str| bytes.windows(text.len()).any(|it| it == text.as_bytes());
    assert!(holds("inputSchema"), "the tools are written down");
    let at = bytes.windows(key.len()).position(|it| it == key.as_bytes());
    let around = at.map(|at| String::from_utf8_lossy(&bytes[at.saturating_sub(200)..at + 60]));
    assert_eq!(around, None, "and so is the key");
}

/// Calls until the tools of `own` are known and written down.
async fn bridge_knows_tools(bridge: &Bridge) {
    until(async || {
        bridge
            .as_user("rita@example.org")
            .call("own/nothing", "{}")
            .await;
        let path = bridge.dir.path().join("mcp-bridge.db-wal");
        let wal = std::fs::read(path).unwrap_or_default();
        wal.windows(11).any(|it| it == b"inputSchema")
    })
    .await;
}

#[tokio::test]
async fn a_bridge_of_groups_needs_no_shared_key_and_takes_none() {
    let upstream = Upstream::start("plain").await;
    let more = format!(
        "[bridges.own]\nurl = 'http://127.0.0.1:{}/mcp'\nheaders = {{ X-Own = '${{OA_KEY}}' }}\ncredential = 'group'\n",
        upstream.port
    );
    let bridge = setup(&more).ready().await;
    let bob = bridge.as_user("bob@example.org");
    members(&bridge).await;
    let refused = bob.call("own/headers", "{}").await;
    refused.assert_error(403, "no_credential");
    set_key(&bridge, "red", "own", "the-key-of-red").await;
    until(async || {
        bridge
            .as_user("rita@example.org")
            .call("own/headers", "{}")
            .await
            .status
            == 200
    })
    .await;
    let shown = upstream.headers().await;
    assert_eq!(shown["x-own"], "the-key-of-red");
    let refused = bob.call("own/headers", "{}").await;
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
    let bob = bridge.as_user("bob@example.org");
    let sender = bob.clone().with("x-request-source", "chat 7");
    let sender = sender.with("x-other", "stays here");
    let sender = sender.with("x-fixed", "theirs");
    let answer = sender.call("far/headers", "{}").await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let shown = upstream.headers().await;
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
    bob.call("far/headers", "{}").await;
    let shown = upstream.headers().await;
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
    let called = bridge.as_admin().call("far/whoami", "{}").await;
    assert_eq!(called.text, "\"the-team mcp:tools\"");
    assert_eq!(peer.stat("registrations").await, 1);
}
