//! Converts servers to tables of `bridges.toml`.

use std::{collections::BTreeMap, path::Path};

use super::{
    env_file::EnvFileFolders,
    place::{denied, place},
    table::ImportedBridge,
    text::{comment_of, key_of, line, plain, quote},
};
use crate::{
    config::{
        clients::{
            self, AdaptedServer, ClientFile, ClientFileError, SpannedField, SpannedValue,
            ValueContent, last_of_each, own_variables, rewrite,
        },
        is_variable, looks_secret, nearest_name, variable_of,
    },
    name::BRIDGE_NAME_BYTES_MAX,
    secret::Secret,
};

/// The result of an import.
#[derive(Debug)]
pub struct ImportOutput {
    /// The text of `bridges.toml`.
    pub toml: String,
    /// The variables to set in the environment, with their values from the old file.
    pub variables: BTreeMap<String, Secret>,
    /// Notes for the operator.
    pub notes: Vec<String>,
}

/// The options of an import.
#[derive(Debug, Default)]
pub struct ImportOptions {
    /// The API key from the command line of mcpo.
    pub api_key: Option<Secret>,
    /// The folders of the variable files that servers name. `None` means that they are not read.
    pub places: Option<EnvFileFolders>,
}

/// The variable for the API key.
const API_KEY: &str = "MCPO_API_KEY";

/// Why a file cannot be imported.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImportError {
    /// The file has a syntax error.
    #[error("{message} on line {line} column {column}")]
    Broken {
        /// The error message.
        message: String,
        /// The line, counted from 1.
        line: usize,
        /// The column in characters, counted from 1.
        column: usize,
    },
    /// The file has no servers.
    #[error("no servers found under `mcpServers` or the keys of other supported clients: {0}")]
    NoServers(String),
}

/// Converts the text of a file to `bridges.toml`. The file name can determine the format.
pub fn import(name: &Path, text: &str, wishes: ImportOptions) -> Result<ImportOutput, ImportError> {
    let text = text.trim_start_matches('\u{feff}');
    let read = clients::read_with_projects(name, text);
    let (file, projects) = read.map_err(|unread| unimportable(text, unread))?;
    let mut importer = ConfigImporter {
        places: wishes.places,
        ..ConfigImporter::default()
    };
    let has_key = wishes.api_key.is_some();
    if let Some(key) = wishes.api_key {
        importer.variables.insert(API_KEY.to_owned(), key);
        importer.toml = format!("\n[identity.keys.openwebui]\nkey = \"${{{API_KEY}}}\"\n");
    }
    for field in last_of_each(&file.servers) {
        importer.server(&file, field, None);
    }
    for project in &projects {
        for field in last_of_each(&project.servers) {
            importer.server(&file, field, Some(&project.path));
        }
    }
    let mut toml = head(&file);
    if !importer.variables.is_empty() {
        let whence = if has_key {
            "their values are from the old file or from `--api-key`"
        } else {
            "their values are from the old file"
        };
        line(
            &mut toml,
            &format!(
                "#\n# Set these variables, for example in `.env` next to this file; {whence}:"
            ),
        );
        for name in importer.variables.keys() {
            line(&mut toml, &format!("#   {name}"));
        }
    }
    if !projects.is_empty() {
        toml.push_str("# not imported: the other settings of the client\n");
    }
    for field in &file.rest {
        // Inputs in use appear as comments next to their variables.
        if field.name != "inputs" || !importer.has_all_inputs(&file) {
            let value = comment_of(&field.name, &field.value);
            line(
                &mut toml,
                &format!("# not imported: {} = {value}", key_of(&field.name)),
            );
        }
    }
    toml.push_str(&importer.toml);
    Ok(ImportOutput {
        toml,
        variables: importer.variables,
        notes: importer.notes,
    })
}

fn head(file: &ClientFile) -> String {
    let from = match file.label.as_str() {
        "" => "a file of servers".to_owned(),
        "mcpServers" => "an `mcpServers` file".to_owned(),
        label => format!("the `{label}` of another client"),
    };
    format!("# Made from {from}; `mcp-bridge check` lists which bridges are on.\n")
}

