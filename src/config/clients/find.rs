//! Finds the servers in a file.

use std::collections::BTreeSet;

use url::Url;

use crate::config::{
    clients::{
        ClaudeProject, ClientDialect, ClientFile, VsCodeInput,
        filters::of_opencode,
        format::ConfigFormat,
        tree::{SpannedField, SpannedValue, ValueContent, get, last_of_each},
    },
    naming::{name_of_command, name_of_url},
};

/// The keys under which clients keep their servers, and whether other things may be there too.
const PLACES: &[(&[&str], bool)] = &[
    (&["mcpServers"], false),
    (&["servers"], false),
    (&["mcp", "servers"], false),
    (&["mcp", "mcpServers"], false),
    (&["context_servers"], false),
    (&["mcp_servers"], false),
    (&["amp.mcpServers"], false),
    (&["customizations", "vscode", "mcp", "servers"], false),
    (&["mcp"], true),
    (&["extensions"], true),
];
/// Keys that describe how to reach a server.
const WHERE: &[&str] = &[
    "command",
    "cmd",
    "url",
    "uri",
    "httpUrl",
    "serverUrl",
    "server_url",
];
/// Keys with the name of a server in a list.
const NAMES: &[&str] = &["name", "id", "key", "serverName"];
/// Keys of a Gemini CLI file, within a server and at the top level.
const GEMINI: (&[&str], &[&str]) = (
    &[
        "httpUrl",
        "includeTools",
        "excludeTools",
        "trust",
        "authProviderType",
    ],
    &[
        "selectedAuthType",
        "allowMCPServers",
        "excludeMCPServers",
        "contextFileName",
        "security",
    ],
);
/// Top-level lists of disabled servers.
const OFF: &[&[&str]] = &[
    &["mcp", "excluded"],
    &["excludeMCPServers"],
    &["disabledMcpServers"],
    &["disabledMcpjsonServers"],
];
/// Top-level lists of the only enabled servers.
const ON: &[&[&str]] = &[&["mcp", "allowed"], &["allowMCPServers"]];

/// Finds the servers. Returns `None` if there are none.
pub(super) fn find(root: &SpannedValue, format: ConfigFormat) -> Option<ClientFile> {
    let (label, mut servers, others) = PLACES
        .iter()
        .find_map(|(path, is_shared)| at_place(root, path, *is_shared))
        .or_else(|| bare(root))?;
    let fields = root.map().unwrap_or_default();
    let is_map = root
        .get("mcpServers")
        .is_some_and(|node| node.map().is_some());
    let dialect = ClientDialect {
        is_mcpo: label == "mcpServers" && format == ConfigFormat::Json && is_map,
        is_opencode: label == "mcp",
        is_gemini: is_gemini(fields, &servers),
    };
    if dialect.is_opencode {
        opencode_tools(root, &mut servers);
    }
    switch_off(root, &mut servers);
    let inputs = inputs(root);
    let mut rest = rest(fields, &label, dialect, &servers);
    rest.extend(others);
    Some(ClientFile {
        label,
        dialect,
        servers,
        inputs,
        rest,
    })
}

/// The path of the servers, the servers, and the other fields next to them.
type Place = (String, Vec<SpannedField>, Vec<SpannedField>);

fn at_place(root: &SpannedValue, path: &[&str], is_shared: bool) -> Option<Place> {
    let node = path.iter().try_fold(root, |node, key| node.get(key))?;
    let label = path.join(".");
    let (servers, mut others): (Vec<_>, Vec<_>) = named(node)
        .into_iter()
        .partition(|field| !is_shared || is_server(&field.value));
    for other in &mut others {
        other.name = format!("{label}.{}", other.name);
    }
    (!servers.is_empty()).then_some((label, servers, others))
}

/// Finds a map of servers, a list of them, or a single server at the top level.
fn bare(root: &SpannedValue) -> Option<Place> {
    let mut servers = if is_server(root) {
        let name = name_of(root).unwrap_or_default();
        vec![SpannedField::new(&name, root.clone())]
    } else {
        named(root)
    };
    // `bridges.toml` and files of other programs also have tables with a `url`.
    servers.retain(|field| is_server(&field.value) && is_plausible(&field.value));
    let is_ours = root.get("bridges").is_some();
    (!servers.is_empty() && !is_ours).then(|| (String::new(), servers, Vec::new()))
}

