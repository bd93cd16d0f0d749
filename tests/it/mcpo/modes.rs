//! One server and many: names, titles, lists, environments (`observed_modes.txt`,
//! `observed_more.txt`).

use std::{collections::BTreeSet, fmt::Write as _};

use reqwest::Method;
use serde_json::{Value, json};

use super::{mcpo, probe, probe_with, probe_words, with_config};
use crate::harness::Bridge;

/// The servers of the recording.
fn servers() -> Vec<(&'static str, Value)> {
    let with = probe_with;
    vec![
        (
            "ok",
            with(
                "r_text,r_image,r_iserror",
                json!({"disabledTools": ["r_image"]}),
            ),
        ),
        (
            "snake",
            with("r_text,r_image", json!({"disabled_tools": ["r_text"]})),
        ),
        (
            "both",
            with(
                "r_text,r_image",
                json!({"disabledTools": [], "disabled_tools": ["r_text"]}),
            ),
        ),
        ("bad", json!({"command": "no-such-program-x"})),
        ("exits", json!({"command": "false"})),
        ("with space", probe("r_text")),
        ("a/b", probe("r_text")),
        ("UPPER.dots-1", probe("r_text")),
        (
            "unknownkeys",
            with(
                "r_text",
                json!({"autoApprove": ["x"], "description": "d", "whatever": 1}),
            ),
        ),
        (
            "instr",
            with(
                "r_text",
                json!({"args": ["--name", "nm", "--version", "1.2.3", "--instructions", "INSTR text"]}),
            ),
        ),
        (
            "noname",
            with("r_text", json!({"args": ["--name", "", "--version", ""]})),
        ),
        (
            "pages",
            with("r_text,r_image,r_iserror", json!({"args": ["--pages"]})),
        ),
    ]
}

/// Title, description and version of a server in the recording, and its tools.
type Row = (
    &'static str,
    (&'static str, &'static str, &'static str),
    &'static [&'static str],
);

/// What `GET /{server}/openapi.json` says, as recorded; all pages are read here (B10).
const DOCUMENTS: &[Row] = &[
    ("ok", PROBE, &["/r_iserror", "/r_text"]),
    ("snake", PROBE, &["/r_image"]),
    ("both", PROBE, &["/r_image", "/r_text"]),
    (
        "bad",
        (
            "bad",
            "bad MCP Server\n\n- [back to tool list](/docs)",
            "1.0",
        ),
        &[],
    ),
    (
        "exits",
        (
            "exits",
            "exits MCP Server\n\n- [back to tool list](/docs)",
            "1.0",
        ),
        &[],
    ),
    ("with%20space", PROBE, &["/r_text"]),
    ("a/b", PROBE, &["/r_text"]),
    ("UPPER.dots-1", PROBE, &["/r_text"]),
    ("unknownkeys", PROBE, &["/r_text"]),
    ("instr", ("nm", "INSTR text", "1.2.3"), &["/r_text"]),
    (
        "noname",
        (
            "noname",
            "noname MCP Server\n\n- [back to tool list](/docs)",
            "1.0",
        ),
        &["/r_text"],
    ),
    ("pages", PROBE, &["/r_image", "/r_iserror", "/r_text"]),
];

/// What the recorded server says of itself.
const PROBE: (&str, &str, &str) = ("probe-server", "probe-server MCP Server", "9.9.9");

/// Requests of the recording: our status, and mcpo's where it differs, with the reason.
const REQUESTS: &[(&str, u16, u16, &str)] = &[
    ("GET /ok", 200, 307, "its tools, for people"),
    ("GET /ok/", 200, 404, "its tools, for people"),
    ("POST /ok/r_text", 200, 200, ""),
    (
        "POST /ok/r_text/",
        200,
        307,
        "clients lose the body on a redirect",
    ),
    ("POST /ok//r_text", 404, 404, ""),
    ("POST /ok/r_image", 404, 404, ""),
    ("POST /bad/x", 503, 404, "it is down: `Retry-After` says so"),
    ("GET /bad/docs", 200, 200, ""),
    ("POST /nope/x", 404, 404, ""),
    ("GET /", 200, 404, "the list of servers"),
    ("GET /ok/redoc", 200, 200, ""),
    ("POST /a/b/r_text", 200, 200, ""),
    ("POST /with%20space/r_text", 200, 200, ""),
    ("GET /upper.dots-1/openapi.json", 404, 404, ""),
    ("GET /docs/openapi.json", 404, 404, ""),
    ("GET /ok/docs", 200, 200, ""),
    ("GET /redoc", 200, 200, ""),
];

