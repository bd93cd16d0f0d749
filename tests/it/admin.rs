//! The admin API: who may use it, what it changes, what it tells.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Answer, Bridge, Postgres, Setup, until};

const ADMIN: &str = "key-of-the-administrators";
const FORWARDER: &str = "key-of-the-connection";
const PLAIN: &str = "key-of-a-script-in-no-group";

const TOML: &str = "
[database]
url = '${DB:-}'
[identity.keys.ops]
key = '${ADMIN}'
groups = ['MCP-Admin']
[identity.keys.chat]
key = '${FORWARDER}'
forwards = true
[identity.keys.script]
key = '${PLAIN}'
[access]
admins = 'root@example.org'
[access.groups]
readers = ['other']
[bridges.bad]
{bad good --record {dir}/record}
[bridges.other]
{bad good}
[bridges.off]
url = 'https://example.org/${NOT_SET}'
";

fn setup(toml: &str) -> Setup {
    Setup::toml(toml)
        .env("ADMIN", ADMIN)
        .env("FORWARDER", FORWARDER)
        .env("PLAIN", PLAIN)
}

/// Running, with its database.
async fn start(setup: Setup) -> Bridge {
    let bridge = setup.ready().await;
    until(async || ask(&bridge, "/users").await.status == 200).await;
    bridge
}

/// A request with a key and a JSON body.
async fn send(bridge: &Bridge, key: &str, method: Method, path: &str, body: &Value) -> Answer {
    let authorization = format!("Bearer {key}");
    let headers = [
        ("authorization", authorization.as_str()),
        ("content-type", "application/json"),
    ];
    let body = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    let path = format!("/admin/api{path}");
    bridge.send(method, &path, &headers, &body).await
}

/// GET as administrator.
async fn ask(bridge: &Bridge, path: &str) -> Answer {
    send(bridge, ADMIN, Method::GET, path, &Value::Null).await
}

/// GET as administrator, which must succeed.
async fn get(bridge: &Bridge, path: &str) -> Value {
    let answer = ask(bridge, path).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.text);
    answer.json()
}

/// A change as administrator, which must succeed.
async fn change(bridge: &Bridge, method: Method, path: &str, body: Value) -> Value {
    let answer = send(bridge, ADMIN, method, path, &body).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.text);
    answer.json()
}

/// A call in the name of a user.
async fn call(bridge: &Bridge, user: &str, path: &str) -> Answer {
    let authorization = format!("Bearer {FORWARDER}");
    let headers = [
        ("authorization", authorization.as_str()),
        ("x-openwebui-user-email", user),
    ];
    let body = r#"{"message": "hi"}"#;
    bridge.send(Method::POST, path, &headers, body).await
}

