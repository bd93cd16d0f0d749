//! The values of a configuration file in any language, with their positions.

use std::{collections::BTreeMap, ops::Range};

/// A position, as a range of bytes.
pub(crate) type At = Range<usize>;

/// A value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SpannedValue {
    /// The position.
    pub(crate) at: At,
    /// The contents.
    pub(crate) tree: ValueContent,
}

/// The contents of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ValueContent {
    /// Null.
    Null,
    /// `true` or `false`.
    Switch(bool),
    /// A number, as written.
    Number(String),
    /// A string.
    Text(String),
    /// Values in order.
    List(Vec<SpannedValue>),
    /// Values by name. A name may occur twice.
    Map(Vec<SpannedField>),
}

/// A value with its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SpannedField {
    /// The name.
    pub(crate) name: String,
    /// The position of the name.
    pub(crate) at: At,
    /// The value.
    pub(crate) value: SpannedValue,
}

impl SpannedValue {
    /// Creates a string at a position.
    pub(crate) fn of_text(at: &At, text: impl Into<String>) -> Self {
        Self {
            at: at.clone(),
            tree: ValueContent::Text(text.into()),
        }
    }

    /// Returns the string, if it is one.
    pub(crate) fn text(&self) -> Option<&str> {
        match &self.tree {
            ValueContent::Text(text) => Some(text),
            ValueContent::Null
            | ValueContent::Switch(_)
            | ValueContent::Number(_)
            | ValueContent::List(_)
            | ValueContent::Map(_) => None,
        }
    }

    /// Returns the switch, if it is one.
    pub(crate) fn switch(&self) -> Option<bool> {
        match self.tree {
            ValueContent::Switch(switch) => Some(switch),
            ValueContent::Null
            | ValueContent::Text(_)
            | ValueContent::Number(_)
            | ValueContent::List(_)
            | ValueContent::Map(_) => None,
        }
    }

    /// Returns the elements of a list.
    pub(crate) fn list(&self) -> Option<&[Self]> {
        match &self.tree {
            ValueContent::List(elements) => Some(elements),
            ValueContent::Null
            | ValueContent::Switch(_)
            | ValueContent::Number(_)
            | ValueContent::Text(_)
            | ValueContent::Map(_) => None,
        }
    }

    /// Returns the fields of a map.
    pub(crate) fn map(&self) -> Option<&[SpannedField]> {
        match &self.tree {
            ValueContent::Map(fields) => Some(fields),
            ValueContent::Null
            | ValueContent::Switch(_)
            | ValueContent::Number(_)
            | ValueContent::Text(_)
            | ValueContent::List(_) => None,
        }
    }

    /// Returns a field of a map, unless it is missing or null.
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        get(self.map()?, key)
    }

    /// Returns a string, or the text of a number or switch.
    pub(crate) fn scalar(&self) -> Option<String> {
        match &self.tree {
            ValueContent::Text(text) | ValueContent::Number(text) => Some(text.clone()),
            ValueContent::Switch(switch) => Some(switch.to_string()),
            ValueContent::Null | ValueContent::List(_) | ValueContent::Map(_) => None,
        }
    }

    /// Whether it is null or an empty list or map.
    pub(crate) fn is_empty(&self) -> bool {
        match &self.tree {
            ValueContent::Null => true,
            ValueContent::List(elements) => elements.is_empty(),
            ValueContent::Map(fields) => fields.is_empty(),
            ValueContent::Switch(_) | ValueContent::Number(_) | ValueContent::Text(_) => false,
        }
    }
}

impl SpannedField {
    /// Creates a field whose name and value have the same position.
    pub(crate) fn new(name: &str, value: SpannedValue) -> Self {
        Self {
            name: name.to_owned(),
            at: value.at.clone(),
            value,
        }
    }
}

/// Returns a field, unless it is missing or null. Of two fields with one name the last counts, as in JSON.
pub(crate) fn get<'f>(fields: &'f [SpannedField], key: &str) -> Option<&'f SpannedValue> {
    let field = fields.iter().rev().find(|field| field.name == key)?;
    (field.value.tree != ValueContent::Null).then_some(&field.value)
}

/// Returns each field once. Of two fields with one name the last counts, at the position of the first.
pub(crate) fn last_of_each(fields: &[SpannedField]) -> Vec<&SpannedField> {
    let mut kept: Vec<&SpannedField> = Vec::new();
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
