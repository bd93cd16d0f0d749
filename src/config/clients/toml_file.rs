//! Parses TOML, as Codex writes it.

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use crate::config::clients::{
    Broken,
    tree::{Field, Node, Tree},
};

/// Parses a text.
pub(super) fn parse(text: &str) -> Result<Node, Broken> {
    match DeTable::parse(text) {
        Ok(document) => Ok(Node {
            at: document.span(),
            tree: table(document.get_ref()),
        }),
        Err(error) => Err(Broken {
            at: error.span().unwrap_or_default(),
            message: format!("the TOML is not valid: {}", error.message()),
        }),
    }
}

fn table(table: &DeTable<'_>) -> Tree {
    let fields = table.iter().map(|(key, value)| Field {
        name: key.get_ref().to_string(),
        at: key.span(),
        value: node(value),
    });
    Tree::Map(fields.collect())
}

/// Converts a value. The parser limits the nesting depth.
fn node(value: &Spanned<DeValue<'_>>) -> Node {
    let tree = match value.get_ref() {
        DeValue::String(text) => Tree::Text(text.to_string()),
        DeValue::Integer(number) => Tree::Number(number.to_string()),
        DeValue::Float(number) => Tree::Number(number.to_string()),
        DeValue::Boolean(switch) => Tree::Switch(*switch),
        DeValue::Datetime(time) => Tree::Text(time.to_string()),
        DeValue::Array(array) => Tree::List(array.iter().map(node).collect()),
        DeValue::Table(inner) => table(inner),
    };
    Node {
        at: value.span(),
        tree,
    }
}
