//! `mcp-bridge import`: an `mcpServers` file as `bridges.toml`.
//!
//! Nothing is lost: what has no place in the new file stands in it as a comment. Secrets do not
//! move along: they become references, and the head of the file lists the variables to set.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs::{self, OpenOptions},
    io::{self, Write as _},
    path::Path,
    process::ExitCode,
};

use jsonc_parser::{
    CollectOptions,
    ast::{Object, Value},
    parse_to_ast,
};

use super::args::ImportArgs;
use crate::{
    config::{self, is_variable, looks_secret, nearest_name},
    secret::Secret,
};

/// What an `mcpServers` file becomes.
#[derive(Debug)]
pub struct Imported {
    /// `bridges.toml`
    pub toml: String,
    /// The variables it needs that stood in the old file, to be set in the environment.
    pub variables: BTreeMap<String, Secret>,
}

/// Why a file cannot be imported.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unimportable {
    /// Broken JSON.
    #[error("the JSON is broken: {0}")]
    Json(String),
    /// Nothing to import.
    #[error("there is no `mcpServers` with a server in it")]
    NoServers,
}

/// Imports a file and prints or writes what it becomes.
#[expect(
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "this is the command line"
)]
pub fn run(args: &ImportArgs) -> ExitCode {
    let file = args.file.display();
    let imported = match fs::read_to_string(&args.file) {
        Ok(text) => import(&text).map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    let imported = match imported {
        Ok(imported) => imported,
        Err(error) => {
            eprintln!("{file}: {error}");
            return ExitCode::from(2);
        }
    };
    let written = match &args.output {
        Some(path) => write_new(path, &imported.toml, 0o644),
        None => {
            print!("{}", imported.toml);
            Ok(())
        }
    };
    let written = written.and_then(|()| match &args.env_file {
        Some(path) => write_new(path, &env_file(&imported.variables), 0o600),
        None => Ok(()),
    });
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Writes a file that must not exist yet.
fn write_new(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, mode);
    #[cfg(not(unix))]
    let _mode = mode;
    options
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
}

fn env_file(variables: &BTreeMap<String, Secret>) -> String {
    variables
        .iter()
        .map(|(name, value)| format!("{name}='{}'\n", value.expose().replace('\'', "'\\''")))
        .collect()
}

/// Turns the text of an `mcpServers` file into `bridges.toml`.
pub fn import(text: &str) -> Result<Imported, Unimportable> {
    let text = text.trim_start_matches('\u{feff}');
    let parsed = parse_to_ast(text, &CollectOptions::default(), &config::parse_options())
        .map_err(|error| Unimportable::Json(error.to_string()))?;
    let root = parsed.value.as_ref();
    let servers = root
        .and_then(config::servers)
        .ok_or(Unimportable::NoServers)?;
    let mut importer = Importer::default();
    for (name, value) in last_of_each(servers) {
        importer.server(name, value);
    }
    let mut toml = String::from(
        "# Made from an `mcpServers` file; `mcp-bridge check` says which bridges are on.\n",
    );
    if !importer.variables.is_empty() {
        toml.push_str("#\n# Set these variables, in `.env` beside this file say; they stood in the old file:\n");
        for name in importer.variables.keys() {
            line(&mut toml, &format!("#   {name}"));
        }
    }
    if let Some(Value::Object(root)) = root {
        for (key, value) in last_of_each(root) {
            if !matches!(key, "mcpServers" | "servers" | "mcp") {
                line(
                    &mut toml,
                    &format!("# not imported: {} = {}", key_of(key), json(value)),
                );
            }
        }
    }
    toml.push_str(&importer.toml);
    Ok(Imported {
        toml,
        variables: importer.variables,
    })
}

#[derive(Default)]
struct Importer {
    toml: String,
    names: Vec<String>,
    variables: BTreeMap<String, Secret>,
}

/// The keys of one server, ready to write.
struct Table<'n> {
    bridge: &'n str,
    lines: String,
    comments: String,
}

impl Importer {
    fn server(&mut self, written: &str, value: &Value<'_>) {
        let name = self.free_name(written);
        let mut table = Table {
            bridge: &name,
            lines: String::new(),
            comments: String::new(),
        };
        if name != written {
            line(&mut table.comments, &format!("# was {}", quote(written)));
        }
        if let Value::Object(object) = value {
            self.fields(&mut table, object);
        } else {
            line(
                &mut table.comments,
                &format!("# not imported: {}", json(value)),
            );
        }
        // What has neither cannot be on; say so instead of refusing the whole file.
        if !table.lines.contains("command = ") && !table.lines.contains("url = ") {
            let lines = table.lines.lines().map(|line| format!("# {line}\n"));
            let lines: String = lines.collect();
            let header = format!(
                "\n# neither `command` nor `url`: [bridges.{}]\n",
                key_of(&name)
            );
            self.toml
                .push_str(&format!("{header}{}{lines}", table.comments));
            return;
        }
        self.toml.push_str(&format!(
            "\n[bridges.{}]\n{}{}",
            key_of(&name),
            table.comments,
            table.lines
        ));
    }

