//! The ways people start mcpo (mcpo contract §14.2), each with a server behind it. Images are made
//! elsewhere; what they run is started here, under mcpo's name.

use std::{os::unix::fs::symlink, path::Path};

use reqwest::Method;
use serde_json::json;

use super::{PYTHON, config, folder, probe, probe_with};
use crate::harness::{Bridge, Setup, Upstream};

/// A folder in which the program is called `mcpo`, as on the PATH of the image, with files.
fn linked() -> Setup {
    let setup = folder();
    let link = setup.path().join("mcpo");
    symlink(env!("CARGO_BIN_EXE_mcp-bridge"), &link).unwrap();
    let servers = [
        ("time", probe("r_text,b_env")),
        (
            "memory",
            probe_with("r_image", json!({"disabledTools": ["x"]})),
        ),
    ];
    setup.write("config.json", &config(&servers));
    setup.program(&link)
}

/// The words that follow `--` for the recorded server.
const SERVER: &str = "{python} {tests}/golden/mcpo/probe_server.py {dir}/tools.json r_text,b_env";

/// Splits a line as a shell does when nothing is quoted.
fn words(line: &str, port: u16) -> Vec<String> {
    line.replace("{server}", SERVER)
        .replace("{python}", &PYTHON)
        .replace("{port}", &port.to_string())
        .split_whitespace()
        .map(str::to_owned)
        .collect()
}

/// The line after the program's name, whether its server stands at the root.
const LINES: &[(&str, bool)] = &[
    // 1: `docker run … mcpo:main --api-key "top-secret" -- uvx … --local-timezone=America/New_York`
    (
        "--port {port} --api-key top-secret -- {server} --name America/New_York",
        true,
    ),
    // 2: the list form of compose
    (
        "--host 0.0.0.0 --port {port} --api-key top-secret --config {dir}/config.json",
        false,
    ),
    // 3: the string form of compose
    (
        "--port {port} --api-key top-secret --config {dir}/config.json --hot-reload",
        false,
    ),
    // 4: the program's name once more
    (
        "mcpo --config {dir}/config.json --api-key top-secret --port {port}",
        false,
    ),
    ("mcpo --port {port} --api-key top-secret -- {server}", true),
    // 5: the equals form
    (
        "--port={port} --config={dir}/config.json --api-key=top-secret",
        false,
    ),
    // 7: entry points with options of their own
    (
        "--config {dir}/config.json -k top-secret -p {port} -h 127.0.0.1",
        false,
    ),
    // 8: the image's own Python
    ("-p {port} -k top-secret -- {server}", true),
    // 13: from the host
    ("--port {port} --api-key top-secret -- {server}", true),
    (
        "--port {port} --api-key top-secret -- env KEY=v {server}",
        true,
    ),
];

/// The key of all patterns.
const KEY: (&str, &str) = ("authorization", "Bearer top-secret");

/// What every user of a pattern does: probes it (10), imports documents and calls (14).
async fn is_usable(bridge: &Bridge, is_single: bool) {
    let prefix = if is_single { "" } else { "/time" };
    for probe in ["/docs", "/openapi.json"] {
        assert_eq!(bridge.get(probe).await.status, 200);
    }
    let document = bridge.get(&format!("{prefix}/openapi.json")).await.json();
    let operation = &document["paths"]["/r_text"]["post"];
    assert_eq!(operation["operationId"], "tool_r_text_post");
    let call = format!("{prefix}/r_text");
    let answer = bridge.send(Method::POST, &call, &[KEY], "{}").await;
    assert_eq!(answer.text, "\"hello\"", "{}", bridge.log());
    assert_eq!(bridge.post(&call, "{}").await.status, 401);
}

#[tokio::test]
async fn every_line_that_people_write_starts() {
    for (line, is_single) in LINES {
        let setup = linked();
        let line = words(line, setup.port());
        let mut bridge = setup.args(&line).env("INHERITED", "yes").ready().await;
        is_usable(&bridge, *is_single).await;
        // 12: variables of the container reach its servers.
        let path = if *is_single { "/b_env" } else { "/time/b_env" };
        let env = bridge.send(Method::POST, path, &[KEY], "").await.json();
        assert_eq!(env["INHERITED"], "yes");
        if line.contains(&"KEY=v".to_owned()) {
            assert_eq!(env["KEY"], "v");
        }
        if *is_single {
            let sent = env["ARGV"].as_array().unwrap().last().unwrap();
            assert_eq!(sent, line.last().unwrap());
        }
        bridge.signal("TERM");
        assert_eq!(bridge.exit_code().await, 0);
    }
}