fn unimportable(text: &str, unread: ClientFileError) -> ImportError {
    match unread {
        ClientFileError::NoServers(found) => ImportError::NoServers(found),
        ClientFileError::Broken(broken) => {
            let before = text.get(..broken.at.start).unwrap_or(text);
            let last = before.rsplit('\n').next().unwrap_or_default();
            ImportError::Broken {
                message: broken.message,
                line: before.matches('\n').count() + 1,
                column: last.chars().count() + 1,
            }
        }
    }
}

#[derive(Default)]
pub(super) struct ConfigImporter {
    toml: String,
    names: Vec<String>,
    variables: BTreeMap<String, Secret>,
    /// The folders of variable files, if these are read.
    places: Option<EnvFileFolders>,
    /// Notes for the operator.
    notes: Vec<String>,
    /// The inputs of VS Code that appear next to a variable.
    inputs: Vec<String>,
}

impl ConfigImporter {
    fn has_all_inputs(&self, file: &ClientFile) -> bool {
        let mut inputs = file.inputs.iter();
        !file.inputs.is_empty() && inputs.all(|input| self.inputs.contains(&input.id))
    }

    fn server(&mut self, file: &ClientFile, field: &SpannedField, project: Option<&str>) {
        let name = self.free_name(&field.name);
        let server = file.server(field.value.map().unwrap_or_default());
        let own = own_variables(&server.fields);
        let mut table = ImportedBridge {
            file,
            bridge: &name,
            own: &own,
            lines: String::new(),
            comments: String::new(),
            has_place: false,
        };
        if name != field.name {
            line(
                &mut table.comments,
                &format!("# was {}", quote(&field.name)),
            );
        }
        if let Some(project) = project {
            let project = plain(project);
            line(
                &mut table.comments,
                &format!("# from the project {project}"),
            );
        }
        if field.value.map().is_some() {
            self.fields(&mut table, &server);
        } else {
            let value = comment_of(&field.name, &field.value);
            line(&mut table.comments, &format!("# not imported: {value}"));
        }
        let header = format!("[bridges.{}]", key_of(&name));
        if table.has_place {
            line(&mut self.toml, &format!("\n{header}"));
            self.toml.push_str(&table.comments);
            self.toml.push_str(&table.lines);
            return;
        }
        // A server without a command or URL becomes a comment. The rest of the file is still imported.
        let reason = server.unusable.as_deref();
        let reason = plain(reason.unwrap_or("neither `command` nor `url`"));
        line(&mut self.toml, &format!("\n# {reason}: {header}"));
        self.toml.push_str(&table.comments);
        for lost in table.lines.lines() {
            line(&mut self.toml, &format!("# {lost}"));
        }
    }

    /// Returns a valid bridge name that is not yet in use.
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

    fn fields(&mut self, table: &mut ImportedBridge<'_>, server: &AdaptedServer) {
        let fields: BTreeMap<&str, &SpannedValue> = server
            .fields
            .iter()
            .filter(|field| field.value.tree != ValueContent::Null)
            .map(|field| (field.name.as_str(), &field.value))
            .collect();
        let mut done = Vec::new();
        let remote = server.unusable.is_none() && place(table, &fields, &mut done);
        for key in [
            "description",
            "connect_timeout",
            "timeout",
            "disabled",
            "enabled",
            "tools_allow",
        ] {
            if let Some(value) = fields.get(key)
                && table.common(key, value)
            {
                done.push(key);
            }
        }
        if let Some(reason) = &server.closed {
            table.switch_off(Some(reason));
        }
        denied(table, &fields, &mut done);
        if let Some(entry) = fields.get("oauth").filter(|_| remote)
            && entry.map().is_some()
        {
            done.push("oauth");
            table.oauth(entry);
        }
        let map = if remote { "headers" } else { "env" };
        if let Some(entries) = fields.get(map).and_then(|node| node.map()) {
            done.push(map);
            self.map(table, map, entries);
        }
        if let (false, Some(named)) = (remote, fields.get("envFile")) {
            let own = fields.get("env").and_then(|node| node.map());
            let own: Vec<_> = own
                .unwrap_or_default()
                .iter()
                .map(|it| it.name.as_str())
                .collect();
            if self.env_file(table, named, &own) {
                done.push("envFile");
            }
        }
        for field in &server.fields {
            if !done.contains(&field.name.as_str()) {
                table.lost(&field.name, &key_of(&field.name), &field.value);
            }
        }
        self.note_inputs(table.file, server);
    }

