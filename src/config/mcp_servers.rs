//! `mcpServers` JSON as mcpo, Claude, Cline and VS Code write it (mcpo contract §3).
//!
//! What mcpo refuses is refused in mcpo's words; what it ignores is ignored with a warning; what
//! it cannot do is done where that changes nothing for a file that works there.

use std::collections::BTreeMap;

use jsonc_parser::{
    CollectOptions, ParseOptions,
    ast::{Object, ObjectProp, Value},
    common::Ranged,
    parse_to_ast,
};
use toml::Spanned;

use super::{
    Bridge, RemoteKind, Transport,
    bridge::{BridgeTable, exact_glob},
    diagnostic::Span,
    mcp_checks::{check_forwarding, oauth, warn_of_unknown},
    native::warn_of_twin,
    reader::{Reader, Text},
    setting::Flag,
    transport::{KINDS, Kind},
};
use crate::{name::BridgeName, secret::Secret};

/// Without it there is nothing to serve.
const NO_SERVERS: &str = "No 'mcpServers' found in config file.";

/// The options of the parser: comments and trailing commas, else plain JSON.
pub(crate) fn parse_options() -> ParseOptions {
    ParseOptions {
        allow_comments: true,
        allow_trailing_commas: true,
        allow_loose_object_property_names: false,
        allow_missing_commas: false,
        allow_single_quoted_strings: false,
        allow_hexadecimal_numbers: false,
        allow_unary_plus_numbers: false,
        allow_bare_decimal_point_numbers: false,
        allow_non_finite_numbers: false,
        allow_extended_string_escapes: false,
    }
}

/// Reads the file; `children` go into the environment of every child, under what the file says.
pub(super) fn read(reader: &mut Reader<'_>, children: &BTreeMap<String, Secret>) -> Vec<Bridge> {
    let text = reader.problems.text().to_owned();
    let parsed = match parse_to_ast(&text, &CollectOptions::default(), &parse_options()) {
        Ok(parsed) => parsed,
        Err(error) => {
            let range = error.range();
            let problem = reader.problems.error(
                &(range.start..range.end),
                format!("the JSON is broken: {}", error.kind()),
            );
            if !text.trim_start().starts_with(['{', '/']) {
                problem.hint("here stands JSON; `mcp-bridge --config FILE` reads TOML too");
            }
            return Vec::new();
        }
    };
    let Some(servers) = parsed.value.as_ref().and_then(servers) else {
        let end = text.trim_start().find('{').map_or(0, |at| at + 1);
        reader
            .problems
            .error(&(0..end), NO_SERVERS)
            .hint("write `{\"mcpServers\": {\"NAME\": {\"command\": …}}}`, at least one server");
        return Vec::new();
    };
    let mut bridges = Vec::new();
    for property in last_of_each(reader, servers) {
        let span = span_of(&property.name);
        let written = property.name.as_str();
        match BridgeName::mcpo(written) {
            Ok(name) => {
                warn_of_twin(reader, &bridges, &name, &span);
                bridges.extend(read_server(reader, name, property, children));
            }
            Err(bad) => {
                reader.problems.error(&span, bad.to_string());
            }
        }
    }
    bridges
}

/// The table of servers, if there is one with anything in it: `mcpServers`, or VS Code's
/// `servers` and `mcp.servers`.
pub(crate) fn servers<'v, 'a>(root: &'v Value<'a>) -> Option<&'v Object<'a>> {
    let Value::Object(root) = root else {
        return None;
    };
    root.get_object("mcpServers")
        .or_else(|| root.get_object("servers"))
        .or_else(|| root.get_object("mcp")?.get_object("servers"))
        .filter(|servers| !servers.properties.is_empty())
}

/// The properties of an object; of two with one name the last counts, as everywhere in JSON.
fn last_of_each<'v, 'a>(
    reader: &mut Reader<'_>,
    object: &'v Object<'a>,
) -> Vec<&'v ObjectProp<'a>> {
    let mut kept: Vec<&ObjectProp<'_>> = Vec::new();
    for property in &object.properties {
        let twin = kept
            .iter_mut()
            .find(|other| other.name.as_str() == property.name.as_str());
        if let Some(twin) = twin {
            reader
                .problems
                .warning(
                    &span_of(&property.name),
                    format!(
                        "`{}` stands there twice; the last one counts",
                        property.name.as_str()
                    ),
                )
                .hint("remove the other one");
            *twin = property;
        } else {
            kept.push(property);
        }
    }
    kept
}

/// One entry while it is read.
pub(super) struct Entry<'v, 'a> {
    pub(super) name: &'v str,
    /// Where its name stands.
    pub(super) at: Span,
    pub(super) properties: Vec<&'v ObjectProp<'a>>,
}