#[tokio::test]
async fn only_administrators_get_in() {
    let bridge = start(setup(TOML)).await;
    let routes = [
        (Method::GET, "/users"),
        (Method::POST, "/users/groups"),
        (Method::DELETE, "/users/groups"),
        (Method::POST, "/admins"),
        (Method::DELETE, "/admins"),
        (Method::GET, "/groups"),
        (Method::POST, "/groups"),
        (Method::GET, "/groups/readers"),
        (Method::PUT, "/groups/readers"),
        (Method::DELETE, "/groups/readers"),
        (Method::GET, "/grants"),
        (Method::POST, "/grants"),
        (Method::DELETE, "/grants"),
        (Method::GET, "/keys"),
        (Method::POST, "/keys"),
        (Method::DELETE, "/keys"),
        (Method::GET, "/tenant-keys"),
        (Method::POST, "/tenant-keys"),
        (Method::DELETE, "/tenant-keys"),
        (Method::GET, "/tenant-keys/readers"),
        (Method::GET, "/endpoints"),
        (Method::POST, "/endpoints"),
        (Method::DELETE, "/endpoints"),
        (Method::GET, "/accounts"),
        (Method::DELETE, "/accounts"),
        (Method::GET, "/servers"),
        (Method::GET, "/bridges"),
        (Method::POST, "/bridges/bad/restart"),
        (Method::GET, "/calls"),
        (Method::GET, "/changes"),
        (Method::GET, "/explain?user=a@x.org&bridge=bad"),
        (Method::GET, "/plan"),
        (Method::GET, "/openapi.json"),
    ];
    for (method, path) in routes {
        let whole = format!("/admin/api{path}");
        let stranger = bridge.send(method.clone(), &whole, &[], "{}").await;
        assert_eq!(stranger.status, 401, "{method} {path}: {}", stranger.text);
        for key in [PLAIN, FORWARDER] {
            let answer = send(&bridge, key, method.clone(), path, &json!({})).await;
            let told = (answer.status, answer.code());
            assert_eq!(told, (403, "forbidden".to_owned()), "{method} {path}");
        }
        if !method.is_safe() {
            let key = format!("Bearer {ADMIN}");
            for kind in ["text/plain", "application/x-www-form-urlencoded", ""] {
                let headers = [("authorization", key.as_str()), ("content-type", kind)];
                let answer = bridge.send(method.clone(), &whole, &headers, "{}").await;
                assert_eq!(answer.status, 415, "{method} {path} as {kind:?}");
            }
        }
    }
    // Nothing of it was done, and nothing restarted.
    assert_eq!(get(&bridge, "/changes?actor=ops").await["count"], 0);
    let unknown = ask(&bridge, "/nothing").await;
    assert_eq!(unknown.status, 404, "{}", unknown.text);
    let wrong = send(&bridge, ADMIN, Method::PATCH, "/users", &json!({})).await;
    assert_eq!(wrong.status, 405);
}

#[tokio::test]
async fn an_administrator_by_mail_gets_in_through_the_chat() {
    let bridge = start(setup(TOML)).await;
    let key = format!("Bearer {FORWARDER}");
    for (user, status) in [("Root@Example.org", 200), ("bob@example.org", 403)] {
        let headers = [
            ("authorization", key.as_str()),
            ("x-openwebui-user-email", user),
        ];
        let path = "/admin/api/users";
        let answer = bridge.send(Method::GET, path, &headers, "").await;
        assert_eq!(answer.status, status, "{}", answer.text);
    }
}

#[tokio::test]
async fn pages_of_other_origins_do_not_administer_without_a_key() {
    let toml =
        "[server]\ncors_allow_origins = ['https://chat.example.org']\n[bridges.bad]\n{bad good}\n";
    let bridge = Setup::toml(toml).ready().await;
    let host = bridge.base.trim_start_matches("http://").to_owned();
    let own = bridge.base.clone();
    for (origin, status) in [
        ("https://chat.example.org", 403),
        ("https://evil.example.org", 403),
        ("null", 403),
        (own.as_str(), 200),
    ] {
        let headers = [
            ("origin", origin),
            ("host", host.as_str()),
            ("content-type", "application/json"),
        ];
        let path = "/admin/api/bridges/bad/restart";
        let answer = bridge.send(Method::POST, path, &headers, "").await;
        assert_eq!(answer.status, status, "{origin}: {}", answer.text);
        assert_eq!(answer.header("access-control-allow-origin"), "", "{origin}");
    }
    let headers = [
        ("origin", "https://chat.example.org"),
        ("access-control-request-method", "POST"),
    ];
    for (path, allowed) in [
        ("/admin/api/groups", ""),
        ("/servers", "https://chat.example.org"),
    ] {
        let preflight = bridge.send(Method::OPTIONS, path, &headers, "").await;
        let told = preflight.header("access-control-allow-origin");
        assert_eq!(told, allowed, "{path}");
    }
    let rebound = [("host", "evil.example.org")];
    let answer = bridge.send(Method::GET, "/admin/api/bridges", &rebound, "");
    assert_eq!(answer.await.code(), "forbidden_host");
}

