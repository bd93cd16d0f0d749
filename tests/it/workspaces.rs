//! What an administrator of one workspace may do, and what is for administrators of all of them.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Bridge, Setup};

const ALL: &str = "key-of-an-administrator-of-all";
const ACME: &str = "key-of-an-administrator-of-acme";
const GLOBEX: &str = "key-of-an-administrator-of-globex";

const TOML: &str = "
[identity.keys.ops]
key = '${WS_ALL}'
groups = ['MCP-Admin']
[identity.keys.acme]
key = '${WS_ACME}'
groups = ['MCP-Admin']
workspace = 'acme'
[identity.keys.globex]
key = '${WS_GLOBEX}'
groups = ['MCP-Admin']
workspace = 'globex'
[access.groups]
readers = ['good']
[bridges.good]
{bad good}
";

/// Who may use a route.
#[derive(Debug, Clone, Copy, PartialEq)]
enum May {
    /// Every administrator, for their own workspace.
    Own,
    /// Administrators of all workspaces alone.
    All,
}

async fn start() -> Bridge {
    Setup::toml(TOML)
        .admin_key("WS_ALL", ALL)
        .env("WS_ACME", ACME)
        .env("WS_GLOBEX", GLOBEX)
        .with_database()
        .await
}

/// Every route with something to send.
#[expect(clippy::too_many_lines, reason = "a table of routes")]
fn routes() -> Vec<(Method, &'static str, &'static str, Value, May)> {
    let key = |forwards: bool, groups: &[&str]| json!({"name": "made", "forwards": forwards, "groups": groups});
    let member = json!({"email": "a@example.org", "group_name": "g"});
    let person = json!({"email": "a@example.org"});
    let tenant = json!({"tenant_id": "g", "server_id": "good", "key_name": "K", "key_value": "v"});
    let endpoint =
        json!({"tenant_id": "g", "server_id": "good", "endpoint_url": "https://evil.example/mcp"});
    let group = json!({"group_name": "g", "server_ids": ["good"]});
    let whole = json!({"group": "g", "bridge": "good"});
    let narrowed = json!({"group": "g", "bridge": "good", "tools": ["echo"]});
    let (get, post, put, delete) = (
        || Method::GET,
        || Method::POST,
        || Method::PUT,
        || Method::DELETE,
    );
    let none = || Value::Null;
    vec![
        (get(), "/me", "/me", none(), May::Own),
        (get(), "/users", "/users", none(), May::All),
        (
            post(),
            "/users/groups",
            "/users/groups",
            member.clone(),
            May::All,
        ),
        (delete(), "/users/groups", "/users/groups", member, May::All),
        (post(), "/admins", "/admins", person.clone(), May::All),
        (delete(), "/admins", "/admins", person, May::All),
        (get(), "/groups", "/groups", none(), May::All),
        (post(), "/groups", "/groups", group, May::All),
        (get(), "/groups/{name}", "/groups/g", none(), May::All),
        (
            put(),
            "/groups/{name}",
            "/groups/g",
            json!({"server_ids": []}),
            May::All,
        ),
        (delete(), "/groups/{name}", "/groups/g", none(), May::All),
        (get(), "/grants", "/grants", none(), May::Own),
        (post(), "/grants", "/grants", whole.clone(), May::All),
        (post(), "/grants", "/grants", narrowed.clone(), May::Own),
        (delete(), "/grants", "/grants", narrowed, May::Own),
        (get(), "/keys", "/keys", none(), May::Own),
        (post(), "/keys", "/keys", key(true, &[]), May::All),
        (
            post(),
            "/keys",
            "/keys",
            key(false, &["MCP-Admin"]),
            May::All,
        ),
        (post(), "/keys", "/keys", key(false, &["g"]), May::Own),
        (
            delete(),
            "/keys",
            "/keys",
            json!({"name": "made"}),
            May::Own,
        ),
        (get(), "/tenant-keys", "/tenant-keys", none(), May::All),
        (post(), "/tenant-keys", "/tenant-keys", tenant, May::All),
        (
            delete(),
            "/tenant-keys",
            "/tenant-keys",
            json!({"tenant_id": "g", "server_id": "good", "key_name": "K"}),
            May::All,
        ),
        (
            get(),
            "/tenant-keys/{group}",
            "/tenant-keys/g",
            none(),
            May::All,
        ),
        (get(), "/endpoints", "/endpoints", none(), May::All),
        (post(), "/endpoints", "/endpoints", endpoint, May::All),
        (
            delete(),
            "/endpoints",
            "/endpoints",
            json!({"tenant_id": "g", "server_id": "good"}),
            May::All,
        ),
        (get(), "/accounts", "/accounts", none(), May::Own),
        (
            delete(),
            "/accounts",
            "/accounts",
            json!({"bridge": "good", "subject": ""}),
            May::All,
        ),
        (get(), "/servers", "/servers", none(), May::Own),
        (get(), "/bridges", "/bridges", none(), May::Own),
        (
            post(),
            "/bridges/{name}/restart",
            "/bridges/good/restart",
            none(),
            May::All,
        ),
        (get(), "/calls", "/calls", none(), May::Own),
        (get(), "/changes", "/changes", none(), May::Own),
        (
            get(),
            "/explain",
            "/explain?user=a@example.org&bridge=good&tool=echo",
            none(),
            May::All,
        ),
        (get(), "/plan", "/plan", none(), May::All),
        (get(), "/openapi.json", "/openapi.json", none(), May::Own),
    ]
}

