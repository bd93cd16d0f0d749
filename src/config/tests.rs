//! Tests over whole files.

use std::{fs, path::Path};

use proptest::prelude::*;

use super::*;
use crate::config::types::Transport;

/// What a test environment has.
const VARS: &[(&str, &str)] = &[("T_TOKEN", "tt"), ("BLANK", ""), ("HOST", "example.org")];

fn load_named(
    file: &str,
    text: &str,
    pairs: &[(&str, &str)],
) -> (Result<Loaded, Vec<Diagnostic>>, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(file);
    fs::write(&path, text).unwrap();
    let environment = Environment::of(pairs.iter().copied()).with_executable("/opt/mcp-bridge");
    let result = load(&path, &environment);
    let diagnostics = match &result {
        Ok(loaded) => &loaded.warnings,
        Err(diagnostics) => diagnostics,
    };
    let shown: Vec<_> = diagnostics.iter().map(ToString::to_string).collect();
    let shown = shown
        .join("\n\n")
        .replace(&format!("{}/", folder.path().display()), "");
    (result, shown)
}

/// The rendered diagnostics of a refused file.
fn refused(text: &str) -> String {
    let (result, shown) = load_named("bridges.toml", text, VARS);
    assert!(result.is_err(), "{text} was taken:\n{shown}");
    shown
}

/// A configuration that is taken, and the rendered warnings but the one of an open door.
fn taken(text: &str) -> (Config, String) {
    let (result, shown) = load_named("bridges.toml", text, VARS);
    let shown: Vec<_> = shown
        .split("\n\n")
        .filter(|one| !one.contains("whoever reaches 127.0.0.1:8000 may call"))
        .collect();
    match result {
        Ok(loaded) => (loaded.config, shown.join("\n\n")),
        Err(_) => panic!("{text} was refused:\n{}", shown.join("\n\n")),
    }
}

fn stdio(bridge: &Bridge) -> &Stdio {
    match &bridge.transport {
        Ok(Transport::Stdio(stdio)) => stdio,
        other => panic!("{other:?}"),
    }
}

fn far(bridge: &Bridge) -> &Remote {
    match &bridge.transport {
        Ok(Transport::Remote(remote)) => remote,
        other => panic!("{other:?}"),
    }
}

fn reason(bridge: &Bridge) -> &str {
    match &bridge.transport {
        Err(Disabled(reason)) => reason,
        Ok(other) => panic!("{other:?}"),
    }
}

#[test]
fn an_empty_file_has_every_default() {
    let (config, warnings) = taken("");
    assert_eq!(warnings, "");
    assert_eq!(config.flavor, Flavor::Native);
    assert_eq!(config.server, Server::default());
    assert_eq!(config.limits, Limits::default());
    assert_eq!(config.telemetry, Telemetry::default());
    assert!(config.identity.anonymous && config.bridges.is_empty());
}

#[test]
fn the_file_of_the_design_is_read() {
    let (config, warnings) = taken(
        r#"
[bridges.github]
url     = "https://${HOST}/mcp/"
headers = { Authorization = "Bearer ${T_TOKEN}" }

[bridges.trello]
command = "npx"
args    = ["-y", "@delorenj/mcp-server-trello@1.8.1"]
env     = { TRELLO_API_KEY = "${T_TOKEN}", TRELLO_TOKEN = "${TRELLO_API_TOKEN}", B = "${BLANK}" }

[bridges.demo]
command = "mcp-bridge"
timeout = "1m 30s"
tools_allow = ["get_*"]
rename = { short = "a long name" }
"#,
    );
    assert_eq!(warnings, "");
    let [github, trello, demo] = &config.bridges[..] else {
        panic!("three bridges")
    };
    assert_eq!(far(github).url.as_str(), "https://example.org/mcp/");
    assert_eq!(far(github).headers[0].1.expose(), "Bearer tt");
    assert_eq!(far(github).kind, RemoteKind::Auto);
    assert_eq!(
        reason(trello),
        "BLANK is blank; TRELLO_API_TOKEN is not set"
    );
    assert_eq!(stdio(demo).command, "/opt/mcp-bridge");
    assert!(!stdio(demo).inherit_env);
    assert_eq!(demo.timeout.as_secs(), 90);
    assert!(demo.tools.allows("get_x") && !demo.tools.allows("set_x"));
}

