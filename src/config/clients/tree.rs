//! The values of a configuration file in any language, with their positions.

use std::{collections::BTreeMap, ops::Range};

/// A position, as a range of bytes.
pub(crate) type At = Range<usize>;

/// A value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Node {
    /// The position.
    pub(crate) at: At,
    /// The contents.
    pub(crate) tree: Tree,
}

/// The contents of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Tree {
    /// Null.
    Null,
    /// `true` or `false`.
    Switch(bool),
    /// A number, as written.
    Number(String),
    /// A string.
    Text(String),
    /// Values in order.
    List(Vec<Node>),
    /// Values by name. A name may occur twice.
    Map(Vec<Field>),
}

/// A value with its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Field {
    /// The name.
    pub(crate) name: String,
    /// The position of the name.
    pub(crate) at: At,
    /// The value.
    pub(crate) value: Node,
}

impl Node {
    /// Creates a string at a position.
    pub(crate) fn of_text(at: &At, text: impl Into<String>) -> Self {
        Self {
            at: at.clone(),
            tree: Tree::Text(text.into()),
        }
    }

    /// Returns the string, if it is one.
    pub(crate) fn text(&self) -> Option<&str> {
        match &self.tree {
            Tree::Text(text) => Some(text),
            Tree::Null | Tree::Switch(_) | Tree::Number(_) | Tree::List(_) | Tree::Map(_) => None,
        }
    }

    /// Returns the switch, if it is one.
    pub(crate) fn switch(&self) -> Option<bool> {
        match self.tree {
            Tree::Switch(switch) => Some(switch),
            Tree::Null | Tree::Text(_) | Tree::Number(_) | Tree::List(_) | Tree::Map(_) => None,
        }
    }

    /// Returns the elements of a list.
    pub(crate) fn list(&self) -> Option<&[Self]> {
        match &self.tree {
            Tree::List(elements) => Some(elements),
            Tree::Null | Tree::Switch(_) | Tree::Number(_) | Tree::Text(_) | Tree::Map(_) => None,
        }
    }

    /// Returns the fields of a map.
    pub(crate) fn map(&self) -> Option<&[Field]> {
        match &self.tree {
            Tree::Map(fields) => Some(fields),
            Tree::Null | Tree::Switch(_) | Tree::Number(_) | Tree::Text(_) | Tree::List(_) => None,
        }
    }

    /// Returns a field of a map, unless it is missing or null.
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        get(self.map()?, key)
    }

    /// Returns a string, or the text of a number or switch.
    pub(crate) fn scalar(&self) -> Option<String> {
        match &self.tree {
            Tree::Text(text) | Tree::Number(text) => Some(text.clone()),
            Tree::Switch(switch) => Some(switch.to_string()),
            Tree::Null | Tree::List(_) | Tree::Map(_) => None,
        }
    }

    /// Whether it is null or an empty list or map.
    pub(crate) fn is_empty(&self) -> bool {
        match &self.tree {
            Tree::Null => true,
            Tree::List(elements) => elements.is_empty(),
            Tree::Map(fields) => fields.is_empty(),
            Tree::Switch(_) | Tree::Number(_) | Tree::Text(_) => false,
        }
    }
}

impl Field {
    /// Creates a field whose name and value have the same position.
    pub(crate) fn new(name: &str, value: Node) -> Self {
        Self {
            name: name.to_owned(),
            at: value.at.clone(),
            value,
        }
    }
}

/// Returns a field, unless it is missing or null. Of two fields with one name the last counts, as in JSON.
pub(crate) fn get<'f>(fields: &'f [Field], key: &str) -> Option<&'f Node> {
    let field = fields.iter().rev().find(|field| field.name == key)?;
    (field.value.tree != Tree::Null).then_some(&field.value)
}

/// Returns each field once. Of two fields with one name the last counts, at the position of the first.
pub(crate) fn last_of_each(fields: &[Field]) -> Vec<&Field> {
    let mut kept: Vec<&Field> = Vec::new();
    let mut places = BTreeMap::new();
    for field in fields {
        let place = *places.entry(field.name.as_str()).or_insert(kept.len());
        match kept.get_mut(place) {
            Some(twin) => *twin = field,
            None => kept.push(field),
        }
    }
    kept
}
