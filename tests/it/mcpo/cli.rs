//! How it starts, what it says and how it ends (mcpo contract §2, `observed_more.txt`).

use serde_json::json;

use super::{config, mcpo, probe, probe_words, with_config};
use crate::harness::{Setup, until};

/// Words after `mcpo`, what is printed, the exit code.
const ENDS: &[(&[&str], &str, i32)] = &[
    (
        &[],
        "Usage: mcpo --host 0.0.0.0 --port 8000 -- your_mcp_command",
        1,
    ),
    (
        &["--"],
        "Error: You must specify the MCP server command after '--'",
        0,
    ),
    (&["--bogus"], "No such option: --bogus", 2),
    (
        &["--port", "abc", "--", "x"],
        "Invalid value for '--port' / '-p': 'abc' is not a valid integer.",
        2,
    ),
    (
        &["--version"],
        "Option '--version' requires an argument.",
        2,
    ),
    (&["--help"], "--hot-reload", 0),
    (
        &["--config", "{dir}/missing.json"],
        "the file cannot be read",
        1,
    ),
    (
        &["--config", "{dir}/broken.json"],
        "the JSON is not valid",
        1,
    ),
    (
        &["--config", "{dir}/empty.json"],
        "No 'mcpServers' found in config file.",
        1,
    ),
    (
        &["--config", "{dir}/nothing.json"],
        "Server 's' must have either 'command' for stdio or 'type' and 'url' for remote servers",
        1,
    ),
    (
        &["--config", "{dir}/no-url.json"],
        "Server 's' of type 'sse' requires a 'url' field",
        1,
    ),
    // B18: there every value is dropped in silence. The text may be a secret, so it is not shown.
    (
        &["--env", "s3cr3t", "--", "x"],
        "Invalid value for '--env' / '-e': expected KEY=VALUE.",
        2,
    ),
    // B15: there the exit code is 0, and nobody restarts it.
    (
        &["--", "no-such-program-x"],
        "error: cannot start `no-such-program-x`: no such program on PATH; install it or write its full path",
        1,
    ),
    (
        &["--", "sh", "-c", "echo TOKEN is wrong >&2; exit 3"],
        "error: the server ended during the handshake (exit status: 3): TOKEN is wrong",
        1,
    ),
];

/// A folder with files that cannot be used.
fn folder() -> Setup {
    let setup = super::folder();
    setup.write("broken.json", "{\"mcpServers\": {\"a\" 1}}");
    setup.write("empty.json", "{\"mcpServers\": {}}");
    setup.write("nothing.json", &config(&[("s", json!({}))]));
    setup.write("no-url.json", &config(&[("s", json!({"type": "sse"}))]));
    setup
}

#[tokio::test]
async fn what_cannot_be_started_ends_with_mcpos_words_and_code() {
    for (words, expected, code) in ENDS {
        let setup = folder();
        let port = setup.port().to_string();
        let is_short = words.is_empty() || words.contains(&"--bogus") || words.contains(&"--port");
        let setup = setup.args(["mcpo"]);
        let setup = if is_short {
            setup
        } else {
            setup.args(["--host", "127.0.0.1", "-p", &port])
        };
        let (ended, log) = setup.args(*words).output().await;
        assert!(log.contains(expected), "{words:?}: {log}");
        assert_eq!(ended, *code, "{words:?}: {log}");
        assert!(
            !log.contains("s3cr3t") && !log.contains("panicked"),
            "{log}"
        );
        let errors = log.lines().filter(|line| line.starts_with("error: "));
        assert!(errors.count() <= 1, "{log}");
    }
}

#[tokio::test]
async fn a_port_that_is_taken_is_exit_code_1() {
    let setup = with_config(&[("ok", probe("r_text"))], &[]);
    let _taken = std::net::TcpListener::bind(("127.0.0.1", setup.port())).unwrap();
    let (code, log) = setup.output().await;
    assert_eq!(code, 1, "{log}");
    assert!(log.contains("another program listens there"), "{log}");
}

/// A server on the network may come later, and so may one that takes its time.
#[tokio::test]
async fn a_remote_server_that_is_down_is_no_end() {
    for kind in ["sse", "streamable-http"] {
        let mut bridge = mcpo(&["--type", kind, "--", "http://127.0.0.1:9/mcp"])
            .ready()
            .await;
        assert_eq!(bridge.get("/docs").await.status, 200);
        assert_eq!(bridge.post("/echo", "{}").await.status, 503);
        bridge.signal("TERM");
        assert_eq!(bridge.exit_code().await, 0);
    }
}

#[tokio::test]
async fn the_first_line_says_what_is_started() {
    let words = probe_words("r_text");
    let mut line = vec!["--"];
    line.extend(words.iter().map(String::as_str));
    let setup = mcpo(&line);
    let port = setup.port();
    let mut bridge = setup.ready().await;
    let log = bridge.log();
    let start = format!("Starting MCP OpenAPI Proxy on 127.0.0.1:{port} with command: ");
    let first = log.lines().next().unwrap();
    assert!(
        first.starts_with(&start) && first.ends_with("/tools.json r_text"),
        "{first}"
    );
    bridge.signal("INT");
    assert_eq!(bridge.exit_code().await, 0);

    let bridge = with_config(&[("ok", probe("r_text"))], &[]).ready().await;
    let log = bridge.log();
    let first = log.lines().next().unwrap();
    let config = bridge.dir.path().join("config.json");
    assert_eq!(
        first,
        format!(
            "Starting MCP OpenAPI Proxy with config file: {}",
            config.display()
        )
    );
}

#[tokio::test]
async fn the_log_level_is_followed_and_a_wrong_one_is_no_crash() {
    for (options, level, infos, debugs, warning) in [
        (&["--log-level", "debug"][..], None, true, true, false),
        (&["--log-level", "WARNING"], None, false, false, false),
        (&[], Some("ERROR"), false, false, false),
        (&["--log-level", "bogus"], None, true, false, true),
    ] {
        let mut setup = with_config(&[("ok", probe("r_text"))], options);
        if let Some(level) = level {
            setup = setup.env("LOG_LEVEL", level);
        }
        let bridge = setup.ready().await;
        let answer = bridge.post("/ok/r_text", r#"{"q": "pr1vate"}"#).await;
        assert_eq!(answer.status, 200);
        bridge.get("/docs").await;
        let log = bridge.log();
        assert_eq!(
            log.contains("listening on http://"),
            infos,
            "{options:?}: {log}"
        );
        assert_eq!(log.contains("DEBUG"), debugs, "{options:?}: {log}");
        let warned = log.contains("Invalid LOG_LEVEL 'BOGUS', defaulting to INFO");
        assert_eq!(warned, warning, "{options:?}: {log}");
        // B17: what is sent to tools is nobody's business.
        assert!(!log.contains("pr1vate"), "{log}");
    }
}

#[tokio::test]
async fn a_header_that_is_no_json_is_left_out_with_a_warning() {
    let words = probe_words("r_text");
    let mut line = vec!["--header", "{bad", "--"];
    line.extend(words.iter().map(String::as_str));
    // Nothing is asked of it with a program.
    let bridge = mcpo(&line).ready().await;
    assert_eq!(bridge.post("/r_text", "").await.status, 200);
    let options = [
        "--type",
        "streamable-http",
        "--header",
        "{bad",
        "--",
        "http://127.0.0.1:9/",
    ];
    let bridge = mcpo(&options).ready().await;
    until(async || {
        bridge
            .log()
            .contains("Invalid JSON format for headers. Headers will be ignored.")
    })
    .await;
}
