//! The admin API: who may use it, what it changes, what it tells.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Postgres, Setup, until};

const ADMIN: &str = "key-of-the-administrators";
const FORWARDER: &str = "key-of-the-connection";
const PLAIN: &str = "key-of-a-script-in-no-group";

const HI: &str = r#"{"message": "hi"}"#;

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
        .admin_key("ADMIN", ADMIN)
        .forwarder_key("FORWARDER", FORWARDER)
        .env("PLAIN", PLAIN)
}

#[tokio::test]
async fn only_administrators_get_in() {
    let bridge = setup(TOML).with_database().await;
    let admin = bridge.admin_api();
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
            let caller = bridge.as_bearer(key).api();
            let answer = caller.send(method.clone(), path, json!({})).await;
            answer.assert_error(403, "forbidden");
        }
        if !method.is_safe() {
            for kind in ["text/plain", "application/x-www-form-urlencoded", ""] {
                let caller = bridge.as_admin().with("content-type", kind);
                let answer = caller.send(method.clone(), &whole, "{}").await;
                assert_eq!(answer.status, 415, "{method} {path} as {kind:?}");
            }
        }
    }
    // Nothing of it was done, and nothing restarted.
    assert_eq!(admin.get("/changes?actor=ops").await.ok()["count"], 0);
    let unknown = admin.get("/nothing").await;
    assert_eq!(unknown.status, 404, "{}", unknown.text);
    let wrong = admin.send(Method::PATCH, "/users", json!({})).await;
    assert_eq!(wrong.status, 405);
}

#[tokio::test]
async fn an_administrator_by_mail_gets_in_through_the_chat() {
    let bridge = setup(TOML).with_database().await;
    for (user, status) in [("Root@Example.org", 200), ("bob@example.org", 403)] {
        let answer = bridge.as_user(user).api().get("/users").await;
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
        let bridge = setup.with_database().await;
        let admin = bridge.admin_api();
        let user = "Ann@Example.org";
        let ann = bridge.as_user(user);
        let refused = ann.call("bad/echo", HI).await;
        assert_eq!(refused.status, 403, "{}", refused.text);
        let group = json!({ "group_name": "Ärzte & Co", "server_ids": ["bad", "bad", "nowhere"] });
        let made = admin.post("/groups", group).await.ok();
        assert_eq!(
            made,
            json!({
                "status": "created", "group_name": "Ärzte & Co", "servers": ["bad", "nowhere"],
                "unknown": ["nowhere"],
            })
        );
        let member = json!({ "email": user, "group_name": "Ärzte & Co" });
        for changed in [true, false] {
            let added = admin.post("/users/groups", member.clone()).await.ok();
            assert_eq!(
                added,
                json!({
                    "status": "added", "email": "ann@example.org", "group_name": "Ärzte & Co",
                    "changed": changed,
                })
            );
        }
        assert_eq!(ann.call("bad/echo", HI).await.status, 200);
        assert_eq!(ann.call("other/echo", HI).await.status, 403);
        assert_eq!(bridge.calls("record").len(), 1);

        let path = "/groups/%C3%84rzte%20%26%20Co";
        let group = admin.get(path).await.ok();
        assert_eq!(
            (&group["servers"], &group["users"], &group["user_count"]),
            (
                &json!(["bad", "nowhere"]),
                &json!(["ann@example.org"]),
                &json!(1)
            )
        );
        let other = json!({ "server_ids": ["other"] });
        assert_eq!(admin.put(path, other).await.ok()["status"], "updated");
        assert_eq!(ann.call("bad/echo", HI).await.status, 403);
        assert_eq!(ann.call("other/echo", HI).await.status, 200);
        let gone = admin.delete(path, "").await.ok();
        assert_eq!(
            (&gone["users_removed"], &gone["servers_removed"]),
            (&json!(1), &json!(1))
        );
        assert_eq!(ann.call("other/echo", HI).await.status, 403);
        assert_eq!(admin.get(path).await.status, 404);
        assert_eq!(bridge.calls("record").len(), 1, "no other call got through");
    }
}

