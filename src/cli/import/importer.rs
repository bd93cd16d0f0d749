//! Turns servers into tables.

use std::collections::BTreeMap;

use jsonc_parser::{
    CollectOptions,
    ast::{Object, Value},
    parse_to_ast,
};

use super::text::{json, key_of, last_of_each, line, quote, reference, scalar};
use crate::{
    config::{self, exact_glob, is_variable, looks_secret, nearest_name, variable_of},
    name::BRIDGE_NAME_BYTES_MAX,
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
            line(
                &mut self.toml,
                &format!(
                    "
# neither `command` nor `url`: [bridges.{}]",
                    key_of(&name)
                ),
            );
            self.toml.push_str(&table.comments);
            for lost in table.lines.lines() {
                line(&mut self.toml, &format!("# {lost}"));
            }
            return;
        }
        line(
            &mut self.toml,
            &format!(
                "
[bridges.{}]",
                key_of(&name)
            ),
        );
        self.toml.push_str(&table.comments);
        self.toml.push_str(&table.lines);
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
                .take(BRIDGE_NAME_BYTES_MAX - suffix.len())
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
        let remote = Self::place(table, &fields, &mut done);
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
        if let Some(Value::Object(entry)) = fields.get("oauth").filter(|_| remote) {
            done.push("oauth");
            oauth(table, entry);
        }
        let map = if remote { "headers" } else { "env" };
        if let Some(Value::Object(entries)) = fields.get(map) {
            done.push(map);
            self.map(table, map, entries);
        }
        for (key, value) in last_of_each(object) {
            if !done.contains(&key) {
                Self::comment(table, key, value);
            }
        }
    }

    /// Writes `command` or `url`; whether it is a URL, by the rules of the loader.
    fn place<'f>(
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
    fn comment(table: &mut Table<'_>, key: &str, value: &Value<'_>) {
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

/// Writes `oauth`. Of what mcpo has there only the scopes mean anything here (mcpo contract §9.2).
fn oauth(table: &mut Table<'_>, entry: &Object<'_>) {
    let metadata = entry.get_object("client_metadata");
    let scope = metadata.and_then(|metadata| metadata.get_string("scope"));
    let scopes: Vec<_> = scope
        .iter()
        .flat_map(|scope| scope.value.split_whitespace())
        .map(|word| quote(&reference(word)))
        .collect();
    let written = if scopes.is_empty() {
        "oauth = {}".to_owned()
    } else {
        format!("oauth = {{ scopes = [{}] }}", scopes.join(", "))
    };
    line(&mut table.lines, &written);
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
            let names = names.elements.iter().filter_map(Value::as_string_lit);
            let names = names.map(|name| quote(&reference(&exact_glob(&name.value))));
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