#[tokio::test]
async fn every_server_has_its_name_title_description_and_tools() {
    let bridge = with_config(&servers(), &[]).ready().await;
    for (name, (title, description, version), tools) in DOCUMENTS {
        let document = bridge.get(&format!("/{name}/openapi.json")).await.json();
        assert_eq!(
            document["info"],
            json!({"title": title, "description": description, "version": version}),
        );
        let url = format!("/{}", name.replace("%20", " "));
        assert_eq!(document["servers"], json!([{ "url": url }]));
        let paths: BTreeSet<&str> = document["paths"]
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        assert_eq!(paths, tools.iter().copied().collect(), "{name}");
    }
    let root = bridge.get("/openapi.json").await.json();
    let connected = "ok snake both with_space a/b UPPER.dots-1 unknownkeys instr noname pages";
    let mut listed = String::new();
    for name in connected.split(' ').map(|name| name.replace('_', " ")) {
        write!(listed, "\n    - [{name}](/{name}/docs)").unwrap();
    }
    assert_eq!(
        root["info"]["description"],
        format!(
            "Automatically generated API from MCP Tool Schemas\n\n- **available tools**：{listed}"
        )
    );
    for (request, ours, theirs, why) in REQUESTS {
        assert_eq!(ours == theirs, why.is_empty(), "{request}");
        let (method, path) = request.split_once(' ').unwrap();
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let answer = bridge.send(method, path, &[], "").await;
        assert_eq!(answer.status, *ours, "{request}: {}", answer.text);
    }
    // The page of a server: mcpo's title, and the address of its document.
    let page = bridge.get("/ok/docs").await.text;
    assert!(
        page.contains("<title>probe-server - Swagger UI</title>"),
        "{page}"
    );
    assert!(page.contains("\"/ok/openapi.json\""), "{page}");
    let page = bridge.get("/docs").await.text;
    assert!(
        page.contains("<title>MCP OpenAPI Proxy - Swagger UI</title>"),
        "{page}"
    );
}

#[tokio::test]
async fn the_root_is_named_by_the_command_line_and_servers_by_themselves() {
    let options = ["--name", "My N", "-d", "My D", "--version", "7"];
    let bridge = with_config(&[("ok", probe("r_text"))], &options)
        .ready()
        .await;
    let info = |document: Value| document["info"].clone();
    assert_eq!(
        info(bridge.get("/openapi.json").await.json()),
        json!({"title": "My N", "description": "My D\n\n- **available tools**：\n    - [ok](/ok/docs)", "version": "7"})
    );
    assert_eq!(
        info(bridge.get("/ok/openapi.json").await.json()),
        json!({"title": PROBE.0, "description": PROBE.1, "version": PROBE.2})
    );
    let words = probe_words("r_text");
    let mut line = options.to_vec();
    line.push("--");
    line.extend(words.iter().map(String::as_str));
    let single = mcpo(&line).ready().await;
    let document = single.get("/openapi.json").await.json();
    assert_eq!(document["info"]["title"], PROBE.0);
    assert_eq!(document["info"]["version"], PROBE.2);
    assert_eq!(document.get("servers"), None);
    let page = single.get("/docs").await.text;
    assert!(
        page.contains("<title>probe-server - Swagger UI</title>"),
        "{page}"
    );
}

/// A server may be called like a route of ours, and so may a tool: mcpo has no such routes.
#[tokio::test]
async fn our_own_routes_give_way() {
    let servers = [("health", probe("r_text")), ("servers", probe("r_text"))];
    let bridge = with_config(&servers, &[]).ready().await;
    for name in ["health", "servers"] {
        assert_eq!(
            bridge.post(&format!("/{name}/r_text"), "").await.text,
            "\"hello\""
        );
        let document = bridge.get(&format!("/{name}/openapi.json")).await.json();
        assert_eq!(document["info"]["title"], PROBE.0);
    }
    // A tool that is called `docs` and the page live side by side.
    let words = probe_words("docs,r_text");
    let mut line = vec!["--"];
    line.extend(words.iter().map(String::as_str));
    let single = mcpo(&line).ready().await;
    assert_eq!(single.post("/docs", "{}").await.json()["name"], "docs");
    assert!(
        single
            .get("/docs")
            .await
            .header("content-type")
            .starts_with("text/html")
    );
}