    /// Records the inputs that the values of a server use.
    fn note_inputs(&mut self, file: &ClientFile, server: &AdaptedServer) {
        fn texts(node: &SpannedValue, found: &mut Vec<String>) {
            match &node.tree {
                ValueContent::Text(text) => found.push(text.clone()),
                ValueContent::List(elements) => elements.iter().for_each(|node| texts(node, found)),
                ValueContent::Map(fields) => {
                    for field in fields {
                        texts(&field.value, found);
                    }
                }
                ValueContent::Null | ValueContent::Switch(_) | ValueContent::Number(_) => {}
            }
        }
        let mut found = Vec::new();
        for field in &server.fields {
            texts(&field.value, &mut found);
        }
        let variables = found
            .iter()
            .flat_map(|text| rewrite(text, file.style(&[])).variables);
        self.inputs
            .extend(variables.filter_map(|variable| variable.input));
    }

    /// Writes `env` or `headers`.
    fn map(&mut self, table: &mut ImportedBridge<'_>, map: &str, entries: &[SpannedField]) {
        for field in last_of_each(entries) {
            let name = field.name.as_str();
            let Some(text) = field.value.scalar() else {
                table.lost(name, &format!("{map}.{}", key_of(name)), &field.value);
                continue;
            };
            let rewritten = rewrite(&text, table.file.style(&[]));
            let secret = if rewritten.has_references {
                None
            } else {
                self.without_secret(table.bridge, map, name, &text)
            };
            let text = secret.unwrap_or(rewritten.text);
            table.entry(map, name, &text, &rewritten.variables);
        }
    }

    /// Replaces a literal secret by a reference, and keeps the secret for the environment.
    fn without_secret(
        &mut self,
        bridge: &str,
        map: &str,
        name: &str,
        text: &str,
    ) -> Option<String> {
        let switch = matches!(
            text.trim().to_lowercase().as_str(),
            "" | "true" | "false" | "0" | "1"
        );
        if !looks_secret(name) || switch || text.contains("${") || text.contains(['\n', '\r', '\0'])
        {
            return None;
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
        let variable = self.keep(plain, &long, secret);
        Some(format!("{scheme}${{{variable}}}"))
    }

    /// Imports the variables of the file that `envFile` names, except those that `env` has. Returns whether the file
    /// could be read. A note names each variable that is left out.
    fn env_file(
        &mut self,
        table: &mut ImportedBridge<'_>,
        named: &SpannedValue,
        own: &[&str],
    ) -> bool {
        let (Some(places), Some(text)) = (&self.places, named.text()) else {
            return false;
        };
        let (variables, warnings) = match places.read(text) {
            Ok(read) => read,
            Err(problem) => {
                self.notes.push(format!(
                    "the `envFile` {} of `{}` {problem}; its variables are missing",
                    plain(text),
                    table.bridge
                ));
                return false;
            }
        };
        self.notes
            .extend(warnings.iter().map(|warning| warning.message.clone()));
        line(
            &mut table.comments,
            &format!("# `env` includes the variables of {}", plain(text)),
        );
        for (name, value) in variables {
            if own.contains(&name.as_str()) {
                continue;
            }
            let text = value.expose();
            let is_kept = !text.trim().is_empty() && !text.contains(['\n', '\r', '\0']);
            let written = if is_kept {
                let wanted = is_variable(&name).then(|| name.clone());
                let long = variable_of(&format!("{}_{name}", table.bridge));
                let variable = self.keep(wanted, &long, text);
                format!("${{{variable}}}")
            } else if looks_secret(&name) {
                self.notes.push(format!(
                    "`{name}` of `{}` is blank or has several lines, so it is left out",
                    table.bridge
                ));
                continue;
            } else {
                text.replace("${", "$${")
            };
            table.entry("env", &name, &written, &[]);
        }
        true
    }

    /// Keeps a value for the environment under a name that no other value has: `wanted`, or `long`, or `long` with a
    /// number.
    fn keep(&mut self, wanted: Option<String>, long: &str, value: &str) -> String {
        let numbered = (2..).map(|number| format!("{long}_{number}"));
        let candidates = wanted.into_iter().chain([long.to_owned()]).chain(numbered);
        let mut last = String::new();
        for variable in candidates {
            let kept = self
                .variables
                .entry(variable.clone())
                .or_insert_with(|| Secret::new(value));
            last = variable;
            if kept.matches(value) {
                break;
            }
        }
        last
    }
}
