//! Reads `mcpServers` JSON as mcpo, Claude, Cline and VS Code write it (docs/mcpo.md), and files of other
//! clients with the same keys.
//!
//! What mcpo rejects is rejected with mcpo's messages. What it ignores is ignored with a warning. What it
//! does not support is supported where that changes nothing for a file that works there. In a file that mcpo
//! cannot read, a problem with one server affects only that server.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use crate::{
    config::{
        BridgeSettings, DisabledReason, RemoteKind, TransportSettings,
        bridges::{
            settle::warn_of_twin,
            table::BridgeTable,
            tool_names::exact_glob,
            transport::{KINDS, TransportSetting},
        },
        clients::{
            self, AdaptedServer, ClientFile, ClientFileError, SpannedField, SpannedValue,
            ValueContent,
        },
        mcp::{
            checks::{check_forwarding, oauth, warn_of_unknown},
            entry::{McpServerEntry, text},
            env_file,
            unfilled::{PlaceholderLocation, filled},
        },
        naming::nearest_name,
        read::{ConfigReader, FlagSetting, Text},
    },
    name::BridgeName,
    secret::Secret,
};

/// The error of a file without servers.
const NO_SERVERS: &str = "No 'mcpServers' found in config file.";
/// Keys with the URL.
const URLS: &[&str] = &["url", "httpUrl", "serverUrl"];

/// Reads the file. `children` are environment variables of every child process; those of the file override
/// them.
pub fn read(
    reader: &mut ConfigReader<'_>,
    path: &Path,
    children: &BTreeMap<String, Secret>,
) -> Vec<BridgeSettings> {
    let text = reader.problems.text().to_owned();
    let file = match clients::read(path, &text) {
        Ok(file) => file,
        Err(ClientFileError::Broken(broken)) => {
            let problem = reader.problems.error(&broken.at, broken.message);
            if clients::ConfigFormat::of(path, &text) == clients::ConfigFormat::Toml {
                problem.hint("this file must be JSON; `mcp-bridge --config FILE` also reads TOML");
            }
            return Vec::new();
        }
        Err(ClientFileError::NoServers(found)) => {
            let end = text.trim_start().find('{').map_or(0, |at| at + 1);
            reader.refuse(&(0..end), NO_SERVERS, format!(
                "{found}; write `{{\"mcpServers\": {{\"NAME\": {{\"command\": …}}}}}}`, at least one server"
            ));
            return Vec::new();
        }
    };
    // mcpo's rule for unset variables applies only to files that mcpo can read.
    reader.keeps_unset &= file.dialect.is_mcpo;
    let mut bridges = Vec::new();
    for field in warned_last_of_each(reader, &file.servers) {
        let name = match BridgeName::mcpo(&field.name) {
            Ok(name) => name,
            Err(_) if !file.dialect.is_mcpo => nearest_name(&field.name),
            Err(bad) => {
                reader.problems.error(&field.at, bad.to_string());
                continue;
            }
        };
        warn_of_twin(reader, &bridges, &name, &field.at);
        bridges.extend(read_server(reader, &file, name, field, children));
    }
    bridges
}

/// Returns the fields of a map. Of two fields with one name the last counts, as in JSON.
fn warned_last_of_each<'f>(
    reader: &mut ConfigReader<'_>,
    fields: &'f [SpannedField],
) -> Vec<&'f SpannedField> {
    let mut seen = BTreeSet::new();
    for field in fields {
        if !seen.insert(field.name.as_str()) {
            reader.warn(
                &field.at,
                format!("`{}` is set twice; the last one counts", field.name),
                "remove one of them",
            );
        }
    }
    clients::last_of_each(fields)
}