/// What the child of a bridge has of some variables, and the words after its own.
async fn environment(bridge: &Bridge, path: &str) -> Value {
    let env = bridge.post(path, "").await.json();
    let mut seen = serde_json::Map::new();
    for name in ["FOO", "BAR", "LOG_LEVEL", "ONLYFILE"] {
        if let Some(value) = env.get(name) {
            seen.insert(name.to_owned(), value.clone());
        }
    }
    assert!(env["PATH"].is_string());
    assert_eq!(
        env["CWD"],
        bridge.dir.path().canonicalize().unwrap().to_str().unwrap()
    );
    Value::Object(seen)
}

/// Options, variables of the process, what the child has.
type Variables = (
    &'static [&'static str],
    &'static [(&'static str, &'static str)],
    &'static str,
);

/// The table of `observed_more.txt`.
const VARIABLES: &[Variables] = &[
    (&[], &[], "{}"),
    (&[], &[("FOO", "proc")], r#"{"FOO": "proc"}"#),
    (
        &["--env", "FOO=1", "-e", "BAR=a=b"],
        &[],
        r#"{"FOO": "1", "BAR": "a=b"}"#,
    ),
    (
        &["--env", "FOO=cli"],
        &[("FOO", "proc")],
        r#"{"FOO": "cli"}"#,
    ),
    (
        &["--env-path", "{dir}/env"],
        &[],
        r#"{"FOO": "fromfile", "BAR": "q x", "ONLYFILE": "1"}"#,
    ),
    (
        &["--env-path", "{dir}/env"],
        &[("FOO", "proc")],
        r#"{"FOO": "proc", "BAR": "q x", "ONLYFILE": "1"}"#,
    ),
    (
        &["--env", "FOO=1", "--env-path", "{dir}/env"],
        &[],
        r#"{"FOO": "fromfile", "BAR": "q x", "ONLYFILE": "1"}"#,
    ),
    (
        &["--env", "FOO=1", "--env-path", "{dir}/env"],
        &[("FOO", "proc")],
        r#"{"FOO": "proc", "BAR": "q x", "ONLYFILE": "1"}"#,
    ),
    (
        &["--env", "FOO=1", "--env-path", "{dir}/none"],
        &[],
        r#"{"FOO": "1"}"#,
    ),
    (&["--log-level=debug"], &[], r#"{"LOG_LEVEL": "debug"}"#),
];

#[tokio::test]
async fn variables_reach_one_server_in_mcpos_order() {
    for (options, variables, expected) in VARIABLES {
        let words = probe_words("b_env");
        let mut line = options.to_vec();
        line.push("--");
        line.extend(words.iter().map(String::as_str));
        let mut setup = mcpo(&line);
        setup.write("env", "FOO=fromfile\nBAR=\"q x\"\nONLYFILE=1\n");
        for (name, value) in *variables {
            setup = setup.env(name, value);
        }
        let bridge = setup.ready().await;
        let expected: Value = serde_json::from_str(expected).unwrap();
        assert_eq!(
            environment(&bridge, "/b_env").await,
            expected,
            "{options:?} {variables:?}"
        );
    }
}

#[tokio::test]
async fn the_file_says_the_last_word_on_variables() {
    let members = json!({"env": {"FOO": "cfg", "BAR": "${UNSET_X}"}});
    let servers = [("ok", probe_with("b_env", members))];
    for options in [
        &["--env", "FOO=cli", "--env", "ONLYFILE=x"][..],
        &["mcpo", "--env=FOO=cli", "--env=ONLYFILE=x", "--", "ignored"],
        &["--type", "sse", "--env", "FOO=cli", "--env", "ONLYFILE=x"],
    ] {
        let bridge = with_config(&servers, options).ready().await;
        assert_eq!(
            environment(&bridge, "/ok/b_env").await,
            json!({"FOO": "cfg", "BAR": "${UNSET_X}", "ONLYFILE": "x"}),
            "{options:?}"
        );
    }
}