#[tokio::test]
async fn administrators_of_one_workspace_stay_in_it() {
    let bridge = start().await;
    let table = routes();
    let document = bridge.as_bearer(ALL).api().get("/openapi.json").await;
    let document = document.json();
    let known = document["paths"].as_object().unwrap();
    assert!(known.len() > 15, "{known:?}");
    for (path, item) in known {
        let route = path.strip_prefix("/admin/api").unwrap();
        for method in item.as_object().unwrap().keys() {
            let mut rows = table.iter();
            let is_there = rows.any(|(by, pattern, ..)| {
                *pattern == route && by.as_str().eq_ignore_ascii_case(method)
            });
            assert!(is_there, "{method} {route} is not in the table");
        }
    }
    let mut wrong = Vec::new();
    for (method, _, path, body, may) in &table {
        for (key, is_all) in [(ACME, false), (GLOBEX, false), (ALL, true)] {
            let answer = bridge
                .as_bearer(key)
                .api()
                .send(method.clone(), path, body)
                .await;
            let is_refused = answer.status == 403;
            if is_refused != (*may == May::All && !is_all) {
                wrong.push(format!(
                    "{method} {path} {body} {key}: {} {}",
                    answer.status, answer.text
                ));
            }
        }
    }
    for (method, path) in [(Method::GET, "/metrics"), (Method::POST, "/refresh")] {
        for (key, status) in [(ACME, 403), (GLOBEX, 403), (ALL, 200)] {
            let answer = bridge.as_bearer(key).send(method.clone(), path, "").await;
            if answer.status != status {
                wrong.push(format!(
                    "{method} {path} {key}: {} {}",
                    answer.status, answer.text
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
async fn nothing_of_others_is_seen_or_taken_away() {
    let bridge = start().await;
    let acme = bridge.as_bearer(ACME).api();
    let narrowed = json!({"group": "g", "bridge": "good", "tools": ["echo"]});
    let made = acme.post("/grants", &narrowed).await;
    made.ok();
    let key = json!({"name": "script", "groups": ["g"]});
    acme.post("/keys", &key).await.ok();
    // A whole grant counts everywhere, and stays.
    let whole = json!({"group": "readers", "bridge": "good"});
    let gone = acme.delete("/grants", &whole).await;
    assert_eq!(gone.status, 422, "{}", gone.text);
    for (key, grants, has_key) in [(ACME, 2, true), (GLOBEX, 1, false), (ALL, 1, false)] {
        let admin = bridge.as_bearer(key).api();
        let seen = admin.get("/grants").await;
        assert_eq!(seen.json()["count"], grants, "{key}: {}", seen.text);
        let seen = admin.get("/keys").await;
        assert_eq!(
            seen.text.contains("script"),
            has_key,
            "{key}: {}",
            seen.text
        );
        let calls = admin.get("/changes").await;
        assert_eq!(
            calls.text.contains("script"),
            has_key,
            "{key}: {}",
            calls.text
        );
    }
    let revoked = bridge
        .as_bearer(GLOBEX)
        .api()
        .delete("/keys", json!({"name": "script"}))
        .await;
    assert_eq!(revoked.status, 404, "{}", revoked.text);
}

#[tokio::test]
async fn names_that_read_as_something_else_are_refused() {
    let bridge = start().await;
    let all = bridge.as_bearer(ALL).api();
    for name in [
        "boss@example.com",
        "bo\u{200b}t",
        "\u{202e}bot",
        "bot\u{2066}",
    ] {
        let key = json!({"name": name});
        let answer = all.post("/keys", &key).await;
        assert_eq!(answer.status, 422, "{name:?}: {}", answer.text);
    }
    for name in [
        "re\u{200b}aders",
        "\u{202e}readers",
        "readers\u{feff}",
        "r\u{ad}eaders",
    ] {
        let requests = [
            (
                "/groups",
                json!({"group_name": name, "server_ids": ["good"]}),
            ),
            (
                "/users/groups",
                json!({"email": "a@example.org", "group_name": name}),
            ),
            ("/grants", json!({"group": name, "bridge": "good"})),
            ("/keys", json!({"name": "bot", "groups": [name]})),
        ];
        for (path, body) in requests {
            let answer = all.post(path, &body).await;
            assert!(
                [400, 422].contains(&answer.status),
                "{path} {name:?}: {}",
                answer.text
            );
        }
    }
}
