//! Tests of the shipped files: `bridges.toml`, `examples/catalogue.toml`, `.env.example`.

use std::{collections::BTreeSet, fs};

use super::{BridgeSettings, Config, TransportSettings, tests::load_named};

const SHIPPED: &str = "bridges.toml";
const CATALOGUE: &str = "examples/catalogue.toml";

/// The bridges that are enabled in an empty environment.
const ON: [&str; 1] = ["demo"];

fn read(file: &str) -> String {
    fs::read_to_string(file).unwrap()
}

fn config(file: &str, pairs: &[(&str, &str)]) -> Config {
    let (result, shown) = load_named("bridges.toml", &read(file), pairs);
    result.unwrap_or_else(|_| panic!("{file}: {shown}")).config
}

fn bridges(file: &str) -> Vec<BridgeSettings> {
    config(file, &[]).bridges
}

/// The variables that a file refers to: the primary ones, and older names that are fallbacks.
fn variables(file: &str) -> (BTreeSet<String>, BTreeSet<String>) {
    let document: toml::Table = read(file).parse().unwrap();
    let (mut first, mut second) = (BTreeSet::new(), BTreeSet::new());
    strings(&toml::Value::Table(document), &mut |text| {
        references(text, 0, &mut first, &mut second);
    });
    (first, second)
}

fn strings(value: &toml::Value, visit: &mut impl FnMut(&str)) {
    match value {
        toml::Value::String(text) => visit(text),
        toml::Value::Array(items) => items.iter().for_each(|item| strings(item, visit)),
        toml::Value::Table(table) => table.values().for_each(|item| strings(item, visit)),
        _ => {}
    }
}

fn references(
    text: &str,
    depth: usize,
    first: &mut BTreeSet<String>,
    second: &mut BTreeSet<String>,
) {
    let mut rest = text;
    while let Some((_, after)) = rest.split_once("${") {
        let mut open = 1;
        let mut before = ' ';
        let close = after.char_indices().find(|&(_, character)| {
            match character {
                '{' if before == '$' => open += 1,
                '}' => open -= 1,
                _ => {}
            }
            before = character;
            open == 0
        });
        let (inner, tail) = after.split_at(close.unwrap().0);
        let (name, default) = inner.split_once(":-").unwrap_or((inner, ""));
        let names = if depth == 0 {
            &mut *first
        } else {
            &mut *second
        };
        names.insert(name.to_owned());
        references(default, depth + 1, first, second);
        rest = tail;
    }
}

#[test]
fn nothing_is_downloaded_with_nothing_in_the_environment() {
    let (known, older) = variables(SHIPPED);
    for bridge in bridges(SHIPPED) {
        let name = bridge.name.as_str();
        let Some(reason) = bridge.reason_off() else {
            assert!(ON.contains(&name), "{name} is on");
            continue;
        };
        assert!(!ON.contains(&name), "{name} is off: {reason}");
        let names_a_variable = reason
            .split(|character: char| !(character.is_ascii_alphanumeric() || character == '_'))
            .any(|word| known.contains(word) || older.contains(word));
        let asks_for_a_login =
            reason.ends_with(&format!("no user has logged in: mcp-bridge login {name}"));
        assert!(names_a_variable || asks_for_a_login, "{name}: {reason}");
    }
}

#[test]
fn every_bridge_of_the_team_is_there() {
    let bridges = bridges(SHIPPED);
    let names: BTreeSet<_> = bridges.iter().map(|bridge| bridge.name.as_str()).collect();
    for name in [
        "demo",
        "filesystem",
        "atlassian",
        "linear",
        "notion",
        "github",
        "sonarqube",
        "trello",
        "clickup",
        "gitlab",
        "hubspot",
        "pulumi",
        "asana",
        "slack",
        "sentry",
        "snowflake",
        "datadog",
        "google-drive",
        "microsoft-365",
        "excel",
        "dashboard",
        "postgresql",
        "playwright",
        "grafana",
        "monday",
        "airtable",
        "dbt",
    ] {
        assert!(names.contains(name), "{name}");
    }
}

#[test]
fn every_package_is_pinned() {
    for file in [SHIPPED, CATALOGUE] {
        let document: toml::Table = read(file).parse().unwrap();
        let bridges = document["bridges"].as_table().unwrap().iter();
        let ways = bridges.flat_map(|(name, bridge)| {
            let with_key = bridge.get("with_key");
            std::iter::once(bridge)
                .chain(with_key)
                .map(move |way| (name, way))
        });
        for (name, bridge) in ways {
            let command = bridge.get("command").and_then(toml::Value::as_str);
            let is_fetched = command.is_some_and(|command| ["npx", "uvx"].contains(&command));
            let is_pinned = |word: &str| {
                let version = word.trim_start_matches('@').split_once('@');
                version.is_some_and(|(_, version)| {
                    version.starts_with(|first: char| first.is_ascii_digit())
                })
            };
            let mut pins = 0;
            if let Some(args) = bridge.get("args") {
                strings(args, &mut |word| pins += usize::from(is_pinned(word)));
            }
            assert_eq!(pins, usize::from(is_fetched), "{name}");
        }
    }
}

