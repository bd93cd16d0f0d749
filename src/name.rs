//! Validated names: [`BridgeName`] and [`ToolName`].

use std::{
    borrow::Borrow,
    fmt::{self, Display},
    sync::Arc,
};

use crate::plain_text::{is_harmful, line};

/// First path segments of the bridge's own routes. A native bridge cannot use them as its name.
pub const RESERVED: &[&str] = &[
    "admin",
    "debug",
    "docs",
    "health",
    "mcp",
    "meta",
    "metrics",
    "oauth",
    "openapi.json",
    "portal",
    "ready",
    "redoc",
    "refresh",
    "servers",
    "tenants",
    "tools",
];

/// The longest native bridge name, in bytes. `{bridge}_{tool}` must leave space for the tool.
pub const BRIDGE_NAME_BYTES_MAX: usize = 40;

/// Why a text is not a valid bridge name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BridgeNameError {
    /// The text is empty or blank.
    #[error("a bridge needs a name")]
    Empty,
    /// The text is one of [`RESERVED`].
    #[error(
        "`{0}` is a route of mcp-bridge and cannot name a bridge; use another name, for example `{0}-server`"
    )]
    Reserved(String),
    /// The text is longer than [`BRIDGE_NAME_BYTES_MAX`].
    #[error("a bridge name has at most {BRIDGE_NAME_BYTES_MAX} characters, `{0}` has {n}", n = .0.len())]
    TooLong(String),
    /// A character that is not allowed in a path segment and an operation id.
    #[error(
        "`{name}` has the character {character:?}; a bridge name is made of ASCII letters, digits, `-`, `_` and `.`, and starts with a letter or digit"
    )]
    Character {
        /// The text as written.
        name: String,
        /// The first forbidden character.
        character: char,
    },
}

/// Whether a character is forbidden in names: it is invisible or changes the order of others
/// ([`is_harmful`]), or it is a variation selector. A name with such a character may look like another name.
pub fn is_hidden(character: char) -> bool {
    is_harmful(character) || matches!(character, '\u{fe00}'..='\u{fe0f}')
}

/// What the columns of the tables hold of a name, in characters.
const NAME_CHARS_MAX: usize = 255;

/// Checks the name of a group or of an API key, which is what `kind` says. Identity providers name groups
/// as they like (`Ärzte & Co`, a GUID). A comma is refused, because it separates groups in headers and
/// variables, and so are characters that cannot be seen.
pub fn check_name(kind: &str, text: &str) -> Result<(), String> {
    let is_seen = !text.chars().any(is_hidden);
    let length = text.chars().count();
    if is_seen
        && text.trim() == text
        && !text.contains(',')
        && (1..=NAME_CHARS_MAX).contains(&length)
    {
        return Ok(());
    }
    let shown: String = text.chars().take(100).collect();
    Err(format!(
        "`{}` cannot name a {kind}: a name has 1 to {NAME_CHARS_MAX} characters, no comma, no control, zero-width or text-direction character, and no blank at its ends",
        line(&shown)
    ))
}

/// The name of a bridge: the key in `[bridges.NAME]` and the first segment of its routes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BridgeName(Arc<str>);

impl BridgeName {
    /// Parses the name of a `[bridges.NAME]` table.
    pub fn parse(text: &str) -> Result<Self, BridgeNameError> {
        if text.trim().is_empty() {
            return Err(BridgeNameError::Empty);
        }
        if RESERVED.contains(&text) {
            return Err(BridgeNameError::Reserved(text.to_owned()));
        }
        let bad = text.char_indices().find(|&(at, character)| {
            !(character.is_ascii_alphanumeric() || (at > 0 && "-_.".contains(character)))
        });
        if let Some((_, character)) = bad {
            return Err(BridgeNameError::Character {
                name: text.to_owned(),
                character,
            });
        }
        if text.len() > BRIDGE_NAME_BYTES_MAX {
            return Err(BridgeNameError::TooLong(text.to_owned()));
        }
        Ok(Self(Arc::from(text)))
    }

    /// Accepts a key of `mcpServers`. mcpo allows any text there: spaces, slashes, reserved words.
    pub fn mcpo(text: &str) -> Result<Self, BridgeNameError> {
        if text.is_empty() {
            return Err(BridgeNameError::Empty);
        }
        Ok(Self(Arc::from(text)))
    }

    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Display for BridgeName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl Borrow<str> for BridgeName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// The name of a tool, unchanged: servers use spaces, slashes, dots and Unicode.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ToolName(Arc<str>);

/// The longest name of a tool, in bytes. MCP recommends at most 128 characters (2025-11-25, tools, tool
/// names); the longest known name has 63.
pub const TOOL_NAME_BYTES_MAX: usize = 512;

impl ToolName {
    /// Accepts any text except an empty one and one over [`TOOL_NAME_BYTES_MAX`].
    pub fn parse(text: &str) -> Option<Self> {
        let is_name = !text.is_empty() && text.len() <= TOOL_NAME_BYTES_MAX;
        is_name.then(|| Self(Arc::from(text)))
    }

    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Display for ToolName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl Borrow<str> for ToolName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_native_name_is_a_path_segment_and_half_an_operation_id() {
        for good in ["time", "GitHub2", "my-server_2.x", "0"] {
            assert_eq!(BridgeName::parse(good).unwrap().as_str(), good);
        }
        for bad in [
            "", " ", "docs", "a b", "a/b", "ä", "-x", ".x", "_x", "a\u{0}",
        ] {
            assert!(BridgeName::parse(bad).is_err(), "{bad:?} was taken");
        }
        assert!(BridgeName::parse(&"x".repeat(41)).is_err());
    }

    #[test]
    fn mcpo_takes_any_name() {
        for good in ["with space", "a/b", "docs", "UPPER.dots-1"] {
            assert_eq!(BridgeName::mcpo(good).unwrap().as_str(), good);
        }
        assert_eq!(BridgeName::mcpo(""), Err(BridgeNameError::Empty));
    }
}
