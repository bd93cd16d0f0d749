//! Tests of mcpo's command line.

use std::{ffi::OsString, fs, path::PathBuf};

use super::{
    options::{McpoExit, USAGE},
    *,
};
use crate::config::{
    AnonymousAccess, Config, Environment, Flavor, RemoteKind, StdioSettings, TransportSettings,
};

fn words(line: &[&str]) -> Vec<OsString> {
    line.iter().map(OsString::from).collect()
}

fn command(line: &[&str]) -> McpoCommand {
    parse(words(line)).unwrap_or_else(|exit| panic!("{line:?}: {exit:?}"))
}

fn exit_of(line: &str) -> McpoExit {
    parse(words(&line.split_whitespace().collect::<Vec<_>>())).unwrap_err()
}

fn config(line: &[&str], environment: &Environment) -> Config {
    command(line).config(environment).unwrap().config
}

fn stdio(config: &Config) -> &StdioSettings {
    match &config.bridges[0].transport {
        Ok(TransportSettings::Stdio(stdio)) => stdio,
        other => panic!("{other:?}"),
    }
}

fn file(text: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.json");
    fs::write(&path, text).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (folder, path)
}

const ONE: &str =
    r#"{"mcpServers": {"ok": {"command": "c", "env": {"FOO": "cfg", "BAR": "${UNSET}"}}}}"#;

#[test]
fn every_way_people_start_mcpo_with_one_server_is_understood() {
    let none = Environment::default();
    // Common command lines that start mcpo with one server.
    let single: &[&[&str]] = &[
        &[
            "--api-key",
            "top-secret",
            "--",
            "uvx",
            "mcp-server-time",
            "--local-timezone=America/New_York",
        ],
        &[
            "--",
            "python3",
            "-c",
            "from mcp.server.fastmcp import FastMCP; …",
        ],
        &["--", "/app/.venv/bin/python3", "server.py"],
        &["--port", "8000", "--api-key", "X", "--", "uvx", "x"],
        &[
            "--port",
            "8000",
            "--",
            "env",
            "KEY=v",
            "python",
            "server.py",
        ],
    ];
    for line in single {
        let config = config(line, &none);
        let after = line.iter().position(|word| *word == "--").unwrap() + 1;
        assert_eq!(config.flavor, Flavor::McpoSingle, "{line:?}");
        assert_eq!(config.server.listen.to_string(), "0.0.0.0:8000", "{line:?}");
        let stdio = stdio(&config);
        assert_eq!(stdio.command, line[after], "{line:?}");
        assert_eq!(stdio.args, line[after + 1..], "{line:?}");
        assert!(stdio.inherit_env);
        assert_eq!(
            config.identity.anonymous == AnonymousAccess::Allowed,
            !line.contains(&"--api-key")
        );
    }
}

#[test]
fn every_way_people_start_mcpo_with_a_file_is_understood() {
    let (_folder, path) = file(ONE);
    let equals = format!("--config={path}");
    let none = Environment::default();
    let files: &[&[&str]] = &[
        &[
            "--host",
            "0.0.0.0",
            "--port",
            "8000",
            "--api-key",
            "k",
            "--config",
            &path,
        ],
        &[
            "--port",
            "8000",
            "--api-key",
            "X",
            "--config",
            &path,
            "--hot-reload",
        ],
        &["mcpo", "--config", &path, "--api-key", "X"],
        &["--port=8000", &equals],
        &["--config", &path],
        &["-c", &path, "-h", "0.0.0.0", "-p", "8000", "-k", "K"],
        &["-c", &path, "--", "ignored"],
        &["--type", "sse", "--config", &path],
    ];
    for line in files {
        let command = command(line);
        let config = command.config(&none).unwrap().config;
        assert_eq!(config.flavor, Flavor::Mcpo, "{line:?}");
        assert_eq!(config.bridges[0].name.as_str(), "ok");
        assert_eq!(config.server.listen.to_string(), "0.0.0.0:8000", "{line:?}");
        assert_eq!(command.hot_reload(), line.contains(&"--hot-reload"));
        assert!(
            command
                .first_line()
                .ends_with(&format!("with config file: {path}"))
        );
    }
}

