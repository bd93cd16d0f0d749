//! One entry of an `mcpServers` file.

use toml::Spanned;

use crate::config::{
    clients::{ClientFile, SpannedField, SpannedValue, ValueContent},
    read::{ConfigReader, Span, Text},
};

/// One entry of the file.
pub struct McpServerEntry<'v> {
    pub name: &'v str,
    /// The position of its name.
    pub at: Span,
    pub fields: &'v [SpannedField],
    /// The file that contains it.
    pub file: &'v ClientFile,
    /// Variables that the program receives and may replace itself.
    pub own: &'v [&'v str],
}

impl McpServerEntry<'_> {
    /// Returns a value, unless it is missing or null.
    pub fn get(&self, key: &str) -> Option<&SpannedValue> {
        let field = self.fields.iter().find(|field| field.name == key)?;
        (field.value.tree != ValueContent::Null).then_some(&field.value)
    }

    /// Returns the first of some keys that contains a string which is not empty.
    pub fn text(&self, keys: &[&str]) -> Option<Text> {
        keys.iter()
            .find_map(|key| text(self.get(key)?))
            .filter(|text| !text.get_ref().is_empty())
    }

    /// Adds an error with mcpo's message.
    pub fn error(&self, reader: &mut ConfigReader<'_>, span: &Span, rest: &str) {
        reader
            .problems
            .error(span, format!("Server '{}' {rest}", self.name));
    }
}

/// Returns a string and its position.
pub fn text(value: &SpannedValue) -> Option<Text> {
    Some(Spanned::new(value.at.clone(), value.text()?.to_owned()))
}