#[tokio::test]
async fn grants_are_narrowed_to_tools() {
    let bridge = setup(TOML).with_database().await;
    let ann = bridge.as_user("ann@example.org");
    let admin = bridge.admin_api();
    let member = json!({ "email": "ann@example.org", "group_name": "few" });
    admin.post("/users/groups", member).await.ok();
    let grant = json!({ "group": "few", "bridge": "bad", "tools": ["e*"] });
    let made = admin.post("/grants", grant).await.ok();
    assert_eq!(made["changed"], true);
    assert_eq!(ann.call("bad/echo", HI).await.status, 200);
    assert_eq!(ann.call("bad/pid", HI).await.status, 403);
    let grants = admin.get("/grants?group=few").await.ok();
    assert_eq!(
        grants,
        json!({ "count": 1, "grants": [{
            "group": "few", "bridge": "bad", "tools": ["e*"], "read_only": false,
            "workspace": "default",
        }] })
    );
    let groups = admin.get("/groups").await.ok();
    let few = groups["groups"].as_array().unwrap().iter();
    let few: Vec<_> = few.filter(|group| group["group_name"] == "few").collect();
    assert_eq!(
        (&few[0]["servers"], &few[0]["narrowed"][0]["bridge"]),
        (&json!([]), &json!("bad"))
    );
    // One grant goes, and the others of the group for the bridge stay.
    let other = json!({ "group": "few", "bridge": "bad", "tools": ["get_*"] });
    admin.post("/grants", other.clone()).await.ok();
    for removed in [1, 0] {
        let gone = admin.delete("/grants", other.clone()).await.ok();
        assert_eq!(gone["removed"], removed);
    }
    assert_eq!(ann.call("bad/echo", HI).await.status, 200);
    let all = json!({ "group": "few", "bridge": "bad" });
    let gone = admin.delete("/grants", all).await.ok();
    assert_eq!(gone["removed"], 1);
    assert_eq!(ann.call("bad/echo", HI).await.status, 403);
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "a table")]
async fn what_cannot_be_done_is_refused_with_a_reason() {
    let bridge = setup(TOML).with_database().await;
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
        let answer = bridge.admin_api().send(method.clone(), path, &body).await;
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
    let admin = bridge
        .admin_api()
        .with("content-type", "application/json; charset=utf-8");
    for (body, status) in [("{", 400), ("", 400), ("[]", 422), ("\"x\"", 422)] {
        let answer = admin.post("/keys", body).await;
        assert_eq!(answer.status, status, "{body}: {}", answer.text);
    }
    let huge = format!("{{\"name\": \"{}\"}}", "x".repeat(70_000));
    assert_eq!(admin.post("/keys", &huge).await.status, 413);
    assert_eq!(
        bridge.admin_api().get("/changes?actor=ops").await.ok()["count"],
        0
    );
}

#[tokio::test]
async fn a_key_is_shown_once_and_works_until_it_is_revoked() {
    let bridge = setup(TOML).with_database().await;
    let admin = bridge.admin_api();
    let new =
        json!({ "name": "robot", "groups": ["readers"], "expires_at": "2099-01-01T00:00:00Z" });
    let made = admin.post("/keys", new.clone()).await.ok();
    let text = made["text"].as_str().unwrap().to_owned();
    assert!(text.starts_with("mcpb_") && text.len() > 40, "{text}");
    let again = admin.post("/keys", &new).await;
    again.assert_error(409, "taken");
    let listed = admin.get("/keys").await;
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
    let use_it = async |path: &str| bridge.as_bearer(&text).post(path, HI).await.status;
    assert_eq!(use_it("/other/echo").await, 200);
    assert_eq!(use_it("/bad/echo").await, 403);
    admin.delete("/keys", json!({ "name": "robot" })).await.ok();
    assert_eq!(use_it("/other/echo").await, 401);
    assert!(!bridge.log().contains(&text));
}

#[tokio::test]
async fn calls_are_told_page_by_page_and_exported() {
    let bridge = setup(TOML).with_database().await;
    let admin = bridge.admin_api();
    let member = json!({ "email": "ann@example.org", "group_name": "readers" });
    admin.post("/users/groups", member).await.ok();
    for _ in 0..3 {
        bridge
            .as_user("ann@example.org")
            .call("other/echo", HI)
            .await;
    }
    bridge.as_user("bob@example.org").call("bad/echo", HI).await;
    until(async || admin.get("/calls").await.ok()["count"] == 4).await;
    let all = admin.get("/calls").await.ok();
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
        let found = admin.get(&format!("/calls?{query}")).await.ok();
        assert_eq!(found["count"], count, "{query}");
    }
    let mut seen = Vec::new();
    let mut path = "/calls?limit=3".to_owned();
    loop {
        let page = admin.get(&path).await.ok();
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
    let table = admin.get("/calls?format=csv&limit=2").await;
    assert_eq!(table.header("content-type"), "text/csv; charset=utf-8");
    assert!(!table.header("x-next-cursor").is_empty());
    assert_eq!(table.text.lines().count(), 3, "{}", table.text);
    let lines = admin.get("/calls?format=jsonl").await;
    for line in lines.text.lines() {
        serde_json::from_str::<Value>(line).unwrap();
    }
    assert_eq!(lines.text.lines().count(), 4);
}

