//! Who may use what: groups and grants, at the real binary with its own database.

use reqwest::Method;
use serde_json::Value;

use crate::harness::{Answer, Bridge, CliOutput, Setup, TestCaller, until};

const TEAM: &str = "
[identity.keys.dev]
key = '${DEV_KEY}'
groups = ['developers']
[identity.keys.pm]
key = '${PM_KEY}'
groups = ['project-managers']
[identity.keys.bot]
key = '${BOT_KEY}'
groups = ['bots']
[identity.keys.root]
key = '${ROOT_KEY}'
groups = ['MCP-Admin']
[identity.keys.chat]
key = '${CHAT_KEY}'
forwards = true
[access.groups]
developers = ['good', 'off']
project-managers = ['other']
bots = [{ bridge = 'good', tools = ['ec*', 'calls'] }]
[bridges.good]
{bad good --record {dir}/good.calls}
[bridges.other]
{bad good --record {dir}/other.calls}
[bridges.off]
url = 'http://127.0.0.1:9/${NOWHERE}'
";

const HI: &str = r#"{"message": "hi"}"#;

const KEYS: [(&str, &str); 4] = [
    ("DEV_KEY", "key-of-dev"),
    ("PM_KEY", "key-of-pm"),
    ("BOT_KEY", "key-of-bot"),
    ("ROOT_KEY", "key-of-root"),
];

fn setup(toml: &str) -> Setup {
    let keys = KEYS.into_iter();
    keys.fold(Setup::toml(toml), |setup, (name, key)| setup.env(name, key))
        .forwarder_key("CHAT_KEY", "key-of-chat")
}

async fn team() -> Bridge {
    setup(TEAM).ready().await
}

/// A caller with a key.
fn keyed<'a>(bridge: &'a Bridge, key: &str) -> TestCaller<'a> {
    bridge.as_bearer(&format!("key-of-{key}"))
}

/// A call of a user whom Open WebUI names.
async fn of_user(bridge: &Bridge, user: &str, path: &str) -> Answer {
    let user = bridge.as_user(user).with("x-openwebui-user-id", "u-1");
    let user = user.with("x-openwebui-user-role", "user");
    user.post(path, HI).await
}

/// Runs `mcp-bridge access …` beside the running bridge.
async fn access(bridge: &Bridge, words: &[&str]) -> CliOutput {
    bridge.cli(&[&["access"], words].concat()).await
}

/// Runs it and expects it to work.
async fn done(bridge: &Bridge, words: &[&str]) -> String {
    access(bridge, words).await.ok()
}

/// The ids in `GET /servers`.
async fn listed(bridge: &Bridge, key: &str) -> Vec<String> {
    let list = keyed(bridge, key).get("/servers").await.json();
    let servers = list["servers"].as_array().unwrap();
    assert_eq!(list["total_servers"], servers.len());
    servers
        .iter()
        .map(|it| it["id"].as_str().unwrap().to_owned())
        .collect()
}

/// Key, path, status, code, what the detail names.
const CALLS: &[(&str, &str, u16, &str, &str)] = &[
    ("dev", "/good/echo", 200, "", ""),
    ("dev", "/good_echo", 200, "", ""),
    (
        "dev",
        "/other/echo",
        403,
        "forbidden",
        "tool `echo` of bridge `other`",
    ),
    (
        "dev",
        "/other_echo",
        403,
        "forbidden",
        "tool `echo` of bridge `other`",
    ),
    (
        "dev",
        "/good/nothing",
        404,
        "not_found",
        "no tool `nothing`",
    ),
    (
        "dev",
        "/other/nothing",
        403,
        "forbidden",
        "tool `nothing` of bridge `other`",
    ),
    (
        "dev",
        "/other_nothing",
        403,
        "forbidden",
        "tool `nothing` of bridge `other`",
    ),
    ("dev", "/off/x", 503, "disabled", "NOWHERE"),
    ("pm", "/off/x", 403, "forbidden", "tool `x` of bridge `off`"),
    ("pm", "/other/echo", 200, "", ""),
    ("pm", "/good/echo", 403, "forbidden", ""),
    ("bot", "/good/echo", 200, "", ""),
    (
        "bot",
        "/good/pid",
        403,
        "forbidden",
        "tool `pid` of bridge `good`",
    ),
    (
        "bot",
        "/good/nothing",
        403,
        "forbidden",
        "tool `nothing` of bridge `good`",
    ),
    ("bot", "/good/echoes", 404, "not_found", ""),
    ("bot", "/other/echo", 403, "forbidden", ""),
    ("root", "/good/echo", 200, "", ""),
    ("root", "/other/pid", 200, "", ""),
    // A forwarder of nobody is in no group.
    ("chat", "/good/echo", 403, "forbidden", ""),
    ("wrong", "/good/echo", 401, "unauthorized", ""),
    ("wrong", "/good/nothing", 401, "unauthorized", ""),
    ("wrong", "/off/x", 401, "unauthorized", ""),
];

