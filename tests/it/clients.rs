//! Files of other MCP clients, as they are, before the real binary.

use std::{fs, path::Path, process::Command};

use serde_json::json;

use crate::harness::{BadHttp, Setup, fixture};

/// Runs a command in a folder: its code, and everything it printed.
fn run(dir: &Path, words: &[&str]) -> (i32, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_mcp-bridge"))
        .args(words)
        .env("MCP_API_KEY", "k")
        .env("NO_COLOR", "1")
        .current_dir(dir)
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    (
        output.status.code().unwrap(),
        String::from_utf8(text).unwrap(),
    )
}

#[test]
fn each_sample_is_imported_and_checked() {
    let samples = fixture("corpus/clients");
    for entry in fs::read_dir(&samples).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if name.ends_with(".imported.toml") {
            continue;
        }
        let (code, checked) = run(&samples, &["check", "--config", &name]);
        assert_eq!(code, 0, "{name}: {checked}");
        let dir = tempfile::tempdir().unwrap();
        let words = [
            "import",
            path.to_str().unwrap(),
            "-o",
            "bridges.toml",
            "--env-file",
            ".env",
        ];
        let (code, imported) = run(dir.path(), &words);
        assert_eq!((code, imported.as_str()), (0, ""), "{name}");
        let (code, checked) = run(dir.path(), &["check"]);
        assert_eq!(code, 0, "{name}: {checked}");
        assert!(!checked.contains("error:"), "{name}: {checked}");
    }
}

#[test]
fn a_file_without_servers_says_what_it_has() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
    write("a.json", r#"{"mcp": {"allowed": []}, "theme": 1}"#);
    write(
        "b.yaml",
        "mcpServers:\n  a:\n    command: x\n   token: hunter2\n",
    );
    let found = "the file has `mcp`, `theme`, but no servers";
    let (code, text) = run(dir.path(), &["import", "a.json"]);
    assert_eq!(code, 2);
    assert!(
        text.starts_with("a.json: no servers found under `mcpServers`") && text.contains(found),
        "{text}"
    );
    let (code, text) = run(dir.path(), &["check", "--config", "a.json"]);
    assert_eq!(code, 2);
    assert!(text.contains(found), "{text}");
    let (code, text) = run(dir.path(), &["import", "b.yaml"]);
    assert_eq!(code, 2);
    assert!(
        text.contains("the YAML is not valid") && text.contains("on line 4"),
        "{text}"
    );
    let (code, text) = run(dir.path(), &["check", "--config", "b.yaml"]);
    assert_eq!(code, 2);
    assert!(
        text.contains("b.yaml:4:") && !text.contains("hunter2"),
        "{text}"
    );
}

/// A file of VS Code with a program and a server behind a URL, one of its tools taken away.
fn vscode(port: u16) -> String {
    let program = fixture("it/servers/bad_server.py");
    let url = format!("http://127.0.0.1:{port}/mcp");
    json!({
        "inputs": [{"id": "tok", "type": "promptString", "description": "API token", "password": true}],
        "servers": {
            "good": {"type": "stdio", "command": "python3", "args": [program, "good"], "excludeTools": ["fail"]},
            "far": {"type": "http", "url": url, "headers": {"X-Key": "Bearer ${input:tok}", "X-Name": "$GEMINI_STYLE"}},
            "events": {"type": "ws", "url": "wss://example.invalid"},
        }
    })
    .to_string()
}

#[tokio::test]
async fn a_file_of_vs_code_is_served_once_its_inputs_are_set() {
    let http = BadHttp::start("json").await;
    let setup = || {
        let setup = Setup::bare();
        setup.write("mcp.json", &vscode(http.port));
        setup.args(["--config", "{dir}/mcp.json"])
    };
    let unset = setup().ready().await;
    let answer = unset.post("/good/echo", r#"{"message": "hi"}"#).await;
    assert_eq!((answer.status, answer.text.as_str()), (200, r#""hi""#));
    assert_eq!(unset.post("/good/fail", "{}").await.status, 404);
    assert_eq!(unset.post("/far/echo", "{}").await.status, 503);
    assert_eq!(http.count("POST").await, 0, "nothing is sent");
    let log = unset.log();
    for reason in [
        "no value is set for `${input:tok}` in `headers`",
        "TOK (API token)",
        "`type` `ws` is not known",
    ] {
        assert!(log.contains(reason), "{reason}: {log}");
    }
    drop(unset);
    let served = setup()
        .env("TOK", "t-1")
        .env("GEMINI_STYLE", "g-1")
        .ready()
        .await;
    let answer = served.post("/far/echo", r#"{"message": "hi"}"#).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let got = http.read("headers").await;
    assert_eq!(got["x-key"], "Bearer t-1", "{got}");
    assert_eq!(got["x-name"], "g-1", "{got}");
}

#[tokio::test]
async fn a_converted_file_is_served() {
    let http = BadHttp::start("json --token t-1").await;
    let setup = Setup::bare();
    let yaml = format!(
        "mcpServers:\n  - name: far\n    type: http-stream\n    url: http://127.0.0.1:{}/mcp\n    apiKey: ${{{{ secrets.FAR_KEY }}}}\n",
        http.port
    );
    setup.write("continue.yaml", &yaml);
    let (code, text) = run(
        setup.path(),
        &["import", "continue.yaml", "-o", "bridges.toml"],
    );
    assert_eq!((code, text.as_str()), (0, ""));
    let bridge = setup
        .args(["--config", "{dir}/bridges.toml"])
        .env("FAR_KEY", "t-1")
        .ready()
        .await;
    let answer = bridge.post("/far/echo", r#"{"message": "hi"}"#).await;
    assert_eq!((answer.status, answer.text.as_str()), (200, r#""hi""#));
}

#[tokio::test]
async fn mcpos_command_line_sends_what_mcpo_sends_and_warns() {
    let http = BadHttp::start("json").await;
    let setup = Setup::bare();
    let port = setup.port().to_string();
    let url = format!("http://127.0.0.1:{}/mcp", http.port);
    let servers = json!({"far": {"type": "streamable-http", "url": url, "headers": {"X-Key": "${NOT_SET_TOKEN}"}}});
    setup.write("config.json", &json!({ "mcpServers": servers }).to_string());
    let bridge = setup
        .args([
            "mcpo",
            "--host",
            "127.0.0.1",
            "--port",
            &port,
            "--config",
            "{dir}/config.json",
        ])
        .ready()
        .await;
    let answer = bridge.post("/far/echo", r#"{"message": "hi"}"#).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(http.read("headers").await["x-key"], "${NOT_SET_TOKEN}");
    let log = bridge.log();
    assert!(log.contains("set NOT_SET_TOKEN"), "{log}");
    assert!(log.contains("the server receives it as written"), "{log}");
}
