//! Logging in to servers: a real bridge before a server that the official Python SDK protects.

mod bad;
mod callers;
mod groups;
mod odd;
mod shared;
mod terminal;

use serde_json::{Value, json};

use crate::harness::{Answer, Bridge, OAuthPeer, Setup, entry};

/// The key of an administrator.
pub const ADMIN: &str = "the key of an administrator, 0123456789";
/// The key of Open WebUI's connection, which names the user beside it.
pub const FORWARDER: &str = "the key that vouches for others, 0123456789";
/// What seals.
pub const SEAL: &str = "what seals the tokens of all, 0123456789abcdef";
/// Open WebUI's.
pub const WEBUI: &str = "the secret of open webui, 0123456789";

/// A bridge before a peer: `team` with one account for all, `mine` with one for each.
pub fn setup(peer: &OAuthPeer, more: &str) -> Setup {
    let url = &peer.url;
    with_keys(&format!(
        "[access]\ndefault_groups = ['everyone']\n[access.groups]\neveryone = ['team', 'mine', 'demo']\n\
         [bridges.demo]\ncommand = 'mcp-bridge'\nargs = ['demo-server']\n\
         [bridges.team]\nurl = '{url}'\noauth = {{}}\n\
         [bridges.mine]\nurl = '{url}'\noauth = {{}}\ncredential = 'caller'\n{more}"
    ))
}

/// A bridge with the keys of an administrator and of Open WebUI, and what seals logins.
fn with_keys(more: &str) -> Setup {
    Setup::toml(&format!(
        "[server]\n[database]\nsecret_key = '${{OA_SEAL}}'\n\
         [identity.keys.admin]\nkey = '${{OA_ADMIN}}'\ngroups = ['MCP-Admin']\n\
         [identity.keys.forwarder]\nkey = '${{OA_FORWARDER}}'\nforwards = true\n{more}"
    ))
    .admin_key("OA_ADMIN", ADMIN)
    .forwarder_key("OA_FORWARDER", FORWARDER)
    .env("OA_SEAL", SEAL)
}

/// A call of a user.
pub async fn call(bridge: &Bridge, user: &str, path: &str, body: &Value) -> Answer {
    bridge.as_user(user).post(path, body).await
}

/// Whose account a call acts as.
pub async fn whoami(bridge: &Bridge, user: &str, name: &str) -> Answer {
    call(bridge, user, &format!("/{name}/whoami"), &json!({})).await
}

/// The link with which an administrator connects everybody's account.
pub async fn shared_link(bridge: &Bridge, name: &str) -> String {
    let path = format!("/oauth/{name}/connect");
    let answer = bridge.as_admin().post(&path, "{}").await;
    answer.ok()["connect_url"].as_str().unwrap().to_owned()
}

/// The link that a refused call gives.
pub fn link_in(refusal: &Answer) -> String {
    refusal.assert_error(401, "connect_required");
    let link = refusal.json()["connect_url"].as_str().unwrap().to_owned();
    let detail = refusal.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains(&link), "{detail}");
    link
}

/// The entry of a bridge in `GET /servers`, for an administrator.
pub async fn server(bridge: &Bridge, name: &str) -> Value {
    let list = bridge.as_admin().get("/servers").await.json();
    entry(&list, name)
}

/// Waits until a bridge has a status.
pub async fn until_status(bridge: &Bridge, name: &str, status: &str) -> Value {
    crate::harness::until(async || server(bridge, name).await["status"] == status).await;
    server(bridge, name).await
}