#[tokio::test]
async fn a_call_without_a_grant_is_refused_and_no_server_hears_of_it() {
    let bridge = team().await;
    let mut wrong = Vec::new();
    for &(key, path, status, code, names) in CALLS {
        let answer = keyed(&bridge, key).post(path, HI).await;
        let is_right = answer.status == status
            && (status == 200 || answer.code() == code)
            && answer.text.contains(names)
            && !answer.text.contains("groups may");
        if !is_right {
            wrong.push(format!("{key} {path}: {} {}", answer.status, answer.text));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    for path in ["/good/echo", "/good/nothing", "/off/x"] {
        assert_eq!(bridge.post(path, HI).await.status, 401, "{path}");
        let answer = keyed(&bridge, "pm").get(path).await;
        assert_eq!(answer.status, 403, "GET {path}: {}", answer.text);
    }
    assert_eq!(bridge.calls("good.calls").len(), 4);
    assert_eq!(bridge.calls("other.calls").len(), 2);
    // The body is not even read.
    let answer = keyed(&bridge, "pm").call("good/echo", "{").await;
    assert_eq!(answer.status, 403);
}

#[tokio::test]
async fn every_outcome_is_written_down_once() {
    let bridge = team().await;
    for (key, path) in [
        ("dev", "/good/echo"),
        ("pm", "/good/echo"),
        ("bot", "/good_echo"),
        ("dev", "/good/nothing"),
        ("dev", "/nowhere/at/all"),
        ("wrong", "/good/echo"),
        ("wrong", "/nowhere/at/all"),
        ("dev", "/good/fail"),
        ("root", "/other/pid"),
    ] {
        keyed(&bridge, key).post(path, HI).await;
    }
    let dev = keyed(&bridge, "dev").with("x-request-id", "no-json");
    dev.call("good/echo", "{").await;
    let sql = "SELECT caller, proof, group_names, rule, bridge, tool, outcome, status, peer FROM bridge_call ORDER BY called_at, id";
    until(async || bridge.sql(sql).await.len() >= 9).await;
    let peer = "127.0.0.1";
    assert_eq!(
        bridge.sql(sql).await,
        [
            format!(r#"dev|api_key|["developers"]|grant developers|good|echo|ok|200|{peer}"#),
            format!(r#"pm|api_key|["project-managers"]|no_grant|good|echo|forbidden|403|{peer}"#),
            format!(r#"bot|api_key|["bots"]|narrowed_grant bots|good|echo|ok|200|{peer}"#),
            format!(
                r#"dev|api_key|["developers"]|grant developers|good|nothing|not_found|404|{peer}"#
            ),
            format!("dev|api_key|[]|none|nowhere|at/all|not_found|404|{peer}"),
            format!("NULL|none|[]|none|good|echo|unauthorized|401|{peer}"),
            format!(
                r#"dev|api_key|["developers"]|grant developers|good|fail|tool_error|422|{peer}"#
            ),
            format!(r#"root|api_key|["MCP-Admin"]|admin_group MCP-Admin|other|pid|ok|200|{peer}"#),
            format!(
                r#"dev|api_key|["developers"]|grant developers|good|echo|invalid_json|400|{peer}"#
            ),
        ],
        "{}",
        bridge.log()
    );
    let sql = "SELECT request_bytes, response_bytes > 0, request_id = 'no-json', arguments FROM bridge_call WHERE tool = 'echo' ORDER BY called_at, id";
    let sizes = bridge.sql(sql).await;
    assert_eq!(sizes.first().unwrap(), "17|1|0|NULL");
    assert_eq!(sizes.last().unwrap(), "1|1|1|NULL");
    assert!(!bridge.log().contains("key-of"), "{}", bridge.log());
}

#[tokio::test]
async fn lists_hold_what_their_reader_may_use() {
    let bridge = team().await;
    bridge.until_published("/other/echo").await;
    assert_eq!(listed(&bridge, "dev").await, ["good", "off"]);
    assert_eq!(listed(&bridge, "pm").await, ["other"]);
    assert_eq!(listed(&bridge, "bot").await, ["good"]);
    assert_eq!(listed(&bridge, "root").await, ["good", "other", "off"]);
    assert_eq!(listed(&bridge, "chat").await, [""; 0]);
    assert_eq!(bridge.get("/good").await.status, 401);
    for path in ["/", "/servers"] {
        assert_eq!(
            bridge.get(path).await.json()["servers"],
            serde_json::json!([]),
            "{path}"
        );
    }
    let root = keyed(&bridge, "pm").get("/").await.json();
    assert_eq!(root["servers"].as_array().unwrap().len(), 1);
    let own = keyed(&bridge, "bot").get("/good").await.json();
    assert_eq!(own["tool_count"], 2);
    assert_eq!(own["tools"][0]["name"], "echo");
    assert_eq!(own["tools"][1]["name"], "calls");
    let refused = keyed(&bridge, "pm").get("/good").await;
    refused.assert_error(403, "forbidden");
}

#[tokio::test]
async fn documents_hold_what_their_reader_may_call() {
    let bridge = team().await;
    bridge.until_published("/other/echo").await;
    let paths = |answer: &Answer| -> Vec<String> {
        let document = answer.json();
        let paths = document["paths"].as_object().unwrap();
        paths.keys().cloned().collect()
    };
    let public = bridge.get("/openapi.json").await;
    assert!(public.header("vary").contains("authorization"));
    let by_root = keyed(&bridge, "root").get("/openapi.json").await;
    assert_eq!(by_root.text, public.text);
    // Open WebUI fetches documents without a user.
    let by_chat = keyed(&bridge, "chat").get("/openapi.json").await;
    assert_eq!(by_chat.text, public.text);
    let by_bot = keyed(&bridge, "bot").get("/openapi.json").await;
    assert_eq!(paths(&by_bot), ["/good/echo", "/good/calls"]);
    assert_ne!(by_bot.header("etag"), public.header("etag"));
    assert!(
        by_bot
            .header("vary")
            .to_ascii_lowercase()
            .contains("authorization, cookie")
    );
    let id = |answer: &Answer| answer.json()["paths"]["/good/echo"]["post"]["operationId"].clone();
    assert_eq!(id(&by_bot), id(&public));
    let again = keyed(&bridge, "bot").get("/openapi.json").await;
    assert_eq!(
        (again.text.as_str(), again.header("etag")),
        (by_bot.text.as_str(), by_bot.header("etag"))
    );
    for (key, status) in [("bot", 304), ("pm", 200)] {
        let caller = keyed(&bridge, key).with("if-none-match", by_bot.header("etag"));
        let answer = caller.get("/openapi.json").await;
        assert_eq!(answer.status, status, "{key}");
    }
    let by_dev = keyed(&bridge, "dev").get("/openapi.json").await;
    assert!(
        paths(&by_dev).iter().all(|path| path.starts_with("/good/")),
        "{:?}",
        paths(&by_dev)
    );
    let own = keyed(&bridge, "bot").get("/good/openapi.json").await;
    assert_eq!(paths(&own), ["/echo", "/calls"]);
    assert_eq!(
        keyed(&bridge, "pm").get("/good/openapi.json").await.status,
        403
    );
    assert_eq!(keyed(&bridge, "pm").get("/good/docs").await.status, 403);
    assert_eq!(
        keyed(&bridge, "wrong").get("/openapi.json").await.status,
        401
    );
    assert_eq!(keyed(&bridge, "wrong").get("/docs").await.status, 401);
    assert_eq!(bridge.get("/good/openapi.json").await.status, 200);
}

#[tokio::test]
async fn where_documents_are_not_public_nobody_reads_them_unknown() {
    let bridge = setup(&format!("[server]\npublic_spec = false\n{TEAM}"))
        .ready()
        .await;
    for path in [
        "/openapi.json",
        "/docs",
        "/good/openapi.json",
        "/good/docs",
        "/nothing",
    ] {
        assert_eq!(bridge.get(path).await.status, 401, "{path}");
    }
    let document = keyed(&bridge, "bot").get("/openapi.json").await.json();
    assert_eq!(document["paths"].as_object().unwrap().len(), 2);
    let document = keyed(&bridge, "chat").get("/openapi.json").await.json();
    assert!(document["paths"].as_object().unwrap().len() > 20);
}

#[tokio::test]
async fn a_running_bridge_obeys_the_command_line_at_once() {
    let bridge = team().await;
    let status = async |user: &str| of_user(&bridge, user, "/good/echo").await.status;
    assert_eq!(status("ann@example.org").await, 403);
    done(&bridge, &["add", "Ann@Example.org", "guests"]).await;
    done(&bridge, &["grant", "guests", "good", "--tools", "ec*"]).await;
    until(async || status("ann@example.org").await == 200).await;
    assert_eq!(
        of_user(&bridge, "ANN@example.ORG", "/good/echo")
            .await
            .status,
        200
    );
    assert_eq!(
        of_user(&bridge, "ann@example.org", "/good/pid")
            .await
            .status,
        403
    );
    assert_eq!(status("bob@example.org").await, 403);

    let list = done(&bridge, &["list", "--group", "guests"]).await;
    assert_eq!(list, "guests  good: ec*\n");
    let list: Value = serde_json::from_str(&done(&bridge, &["list", "--json"]).await).unwrap();
    assert_eq!(list.as_array().unwrap().len(), 5);
    let members = done(&bridge, &["members"]).await;
    assert!(members.contains("ann@example.org"), "{members}");
    let why = done(&bridge, &["explain", "ann@example.org", "good", "echo"]).await;
    assert!(
        why.contains("may use tool `echo` of bridge `good`")
            && why.contains("narrowed_grant guests"),
        "{why}"
    );
    let why = done(&bridge, &["explain", "ann@example.org", "good", "pid"]).await;
    assert!(
        why.contains("may not use") && why.contains("developers, MCP-Admin"),
        "{why}"
    );
    let why = done(&bridge, &["explain", "bot", "good"]).await;
    assert!(why.contains("narrowed_grant bots"), "{why}");

    done(&bridge, &["revoke", "guests", "good"]).await;
    until(async || status("ann@example.org").await == 403).await;
    done(&bridge, &["add", "ann@example.org", "MCP-Admin"]).await;
    until(async || status("ann@example.org").await == 200).await;
    done(&bridge, &["remove", "ann@example.org", "MCP-Admin"]).await;
    until(async || status("ann@example.org").await == 403).await;
    let sql =
        "SELECT action, target FROM bridge_change WHERE actor = 'operator' ORDER BY changed_at";
    assert_eq!(
        bridge.sql(sql).await,
        [
            "add_member|ann@example.org guests",
            "grant|guests good tools=ec*",
            "revoke|guests good",
            "add_member|ann@example.org MCP-Admin",
            "remove_member|ann@example.org MCP-Admin",
        ]
    );

    for (words, says) in [
        (
            vec!["grant", "guests", "good", "--tools", "["],
            "`--tools [`",
        ),
        (vec!["revoke", "guests", "good"], "has no grant"),
        (
            vec!["remove", "ann@example.org", "guests2"],
            "is not a member",
        ),
        (vec!["add", "ann", "guests"], "is not an e-mail address"),
        (
            vec!["admin", "bob@example.org", "--remove"],
            "is not an administrator",
        ),
        (vec!["key", "revoke", "dev"], "is in the configuration"),
        (vec!["key", "add", "dev"], "already"),
    ] {
        let did = access(&bridge, &words).await;
        let is_refused = did.code == 1 && did.stdout.is_empty() && did.stderr.contains(says);
        assert!(is_refused, "{words:?}: {did:?}");
    }
}

#[tokio::test]
async fn keys_of_the_database_are_made_and_taken_back() {
    let bridge = team().await;
    let made = [
        "key",
        "add",
        "ci",
        "--group",
        "developers",
        "--expires",
        "90d",
    ];
    let made = access(&bridge, &made).await;
    let (code, key, told) = (made.code, made.stdout, made.stderr);
    let key = key.trim().to_owned();
    assert!(
        code == 0 && key.starts_with("mcpb_") && key.len() == 48,
        "{key} {told}"
    );
    assert!(!told.contains(&key));
    let status = async |path: &str| bridge.as_bearer(&key).post(path, HI).await.status;
    until(async || status("/good/echo").await == 200).await;
    assert_eq!(status("/other/echo").await, 403);
    let list = done(&bridge, &["key", "list"]).await;
    assert!(
        list.starts_with("ci  default  expires 20") && list.ends_with("developers\n"),
        "{list}"
    );
    assert!(!list.contains(&key));
    done(&bridge, &["key", "revoke", "ci"]).await;
    until(async || status("/good/echo").await == 401).await;
    assert!(!bridge.log().contains(&key));
    assert!(
        !bridge
            .sql("SELECT hex(hash) FROM bridge_key")
            .await
            .concat()
            .contains(&key)
    );
}

#[tokio::test]
async fn who_may_refresh_and_who_is_told_which_groups_would_do() {
    let bridge = team().await;
    for (key, status) in [("dev", 403), ("chat", 403), ("root", 200)] {
        let answer = keyed(&bridge, key).post("/refresh", HI).await;
        assert_eq!(answer.status, status, "{key}: {}", answer.text);
    }
    done(&bridge, &["admin", "ann@example.org"]).await;
    until(async || of_user(&bridge, "ann@example.org", "/refresh").await.status == 200).await;
    let refused = of_user(&bridge, "ann@example.org", "/good/pid").await;
    assert_eq!(refused.status, 403, "a mark is no grant");
    assert!(
        refused
            .text
            .contains("members of these groups may: developers, MCP-Admin"),
        "{}",
        refused.text
    );
    let sql = "SELECT actor, proof, action FROM bridge_change WHERE action = 'refresh' ORDER BY changed_at";
    until(async || bridge.sql(sql).await.len() >= 2).await;
    assert_eq!(
        bridge.sql(sql).await,
        [
            "root|api_key|refresh",
            "ann@example.org|forwarded_headers|refresh"
        ]
    );
}

#[tokio::test]
async fn health_says_how_the_database_stands() {
    let bridge = team().await;
    let health = bridge.get("/health").await.json();
    assert_eq!(health["status"], "healthy", "{health}");
    assert_eq!(health["database"], "connected", "{health}");
    assert_eq!(health["audit"]["enabled"], true, "{health}");

    let dead = format!("[database]\nurl = 'postgresql://nobody@127.0.0.1:9/nothing'\n{TEAM}");
    let bridge = setup(&dead).listening().await;
    let began = std::time::Instant::now();
    let health = bridge.get("/health").await;
    assert!(began.elapsed().as_millis() < 500, "{:?}", began.elapsed());
    assert_eq!(health.status, 200);
    assert_eq!(health.json()["status"], "degraded");
    assert_eq!(health.json()["database"], "disconnected");
    assert_eq!(bridge.get("/ready").await.status, 503);
    let answer = keyed(&bridge, "dev").call("good/echo", HI).await;
    answer.assert_error(503, "store_unavailable");
    assert_eq!(answer.header("retry-after"), "5");
    // Whoever needs no table does not wait for one.
    until(async || keyed(&bridge, "root").call("good/echo", HI).await.status == 200).await;
}

#[tokio::test]
async fn limits_change_without_a_new_session() {
    let bridge = team().await;
    let pid = async || keyed(&bridge, "root").call("good/pid", HI).await;
    let before = pid().await.text;
    bridge.write(
        "bridges.toml",
        &format!("[limits]\ncalls_per_minute = 2\n{TEAM}"),
    );
    assert_eq!(
        keyed(&bridge, "root").post("/refresh", HI).await.status,
        200
    );
    assert_eq!(pid().await.text, before);
    let mut last = pid().await;
    for _ in 0..3 {
        last = pid().await;
    }
    last.assert_error(429, "rate_limited");
    assert!(last.header("retry-after").parse::<u64>().unwrap() > 0);
}

#[tokio::test]
async fn pages_from_elsewhere_do_not_speak_for_whom_a_gateway_names() {
    let toml = "[identity.gateway]\nenabled = true\ntrusted_peers = ['127.0.0.1']\n[access.groups]\nstaff = ['good']\n[bridges.good]\n{bad good --record {dir}/good.calls}\n";
    let bridge = Setup::toml(toml).ready().await;
    let own = bridge.base.clone();
    let status = async |more: &[(&str, &str)]| {
        let mut headers = vec![
            ("x-user-email", "ann@example.org"),
            ("x-user-groups", "staff"),
        ];
        headers.extend(more);
        let answer = bridge.send(Method::POST, "/good/echo", &headers, HI).await;
        (
            answer.status,
            if answer.status == 200 {
                String::new()
            } else {
                answer.code()
            },
        )
    };
    let passes = (200, String::new());
    let refused = (403, "forbidden_origin".to_owned());
    assert_eq!(status(&[]).await, passes);
    assert_eq!(status(&[("origin", &own)]).await, passes);
    assert_eq!(status(&[("origin", "https://evil.example")]).await, refused);
    assert_eq!(status(&[("origin", "null")]).await, refused);
    let cross = [
        ("origin", "https://evil.example"),
        ("sec-fetch-site", "cross-site"),
    ];
    assert_eq!(status(&cross).await, refused);
    // The gateway may have changed the host; the browser says itself whose page it is.
    let same = [
        ("origin", "https://tools.example.org"),
        ("sec-fetch-site", "same-origin"),
    ];
    assert_eq!(status(&same).await, passes);
    assert_eq!(bridge.calls("good.calls").len(), 3);
}
