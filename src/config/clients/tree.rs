//! Values of a configuration file, whatever it is written in, with their places.

use std::{collections::BTreeMap, ops::Range};

/// Where something stands, in bytes.
pub(crate) type At = Range<usize>;

/// A value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Node {
    /// Where it stands.
    pub(crate) at: At,
    /// What it is.
    pub(crate) tree: Tree,
}

/// What a value is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Tree {
    /// Nothing.
    Null,
    /// `true` or `false`.
    Switch(bool),
    /// A number, as it is written.
    Number(String),
    /// A string.
    Text(String),
    /// Values in order.
    List(Vec<Node>),
    /// Values by name; a name may stand there twice.
    Map(Vec<Field>),
}

/// A value with its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Field {
    /// The name.
    pub(crate) name: String,
    /// Where the name stands.
    pub(crate) at: At,
    /// The value.
    pub(crate) value: Node,
}

impl Node {
    /// A string at a place.
    pub(crate) fn of_text(at: &At, text: impl Into<String>) -> Self {
        Self {
            at: at.clone(),
            tree: Tree::Text(text.into()),
        }
    }

    /// The string, if it is one.
    pub(crate) fn text(&self) -> Option<&str> {
        match &self.tree {
            Tree::Text(text) => Some(text),
            Tree::Null | Tree::Switch(_) | Tree::Number(_) | Tree::List(_) | Tree::Map(_) => None,
        }
    }

    /// The switch, if it is one.
    pub(crate) fn switch(&self) -> Option<bool> {
        match self.tree {
            Tree::Switch(switch) => Some(switch),
            Tree::Null | Tree::Text(_) | Tree::Number(_) | Tree::List(_) | Tree::Map(_) => None,
        }
    }

    /// The elements of a list.
    pub(crate) fn list(&self) -> Option<&[Self]> {
        match &self.tree {
            Tree::List(elements) => Some(elements),
            Tree::Null | Tree::Switch(_) | Tree::Number(_) | Tree::Text(_) | Tree::Map(_) => None,
        }
    }

    /// The fields of a map.
    pub(crate) fn map(&self) -> Option<&[Field]> {
        match &self.tree {
            Tree::Map(fields) => Some(fields),
            Tree::Null | Tree::Switch(_) | Tree::Number(_) | Tree::Text(_) | Tree::List(_) => None,
        }
    }

    /// A field of a map that is there and not null.
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        get(self.map()?, key)
    }

    /// A string, or what stands for one: a number or a switch.
    pub(crate) fn scalar(&self) -> Option<String> {
        match &self.tree {
            Tree::Text(text) | Tree::Number(text) => Some(text.clone()),
            Tree::Switch(switch) => Some(switch.to_string()),
            Tree::Null | Tree::List(_) | Tree::Map(_) => None,
        }
    }

    /// Whether it is a list or a map without anything in it, or null.
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
    /// A field whose name and value come from one place.
    pub(crate) fn new(name: &str, value: Node) -> Self {
        Self {
            name: name.to_owned(),
            at: value.at.clone(),
            value,
        }
    }
}

/// A field that is there and not null; of two with one name the last counts, as everywhere in JSON.
pub(crate) fn get<'f>(fields: &'f [Field], key: &str) -> Option<&'f Node> {
    let field = fields.iter().rev().find(|field| field.name == key)?;
    (field.value.tree != Tree::Null).then_some(&field.value)
}

/// Fields by name; of two the last counts, at the place of the first.
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
