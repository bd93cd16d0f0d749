//! Reads configuration files of other MCP clients: their names for servers, keys and transports, their tool
//! filters, and their placeholders.
//!
//! [`read`] finds the servers in a text. [`ClientFile::server`] converts one of them to the keys of
//! `mcpServers`, plus `tools_allow` and `tools_deny`.

mod adapt;
mod filters;
mod find;
mod format;
mod json_file;
mod kinds;
mod placeholders;
#[cfg(test)]
mod tests;
mod toml_file;
mod tree;
mod yaml_file;

use std::path::Path;

pub(crate) use adapt::{AdaptedServer, is_script, own_variables};
pub(crate) use format::ConfigFormat;
pub(crate) use placeholders::{
    PlaceholderStyle, PlaceholderVariable, RewrittenText, alone, rewrite,
};
pub(crate) use tree::{At, SpannedField, SpannedValue, ValueContent, last_of_each};

/// The maximum size of a file.
pub(crate) const FILE_BYTES_MAX: u64 = 16 << 20;
/// The maximum number of keys that an error lists.
const NAMED_MAX: usize = 8;

/// The contents of a client's file.
#[derive(Debug)]
pub(crate) struct ClientFile {
    /// The path of the servers: `mcpServers`, `mcp.servers`; empty without one.
    pub(crate) label: String,
    /// The client's special rules.
    pub(crate) dialect: ClientDialect,
    /// The servers by name, unchanged.
    pub(crate) servers: Vec<SpannedField>,
    /// The values that VS Code asks its user for.
    pub(crate) inputs: Vec<VsCodeInput>,
    /// The other fields at the top level.
    pub(crate) rest: Vec<SpannedField>,
}

/// The special rules of the client that a file belongs to.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ClientDialect {
    /// mcpo can read the file, so its errors are used.
    pub(crate) is_mcpo: bool,
    /// opencode: `{file:PATH}`, and `timeout` means the connect timeout.
    pub(crate) is_opencode: bool,
    /// Gemini CLI: `$NAME` is a placeholder anywhere in a text.
    pub(crate) is_gemini: bool,
}

/// One of VS Code's `inputs`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct VsCodeInput {
    /// The ID in `${input:ID}`.
    pub(crate) id: String,
    /// The prompt for the user, on one line.
    pub(crate) description: Option<String>,
}

/// A text that cannot be parsed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ClientSyntaxError {
    /// The position.
    pub(crate) at: At,
    /// The reason.
    pub(crate) message: String,
}

/// Why a file cannot be used.
#[derive(Debug)]
pub(crate) enum ClientFileError {
    /// It cannot be parsed.
    Broken(ClientSyntaxError),
    /// It contains no server. The text describes what it contains.
    NoServers(String),
}

/// Whether a file belongs to another client and is not a `bridges.toml`.
pub(crate) fn is_foreign(path: &Path, text: &str) -> bool {
    match ConfigFormat::of(path, text) {
        ConfigFormat::Json | ConfigFormat::Yaml => true,
        ConfigFormat::Toml => is_codex(text),
    }
}

/// Whether a text is TOML with the servers of Codex and without `bridges`.
fn is_codex(text: &str) -> bool {
    let has = |key: &str| text.contains(key);
    if !has("mcp_servers") && !has("mcpServers") {
        return false;
    }
    toml_file::parse(text).is_ok_and(|root| {
        let is_there = |key: &str| root.get(key).is_some();
        (is_there("mcp_servers") || is_there("mcpServers")) && !is_there("bridges")
    })
}

/// Parses a text and finds its servers. A text that may be a `bridges.toml` is parsed as JSON, as mcpo does
/// with every file.
pub(crate) fn read(path: &Path, text: &str) -> Result<ClientFile, ClientFileError> {
    let format = match ConfigFormat::of(path, text) {
        ConfigFormat::Toml if !is_codex(text) => ConfigFormat::Json,
        format => format,
    };
    read_as(format, text)
}

/// Parses a text in its detected language.
pub(crate) fn read_any(path: &Path, text: &str) -> Result<ClientFile, ClientFileError> {
    read_as(ConfigFormat::of(path, text), text)
}

/// The servers that Claude Code keeps for one project, in `projects` of `~/.claude.json`.
#[derive(Debug)]
pub(crate) struct ClaudeProject {
    /// Its folder.
    pub(crate) path: String,
    /// Its servers by name.
    pub(crate) servers: Vec<SpannedField>,
}

/// The same as [`read_any`], with the servers of single projects, of which there may be nothing else.
pub(crate) fn read_with_projects(
    path: &Path,
    text: &str,
) -> Result<(ClientFile, Vec<ClaudeProject>), ClientFileError> {
    let root = match ConfigFormat::of(path, text) {
        ConfigFormat::Json => json_file::parse(text).ok().flatten(),
        ConfigFormat::Yaml | ConfigFormat::Toml => None,
    };
    let projects = root.as_ref().map(find::projects).unwrap_or_default();
    match read_any(path, text) {
        Ok(mut file) => {
            if !projects.is_empty() {
                file.rest.clear();
            }
            Ok((file, projects))
        }
        Err(ClientFileError::NoServers(_)) if !projects.is_empty() => {
            let file = ClientFile {
                label: "mcpServers".to_owned(),
                dialect: ClientDialect::default(),
                servers: Vec::new(),
                inputs: Vec::new(),
                rest: Vec::new(),
            };
            Ok((file, projects))
        }
        Err(unread) => Err(unread),
    }
}

fn read_as(format: ConfigFormat, text: &str) -> Result<ClientFile, ClientFileError> {
    let root = match format {
        ConfigFormat::Json => json_file::parse(text),
        ConfigFormat::Yaml => yaml_file::parse(text),
        ConfigFormat::Toml => toml_file::parse(text).map(Some),
    };
    let root = root.map_err(ClientFileError::Broken)?;
    let found = root.as_ref().and_then(|root| find::find(root, format));
    found.ok_or_else(|| ClientFileError::NoServers(found_instead(root.as_ref())))
}

/// Describes the contents of a file without servers.
fn found_instead(root: Option<&SpannedValue>) -> String {
    let Some(root) = root else {
        return "the file is empty".to_owned();
    };
    let fields = match &root.tree {
        ValueContent::Map(fields) => last_of_each(fields),
        ValueContent::List(elements) if elements.is_empty() => {
            return "the file has an empty list".to_owned();
        }
        ValueContent::List(_) => {
            return "the file has a list, and no element has `command` or `url`".to_owned();
        }
        ValueContent::Null
        | ValueContent::Switch(_)
        | ValueContent::Number(_)
        | ValueContent::Text(_) => {
            return "the file has one value instead of a table".to_owned();
        }
    };
    if fields.is_empty() {
        return "the file has an empty table".to_owned();
    }
    if fields.iter().any(|field| field.name == "bridges") {
        return "the file has `bridges`, so it is a `bridges.toml` already".to_owned();
    }
    let name = |field: &&SpannedField| format!("`{}`", cut(&field.name, 40));
    let mut names: Vec<_> = fields.iter().take(NAMED_MAX).map(name).collect();
    if fields.len() > NAMED_MAX {
        names.push("…".to_owned());
    }
    format!("the file has {}, but no servers", names.join(", "))
}

/// Returns at most this many characters.
pub(crate) fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most).chain(['…']).collect()
}