#[test]
fn a_url_of_either_spelling_of_the_option_is_understood() {
    let none = Environment::default();
    let line = [
        "--host",
        "0.0.0.0",
        "--port",
        "8000",
        "--server-type",
        "streamable-http",
        "--",
        "http://gmail-mcp-server:5000/mcp/",
    ];
    let config = config(&line, &none);
    let Ok(TransportSettings::Remote(remote)) = &config.bridges[0].transport else {
        panic!("a URL")
    };
    assert_eq!(remote.url.as_str(), "http://gmail-mcp-server:5000/mcp/");
    assert_eq!(remote.kind, RemoteKind::StreamableHttp);
}

#[test]
fn what_cannot_be_served_ends_as_in_mcpo() {
    for (line, code, stdout, stderr) in [
        ("", 1, USAGE, ""),
        ("--port 1", 1, USAGE, ""),
        ("--config= stray", 1, USAGE, ""),
        (
            "--",
            0,
            "Error: You must specify the MCP server command after '--'\n",
            "",
        ),
        ("--bogus", 2, "", "No such option: --bogus"),
        ("--bogus=1 -- x", 2, "", "No such option: --bogus"),
        ("-x -- x", 2, "", "No such option: -x"),
        (
            "--port abc -- x",
            2,
            "",
            "Invalid value for '--port' / '-p': 'abc' is not a valid integer.",
        ),
        (
            "--version",
            2,
            "",
            "Option '--version' requires an argument.",
        ),
        (
            "-e FOO -e A=b -- x",
            2,
            "",
            "Invalid value for '--env' / '-e': expected KEY=VALUE.",
        ),
    ] {
        let exit = exit_of(line);
        assert_eq!((exit.code, exit.stdout.as_str()), (code, stdout), "{line}");
        assert!(
            exit.stderr.contains(stderr) && exit.stderr.is_empty() == stderr.is_empty(),
            "{line}: {}",
            exit.stderr
        );
    }
    let help = exit_of("--help");
    assert!(help.code == 0 && help.stdout.contains("--hot-reload") && help.stderr.is_empty());
}

#[test]
fn options_are_taken_as_click_takes_them() {
    let none = Environment::default();
    let line = [
        "-h",
        "localhost",
        "-p1",
        "-p",
        "2",
        "-n",
        "N",
        "-d",
        "D",
        "-v",
        "3",
        "--cors-allow-origins",
        "http://a",
        "--cors-allow-origins",
        "http://b",
        "-k",
        "-dash",
        "--strict-auth",
        "--root-path",
        "api/",
        "--path-prefix",
        "/pre",
        "--log-level",
        "WARNING",
        "-t",
        "c.pem",
        "-K",
        "k.pem",
        "-c",
    ];
    let (_folder, path) = file(ONE);
    let line: Vec<_> = line.into_iter().chain([path.as_str()]).collect();
    let config = config(&line, &none);
    let server = &config.server;
    assert_eq!(server.listen.to_string(), "127.0.0.1:2");
    assert_eq!(
        (
            server.title.as_str(),
            server.description.as_str(),
            server.version.as_str()
        ),
        ("N", "D", "3")
    );
    assert_eq!(server.cors_allow_origins, ["http://a", "http://b"]);
    assert_eq!(
        (server.root_path.as_str(), server.path_prefix.as_str()),
        ("/api", "/pre/")
    );
    assert!(
        !server.public_spec
            && config.identity.strict
            && config.identity.anonymous == AnonymousAccess::Refused
    );
    assert!(config.identity.keys[0].matches("-dash"));
    assert_eq!(
        server.tls.as_ref().unwrap().key_file,
        PathBuf::from("k.pem")
    );
    assert_eq!(config.telemetry.level, "warn");
}

#[test]
fn defaults_are_mcpos() {
    let environment = Environment::of([("LOG_LEVEL", "DEBUG")]);
    let config = config(
        &["--strict-auth", "-k", "", "--path-prefix", "x", "--", "c"],
        &environment,
    );
    let server = &config.server;
    // Without a key, no web page is allowed. mcpo allows all pages.
    assert!(server.cors_allow_origins.is_empty());
    assert_eq!(
        (server.root_path.as_str(), server.path_prefix.as_str()),
        ("", "/")
    );
    assert_eq!(server.title, "MCP OpenAPI Proxy");
    assert_eq!(server.version, "1.0");
    assert!(
        server.public_spec
            && config.identity.anonymous == AnonymousAccess::Allowed
            && !config.identity.strict
    );
    assert_eq!(config.telemetry.level, "debug");
}

