//! What clients and scripts of the Python proxy do: its lists without credentials, its routes, its SQL
//! without a schema, tools of dead servers after a refresh, names for people.

use std::fs;

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Bridge, Postgres, Setup, until};

const ADMIN: &str = "the key of an administrator, 0123456789";
const DEV: &str = "the key of a developer, 0123456789";
const NOBODY: &str = "the key of nobody in a group, 0123456789";

/// Three keys; one server that is up, one that is off and one that nobody but administrators may use.
const TOML: &str = "[identity.keys.ops]\nkey = '${F_ADMIN}'\ngroups = ['MCP-Admin']\n\
    [identity.keys.dev]\nkey = '${F_DEV}'\ngroups = ['developers']\n\
    [identity.keys.new]\nkey = '${F_NOBODY}'\ngroups = ['nothing']\n\
    [access.groups]\ndevelopers = ['good', 'off']\n\
    [bridges.good]\ntitle = 'Good & useful'\n{bad good}\n\
    [bridges.off]\nurl = 'https://127.0.0.1:1/${F_NOT_SET}'\ntransport = 'sse'\n\
    [bridges.other]\n{bad good}\n";

fn keyed(toml: &str) -> Setup {
    Setup::toml(toml)
        .admin_key("F_ADMIN", ADMIN)
        .env("F_DEV", DEV)
        .env("F_NOBODY", NOBODY)
}

#[tokio::test]
async fn without_credentials_lists_are_empty_and_say_why() {
    for spec in ["", "[server]\npublic_spec = false\n"] {
        let bridge = keyed(&format!("{spec}{TOML}")).ready().await;
        for path in ["/servers", "/"] {
            let answer = bridge.get(path).await;
            assert_eq!(answer.status, 200, "{path}: {}", answer.text);
            let list = answer.json();
            assert_eq!(list["servers"], json!([]), "{path}");
            let message = list["message"].as_str().unwrap();
            assert!(message.contains("Authorization: Bearer"), "{message}");
            for word in ["good", "off", "other", "useful", "F_NOT_SET"] {
                assert!(!answer.text.contains(&format!("\"{word}")), "{word}");
            }
            assert!(!answer.text.contains("F_NOT_SET"), "{}", answer.text);
            for wrong in [
                ("authorization", "Bearer wrong"),
                ("authorization", "Basic d3Jvbmc="),
                ("cookie", "token=eyJhbGciOiJIUzI1NiJ9.e30.x"),
            ] {
                let refused = bridge.send(Method::GET, path, &[wrong], "").await;
                let is_list = refused.status == 200 && refused.json()["servers"] == json!([]);
                let is_cookie = wrong.0 == "cookie";
                assert!(
                    refused.status == 401 || (is_cookie && is_list),
                    "{path} {wrong:?}: {} {}",
                    refused.status,
                    refused.text
                );
            }
        }
        let servers = bridge.get("/servers").await.json();
        assert_eq!(servers["total_servers"], 0);
        assert_eq!(servers["by_tier"], json!({}));
        // Nothing else opens.
        for path in ["/good", "/tenants", "/tools", "/admin/users"] {
            assert_eq!(bridge.get(path).await.status, 401, "{path}");
        }
    }
}