#[tokio::test]
async fn every_change_is_on_record() {
    let bridge = setup(TOML).with_database().await;
    let admin = bridge.admin_api();
    let email = json!({ "email": "Ann@Example.org" });
    assert_eq!(
        admin.post("/admins", email.clone()).await.ok()["changed"],
        true
    );
    assert_eq!(
        admin.post("/admins", email.clone()).await.ok()["changed"],
        false
    );
    let users = admin.get("/users").await.ok();
    let ann = users["users"]
        .as_array()
        .unwrap()
        .iter()
        .find(|it| it["email"] == "ann@example.org");
    assert_eq!(ann.unwrap()["is_admin"], true);
    assert_eq!(admin.delete("/admins", email).await.ok()["changed"], true);
    let grant = json!({ "group": "g", "bridge": "bad", "read_only": true });
    admin.post("/grants", grant).await.ok();
    admin.post("/bridges/bad/restart", "").await.ok();
    until(async || admin.get("/changes?actor=ops").await.ok()["count"] == 4).await;
    let changes = admin.get("/changes?actor=ops").await.ok();
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
    let admin = bridge.admin_api();
    until(async || admin.get("/bridges").await.status == 200).await;
    let bad = async || admin.get("/bridges").await.ok()["bridges"][0].clone();
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
    let other = &admin.get("/bridges").await.ok()["bridges"][2];
    assert_eq!(other["failures"], 0, "{other:#}");
}

#[tokio::test]
async fn bridges_are_told_and_restarted() {
    let bridge = setup(TOML).with_database().await;
    let admin = bridge.admin_api();
    let servers = admin.get("/servers").await.ok();
    let ids: Vec<_> = servers["servers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| &it["id"])
        .collect();
    assert_eq!(ids, ["bad", "off", "other"]);
    assert_eq!(servers["servers"][1]["enabled"], false);
    let list = admin.get("/bridges").await.ok();
    let (bad, off) = (&list["bridges"][0], &list["bridges"][2]);
    assert_eq!(
        (&bad["status"], &bad["attempts"]),
        (&json!("ready"), &json!(1))
    );
    assert_eq!(
        (&off["status"], &off["reason"]),
        (&json!("disabled"), &json!("NOT_SET is not set"))
    );
    let done = admin.post("/bridges/bad/restart", "").await.ok();
    assert_eq!(
        (&done["status"], &done["bridge"]["attempts"]),
        (&json!("restarted"), &json!(2))
    );
    let events = bridge.read("record");
    assert_eq!(events.matches("\"start\"").count(), 2, "{events}");
}

#[tokio::test]
async fn a_decision_is_explained() {
    let bridge = setup(TOML).with_database().await;
    let admin = bridge.admin_api();
    let member = json!({ "email": "ann@example.org", "group_name": "readers" });
    admin.post("/users/groups", member).await.ok();
    let explained = async |query: &str| admin.get(&format!("/explain?{query}")).await.ok();
    let yes = explained("user=Ann@Example.org&bridge=other&tool=echo").await;
    assert_eq!(
        yes,
        json!({
            "user": "ann@example.org", "bridge": "other", "tool": "echo", "allowed": true,
            "rule": "grant readers", "groups": [{ "group": "readers", "from": "table" }],
            "is_admin": false, "allowing": yes["allowing"], "workspace": "default",
            "bridge_status": "ready",
        })
    );
    let no = explained("user=nobody@example.org&bridge=other").await;
    assert_eq!(
        (&no["allowed"], &no["rule"]),
        (&json!(false), &json!("no_grant"))
    );
    assert_eq!(no["allowing"], json!(["readers", "MCP-Admin"]));
    let root = explained("user=root@example.org&bridge=nowhere").await;
    assert_eq!(
        (&root["allowed"], &root["bridge_status"]),
        (&json!(true), &Value::Null)
    );
}

#[tokio::test]
async fn a_plan_is_shown_before_it_is_done() {
    let setup = setup("[identity.keys.ops]\nkey = '${ADMIN}'\n[bridges.bad]\n{bad good}\n");
    let bridge = setup.with_database().await;
    let admin = bridge.admin_api();
    assert_eq!(admin.get("/plan").await.ok()["is_empty"], true);
    // The file is watched; what is refused there is never applied.
    bridge.write(
        "bridges.toml",
        "[bridges.bad]\ncomand = 'x'\nenv = { A_TOKEN = 'hunter2' }\n",
    );
    let plan = admin.get("/plan").await.ok();
    assert_eq!(plan["valid"], false);
    let problems = plan["problems"].to_string();
    assert!(problems.contains("did you mean `command`?"), "{problems}");
    assert!(!problems.contains("hunter2"), "{problems}");
    assert_eq!(
        admin.get("/bridges").await.ok()["bridges"][0]["status"],
        "ready"
    );
}

#[tokio::test]
async fn a_database_that_is_away_is_told() {
    let database = Postgres::create().await;
    let bridge = setup(TOML).env("DB", &database.url).with_database().await;
    let admin = bridge.admin_api();
    database.shut_out().await;
    until(async || admin.get("/groups").await.status == 503).await;
    assert_eq!(admin.get("/groups").await.code(), "store_unavailable");
    // What needs no database goes on: this key is an administrator by the file.
    assert_eq!(admin.get("/bridges").await.ok()["count"], 3);
    database.let_in().await;
    until(async || admin.get("/groups").await.status == 200).await;
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
