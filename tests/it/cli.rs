//! The commands beside `serve`.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, Stdio},
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{BadHttp, Setup, fixture, free_port};

/// What a command printed.
#[derive(Debug)]
struct Printed {
    code: i32,
    stdout: String,
    stderr: String,
}

/// Runs a command in a folder.
fn run(dir: &Path, words: &[&str], stdin: &str) -> Printed {
    let mut child = Command::new(env!("CARGO_BIN_EXE_mcp-bridge"))
        .args(words)
        .env_remove("MCP_API_KEY")
        .env("TOKEN", "s3cr3t-t0ken-value")
        .current_dir(dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    // One that does not read its input may be gone already.
    let _closed = input.write_all(stdin.as_bytes());
    drop(input);
    let output = child.wait_with_output().unwrap();
    let dir = dir.to_str().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().replace(dir, "DIR");
    Printed {
        code: output.status.code().unwrap(),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
    }
}

/// A folder with a `bridges.toml`.
fn folder(toml: &str) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("bridges.toml"), toml).unwrap();
    dir
}

const TOML: &str = r#"
[identity.keys.team]
key = "${TOKEN}"
[bridges.demo]
command = "mcp-bridge"
args = ["demo-server"]
[bridges.off]
command = "npx"
env = { A = "${NOT_SET_ANYWHERE}" }
[bridges.remote]
url = "http://127.0.0.1:9/mcp?key=hidden"
enabled = false
"#;

#[test]
fn check_says_what_is_on_and_what_is_wrong() {
    let dir = folder(TOML);
    let printed = run(dir.path(), &["check"], "");
    let program = env!("CARGO_BIN_EXE_mcp-bridge");
    assert_eq!(
        (
            printed.code,
            printed.stdout.as_str(),
            printed.stderr.as_str()
        ),
        (
            0,
            format!(
                "demo    on   {program}\n\
                 off     off  NOT_SET_ANYWHERE is not set\n\
                 remote  off  disabled in the configuration\n\
                 who may call\n  on   key `team`\n\
                 access    every caller may call every tool: there is no `[access]`\n\
                 database  SQLite mcp-bridge.db\n\
                 audit     every call, without arguments, kept for 90 days; journal mcp-bridge-audit\n\
                 bridges.toml: 3 bridges, 1 on, 2 off; listens on 127.0.0.1:8000\n"
            )
            .as_str(),
            ""
        )
    );
    let wrong = "[bridges.demo]\ncomand = 'x'\n[bridges.docs]\ncommand = 'x'\n[serve]\n";
    let dir = folder(wrong);
    let printed = run(dir.path(), &["check"], "");
    assert_eq!((printed.code, printed.stdout.as_str()), (2, ""));
    for piece in [
        "bridges.toml:2:1: error: ",
        "did you mean `command`",
        "bridges.toml:3:10: error: ",
        "bridges.toml:5:2: error: ",
        "bridges.toml: 3 errors\n",
    ] {
        assert!(
            printed.stderr.contains(piece),
            "{piece}: {}",
            printed.stderr
        );
    }
    let printed = run(dir.path(), &["check", "--config", "nothing.toml"], "");
    assert_eq!(printed.code, 2);
    assert!(
        printed
            .stderr
            .contains("nothing.toml: error: the file cannot be read")
    );
}

#[test]
fn serve_prints_what_check_prints() {
    let dir = folder("[bridges.demo]\ncomand = 'x'\n");
    let printed = run(dir.path(), &[], "");
    assert_eq!((printed.code, printed.stdout.as_str()), (2, ""));
    assert!(
        printed.stderr.contains("bridges.toml:2:1: error: "),
        "{}",
        printed.stderr
    );
}