/// Whether the URL, if there is one, may be that of a server.
fn is_plausible(node: &SpannedValue) -> bool {
    let url = node.get("url").and_then(SpannedValue::text);
    let begins = ["http:", "https:", "ws:", "wss:", "$", "{"];
    url.is_none_or(|url| begins.iter().any(|begin| url.starts_with(begin)))
}

fn is_server(node: &SpannedValue) -> bool {
    let place = |key: &&str| match node.get(key).map(|node| &node.tree) {
        Some(ValueContent::Text(text)) => !text.is_empty(),
        Some(ValueContent::List(_) | ValueContent::Map(_)) => *key == "command",
        Some(ValueContent::Null | ValueContent::Switch(_) | ValueContent::Number(_)) | None => {
            false
        }
    };
    WHERE.iter().any(place)
}

/// Returns the servers of a map, or of a list with names.
fn named(node: &SpannedValue) -> Vec<SpannedField> {
    let elements = match &node.tree {
        ValueContent::Map(fields) => return fields.clone(),
        ValueContent::List(elements) => elements,
        ValueContent::Null
        | ValueContent::Switch(_)
        | ValueContent::Number(_)
        | ValueContent::Text(_) => return Vec::new(),
    };
    let mut taken = BTreeSet::new();
    let mut servers = Vec::new();
    for element in elements.iter().filter(|element| element.map().is_some()) {
        let name = free(&name_of(element).unwrap_or_default(), &mut taken);
        let mut element = element.clone();
        if let ValueContent::Map(fields) = &mut element.tree
            && let Some(key) = name_key(fields)
        {
            fields.retain(|field| field.name != key);
        }
        servers.push(SpannedField::new(&name, element));
    }
    servers
}

/// Returns a unique name.
fn free(name: &str, taken: &mut BTreeSet<String>) -> String {
    let numbered = (2..).map(|number| format!("{name}-{number}"));
    let mut names = std::iter::once(name.to_owned()).chain(numbered);
    names
        .find(|name| taken.insert(name.clone()))
        .unwrap_or_default()
}

fn name_key(fields: &[SpannedField]) -> Option<&'static str> {
    let is_name = |key: &&&str| {
        let name = get(fields, key).and_then(SpannedValue::text);
        name.is_some_and(|name| !name.trim().is_empty())
    };
    NAMES.iter().find(is_name).copied()
}

/// Returns the name of a list element: its own, or one derived from its command.
fn name_of(element: &SpannedValue) -> Option<String> {
    let fields = element.map()?;
    if let Some(key) = name_key(fields) {
        return get(fields, key)?.text().map(|name| name.trim().to_owned());
    }
    let url = WHERE
        .iter()
        .skip(2)
        .find_map(|key| get(fields, key)?.text());
    if let Some(url) = url.and_then(|url| Url::parse(url).ok()) {
        return Some(name_of_url(&url).to_string());
    }
    let words = |key: &str| match get(fields, key).map(|node| &node.tree) {
        Some(ValueContent::Text(text)) => vec![text.clone()],
        Some(ValueContent::List(words)) => words.iter().filter_map(SpannedValue::scalar).collect(),
        Some(
            ValueContent::Null
            | ValueContent::Switch(_)
            | ValueContent::Number(_)
            | ValueContent::Map(_),
        )
        | None => Vec::new(),
    };
    let mut line = words("command");
    line.extend(words("args"));
    Some(name_of_command(&line).to_string())
}

fn is_gemini(root: &[SpannedField], servers: &[SpannedField]) -> bool {
    let (inner, top) = GEMINI;
    let has = |node: &SpannedValue| inner.iter().any(|key| node.get(key).is_some());
    top.iter().any(|key| get(root, key).is_some()) || servers.iter().any(|field| has(&field.value))
}

