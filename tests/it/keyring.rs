//! What groups call servers with, and what is sealed: the admin API, the command line, the key, at
//! the real binary.

use std::{fs, path::PathBuf};

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Answer, Bridge, Postgres, Setup, until};

const ADMIN: &str = "key-of-the-administrators";
/// What must be seen nowhere.
const VALUE: &str = "the-value-of-the-group";
const KEY: &str = "0123456789abcdef0123456789abcdef";
const OTHER_KEY: &str = "fedcba9876543210fedcba9876543210";

const TOML: &str = "
[database]
url = '${DB:-}'
secret_key = '${BRIDGE_SECRET_KEY:-}'
secret_keys_old = ['${BRIDGE_SECRET_KEY_OLD:-}']
[identity.keys.ops]
key = '${ADMIN}'
groups = ['MCP-Admin']
[access.groups]
support = ['good']
[bridges.good]
{bad good}
description = '${TOKEN:-}'
";

fn setup() -> Setup {
    Setup::toml(TOML).admin_key("ADMIN", ADMIN)
}

/// One that must succeed.
async fn done(bridge: &Bridge, method: Method, path: &str, body: Value) -> Value {
    let answer = bridge.admin_api().send(method, path, body).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.text);
    assert!(!answer.text.contains(VALUE), "{path}: {}", answer.text);
    answer.json()
}

async fn get(bridge: &Bridge, path: &str) -> Value {
    done(bridge, Method::GET, path, Value::Null).await
}

/// A key of `support`.
fn key(variable: &str, value: &str) -> Value {
    json!({ "tenant_id": "support", "server_id": "good", "key_name": variable, "key_value": value })
}

/// Runs a command with variables and an input: exit code, and everything it printed.
async fn run(bridge: &Bridge, words: &[&str], env: &[(&str, &str)], input: &str) -> (i32, String) {
    let (code, said) = bridge.cli_with(words, env, input).await.said();
    assert!(!said.contains(VALUE), "{words:?}: {said}");
    (code, said)
}

/// Without variables and input.
async fn cli(bridge: &Bridge, words: &[&str]) -> (i32, String) {
    run(bridge, words, &[], "").await
}

fn key_file(bridge: &Bridge) -> PathBuf {
    bridge.dir.path().join("mcp-bridge.key")
}

/// What administrators do, and what everybody sees of it.
async fn assert_keys_and_endpoints(bridge: &Bridge) {
    assert_keys(bridge).await;
    assert_endpoints(bridge).await;
    assert_removed(bridge).await;
}

/// A key is stored, listed and never shown.
async fn assert_keys(bridge: &Bridge) {
    let made = done(bridge, Method::POST, "/tenant-keys", key("TOKEN", VALUE)).await;
    assert_eq!(
        made,
        json!({
            "status": "created", "tenant_id": "support", "server_id": "good", "key_name": "TOKEN",
            "known": true,
        })
    );
    let listed = get(bridge, "/tenant-keys").await;
    assert_eq!(listed["count"], 1);
    let mut row = listed["keys"][0].clone();
    assert!(row["updated_at"].take().is_string());
    assert_eq!(
        row,
        json!({
            "problem": null, "tenant_id": "support", "server_id": "good", "key_name": "TOKEN",
            "has_value": "***", "updated_at": null,
        })
    );
    assert_eq!(get(bridge, "/tenant-keys/support").await["count"], 1);
    assert_eq!(get(bridge, "/tenant-keys/others").await["count"], 0);

    for (body, status) in [
        (key("NO TOKEN", VALUE), 422),
        (key("TOKEN", "  "), 422),
        (key("TOKEN", "a\0b"), 422),
        (
            json!({ "tenant_id": "support", "server_id": "good", "key_name": "TOKEN" }),
            422,
        ),
        (
            json!({ "tenant_id": "support", "server_id": "good", "key_name": "TOKEN", "key_value": [VALUE] }),
            422,
        ),
        (
            json!({ "tenant_id": "a,b", "server_id": "good", "key_name": "TOKEN", "key_value": VALUE }),
            400,
        ),
        (
            json!({ "tenant_id": "support", "server_id": "a/b", "key_name": "TOKEN", "key_value": VALUE }),
            422,
        ),
    ] {
        let answer = bridge.admin_api().post("/tenant-keys", &body).await;
        assert_eq!(answer.status, status, "{body}: {}", answer.text);
        assert!(!answer.text.contains(VALUE), "{}", answer.text);
    }
}