fn read_server(
    reader: &mut ConfigReader<'_>,
    file: &ClientFile,
    name: BridgeName,
    field: &SpannedField,
    children: &BTreeMap<String, Secret>,
) -> Option<BridgeSettings> {
    let before = reader.problems.len();
    let written = field.value.map();
    let written: Vec<SpannedField> = warned_last_of_each(reader, written.unwrap_or_default())
        .into_iter()
        .cloned()
        .collect();
    let server = file.server(&written);
    let entry = McpServerEntry {
        name: &field.name,
        at: field.at.clone(),
        fields: &server.fields,
        file,
        own: &clients::own_variables(&server.fields),
    };
    let table = if field.value.map().is_none() {
        entry.error(reader, &field.value.at, "must be an object");
        None
    } else {
        warn_of_unknown(reader, &entry);
        table(reader, &entry, &server)
    };
    let reason = match (&table, file.dialect.is_mcpo) {
        (None, true) => return None,
        (None, false) => reader.problems.soften(before),
        (Some(_), _) => server.reason_off().map(str::to_owned),
    };
    let (table, settings) = table.unwrap_or_else(nothing);
    let mut bridge = table.resolve(name, &entry.at, settings, reader);
    if let Some(reason) = reason {
        let message = format!("server `{}` is off: {reason}", entry.name);
        reader.problems.warning(&entry.at, message);
        bridge.transport = Err(DisabledReason(reason));
    }
    env_file::add(reader, &entry, &mut bridge);
    if let Ok(TransportSettings::Stdio(stdio)) = &mut bridge.transport {
        for (name, value) in children {
            stdio
                .env
                .entry(name.clone())
                .or_insert_with(|| value.clone());
        }
    }
    Some(bridge)
}

/// A native table: the keys that depend on each other, and the other settings.
type NativeTable = (BridgeTable, DeTable<'static>);

/// The table of a server that cannot be reached. The problem is already reported.
fn nothing() -> NativeTable {
    let table = BridgeTable {
        is_partial: true,
        ..BridgeTable::default()
    };
    (table, DeTable::new())
}

/// Adds a setting.
fn insert(settings: &mut DeTable<'static>, key: &'static str, text: Option<Text>) {
    if let Some(text) = text {
        let key = Spanned::new(text.span(), key.into());
        settings.insert(key, string(text));
    }
}

fn string(text: Text) -> Spanned<DeValue<'static>> {
    Spanned::new(text.span(), DeValue::String(text.into_inner().into()))
}

/// Validates an entry as mcpo does and converts it to a native table.
fn table(
    reader: &mut ConfigReader<'_>,
    entry: &McpServerEntry<'_>,
    server: &AdaptedServer,
) -> Option<NativeTable> {
    let before = reader.problems.len();
    let mut denied = disabled_tools(reader, entry).unwrap_or_default();
    denied.extend(globs(entry, "tools_deny").unwrap_or_default());
    let allowed = globs(entry, "tools_allow").unwrap_or_default();
    let mut settings = DeTable::new();
    for (key, texts) in [("tools_allow", allowed), ("tools_deny", denied)] {
        let list = DeValue::Array(texts.into_iter().map(string).collect());
        let at = entry.at.clone();
        settings.insert(Spanned::new(at.clone(), key.into()), Spanned::new(at, list));
    }
    let description = entry.filled(
        reader,
        &["description"],
        PlaceholderLocation::Other("description"),
    );
    insert(&mut settings, "description", description);
    insert(&mut settings, "timeout", timeout(reader, entry));
    insert(
        &mut settings,
        "connect_timeout",
        entry.text(&["connect_timeout"]),
    );
    let mut table = BridgeTable {
        enabled: enabled(entry),
        is_partial: server.unusable.is_some(),
        ..BridgeTable::default()
    };
    check_forwarding(reader, entry);
    if server.unusable.is_some() {
        return Some((table, settings));
    }
    let kind = decide(reader, entry)?;
    table.oauth = oauth(reader, entry, kind);
    match kind {
        TransportSetting::Stdio => {
            table.server.command = entry.filled(reader, &["command"], PlaceholderLocation::Command);
            table.server.args = args(reader, entry);
            table.server.env = map(reader, entry, "env", PlaceholderLocation::Env);
            table.server.cwd = entry
                .filled(reader, &["cwd"], PlaceholderLocation::Other("cwd"))
                .or_else(|| {
                    let cwd = text(entry.get("options")?.get("cwd")?)?;
                    Some(filled(
                        reader,
                        entry,
                        PlaceholderLocation::Other("cwd"),
                        &cwd,
                    ))
                });
        }
        TransportSetting::Remote(kind) => {
            table.server.url = entry.filled(reader, URLS, PlaceholderLocation::Url);
            table.server.headers = map(reader, entry, "headers", PlaceholderLocation::Header);
            let word = KINDS
                .iter()
                .find(|(_, other)| *other == TransportSetting::Remote(kind));
            table.server.transport =
                word.map(|(word, _)| Spanned::new(entry.at.clone(), (*word).to_owned()));
        }
    }
    let failed = reader.problems.has_errors_since(before);
    (!failed).then_some((table, settings))
}