/// Adds the tools that opencode's `tools` hides to the servers.
fn opencode_tools(root: &SpannedValue, servers: &mut [SpannedField]) {
    let tools = root
        .get("tools")
        .and_then(SpannedValue::map)
        .unwrap_or_default();
    for server in servers {
        let off = tools
            .iter()
            .filter(|field| field.value.switch() == Some(false));
        let globs = off.filter_map(|field| {
            let glob = of_opencode(&field.name, &server.name)?;
            Some(SpannedValue::of_text(&field.at, glob))
        });
        let globs: Vec<_> = globs.collect();
        if let Some(first) = globs.first() {
            let at = first.at.clone();
            let tree = ValueContent::List(globs);
            set(
                server,
                super::adapt::GLOBS_DENIED,
                SpannedValue { at, tree },
            );
        }
    }
}

/// Sets a field of a server, replacing an existing one.
fn set(server: &mut SpannedField, key: &str, value: SpannedValue) {
    if let ValueContent::Map(fields) = &mut server.value.tree {
        fields.retain(|field| field.name != key);
        fields.push(SpannedField::new(key, value));
    }
}

/// Disables the servers that a top-level list disables.
fn switch_off(root: &SpannedValue, servers: &mut [SpannedField]) {
    let names = |path: &[&str]| {
        let list = path.iter().try_fold(root, |node, key| node.get(key));
        let list = list.and_then(SpannedValue::list)?;
        Some(
            list.iter()
                .filter_map(SpannedValue::scalar)
                .collect::<Vec<_>>(),
        )
    };
    for server in servers {
        let is_named = |names: &Vec<String>| names.contains(&server.name);
        let is_off = OFF
            .iter()
            .filter_map(|path| names(path))
            .any(|it| is_named(&it))
            || ON
                .iter()
                .filter_map(|path| names(path))
                .any(|it| !is_named(&it));
        if is_off {
            let at = server.at.clone();
            let tree = ValueContent::Switch(true);
            set(server, "disabled", SpannedValue { at, tree });
        }
    }
}

/// The servers that Claude Code keeps for single projects, those that a project switches off included.
pub(super) fn projects(root: &SpannedValue) -> Vec<ClaudeProject> {
    let projects = root
        .get("projects")
        .and_then(SpannedValue::map)
        .unwrap_or_default();
    let mut found = Vec::new();
    for field in last_of_each(projects) {
        let servers = field.value.get("mcpServers").and_then(SpannedValue::map);
        let mut servers = servers.unwrap_or_default().to_vec();
        if servers.is_empty() {
            continue;
        }
        switch_off(&field.value, &mut servers);
        found.push(ClaudeProject {
            path: field.name.clone(),
            servers,
        });
    }
    found
}

/// Returns the values that VS Code asks its user for.
fn inputs(root: &SpannedValue) -> Vec<VsCodeInput> {
    let list = root
        .get("inputs")
        .or_else(|| root.get("mcp")?.get("inputs"));
    let list = list.and_then(SpannedValue::list).unwrap_or_default();
    let input = |node: &SpannedValue| {
        Some(VsCodeInput {
            id: node.get("id")?.scalar()?,
            description: node
                .get("description")
                .and_then(SpannedValue::text)
                .map(|text| text.split_whitespace().collect::<Vec<_>>().join(" ")),
        })
    };
    list.iter().filter_map(input).collect()
}

/// Returns the other fields at the top level.
fn rest(
    root: &[SpannedField],
    label: &str,
    dialect: ClientDialect,
    servers: &[SpannedField],
) -> Vec<SpannedField> {
    let used = label.split('.').next().unwrap_or_default();
    let is_used = |field: &SpannedField| {
        let name = field.name.as_str();
        let is_off = OFF.iter().chain(ON).any(|path| path == &[name]);
        name == used
            || name == label
            || is_off
            || name == "tools" && dialect.is_opencode
            || label.is_empty() && servers.iter().any(|server| server.name == name)
    };
    let is_one = label.is_empty()
        && root
            .iter()
            .any(|field| WHERE.contains(&field.name.as_str()));
    if is_one {
        return Vec::new();
    }
    last_of_each(root)
        .into_iter()
        .filter(|field| !is_used(field))
        .cloned()
        .collect()
}