#[test]
fn the_catalogue_adds_servers_that_are_off() {
    let shipped: BTreeSet<_> = bridges(SHIPPED)
        .into_iter()
        .map(|bridge| bridge.name)
        .collect();
    let more = bridges(CATALOGUE);
    assert!(
        shipped.len() + more.len() >= 70,
        "{} and {}",
        shipped.len(),
        more.len()
    );
    for bridge in &more {
        assert!(
            !shipped.contains(&bridge.name),
            "{} is in both",
            bridge.name
        );
        assert!(bridge.reason_off().is_some(), "{} is on", bridge.name);
    }
    // What is switched off by hand is what would be on otherwise.
    let document: toml::Table = read(CATALOGUE).parse().unwrap();
    for (name, bridge) in document["bridges"].as_table().unwrap() {
        let mut refers = false;
        strings(bridge, &mut |text| refers |= text.contains("${"));
        let is_open = !refers && bridge.get("oauth").is_none();
        let is_switched_off = bridge.get("enabled").and_then(toml::Value::as_bool) == Some(false);
        assert_eq!(is_open, is_switched_off, "{name}");
    }
}

#[test]
fn everything_is_on_when_every_variable_is_set() {
    for file in [SHIPPED, CATALOGUE] {
        let (first, second) = variables(file);
        let text = "true-value-of-32-characters-or-so".to_owned();
        let pairs: Vec<(String, String)> = first
            .union(&second)
            .map(|name| {
                let value = match name.as_str() {
                    "DATABASE_URL" | "OPEN_WEBUI_DATABASE_URL" => "postgresql://h/n",
                    "REDIS_URL" => "redis://h",
                    "API_GATEWAY_MODE" | "MCP_PLAYWRIGHT" => "true",
                    "TRUSTED_PROXIES" => "10.0.0.1",
                    "BRIDGE_METRICS_LISTEN" => "0.0.0.0:9464",
                    "OTEL_EXPORTER_OTLP_ENDPOINT" => "http://h:4318",
                    "OTEL_EXPORTER_OTLP_HEADERS" => "a=b",
                    "ADMIN_EMAILS" => "a@example.com",
                    name if name.ends_with("_CREDENTIAL") => "caller",
                    name if name.ends_with("_URL") || name == "OIDC_ISSUER" => {
                        "https://h.example.org"
                    }
                    name if name.ends_with("_HOST") || name.ends_with("_DOMAIN") => "h.example.org",
                    _ => &text,
                };
                (name.clone(), value.to_owned())
            })
            .collect();
        let pairs: Vec<(&str, &str)> = pairs
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        for bridge in config(file, &pairs).bridges {
            if let Some(reason) = bridge.reason_off() {
                let is_meant = reason.starts_with("disabled") || reason.starts_with("no user has");
                assert!(is_meant, "{}: {reason}", bridge.name);
            }
        }
    }
}

#[test]
fn the_example_environment_names_every_variable_and_no_other() {
    let (mut first, mut second) = variables(SHIPPED);
    let (more, older) = variables(CATALOGUE);
    first.extend(more);
    second.extend(older);
    let text = read(".env.example");
    let (ours, rest) = text
        .split_once("\n# --- names of the Python proxy")
        .unwrap();
    let (former, of_compose) = rest.split_once("\n# --- compose.hetzner.yml").unwrap();
    let compose = read("compose.hetzner.yml");
    for (name, _) in of_compose.lines().filter_map(|line| line.split_once('=')) {
        assert!(
            compose.contains(&format!("${{{name}:")),
            "{name} is not in compose.hetzner.yml"
        );
        first.insert(name.to_owned());
    }
    let mut named = BTreeSet::new();
    let lines = |text: &str| -> Vec<String> {
        let lines = text.lines().skip(1);
        lines
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .map(|line| {
                let (name, value) = line.split_once('=').unwrap_or_else(|| panic!("{line}"));
                assert_eq!(value, "", "{name} has a value");
                name.to_owned()
            })
            .collect()
    };
    for name in lines(ours).into_iter().chain(lines(of_compose)) {
        assert!(named.insert(name.clone()), "{name} stands there twice");
    }
    assert_eq!(named, first);
    for name in lines(former) {
        assert!(!first.contains(&name), "{name} is read");
    }
    for name in second.difference(&first) {
        assert!(
            text.contains(name.as_str()),
            "the older name {name} is not told"
        );
    }
}