/// Chooses between program and URL by mcpo's rules. There, a `url` without `type` means SSE. The bridge tries
/// both transports, Streamable HTTP first: an SSE server refuses that and is then used as in mcpo, and a
/// Streamable HTTP server, which mcpo cannot reach without `type`, works too.
fn decide(reader: &mut ConfigReader<'_>, entry: &McpServerEntry<'_>) -> Option<TransportSetting> {
    let said = entry.text(&["type", "transport"]);
    let kind = said.as_ref().and_then(|text| {
        let plain = |word: &str| word.to_lowercase().replace(['-', '_', ' '], "");
        let found = KINDS
            .iter()
            .find(|(word, _)| plain(word) == plain(text.get_ref()));
        found.map(|(_, kind)| *kind)
    });
    let has_url = entry.text(URLS).is_some();
    match (kind, &said) {
        (Some(TransportSetting::Remote(kind)), _) if has_url => {
            return Some(TransportSetting::Remote(kind));
        }
        (Some(TransportSetting::Remote(_)), Some(said)) => {
            let rest = format!("of type '{}' requires a 'url' field", said.get_ref());
            entry.error(reader, &said.span(), &rest);
            return None;
        }
        (None, None) if has_url => {
            let is_http = entry.text(&["url"]).is_none() && entry.text(&["httpUrl"]).is_some();
            let kind = if is_http {
                RemoteKind::StreamableHttp
            } else {
                RemoteKind::Auto
            };
            return Some(TransportSetting::Remote(kind));
        }
        _ => {}
    }
    match entry
        .get("command")
        .map(|command| (command, command.text()))
    {
        Some((_, Some(command))) if !command.is_empty() => Some(TransportSetting::Stdio),
        Some((other, None)) => {
            entry.error(reader, &other.at, "'command' must be a string");
            None
        }
        _ => {
            let rest =
                "must have either 'command' for stdio or 'type' and 'url' for remote servers";
            entry.error(reader, &entry.at, rest);
            None
        }
    }
}

fn args(reader: &mut ConfigReader<'_>, entry: &McpServerEntry<'_>) -> Option<Vec<Text>> {
    let value = entry.get("args")?;
    let Some(elements) = value.list() else {
        entry.error(reader, &value.at, "'args' must be a list");
        return None;
    };
    let mut args: Vec<Text> = Vec::new();
    let mut before = None;
    for element in elements {
        let Some(arg) = scalar(reader, "args", element) else {
            continue;
        };
        let place = if clients::is_script(before, arg.get_ref()) {
            PlaceholderLocation::Script
        } else {
            PlaceholderLocation::Arg
        };
        before = element.text();
        args.push(filled(reader, entry, place, &arg));
    }
    Some(args)
}

