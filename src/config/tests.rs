//! Tests of whole files.

use std::{fs, path::Path};

use proptest::prelude::*;

use super::*;

/// The variables of the test environment.
const VARS: &[(&str, &str)] = &[("T_TOKEN", "tt"), ("BLANK", ""), ("HOST", "example.org")];

pub(super) fn load_named(
    file: &str,
    text: &str,
    pairs: &[(&str, &str)],
) -> (Result<LoadedConfig, Vec<Diagnostic>>, String) {
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

/// Returns the rendered diagnostics of a rejected file.
pub(super) fn refused(text: &str) -> String {
    let (result, shown) = load_named("bridges.toml", text, VARS);
    assert!(result.is_err(), "{text} was taken:\n{shown}");
    shown
}

/// Returns an accepted configuration and its rendered warnings, except the warning about open access.
pub(super) fn taken(text: &str) -> (Config, String) {
    let (result, shown) = load_named("bridges.toml", text, VARS);
    let shown: Vec<_> = shown
        .split("\n\n")
        .filter(|one| !one.contains("any client that can reach 127.0.0.1:8000 may call"))
        .collect();
    match result {
        Ok(loaded) => (loaded.config, shown.join("\n\n")),
        Err(errors) => panic!("{errors:?} {text} was refused:\n{}", shown.join("\n\n")),
    }
}

fn stdio(bridge: &BridgeSettings) -> &StdioSettings {
    match &bridge.transport {
        Ok(TransportSettings::Stdio(stdio)) => stdio,
        other => panic!("{other:?}"),
    }
}

fn far(bridge: &BridgeSettings) -> &RemoteSettings {
    match &bridge.transport {
        Ok(TransportSettings::Remote(remote)) => remote,
        other => panic!("{other:?}"),
    }
}

fn reason(bridge: &BridgeSettings) -> &str {
    match &bridge.transport {
        Err(DisabledReason(reason)) => reason,
        Ok(other) => panic!("{other:?}"),
    }
}

#[test]
fn an_empty_file_has_every_default() {
    let (config, warnings) = taken("");
    assert_eq!(warnings, "");
    assert_eq!(config.flavor, Flavor::Native);
    assert_eq!(config.server, ServerSettings::default());
    assert_eq!(config.limits, LimitSettings::default());
    assert_eq!(config.telemetry, TelemetrySettings::default());
    assert!(config.identity.anonymous == AnonymousAccess::Loopback && config.bridges.is_empty());
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
fn what_is_denied_is_denied_in_any_case_and_what_is_allowed_as_written() {
    let (config, _) = taken(
        "[bridges.a]\ncommand = 'npx'\ntools_deny = ['delete_*', 'Écrire', 'exact?']\n\
         [bridges.b]\ncommand = 'npx'\ntools_allow = ['get_*']\n",
    );
    let (denying, allowing) = (&config.bridges[0].tools, &config.bridges[1].tools);
    for name in [
        "delete_all",
        "Delete_All",
        "DELETE_X",
        "écrire",
        "ÉCRIRE",
        "EXACT1",
    ] {
        assert!(denying.denies(name) && !denying.allows(name), "{name}");
    }
    for name in ["undelete", "exact", "read"] {
        assert!(denying.allows(name), "{name}");
    }
    assert!(allowing.allows("get_x") && !allowing.allows("Get_X"));
}

#[test]
fn broken_toml_is_shown_where_it_breaks() {
    insta::assert_snapshot!(refused("[bridges.x\ncommand = 'a'\n[server]\nlisten = \n"), @r##"
    bridges.toml:1:11: error: unclosed table, expected `]`
      |
    1 | [bridges.x
      |           ^

    bridges.toml:4:10: error: string values must be quoted, expected literal string
      |
    4 | listen = 
      |          ^
    "##);
    insta::assert_snapshot!(refused("[bridges.x]\ncommand = \"a\"\ncommand = \"b\"\n[bridges.x]\n"), @r##"
    bridges.toml:3:1: error: duplicate key
      |
    3 | command = "b"
      | ^^^^^^^
    hint: keep one of them

    bridges.toml:4:10: error: duplicate key
      |
    4 | [bridges.x]
      |          ^
    hint: keep one of them
    "##);
}

#[test]
fn unknown_keys_are_told_with_the_nearest_known_one() {
    insta::assert_snapshot!(refused(
        "sever = 1\n[server]\nlisen = '127.0.0.1:1'\nport = 8000\n[bridges.x]\ncomand = 'a'\ntype = 'sse'\n[bridges.x.env]\nA = 1\n[bridges.y]\nurl = 5\nzzz = 1\n"
    ), @r##"
    bridges.toml:1:1: error: unknown key `sever` at the top
      |
    1 | sever = 1
      | ^^^^^
    hint: did you mean `server`?

    bridges.toml:3:1: error: unknown key `lisen` in `[server]`
      |
    3 | lisen = '127.0.0.1:1'
      | ^^^^^
    hint: did you mean `listen`?

    bridges.toml:4:1: error: unknown key `port` in `[server]`
      |
    4 | port = 8000
      | ^^^^
    hint: write `listen = "HOST:PORT"`

    bridges.toml:6:1: error: unknown key `comand` in `[bridges.x]`
      |
    6 | comand = 'a'
      | ^^^^^^
    hint: did you mean `command`?

    bridges.toml:7:1: error: unknown key `type` in `[bridges.x]`
      |
    7 | type = 'sse'
      | ^^^^
    hint: write `transport`

    bridges.toml:9:5: error: `A`: expected a string, found integer `1`
      |
    9 | A = 1
      |     ^
    hint: put it in double quotes

    bridges.toml:11:7: error: `url`: expected a string, found integer `5`
       |
    11 | url = 5
       |       ^
    hint: put it in double quotes

    bridges.toml:12:1: error: unknown key `zzz` in `[bridges.y]`
       |
    12 | zzz = 1
       | ^^^
    hint: the keys are `enabled`, `title`, `description`, `command`, `args`, `env`, `inherit_env`, `cwd`, `user`, `url`, `transport`, `headers`, `basic_auth`, `oauth`, `pass_headers`, `credential`, `sessions_max`, `session_idle`, `protocol`, `connect_timeout`, `timeout`, `concurrency`, `queue`, `calls_per_minute`, `lazy`, `idle_stop`, `tools_allow`, `tools_deny`, `rename`, `aliases`, `embed_html`, `file_links`, `progress`, `unknown_arguments`, `with_key`
    "##);
}

#[test]
fn wrong_types_are_told_with_what_to_write() {
    insta::assert_snapshot!(refused(
        "bridges.y = 'npx'\n[bridges.x]\ncommand = ['npx', '-y']\nargs = 'x'\ntimeout = 30\nlazy = 'yes'\nheaders = 'Bearer sk-1234567890abc'\nconcurrency = 1.5\n[limits]\nrequests_max = 'many'\nbody_bytes_max = -1\n"
    ), @r##"
    bridges.toml:1:13: error: `y`: a bridge must be a table
      |
    1 | bridges.y = 'npx'
      |             ^^^^^
    hint: write `[bridges.y]` and below it `command = …` or `url = …`

    bridges.toml:3:11: error: `command`: expected a string, found a list
      |
    3 | command = ['npx', '-y']
      |           ^^^^^^^^^^^^^
    hint: put the program in `command` and the rest in `args`

    bridges.toml:4:8: error: `args`: expected a list, found a string
      |
    4 | args = 'x'
      |        ^^^
    hint: put it in brackets: `["…"]`

    bridges.toml:5:11: error: `timeout`: expected a string, found integer `30`
      |
    5 | timeout = 30
      |           ^^
    hint: write the unit: `"30s"`

    bridges.toml:6:8: error: `lazy`: expected `true` or `false`, found a string
      |
    6 | lazy = 'yes'
      |        ^^^^^

    bridges.toml:7:11: error: `headers`: expected a table, found a string
      |
    7 | headers = '****** ****************'
      |           ^^^^^^^^^^^^^^^^^^^^^^^^^

    bridges.toml:8:15: error: `concurrency`: expected a whole number, found floating point `1.5`
      |
    8 | concurrency = 1.5
      |               ^^^

    bridges.toml:10:16: error: `requests_max` must be a whole number, at least 1
       |
    10 | requests_max = 'many'
       |                ^^^^^^
    hint: leave `requests_max` out for its default

    bridges.toml:11:18: error: `body_bytes_max` must be a whole number, at least 1024
       |
    11 | body_bytes_max = -1
       |                  ^^
    hint: leave `body_bytes_max` out for its default
    "##);
}

#[test]
fn a_bridge_is_a_program_or_a_url() {
    insta::assert_snapshot!(refused(
        "[bridges.both]\ncommand = 'a'\nurl = 'http://x'\n[bridges.neither]\nlazy = true\n[bridges.blank]\ncommand = ''\n[bridges.mixed]\ncommand = 'a'\ntransport = 'sse'\nheaders = { A = 'b' }\n[bridges.other]\nurl = 'http://x'\nargs = ['a']\ntransport = 'stdio'\n"
    ), @r##"
    bridges.toml:3:7: error: a bridge has either `command` or `url`, not both
      |
    3 | url = 'http://x'
      |       ^^^^^^^^^^
    hint: keep `command` for a program, `url` for a server that runs elsewhere

    bridges.toml:4:10: error: the bridge has neither `command` nor `url`
      |
    4 | [bridges.neither]
      |          ^^^^^^^
    hint: add `command = "npx"` and `args = ["-y", "PACKAGE"]`, or `url = "https://…/mcp"`

    bridges.toml:7:11: error: `command` is blank
      |
    7 | command = ''
      |           ^^
    hint: write the name of a program: `"npx"`

    bridges.toml:10:13: error: this `transport` needs a `url`
       |
    10 | transport = 'sse'
       |             ^^^^^
    hint: remove `transport`, or give `url` in place of `command`

    bridges.toml:11:13: error: `headers` works with `url`, not with `command`
       |
    11 | headers = { A = 'b' }
       |             ^
    hint: pass credentials to a program with `env`

    bridges.toml:14:9: error: `args` works with `command`, not with `url`
       |
    14 | args = ['a']
       |         ^^^
    hint: send credentials to a URL with `headers`

    bridges.toml:15:13: error: this `transport` needs a `command`
       |
    15 | transport = 'stdio'
       |             ^^^^^^^
    hint: remove `transport`, or give `command` in place of `url`
    "##);
}

#[test]
fn names_of_bridges_are_checked() {
    insta::assert_snapshot!(refused(
        "[bridges.docs]\nurl = 'http://x'\n[bridges.'a b']\nurl = 'http://x'\n[bridges.'']\nurl = 'http://x'\n[bridges.xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx]\nurl = 'http://x'\n[[bridges.list]]\nurl = 'http://x'\n"
    ), @r##"
    bridges.toml:1:10: error: `docs` is a route of mcp-bridge and cannot name a bridge; use another name, for example `docs-server`
      |
    1 | [bridges.docs]
      |          ^^^^

    bridges.toml:3:10: error: `a b` has the character ' '; a bridge name is made of ASCII letters, digits, `-`, `_` and `.`, and starts with a letter or digit
      |
    3 | [bridges.'a b']
      |          ^^^^^
    hint: write `[bridges.a-b]`

    bridges.toml:5:10: error: a bridge needs a name
      |
    5 | [bridges.'']
      |          ^^

    bridges.toml:7:10: error: a bridge name has at most 40 characters, `xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx` has 45
      |
    7 | [bridges.xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx]
      |          ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
    hint: write `[bridges.xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx]`

    bridges.toml:9:1: error: `list`: a bridge must be a table
      |
    9 | [[bridges.list]]
      | ^^^^^^^^^^^^^^^^
    hint: write `[bridges.list]` and below it `command = …` or `url = …`
    "##);
}

#[test]
fn values_of_the_server_are_checked() {
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
"#
    ), @r##"
    bridges.toml:3:10: error: `listen`: `8000` has no port
      |
    3 | listen = "8000"
      |          ^^^^^^
    hint: write `"127.0.0.1:8000"`, or `"0.0.0.0:8000"` for every interface

    bridges.toml:4:13: error: `root_path` cannot contain ' '
      |
    4 | root_path = "/a b"
      |             ^^^^^^
    hint: write a path such as `"/api/mcpo"`

    bridges.toml:5:23: error: `cors_allow_origins`: `https://x/` is not a valid origin
      |
    5 | cors_allow_origins = ["https://x/", "*"]
      |                       ^^^^^^^^^^^^
    hint: write only the scheme and host, `"https://chat.example.org"`, or `"*"`

    bridges.toml:6:12: error: TLS needs `tls_key` too
      |
    6 | tls_cert = "c.pem"
      |            ^^^^^^^
    hint: add `tls_key = "/path/to/file.pem"`, or leave both out for plain HTTP

    bridges.toml:7:17: error: `drain_timeout`: `soon` is not a valid duration
      |
    7 | drain_timeout = "soon"
      |                 ^^^^^^
    hint: write `"500ms"`, `"30s"`, `"5m"` or `"1h 30m"`

    bridges.toml:9:10: error: `format`: there is no `xml`
      |
    9 | format = "xml"
      |          ^^^^^
    hint: write one of `text`, `json`

    bridges.toml:10:9: error: `level`: there is no `inof`
       |
    10 | level = "inof"
       |         ^^^^^^
    hint: write `"info"`, or a filter: `"info,mcp_bridge=debug"`

    bridges.toml:12:5: error: `a`: expected a table
       |
    12 | a = "text"
       |     ^^^^^^
    hint: write `[identity.keys.a]` and below it `key = "${MCP_API_KEY}"`

    bridges.toml:13:1: error: `[identity.keys.b]` has no `key`
       |
    13 | [identity.keys.b]
       | ^^^^^^^^^^^^^^^^^
    hint: add `key = "${MCP_API_KEY}"`
    "##);
}

#[test]
fn values_of_a_url_are_checked() {
    insta::assert_snapshot!(refused(
        r#"
[bridges.x]
url = "ftp://x"
headers = { "a b" = "c", X = "a\nb", Y = "1", y = "2" }
transport = "websocket"
protocol = "old"
[bridges.y]
url = "no url"
"#
    ), @r##"
    bridges.toml:3:7: error: `url`: `ftp:` is neither `http:` nor `https:`
      |
    3 | url = "ftp://x"
      |       ^^^^^^^^^
    hint: write `"https://host/path"`

    bridges.toml:4:13: error: `headers`: "a b" is not a valid header name
      |
    4 | headers = { "a b" = "c", X = "a\nb", Y = "1", y = "2" }
      |             ^^^^^
    hint: write letters, digits and `-`: `X-Api-Key`

    bridges.toml:4:30: error: `headers`: the value of `x` has a character that is not allowed in headers
      |
    4 | headers = { "a b" = "c", X = "a\nb", Y = "1", y = "2" }
      |                              ^^^^^^
    hint: check for a line break at the end of the variable or file

    bridges.toml:4:47: error: `headers`: `y` is set twice, in different case
      |
    4 | headers = { "a b" = "c", X = "a\nb", Y = "1", y = "2" }
      |                                               ^
    hint: keep one of them

    bridges.toml:5:13: error: `transport`: there is no `websocket`
      |
    5 | transport = "websocket"
      |             ^^^^^^^^^^^
    hint: write one of `stdio`, `streamable-http`, `http`, `sse`, `openapi`, `auto`

    bridges.toml:6:12: error: `protocol`: there is no `old`
      |
    6 | protocol = "old"
      |            ^^^^^
    hint: write one of `auto`, `legacy`, `modern`

    bridges.toml:8:7: error: `url` is not a valid URL: relative URL without a base
      |
    8 | url = "no url"
      |       ^^^^^^^^
    hint: write `"https://host/path"`
    "##);
}

#[test]
fn values_of_a_bridge_are_checked() {
    insta::assert_snapshot!(refused(
        r#"
[bridges.x]
command = "c"
env = { "A=B" = "c" }
timeout = "0s"
concurrency = 0
idle_stop = "5"
tools_deny = ["[", "ok"]
rename = { a = "a", b = "c", d = "c", e = "" }
aliases = { b = "x" }
"#
    ), @r##"
    bridges.toml:4:9: error: `env`: "A=B" is not a valid variable name
      |
    4 | env = { "A=B" = "c" }
      |         ^^^^^
    hint: write `NAME = "value"`

    bridges.toml:5:11: error: `timeout` must be more than zero and at most a year
      |
    5 | timeout = "0s"
      |           ^^^^
    hint: leave `timeout` out for its default

    bridges.toml:6:15: error: `concurrency` must be a whole number, at least 1
      |
    6 | concurrency = 0
      |               ^
    hint: leave `concurrency` out for its default

    bridges.toml:7:13: error: `idle_stop`: `5` is not a valid duration
      |
    7 | idle_stop = "5"
      |             ^^^
    hint: write the unit: `"5s"`

    bridges.toml:8:15: error: `tools_deny`: unclosed character class; missing ']'
      |
    8 | tools_deny = ["[", "ok"]
      |               ^^^
    hint: write names with `*` and `?`, for example `"list_*"`; `[` and `{` are special, and `\\` escapes them

    bridges.toml:9:12: error: `rename`: `a` refers to itself
      |
    9 | rename = { a = "a", b = "c", d = "c", e = "" }
      |            ^
    hint: write the new name first: `NEW = "a"`, or remove the line

    bridges.toml:9:30: error: `c` cannot be renamed to both `b` and `d`
      |
    9 | rename = { a = "a", b = "c", d = "c", e = "" }
      |                              ^
    hint: keep one, and put the other under `aliases`: `d = "c"`

    bridges.toml:9:39: error: `rename`: the name of a tool has 1 to 512 bytes
      |
    9 | rename = { a = "a", b = "c", d = "c", e = "" }
      |                                       ^
    hint: write `NEW = "NAME_AT_THE_SERVER"`

    bridges.toml:10:13: error: `b` is both under `rename` and under `aliases`
       |
    10 | aliases = { b = "x" }
       |             ^
    hint: keep one of them
    "##);
}

#[test]
fn references_are_checked() {
    insta::assert_snapshot!(refused(
        "[server]\nlisten = '${NOWHERE}'\ntitle = '${X'\n[limits]\nrequests_max = '${BLANK}'\n[bridges.x]\ncommand = '${X-y}'\nargs = ['${}', '${MISSING}']\n"
    ), @r##"
    bridges.toml:2:10: error: NOWHERE is not set
      |
    2 | listen = '${NOWHERE}'
      |          ^^^^^^^^^^^^
    hint: set it, or give a default: `${NAME:-default}`

    bridges.toml:3:9: error: `${` has no closing `}`
      |
    3 | title = '${X'
      |         ^^^^^
    hint: write `${NAME}`, or `$${` for a literal `${`

    bridges.toml:5:16: error: BLANK is blank
      |
    5 | requests_max = '${BLANK}'
      |                ^^^^^^^^^^
    hint: set it, or give a default: `${NAME:-default}`

    bridges.toml:7:11: error: `${X-y}` is not a valid reference to a variable
      |
    7 | command = '${X-y}'
      |           ^^^^^^^^
    hint: write `${X:-y}` to give a default

    bridges.toml:8:9: error: `${}` is not a valid reference to a variable
      |
    8 | args = ['${}', '${MISSING}']
      |         ^^^^^
    hint: write `${NAME}`, `${NAME:-default}`, `${file:/path}`, or `$${` for a literal `${`
    "##);
}

#[test]
fn an_open_door_is_refused_beyond_this_machine() {
    insta::assert_snapshot!(refused("[server]\nlisten = '0.0.0.0:8000'\n[identity.keys.a]\nkey = '${NO_KEY}'\n"), @r##"
    bridges.toml:2:10: error: 0.0.0.0:8000 is reachable from other machines, and no API key is on (the key `a` is off: NO_KEY is not set)
      |
    2 | listen = '0.0.0.0:8000'
      |          ^^^^^^^^^^^^^^
    hint: write `[identity.keys.default]` with `key = "${MCP_API_KEY}"` and set MCP_API_KEY, or write `anonymous = true` in `[identity]` if all callers are allowed
    "##);
    for fine in [
        "[server]\nlisten = '0.0.0.0:8000'\n[identity]\nanonymous = true",
        "[server]\nlisten = '0.0.0.0:8000'\n[identity.keys.a]\nkey = '${T_TOKEN}'",
        "[server]\nlisten = '[::1]:8000'",
    ] {
        taken(fine);
    }
    let overrides = CliOverrides {
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
        ("", AnonymousAccess::Loopback, 0),
        ("[identity]\nanonymous = false", AnonymousAccess::Refused, 0),
        ("[identity]\nanonymous = true", AnonymousAccess::Allowed, 0),
        (
            "[identity.keys.a]\nkey = '${T_TOKEN}'",
            AnonymousAccess::Refused,
            1,
        ),
        (
            "[identity.keys.a]\nkey = '${BLANK:-}'",
            AnonymousAccess::Loopback,
            0,
        ),
        (
            "[identity.keys.a]\nkey = '${NO_SUCH}'",
            AnonymousAccess::Loopback,
            0,
        ),
        (
            "[identity]\nanonymous = true\n[identity.keys.a]\nkey = '${T_TOKEN}'",
            AnonymousAccess::Allowed,
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
    insta::assert_snapshot!(warnings, @r##"
    bridges.toml:3:7: warning: `key` is written in plain text in the file
      |
    3 | key = "**************"
      |       ^^^^^^^^^^^^^^^^
    hint: move it to the environment: `key = "${MCP_API_KEY}"`

    bridges.toml:3:7: warning: `key` has only 14 characters, so it can be guessed
      |
    3 | key = "**************"
      |       ^^^^^^^^^^^^^^^^
    hint: `openssl rand -hex 32` makes a good one

    bridges.toml:5:7: warning: `${T_TOKEN}` looks like a secret, and URLs end up in logs, here and at every proxy
      |
    5 | url = "https://user:**@x.org/${T_TOKEN}"
      |       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
    hint: send it with `headers`, if the server accepts it there: `headers = { Authorization = "Bearer ${…}" }`

    bridges.toml:5:7: warning: the URL contains a password, and URLs end up in logs
      |
    5 | url = "https://user:**@x.org/${T_TOKEN}"
      |       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
    hint: send it with `headers`: `Authorization = "Basic ${…}"`

    bridges.toml:6:29: warning: the value of `Authorization` looks like a secret and is written in plain text in the file
      |
    6 | headers = { Authorization = "****** *******", X-Plain = "plain" }
      |                             ^^^^^^^^^^^^^^^^
    hint: move it to the environment: `Authorization = "Bearer ${SOME_TOKEN}"`

    bridges.toml:7:10: warning: `A` and `a` differ only in case
      |
    7 | [bridges.A]
      |          ^
    hint: rename one of them

    bridges.toml:8:11: warning: `command` is one program, not a shell command line
      |
    8 | command = "npx -y foo"
      |           ^^^^^^^^^^^^
    hint: write `command = "npx"` and `args = ["-y", "foo"]`

    bridges.toml:9:19: warning: the value of `API_KEY` looks like a secret and is written in plain text in the file
      |
    9 | env = { API_KEY = "*******", MAX_TOKENS = "10", USE_TOKEN = "****", B = "******************" }
      |                   ^^^^^^^^^
    hint: move it to the environment: `API_KEY = "${API_KEY}"`

    bridges.toml:9:73: warning: the value of `B` looks like a secret and is written in plain text in the file
      |
    9 | env = { API_KEY = "*******", MAX_TOKENS = "10", USE_TOKEN = "****", B = "******************" }
      |                                                                         ^^^^^^^^^^^^^^^^^^^^
    hint: move it to the environment: `B = "${B}"`

    bridges.toml:12:20: warning: `${T_TOKEN}` looks like a secret, and arguments are visible to every user of the machine in the process list
       |
    12 | args = ["--token", "${T_TOKEN}"]
       |                    ^^^^^^^^^^^^
    hint: pass it with `env`, if the server can read it there
    "##);
    assert!(!warnings.contains("hunter2"));
}

#[test]
fn a_file_that_cannot_be_read_is_told_with_what_to_do() {
    let error = load(Path::new("/nowhere/bridges.toml"), &Environment::default()).unwrap_err();
    insta::assert_snapshot!(error[0].to_string(), @r##"
    /nowhere/bridges.toml: error: the file cannot be read: No such file or directory (os error 2)
    hint: `--config FILE` names another file; `mcp-bridge import` makes one from an `mcpServers` file
    "##);
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
        "examples/catalogue.toml",
        "examples/remote-only.toml",
        "examples/per-person.toml",
        "examples/read-only.toml",
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
        let (result, shown) = load_named(
            "bridges.toml",
            &text,
            &[("MCP_API_KEY", "a-key-of-the-team")],
        );
        let config = result.unwrap_or_else(|_| panic!("{file}: {shown}")).config;
        assert_eq!(shown, "", "{file}");
        assert!(
            config
                .bridges
                .iter()
                .any(|bridge| bridge.transport.is_err())
        );
    }
    let text = fs::read_to_string("examples/behind-a-proxy.toml").unwrap();
    let secret = [("GATEWAY_SECRET", "0123456789abcdef0123456789abcdef")];
    let (result, shown) = load_named("bridges.toml", &text, &secret);
    assert_eq!(shown, "");
    assert!(result.is_ok());
    let shipped = fs::read_dir("examples")
        .unwrap()
        .filter(|entry| {
            let path = entry.as_ref().unwrap().path();
            path.extension()
                .is_some_and(|extension| extension == "toml")
        })
        .count();
    assert_eq!(shipped, 9, "load the new one here");
}

#[test]
fn the_shipped_file_starts_with_cargo_alone() {
    let text = fs::read_to_string("bridges.toml").unwrap();
    let (result, _) = load_named("bridges.toml", &text, &[]);
    let config = result.unwrap().config;
    let on: Vec<_> = config
        .bridges
        .iter()
        .filter(|bridge| bridge.reason_off().is_none())
        .map(|bridge| bridge.name.as_str())
        .collect();
    assert_eq!(on, ["demo"]);
    assert_eq!(config.server, ServerSettings::default());
}

#[test]
fn the_shipped_file_names_every_key() {
    let text = fs::read_to_string("bridges.toml").unwrap();
    for (section, header) in [
        ("server", "[server]"),
        ("database", "[database]"),
        ("identity", "[identity]"),
        ("identity.keys.x", "[identity.keys.x]"),
        ("identity.open_webui", "[identity.open_webui]"),
        ("identity.gateway", "[identity.gateway]"),
        ("identity.oidc.x", "[identity.oidc.x]"),
        ("access", "[access]"),
        ("audit", "[audit]"),
        ("limits", "[limits]"),
        ("telemetry", "[telemetry]"),
        ("bridges.x", "[bridges.x]"),
    ] {
        // For a key that resembles none of the known ones, the error lists the known keys.
        let shown = refused(&format!("{header}\nqqqqqqqqqqqqqqqqqqqqqqq = 1\n"));
        let keys = shown
            .split("the keys are ")
            .nth(1)
            .unwrap()
            .lines()
            .next()
            .unwrap();
        for key in keys.split('`').skip(1).step_by(2) {
            let stands = text
                .lines()
                .any(|line| line.trim_start_matches('#').split(['=', ' ']).next() == Some(key))
                || text.contains(&format!("[{section}.{key}"))
                // As an example in a sentence, where the value is not the default.
                || text.contains(&format!("`{key} = "));
            assert!(
                stands,
                "`{key}` of `[{section}]` is missing in bridges.toml"
            );
        }
    }
}

#[test]
fn what_stands_in_the_shipped_file_as_default_is_the_default() {
    let text = fs::read_to_string("bridges.toml").unwrap();
    let all: String = text
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(setting)
                if setting
                    .starts_with(|first: char| first == '[' || first.is_ascii_alphabetic()) =>
            {
                format!("{setting}\n")
            }
            _ => format!("{line}\n"),
        })
        .collect();
    let (config, warnings) = taken(&all);
    assert_eq!(warnings, "");
    assert_eq!(config.bridges.len(), 27);
    let server = ServerSettings {
        tls: config.server.tls.clone(),
        version: "1.0".to_owned(),
        ..ServerSettings::default()
    };
    assert_eq!(config.server, server);
    let limits = LimitSettings {
        calls_per_minute: config.limits.calls_per_minute,
        groups: config.limits.groups.clone(),
        ..LimitSettings::default()
    };
    assert_eq!(config.limits, limits);
    assert_eq!(config.telemetry, TelemetrySettings::default());
    let access = AccessSettings {
        is_configured: true,
        groups: config.access.groups.clone(),
        ..AccessSettings::default()
    };
    assert_eq!(config.access, access);
    assert_eq!(config.access.groups.len(), 10);
    assert_eq!(config.identity.keys.len(), 1);
    let folder = config.audit.journal.parent().unwrap();
    assert_eq!(config.audit, AuditSettings::beside(folder));
    assert_eq!(config.database, Some(DatabaseSettings::beside(folder)));
    let plain = taken("[bridges.x]\nurl = 'https://x'").0;
    let [plain] = &plain.bridges[..] else {
        panic!("one bridge")
    };
    let [demo, github, ..] = &config.bridges[..] else {
        panic!("two bridges at least")
    };
    assert!(demo.is_enabled && !stdio(demo).inherit_env);
    for (shipped, default) in [
        (demo.connect_timeout, plain.connect_timeout),
        (demo.timeout, plain.timeout),
        (github.session_idle, plain.session_idle),
    ] {
        assert_eq!(shipped, default);
    }
    assert_eq!(
        (demo.concurrency, demo.queue, github.sessions_max),
        (plain.concurrency, plain.queue, plain.sessions_max)
    );
    assert_eq!(
        (demo.lazy, demo.embed_html, github.credential),
        (plain.lazy, plain.embed_html, plain.credential)
    );
}

/// Loads an `mcpServers` file with these entries.
fn servers_json(entries: &str) -> (Result<LoadedConfig, Vec<Diagnostic>>, String) {
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
}

#[test]
fn every_wrong_value_of_a_list_is_told() {
    let shown = refused(
        "[server]\ncors_allow_origins = ['a', '*', 'b']\n[bridges.x]\ncommand = 'c'\ntools_deny = ['[', 'ok', 5, '{']\n",
    );
    for part in [
        "`a` is not",
        "`b` is not",
        "unclosed character",
        "unclosed alternate",
        "found integer `5`",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    assert_eq!(shown.matches("error").count(), 5, "{shown}");
}

#[test]
fn a_file_without_servers_is_told_with_what_it_has() {
    for (empty, found) in [
        ("{}", "the file has an empty table"),
        (
            r#"{"mcpServers": {}}"#,
            "the file has `mcpServers`, but no servers",
        ),
        (
            r#"{"mcpServers": []}"#,
            "the file has `mcpServers`, but no servers",
        ),
        (
            r#"{"other": 1, "mcp": {}}"#,
            "the file has `other`, `mcp`, but no servers",
        ),
        (
            "[{}]",
            "the file has a list, and no element has `command` or `url`",
        ),
        ("a: 1", "the file has `a`, but no servers"),
    ] {
        let (result, _) = load_named("config.json", empty, VARS);
        let first = result.unwrap_err().remove(0);
        assert_eq!(
            first.message, "No 'mcpServers' found in config file.",
            "{empty}"
        );
        let hint = first.hint.unwrap_or_default();
        assert!(hint.starts_with(found), "{empty}: {hint}");
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
    insta::assert_snapshot!(shown, @r##"
    config.json:3:25: error: the JSON is not valid: Expected comma
      |
    3 |     "a": {"command": "x" "args": []}
      |                         ^
    "##);
}

#[test]
fn an_mcp_servers_file_is_taken_with_all_that_people_paste() {
    let (result, shown) = load_named(
        "config.json",
        "\u{feff}// comment\n{\"inputs\": [], \"mcpServers\": {\n\
         \"with space\": {\"command\": \"uvx\", \"args\": [\"a\", 1], \"env\": {\"A\": \"${T_TOKEN}\", \"B\": \"${NOT_SET:-b}\"}, \"disabledTools\": [\"x*\"], \"autoApprove\": []},\n\
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
        ("tt", "b")
    );
    assert!(first.inherit_env);
    assert!(!bridges[0].tools.allows("x*") && bridges[0].tools.allows("xy"));
    assert_eq!(far(&bridges[1]).kind, RemoteKind::Auto);
    assert_eq!(far(&bridges[2]).kind, RemoteKind::StreamableHttp);
    assert_eq!(stdio(&bridges[3]).command, "last");
    assert!(bridges[3].tools.allows("y"));
    assert_eq!(reason(&bridges[4]), "disabled in the configuration");
    assert_eq!(bridges[4].timeout.as_secs(), 60);
    assert!(reason(&bridges[5]).starts_with("`url` is not a valid URL"));
    insta::assert_snapshot!(shown, @r##"
    warning: no API key is on: any client that can reach 127.0.0.1:8000 may call
    hint: set MCP_API_KEY to the key that callers send, or write a `bridges.toml` with `anonymous = true` in `[identity]`

    config.json:3:48: warning: `args`: `1` is read as the string `"1"`
      |
    3 | "with space": {"command": "uvx", "args": ["a", 1], "env": {"A": "${T_TOKEN}", "B": "${NOT_SET:-b}"}, "disabledTools": ["x*"], "autoApprove": []},
      |                                                ^
    hint: put it in double quotes

    config.json:8:31: warning: `url` is not a valid URL: relative URL without a base
      |
    8 | "bad": {"type": "sse", "url": "no url", "odd": 1, "oauth": {}},
      |                               ^^^^^^^^
    hint: write `"https://host/path"`

    config.json:8:41: warning: server `bad`: unknown key `odd` is ignored
      |
    8 | "bad": {"type": "sse", "url": "no url", "odd": 1, "oauth": {}},
      |                                         ^^^^^

    config.json:8:60: warning: server `bad`: `oauth` works only with `streamable-http`; it is ignored
      |
    8 | "bad": {"type": "sse", "url": "no url", "odd": 1, "oauth": {}},
      |                                                            ^^

    config.json:9:1: warning: `both` is set twice; the last one counts
      |
    9 | "both": {"command": "last", "args": null, "disabledTools": [], "disabled_tools": ["y"],},
      | ^^^^^^
    hint: remove one of them
    "##);
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

fn database(text: &str) -> DatabaseSettings {
    let (config, warnings) = taken(&format!("[database]\n{text}"));
    assert_eq!(warnings, "", "{text}");
    config.database.unwrap()
}

#[test]
fn a_database_is_named_as_other_programs_name_it() {
    let shown = |url: &DatabaseUrl| match url {
        DatabaseUrl::Sqlite(path) => path.to_string_lossy().into_owned(),
        DatabaseUrl::Postgres(url) => url.expose().to_owned(),
    };
    for (url, read) in [
        ("sqlite:///var/x.db", "/var/x.db"),
        ("sqlite:////var/x.db", "/var/x.db"),
        ("sqlite:/var/x.db?mode=rwc", "/var/x.db"),
        ("SQLite+aiosqlite:////var/x.db", "/var/x.db"),
        ("postgres://h/n", "postgres://h/n"),
        ("postgresql://u:p%40w@h:1/n", "postgres://u:p%40w@h:1/n"),
        ("postgresql+psycopg2://u:p@h/n", "postgres://u:p@h/n"),
        (
            "postgresql+asyncpg://h/n?ssl=require&a=b",
            "postgres://h/n?sslmode=require&a=b",
        ),
        ("postgres:///n?host=/run", "postgres:///n?host=/run"),
    ] {
        // Not a literal, so that there is no warning about passwords in the file.
        let text = "[database]\nurl = '${X}'";
        let (result, warnings) = load_named("bridges.toml", text, &[("X", url)]);
        let kept = result.unwrap().config.database.unwrap();
        assert_eq!(shown(&kept.url), read);
        assert_eq!(
            kept.open_webui.as_ref(),
            Some(&kept.url).filter(|url| matches!(url, DatabaseUrl::Postgres(_)))
        );
        assert_eq!(
            warnings.matches("warning").count(),
            1,
            "the open door: {warnings}"
        );
    }
    for (url, end) in [
        ("sqlite:x.db", "/x.db"),
        ("sqlite://./x.db", "/./x.db"),
        ("", "/mcp-bridge.db"),
        ("${NOT_SET}", "/mcp-bridge.db"),
        ("${BLANK:-}", "/mcp-bridge.db"),
    ] {
        let url = shown(&database(&format!("url = '{url}'")).url);
        assert!(url.ends_with(end) && url.len() > end.len(), "{url}");
    }
    for (url, end) in [
        ("data/webui.db", "/data/webui.db"),
        ("sqlite:///d/w.db", "/d/w.db"),
    ] {
        let kept = database(&format!("open_webui = '{url}'"));
        assert!(shown(&kept.open_webui.unwrap()).ends_with(end), "{url}");
        assert!(shown(&kept.url).ends_with("/mcp-bridge.db"));
    }
}

#[test]
fn the_other_keys_of_the_database_are_read() {
    let kept = database(
        "url = 'postgres://h/a'\nopen_webui = 'postgres://h/b'\nredis_url = 'rediss://h:1/2'\nredis_prefix = 'chat'\ntimeout = '500ms'\nconnections_max = '${X:-3}'",
    );
    assert_ne!(kept.open_webui, Some(kept.url));
    let redis = kept.redis.unwrap();
    assert_eq!(
        (redis.url.expose(), redis.prefix.as_str()),
        ("rediss://h:1/2", "chat")
    );
    assert_eq!((kept.timeout.as_millis(), kept.connections_max), (500, 3));
    let plain = database("redis_url = '${X:-}'\nopen_webui = ''");
    assert_eq!((plain.redis, plain.open_webui), (None, None));
    assert_eq!(
        database("redis_url = 'redis://h'").redis.unwrap().prefix,
        "open-webui"
    );
}

#[test]
fn values_of_the_database_are_checked() {
    for url in [
        "mysql://u:hunter2@h/n",
        "mcp-bridge.db",
        "sqlite::memory:",
        "sqlite://",
        "postgres:h/n",
        "postgres://",
        "postgres://u:hun#ter2@h/n",
        "postgres://u:hun/ter2@h/n",
        "postgres://u:p@h:port/n",
    ] {
        let shown = refused(&format!("[database]\nurl = \"{url}\"\n"));
        assert!(shown.contains("hint: write"), "{url}: {shown}");
        assert!(
            !shown.contains("hunter2") && !shown.contains("ter2"),
            "{shown}"
        );
    }
    insta::assert_snapshot!(refused(
        "[database]\nurl = 'mysql://h/n'\nopen_webui = 'mysql://h/n'\nredis_url = 'h:6379'\ntimeout = '0s'\nconnections_max = 0\nschema = 'x'\n"
    ), @r##"
    bridges.toml:2:7: error: `url`: only PostgreSQL and SQLite are supported
      |
    2 | url = 'mysql://h/n'
      |       ^^^^^^^^^^^^^
    hint: write `"postgresql://USER:PASSWORD@HOST:5432/NAME"` or `"sqlite:mcp-bridge.db"`

    bridges.toml:3:14: error: `open_webui`: only PostgreSQL and SQLite are supported
      |
    3 | open_webui = 'mysql://h/n'
      |              ^^^^^^^^^^^^^
    hint: write `"postgresql://USER:PASSWORD@HOST:5432/NAME"` or `"sqlite:mcp-bridge.db"`

    bridges.toml:4:13: error: `redis_url` is not a Redis URL
      |
    4 | redis_url = 'h:6379'
      |             ^^^^^^^^
    hint: write `"redis://HOST:6379/0"`, or `"rediss://…"` for TLS

    bridges.toml:5:11: error: `timeout` must be more than zero and at most a year
      |
    5 | timeout = '0s'
      |           ^^^^
    hint: leave `timeout` out for its default

    bridges.toml:6:19: error: `connections_max` must be a whole number, at least 1
      |
    6 | connections_max = 0
      |                   ^
    hint: leave `connections_max` out for its default

    bridges.toml:7:1: error: unknown key `schema` in `[database]`
      |
    7 | schema = 'x'
      | ^^^^^^
    hint: the keys are `url`, `open_webui`, `redis_url`, `redis_prefix`, `timeout`, `connections_max`, `secret_key`, `secret_keys_old`, `secret_key_file`
    "##);
    insta::assert_snapshot!(refused("[database]\nurl = 'sqlite:///x.db'\nopen_webui = '/x.db'\n"), @r##"
    bridges.toml:3:14: error: `open_webui` and `url` are the same file, and Open WebUI's file is only read
      |
    3 | open_webui = '/x.db'
      |              ^^^^^^^
    hint: leave `url` out; the tables of mcp-bridge are then in `mcp-bridge.db` next to this file
    "##);
    let (_, warnings) = taken("[database]\nurl = 'postgres://u:hunter2@h/n'\n");
    insta::assert_snapshot!(warnings, @r##"
    bridges.toml:2:7: warning: `url` contains a password and is written in plain text in the file
      |
    2 | url = 'postgres://u:*******@h/n'
      |       ^^^^^^^^^^^^^^^^^^^^^^^^^^
    hint: move it to the environment: `url = "${DATABASE_URL}"`
    "##);
}

#[test]
fn grants_of_the_file_are_read() {
    let (config, warnings) = taken(
        r#"
[access]
admin_groups = ["Admins", "MCP-Admin"]
default_groups = "${HOST}, everybody"
admins = ["Ada@Example.org", "${BLANK:-}", "${NOT_SET}", "a@x.org, b@x.org"]
cache_ttl = "1m"
[access.groups]
developers = ["github", { bridge = "sonarqube", tools = ["get_*", "x"], read_only = true }]
"Ärzte & Co" = []
[bridges.github]
url = "https://x"
"#,
    );
    assert_eq!(warnings, "");
    let access = config.access;
    assert!(access.is_configured);
    assert_eq!(access.admin_groups, ["Admins", "MCP-Admin"]);
    assert_eq!(access.default_groups, ["example.org", "everybody"]);
    assert_eq!(access.admins, ["ada@example.org", "a@x.org", "b@x.org"]);
    assert_eq!(access.cache_ttl.as_secs(), 60);
    let [developers, empty] = &access.groups[..] else {
        panic!("two groups")
    };
    assert_eq!((empty.name.as_str(), empty.grants.len()), ("Ärzte & Co", 0));
    let [github, sonarqube] = &developers.grants[..] else {
        panic!("two grants")
    };
    assert!(github.tools.is_empty() && !github.read_only);
    assert_eq!(sonarqube.tools, ["get_*", "x"]);
    assert!(sonarqube.read_only && sonarqube.bridge.as_str() == "sonarqube");
    for (text, is_configured) in [("", false), ("[access]", false), ("[access.groups]", true)] {
        assert_eq!(taken(text).0.access.is_configured, is_configured, "{text}");
    }
}

#[test]
fn values_of_access_are_checked() {
    insta::assert_snapshot!(refused(
        r#"
[access]
admin_groups = []
admins = ["ada", "a@b@c", "x @y"]
cache_ttl = "1h"
defaults = "x"
"#
    ), @r##"
    bridges.toml:3:16: error: `admin_groups` names nothing
      |
    3 | admin_groups = []
      |                ^^
    hint: leave `admin_groups` out for its default

    bridges.toml:4:11: error: `admins`: `ada` is not an e-mail address
      |
    4 | admins = ["ada", "a@b@c", "x @y"]
      |           ^^^^^
    hint: write `["ada@example.org"]`, or several with commas in one variable

    bridges.toml:4:18: error: `admins`: `a@b@c` is not an e-mail address
      |
    4 | admins = ["ada", "a@b@c", "x @y"]
      |                  ^^^^^^^
    hint: write `["ada@example.org"]`, or several with commas in one variable

    bridges.toml:4:27: error: `admins`: `x @y` is not an e-mail address
      |
    4 | admins = ["ada", "a@b@c", "x @y"]
      |                           ^^^^^^
    hint: write `["ada@example.org"]`, or several with commas in one variable

    bridges.toml:5:13: error: `cache_ttl` must be more than zero and at most 10m
      |
    5 | cache_ttl = "1h"
      |             ^^^^
    hint: leave `cache_ttl` out for its default

    bridges.toml:6:1: error: unknown key `defaults` in `[access]`
      |
    6 | defaults = "x"
      | ^^^^^^^^
    hint: the keys are `admin_groups`, `default_groups`, `admins`, `cache_ttl`, `groups`
    "##);
    insta::assert_snapshot!(refused("[access]\ngroups = 'x'\n"), @r##"
    bridges.toml:2:10: error: `groups`: expected a table
      |
    2 | groups = 'x'
      |          ^^^
    hint: write `[access.groups]` and below it `developers = ["github"]`
    "##);
}

#[test]
fn grants_that_would_be_wider_than_meant_are_refused() {
    insta::assert_snapshot!(refused(
        r#"
[access.groups]
a = [{ bridge = "x", tools = [] }]
b = [{ bridge = "x", tools = ["[", "", "${BLANK:-}", "${NOT_SET}"], tool = "x" }]
"#
    ), @r##"
    bridges.toml:3:30: error: `tools` is empty
      |
    3 | a = [{ bridge = "x", tools = [] }]
      |                              ^^
    hint: leave `tools` out to allow all tools, or remove the grant to allow none

    bridges.toml:4:31: error: `tools`: unclosed character class; missing ']'
      |
    4 | b = [{ bridge = "x", tools = ["[", "", "${BLANK:-}", "${NOT_SET}"], tool = "x" }]
      |                               ^^^
    hint: write names with `*` and `?`, for example `"list_*"`; `[` and `{` are special, and `\\` escapes them

    bridges.toml:4:36: error: `tools`: the name of a tool is missing
      |
    4 | b = [{ bridge = "x", tools = ["[", "", "${BLANK:-}", "${NOT_SET}"], tool = "x" }]
      |                                    ^^
    hint: remove it, or write `"*"` for all tools

    bridges.toml:4:40: error: `tools`: the name of a tool is missing
      |
    4 | b = [{ bridge = "x", tools = ["[", "", "${BLANK:-}", "${NOT_SET}"], tool = "x" }]
      |                                        ^^^^^^^^^^^^
    hint: remove it, or write `"*"` for all tools

    bridges.toml:4:54: error: NOT_SET is not set
      |
    4 | b = [{ bridge = "x", tools = ["[", "", "${BLANK:-}", "${NOT_SET}"], tool = "x" }]
      |                                                      ^^^^^^^^^^^^
    hint: set it, or give a default: `${NAME:-default}`

    bridges.toml:4:69: error: unknown key `tool` in `[access.groups]`
      |
    4 | b = [{ bridge = "x", tools = ["[", "", "${BLANK:-}", "${NOT_SET}"], tool = "x" }]
      |                                                                     ^^^^
    hint: did you mean `tools`?
    "##);
}

#[test]
fn grants_of_the_file_are_checked() {
    insta::assert_snapshot!(refused(
        r#"
[access.groups]
"" = ["x"]
a = "github"
b = ["docs", "a b", 1, ["x"], { tools = ["x"] }]
"#
    ), @r##"
    bridges.toml:3:1: error: a group has a name of 1 to 255 characters
      |
    3 | "" = ["x"]
      | ^^

    bridges.toml:4:5: error: `a`: expected a list of bridges
      |
    4 | a = "github"
      |     ^^^^^^^^
    hint: write `a = ["github"]`

    bridges.toml:5:6: error: `docs` is a route of mcp-bridge and cannot name a bridge; use another name, for example `docs-server`
      |
    5 | b = ["docs", "a b", 1, ["x"], { tools = ["x"] }]
      |      ^^^^^^
    hint: write the name of a bridge, as in `[bridges.github]`

    bridges.toml:5:14: error: `a b` has the character ' '; a bridge name is made of ASCII letters, digits, `-`, `_` and `.`, and starts with a letter or digit
      |
    5 | b = ["docs", "a b", 1, ["x"], { tools = ["x"] }]
      |              ^^^^^
    hint: write the name of a bridge, as in `[bridges.github]`

    bridges.toml:5:21: error: `b`: a grant names a bridge
      |
    5 | b = ["docs", "a b", 1, ["x"], { tools = ["x"] }]
      |                     ^
    hint: write `"github"`, or `{ bridge = "github", tools = ["get_*"] }`

    bridges.toml:5:24: error: `b`: a grant names a bridge
      |
    5 | b = ["docs", "a b", 1, ["x"], { tools = ["x"] }]
      |                        ^^^^^
    hint: write `"github"`, or `{ bridge = "github", tools = ["get_*"] }`

    bridges.toml:5:31: error: `b`: this grant has no `bridge`
      |
    5 | b = ["docs", "a b", 1, ["x"], { tools = ["x"] }]
      |                               ^^^^^^^^^^^^^^^^^
    hint: write `{ bridge = "github", tools = ["get_*"] }`
    "##);
    let (_, warnings) = taken(
        "[access.groups]\na = ['gihub', 'nothing-like-it', 'x', { bridge = 'x', read_only = true }]\n[bridges.github]\nurl = '${NOT_SET}'\n[bridges.x]\nurl = 'https://x'\n",
    );
    insta::assert_snapshot!(warnings, @r##"
    bridges.toml:2:6: warning: there is no bridge `gihub`
      |
    2 | a = ['gihub', 'nothing-like-it', 'x', { bridge = 'x', read_only = true }]
      |      ^^^^^^^
    hint: did you mean `github`?

    bridges.toml:2:39: warning: `a` has `x` twice; the wider grant applies
      |
    2 | a = ['gihub', 'nothing-like-it', 'x', { bridge = 'x', read_only = true }]
      |                                       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
    hint: keep one of them
    "##);
}

#[test]
fn sections_that_contradict_each_other_are_told() {
    let (_, warnings) = taken(
        "[identity]\nanonymous = true\n[identity.keys.a]\nkey_sha256 = '0e5a511dd3e78f3d3e5e7a4f4d6f1b1bd1d6d5f9a2b1a6f4a40b6e7f6a8a2a11'\n[access]\ncache_ttl = '1s'\n[audit]\nenabled = false\non_failure = 'refuse'\n",
    );
    insta::assert_snapshot!(warnings, @r##"
    warning: `anonymous = true`: callers without identity are accepted, although grants decide who may call what
    hint: remove `anonymous` from `[identity]`; list the groups of all authenticated users in `default_groups` of `[access]`

    warning: the key `a` is not in a group, so it may call nothing: grants decide who may call what
    hint: add `groups = ["MCP-Admin"]` to `[identity.keys.a]` for everything, or groups of `[access.groups]`

    bridges.toml:9:14: warning: `on_failure` refuses calls that cannot be recorded, but recording is disabled
      |
    9 | on_failure = 'refuse'
      |              ^^^^^^^^
    hint: remove `enabled = false`, or `on_failure`
    "##);
}

#[test]
fn the_audit_trail_is_read_and_checked() {
    let audit = |text: &str| taken(&format!("[audit]\n{text}")).0.audit;
    let plain = audit("");
    assert!(plain.is_on && !plain.arguments && plain.on_failure == AuditFailurePolicy::Continue);
    assert!(plain.journal.ends_with("mcp-bridge-audit") && plain.journal.is_absolute());
    assert_eq!(plain.retention.unwrap().as_secs(), 90 * 24 * 3600);
    let other = audit(
        "enabled = '${X:-false}'\njournal = '/var/audit'\njournal_bytes_max = '2 MiB'\non_failure = 'continue'\nretention = 'forever'\narguments = true",
    );
    assert!(!other.is_on && other.arguments);
    assert_eq!(other.journal, Path::new("/var/audit"));
    assert_eq!((other.journal_bytes_max, other.retention), (2 << 20, None));
    assert_eq!(
        audit("on_failure = 'Refuse'").on_failure,
        AuditFailurePolicy::Refuse
    );
    assert_eq!(
        audit("retention = '10years'").retention.unwrap().as_secs() / 86_400,
        3652
    );
    insta::assert_snapshot!(refused(
        "[audit]\nenabled = 'maybe'\njournal_bytes_max = 1\non_failure = 'stop'\nretention = 'never'\narguments = 'yes'\nfile = 'x'\n"
    ), @r##"
    bridges.toml:2:11: error: `enabled`: `maybe` is neither true nor false
      |
    2 | enabled = 'maybe'
      |           ^^^^^^^
    hint: write `true` or `false`

    bridges.toml:3:21: error: `journal_bytes_max` must be a whole number, at least 1048576
      |
    3 | journal_bytes_max = 1
      |                     ^
    hint: leave `journal_bytes_max` out for its default

    bridges.toml:4:14: error: `on_failure`: there is no `stop`
      |
    4 | on_failure = 'stop'
      |              ^^^^^^
    hint: write one of `continue`, `refuse`

    bridges.toml:5:13: error: `retention`: `never` is not a valid duration
      |
    5 | retention = 'never'
      |             ^^^^^^^
    hint: write `"500ms"`, `"30s"`, `"5m"` or `"1h 30m"`

    bridges.toml:6:13: error: `arguments`: expected `true` or `false`, found a string
      |
    6 | arguments = 'yes'
      |             ^^^^^

    bridges.toml:7:1: error: unknown key `file` in `[audit]`
      |
    7 | file = 'x'
      | ^^^^
    hint: the keys are `enabled`, `journal`, `journal_bytes_max`, `on_failure`, `retention`, `arguments`
    "##);
}

#[test]
fn calls_a_minute_are_read_and_checked() {
    let (config, warnings) = taken(
        "[limits]\ncalls_per_minute = 100\n[limits.groups]\ndevelopers = '${X:-1000}'\n[bridges.x]\nurl = 'https://x'\ncalls_per_minute = 7\n",
    );
    assert_eq!(warnings, "");
    assert_eq!(config.limits.calls_per_minute.unwrap().get(), 100);
    assert_eq!(config.limits.groups["developers"].get(), 1000);
    assert_eq!(config.bridges[0].calls_per_minute.unwrap().get(), 7);
    insta::assert_snapshot!(refused(
        "[limits]\ncalls_per_minute = 0\n[limits.groups]\na = -1\nb = 'many'\n[bridges.x]\nurl = 'https://x'\ncalls_per_minute = 99999999999\n"
    ), @r##"
    bridges.toml:2:20: error: `calls_per_minute` must be a whole number, at least 1
      |
    2 | calls_per_minute = 0
      |                    ^
    hint: leave `calls_per_minute` out for its default

    bridges.toml:4:5: error: `a` must be a whole number, at least 1
      |
    4 | a = -1
      |     ^^
    hint: leave `a` out for its default

    bridges.toml:5:5: error: `b` must be a whole number, at least 1
      |
    5 | b = 'many'
      |     ^^^^^^
    hint: leave `b` out for its default

    bridges.toml:8:20: error: `calls_per_minute` is too large
      |
    8 | calls_per_minute = 99999999999
      |                    ^^^^^^^^^^^
    hint: leave `calls_per_minute` out for no limit
    "##);
}

#[test]
fn a_user_that_cannot_be_had_switches_its_bridge_off() {
    let text = |user: &str| {
        format!(
            "[identity]\nanonymous = true\n[bridges.a]\ncommand = 'a'\nenv = {{ HOME = '/tmp' }}\nuser = {user}\n"
        )
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bridges.toml");
    let load_as = |user: &str, uid: u32| {
        fs::write(&path, text(user)).unwrap();
        load(&path, &Environment::default().with_uid(uid))
    };
    for (user, uid, reason) in [
        ("'nobody'", 0, None),
        ("65534", 0, None),
        (
            "'nobody'",
            1000,
            Some("`user = \"nobody\"` needs mcp-bridge to run as root, but it runs as user 1000"),
        ),
        (
            "'no-such-user-x'",
            0,
            Some("the system has no user `no-such-user-x`"),
        ),
        ("'${NOT_SET}'", 0, Some("NOT_SET is not set")),
    ] {
        let loaded = load_as(user, uid).unwrap();
        assert_eq!(
            loaded.config.bridges[0].reason_off(),
            reason,
            "{user} {uid}"
        );
        assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
    }
    let refused = load_as("'root'", 0).unwrap_err();
    assert_eq!(
        refused[0].message,
        "`user` must be another user and group than root"
    );
}
