//! The command line, `/admin/api/explain` and a call decide alike, and what may be misspelt is told.

use serde_json::{Value, json};

use crate::harness::{Answer, Bridge, Setup, until};

const TEAM: &str = "
[identity.keys.root]
key = '${ROOT_KEY}'
groups = ['MCP-Admin']
[identity.keys.chat]
key = '${CHAT_KEY}'
forwards = true
[access.groups]
whole = ['crm']
globs = [{ bridge = 'crm', tools = ['read_*', 'edit_file'] }]
readers = [{ bridge = 'crm', read_only = true }]
both = [{ bridge = 'crm', tools = ['*_file', 'look'], read_only = true }]
others = ['other']
[bridges.crm]
command = 'python3'
args = ['{tests}/it/servers/common_tools.py', '${TOKEN:-x}', '${file:${FOLDER}:-y}']
rename = { look = 'get_page' }
aliases = { old_edit = 'edit_file' }
[bridges.other]
command = 'python3'
args = ['{tests}/it/servers/common_tools.py']
tools_deny = ['*']
[bridges.never]
command = 'python3'
args = ['-c', 'import time; time.sleep(3600)']
connect_timeout = '2s'
[bridges.off]
url = 'http://127.0.0.1:9/${NOWHERE}'
";

const GROUPS: [&str; 5] = ["whole", "globs", "readers", "both", "others"];
const TOOLS: [&str; 6] = [
    "read_text_file",
    "edit_file",
    "look",
    "old_edit",
    "git_log",
    "fail",
];

/// A member of each group, whose e-mail begins with the name of the group.
async fn team() -> Bridge {
    let setup = Setup::toml(TEAM).admin_key("ROOT_KEY", "key-of-root");
    let setup = setup.forwarder_key("CHAT_KEY", "key-of-chat");
    let bridge = setup.ready().await;
    for group in GROUPS {
        let member = json!({ "email": format!("{group}@example.org"), "group_name": group });
        bridge.admin_api().post("/users/groups", member).await.ok();
    }
    bridge
}

/// Runs `mcp-bridge access …`: exit code, and what it said.
async fn access(bridge: &Bridge, words: &[&str]) -> (i32, String) {
    let words: Vec<_> = ["access"].iter().chain(words).copied().collect();
    bridge.cli(&words).await.said()
}

async fn explain(bridge: &Bridge, user: &str, name: &str, tool: &str) -> Answer {
    let path = format!("/explain?user={user}&bridge={name}&tool={tool}");
    bridge.admin_api().get(&path).await
}

async fn call(bridge: &Bridge, user: &str, tool: &str) -> u16 {
    let caller = bridge.as_user(user).with("x-openwebui-user-id", user);
    caller.call(&format!("crm/{tool}"), "{}").await.status
}

/// What the command line says: `may` or `may not`, and the groups that are allowed to.
fn told(said: &str) -> (bool, String) {
    let first = said.lines().next().unwrap_or_default();
    assert!(first.contains(" may "), "{said}");
    let row = said
        .lines()
        .find_map(|line| line.strip_prefix("allowed to"));
    (
        !first.contains("may not"),
        row.unwrap_or_default().trim().to_owned(),
    )
}

#[tokio::test]
async fn the_command_line_the_api_and_a_call_agree() {
    let bridge = team().await;
    // The database has the list a moment after it was published.
    until(async || {
        let (_, said) = access(&bridge, &["explain", "readers@example.org", "crm", "look"]).await;
        !said.contains("not known yet")
    })
    .await;
    let mut allowed = 0;
    for group in GROUPS {
        let user = format!("{group}@example.org");
        for tool in TOOLS {
            let what = format!("{user} {tool}");
            let answer = explain(&bridge, &user, "crm", tool).await.json();
            let (code, said) = access(&bridge, &["explain", &user, "crm", tool]).await;
            assert_eq!(code, 0, "{what}: {said}");
            let (may, groups) = told(&said);
            assert_eq!(answer["allowed"], json!(may), "{what}: {said}{answer}");
            assert_eq!(call(&bridge, &user, tool).await != 403, may, "{what}");
            let list = answer["allowing"].as_array().unwrap();
            let list: Vec<_> = list.iter().map(|it| it.as_str().unwrap()).collect();
            assert_eq!(groups, list.join(", "), "{what}: {said}");
            let rule = answer["rule"].as_str().unwrap();
            assert!(said.contains(rule), "{what}: {rule}: {said}");
            allowed += u32::from(may);
        }
    }
    assert_eq!(
        allowed,
        6 + 3 + 4 + 2,
        "the grants are those that were meant"
    );
}

