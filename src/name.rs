//! Names, parsed once at the edge: [`BridgeName`] and [`ToolName`].

use std::{
    borrow::Borrow,
    fmt::{self, Display},
    sync::Arc,
};

use crate::plain_text::{is_harmful, line};

/// First path segments of our own routes (design §2); a native bridge cannot take them.
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

/// The longest native bridge name, in bytes: `{bridge}_{tool}` must leave room for the tool.
pub const BRIDGE_NAME_BYTES_MAX: usize = 40;

/// Why a text is no bridge name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadName {
    /// Nothing, or white space only.
    #[error("a bridge needs a name")]
    Empty,
    /// One of [`RESERVED`].
    #[error("`{0}` is one of our own routes and cannot name a bridge; call it `{0}-server`, say")]
    Reserved(String),
    /// Longer than [`BRIDGE_NAME_BYTES_MAX`].
    #[error("a bridge name has at most {BRIDGE_NAME_BYTES_MAX} characters, `{0}` has {n}", n = .0.len())]
    TooLong(String),
    /// A character that does not belong in a path segment and an operation id.
    #[error(
        "`{name}` has the character {character:?}; a bridge name is made of ASCII letters, digits, `-`, `_` and `.`, and starts with a letter or digit"
    )]
    Character {
        /// The text as written.
        name: String,
        /// The first character that is not allowed.
        character: char,
    },
}

/// Whether a character has no place in a name: one that people cannot see or that changes the order of
/// others ([`is_harmful`]), or a variation selector. A name that holds one may look like another name.
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
    /// Parses the key of a `[bridges.NAME]` table.
    pub fn parse(text: &str) -> Result<Self, BadName> {
        if text.trim().is_empty() {
            return Err(BadName::Empty);
        }
        if RESERVED.contains(&text) {
            return Err(BadName::Reserved(text.to_owned()));
        }
        let bad = text.char_indices().find(|&(at, character)| {
            !(character.is_ascii_alphanumeric() || (at > 0 && "-_.".contains(character)))
        });
        if let Some((_, character)) = bad {
            return Err(BadName::Character {
                name: text.to_owned(),
                character,
            });
        }
        if text.len() > BRIDGE_NAME_BYTES_MAX {
            return Err(BadName::TooLong(text.to_owned()));
        }
        Ok(Self(Arc::from(text)))
    }

    /// Takes a key of `mcpServers`, where mcpo allows any text: spaces, slashes, reserved words
    /// (mcpo contract §4).
    pub fn mcpo(text: &str) -> Result<Self, BadName> {
        if text.is_empty() {
            return Err(BadName::Empty);
        }
        Ok(Self(Arc::from(text)))
    }

    /// The name as text.
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

/// The name of a tool, verbatim: servers use spaces, slashes, dots and unicode.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ToolName(Arc<str>);

/// The longest name of a tool, in bytes. MCP asks for 128 characters at most (2025-11-25, tools, tool
/// names); the longest known has 63.
pub const TOOL_NAME_BYTES_MAX: usize = 512;

impl ToolName {
    /// Any text but the empty one and those over [`TOOL_NAME_BYTES_MAX`].
    pub fn parse(text: &str) -> Option<Self> {
        let is_name = !text.is_empty() && text.len() <= TOOL_NAME_BYTES_MAX;
        is_name.then(|| Self(Arc::from(text)))
    }

    /// The name as text.
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
        assert_eq!(BridgeName::mcpo(""), Err(BadName::Empty));
    }
}