#[test]
fn variables_reach_the_children_in_mcpos_order() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vars");
    fs::write(&path, "FOO=fromfile\nBAR='q x'\nONLYFILE=1\n").unwrap();
    let path = path.to_str().unwrap();
    let process = Environment::of([("FOO", "proc")]);
    let none = Environment::default();
    // The variables that the child process gets in addition to the environment.
    for (line, environment, seen) in [
        (
            &["-e", "FOO=1", "-e", "BAR=a=b"][..],
            &none,
            &[("BAR", "a=b"), ("FOO", "1")][..],
        ),
        (&["--env", "FOO=cli"], &process, &[("FOO", "cli")]),
        (
            &["--env-path", path],
            &none,
            &[("BAR", "q x"), ("FOO", "fromfile"), ("ONLYFILE", "1")],
        ),
        (
            &["--env-path", path],
            &process,
            &[("BAR", "q x"), ("ONLYFILE", "1")],
        ),
        (
            &["--env", "FOO=cli", "--env-path", path],
            &none,
            &[("BAR", "q x"), ("FOO", "fromfile"), ("ONLYFILE", "1")],
        ),
        (
            &["--env", "FOO=cli", "--env-path", path],
            &process,
            &[("BAR", "q x"), ("ONLYFILE", "1")],
        ),
        (
            &["--env", "FOO=1", "--env-path", "/nowhere"],
            &none,
            &[("FOO", "1")],
        ),
    ] {
        let line: Vec<_> = line.iter().copied().chain(["--", "c"]).collect();
        let config = config(&line, environment);
        let env: Vec<_> = stdio(&config)
            .env
            .iter()
            .map(|(name, value)| (name.as_str(), value.expose()))
            .collect();
        assert_eq!(env, seen, "{line:?}");
    }
    let (_folder, file) = file(ONE);
    let config = config(&["-c", &file, "-e", "FOO=cli", "-e", "X=y"], &none);
    let env = &stdio(&config).env;
    assert_eq!(
        (env["FOO"].expose(), env["BAR"].expose(), env["X"].expose()),
        ("cfg", "${UNSET}", "y")
    );
}

#[test]
fn headers_are_for_urls_and_bad_ones_are_a_warning() {
    let none = Environment::default();
    let loaded = command(&["--type", "sse", "-H", r#"{"A": "b"}"#, "--", "http://x/sse"])
        .config(&none)
        .unwrap();
    let Ok(TransportSettings::Remote(remote)) = &loaded.config.bridges[0].transport else {
        panic!("a URL")
    };
    assert_eq!(
        (remote.kind, remote.headers[0].1.expose()),
        (RemoteKind::Sse, "b")
    );
    for bad in ["{", "[]", r#"{"A": 1}"#, r#"{"a b": "c"}"#] {
        let loaded = command(&[
            "--type",
            "streamable_http",
            "--header",
            bad,
            "--",
            "http://x",
        ])
        .config(&none)
        .unwrap();
        assert_eq!(
            loaded.warnings[0].message,
            "Invalid JSON format for headers. Headers will be ignored."
        );
    }
    let loaded = command(&["--log-level", "bogus", "--", "c"])
        .config(&none)
        .unwrap();
    assert_eq!(
        loaded.warnings[0].message,
        "Invalid LOG_LEVEL 'BOGUS', defaulting to INFO"
    );
}

#[test]
fn a_configuration_that_cannot_work_is_an_error() {
    let none = Environment::default();
    for line in [
        &["--port", "99999", "--", "c"][..],
        &["--ssl-certfile", "c", "--", "c"],
        &["--root-path", "/{x}", "--", "c"],
        &["--config", "/nowhere.json"],
        &["--type", "sse", "--", "no-url"],
    ] {
        assert!(command(line).config(&none).is_err(), "{line:?}");
    }
}