#[tokio::test]
async fn a_tool_that_is_not_listed_is_told_alike() {
    let bridge = team().await;
    let words = ["explain", "readers@example.org", "crm", "read_txt_file"];
    until(async || access(&bridge, &words).await.0 == 1).await;
    let (_, said) = access(&bridge, &words).await;
    let answer = explain(&bridge, "readers@example.org", "crm", "read_txt_file").await;
    let detail = answer.json()["detail"].as_str().unwrap().to_owned();
    assert_eq!(answer.status, 404, "{detail}");
    assert!(said.contains(&detail), "{said} {detail}");
    assert!(detail.contains("did you mean `read_text_file`"), "{detail}");
    // A list without a tool in it is a list.
    let words = ["explain", "others@example.org", "other", "fetch"];
    until(async || access(&bridge, &words).await.0 == 1).await;
    let answer = explain(&bridge, "others@example.org", "other", "fetch").await;
    assert_eq!(answer.status, 404, "{}", answer.text);
}

#[tokio::test]
async fn what_a_server_has_not_said_yet_is_not_guessed() {
    let bridge = team().await;
    let grant = json!({ "group": "readers", "bridge": "never", "read_only": true });
    bridge.admin_api().post("/grants", grant).await.ok();
    let answer = explain(&bridge, "readers@example.org", "never", "get_x").await;
    let told = answer.json();
    assert_eq!(
        (answer.status, &told["allowed"]),
        (200, &Value::Null),
        "{told}"
    );
    assert_eq!(told["if_it_reads"]["allowed"], true);
    assert_eq!(told["if_it_reads"]["allowing"], json!(["readers"]));
    let words = ["explain", "readers@example.org", "never", "get_x"];
    let (code, said) = access(&bridge, &words).await;
    assert_eq!(code, 0, "{said}");
    assert!(said.starts_with("it depends on the tool whether"), "{said}");
    assert!(!said.contains("may not use"), "{said}");
    assert!(
        said.contains("if the tool is read-only, also readers"),
        "{said}"
    );
    // Where the tool makes no difference, the answer is plain, also for a bridge that is off.
    for (user, name, may) in [("whole", "never", false), ("root", "off", false)] {
        let user = format!("{user}@example.org");
        let answer = explain(&bridge, &user, name, "x").await.json();
        assert_eq!(answer["allowed"], json!(may), "{answer}");
        let (_, said) = access(&bridge, &["explain", &user, name, "x"]).await;
        assert_eq!(told_of(&said), may, "{said}");
    }
}

fn told_of(said: &str) -> bool {
    !said.contains("may not use")
}

