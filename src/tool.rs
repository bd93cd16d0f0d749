//! [`Tool`]: what a server says of one of its tools, in our words.

use serde_json::{Map, Value};

use crate::name::{TOOL_NAME_BYTES_MAX, ToolName};

/// The key of `_meta` under which a service without MCP has its own id of an operation: the tool can be
/// called by it too.
pub const ALIAS_META: &str = "mcp-bridge/alias";

/// Says that a tool changes nothing.
const READ_ONLY: &str = "readOnlyHint";

/// The hints of MCP about what a tool does.
const HINTS: [&str; 4] = [
    READ_ONLY,
    "destructiveHint",
    "idempotentHint",
    "openWorldHint",
];

/// One entry of a server's `tools/list`, read leniently: a vendor's extra keys and missing
/// schemas are common in the field (`MCP 2025-11-25, server/tools`).
#[derive(Debug, Clone, PartialEq)]
pub struct Tool {
    /// The name callers use: the server's own, unless the bridge renames it.
    pub name: ToolName,
    /// The name the server knows it by.
    pub server_name: ToolName,
    /// A second name that the server gives it, see [`ALIAS_META`].
    pub alias: Option<ToolName>,
    /// A name for people.
    pub title: Option<String>,
    /// What the model reads.
    pub description: Option<String>,
    /// The arguments' schema as sent; `Value::Null` when the server sent none.
    pub input_schema: Value,
    /// The result's schema, when the server publishes one.
    pub output_schema: Option<Value>,
    /// `annotations.readOnlyHint`: an untrusted hint of the server.
    pub read_only: bool,
    /// This and the other hints of `annotations` that the server gives, by name.
    pub hints: Vec<(&'static str, bool)>,
}

/// Why an entry of `tools/list` cannot be served.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadTool {
    /// The entry is not a JSON object.
    #[error("an entry of its tool list is left out: it is no object, or cannot be read")]
    NotAnObject,
    /// The `name` is missing, is not a text, is empty, or is too long.
    #[error(
        "an entry of its tool list is left out: it has no name of 1 to {TOOL_NAME_BYTES_MAX} bytes"
    )]
    NoName,
}

impl Tool {
    /// Reads one entry of `tools/list`.
    pub fn from_wire(entry: Value) -> Result<Self, BadTool> {
        let Value::Object(mut entry) = entry else {
            return Err(BadTool::NotAnObject);
        };
        let name = entry
            .get("name")
            .and_then(Value::as_str)
            .and_then(ToolName::parse)
            .ok_or(BadTool::NoName)?;
        let annotations = entry.remove("annotations").unwrap_or_default();
        let hint = |name: &&'static str| Some((*name, annotations.get(*name)?.as_bool()?));
        let hints: Vec<_> = HINTS.iter().filter_map(hint).collect();
        Ok(Self {
            server_name: name.clone(),
            name,
            alias: entry
                .get("_meta")
                .and_then(|meta| meta.get(ALIAS_META))
                .and_then(Value::as_str)
                .and_then(ToolName::parse),
            title: text(&mut entry, "title"),
            description: text(&mut entry, "description"),
            input_schema: entry.remove("inputSchema").unwrap_or(Value::Null),
            output_schema: entry.remove("outputSchema").filter(Value::is_object),
            read_only: hints.contains(&(READ_ONLY, true)),
            hints,
        })
    }
}

impl Tool {
    /// A tool of which no more is known than its names and whether it only reads: what access asks of it.
    pub fn sketch(name: ToolName, server_name: ToolName, read_only: bool) -> Self {
        Self {
            name,
            server_name,
            alias: None,
            title: None,
            description: None,
            input_schema: Value::Null,
            output_schema: None,
            read_only,
            hints: Vec::new(),
        }
    }

    /// Whether its server knows it by this name.
    pub fn is_called(&self, name: &ToolName) -> bool {
        self.server_name == *name || self.alias.as_ref() == Some(name)
    }
}

/// Takes a text out of an entry; anything else under the key counts as absent.
fn text(entry: &mut Map<String, Value>, key: &str) -> Option<String> {
    match entry.remove(key) {
        Some(Value::String(text)) => Some(text),
        _ => None,
    }
}