#[test]
fn broken_toml_is_shown_where_it_breaks() {
    insta::assert_snapshot!(refused("[bridges.x\ncommand = 'a'\n[server]\nlisten = \n"), @"");
    insta::assert_snapshot!(refused("[bridges.x]\ncommand = \"a\"\ncommand = \"b\"\n[bridges.x]\n"), @"");
}

#[test]
fn unknown_keys_are_told_with_the_nearest_known_one() {
    insta::assert_snapshot!(refused(
        "sever = 1\n[server]\nlisen = '127.0.0.1:1'\nport = 8000\n[bridges.x]\ncomand = 'a'\ntype = 'sse'\n[bridges.x.env]\nA = 1\n[bridges.y]\nurl = 5\nzzz = 1\n"
    ), @"");
}

#[test]
fn wrong_types_are_told_with_what_to_write() {
    insta::assert_snapshot!(refused(
        "bridges.y = 'npx'\n[bridges.x]\ncommand = ['npx', '-y']\nargs = 'x'\ntimeout = 30\nlazy = 'yes'\nheaders = 'Bearer sk-1234567890abc'\nconcurrency = 1.5\n[limits]\nrequests_max = 'many'\nbody_bytes_max = -1\n"
    ), @"");
}

#[test]
fn a_bridge_is_a_program_or_a_url() {
    insta::assert_snapshot!(refused(
        "[bridges.both]\ncommand = 'a'\nurl = 'http://x'\n[bridges.neither]\nlazy = true\n[bridges.blank]\ncommand = ''\n[bridges.mixed]\ncommand = 'a'\ntransport = 'sse'\nheaders = { A = 'b' }\n[bridges.other]\nurl = 'http://x'\nargs = ['a']\ntransport = 'stdio'\n"
    ), @"");
}

#[test]
fn names_of_bridges_are_checked() {
    insta::assert_snapshot!(refused(
        "[bridges.docs]\nurl = 'http://x'\n[bridges.'a b']\nurl = 'http://x'\n[bridges.'']\nurl = 'http://x'\n[bridges.xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx]\nurl = 'http://x'\n[[bridges.list]]\nurl = 'http://x'\n"
    ), @"");
}

#[test]
fn values_are_checked() {
    insta::assert_snapshot!(refused(
        r#"
[server]
listen = "8000"
root_path = "/a b"
cors_allow_origins = ["https://x/", "*"]
tls_cert = "c.pem"
drain_timeout = "soon"
[telemetry]
format = "xml"
level = "inof"
[identity.keys]
a = "text"
[identity.keys.b]
[bridges.x]
url = "ftp://x"
headers = { "a b" = "c", X = "a\nb", Y = "1", y = "2" }
transport = "websocket"
protocol = "old"
timeout = "0s"
concurrency = 0
idle_stop = "5"
tools_deny = ["[", "ok"]
[bridges.y]
url = "no url"
rename = { a = "a", b = "c", d = "c", e = "" }
aliases = { b = "x" }
[bridges.z]
command = "c"
env = { "A=B" = "c" }
"#
    ), @"");
}

#[test]
fn references_are_checked() {
    insta::assert_snapshot!(refused(
        "[server]\nlisten = '${NOWHERE}'\ntitle = '${X'\n[limits]\nrequests_max = '${BLANK}'\n[bridges.x]\ncommand = '${X-y}'\nargs = ['${}', '${MISSING}']\n"
    ), @"");
}