#[tokio::test]
async fn what_is_granted_may_be_called_at_once_and_what_is_revoked_not() {
    let database = Postgres::create().await;
    for setup in [setup(TOML), setup(TOML).env("DB", &database.url)] {
        let bridge = start(setup).await;
        let user = "Ann@Example.org";
        let refused = call(&bridge, user, "/bad/echo").await;
        assert_eq!(refused.status, 403, "{}", refused.text);
        let group = json!({ "group_name": "Ärzte & Co", "server_ids": ["bad", "bad", "nowhere"] });
        let made = change(&bridge, Method::POST, "/groups", group).await;
        assert_eq!(
            made,
            json!({
                "status": "created", "group_name": "Ärzte & Co", "servers": ["bad", "nowhere"],
                "unknown": ["nowhere"],
            })
        );
        let member = json!({ "email": user, "group_name": "Ärzte & Co" });
        for changed in [true, false] {
            let added = change(&bridge, Method::POST, "/users/groups", member.clone()).await;
            assert_eq!(
                added,
                json!({
                    "status": "added", "email": "ann@example.org", "group_name": "Ärzte & Co",
                    "changed": changed,
                })
            );
        }
        assert_eq!(call(&bridge, user, "/bad/echo").await.status, 200);
        assert_eq!(call(&bridge, user, "/other/echo").await.status, 403);
        assert_eq!(bridge.calls("record").len(), 1);

        let path = "/groups/%C3%84rzte%20%26%20Co";
        let group = get(&bridge, path).await;
        assert_eq!(
            (&group["servers"], &group["users"], &group["user_count"]),
            (
                &json!(["bad", "nowhere"]),
                &json!(["ann@example.org"]),
                &json!(1)
            )
        );
        let other = json!({ "server_ids": ["other"] });
        assert_eq!(
            change(&bridge, Method::PUT, path, other).await["status"],
            "updated"
        );
        assert_eq!(call(&bridge, user, "/bad/echo").await.status, 403);
        assert_eq!(call(&bridge, user, "/other/echo").await.status, 200);
        let gone = change(&bridge, Method::DELETE, path, Value::Null).await;
        assert_eq!(
            (&gone["users_removed"], &gone["servers_removed"]),
            (&json!(1), &json!(1))
        );
        assert_eq!(call(&bridge, user, "/other/echo").await.status, 403);
        assert_eq!(ask(&bridge, path).await.status, 404);
        assert_eq!(bridge.calls("record").len(), 1, "no other call got through");
    }
}