    /// A native name nobody has yet.
    fn free_name(&mut self, written: &str) -> String {
        let near = nearest_name(written).as_str().to_owned();
        let mut name = near.clone();
        let mut number = 2;
        while self.names.contains(&name) {
            let suffix = format!("-{number}");
            let short: String = near
                .chars()
                .take(crate::name::BRIDGE_NAME_BYTES_MAX - suffix.len())
                .collect();
            name = format!("{short}{suffix}");
            number += 1;
        }
        self.names.push(name.clone());
        name
    }

    fn fields(&mut self, table: &mut Table<'_>, object: &Object<'_>) {
        let fields: BTreeMap<&str, &Value<'_>> = last_of_each(object)
            .into_iter()
            .filter(|(_, value)| !matches!(value, Value::NullKeyword(_)))
            .collect();
        let mut done = Vec::new();
        let remote = self.place(table, &fields, &mut done);
        for key in [
            "description",
            "timeout",
            "disabled",
            "enabled",
            "disabledTools",
            "disabled_tools",
        ] {
            let hidden = key == "disabled_tools" && fields.contains_key("disabledTools");
            if let Some(value) = fields.get(key).filter(|_| !hidden)
                && common(table, key, value)
            {
                done.push(key);
            }
        }
        let map = if remote { "headers" } else { "env" };
        if let Some(Value::Object(entries)) = fields.get(map) {
            done.push(map);
            self.map(table, map, entries);
        }
        for (key, value) in last_of_each(object) {
            if !done.contains(&key) {
                self.comment(table, key, value);
            }
        }
    }