/// The packages that `npx` and `uvx` fetch, by name, with their version.
fn packages(file: &str) -> Vec<(String, String)> {
    let document: toml::Table = read(file).parse().unwrap();
    let bridges = document["bridges"].as_table().unwrap();
    let mut found = Vec::new();
    for bridge in bridges.values() {
        let command = bridge.get("command").and_then(toml::Value::as_str);
        if !matches!(command, Some("npx" | "uvx")) {
            continue;
        }
        let args = bridge["args"].as_array().unwrap();
        let mut words = args.iter().filter_map(toml::Value::as_str);
        let package = words.find(|word| !word.starts_with('-')).unwrap();
        let at = package.get(1..).unwrap().rfind('@').map(|at| at + 1);
        let (name, version) = at.map_or((package, ""), |at| package.split_at(at));
        found.push((name.to_owned(), version.to_owned()));
    }
    found
}

#[test]
fn the_examples_start_what_the_shipped_files_start() {
    let pinned: std::collections::BTreeMap<_, _> = [SHIPPED, CATALOGUE]
        .into_iter()
        .flat_map(packages)
        .filter(|(_, version)| !version.is_empty())
        .collect();
    let mut compared = 0;
    for entry in fs::read_dir("examples").unwrap() {
        let path = entry.unwrap().path();
        let is_toml = path.extension().is_some_and(|it| it == "toml");
        if !is_toml || path.ends_with("catalogue.toml") {
            continue;
        }
        for (name, version) in packages(path.to_str().unwrap()) {
            let Some(known) = pinned.get(&name) else {
                continue;
            };
            assert_eq!(version, *known, "{}: {name}", path.display());
            compared += 1;
        }
    }
    assert!(compared >= 5, "{compared}");
}

/// The variables of the `.env` templates that the Python proxy had, by service.
const FORMER_TEMPLATE: [(&str, &[&str]); 12] = [
    ("github", &["GITHUB_TOKEN"]),
    ("atlassian", &["ATLASSIAN_TOKEN"]),
    ("linear", &["LINEAR_API_KEY"]),
    ("notion", &["NOTION_API_KEY"]),
    ("hubspot", &["HUBSPOT_API_KEY"]),
    ("pulumi", &["PULUMI_ACCESS_TOKEN"]),
    ("gitlab", &["GITLAB_TOKEN"]),
    ("asana", &["ASANA_TOKEN"]),
    ("sonarqube", &["SONARQUBE_URL", "SONARQUBE_TOKEN"]),
    ("sentry", &["SENTRY_AUTH_TOKEN"]),
    ("clickup", &["CLICKUP_API_TOKEN"]),
    (
        "trello",
        &["TRELLO_API_KEY", "TRELLO_API_SECRET", "TRELLO_API_TOKEN"],
    ),
];

#[test]
fn the_variables_of_the_former_templates_switch_their_bridges_on() {
    let value = |name: &str| {
        if name.ends_with("_URL") {
            "https://h.example.org"
        } else {
            "a-value-of-some-length"
        }
    };
    for (service, names) in FORMER_TEMPLATE {
        let pairs: Vec<_> = names.iter().map(|&name| (name, value(name))).collect();
        for bridge in config(SHIPPED, &pairs).bridges {
            let is_on = bridge.reason_off().is_none();
            let name = bridge.name.as_str();
            assert_eq!(
                is_on,
                ON.contains(&name) || name == service,
                "{service}: {name}: {:?}",
                bridge.reason_off()
            );
        }
    }
    // The other form of Atlassian's: a person's key, with their e-mail.
    let pairs = [
        ("ATLASSIAN_ORG_ID", "x"),
        ("ATLASSIAN_API_KEY", "a-value-of-some-length"),
        ("ATLASSIAN_URL", "https://h.example.org"),
        ("ATLASSIAN_USER", "a@example.com"),
    ];
    let bridges = config(SHIPPED, &pairs).bridges;
    let atlassian = bridges.iter().find(|it| it.name.as_str() == "atlassian");
    let Ok(TransportSettings::Remote(remote)) = &atlassian.unwrap().transport else {
        panic!("a URL")
    };
    let (_, value) = &remote.headers[0];
    assert!(value.expose().starts_with("Basic "), "the e-mail counts");
    let text = read(".env.example");
    for name in FORMER_TEMPLATE.iter().flat_map(|(_, names)| *names) {
        assert!(text.contains(&format!("\n{name}=\n")), "{name}");
    }
}

#[test]
fn each_caller_has_their_own_account_where_that_is_configured_even_with_a_key() {
    for (credential, is_program) in [("caller", false), ("shared", true), ("group", true)] {
        let pairs = [
            ("HUBSPOT_API_KEY", "a-value-of-some-length"),
            ("HUBSPOT_CLIENT_ID", "id"),
            ("HUBSPOT_CLIENT_SECRET", "a-secret-of-some-length"),
            ("HUBSPOT_CREDENTIAL", credential),
        ];
        let bridges = config(SHIPPED, &pairs).bridges;
        let hubspot = bridges.iter().find(|it| it.name.as_str() == "hubspot");
        let transport = &hubspot.unwrap().transport;
        let found = matches!(transport, Ok(TransportSettings::Stdio(_)));
        assert_eq!(found, is_program, "{credential}: {transport:?}");
    }
}