#[tokio::test]
async fn grants_are_narrowed_to_tools() {
    let bridge = start(setup(TOML)).await;
    let member = json!({ "email": "ann@example.org", "group_name": "few" });
    change(&bridge, Method::POST, "/users/groups", member).await;
    let grant = json!({ "group": "few", "bridge": "bad", "tools": ["e*"] });
    let made = change(&bridge, Method::POST, "/grants", grant).await;
    assert_eq!(made["changed"], true);
    assert_eq!(
        call(&bridge, "ann@example.org", "/bad/echo").await.status,
        200
    );
    assert_eq!(
        call(&bridge, "ann@example.org", "/bad/pid").await.status,
        403
    );
    let grants = get(&bridge, "/grants?group=few").await;
    assert_eq!(
        grants,
        json!({ "count": 1, "grants": [{
            "group": "few", "bridge": "bad", "tools": ["e*"], "read_only": false,
            "workspace": "default",
        }] })
    );
    let groups = get(&bridge, "/groups").await;
    let few = groups["groups"].as_array().unwrap().iter();
    let few: Vec<_> = few.filter(|group| group["group_name"] == "few").collect();
    assert_eq!(
        (&few[0]["servers"], &few[0]["narrowed"][0]["bridge"]),
        (&json!([]), &json!("bad"))
    );
    // One grant goes, and the others of the group for the bridge stay.
    let other = json!({ "group": "few", "bridge": "bad", "tools": ["get_*"] });
    change(&bridge, Method::POST, "/grants", other.clone()).await;
    for removed in [1, 0] {
        let gone = change(&bridge, Method::DELETE, "/grants", other.clone()).await;
        assert_eq!(gone["removed"], removed);
    }
    assert_eq!(
        call(&bridge, "ann@example.org", "/bad/echo").await.status,
        200
    );
    let all = json!({ "group": "few", "bridge": "bad" });
    let gone = change(&bridge, Method::DELETE, "/grants", all).await;
    assert_eq!(gone["removed"], 1);
    assert_eq!(
        call(&bridge, "ann@example.org", "/bad/echo").await.status,
        403
    );
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "a table")]
async fn what_cannot_be_done_is_refused_with_a_reason() {
    let bridge = start(setup(TOML)).await;
    let long = "x".repeat(256);
    for (method, path, body, status, words) in [
        (
            Method::POST,
            "/groups",
            json!({"group_name": "", "server_ids": []}),
            400,
            "1 to 255",
        ),
        (
            Method::POST,
            "/groups",
            json!({"group_name": "a,b", "server_ids": []}),
            400,
            "no comma",
        ),
        (
            Method::POST,
            "/groups",
            json!({"group_name": long, "server_ids": []}),
            400,
            "255",
        ),
        (
            Method::POST,
            "/groups",
            json!({"group_name": "a", "server_ids": ["a b"]}),
            422,
            "a b",
        ),
        (
            Method::POST,
            "/groups",
            json!({"group_name": "a", "servers": []}),
            422,
            "`servers`",
        ),
        (
            Method::POST,
            "/groups",
            json!({"group_name": "a"}),
            422,
            "server_ids",
        ),
        (
            Method::DELETE,
            "/groups/MCP-Admin",
            Value::Null,
            400,
            "administrators",
        ),
        (Method::DELETE, "/groups/none", Value::Null, 404, "`none`"),
        (
            Method::POST,
            "/users/groups",
            json!({"email": "ann", "group_name": "a"}),
            422,
            "e-mail",
        ),
        (
            Method::POST,
            "/admins",
            json!({"email": "a b@c"}),
            422,
            "e-mail",
        ),
        (
            Method::POST,
            "/grants",
            json!({"group": "a", "bridge": "bad", "tools": []}),
            422,
            "leave it out",
        ),
        (
            Method::POST,
            "/grants",
            json!({"group": "a", "bridge": "bad", "tools": ["["]}),
            422,
            "[",
        ),
        (
            Method::POST,
            "/keys",
            json!({"name": "ops"}),
            409,
            "already",
        ),
        (
            Method::POST,
            "/keys",
            json!({"name": "x", "expires_at": "2020-01-01T00:00:00Z"}),
            422,
            "past",
        ),
        (
            Method::POST,
            "/keys",
            json!({"name": "x", "expires_at": "soon"}),
            422,
            "2026",
        ),
        (Method::DELETE, "/keys", json!({"name": "ops"}), 404, "file"),
        (
            Method::POST,
            "/bridges/none/restart",
            Value::Null,
            404,
            "`none`",
        ),
        (
            Method::POST,
            "/bridges/off/restart",
            Value::Null,
            409,
            "NOT_SET",
        ),
        (Method::GET, "/calls?limit=0", Value::Null, 422, "between"),
        (
            Method::GET,
            "/calls?since=yesterday",
            Value::Null,
            422,
            "2h",
        ),
        (Method::GET, "/calls?cursor=x", Value::Null, 422, "next"),
        (Method::GET, "/calls?format=xml", Value::Null, 422, "jsonl"),
        (Method::GET, "/calls?user=x", Value::Null, 422, "user"),
        (Method::GET, "/explain?user=x", Value::Null, 422, "bridge"),
        (
            Method::GET,
            "/explain?user=a@x.org&bridge=bad&tool=none",
            Value::Null,
            404,
            "`none`",
        ),
    ] {
        let answer = send(&bridge, ADMIN, method.clone(), path, &body).await;
        assert_eq!(
            answer.status, status,
            "{method} {path} {body}: {}",
            answer.text
        );
        assert!(
            answer.json()["detail"].as_str().unwrap().contains(words),
            "{}",
            answer.text
        );
    }
    let key = format!("Bearer {ADMIN}");
    let headers = [
        ("authorization", key.as_str()),
        ("content-type", "application/json; charset=utf-8"),
    ];
    for (body, status) in [("{", 400), ("", 400), ("[]", 422), ("\"x\"", 422)] {
        let answer = bridge.send(Method::POST, "/admin/api/keys", &headers, body);
        let answer = answer.await;
        assert_eq!(answer.status, status, "{body}: {}", answer.text);
    }
    let huge = format!("{{\"name\": \"{}\"}}", "x".repeat(70_000));
    let answer = bridge.send(Method::POST, "/admin/api/keys", &headers, &huge);
    assert_eq!(answer.await.status, 413);
    assert_eq!(get(&bridge, "/changes?actor=ops").await["count"], 0);
}

