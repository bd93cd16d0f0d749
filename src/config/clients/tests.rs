//! Tests of whole files of other clients with `--config`.

use crate::config::{
    DisabledReason, LoadedConfig, TransportSettings, load_mcpo, tests::load_named,
};

fn loaded(file: &str, text: &str, variables: &[(&str, &str)]) -> (LoadedConfig, String) {
    let (result, shown) = load_named(file, text, variables);
    (result.unwrap_or_else(|_| panic!("{shown}")), shown)
}

/// Returns the bridges of a file: each name, and why the bridge is off.
fn states(file: &str, text: &str, variables: &[(&str, &str)]) -> Vec<(String, String)> {
    let (loaded, _) = loaded(file, text, variables);
    let bridges = loaded.config.bridges.iter();
    bridges
        .map(|bridge| {
            let reason = bridge.reason_off().unwrap_or_default().to_owned();
            (bridge.name.to_string(), reason)
        })
        .collect()
}

fn state(server: &str, variables: &[(&str, &str)]) -> String {
    let text = format!("{{\"mcpServers\": {{\"s\": {server}}}}}");
    states("config.json", &text, variables).remove(0).1
}

#[test]
fn a_placeholder_that_is_not_there_switches_its_bridge_off() {
    for (server, reason) in [
        (
            r#"{"url": "https://x", "headers": {"A": "Bearer ${input:my-tok}"}}"#,
            "MY_TOK is not set",
        ),
        (
            r#"{"url": "https://x", "headers": {"A": "$NAME"}}"#,
            "NAME is not set",
        ),
        (
            r#"{"url": "https://x", "headers": {"A": "${NAME}"}}"#,
            "NAME is not set",
        ),
        (r#"{"url": "https://x/{env:NAME}/mcp"}"#, "NAME is not set"),
        (r#"{"url": "${NAME}"}"#, "NAME is not set"),
        (r#"{"command": "${NAME}/x"}"#, "NAME is not set"),
        (
            r#"{"command": "x", "args": ["--dir", "${workspaceFolder}"]}"#,
            "WORKSPACE_FOLDER is not set",
        ),
        (
            r#"{"command": "x", "args": ["--key=$NAME"]}"#,
            "NAME is not set",
        ),
        (
            r#"{"command": "x", "env": {"A": "${env:NAME}"}}"#,
            "NAME is not set",
        ),
        (
            r#"{"command": "x", "env": {"A": "${{ secrets.NAME }}"}}"#,
            "NAME is not set",
        ),
        (
            r#"{"command": "x", "env": {"A": "${BLANK}"}}"#,
            "BLANK is blank",
        ),
        (r#"{"command": "x", "env": {"A": "${NAME:-}"}}"#, ""),
        (r#"{"command": "x", "args": ["$${NAME}", "pa$word"]}"#, ""),
        (
            r#"{"command": "x", "args": ["-h", "A:${AUTH}"], "env": {"AUTH": "literal"}}"#,
            "",
        ),
        (
            r#"{"command": "sh", "args": ["-c", "for i in $ALL; do echo ${i}; done"]}"#,
            "",
        ),
    ] {
        assert_eq!(state(server, &[("BLANK", " ")]), reason, "{server}");
        let set = [
            ("BLANK", "b"),
            ("NAME", "https://n"),
            ("MY_TOK", "t"),
            ("WORKSPACE_FOLDER", "w"),
        ];
        assert_eq!(state(server, &set), "", "{server}");
    }
}

#[test]
fn a_placeholder_is_told_with_its_place_and_what_to_set() {
    let text = "{\"inputs\": [{\"id\": \"tok\", \"description\": \"API\\ntoken\"}], \"servers\": {\n\
        \"s\": {\"url\": \"https://x\", \"headers\": {\n\"A\": \"Bearer ${input:tok}\"}}}}";
    let (_, shown) = loaded("mcp.json", text, &[("MCP_API_KEY", "k")]);
    insta::assert_snapshot!(shown, @r##"
    mcp.json:3:6: warning: server `s`: no value is set for `${input:tok}` in `headers`, so the bridge is off
      |
    3 | "A": "Bearer ${input:tok}"}}}}
      |      ^^^^^^^^^^^^^^^^^^^^^
    hint: set TOK (API token), for example in `.env` next to this file
    "##);
}

#[test]
fn a_default_that_is_not_needed_is_not_missed() {
    let text = r#"{"servers": {"s": {"command": "c", "env": {"A": "${SET:-${NO}}"}}}}"#;
    let (loaded, shown) = loaded("mcp.json", text, &[("SET", "s"), ("MCP_API_KEY", "k")]);
    assert_eq!(
        (loaded.config.bridges[0].reason_off(), shown.as_str()),
        (None, "")
    );
}

#[test]
fn an_unknown_transport_costs_its_server_alone() {
    let text = r#"{"mcpServers": {"ok": {"command": "python3"},
        "a": {"type": "remote", "url": "https://x"}, "b": {"type": "streamable", "url": "https://x"},
        "c": {"type": "ws", "url": "wss://x"}, "d": {"transport": "pigeon", "url": "https://x"},
        "e": {"type": "pigeon", "command": "x"}}}"#;
    let known = "known are `stdio`, `streamable-http`, `http`, `sse`, `openapi`, `auto`";
    let states = states("config.json", text, &[]);
    let reasons: Vec<_> = states.iter().map(|(_, reason)| reason.as_str()).collect();
    let (c, d) = (
        format!("`type` `ws` is not known; {known}"),
        format!("`transport` `pigeon` is not known; {known}"),
    );
    assert_eq!(reasons, ["", "", "", c.as_str(), d.as_str(), ""]);
}