#[test]
fn an_open_door_is_refused_beyond_this_machine() {
    insta::assert_snapshot!(refused("[server]\nlisten = '0.0.0.0:8000'\n[identity.keys.a]\nkey = '${NO_KEY}'\n"), @"");
    for fine in [
        "[server]\nlisten = '0.0.0.0:8000'\n[identity]\nanonymous = true",
        "[server]\nlisten = '0.0.0.0:8000'\n[identity.keys.a]\nkey = '${T_TOKEN}'",
        "[server]\nlisten = '[::1]:8000'",
    ] {
        taken(fine);
    }
    let overrides = Overrides {
        listen: Some("0.0.0.0:1".parse().unwrap()),
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x");
    for text in ["", r#"{"mcpServers": {"a": {"command": "b"}}}"#] {
        fs::write(&path, text).unwrap();
        let errors = load_with(&path, &Environment::default(), &overrides).unwrap_err();
        assert!(
            errors[0].message.contains("reachable from other machines"),
            "{errors:?}"
        );
    }
}

#[test]
fn who_may_call_follows_from_keys_and_address() {
    for (text, anonymous, keys) in [
        ("", true, 0),
        ("[identity]\nanonymous = false", false, 0),
        ("[identity]\nanonymous = true", true, 0),
        ("[identity.keys.a]\nkey = '${T_TOKEN}'", false, 1),
        ("[identity.keys.a]\nkey = '${BLANK:-}'", true, 0),
        ("[identity.keys.a]\nkey = '${NO_SUCH}'", true, 0),
        (
            "[identity]\nanonymous = true\n[identity.keys.a]\nkey = '${T_TOKEN}'",
            true,
            1,
        ),
    ] {
        let (config, _) = load_named("bridges.toml", text, VARS);
        let identity = config.unwrap().config.identity;
        assert_eq!(
            (identity.anonymous, identity.keys.len()),
            (anonymous, keys),
            "{text}"
        );
    }
}

#[test]
fn secrets_in_the_wrong_place_are_warned_of_and_not_shown() {
    let (_, warnings) = taken(
        r#"
[identity.keys.a]
key = "hunter2hunter2"
[bridges.a]
url = "https://user:pw@x.org/${T_TOKEN}"
headers = { Authorization = "Bearer hunter2", X-Plain = "plain" }
[bridges.A]
command = "npx -y foo"
env = { API_KEY = "hunter2", MAX_TOKENS = "10", USE_TOKEN = "true", B = "ghp_hunter2hunter2" }
[bridges.c]
command = "x"
args = ["--token", "${T_TOKEN}"]
"#,
    );
    insta::assert_snapshot!(warnings, @"");
    assert!(!warnings.contains("hunter2"));
}

#[test]
fn a_file_that_cannot_be_read_is_told_with_what_to_do() {
    let error = load(Path::new("/nowhere/bridges.toml"), &Environment::default()).unwrap_err();
    insta::assert_snapshot!(error[0].to_string(), @"");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x");
    fs::write(&path, b"a\xff").unwrap();
    let error = load(&path, &Environment::default()).unwrap_err();
    assert!(error[0].message.contains("not UTF-8: byte 1"), "{error:?}");
}

#[test]
fn sources_are_all_files_that_count() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("bridges.toml"), "\u{feff}[bridges.a]\nurl = 'https://x'\nheaders = { A = '${file:there}', B = '${file:not}', C = '${C}' }").unwrap();
    fs::write(at("there"), "x\n").unwrap();
    fs::write(at(".env"), "C=1\n").unwrap();
    let loaded = load(&at("bridges.toml"), &Environment::default()).unwrap();
    assert_eq!(
        loaded.sources,
        [at("bridges.toml"), at(".env"), at("not"), at("there")]
    );
    assert!(reason(&loaded.config.bridges[0]).contains("not cannot be read"));
}

