//! Mistakes that models make, and the sentence that each is answered with.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::harness::Setup;

const DEV: &str = "key-of-dev";

const TEAM: &str = "
[identity.keys.dev]
key = 'key-of-dev'
groups = ['developers']
[access.groups]
developers = ['files', 'strict', 'off', 'down', 'mine', 'ours', { bridge = 'time', tools = ['get_*'] }]
[bridges.files]
command = 'python3'
args = ['{tests}/it/servers/common_tools.py']
[bridges.strict]
command = 'python3'
args = ['{tests}/it/servers/common_tools.py']
unknown_arguments = 'refuse'
[bridges.time]
command = 'python3'
args = ['{tests}/it/servers/common_tools.py']
[bridges.crm]
command = 'python3'
args = ['{tests}/it/servers/common_tools.py']
[bridges.down]
{bad exit}
[bridges.off]
url = 'http://127.0.0.1:9/${NOWHERE}'
[bridges.mine]
url = 'http://127.0.0.1:9/mcp'
oauth = { private_network = true }
credential = 'caller'
[bridges.ours]
url = 'http://127.0.0.1:9/mcp'
oauth = { private_network = true }
";

/// The calls: path and body. What each is answered stands in the snapshot.
const MISTAKES: [(&str, &str); 33] = [
    // Names of arguments.
    ("files/read_text_file", r#"{"file_path": "/a"}"#),
    ("files/read_text_file", r#"{"Path": "/a"}"#),
    (
        "files/edit_file",
        r#"{"path": "/a", "edits": [{"old_text": "a", "new_text": "b"}]}"#,
    ),
    (
        "files/convert_time",
        r#"{"source": "UTC", "time": "10:00", "target": "CET"}"#,
    ),
    ("files/git_log", r#"{"repo_path": "/a", "max_cnt": 5}"#),
    ("files/git_log", r#"{"path": "/a"}"#),
    (
        "files/edit_file",
        r#"{"path": "/a", "edits": [], "dry_run": true}"#,
    ),
    ("files/fetch", r#"{"link": "http://x"}"#),
    ("files/list_calls", r#"{"uid": ["a"]}"#),
    (
        "strict/read_text_file",
        r#"{"path": "/a", "encoding": "utf-8"}"#,
    ),
    // Values.
    ("files/create_entities", r#"{"entities": "Bob"}"#),
    ("files/create_entities", r#"{"entities": {"name": "Bob"}}"#),
    ("files/open_nodes", r#"{"names": {"Bob": 1}}"#),
    (
        "files/git_log",
        r#"{"repo_path": "/a", "max_count": "many"}"#,
    ),
    ("files/fetch", r#"{"url": "http://x", "max_length": 0}"#),
    ("files/fetch", r#"{"url": "http://x", "raw": "perhaps"}"#),
    ("files/get_page", r#"{"id": 5, "format": "pdf"}"#),
    (
        "files/read_text_file",
        r#"{"path": ["/a", "/b"], "head": "ten"}"#,
    ),
    // Bodies.
    ("files/read_text_file", "[]"),
    ("files/read_text_file", ""),
    ("files/read_text_file", "\"/a\""),
    ("files/read_text_file", "{\"path\": "),
    ("files/convert_time", "{}"),
    // Tools and bridges.
    ("files/read_txt_file", r#"{"path": "/a"}"#),
    ("files/weather", "{}"),
    ("time/get_time", "{}"),
    ("file/read_text_file", r#"{"path": "/a"}"#),
    ("crm/fetch", r#"{"url": "http://x"}"#),
    ("time/fetch", r#"{"url": "http://x"}"#),
    ("off/fetch", r#"{"url": "http://x"}"#),
    // Logins.
    ("mine/fetch", r#"{"url": "http://x"}"#),
    ("ours/fetch", r#"{"url": "http://x"}"#),
    ("files/fail", r#"{"message": "no such row"}"#),
];

#[tokio::test]
async fn every_mistake_is_answered_with_what_to_do() {
    let bridge = Setup::toml(TEAM).ready().await;
    let mut table = String::new();
    for (path, body) in MISTAKES {
        let answer = bridge.as_bearer(DEV).call(path, body).await;
        let told = answer.json();
        let message = told["message"].as_str().unwrap_or_default();
        assert!(
            (10..=520).contains(&message.chars().count()),
            "{path} {body}: {}",
            answer.text
        );
        assert!(!message.contains("GET /"), "{message}");
        assert!(
            told["retry"].is_boolean() && told["request_id"].is_string(),
            "{told}"
        );
        let code = answer.code();
        let retry = &told["retry"];
        // A link is another one each time.
        let link = told["connect_url"].as_str().unwrap_or("no link");
        let message = message.replace(link, "LINK");
        writeln!(
            table,
            "{path} {body}\n  {} {code} {retry}: {message}",
            answer.status
        )
        .unwrap();
    }
    insta::assert_snapshot!(table);
}

#[tokio::test]
async fn a_bridge_that_is_down_tells_when_to_come_back() {
    let bridge = Setup::toml(TEAM).ready().await;
    let answer = bridge.as_bearer(DEV).call("down/fetch", "{}").await;
    let told = answer.json();
    let wait = answer.headers["retry-after"].to_str().unwrap();
    assert_eq!(
        told["message"],
        format!("Bridge `down` is not available now; try again in {wait} s, or go on without it.")
    );
    assert_eq!((answer.status, &told["retry"]), (503, &Value::Bool(true)));
}

#[tokio::test]
async fn what_leaves_no_doubt_is_put_right() {
    let bridge = Setup::toml(TEAM).ready().await;
    let rows = [
        (
            "files/open_nodes",
            r#"{"names": "Bob"}"#,
            json!({"names": ["Bob"]}),
        ),
        (
            "files/create_entities",
            r#"{"entities": {"name": "Bob", "entityType": "person", "observations": "tall"}}"#,
            json!({"entities": [{"name": "Bob", "entityType": "person", "observations": ["tall"]}]}),
        ),
        (
            "files/get_page",
            r#"{"id": 5643763743}"#,
            json!({"id": "5643763743"}),
        ),
        ("files/get_page", r#"{"id": 1.10}"#, json!({"id": "1.10"})),
        (
            "files/read_text_file",
            r#"{"path": "/a", "head": ""}"#,
            json!({"path": "/a"}),
        ),
        (
            "files/read_text_file",
            r#"{"path": "/a", "encoding": "utf-8"}"#,
            json!({"path": "/a", "encoding": "utf-8"}),
        ),
        (
            "files/list_calls",
            r#"{"StartTime_lt": "x", "uids": ["a"], "$filter": "y"}"#,
            json!({"StartTime<": "x", "uids[]": ["a"], "$filter": "y"}),
        ),
    ];
    for (path, body, expected) in rows {
        let answer = bridge.as_bearer(DEV).call(path, body).await;
        assert_eq!(answer.status, 200, "{path} {body}: {}", answer.text);
        assert_eq!(answer.json(), expected, "{path} {body}");
    }
}

#[tokio::test]
async fn documents_tell_hints_and_instructions() {
    let bridge = Setup::toml(TEAM).ready().await;
    for (document, tool) in [
        ("/openapi.json", "/files/list_calls"),
        ("/files/openapi.json", "/list_calls"),
    ] {
        let read = bridge.as_bearer(DEV).get(document).await.json();
        let tags = read["tags"].as_array().unwrap();
        assert!(
            tags.contains(&json!({"name": "files", "description": "Read before you write."})),
            "{document}: {tags:?}"
        );
        assert!(tags.iter().all(|tag| tag["name"] != "crm"), "{tags:?}");
        let operation = &read["paths"][tool]["post"];
        assert_eq!(
            operation["x-mcp-annotations"],
            json!({"readOnlyHint": true})
        );
        let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
        let names: Vec<&String> = schema["properties"].as_object().unwrap().keys().collect();
        assert_eq!(names, ["StartTime_lt", "uids", "filter"]);
    }
    let files = bridge.as_bearer(DEV).get("/files").await.json();
    let warnings = files["warnings"].to_string();
    assert!(warnings.contains("`$filter` as `filter`"), "{warnings}");
}