    /// Writes `command` or `url`; whether it is a URL, by the rules of the loader.
    fn place<'f>(
        &mut self,
        table: &mut Table<'_>,
        fields: &BTreeMap<&'f str, &Value<'_>>,
        done: &mut Vec<&'f str>,
    ) -> bool {
        let text = |key: &str| match fields.get(key) {
            Some(Value::StringLit(text)) if !text.value.is_empty() => Some(text.value.as_ref()),
            _ => None,
        };
        let said = ["type", "transport"]
            .into_iter()
            .find_map(|key| Some((key, text(key)?)));
        let kind = said.map(|(_, word)| word.to_lowercase().replace(['-', '_', ' '], ""));
        let transport = match kind.as_deref() {
            Some("sse") => Some("sse"),
            Some("streamablehttp" | "http") => Some("streamable-http"),
            Some("openapi") => Some("openapi"),
            Some("auto") => Some("auto"),
            _ => None,
        };
        let url = ["url", "httpUrl", "serverUrl"]
            .into_iter()
            .find_map(|key| Some((key, text(key)?)));
        if let (Some((url_key, url)), true) = (url, transport.is_some() || said.is_none()) {
            done.push(url_key);
            line(
                &mut table.lines,
                &format!("url = {}", quote(&reference(url))),
            );
            let by_key = (url_key == "httpUrl").then_some("streamable-http");
            if let Some(transport) = transport.or(by_key) {
                line(
                    &mut table.lines,
                    &format!("transport = {}", quote(transport)),
                );
            }
            done.extend(said.map(|(key, _)| key));
            return true;
        }
        if let Some(command) = text("command").filter(|_| transport.is_none()) {
            done.push("command");
            line(
                &mut table.lines,
                &format!("command = {}", quote(&reference(command))),
            );
            if let Some(Value::Array(args)) = fields.get("args") {
                done.push("args");
                let args: Vec<_> = args.elements.iter().filter_map(scalar).collect();
                let args: Vec<_> = args.iter().map(|arg| quote(&reference(arg))).collect();
                line(&mut table.lines, &format!("args = [{}]", args.join(", ")));
            }
            line(
                &mut table.lines,
                "inherit_env = true # as before; remove it to pass on only what `env` names",
            );
            if let Some(cwd) = text("cwd") {
                done.push("cwd");
                line(
                    &mut table.lines,
                    &format!("cwd = {}", quote(&reference(cwd))),
                );
            } else if let Some(Value::Object(options)) = fields.get("options")
                && let Some(cwd) = options.get_string("cwd")
            {
                line(
                    &mut table.lines,
                    &format!("cwd = {}", quote(&reference(&cwd.value))),
                );
            }
            if said.is_some_and(|(_, word)| word == "stdio") {
                done.extend(said.map(|(key, _)| key));
            }
        }
        false
    }

    /// Writes `env` or `headers`.
    fn map(&mut self, table: &mut Table<'_>, map: &str, entries: &Object<'_>) {
        for (name, value) in last_of_each(entries) {
            let Some(text) = scalar(value) else {
                line(
                    &mut table.comments,
                    &format!("# not imported: {map}.{} = {}", key_of(name), json(value)),
                );
                continue;
            };
            let text = self.without_secret(table.bridge, map, name, &text);
            line(
                &mut table.lines,
                &format!("{map}.{} = {}", key_of(name), quote(&text)),
            );
        }
    }

    /// Makes a reference of a literal secret, and keeps the secret for the environment.
    fn without_secret(&mut self, bridge: &str, map: &str, name: &str, text: &str) -> String {
        let switch = matches!(
            text.trim().to_lowercase().as_str(),
            "" | "true" | "false" | "0" | "1"
        );
        if !looks_secret(name) || switch || text.contains("${") || text.contains(['\n', '\r', '\0'])
        {
            return reference(text);
        }
        let (scheme, secret) = match text.split_once(' ') {
            Some((scheme, secret))
                if map == "headers"
                    && !secret.trim().is_empty()
                    && scheme.chars().all(char::is_alphabetic) =>
            {
                (format!("{scheme} "), secret)
            }
            _ => (String::new(), text),
        };
        let plain = is_variable(name)
            .then(|| name.to_uppercase())
            .filter(|_| map == "env");
        let second = if name.eq_ignore_ascii_case("authorization") {
            "TOKEN"
        } else {
            name
        };
        let long = variable_of(&format!("{bridge}_{second}"));
        let candidates = plain.into_iter().chain([long.clone()]);
        let numbered = (2..).map(|number| format!("{long}_{number}"));
        for variable in candidates.chain(numbered) {
            let kept = self
                .variables
                .entry(variable.clone())
                .or_insert_with(|| Secret::new(secret));
            if kept.matches(secret) {
                return format!("{scheme}${{{variable}}}");
            }
        }
        reference(text)
    }

    /// Keeps what is not imported, secrets apart.
    fn comment(&mut self, table: &mut Table<'_>, key: &str, value: &Value<'_>) {
        let value = if looks_secret(key) {
            quote("…")
        } else {
            json(value)
        };
        line(
            &mut table.comments,
            &format!("# not imported: {} = {value}", key_of(key)),
        );
    }
}

/// Writes what programs and URLs share; whether the value could be taken.
fn common(table: &mut Table<'_>, key: &str, value: &Value<'_>) -> bool {
    let written = match (key, value) {
        ("description", Value::StringLit(text)) => {
            format!("description = {}", quote(&reference(&text.value)))
        }
        ("timeout", Value::NumberLit(number)) => match number.value.parse::<f64>() {
            // As the loader reads it: seconds, or from 1000 on milliseconds.
            Ok(number) if number > 0.0 && number < 1000.0 => {
                format!("timeout = \"{:.0}ms\"", number * 1000.0)
            }
            Ok(number) if number > 0.0 && number < 1e12 => format!("timeout = \"{number:.0}ms\""),
            _ => return false,
        },
        ("timeout", Value::StringLit(text)) => {
            format!("timeout = {}", quote(&reference(&text.value)))
        }
        ("disabled", Value::BooleanLit(switch)) if switch.value => "enabled = false".to_owned(),
        ("enabled", Value::BooleanLit(switch)) if !switch.value => "enabled = false".to_owned(),
        ("disabled" | "enabled", Value::BooleanLit(_)) => return true,
        ("disabledTools" | "disabled_tools", Value::Array(names)) => {
            let names = names.elements.iter().filter_map(|name| match name {
                Value::StringLit(name) => Some(quote(&reference(&globset::escape(&name.value)))),
                _ => None,
            });
            format!("tools_deny = [{}]", names.collect::<Vec<_>>().join(", "))
        }
        _ => return false,
    };
    // `disabled` and `enabled` may say the same.
    if !(written == "enabled = false" && table.lines.contains("enabled = false\n")) {
        line(&mut table.lines, &written);
    }
    true
}