#[test]
fn tools_are_listed() {
    let dir = folder(TOML);
    let printed = run(dir.path(), &["tools"], "");
    assert_eq!(printed.code, 0, "{printed:?}");
    assert!(
        printed
            .stdout
            .starts_with("demo/echo  Repeats a message.\n")
    );
    assert_eq!(printed.stdout.lines().count(), 4);
    assert!(
        printed
            .stderr
            .contains("off: disabled: NOT_SET_ANYWHERE is not set")
    );
    let printed = run(dir.path(), &["tools", "demo", "--json"], "");
    let list: Value = serde_json::from_str(&printed.stdout).unwrap();
    assert_eq!(list[1]["bridge"], "demo");
    assert_eq!(list[1]["tool"], "add");
    assert_eq!(list[1]["input_schema"]["required"], json!(["a", "b"]));
    assert_eq!((printed.code, printed.stderr.as_str()), (0, ""));
    let broken = folder("[bridges.broken]\ncommand = 'no-such-program-x'\n");
    let printed = run(broken.path(), &["tools"], "");
    assert_eq!(printed.code, 1);
    assert!(
        printed
            .stderr
            .contains("broken: backing_off: cannot start `no-such-program-x`"),
        "{printed:?}"
    );
}

#[test]
fn one_tool_is_called() {
    let dir = folder(TOML);
    let cases: &[(&[&str], &str, i32, &str)] = &[
        (
            &["demo", "add", r#"{"a": 2, "b": "3"}"#],
            "",
            0,
            r#"{"sum":5.0}"#,
        ),
        (
            &["demo", "add", "-"],
            r#"{"a": 2, "b": 3}"#,
            0,
            r#"{"sum":5.0}"#,
        ),
        (
            &["demo", "echo", r#"{"message": "größe"}"#],
            "",
            0,
            r#""größe""#,
        ),
        (&["demo", "add"], "", 1, "a: is missing\nb: is missing\n"),
        (
            &["demo", "roll_dice", r#"{"count": 500}"#],
            "",
            1,
            "count: should be ≤ 100, is 500\n",
        ),
        (&["demo", "add", "{"], "", 1, "error: "),
        (&["demo", "add", "-"], "", 1, "error: "),
        (
            &["demo", "nothing"],
            "",
            1,
            "`mcp-bridge tools demo` lists its tools",
        ),
        (
            &["nobody", "add"],
            "",
            1,
            "there is no bridge `nobody` in bridges.toml",
        ),
        (&["off", "add"], "", 1, "NOT_SET_ANYWHERE is not set"),
        (&["demo"], "", 2, "<TOOL>"),
    ];
    for (words, stdin, code, piece) in cases {
        let words = [&["call"], *words].concat();
        let printed = run(dir.path(), &words, stdin);
        let shown = if *code == 0 {
            &printed.stdout
        } else {
            &printed.stderr
        };
        assert_eq!(printed.code, *code, "{words:?}: {printed:?}");
        assert!(shown.contains(piece), "{words:?}: {printed:?}");
        assert!(
            *code == 0 || printed.stdout.is_empty(),
            "{words:?}: {printed:?}"
        );
    }
}

#[test]
fn the_document_is_printed() {
    let dir = folder(TOML);
    for (words, path) in [
        (&["openapi"][..], "/demo/add"),
        (&["openapi", "demo"], "/add"),
    ] {
        let printed = run(dir.path(), words, "");
        assert_eq!((printed.code, printed.stderr.as_str()), (0, ""));
        let document: Value = serde_json::from_str(&printed.stdout).unwrap();
        assert_eq!(document["paths"][path]["post"]["operationId"], "demo_add");
        assert_eq!(
            run(dir.path(), words, "").stdout,
            printed.stdout,
            "it stays the same"
        );
    }
    let printed = run(dir.path(), &["openapi", "nobody"], "");
    assert_eq!((printed.code, printed.stdout.as_str()), (1, ""));
}

#[test]
fn an_imported_file_loads_and_keeps_its_secrets_apart() {
    let dir = tempfile::tempdir().unwrap();
    let claude = json!({"mcpServers": {
        "demo": {"command": "mcp-bridge", "args": ["demo-server"], "env": {"API_TOKEN": "s3cr3t-of-demo-1234"}},
        "away": {"type": "streamable-http", "url": "https://example.invalid/mcp", "disabled": true,
                 "headers": {"Authorization": "Bearer s3cr3t-of-away-1234"}}
    }});
    fs::write(dir.path().join("claude.json"), claude.to_string()).unwrap();
    let printed = run(dir.path(), &["import", "claude.json"], "");
    assert_eq!(printed.code, 0, "{printed:?}");
    assert!(!printed.stdout.contains("s3cr3t"), "{}", printed.stdout);
    let words = [
        "import",
        "claude.json",
        "-o",
        "bridges.toml",
        "--env-file",
        ".env",
    ];
    let printed = run(dir.path(), &words, "");
    assert_eq!(
        (printed.code, printed.stdout.as_str()),
        (0, ""),
        "{printed:?}"
    );
    let env = dir.path().join(".env");
    assert_eq!(
        fs::metadata(&env).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let variables = fs::read_to_string(env).unwrap();
    assert!(variables.contains("s3cr3t-of-demo-1234") && variables.contains("s3cr3t-of-away-1234"));
    let checked = run(dir.path(), &["check"], "");
    assert_eq!(checked.code, 0, "{checked:?}");
    assert!(checked.stdout.contains("demo  on "), "{checked:?}");
    assert!(checked.stdout.contains("away  off"), "{checked:?}");
    let called = run(
        dir.path(),
        &["call", "demo", "add", r#"{"a": 1, "b": 1}"#],
        "",
    );
    assert_eq!(called.stdout, "{\"sum\":2.0}\n");
    // Nothing is written over.
    let again = run(dir.path(), &words, "");
    assert_eq!(again.code, 1);
    assert!(again.stderr.contains("bridges.toml"), "{again:?}");
    let missing = run(dir.path(), &["import", "nothing.json"], "");
    assert_eq!(missing.code, 2);
    assert!(missing.stderr.starts_with("nothing.json: "), "{missing:?}");
}

#[tokio::test]
async fn a_healthcheck_finds_the_process_by_its_configuration() {
    let bridge = Setup::toml("[bridges.good]\n{bad good}\n").ready().await;
    let listen = bridge.base.strip_prefix("http://").unwrap();
    let dir = bridge.dir.path();
    let url = format!("{}/", bridge.base);
    for words in [
        &["healthcheck", "--listen", listen][..],
        &["healthcheck", "--url", &url],
        &[
            "--listen",
            &listen.replace("127.0.0.1", "0.0.0.0"),
            "healthcheck",
        ],
    ] {
        let printed = run(dir, words, "");
        assert_eq!(printed.code, 0, "{printed:?}");
        let health: Value = serde_json::from_str(&printed.stdout).unwrap();
        assert_eq!(health["status"], "healthy");
    }
    let nobody = format!("127.0.0.1:{}", free_port());
    let printed = run(dir, &["healthcheck", "--listen", &nobody], "");
    assert_eq!((printed.code, printed.stdout.as_str()), (1, ""));
    assert!(
        printed
            .stderr
            .starts_with(&format!("error: no server answers at http://{nobody}/")),
        "{printed:?}"
    );
    let server = BadHttp::start("500").await;
    let url = format!("http://127.0.0.1:{}", server.port);
    let printed = run(dir, &["healthcheck", "--url", &url], "");
    assert_eq!(printed.code, 1, "{printed:?}");
}

#[tokio::test]
async fn one_server_is_served_without_a_file() {
    let script = fixture("it/servers/bad_server.py");
    let words = ["--", "python3", script.to_str().unwrap(), "good"];
    let bridge = Setup::bare().args(words).ready().await;
    let list = bridge.get("/servers").await.json();
    let name = list["servers"][0]["id"].as_str().unwrap();
    assert_eq!(list["total_servers"], 1);
    let said = bridge
        .post(&format!("/{name}/echo"), r#"{"message": "hi"}"#)
        .await;
    assert_eq!(said.text, r#""hi""#);

    let server = BadHttp::start("json").await;
    let url = format!("http://127.0.0.1:{}/mcp", server.port);
    let bridge = Setup::bare().args(["--", &url]).ready().await;
    let list = bridge.get("/servers").await.json();
    let name = list["servers"][0]["id"].as_str().unwrap();
    let said = bridge
        .post(&format!("/{name}/echo"), r#"{"message": "hi"}"#)
        .await;
    assert_eq!(said.text, r#""hi""#, "{list}");

    let (code, log) = Setup::bare().args(["--"]).output().await;
    assert_eq!(code, 2, "{log}");
}

#[tokio::test]
async fn the_command_line_says_where_to_listen() {
    let port = free_port();
    let listen = format!("127.0.0.1:{port}");
    let toml = "[server]\nlisten = '127.0.0.1:1'\n";
    let mut bridge = Setup::toml(toml).args(["--listen", &listen]).spawn();
    bridge.base = format!("http://{listen}");
    bridge.wait_for("/health", |status| status == 200).await;
    for bad in ["8000", "nowhere:x", "127.0.0.1:99999"] {
        let (code, log) = Setup::toml(toml).args(["--listen", bad]).output().await;
        assert_eq!(code, 2, "{bad}: {log}");
        assert!(log.contains("--listen"), "{bad}: {log}");
    }
}

#[test]
fn the_help_names_every_command() {
    let dir = tempfile::tempdir().unwrap();
    let printed = run(dir.path(), &["--help"], "");
    assert_eq!((printed.code, printed.stderr.as_str()), (0, ""));
    for command in [
        "serve",
        "check",
        "tools",
        "call",
        "openapi",
        "import",
        "healthcheck",
        "demo-server",
        "mcpo",
    ] {
        assert!(
            printed.stdout.contains(&format!("\n  {command} ")) || command == "mcpo",
            "{command}"
        );
        assert!(printed.stdout.contains(command), "{command}");
        let help = run(dir.path(), &[command, "--help"], "");
        assert_eq!(help.code, 0, "{command}: {help:?}");
    }
    let version = run(dir.path(), &["--version"], "");
    assert_eq!(
        version.stdout,
        format!("mcp-bridge {}\n", env!("CARGO_PKG_VERSION"))
    );
    for words in [
        &["nonsense"][..],
        &["--nonsense"],
        &["check", "too", "many"],
    ] {
        let printed = run(dir.path(), words, "");
        assert_eq!(
            (printed.code, printed.stdout.as_str()),
            (2, ""),
            "{words:?}"
        );
        assert!(
            printed.stderr.contains("Usage: mcp-bridge"),
            "{words:?}: {printed:?}"
        );
    }
}

#[test]
fn the_demo_server_speaks_mcp() {
    let dir = tempfile::tempdir().unwrap();
    let messages = [
        json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
            "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}}),
        json!({"jsonrpc": "2.0", "method": "notifications/initialized"}),
        json!({"jsonrpc": "2.0", "id": 2, "method": "tools/list"}),
        json!({"jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": {
            "name": "add", "arguments": {"a": 1, "b": 2}}}),
        json!({"jsonrpc": "2.0", "id": 4, "method": "tools/call", "params": {"name": "nothing", "arguments": {}}}),
        json!({"jsonrpc": "2.0", "id": 5, "method": "ping"}),
    ];
    let mut child = Command::new(env!("CARGO_BIN_EXE_mcp-bridge"))
        .arg("demo-server")
        .current_dir(dir.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let stdout = std::io::BufReader::new(child.stdout.take().unwrap());
    let mut lines = std::io::BufRead::lines(stdout);
    let mut answers: Vec<Value> = Vec::new();
    for message in &messages {
        writeln!(stdin, "{message}").unwrap();
        if message.get("id").is_some() {
            let line = lines.next().unwrap().unwrap();
            answers.push(serde_json::from_str(&line).unwrap());
        }
    }
    drop(stdin);
    assert!(lines.next().is_none());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let ids: Vec<_> = answers
        .iter()
        .map(|it| it["id"].as_u64().unwrap())
        .collect();
    assert_eq!(ids, [1, 2, 3, 4, 5]);
    assert_eq!(answers[0]["result"]["serverInfo"]["name"], "demo");
    assert_eq!(answers[1]["result"]["tools"].as_array().unwrap().len(), 4);
    assert_eq!(
        answers[2]["result"]["structuredContent"],
        json!({"sum": 3.0})
    );
    assert_eq!(answers[3]["error"]["code"], -32602);
    assert_eq!(answers[4]["result"], json!({}));
}

/// A compose file that passes on a variable which `.env` does not have kept the program from starting.
#[test]
fn a_blank_variable_is_as_good_as_none() {
    let dir = TempDir::new().unwrap();
    let toml = "[bridges.demo]\ncommand = 'mcp-bridge'\nargs = ['demo-server']\n";
    fs::write(dir.path().join("bridges.toml"), toml).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_mcp-bridge"))
        .arg("check")
        .envs([("BRIDGE_CONFIG", ""), ("BRIDGE_LISTEN", " ")])
        .current_dir(dir.path())
        .output()
        .unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    assert!(
        String::from_utf8(output.stdout)
            .unwrap()
            .contains("demo  on")
    );
}
