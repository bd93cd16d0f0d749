//! Tests of the import.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use proptest::prelude::*;

use super::{
    env_file::EnvFileFolders,
    importer::{self, ImportError, ImportOptions, ImportOutput},
    run::env_file,
};
use crate::{
    config::{self, Config, Environment, LoadedConfig},
    secret::Secret,
};

fn import(json: &str) -> Result<ImportOutput, ImportError> {
    importer::import(Path::new("config"), json, ImportOptions::default())
}

fn load(file: &str, text: &str, variables: &BTreeMap<String, Secret>) -> LoadedConfig {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(file);
    fs::write(&path, text).unwrap();
    let pairs = variables
        .iter()
        .map(|(name, value)| (name.as_str(), value.expose()));
    let environment = Environment::of([("SET", "s")]).with(pairs);
    config::load(&path, &environment).unwrap_or_else(|errors| {
        let errors: Vec<_> = errors.iter().map(ToString::to_string).collect();
        panic!("{text}\n{}", errors.join("\n"))
    })
}

fn both(json: &str) -> (Config, Config, ImportOutput) {
    let imported = import(json).unwrap();
    let old = load("config.json", json, &imported.variables).config;
    let new = load("bridges.toml", &imported.toml, &imported.variables).config;
    (old, new, imported)
}