#[test]
fn the_shipped_file_and_the_examples_load() {
    for file in [
        "bridges.toml",
        "examples/laptop.toml",
        "examples/few-tools.toml",
    ] {
        let text = fs::read_to_string(file).unwrap();
        let (config, warnings) = taken(&text);
        assert_eq!(
            warnings.replace("(the key `default` is blank)", ""),
            warnings,
            "{file}"
        );
        assert!(!config.bridges.is_empty());
    }
    for file in ["examples/team.toml", "examples/kubernetes.toml"] {
        let text = fs::read_to_string(file)
            .unwrap()
            .replace("${file:/run/secrets/mcp/api-key}", "${MCP_API_KEY}");
        let (result, shown) = load_named("bridges.toml", &text, &[("MCP_API_KEY", "k")]);
        let config = result.unwrap_or_else(|_| panic!("{file}: {shown}")).config;
        assert_eq!(shown, "", "{file}");
        assert!(
            config
                .bridges
                .iter()
                .any(|bridge| bridge.transport.is_err())
        );
    }
    assert_eq!(
        fs::read_dir("examples").unwrap().count(),
        4,
        "load the new one here"
    );
}

#[test]
fn the_shipped_file_starts_with_cargo_alone() {
    let text = fs::read_to_string("bridges.toml").unwrap();
    let (result, _) = load_named("bridges.toml", &text, &[]);
    let config = result.unwrap().config;
    let on: Vec<_> = config
        .bridges
        .iter()
        .filter(|bridge| bridge.transport.is_ok())
        .map(|bridge| bridge.name.as_str())
        .collect();
    assert_eq!(on, ["demo"]);
    assert_eq!(config.server, Server::default());
}

#[test]
fn the_shipped_file_names_every_key_and_its_examples_hold() {
    let text = fs::read_to_string("bridges.toml").unwrap();
    for (section, header) in [
        ("server", "[server]"),
        ("identity", "[identity]"),
        ("identity.keys.x", "[identity.keys.x]"),
        ("limits", "[limits]"),
        ("telemetry", "[telemetry]"),
        ("bridges.x", "[bridges.x]"),
    ] {
        // An absurd key makes us list the known ones.
        let shown = refused(&format!("{header}\nqqqqqqqqqqqqqqqqqqqqqqq = 1\n"));
        let keys = shown
            .split("the keys are ")
            .nth(1)
            .unwrap()
            .lines()
            .next()
            .unwrap();
        for key in keys
            .split('`')
            .skip(1)
            .step_by(2)
            .filter(|key| *key != "keys")
        {
            let stands = text
                .lines()
                .any(|line| line.trim_start_matches('#').split(['=', ' ']).next() == Some(key));
            assert!(
                stands,
                "`{key}` of `[{section}]` is missing in bridges.toml"
            );
        }
    }
    let all: String = text
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(setting)
                if setting
                    .starts_with(|first: char| first == '[' || first.is_ascii_lowercase()) =>
            {
                format!("{setting}\n")
            }
            _ => format!("{line}\n"),
        })
        .collect();
    let (config, warnings) = taken(&all);
    assert_eq!(warnings, "");
    assert_eq!(config.bridges.len(), 5);
    // What stands there as default is the default.
    let server = Server {
        tls: config.server.tls.clone(),
        version: "1.0".to_owned(),
        ..Server::default()
    };
    assert_eq!(config.server, server);
    assert_eq!(config.limits, Limits::default());
    assert_eq!(config.telemetry, Telemetry::default());
    let (plain, github) = (
        taken("[bridges.x]\nurl = 'https://x'").0,
        &config.bridges[1],
    );
    let plain = &plain.bridges[0];
    assert_eq!(
        (
            github.connect_timeout,
            github.timeout,
            github.concurrency,
            github.queue,
            github.lazy,
            github.embed_html
        ),
        (
            plain.connect_timeout,
            plain.timeout,
            plain.concurrency,
            plain.queue,
            plain.lazy,
            plain.embed_html
        )
    );
}