#[tokio::test]
async fn typos_in_changes_are_told_by_the_command_line() {
    let bridge = team().await;
    let words = ["grant", "globs", "crm", "--tools", "gett_*"];
    until(async || !access(&bridge, &words).await.1.contains("not known yet")).await;
    let rows: [(&[&str], &[&str]); 6] = [
        (
            &["grant", "globs", "crm", "--tools", "gett_*", "read_*"],
            &[
                "`gett_*` matches no tool of `crm` now",
                "matches 1 of 12 tools",
            ],
        ),
        (
            &["grant", "reades", "crm", "--read-only"],
            &[
                "new group `reades`, 0 members; did you mean `readers`?",
                "matches 11 of 12 tools",
            ],
        ),
        (
            &["grant", "whole", "crn"],
            &["called `crn`; did you mean `crm`?"],
        ),
        (
            &["add", "x@example.org", "reader"],
            &["new group `reader`, 0 grants; did you mean `readers`"],
        ),
        (
            &["key", "add", "ci", "--group", "wohle"],
            &["new group `wohle`, 0 grants; did you mean `whole`?"],
        ),
        (&["grant", "whole", "other"], &["whole: other"]),
    ];
    for (words, expected) in rows {
        let (code, said) = access(&bridge, words).await;
        assert_eq!(code, 0, "{words:?}: {said}");
        for part in expected.iter().filter(|part| **part != "whole: other") {
            assert!(said.contains(part), "{words:?}: {part}: {said}");
        }
        if expected == ["whole: other"] {
            assert!(!said.contains("warning"), "{said}");
        }
    }
    for words in [
        &["grant", "dev,x", "crm"][..],
        &["add", "x@example.org", "dev,x"],
        &["key", "add", "c2", "--group", " dev"],
        &["group-key", "set", "dev,x", "crm", "TOKEN"],
    ] {
        let (code, said) = access(&bridge, words).await;
        assert!(code == 1 && said.contains("cannot name a group"), "{said}");
    }
    let words = ["audit", "query", "--outcome", "forbiden"];
    let (code, said) = bridge.cli(&words).await.said();
    assert!(code == 2 && said.contains("forbidden"), "{said}");
}

#[tokio::test]
async fn typos_in_changes_are_told_by_the_api() {
    let bridge = team().await;
    let admin = bridge.admin_api();
    let grant = json!({ "group": "gobs", "bridge": "crm", "tools": ["gett_*", "git_*"] });
    let told = admin.post("/grants", grant.clone()).await.ok();
    assert_eq!(told["matches"], "this matches 1 of 12 tools of `crm` now");
    let warnings = told["warnings"].to_string();
    assert!(
        warnings.contains("new group `gobs`, 0 members; did you mean `globs`?"),
        "{told}"
    );
    assert!(
        warnings.contains("`gett_*` matches no tool of `crm` now"),
        "{told}"
    );
    let told = admin.post("/grants", grant).await.ok();
    assert!(
        !told["warnings"].to_string().contains("new group"),
        "{told}"
    );
    let told = admin
        .post("/grants", json!({ "group": "whole", "bridge": "crm" }))
        .await
        .ok();
    assert!(told.get("warnings").is_none(), "{told}");
    let told = admin
        .post("/keys", json!({ "name": "k", "groups": ["reeders"] }))
        .await
        .ok();
    assert!(
        told["warnings"]
            .to_string()
            .contains("did you mean `readers`"),
        "{told}"
    );

    let key = |bridge: &str, variable: &str| json!({ "tenant_id": "whole", "server_id": bridge, "key_name": variable, "key_value": "v-1" });
    for (name, variable, known, warning) in [
        ("crm", "TOKEN", true, ""),
        ("crm", "FOLDER", true, ""),
        ("crm", "TOKN", false, "did you mean `TOKEN`?"),
        ("off", "NOWHERE", true, ""),
        ("off", "TOKEN", false, "does not read `TOKEN`"),
        ("cmr", "TOKEN", false, "did you mean `crm`?"),
    ] {
        let told = admin.post("/tenant-keys", key(name, variable)).await.ok();
        assert_eq!(told["known"], known, "{told}");
        let warnings = told["warnings"].to_string();
        assert!(warnings.contains(warning), "{told}");
        assert_eq!(told.get("warnings").is_none(), known, "{told}");
    }
    let answer = admin.get("/calls?outcome=forbiden").await;
    assert_eq!(answer.status, 422, "{}", answer.text);
    assert!(answer.text.contains("`forbidden`"), "{}", answer.text);
}
