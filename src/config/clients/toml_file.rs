//! Parses TOML, as Codex writes it.

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use crate::config::clients::{
    ClientSyntaxError,
    tree::{SpannedField, SpannedValue, ValueContent},
};

/// Parses a text.
pub(super) fn parse(text: &str) -> Result<SpannedValue, ClientSyntaxError> {
    match DeTable::parse(text) {
        Ok(document) => Ok(SpannedValue {
            at: document.span(),
            tree: table(document.get_ref()),
        }),
        Err(error) => Err(ClientSyntaxError {
            at: error.span().unwrap_or_default(),
            message: format!("the TOML is not valid: {}", error.message()),
        }),
    }
}

fn table(table: &DeTable<'_>) -> ValueContent {
    let fields = table.iter().map(|(key, value)| SpannedField {
        name: key.get_ref().to_string(),
        at: key.span(),
        value: node(value),
    });
    ValueContent::Map(fields.collect())
}

/// Converts a value. The parser limits the nesting depth.
fn node(value: &Spanned<DeValue<'_>>) -> SpannedValue {
    let tree = match value.get_ref() {
        DeValue::String(text) => ValueContent::Text(text.to_string()),
        DeValue::Integer(number) => ValueContent::Number(number.to_string()),
        DeValue::Float(number) => ValueContent::Number(number.to_string()),
        DeValue::Boolean(switch) => ValueContent::Switch(*switch),
        DeValue::Datetime(time) => ValueContent::Text(time.to_string()),
        DeValue::Array(array) => ValueContent::List(array.iter().map(node).collect()),
        DeValue::Table(inner) => table(inner),
    };
    SpannedValue {
        at: value.span(),
        tree,
    }
}