#[test]
fn one_bad_server_of_another_client_leaves_the_others_on() {
    let text = r#"{"servers": {"ok": {"command": "c"}, "none": {}, "args": {"command": "c", "args": "x"}, "list": []}}"#;
    let states = states("mcp.json", text, &[]);
    let on: Vec<_> = states
        .iter()
        .filter(|(_, reason)| reason.is_empty())
        .collect();
    assert_eq!((states.len(), on.len(), on[0].0.as_str()), (4, 1, "ok"));
    assert!(states[2].1.contains("'args' must be a list"), "{states:?}");
}

#[test]
fn tools_that_were_taken_away_stay_away() {
    for (server, shown, hidden) in [
        (
            r#"{"httpUrl": "https://x", "includeTools": ["a", "b"], "excludeTools": ["b"]}"#,
            &["a"][..],
            &["b", "c"][..],
        ),
        (r#"{"url": "https://x", "tools": ["a"]}"#, &["a"], &["b"]),
        (r#"{"url": "https://x", "tools": ["*"]}"#, &["a", "b"], &[]),
        (r#"{"url": "https://x", "tools": []}"#, &[], &["a"]),
        (
            r#"{"command": "c", "options": {"toolFilter": {"mode": "block", "list": ["a"]}}}"#,
            &["b"],
            &["a"],
        ),
        (
            r#"{"command": "c", "disabledTools": ["a"], "excludeTools": ["b"]}"#,
            &["c"],
            &["a", "b"],
        ),
    ] {
        let text = format!("{{\"mcpServers\": {{\"s\": {server}}}}}");
        let (loaded, _) = loaded("config.json", &text, &[]);
        let tools = &loaded.config.bridges[0].tools;
        for name in shown {
            assert!(tools.allows(name), "{server}: {name}");
        }
        for name in hidden {
            assert!(!tools.allows(name), "{server}: {name}");
        }
    }
    let reason = state(r#"{"url": "https://x", "includeTools": {"a": 1}}"#, &[]);
    assert_eq!(reason, "`includeTools` filters tools in an unknown way");
    let opencode = r#"{"mcp": {"s": {"type": "local", "command": ["c"]}}, "tools": {"s_a*": false, "s_c": false, "x": false}}"#;
    let (loaded, shown) = loaded("opencode.json", opencode, &[("MCP_API_KEY", "k")]);
    let tools = &loaded.config.bridges[0].tools;
    assert!(!tools.allows("abc") && !tools.allows("c") && tools.allows("b"));
    assert_eq!(shown, "");
}

#[test]
fn servers_that_a_list_at_the_top_names_are_off() {
    let text = r#"{"mcp": {"excluded": ["a"]}, "mcpServers": {"a": {"command": "c", "disabled": false}, "b": {"command": "c"}}}"#;
    let off = "disabled in the configuration";
    let named =
        |states: Vec<(String, String)>| states.into_iter().map(|it| it.1).collect::<Vec<_>>();
    assert_eq!(named(states("settings.json", text, &[])), [off, ""]);
    let allowed = text.replace("excluded", "allowed");
    assert_eq!(named(states("settings.json", &allowed, &[])), ["", off]);
}

#[test]
fn tables_of_other_programs_are_no_servers() {
    for text in [
        r#"{"database": {"url": "postgres://h/x"}}"#,
        r#"{"bridges": {}, "time": {"command": "x"}}"#,
        r#"{"mcp": {"allowed": []}}"#,
    ] {
        let (result, _) = load_named("x.json", text, &[]);
        assert!(result.is_err(), "{text}");
    }
}

#[test]
fn yaml_and_codex_are_told_by_what_stands_there() {
    let yaml = "mcpServers:\n  a:\n    command: npx\n    args: [x, 1]\n";
    let (found, shown) = loaded("config", yaml, &[]);
    let Ok(TransportSettings::Stdio(stdio)) = &found.config.bridges[0].transport else {
        panic!("a program")
    };
    assert_eq!(stdio.args, ["x", "1"]);
    assert!(
        shown.contains("config:4:15: warning: `args`: `1`"),
        "{shown}"
    );
    let codex =
        "model = 'x'\n[mcp_servers.a]\nurl = 'https://x'\nbearer_token_env_var = 'TOKEN_X'\n";
    assert_eq!(states("config.toml", codex, &[])[0].1, "TOKEN_X is not set");
    let (result, shown) = load_named(
        "config.yaml",
        "mcpServers:\n  a:\n    command: npx\n   api_key: hunter2\n",
        &[],
    );
    assert!(result.is_err());
    assert!(
        shown.contains("config.yaml:4:") && shown.contains("the YAML is not valid"),
        "{shown}"
    );
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[test]
fn an_env_file_is_read_or_switches_its_bridge_off() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mcp.json");
    let text =
        r#"{"servers": {"s": {"command": "c", "envFile": "vars.env", "env": {"A": "own"}}}}"#;
    std::fs::write(&path, text).unwrap();
    let environment = crate::config::Environment::default();
    let first = crate::config::load(&path, &environment).unwrap();
    let Err(DisabledReason(reason)) = &first.config.bridges[0].transport else {
        panic!("off")
    };
    assert!(
        reason.starts_with("`envFile` vars.env cannot be read"),
        "{reason}"
    );
    assert!(first.sources.contains(&folder.path().join("vars.env")));
    std::fs::write(folder.path().join("vars.env"), "A=file\nB=${x}\n").unwrap();
    let second = crate::config::load(&path, &environment).unwrap();
    let Ok(TransportSettings::Stdio(stdio)) = &second.config.bridges[0].transport else {
        panic!("on")
    };
    assert_eq!(stdio.env["A"].expose(), "own");
    assert!(stdio.env.contains_key("B"));
}

#[test]
fn mcpos_command_line_keeps_what_mcpo_keeps_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.json");
    let children = std::collections::BTreeMap::new();
    let environment = crate::config::Environment::of([("SET", "s"), ("TOK", "t")]);
    let text = r#"{"mcpServers": {"s": {"command": "c", "args": ["${NO}", "$NO"],
        "env": {"A": "${NO}", "B": "x ${NO}y", "C": "$NO", "D": "${SET}", "E": "${input:tok}"}}}}"#;
    std::fs::write(&path, text).unwrap();
    let kept = load_mcpo(&path, &environment, &children).unwrap();
    let Ok(TransportSettings::Stdio(stdio)) = &kept.config.bridges[0].transport else {
        panic!("on")
    };
    let env: Vec<_> = stdio
        .env
        .values()
        .map(|value| value.expose().to_owned())
        .collect();
    assert_eq!(env, ["${NO}", "x ${NO}y", "$NO", "s", "t"]);
    assert_eq!(stdio.args, ["${NO}", "$NO"]);
    let warnings: Vec<_> = kept
        .warnings
        .iter()
        .map(|one| one.message.as_str())
        .collect();
    assert_eq!(
        warnings,
        [
            "server `s`: no value is set for `${NO}` in `env`, so the server receives it as written",
            "server `s`: no value is set for `$NO` in `env`, so the server receives it as written",
        ]
    );
    // In a file that mcpo cannot read, placeholders are not kept.
    std::fs::write(&path, text.replace("mcpServers", "servers")).unwrap();
    let strict = load_mcpo(&path, &environment, &children).unwrap();
    assert_eq!(strict.config.bridges[0].reason_off(), Some("NO is not set"));
}