/// An endpoint is stored and listed.
async fn assert_endpoints(bridge: &Bridge) {
    let endpoint =
        |url: &str| json!({ "tenant_id": "support", "server_id": "good", "endpoint_url": url });
    let url = "https://support.example.org/mcp";
    let made = done(bridge, Method::POST, "/endpoints", endpoint(url)).await;
    assert_eq!(
        (&made["status"], &made["endpoint_url"]),
        (&json!("created"), &json!(url))
    );
    for bad in [
        "ftp://example.org",
        "example.org",
        "file:///x",
        "https://a:b@example.org",
    ] {
        let answer = bridge.admin_api().post("/endpoints", &endpoint(bad)).await;
        assert_eq!(
            (answer.status, answer.code()),
            (400, "invalid_endpoint".to_owned()),
            "{bad}"
        );
    }
    let listed = get(bridge, "/endpoints").await;
    assert_eq!(
        listed,
        json!({ "count": 1, "endpoints": [{
            "problem": null, "tenant_id": "support", "server_id": "good", "endpoint_url": url,
        }] })
    );
}

/// Both go again, and all of it was written down.
async fn assert_removed(bridge: &Bridge) {
    let admin = bridge.admin_api();
    let old = json!({ "tenant_id": "support", "server_id": "good", "key_name": "TOKEN" });
    let gone = done(bridge, Method::DELETE, "/tenant-keys", old.clone()).await;
    assert_eq!(gone["status"], "deleted");
    assert_eq!(admin.delete("/tenant-keys", &old).await.status, 404);
    let old = json!({ "tenant_id": "support", "server_id": "good" });
    assert_eq!(
        done(bridge, Method::DELETE, "/endpoints", old.clone()).await["status"],
        "deleted"
    );
    assert_eq!(admin.delete("/endpoints", &old).await.status, 404);

    let changes = get(bridge, "/changes?actor=ops").await;
    let told = changes["changes"].as_array().unwrap().iter().rev();
    let told: Vec<_> = told
        .map(|it| {
            format!(
                "{} {}",
                it["action"].as_str().unwrap(),
                it["target"].as_str().unwrap()
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            "set_group_key support good TOKEN",
            "set_endpoint support good",
            "remove_group_key support good TOKEN",
            "remove_endpoint support good",
        ]
    );
    assert!(!bridge.log().contains(VALUE));
}

#[tokio::test]
async fn administrators_keep_what_groups_call_with() {
    let bridge = setup().with_database().await;
    assert!(!key_file(&bridge).exists(), "it is made when it is needed");
    assert_keys_and_endpoints(&bridge).await;
    assert_eq!(
        fs::read_to_string(key_file(&bridge)).unwrap().trim().len(),
        64
    );
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = key_file(&bridge).metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    let base = Postgres::create().await;
    let setup = setup().env("DB", &base.url).env("BRIDGE_SECRET_KEY", KEY);
    let bridge = setup.with_database().await;
    assert_keys_and_endpoints(&bridge).await;
    done(&bridge, Method::POST, "/tenant-keys", key("TOKEN", VALUE)).await;
    let stored = base
        .column("SELECT key_value FROM mcp_proxy.tenant_server_keys")
        .await;
    assert!(stored[0].starts_with("sealed:v1:") && !stored[0].contains(VALUE));
    assert!(!key_file(&bridge).exists());
}

#[tokio::test]
async fn replicas_make_no_keys_of_their_own() {
    let base = Postgres::create().await;
    let bridge = setup().env("DB", &base.url).with_database().await;
    base.execute(
        "INSERT INTO mcp_proxy.tenant_server_keys (tenant_id, server_id, key_name, key_value)
         VALUES ('support', 'good', 'OLD', 'plain-from-before')",
    )
    .await;
    let answer = bridge
        .admin_api()
        .post("/tenant-keys", &key("TOKEN", VALUE))
        .await;
    answer.assert_error(503, "no_secret_key");
    assert!(
        answer
            .text
            .contains("set BRIDGE_SECRET_KEY (openssl rand -hex 32)"),
        "{}",
        answer.text
    );
    until(async || {
        bridge
            .log()
            .contains("are stored in the database in plain text")
    })
    .await;
    assert!(!key_file(&bridge).exists());
    let env = [("DB", base.url.as_str())];
    let (code, said) = run(
        &bridge,
        &["access", "group-key", "set", "support", "good", "TOKEN"],
        &env,
        VALUE,
    )
    .await;
    assert!(
        code == 1 && said.contains("set BRIDGE_SECRET_KEY"),
        "{said}"
    );
    let (code, said) = run(&bridge, &["secrets", "check"], &env, "").await;
    assert!(code == 1 && said.contains("plain text"), "{said}");
    let stored = base
        .column("SELECT key_value FROM mcp_proxy.tenant_server_keys")
        .await;
    assert_eq!(
        stored,
        ["plain-from-before"],
        "it counts as it is until there is a key"
    );

    // With a key the next start seals it.
    let again = setup()
        .env("DB", &base.url)
        .env("BRIDGE_SECRET_KEY", KEY)
        .with_database()
        .await;
    until(async || {
        let stored = base
            .column("SELECT key_value FROM mcp_proxy.tenant_server_keys")
            .await;
        stored[0].starts_with("sealed:v1:")
    })
    .await;
    assert_eq!(
        get(&again, "/tenant-keys").await["keys"][0]["problem"],
        Value::Null
    );
    assert!(!again.log().contains("plain-from-before"));
}

#[tokio::test]
async fn the_command_line_keeps_keys_of_groups() {
    let bridge = setup().with_database().await;
    let set = ["access", "group-key", "set", "support", "good", "TOKEN"];
    let (code, said) = run(&bridge, &set, &[], &format!("{VALUE}\n")).await;
    assert_eq!(code, 0, "{said}");
    let (code, said) = run(
        &bridge,
        &["access", "group-key", "set", "support", "none", "T"],
        &[],
        "x",
    )
    .await;
    assert!(
        code == 0 && said.contains("no bridge of the configuration"),
        "{said}"
    );
    for (words, input, why) in [
        (&set[..], "", "the value is empty"),
        (
            &["access", "group-key", "set", "support", "good", "NO TOKEN"][..],
            "x",
            "is not a valid variable name",
        ),
        (&set[..], &"x".repeat(70_000), "more than"),
    ] {
        let (code, said) = run(&bridge, words, &[], input).await;
        assert!(code == 1 && said.contains(why), "{words:?}: {said}");
    }
    // The value is no argument: lists of processes show those.
    let (code, _) = run(&bridge, &[&set[..], &["value"]].concat(), &[], "").await;
    assert_eq!(code, 2);

    let (code, said) = cli(&bridge, &["access", "group-key", "list"]).await;
    assert!(code == 0 && said.contains("support  good  TOKEN"), "{said}");
    let (_, said) = cli(
        &bridge,
        &[
            "access",
            "group-key",
            "list",
            "--json",
            "--group",
            "support",
        ],
    )
    .await;
    let listed: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(listed.as_array().unwrap().len(), 2, "{said}");
    assert_eq!(listed[0]["variable"], "TOKEN");
    // The running bridge knows it.
    assert_eq!(get(&bridge, "/tenant-keys").await["count"], 2);
    let remove = ["access", "group-key", "remove", "support", "good", "TOKEN"];
    let (code, said) = cli(&bridge, &remove).await;
    assert_eq!(code, 0, "{said}");
    let (code, said) = cli(&bridge, &remove).await;
    assert!(code == 1 && said.contains("group-key list"), "{said}");
    let stored = bridge.sql("SELECT key_value FROM tenant_server_keys").await;
    assert!(
        stored.len() == 1 && stored[0].starts_with("sealed:v1:"),
        "{stored:?}"
    );
}

#[tokio::test]
async fn a_key_that_is_lost_destroys_nothing() {
    let mut bridge = setup().with_database().await;
    let (code, said) = cli(&bridge, &["secrets", "check"]).await;
    assert!(
        code == 0 && said.contains("there are no stored secrets"),
        "{said}"
    );
    done(&bridge, Method::POST, "/tenant-keys", key("TOKEN", VALUE)).await;
    let (code, said) = cli(&bridge, &["secrets", "check"]).await;
    assert!(
        code == 0 && said.contains("group keys: 1 under the current key"),
        "{said}"
    );
    let rows = bridge.sql("SELECT key_value FROM tenant_server_keys").await;
    let kept = fs::read_to_string(key_file(&bridge)).unwrap();

    // Lost: said by the list, the log and the command line.
    bridge.kill().await;
    fs::remove_file(key_file(&bridge)).unwrap();
    bridge.start_again().await;
    until(async || {
        let listed = bridge.admin_api().get("/tenant-keys").await;
        listed.status == 200 && listed.json()["keys"][0]["problem"].is_string()
    })
    .await;
    assert!(
        bridge
            .log()
            .contains("the credentials of a group cannot be used")
    );
    for command in ["check", "rotate"] {
        let (code, said) = cli(&bridge, &["secrets", command]).await;
        assert!(
            code == 1 && said.contains("does not exist; restore it"),
            "{said}"
        );
    }
    assert!(!key_file(&bridge).exists(), "to look at it makes no key");

    // Wrong: another one is there.
    let wrong = [("BRIDGE_SECRET_KEY", OTHER_KEY)];
    for command in ["check", "rotate"] {
        let (code, said) = run(&bridge, &["secrets", command], &wrong, "").await;
        assert!(
            code == 1 && said.contains("1 cannot be decrypted"),
            "{said}"
        );
        assert!(
            said.contains("`TOKEN` of group `support` for `good`"),
            "{said}"
        );
        assert!(said.contains("which is not configured"), "{said}");
    }
    assert_eq!(
        bridge.sql("SELECT key_value FROM tenant_server_keys").await,
        rows
    );

    // Back again, as the old one beside a new one: everything moves over.
    let both = [
        ("BRIDGE_SECRET_KEY", OTHER_KEY),
        ("BRIDGE_SECRET_KEY_OLD", kept.trim()),
    ];
    let (code, said) = run(&bridge, &["secrets", "check"], &both, "").await;
    assert!(code == 0 && said.contains("1 under an old key"), "{said}");
    let (code, said) = run(&bridge, &["secrets", "rotate"], &both, "").await;
    assert!(code == 0 && said.contains("1 encrypted again"), "{said}");
    let (code, said) = run(&bridge, &["secrets", "check"], &wrong, "").await;
    assert!(
        code == 0 && said.contains("1 under the current key"),
        "{said}"
    );
    for shown in [&bridge.log(), &said] {
        assert!(!shown.contains(kept.trim()) && !shown.contains(OTHER_KEY));
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_key_file_is_taken_from_others() {
    use std::os::unix::fs::PermissionsExt as _;
    let bridge = setup().with_database().await;
    let path = key_file(&bridge);
    fs::write(&path, KEY).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    done(&bridge, Method::POST, "/tenant-keys", key("TOKEN", VALUE)).await;
    let mode = path.metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(bridge.log().contains("other users could read the key file"));
    fs::write(&path, "short").unwrap();
    let (code, said) = cli(&bridge, &["secrets", "check"]).await;
    assert!(code == 1 && said.contains("too short for a key"), "{said}");
}

#[tokio::test]
async fn plain_keys_are_sealed_at_the_start() {
    let mut bridge = setup().with_database().await;
    bridge.kill().await;
    bridge
        .sql(
            "INSERT INTO tenant_server_keys (tenant_id, server_id, key_name, key_value) \
         VALUES ('support', 'good', 'TOKEN', 'the-value-of-the-group')",
        )
        .await;
    bridge.start_again().await;
    until(async || {
        let stored = bridge.sql("SELECT key_value FROM tenant_server_keys").await;
        stored[0].starts_with("sealed:v1:")
    })
    .await;
    until(async || bridge.admin_api().get("/users").await.status == 200).await;
    assert_eq!(
        get(&bridge, "/tenant-keys").await["keys"][0]["problem"],
        Value::Null
    );
    let (code, said) = cli(&bridge, &["secrets", "check"]).await;
    assert!(
        code == 0 && said.contains("1 under the current key"),
        "{said}"
    );
    assert!(!bridge.log().contains(VALUE));
}

/// Two groups that call the same server, which tells what it was started with.
const GROUPS: &str = "
[identity.keys.ops]
key = '${ADMIN}'
groups = ['MCP-Admin']
[identity.keys.support]
key = 'key-of-the-support-team'
groups = ['none', 'support', 'devs']
[identity.keys.devs]
key = 'key-of-the-developers'
groups = ['devs']
[access.groups]
support = ['good']
devs = ['good']
[bridges.good]
{bad good}
env = { TOKEN = '${TOKEN}' }
";

/// The token that a member's call reaches the server with, or why there is none.
async fn token(bridge: &Bridge, member: &str) -> Result<String, Answer> {
    let caller = bridge.as_bearer(&format!("key-of-the-{member}"));
    let answer = caller.call("good/env", "{}").await;
    assert!(!answer.text.contains(VALUE), "{}", answer.text);
    if answer.status == 200 {
        Ok(answer.json()["TOKEN"].as_str().unwrap().to_owned())
    } else {
        Err(answer)
    }
}

#[tokio::test]
async fn members_call_with_what_their_group_has() {
    // Texts so short are no secrets, and so they show in answers.
    let setup = Setup::toml(GROUPS)
        .admin_key("ADMIN", ADMIN)
        .env("TOKEN", "all");
    let bridge = setup.with_database().await;
    let says = async |member: &str, value: &str| token(&bridge, member).await.unwrap() == value;
    assert!(says("support-team", "all").await && says("developers", "all").await);

    done(&bridge, Method::POST, "/tenant-keys", key("TOKEN", "own")).await;
    until(async || says("support-team", "own").await).await;
    assert!(says("developers", "all").await);
    // Another value is another session.
    done(&bridge, Method::POST, "/tenant-keys", key("TOKEN", "new")).await;
    until(async || says("support-team", "new").await).await;
    // What is long enough to be a secret is none of the caller's business.
    done(&bridge, Method::POST, "/tenant-keys", key("TOKEN", VALUE)).await;
    until(async || says("support-team", "***").await).await;

    // What does not open is refused, and not replaced by what others have.
    bridge
        .sql("UPDATE tenant_server_keys SET key_value = substr(key_value, 1, 60)")
        .await;
    until(async || token(&bridge, "support-team").await.is_err()).await;
    let refused = token(&bridge, "support-team").await.unwrap_err();
    assert_eq!(refused.status, 503, "{}", refused.text);
    assert!(refused.text.contains("support"), "{}", refused.text);
    assert!(says("developers", "all").await);

    let old = json!({ "tenant_id": "support", "server_id": "good", "key_name": "TOKEN" });
    done(&bridge, Method::DELETE, "/tenant-keys", old).await;
    until(async || {
        token(&bridge, "support-team")
            .await
            .is_ok_and(|it| it == "all")
    })
    .await;
    assert!(!bridge.log().contains(VALUE));
}