/// 6: `--server-type "streamable-http" -- http://gmail-mcp-server:5000/mcp/`
#[tokio::test]
async fn a_url_with_its_trailing_slash_is_called_as_written() {
    for (kind, mode, path) in [
        ("streamable-http", "json", "/mcp/"),
        ("streamable_http", "sse", "/mcp/"),
        ("sse", "legacy", "/sse"),
    ] {
        let upstream = Upstream::start(mode).await;
        let setup = linked();
        let port = setup.port().to_string();
        let url = format!("http://127.0.0.1:{}{path}", upstream.port);
        let line = [
            "--host",
            "127.0.0.1",
            "--port",
            &port,
            "--api-key",
            "top-secret",
            "--server-type",
            kind,
            "--header",
            r#"{"Authorization": "Bearer up", "x-k": "v"}"#,
            "--",
            &url,
        ];
        let bridge = setup.args(line).ready().await;
        let answer = bridge
            .send(Method::POST, "/echo", &[KEY], r#"{"message": "hi"}"#)
            .await;
        assert_eq!(answer.text, "\"hi\"", "{kind}: {}", bridge.log());
        // `--header` goes to the server; the caller's own key does not.
        let headers = upstream.headers().await;
        assert_eq!(headers["authorization"], "Bearer up", "{headers}");
        assert_eq!(headers["x-k"], "v", "{headers}");
    }
}

/// 7: `ENTRYPOINT ["sh","-c","exec mcpo … --api-key \"$MCPO_API_KEY\" --config …"]`
#[tokio::test]
async fn a_shell_may_start_it_by_name() {
    let setup = linked();
    let path = format!(
        "{}:{}",
        setup.path().display(),
        std::env::var("PATH").unwrap()
    );
    let script = format!(
        "exec mcpo --host 0.0.0.0 --port {} --api-key \"$MCPO_API_KEY\" --config {{dir}}/config.json",
        setup.port()
    );
    let mut bridge = setup
        .program(Path::new("/bin/sh"))
        .args(["-c", &script])
        .env("PATH", &path)
        .env("MCPO_API_KEY", "top-secret")
        .ready()
        .await;
    is_usable(&bridge, false).await;
    bridge.signal("TERM");
    assert_eq!(bridge.exit_code().await, 0);
}

/// 8: `-- python3 -c "from mcp.server.fastmcp import FastMCP; …"`
#[tokio::test]
async fn a_program_in_an_argument_is_passed_on_verbatim() {
    let setup = linked();
    let port = setup.port().to_string();
    let program = "import runpy, sys\nsys.argv = ['x', '{dir}/tools.json', 'r_text']\n\
                   runpy.run_path(\"{tests}/golden/mcpo/probe_server.py\")";
    let bridge = setup
        .args([
            "--port",
            &port,
            "--api-key",
            "top-secret",
            "--",
            &PYTHON,
            "-c",
            program,
        ])
        .ready()
        .await;
    is_usable(&bridge, true).await;
}

/// The quick start of people who have nothing: the server inside the binary.
#[tokio::test]
async fn our_own_server_needs_no_other_program() {
    let setup = linked();
    let port = setup.port().to_string();
    let bridge = setup
        .args(["--port", &port, "--", "mcp-bridge", "demo-server"])
        .ready()
        .await;
    let answer = bridge.post("/add", r#"{"a": 2, "b": "3"}"#).await;
    assert_eq!(
        (answer.status, answer.text.as_str()),
        (200, r#"{"sum":5.0}"#)
    );
}

/// 10: with `--strict-auth` pages are closed to strangers, as they are to the probe there.
#[tokio::test]
async fn probes_need_the_key_where_everything_does() {
    let setup = linked();
    let line = "--config {dir}/config.json -k top-secret --strict-auth -p {port}";
    let line = words(line, setup.port());
    let bridge = setup.args(line).ready().await;
    for path in ["/docs", "/openapi.json", "/time/openapi.json"] {
        assert_eq!(bridge.get(path).await.status, 401);
        let answer = bridge.send(Method::GET, path, &[KEY], "").await;
        assert_eq!(answer.status, 200);
    }
}