#[tokio::test]
async fn a_key_is_shown_once_and_works_until_it_is_revoked() {
    let bridge = start(setup(TOML)).await;
    let new =
        json!({ "name": "robot", "groups": ["readers"], "expires_at": "2099-01-01T00:00:00Z" });
    let made = change(&bridge, Method::POST, "/keys", new.clone()).await;
    let text = made["text"].as_str().unwrap().to_owned();
    assert!(text.starts_with("mcpb_") && text.len() > 40, "{text}");
    let again = send(&bridge, ADMIN, Method::POST, "/keys", &new).await;
    assert_eq!((again.status, again.code()), (409, "taken".to_owned()));
    let listed = ask(&bridge, "/keys").await;
    assert!(!listed.text.contains(&text));
    let keys = listed.json()["keys"].clone();
    let robot = keys
        .as_array()
        .unwrap()
        .iter()
        .find(|key| key["name"] == "robot");
    assert_eq!(
        robot,
        Some(&json!({
            "name": "robot", "groups": ["readers"], "forwards": false, "workspace": "default",
            "expires_at": "2099-01-01T00:00:00Z", "source": "table",
        }))
    );
    assert_eq!(keys.as_array().unwrap().len(), 4);
    let authorization = format!("Bearer {text}");
    let headers = [("authorization", authorization.as_str())];
    let use_it = async |path: &str| {
        let body = r#"{"message": "hi"}"#;
        bridge.send(Method::POST, path, &headers, body).await.status
    };
    assert_eq!(use_it("/other/echo").await, 200);
    assert_eq!(use_it("/bad/echo").await, 403);
    change(&bridge, Method::DELETE, "/keys", json!({ "name": "robot" })).await;
    assert_eq!(use_it("/other/echo").await, 401);
    assert!(!bridge.log().contains(&text));
}

#[tokio::test]
async fn calls_are_told_page_by_page_and_exported() {
    let bridge = start(setup(TOML)).await;
    let member = json!({ "email": "ann@example.org", "group_name": "readers" });
    change(&bridge, Method::POST, "/users/groups", member).await;
    for _ in 0..3 {
        call(&bridge, "ann@example.org", "/other/echo").await;
    }
    call(&bridge, "bob@example.org", "/bad/echo").await;
    until(async || get(&bridge, "/calls").await["count"] == 4).await;
    let all = get(&bridge, "/calls").await;
    let newest = &all["calls"][0];
    assert_eq!(
        [
            &newest["caller"],
            &newest["outcome"],
            &newest["rule"],
            &newest["status"]
        ],
        [
            &json!("bob@example.org"),
            &json!("forbidden"),
            &json!("no_grant"),
            &json!(403)
        ]
    );
    assert_eq!(all["calls"][1]["rule"], "grant readers");
    for (query, count) in [
        ("caller=ANN@example.org", 3),
        ("bridge=bad", 1),
        ("outcome=ok", 3),
        ("tool=echo&bridge=other&limit=2", 2),
        ("since=1h", 4),
        ("until=1h", 0),
        ("since=2099-01-01", 0),
    ] {
        let found = get(&bridge, &format!("/calls?{query}")).await;
        assert_eq!(found["count"], count, "{query}");
    }
    let mut seen = Vec::new();
    let mut path = "/calls?limit=3".to_owned();
    loop {
        let page = get(&bridge, &path).await;
        let calls = page["calls"].as_array().unwrap().iter();
        seen.extend(calls.map(|call| call["id"].as_str().unwrap().to_owned()));
        let Some(next) = page["next"].as_str() else {
            break;
        };
        path = format!("/calls?limit=3&cursor={next}");
    }
    assert_eq!(seen.len(), 4);
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 4, "each once");
    let table = ask(&bridge, "/calls?format=csv&limit=2").await;
    assert_eq!(table.header("content-type"), "text/csv; charset=utf-8");
    assert!(!table.header("x-next-cursor").is_empty());
    assert_eq!(table.text.lines().count(), 3, "{}", table.text);
    let lines = ask(&bridge, "/calls?format=jsonl").await;
    for line in lines.text.lines() {
        serde_json::from_str::<Value>(line).unwrap();
    }
    assert_eq!(lines.text.lines().count(), 4);
}