#[test]
fn nothing_is_lost_but_secrets() {
    let json = r#"{
        "inputs": [{"id": "x"}],
        "mcpServers": {
            "with space": {"command": "npx", "args": ["-y", "a b"], "env": {"API_KEY": "hunter2", "LANG": "C", "N": 1},
                           "autoApprove": ["x"], "disabledTools": ["a*"], "password": "hunter2"},
            "github": {"type": "http", "url": "https://x/mcp", "headers": {"Authorization": "Bearer hunter2", "X-Set": "${env:SET}"}, "timeout": 60},
            "old": {"url": "https://x/sse", "disabled": true, "oauth": {"server_url": "https://x", "client_secret": "hunter2"}},
            "notes": {"type": "streamable-http", "url": "https://y/mcp", "oauth": {"server_url": "https://y", "client_metadata": {"scope": "read write"}}},
            "docs": {"command": "c", "options": {"cwd": "/x"}, "env": {"API_KEY": "hunter3", "P": "${workspaceFolder}/${input:y}"}},
            "nothing": {"note": 1}
        }}"#;
    let imported = import(json).unwrap();
    assert!(!imported.toml.contains("hunter"));
    insta::assert_snapshot!(imported.toml, @r##"
    # Made from an `mcpServers` file; `mcp-bridge check` lists which bridges are on.
    #
    # Set these variables, for example in `.env` next to this file; their values are from the old file:
    #   API_KEY
    #   DOCS_SERVER_API_KEY
    #   GITHUB_TOKEN
    # not imported: inputs = [{"id": "x"}]

    [bridges.with-space]
    # was "with space"
    # not imported: autoApprove = ["x"]
    # not imported: password = "…"
    command = "npx"
    args = ["-y", "a b"]
    inherit_env = true # as before; remove it to pass on only what `env` names
    tools_deny = ["a[*]"]
    env.API_KEY = "${API_KEY}"
    env.LANG = "C"
    env.N = "1"

    [bridges.github]
    url = "https://x/mcp"
    transport = "streamable-http"
    timeout = "60000ms"
    headers.Authorization = "Bearer ${GITHUB_TOKEN}"
    headers.X-Set = "${SET}"

    [bridges.old]
    url = "https://x/sse"
    enabled = false
    oauth = {}

    [bridges.notes]
    url = "https://y/mcp"
    transport = "streamable-http"
    oauth = { scopes = ["read", "write"] }

    [bridges.docs-server]
    # was "docs"
    # not imported: options = {"cwd": "/x"}
    command = "c"
    inherit_env = true # as before; remove it to pass on only what `env` names
    cwd = "/x"
    env.API_KEY = "${DOCS_SERVER_API_KEY}"
    env.P = "${WORKSPACE_FOLDER}/${Y}" # WORKSPACE_FOLDER: in place of `${workspaceFolder}`; Y: asked for as `${input:y}`

    # neither `command` nor `url`: [bridges.nothing]
    # not imported: note = 1
    "##);
    insta::assert_snapshot!(env_file(&imported.variables), @r##"
    API_KEY='hunter2'
    DOCS_SERVER_API_KEY='hunter3'
    GITHUB_TOKEN='hunter2'
    "##);
    let loaded = load("bridges.toml", &imported.toml, &imported.variables);
    assert_eq!(loaded.config.bridges.len(), 5);
}

#[test]
fn names_that_meet_are_kept_apart() {
    let imported = import(r#"{"mcpServers": {"a b": {"command": "1"}, "a/b": {"command": "2"}, "a-b": {"command": "3"}}}"#).unwrap();
    let loaded = load("bridges.toml", &imported.toml, &imported.variables);
    let names: Vec<_> = loaded
        .config
        .bridges
        .iter()
        .map(|bridge| bridge.name.as_str())
        .collect();
    assert_eq!(names, ["a-b", "a-b-2", "a-b-3"]);
}

#[test]
fn what_is_no_configuration_is_refused() {
    for (text, message) in [
        (
            "{}",
            "no servers found under `mcpServers` or the keys of other supported clients: the file has an empty table",
        ),
        (
            "{",
            "the JSON is not valid: Unterminated object on line 1 column 1",
        ),
        (
            "[bridges.x]\ncommand = \"c\"\n[database]\nurl = \"https://x\"\n",
            "no servers found under `mcpServers` or the keys of other supported clients: the file has `bridges`, so it is a `bridges.toml` already",
        ),
        (
            "a: 1\n  b: 2\n",
            "the YAML is not valid: mapping values are not allowed in this context on line 2 column 4",
        ),
    ] {
        assert_eq!(import(text).unwrap_err().to_string(), message);
    }
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("${SET}".to_owned()),
        Just("${env:SET}/x".to_owned()),
        Just("${input:x} $${SET} ${NO:-d} $".to_owned()),
        "[ -~]{1,12}".prop_filter("a reference of its own", |text| !text.contains("${")),
        "[a-zé日\\u{7f}]{1,6}",
    ]
}

fn server() -> impl Strategy<Value = serde_json::Value> {
    let names = prop::sample::select(vec!["API_KEY", "LANG", "MY_TOKEN", "lower_secret", "X"]);
    let headers = prop::sample::select(vec!["Authorization", "X-Api-Key", "X-Plain"]);
    let ascii = prop_oneof![
        "Bearer [a-z]{1,8}",
        "[a-z0-9]{1,8}",
        Just("${SET}".to_owned())
    ];
    let shared = prop_oneof![
        Just(serde_json::json!({})),
        Just(serde_json::json!({"disabled": true, "timeout": 60})),
        Just(serde_json::json!({"enabled": false, "autoApprove": ["\n"], "description": "d\"\\"})),
        text().prop_map(
            |name| serde_json::json!({"disabledTools": [name, "a*[b]{c}"], "timeout": 90_000})
        ),
    ];
    let program = (
        text(),
        prop::collection::vec(text(), 0..3),
        prop::collection::btree_map(names, text(), 0..4),
    )
        .prop_map(|(command, args, env)| {
            let command = format!("c{command}");
            serde_json::json!({"command": command, "args": args, "env": env, "cwd": "/srv"})
        });
    let types = prop::sample::select(vec![
        None,
        Some("sse"),
        Some("http"),
        Some("streamable_http"),
    ]);
    let remote = (types, prop::collection::btree_map(headers, ascii, 0..3)).prop_map(|(kind, headers)| {
        serde_json::json!({"type": kind, "url": "https://x.org/mcp", "headers": headers, "unknown": 1})
    });
    (prop_oneof![program, remote], shared).prop_map(|(mut server, shared)| {
        if let (Some(server), Some(shared)) = (server.as_object_mut(), shared.as_object()) {
            server.extend(shared.clone());
        }
        server
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn an_imported_file_means_the_same(servers in prop::collection::btree_map("[a-z][a-z0-9]{2,6}x", server(), 1..4)) {
        let json = serde_json::json!({"mcpServers": servers}).to_string();
        let (old, new, imported) = both(&json);
        prop_assert_eq!(old.bridges, new.bridges);

        // The dotenv file has the same values.
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".env");
        fs::write(&path, env_file(&imported.variables)).unwrap();
        let (read, warnings) = config::read_dotenv(&path);
        prop_assert!(warnings.is_empty());
        prop_assert_eq!(read, imported.variables);
    }
}

/// The sample files of other clients, each with its expected result.
fn samples() -> Vec<(PathBuf, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/clients");
    let mut samples = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if !path.to_string_lossy().ends_with(".imported.toml") {
            let text = fs::read_to_string(&path).unwrap();
            samples.push((path, text));
        }
    }
    assert_eq!(samples.len(), 15);
    samples
}

#[test]
fn files_of_other_clients_become_what_is_expected() {
    for (path, text) in samples() {
        let imported = importer::import(&path, &text, ImportOptions::default()).unwrap();
        let expected = fs::read_to_string(path.with_extension("imported.toml")).unwrap();
        assert_eq!(imported.toml, expected, "{}", path.display());
    }
}

#[test]
fn files_of_other_clients_mean_the_same_before_and_after() {
    for (path, text) in samples() {
        let imported = importer::import(&path, &text, ImportOptions::default()).unwrap();
        let file = path.file_name().unwrap().to_str().unwrap();
        let set = [
            "GH_TOKEN",
            "REGION",
            "WORKSPACE_FOLDER",
            "HOME",
            "FILES_KEY",
            "SEARCH_TOKEN",
            "LINEAR_KEY",
            "DOCS_URL",
            "DOCS_TOKEN",
            "FIGMA_TOKEN",
            "FIGMA_ACCOUNT",
            "HOST_NAME",
            "GITHUB_TOKEN",
            "LOCAL_KEY",
            "COPILOT_MCP_TOKEN",
            "PKG_KEY",
            "DB_PATH",
            "FAR_KEY",
            "API_TOKEN",
            "LIBRECHAT_USER_ID",
        ];
        let all = set
            .iter()
            .map(|name| ((*name).to_owned(), Secret::new("https://v")));
        let all: BTreeMap<_, _> = all.chain(imported.variables.clone()).collect();
        // Once with only the variables from the file, and once with all variables.
        for variables in [&imported.variables, &all] {
            let old = load(file, &text, variables).config.bridges;
            let new = load("bridges.toml", &imported.toml, variables)
                .config
                .bridges;
            for bridge in &new {
                let before = old.iter().find(|old| old.name == bridge.name);
                let mut before = before
                    .unwrap_or_else(|| panic!("{file}: {}", bridge.name))
                    .clone();
                // The new file has `enabled = false` for an invalid filter, and names the variable files in comments.
                let is_special = file == "copilot.json" && bridge.name.as_str() == "odd"
                    || file == "vscode.json" && bridge.name.as_str() == "files"
                    || bridge.transport.is_err() && before.transport.is_err();
                if is_special {
                    before.transport = bridge.transport.clone();
                    before.is_enabled = bridge.is_enabled;
                }
                assert_eq!(before, *bridge, "{file}");
            }
            let lost = old
                .iter()
                .filter(|old| new.iter().all(|new| new.name != old.name));
            assert!(
                lost.into_iter().all(|bridge| bridge.transport.is_err()),
                "{file}"
            );
        }
    }
}

#[test]
fn the_key_of_mcpo_becomes_an_entry_whose_text_stands_elsewhere() {
    let json = r#"{"mcpServers": {"time": {"command": "c", "env": {"MCPO_API_KEY": "another", "A_TOKEN": "t-1"}}}}"#;
    let wishes = ImportOptions {
        api_key: Some(Secret::new("top-secret")),
        places: None,
    };
    let imported = importer::import(Path::new("config"), json, wishes).unwrap();
    assert!(!imported.toml.contains("top-secret"), "{}", imported.toml);
    let key = "[identity.keys.openwebui]\nkey = \"${MCPO_API_KEY}\"\n";
    assert!(imported.toml.contains(key), "{}", imported.toml);
    assert!(env_file(&imported.variables).contains("MCPO_API_KEY='top-secret'\n"));
    let loaded = load("bridges.toml", &imported.toml, &imported.variables);
    let config = loaded.config;
    let [key] = config.identity.keys.as_slice() else {
        panic!("one key");
    };
    assert!(key.name == "openwebui" && !key.forwards);
    // The variable in the server's own `env` keeps its value.
    let other = imported
        .variables
        .values()
        .filter(|it| it.matches("another"));
    assert_eq!(other.count(), 1, "{}", imported.toml);
}

#[test]
fn the_servers_of_single_projects_are_taken_over() {
    let json = r#"{
        "numStartups": 7, "oauthAccount": {"emailAddress": "ann@example.org"},
        "mcpServers": {"all": {"command": "a"}},
        "projects": {
            "/home/ann/one": {"history": ["secret plan"], "mcpServers": {"all": {"command": "b"}, "only": {"type": "http", "url": "https://x/mcp"}},
                              "disabledMcpServers": ["only"]},
            "/home/ann/two": {"mcpServers": {}, "allowedTools": []}
        }}"#;
    let imported = import(json).unwrap();
    insta::assert_snapshot!(imported.toml, @r##"
    # Made from an `mcpServers` file; `mcp-bridge check` lists which bridges are on.
    # not imported: the other settings of the client

    [bridges.all]
    command = "a"
    inherit_env = true # as before; remove it to pass on only what `env` names

    [bridges.all-2]
    # was "all"
    # from the project /home/ann/one
    command = "b"
    inherit_env = true # as before; remove it to pass on only what `env` names

    [bridges.only]
    # from the project /home/ann/one
    url = "https://x/mcp"
    transport = "streamable-http"
    enabled = false
    "##);
    for gone in ["ann@example.org", "secret plan", "numStartups"] {
        assert!(!imported.toml.contains(gone), "{gone}");
    }
    load("bridges.toml", &imported.toml, &imported.variables);
    let alone = r#"{"projects": {"/p": {"mcpServers": {"only": {"command": "b"}}}}}"#;
    assert!(
        import(alone)
            .unwrap()
            .toml
            .contains("[bridges.only]\n# from the project /p\n")
    );
    assert!(matches!(
        import(r#"{"projects": {"/p": {}}}"#),
        Err(ImportError::NoServers(_))
    ));
}

#[test]
fn files_of_variables_are_read_where_that_is_wanted() {
    let folder = tempfile::tempdir().unwrap();
    let text = "A_TOKEN=t-1\nPLAIN=word\nOWN=not this\nBLANK=\nB_TOKEN=other\n";
    fs::write(folder.path().join("vars.env"), text).unwrap();
    let json = r#"{"servers": {
        "s": {"command": "c", "envFile": "${workspaceFolder}/vars.env", "env": {"OWN": "own", "B_TOKEN": "first"}},
        "t": {"command": "c", "envFile": "vars.env"},
        "gone": {"command": "c", "envFile": "nowhere.env"}}}"#;
    let imported = import(json).unwrap();
    assert!(
        imported.toml.contains("# not imported: envFile"),
        "{}",
        imported.toml
    );
    assert!(imported.variables.values().all(|it| !it.matches("t-1")));
    let file = folder.path().join("mcp.json");
    let wishes = ImportOptions {
        api_key: None,
        places: Some(EnvFileFolders::beside(&file)),
    };
    let imported = importer::import(&file, json, wishes).unwrap();
    for secret in ["t-1", "other", "first"] {
        assert!(
            !imported.toml.contains(&format!("\"{secret}\"")),
            "{}",
            imported.toml
        );
    }
    assert_eq!(imported.notes.len(), 1, "{:?}", imported.notes);
    assert!(imported.notes[0].contains("nowhere.env of `gone` cannot be read"));
    let loaded = load("bridges.toml", &imported.toml, &imported.variables);
    let env = |name: &str| {
        let mut bridges = loaded.config.bridges.iter();
        let bridge = bridges.find(|it| it.name.as_str() == name).unwrap();
        let Ok(config::TransportSettings::Stdio(stdio)) = &bridge.transport else {
            panic!("{name}: {:?}", bridge.transport);
        };
        let env = stdio.env.iter();
        env.map(|(name, value)| format!("{name}={}", value.expose()))
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(
        env("s"),
        "A_TOKEN=t-1 BLANK= B_TOKEN=first OWN=own PLAIN=word"
    );
    assert_eq!(
        env("t"),
        "A_TOKEN=t-1 BLANK= B_TOKEN=other OWN=not this PLAIN=word"
    );
}