impl<'v, 'a> Entry<'v, 'a> {
    /// A value that is there and not null.
    pub(super) fn get(&self, key: &str) -> Option<&'v Value<'a>> {
        let property = self
            .properties
            .iter()
            .find(|property| property.name.as_str() == key)?;
        (!matches!(property.value, Value::NullKeyword(_))).then_some(&property.value)
    }

    /// The first of some keys that holds a string with something in it.
    fn text(&self, keys: &[&str]) -> Option<Text> {
        keys.iter()
            .find_map(|key| text(self.get(key)?))
            .filter(|text| !text.get_ref().is_empty())
    }

    /// An error in mcpo's words.
    pub(super) fn error(&self, reader: &mut Reader<'_>, span: &Span, rest: &str) {
        reader
            .problems
            .error(span, format!("Server '{}' {rest}", self.name));
    }
}

fn read_server(
    reader: &mut Reader<'_>,
    name: BridgeName,
    property: &ObjectProp<'_>,
    children: &BTreeMap<String, Secret>,
) -> Option<Bridge> {
    let mut entry = Entry {
        name: property.name.as_str(),
        at: span_of(&property.name),
        properties: Vec::new(),
    };
    let Value::Object(object) = &property.value else {
        entry.error(reader, &span_of(&property.value), "must be an object");
        return None;
    };
    entry.properties = last_of_each(reader, object);
    warn_of_unknown(reader, &entry);
    let table = table(reader, &entry)?;
    let mut bridge = table.resolve(name, &entry.at, reader);
    if let Ok(Transport::Stdio(stdio)) = &mut bridge.transport {
        for (name, value) in children {
            stdio
                .env
                .entry(name.clone())
                .or_insert_with(|| value.clone());
        }
    }
    Some(bridge)
}

/// Checks an entry as mcpo does and makes a native table of it.
fn table(reader: &mut Reader<'_>, entry: &Entry<'_, '_>) -> Option<BridgeTable> {
    let before = reader.problems.len();
    let mut table = BridgeTable {
        description: entry.text(&["description"]),
        tools_deny: disabled_tools(reader, entry),
        timeout: timeout(reader, entry),
        enabled: enabled(entry),
        ..BridgeTable::default()
    };
    check_forwarding(reader, entry);
    let kind = decide(reader, entry)?;
    table.oauth = oauth(reader, entry, kind);
    match kind {
        Kind::Stdio => {
            table.command = entry.text(&["command"]);
            table.args = args(reader, entry);
            table.env = map(reader, entry, "env");
            table.cwd = entry.text(&["cwd"]).or_else(|| {
                let Some(Value::Object(options)) = entry.get("options") else {
                    return None;
                };
                text(&options.get("cwd")?.value)
            });
        }
        Kind::Remote(kind) => {
            table.url = entry.text(&["url", "httpUrl", "serverUrl"]);
            table.headers = map(reader, entry, "headers");
            let word = KINDS.iter().find(|(_, other)| *other == Kind::Remote(kind));
            table.transport =
                word.map(|(word, _)| Spanned::new(entry.at.clone(), (*word).to_owned()));
        }
    }
    let failed = reader.problems.has_errors_since(before);
    (!failed).then_some(table)
}