fn map(
    reader: &mut ConfigReader<'_>,
    entry: &McpServerEntry<'_>,
    key: &str,
    place: PlaceholderLocation,
) -> BTreeMap<Text, Text> {
    let Some(value) = entry.get(key) else {
        return BTreeMap::new();
    };
    let Some(fields) = value.map() else {
        entry.error(reader, &value.at, &format!("'{key}' must be an object"));
        return BTreeMap::new();
    };
    let mut map = BTreeMap::new();
    for field in warned_last_of_each(reader, fields) {
        if let Some(value) = scalar(reader, key, &field.value) {
            let value = filled(reader, entry, place, &value);
            map.insert(Spanned::new(field.at.clone(), field.name.clone()), value);
        }
    }
    map
}

/// Returns a string, or a number or switch that clearly stands for one.
fn scalar(reader: &mut ConfigReader<'_>, key: &str, value: &SpannedValue) -> Option<Text> {
    if let Some(text) = text(value) {
        return Some(text);
    }
    if let Some(written) = value.scalar() {
        reader.warn(
            &value.at,
            format!("`{key}`: `{written}` is read as the string `\"{written}\"`"),
            "put it in double quotes",
        );
        return Some(Spanned::new(value.at.clone(), written));
    }
    reader.problems.warning(
        &value.at,
        format!("`{key}`: only strings are allowed here; this value is ignored"),
    );
    None
}

/// Returns tool patterns that are already globs.
fn globs(entry: &McpServerEntry<'_>, key: &str) -> Option<Vec<Text>> {
    let elements = entry.get(key)?.list()?;
    Some(elements.iter().filter_map(text).collect())
}

/// Reads the disabled tools. The camelCase key takes precedence, even if it is empty.
fn disabled_tools(reader: &mut ConfigReader<'_>, entry: &McpServerEntry<'_>) -> Option<Vec<Text>> {
    let value = entry
        .get("disabledTools")
        .or_else(|| entry.get("disabled_tools"))?;
    let Some(elements) = value.list() else {
        entry.error(reader, &value.at, "'disabledTools' must be a list");
        return None;
    };
    let mut names = Vec::new();
    for element in elements {
        let Some(name) = text(element) else {
            entry.error(
                reader,
                &element.at,
                "'disabledTools' must contain only strings",
            );
            return None;
        };
        // Names are exact here, while the native file has globs.
        let name = exact_glob(name.get_ref());
        names.push(Spanned::new(element.at.clone(), name));
    }
    Some(names)
}

/// Reads a timeout in seconds (Cline) or, from 1000 on, in milliseconds (Gemini, `LibreChat`).
fn timeout(reader: &mut ConfigReader<'_>, entry: &McpServerEntry<'_>) -> Option<Text> {
    let value = entry.get("timeout")?;
    let span = value.at.clone();
    let written = match &value.tree {
        ValueContent::Number(number) => number.parse::<f64>().ok().filter(|number| *number > 0.0),
        ValueContent::Text(_) => {
            return entry.filled(reader, &["timeout"], PlaceholderLocation::Other("timeout"));
        }
        ValueContent::Switch(_)
        | ValueContent::Null
        | ValueContent::Map(_)
        | ValueContent::List(_) => None,
    };
    let Some(number) = written.filter(|number| *number < 1e12) else {
        reader.warn(
            &span,
            format!("server `{}`: this `timeout` is ignored", entry.name),
            "write seconds, `60`, or `\"5m\"`",
        );
        return None;
    };
    let duration = if number < 1000.0 {
        format!("{:.0}ms", number * 1000.0)
    } else {
        format!("{number:.0}ms")
    };
    Some(Spanned::new(span, duration))
}

/// Reads `disabled` and `enabled`, which mcpo ignores.
fn enabled(entry: &McpServerEntry<'_>) -> Option<Spanned<FlagSetting>> {
    let switch = |key: &str| {
        let value = entry.get(key)?;
        Some((value.switch()?, value.at.clone()))
    };
    let off = switch("disabled")
        .filter(|(disabled, _)| *disabled)
        .or_else(|| switch("enabled").filter(|(enabled, _)| !*enabled));
    off.map(|(_, span)| Spanned::new(span, FlagSetting::Plain(false)))
}