/// Properties by name; of two the last counts.
fn last_of_each<'v, 'a>(object: &'v Object<'a>) -> Vec<(&'v str, &'v Value<'a>)> {
    let mut kept: Vec<(&str, &Value<'_>)> = Vec::new();
    for property in &object.properties {
        match kept
            .iter_mut()
            .find(|(name, _)| *name == property.name.as_str())
        {
            Some(twin) => twin.1 = &property.value,
            None => kept.push((property.name.as_str(), &property.value)),
        }
    }
    kept
}

/// Strings, and what the loader takes for one.
fn scalar(value: &Value<'_>) -> Option<String> {
    match value {
        Value::StringLit(text) => Some(text.value.clone().into_owned()),
        Value::NumberLit(number) => Some(number.value.to_owned()),
        Value::BooleanLit(switch) => Some(switch.value.to_string()),
        Value::NullKeyword(_) | Value::Object(_) | Value::Array(_) => None,
    }
}

/// Rewrites references: `${env:X}` is `${X}` here, and what is no reference is literal.
fn reference(text: &str) -> String {
    let mut written = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        written.push_str(before);
        let inner = after.split_once('}').map(|(inner, _)| inner);
        let name = inner.map(|inner| inner.split_once(":-").map_or(inner, |(name, _)| name));
        rest = after;
        match name {
            // Escaped already.
            _ if before.ends_with('$') => written.push_str("${"),
            Some(name) if is_variable(name) || name.starts_with("file:") => written.push_str("${"),
            Some(name) if name.strip_prefix("env:").is_some_and(is_variable) => {
                written.push_str("${");
                rest = after.strip_prefix("env:").unwrap_or(after);
            }
            _ => written.push_str("$${"),
        }
    }
    written.push_str(rest);
    written
}

/// `GITHUB_X_API_KEY`
fn variable_of(text: &str) -> String {
    let name: String = text
        .to_uppercase()
        .chars()
        .map(|character| {
            if character.is_ascii_alphanumeric() {
                character
            } else {
                '_'
            }
        })
        .collect();
    if is_variable(&name) {
        name
    } else {
        format!("_{name}")
    }
}

fn key_of(key: &str) -> String {
    let bare = !key.is_empty()
        && key
            .chars()
            .all(|character| character.is_ascii_alphanumeric() || "-_".contains(character));
    if bare { key.to_owned() } else { quote(key) }
}

/// A string that TOML and JSON read alike.
fn quote(text: &str) -> String {
    serde_json::Value::from(text)
        .to_string()
        .replace('\u{7f}', "\\u007f")
}

/// A value in one line, fit for a comment.
fn json(value: &Value<'_>) -> String {
    match value {
        Value::StringLit(text) => quote(&text.value),
        Value::NumberLit(number) => number.value.to_owned(),
        Value::BooleanLit(switch) => switch.value.to_string(),
        Value::NullKeyword(_) => "null".to_owned(),
        Value::Array(array) => {
            let elements: Vec<_> = array.elements.iter().map(json).collect();
            format!("[{}]", elements.join(", "))
        }
        Value::Object(object) => {
            let entries = object.properties.iter().map(|property| {
                let key = property.name.as_str();
                let value = if looks_secret(key) {
                    quote("…")
                } else {
                    json(&property.value)
                };
                format!("{}: {value}", quote(key))
            });
            format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
        }
    }
}

fn line(text: &mut String, line: &str) {
    // Writing to a string cannot fail.
    let _ok = writeln!(text, "{line}").is_ok();
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::{Config, Environment, Loaded};

    fn load(file: &str, text: &str, variables: &BTreeMap<String, Secret>) -> Loaded {
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

    fn both(json: &str) -> (Config, Config, Imported) {
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
                "docs": {"command": "c", "options": {"cwd": "/x"}, "env": {"API_KEY": "hunter3", "P": "${workspaceFolder}/${input:y}"}},
                "nothing": {"note": 1}
            }}"#;
        let imported = import(json).unwrap();
        assert!(!imported.toml.contains("hunter"));
        insta::assert_snapshot!(imported.toml, @"");
        insta::assert_snapshot!(env_file(&imported.variables), @"");
        let loaded = load("bridges.toml", &imported.toml, &imported.variables);
        assert_eq!(loaded.config.bridges.len(), 4);
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
        assert_eq!(import("{}").unwrap_err(), Unimportable::NoServers);
        assert!(matches!(import("{").unwrap_err(), Unimportable::Json(_)));
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
            Just(
                serde_json::json!({"enabled": false, "autoApprove": ["\n"], "description": "d\"\\"})
            ),
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
            let (old, new, _) = both(&json);
            prop_assert_eq!(old.bridges, new.bridges);
        }
    }
}
