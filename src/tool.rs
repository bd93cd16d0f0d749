//! [`Tool`]: one tool of a server.

use serde_json::{Map, Value};

use crate::name::{TOOL_NAME_BYTES_MAX, ToolName};

/// The key of `_meta` under which a service without MCP states its own id of an operation. The tool can be
/// called by this id too.
pub const ALIAS_META: &str = "mcp-bridge/alias";

/// The hint that a tool changes nothing.
const READ_ONLY: &str = "readOnlyHint";

/// The MCP hints about the effects of a tool.
const HINTS: [&str; 4] = [
    READ_ONLY,
    "destructiveHint",
    "idempotentHint",
    "openWorldHint",
];

/// One entry of a server's `tools/list`, parsed leniently: extra keys and missing schemas are common (`MCP
/// 2025-11-25, server/tools`).
#[derive(Debug, Clone, PartialEq)]
pub struct Tool {
    /// The name for callers: the server's own, unless the bridge renames it.
    pub name: ToolName,
    /// The server's name of the tool.
    pub server_name: ToolName,
    /// A second name from the server, see [`ALIAS_META`].
    pub alias: Option<ToolName>,
    /// The display name.
    pub title: Option<String>,
    /// The description for the model.
    pub description: Option<String>,
    /// The schema of the arguments as sent; `Value::Null` if the server sent none.
    pub input_schema: Value,
    /// The schema of the result, if the server sent one.
    pub output_schema: Option<Value>,
    /// `annotations.readOnlyHint`: an untrusted hint from the server.
    pub read_only: bool,
    /// All hints of `annotations` that the server sent, by name.
    pub hints: Vec<(&'static str, bool)>,
}

/// Why an entry of `tools/list` cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidToolError {
    /// The entry is not a JSON object.
    #[error("an entry of its tool list is left out: it is not an object, or it cannot be read")]
    NotAnObject,
    /// The `name` is missing, is not a text, is empty, or is too long.
    #[error(
        "an entry of its tool list is left out: it needs a name of 1 to {TOOL_NAME_BYTES_MAX} bytes"
    )]
    NoName,
}

impl Tool {
    /// Parses one entry of `tools/list`.
    pub fn from_wire(entry: Value) -> Result<Self, InvalidToolError> {
        let Value::Object(mut entry) = entry else {
            return Err(InvalidToolError::NotAnObject);
        };
        let name = entry
            .get("name")
            .and_then(Value::as_str)
            .and_then(ToolName::parse)
            .ok_or(InvalidToolError::NoName)?;
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

    /// Whether its server uses this name for it.
    pub fn is_called(&self, name: &ToolName) -> bool {
        self.server_name == *name || self.alias.as_ref() == Some(name)
    }
}

/// Takes a text out of an entry. Any other value counts as missing.
fn text(entry: &mut Map<String, Value>, key: &str) -> Option<String> {
    match entry.remove(key) {
        Some(Value::String(text)) => Some(text),
        _ => None,
    }
}