/// Program or URL, by mcpo's rules. A `url` without `type` is old SSE there. Here both transports
/// are tried, the current one first: a server of old SSE refuses that and is then spoken to as
/// mcpo does, and one of Streamable HTTP, which mcpo cannot reach without `type`, works.
fn decide(reader: &mut Reader<'_>, entry: &Entry<'_, '_>) -> Option<Kind> {
    let said = entry.text(&["type", "transport"]);
    let kind = said.as_ref().and_then(|text| {
        let plain = |word: &str| word.to_lowercase().replace(['-', '_', ' '], "");
        let found = KINDS
            .iter()
            .find(|(word, _)| plain(word) == plain(text.get_ref()));
        found.map(|(_, kind)| *kind)
    });
    let has_url = entry.text(&["url", "httpUrl", "serverUrl"]).is_some();
    match (kind, &said) {
        (Some(Kind::Remote(kind)), _) if has_url => return Some(Kind::Remote(kind)),
        (Some(Kind::Remote(_)), Some(said)) => {
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
            return Some(Kind::Remote(kind));
        }
        _ => {}
    }
    match entry.get("command") {
        Some(Value::StringLit(command)) if !command.value.is_empty() => Some(Kind::Stdio),
        Some(other) if !matches!(other, Value::StringLit(_)) => {
            entry.error(reader, &span_of(other), "'command' must be a string");
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

fn args(reader: &mut Reader<'_>, entry: &Entry<'_, '_>) -> Option<Vec<Text>> {
    let value = entry.get("args")?;
    let Value::Array(array) = value else {
        entry.error(reader, &span_of(value), "'args' must be a list");
        return None;
    };
    let args = array.elements.iter();
    Some(
        args.filter_map(|element| scalar(reader, "args", element))
            .collect(),
    )
}

fn map(reader: &mut Reader<'_>, entry: &Entry<'_, '_>, key: &str) -> BTreeMap<Text, Text> {
    let object = match entry.get(key) {
        Some(Value::Object(object)) => object,
        Some(other) => {
            entry.error(
                reader,
                &span_of(other),
                &format!("'{key}' must be an object"),
            );
            return BTreeMap::new();
        }
        None => return BTreeMap::new(),
    };
    last_of_each(reader, object)
        .into_iter()
        .filter_map(|property| {
            let name = Spanned::new(span_of(&property.name), property.name.as_str().to_owned());
            Some((name, scalar(reader, key, &property.value)?))
        })
        .collect()
}

/// A string, or a number or switch that clearly stands for one.
fn scalar(reader: &mut Reader<'_>, key: &str, value: &Value<'_>) -> Option<Text> {
    let written = match value {
        Value::StringLit(string) => {
            return Some(Spanned::new(
                span_of(value),
                string.value.clone().into_owned(),
            ));
        }
        Value::NumberLit(number) => Some(number.value.to_owned()),
        Value::BooleanLit(switch) => Some(switch.value.to_string()),
        Value::NullKeyword(_) | Value::Object(_) | Value::Array(_) => None,
    };
    let span = span_of(value);
    if let Some(written) = written {
        reader
            .problems
            .warning(
                &span,
                format!("`{key}`: `{written}` is taken as the string `\"{written}\"`"),
            )
            .hint("put it in double quotes");
        return Some(Spanned::new(span, written));
    }
    reader.problems.warning(
        &span,
        format!("`{key}`: only strings can stand here; this is left out"),
    );
    None
}

/// camelCase wins even when it is empty.
fn disabled_tools(reader: &mut Reader<'_>, entry: &Entry<'_, '_>) -> Option<Vec<Text>> {
    let value = entry
        .get("disabledTools")
        .or_else(|| entry.get("disabled_tools"))?;
    let Value::Array(array) = value else {
        entry.error(reader, &span_of(value), "'disabledTools' must be a list");
        return None;
    };
    let mut names = Vec::new();
    for element in &array.elements {
        let Some(name) = text(element) else {
            entry.error(
                reader,
                &span_of(element),
                "'disabledTools' must contain only strings",
            );
            return None;
        };
        // Exact names here, globs in the native file.
        let name = exact_glob(name.get_ref());
        names.push(Spanned::new(span_of(element), name));
    }
    Some(names)
}

/// Seconds (Cline) or, from 1000 on, milliseconds (Gemini, `LibreChat`).
fn timeout(reader: &mut Reader<'_>, entry: &Entry<'_, '_>) -> Option<Text> {
    let value = entry.get("timeout")?;
    let span = span_of(value);
    let written = match value {
        Value::NumberLit(number) => number
            .value
            .parse::<f64>()
            .ok()
            .filter(|number| *number > 0.0),
        Value::StringLit(_) => return text(value),
        Value::BooleanLit(_) | Value::NullKeyword(_) | Value::Object(_) | Value::Array(_) => None,
    };
    let Some(number) = written.filter(|number| *number < 1e12) else {
        reader
            .problems
            .warning(
                &span,
                format!("server `{}`: this `timeout` is ignored", entry.name),
            )
            .hint("write seconds, `60`, or `\"5m\"`");
        return None;
    };
    let duration = if number < 1000.0 {
        format!("{:.0}ms", number * 1000.0)
    } else {
        format!("{number:.0}ms")
    };
    Some(Spanned::new(span, duration))
}

/// `disabled` and `enabled`, which mcpo ignores.
fn enabled(entry: &Entry<'_, '_>) -> Option<Spanned<Flag>> {
    let switch = |key: &str| match entry.get(key) {
        Some(value @ Value::BooleanLit(switch)) => Some((switch.value, span_of(value))),
        _ => None,
    };
    let off = switch("disabled")
        .filter(|(disabled, _)| *disabled)
        .or_else(|| switch("enabled").filter(|(enabled, _)| !*enabled));
    off.map(|(_, span)| Spanned::new(span, Flag::Plain(false)))
}

fn text(value: &Value<'_>) -> Option<Text> {
    let string = value.as_string_lit()?;
    Some(Spanned::new(
        span_of(value),
        string.value.clone().into_owned(),
    ))
}

/// Where a piece of JSON stands.
pub(super) fn span_of(node: &impl Ranged) -> Span {
    let range = node.range();
    range.start..range.end
}