#[tokio::test]
async fn every_change_is_on_record() {
    let bridge = start(setup(TOML)).await;
    let email = json!({ "email": "Ann@Example.org" });
    assert_eq!(
        change(&bridge, Method::POST, "/admins", email.clone()).await["changed"],
        true
    );
    assert_eq!(
        change(&bridge, Method::POST, "/admins", email.clone()).await["changed"],
        false
    );
    let users = get(&bridge, "/users").await;
    let ann = users["users"]
        .as_array()
        .unwrap()
        .iter()
        .find(|it| it["email"] == "ann@example.org");
    assert_eq!(ann.unwrap()["is_admin"], true);
    assert_eq!(
        change(&bridge, Method::DELETE, "/admins", email).await["changed"],
        true
    );
    let grant = json!({ "group": "g", "bridge": "bad", "read_only": true });
    change(&bridge, Method::POST, "/grants", grant).await;
    change(&bridge, Method::POST, "/bridges/bad/restart", Value::Null).await;
    until(async || get(&bridge, "/changes?actor=ops").await["count"] == 4).await;
    let changes = get(&bridge, "/changes?actor=ops").await;
    let told: Vec<_> = changes["changes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| format!("{} {} {}", it["actor"], it["action"], it["target"]))
        .collect();
    let mut sorted = told.clone();
    sorted.sort();
    assert_eq!(
        sorted,
        [
            r#""ops" "grant" "g bad read_only""#,
            r#""ops" "restart" "bad""#,
            r#""ops" "set_admin" "ann@example.org""#,
            r#""ops" "unset_admin" "ann@example.org""#,
        ]
    );
}

#[tokio::test]
async fn a_server_that_dies_at_its_start_says_why_all_the_while() {
    let toml = TOML.replace("{bad good --record {dir}/record}", "{bad exit-stderr}");
    let bridge = setup(&toml).listening().await;
    until(async || ask(&bridge, "/bridges").await.status == 200).await;
    let bad = async || get(&bridge, "/bridges").await["bridges"][0].clone();
    until(async || bad().await["failures"].as_u64() >= Some(1)).await;
    let (mut failures, mut polls) = (0, 0);
    while failures < 3 {
        let it = bad().await;
        let reason = it["reason"].as_str().unwrap_or_default();
        assert!(reason.contains("exit status: 3"), "{it:#}");
        assert_eq!(it["exit"], "exit status: 3", "{it:#}");
        assert_eq!(it["stderr"], json!(["fatal: TOKEN is wrong"]), "{it:#}");
        failures = it["failures"].as_u64().unwrap();
        polls += 1;
    }
    assert!(polls > 3, "it was looked at while it tried again");
    let other = &get(&bridge, "/bridges").await["bridges"][2];
    assert_eq!(other["failures"], 0, "{other:#}");
}

#[tokio::test]
async fn bridges_are_told_and_restarted() {
    let bridge = start(setup(TOML)).await;
    let servers = get(&bridge, "/servers").await;
    let ids: Vec<_> = servers["servers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| &it["id"])
        .collect();
    assert_eq!(ids, ["bad", "off", "other"]);
    assert_eq!(servers["servers"][1]["enabled"], false);
    let list = get(&bridge, "/bridges").await;
    let (bad, off) = (&list["bridges"][0], &list["bridges"][2]);
    assert_eq!(
        (&bad["status"], &bad["attempts"]),
        (&json!("ready"), &json!(1))
    );
    assert_eq!(
        (&off["status"], &off["reason"]),
        (&json!("disabled"), &json!("NOT_SET is not set"))
    );
    let done = change(&bridge, Method::POST, "/bridges/bad/restart", Value::Null).await;
    assert_eq!(
        (&done["status"], &done["bridge"]["attempts"]),
        (&json!("restarted"), &json!(2))
    );
    let events = bridge.read("record");
    assert_eq!(events.matches("\"start\"").count(), 2, "{events}");
}

#[tokio::test]
async fn a_decision_is_explained() {
    let bridge = start(setup(TOML)).await;
    let member = json!({ "email": "ann@example.org", "group_name": "readers" });
    change(&bridge, Method::POST, "/users/groups", member).await;
    let yes = get(
        &bridge,
        "/explain?user=Ann@Example.org&bridge=other&tool=echo",
    )
    .await;
    assert_eq!(
        yes,
        json!({
            "user": "ann@example.org", "bridge": "other", "tool": "echo", "allowed": true,
            "rule": "grant readers", "groups": [{ "group": "readers", "from": "table" }],
            "is_admin": false, "allowing": yes["allowing"], "workspace": "default",
            "bridge_status": "ready",
        })
    );
    let no = get(&bridge, "/explain?user=nobody@example.org&bridge=other").await;
    assert_eq!(
        (&no["allowed"], &no["rule"]),
        (&json!(false), &json!("no_grant"))
    );
    assert_eq!(no["allowing"], json!(["readers", "MCP-Admin"]));
    let root = get(&bridge, "/explain?user=root@example.org&bridge=nowhere").await;
    assert_eq!(
        (&root["allowed"], &root["bridge_status"]),
        (&json!(true), &Value::Null)
    );
}

#[tokio::test]
async fn a_plan_is_shown_before_it_is_done() {
    let setup = setup("[identity.keys.ops]\nkey = '${ADMIN}'\n[bridges.bad]\n{bad good}\n");
    let bridge = start(setup).await;
    assert_eq!(get(&bridge, "/plan").await["is_empty"], true);
    // The file is watched; what is refused there is never applied.
    bridge.write(
        "bridges.toml",
        "[bridges.bad]\ncomand = 'x'\nenv = { A_TOKEN = 'hunter2' }\n",
    );
    let plan = get(&bridge, "/plan").await;
    assert_eq!(plan["valid"], false);
    let problems = plan["problems"].to_string();
    assert!(problems.contains("did you mean `command`?"), "{problems}");
    assert!(!problems.contains("hunter2"), "{problems}");
    assert_eq!(
        get(&bridge, "/bridges").await["bridges"][0]["status"],
        "ready"
    );
}

#[tokio::test]
async fn a_database_that_is_away_is_told() {
    let database = Postgres::create().await;
    let bridge = start(setup(TOML).env("DB", &database.url)).await;
    database.shut_out().await;
    until(async || ask(&bridge, "/groups").await.status == 503).await;
    assert_eq!(ask(&bridge, "/groups").await.code(), "store_unavailable");
    // What needs no database goes on: this key is an administrator by the file.
    assert_eq!(get(&bridge, "/bridges").await["count"], 3);
    database.let_in().await;
    until(async || ask(&bridge, "/groups").await.status == 200).await;
}

#[tokio::test]
async fn under_mcpos_rules_admin_may_name_a_server() {
    let config = r#"{"mcpServers": {"admin": {"command": "python3", "args": ["{tests}/it/servers/bad_server.py"]}}}"#;
    let setup = Setup::bare();
    setup.write("config.json", config);
    let bridge = setup.args(["--config", "config.json"]).ready().await;
    assert_eq!(bridge.get("/admin/api/users").await.status, 404);
    assert_eq!(bridge.get("/admin/openapi.json").await.status, 200);
}