#[tokio::test]
async fn lists_name_the_transport_of_what_is_off_and_the_title() {
    let bridge = keyed(TOML).ready().await;
    let dev = bridge.as_bearer(DEV);
    let list = dev.get("/servers").await.json();
    let told: Vec<_> = list["servers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| (&it["id"], &it["name"], &it["tier"], &it["enabled"]))
        .collect();
    assert_eq!(
        told,
        [
            (
                &json!("good"),
                &json!("Good & useful"),
                &json!("stdio"),
                &json!(true)
            ),
            (&json!("off"), &json!("off"), &json!("sse"), &json!(false)),
        ]
    );
    let own = dev.get("/good").await.json();
    assert_eq!(
        (&own["server"], &own["name"]),
        (&json!("good"), &json!("Good & useful"))
    );
    let document = dev.get("/good/openapi.json").await.json();
    assert_eq!(document["info"]["title"], "Good & useful");
    let merged = dev.get("/openapi.json").await.json();
    let tag = merged["tags"]
        .as_array()
        .unwrap()
        .iter()
        .find(|it| it["name"] == "good");
    let said = tag.unwrap()["description"].as_str().unwrap();
    assert!(said.starts_with("Good & useful"), "{said}");
    assert!(
        merged["paths"]["/good/echo"].is_object(),
        "paths keep the name"
    );
    let page = dev.get("/good/docs").await.text;
    assert!(page.contains("Good &amp; useful"), "{page}");
    let admin = bridge.as_admin().get("/admin/api/bridges").await.json();
    assert_eq!(admin["bridges"][0]["title"], "Good & useful");
    assert_eq!(admin["bridges"][1]["transport"]["kind"], "url");
}

#[tokio::test]
async fn the_routes_of_the_python_proxy_answer_in_its_shapes() {
    let bridge = keyed(TOML).ready().await;
    let dev = bridge.as_bearer(DEV);
    let admin = bridge.as_admin();
    let tenants = dev.get("/tenants").await.json();
    assert_eq!(
        tenants,
        json!({"user": "dev", "tenants": [
            {"tenant_id": "good", "display_name": "Good & useful", "enabled": true},
            {"tenant_id": "off", "display_name": "off", "enabled": false},
        ]})
    );
    let tools = dev.get("/tools").await.json();
    let listed = tools["tools"].as_array().unwrap();
    assert_eq!(
        (&tools["user"], &tools["tenant_count"]),
        (&json!("dev"), &json!(2))
    );
    assert_eq!(tools["tool_count"], listed.len());
    let echo = listed.iter().find(|it| it["name"] == "good_echo").unwrap();
    assert_eq!(echo["tenant_id"], "good");
    assert_eq!(echo["endpoint"], "/good/echo");
    assert!(listed.iter().all(|it| it["tenant_id"] == "good"));
    let none = bridge.as_bearer(NOBODY).get("/tools").await.json();
    assert_eq!((&none["user"], &none["tools"]), (&json!("new"), &json!([])));
    assert!(none["message"].is_string());
    assert_eq!(
        bridge.as_bearer(NOBODY).get("/tenants").await.json()["tenants"],
        json!([])
    );

    for path in ["/portal", "/portal/"] {
        let answer = bridge.get(path).await;
        assert!(
            answer.status == 308 || answer.text.contains("<html"),
            "{path}: {}",
            answer.status
        );
    }

    let member = json!({"email": "Ann@Example.com", "group_name": "readers"});
    for path in [
        "/admin/users",
        "/admin/groups",
        "/admin/servers",
        "/admin/tenant-keys",
        "/admin/endpoints",
    ] {
        assert_eq!(bridge.get(path).await.status, 401, "{path}");
        assert_eq!(dev.get(path).await.status, 403, "{path}");
        let here = admin.get(path).await;
        assert_eq!(here.status, 200, "{path}: {}", here.text);
        let there = admin.get(&path.replace("/admin/", "/admin/api/")).await;
        assert_eq!(here.json(), there.json(), "{path}");
    }
    let refused = dev.post("/admin/users/groups", &member).await;
    assert_eq!(refused.status, 403);
    let added = admin.post("/admin/users/groups", &member).await;
    assert_eq!(
        (added.status, &added.json()["status"]),
        (200, &json!("added"))
    );
    let group = json!({"group_name": "readers", "server_ids": ["good"]});
    let created = admin.post("/admin/groups", &group).await;
    assert_eq!(
        (created.status, &created.json()["status"]),
        (200, &json!("created"))
    );
    let one = admin.get("/admin/groups/readers").await.json();
    assert_eq!(
        (&one["servers"], &one["users"]),
        (&json!(["good"]), &json!(["ann@example.com"]))
    );
    let update = json!({"server_ids": ["other"]});
    let updated = admin.put("/admin/groups/readers", &update).await;
    assert_eq!(updated.json()["servers"], json!(["other"]));
    let gone = admin.delete("/admin/users/groups", &member).await;
    assert_eq!(gone.json()["status"], "removed");
    let deleted = admin.delete("/admin/groups/readers", json!({})).await;
    assert_eq!(deleted.json()["status"], "deleted");
}

#[tokio::test]
async fn a_bridge_cannot_take_the_name_of_a_former_route() {
    for name in ["tenants", "tools", "portal", "admin", "refresh", "servers"] {
        let text = format!("[bridges.{name}]\ncommand = 'true'\n");
        let (code, said) = Setup::toml(&text).args(["check"]).output().await;
        assert_eq!(code, 2, "{said}");
        assert!(
            said.contains(&format!("for example `{name}-server`")),
            "{said}"
        );
    }
}

fn with_database(database: &Postgres) -> Setup {
    keyed(&format!("[database]\nurl = '{}'\n{TOML}", database.url))
}

#[tokio::test]
async fn sql_without_a_schema_reaches_the_tables_that_count() {
    let database = Postgres::create().await;
    let bridge = with_database(&database).ready().await;
    let served = async |key: &str| {
        let body = json!({"message": "hi"});
        bridge.as_bearer(key).call("other/echo", &body).await.status
    };
    assert_eq!(served(DEV).await, 403);
    // As the scripts of the Python proxy have it.
    database
        .execute(
            "INSERT INTO group_tenant_mapping (group_name, tenant_id) VALUES ('developers', 'other'), \
             ('developers', 'good') ON CONFLICT DO NOTHING;
             INSERT INTO user_group_membership (user_email, group_name) VALUES ('ann@example.com', 'developers') \
             ON CONFLICT (user_email, group_name) DO NOTHING;
             INSERT INTO user_admin_status (user_email, is_admin) VALUES ('ann@example.com', true) \
             ON CONFLICT (user_email) DO UPDATE SET is_admin = EXCLUDED.is_admin, updated_at = NOW();
             CREATE TABLE IF NOT EXISTS of_open_webui (id text)",
        )
        .await;
    until(async || served(DEV).await == 200).await;
    let users = bridge.as_admin().get("/admin/users").await.json();
    let ann = users["users"]
        .as_array()
        .unwrap()
        .iter()
        .find(|it| it["email"] == "ann@example.com");
    assert_eq!(ann.unwrap()["is_admin"], true);
    let rows = database
        .column("SELECT tenant_id FROM group_tenant_mapping ORDER BY 1")
        .await;
    assert_eq!(rows, ["good", "off", "other"]);
    let rows = database
        .column("SELECT server_id FROM user_server_access WHERE user_email = 'ann@example.com' ORDER BY 1")
        .await;
    assert_eq!(rows, ["good", "off", "other"]);
    let rows = database
        .column("SELECT group_name FROM group_summary")
        .await;
    assert_eq!(rows, ["developers"]);
    database
        .execute("UPDATE user_admin_status SET is_admin = false; DELETE FROM group_tenant_mapping WHERE tenant_id = 'other'")
        .await;
    until(async || served(DEV).await == 403).await;
    // Whatever else the role makes goes where it went before.
    let schema = database
        .column("SELECT schemaname::text FROM pg_tables WHERE tablename = 'of_open_webui'")
        .await;
    assert_eq!(schema, ["public"]);
    assert!(!bridge.log().contains("does not read"), "{}", bridge.log());
}

#[tokio::test]
async fn rows_in_a_copy_of_a_table_are_warned_of() {
    let database = Postgres::create().await;
    let mut bridge = with_database(&database).ready().await;
    let says = async |bridge: &Bridge| {
        let checked = bridge.cli(&["check"]).await;
        assert_eq!(checked.code, 0, "{checked:?}");
        checked.stderr
    };
    assert!(!says(&bridge).await.contains("does not read"));
    database
        .execute(
            "CREATE TABLE public.group_tenant_mapping (group_name text, tenant_id text, created_at timestamp);
             INSERT INTO group_tenant_mapping VALUES ('developers', 'other'), ('developers', 'good')",
        )
        .await;
    let warning = "a table `public.group_tenant_mapping` that mcp-bridge does not read; what counts is \
        `mcp_proxy.group_tenant_mapping`, and 1 row of the copy is missing there";
    let said = says(&bridge).await;
    assert!(said.contains(warning), "{said}");
    assert!(
        said.contains("DROP TABLE public.group_tenant_mapping"),
        "{said}"
    );
    bridge.kill().await;
    bridge.start_again().await;
    until(async || bridge.log().contains(warning)).await;
    // What it says to do about it.
    let begin = said.find("INSERT INTO mcp_proxy.").unwrap();
    let statement = said[begin..].split('`').next().unwrap();
    database.execute(statement).await;
    let said = says(&bridge).await;
    assert!(
        said.contains("SQL without a schema changes the copy"),
        "{said}"
    );
    database
        .execute("DROP TABLE public.group_tenant_mapping")
        .await;
    assert!(!says(&bridge).await.contains("does not read"));
    let rows = database
        .column("SELECT tenant_id FROM group_tenant_mapping ORDER BY 1")
        .await;
    assert_eq!(rows, ["good", "off", "other"]);
}

/// A server that starts as long as a file is there.
async fn mortal(server: &str) -> Bridge {
    let program = env!("CARGO_BIN_EXE_mcp-bridge");
    let toml = format!(
        "[server]\n{server}\n{TOML}[bridges.mortal]\ncommand = 'sh'\nargs = ['-c', 'test -e {{dir}}/alive && exec {program} demo-server']\n"
    );
    let setup = keyed(&toml);
    setup.write("alive", "");
    let bridge = setup.ready().await;
    bridge.until_published("/mortal/get_time").await;
    fs::remove_file(bridge.dir.path().join("alive")).unwrap();
    let path = "/admin/api/bridges/mortal/restart";
    let answer = bridge.as_admin().post(path, json!({})).await;
    assert_eq!(answer.json()["status"], "failed", "{}", answer.text);
    bridge
}

async fn refreshed(bridge: &Bridge, query: &str, body: &Value) -> Value {
    let path = format!("/refresh{query}");
    let answer = bridge.as_admin().post(&path, body).await;
    answer.ok()
}

fn has_mortal(list: &Value) -> bool {
    let names = list["tools"].as_array().unwrap().iter();
    names
        .filter_map(Value::as_str)
        .any(|it| it.starts_with("mortal_"))
}

async fn is_published(bridge: &Bridge) -> bool {
    bridge.get("/openapi.json").await.text.contains("/mortal/")
}

#[tokio::test]
async fn a_refresh_drops_the_tools_of_dead_servers_where_it_is_asked_to() {
    let bridge = mortal("").await;
    let admin = bridge.as_admin();
    for (query, body) in [
        ("", Value::Null),
        ("", json!({})),
        ("?drop_dead=false", Value::Null),
    ] {
        let list = refreshed(&bridge, query, &body).await;
        assert!(
            has_mortal(&list) && is_published(&bridge).await,
            "{query} {list}"
        );
        assert_eq!(list["dropped"], json!([]));
    }
    let list = refreshed(&bridge, "?drop_dead=true", &Value::Null).await;
    assert_eq!(list["dropped"], json!(["mortal"]));
    assert!(!has_mortal(&list) && !is_published(&bridge).await, "{list}");
    // A call is told that it may come back.
    let answer = admin.call("mortal/get_time", json!({})).await;
    answer.assert_error(503, "unavailable");
    bridge.write("alive", "");
    let list = refreshed(&bridge, "", &Value::Null).await;
    assert!(has_mortal(&list) && is_published(&bridge).await, "{list}");
    // Servers that are up keep their tools.
    let list = refreshed(&bridge, "", &json!({"drop_dead": true})).await;
    assert!(has_mortal(&list), "{list}");
    assert_eq!(list["dropped"], json!([]));
    let wrong = admin.post("/refresh", json!({"drop_dead": 1})).await;
    wrong.assert_error(422, "invalid_request");
    let refused = bridge
        .as_bearer(DEV)
        .post("/refresh?drop_dead=true", "")
        .await;
    assert_eq!(refused.status, 403);
}

#[tokio::test]
async fn the_file_may_say_that_dead_tools_are_dropped() {
    let bridge = mortal("drop_dead = true").await;
    let list = refreshed(&bridge, "?drop_dead=false", &Value::Null).await;
    assert!(has_mortal(&list), "{list}");
    let list = refreshed(&bridge, "", &Value::Null).await;
    assert_eq!(list["dropped"], json!(["mortal"]));
    assert!(!has_mortal(&list) && !is_published(&bridge).await, "{list}");
}