/// An `mcpServers` file, given the entries.
fn servers_json(entries: &str) -> (Result<Loaded, Vec<Diagnostic>>, String) {
    load_named(
        "config.json",
        &format!("{{\"mcpServers\": {{{entries}}}}}"),
        VARS,
    )
}

#[test]
fn mcpo_refuses_in_its_own_words() {
    let either =
        "Server 's' must have either 'command' for stdio or 'type' and 'url' for remote servers";
    for (entry, message) in [
        (
            r#"{"type": "sse"}"#,
            "Server 's' of type 'sse' requires a 'url' field",
        ),
        (
            r#"{"type": "streamable-http"}"#,
            "Server 's' of type 'streamable-http' requires a 'url' field",
        ),
        (
            r#"{"type": "sse", "url": ""}"#,
            "Server 's' of type 'sse' requires a 'url' field",
        ),
        ("{}", either),
        (r#"{"type": "stdio", "url": "http://x"}"#, either),
        (r#"{"type": "websocket", "url": "http://x"}"#, either),
        (r#"{"command": ""}"#, either),
        (
            r#"{"command": ["a"]}"#,
            "Server 's' 'command' must be a string",
        ),
        (
            r#"{"command": "a", "args": "b"}"#,
            "Server 's' 'args' must be a list",
        ),
        (
            r#"{"command": "a", "disabledTools": "b"}"#,
            "Server 's' 'disabledTools' must be a list",
        ),
        (
            r#"{"command": "a", "disabled_tools": [1]}"#,
            "Server 's' 'disabledTools' must contain only strings",
        ),
        (
            r#"{"command": "a", "client_header_forwarding": 1}"#,
            "Server 's' client_header_forwarding must be a dictionary",
        ),
        (
            r#"{"command": "a", "client_header_forwarding": {"enabled": 1}}"#,
            "Server 's' client_header_forwarding.enabled must be a boolean",
        ),
        (
            r#"{"command": "a", "client_header_forwarding": {"enabled": true, "whitelist": 1}}"#,
            "Server 's' client_header_forwarding.whitelist must be a list",
        ),
        (
            r#"{"command": "a", "client_header_forwarding": {"enabled": true, "blacklist": 1}}"#,
            "Server 's' client_header_forwarding.blacklist must be a list",
        ),
        (
            r#"{"command": "a", "client_header_forwarding": {"debug_headers": 1}}"#,
            "Server 's' client_header_forwarding.debug_headers must be a boolean",
        ),
        (r#""a""#, "Server 's' must be an object"),
    ] {
        let (result, _) = servers_json(&format!("\"s\": {entry}"));
        let errors: Vec<_> = result
            .expect_err(entry)
            .into_iter()
            .filter(|one| one.severity == Severity::Error)
            .map(|one| one.message)
            .filter(|text| !text.contains("reachable"))
            .collect();
        assert_eq!(errors, [message], "{entry}");
    }
    for empty in [
        "{}",
        r#"{"mcpServers": {}}"#,
        r#"{"mcpServers": []}"#,
        r#"{"other": 1}"#,
    ] {
        let (result, _) = load_named("config.json", empty, VARS);
        assert_eq!(
            result.unwrap_err()[0].message,
            "No 'mcpServers' found in config file.",
            "{empty}"
        );
    }
}

#[test]
fn broken_json_is_shown_where_it_breaks() {
    let (result, shown) = load_named(
        "config.json",
        "{\n  \"mcpServers\": {\n    \"a\": {\"command\": \"x\" \"args\": []}\n  }\n}\n",
        VARS,
    );
    assert!(result.is_err());
    insta::assert_snapshot!(shown, @"");
}

#[test]
fn an_mcp_servers_file_is_taken_with_all_that_people_paste() {
    let (result, shown) = load_named(
        "config.json",
        "\u{feff}// comment\n{\"inputs\": [], \"mcpServers\": {\n\
         \"with space\": {\"command\": \"uvx\", \"args\": [\"a\", 1], \"env\": {\"A\": \"${T_TOKEN}\", \"B\": \"${NOT_SET}\"}, \"disabledTools\": [\"x*\"], \"autoApprove\": []},\n\
         \"docs\": {\"url\": \"http://x/sse\"},\n\
         \"http\": {\"type\": \"streamableHttp\", \"url\": \"http://x\", \"command\": \"ignored\"},\n\
         \"both\": {\"url\": \"http://x\", \"command\": \"c\", \"type\": \"stdio\", \"cwd\": \"/srv\"},\n\
         \"off\": {\"command\": \"c\", \"disabled\": true, \"timeout\": 60, \"options\": {\"cwd\": \"/x\"}},\n\
         \"bad\": {\"type\": \"sse\", \"url\": \"no url\", \"odd\": 1, \"oauth\": {}},\n\
         \"both\": {\"command\": \"last\", \"args\": null, \"disabledTools\": [], \"disabled_tools\": [\"y\"],},\n\
         }}",
        VARS,
    );
    let loaded = result.unwrap_or_else(|_| panic!("{shown}"));
    let bridges = &loaded.config.bridges;
    assert_eq!(loaded.config.flavor, Flavor::Mcpo);
    assert_eq!(loaded.config.server.listen.to_string(), "127.0.0.1:8000");
    let names: Vec<_> = bridges.iter().map(|bridge| bridge.name.as_str()).collect();
    assert_eq!(names, ["with space", "docs", "http", "both", "off", "bad"]);
    let first = stdio(&bridges[0]);
    assert_eq!(first.args, ["a", "1"]);
    assert_eq!(
        (first.env["A"].expose(), first.env["B"].expose()),
        ("tt", "${NOT_SET}")
    );
    assert!(first.inherit_env);
    assert!(!bridges[0].tools.allows("x*") && bridges[0].tools.allows("xy"));
    assert_eq!(far(&bridges[1]).kind, RemoteKind::Auto);
    assert_eq!(far(&bridges[2]).kind, RemoteKind::StreamableHttp);
    assert_eq!(stdio(&bridges[3]).command, "last");
    assert!(bridges[3].tools.allows("y"));
    assert_eq!(reason(&bridges[4]), "switched off in the configuration");
    assert_eq!(bridges[4].timeout.as_secs(), 60);
    assert!(reason(&bridges[5]).starts_with("`url` is no URL"));
    insta::assert_snapshot!(shown, @"");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_text_makes_the_loader_panic(text in ".{0,200}") {
        let _any = load_named("x", &text, VARS);
    }

    #[test]
    fn no_text_of_our_own_words_makes_the_loader_panic(
        words in proptest::collection::vec(
            prop::sample::select(vec![
                "[bridges.a]\n", "[bridges.", "[[", "]", "\n", "command", "url", " = ", "\"", "'", "'''", "${", "}",
                "${T_TOKEN}", "env", ".", "{", "[", ",", "1", "true", "headers", "[identity.keys.k]\n", "key", "é",
                "mcpServers", ":", "\"a\"", "\"command\"", "//", "\\", "#", "\"x\"", "listen", "[server]\n",
            ]),
            0..40,
        ),
    ) {
        let _toml = load_named("x", &words.concat(), VARS);
        let _json = load_named("x", &format!("{{{}", words.concat()), VARS);
        let _deep = load_named("x", &format!("{{\"mcpServers\":{{\"a\":{{{}}}}}}}", words.concat()), VARS);
    }
}

#[test]
fn deep_nesting_is_no_stack_overflow() {
    for text in [
        format!("a = {}", "[".repeat(100_000)),
        format!("a = {}", "{a=".repeat(100_000)),
        "{\"a\":".repeat(100_000),
        format!("[{}]", "a.".repeat(100_000)),
        format!("[bridges.x]\ncommand = '{}'", "${A:-".repeat(100_000)),
    ] {
        let (result, _) = load_named("x", &text, VARS);
        assert!(result.is_err());
    }
}
