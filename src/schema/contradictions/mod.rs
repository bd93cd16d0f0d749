//! Loosens schemas that contradict themselves. Such an argument could never be sent, because every value is
//! invalid, and model providers reject such schemas.
//!
//! Only keywords of one schema are compared with each other. A loosened schema accepts more, never less; the
//! server still validates what it receives.

mod alternatives;
mod bounds;
mod choices;
mod properties;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::{
    arguments::types::ValueTypeSet,
    meter::charge,
    publish::keyword::{KeywordKind, keyword_kind},
};
use crate::json::DEPTH_MAX;

/// The maximum number of reported contradictions of one schema. All are loosened.
const NOTES_MAX: usize = 10;

/// How much of a path is shown, in characters.
const PLACE_CHARS_MAX: usize = 80;

/// Returns the loosened schema and adds notes about the changes. A schema that nests too deeply to be walked
/// is borrowed unchanged.
pub fn loosened<'s>(schema: &'s Value, notes: &mut Vec<String>) -> Cow<'s, Value> {
    if is_deeper(schema, DEPTH_MAX) {
        return Cow::Borrowed(schema);
    }
    let mut schema = schema.clone();
    loosen(&mut schema, notes);
    Cow::Owned(schema)
}

/// Whether a value nests deeper than this many levels. The check stops there, so the stack is safe.
fn is_deeper(value: &Value, levels: usize) -> bool {
    charge(1);
    let inside = |inner: &Value| levels == 0 || is_deeper(inner, levels - 1);
    match value {
        Value::Array(entries) => entries.iter().any(inside),
        Value::Object(members) => members.values().any(inside),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

/// Loosens a schema and adds notes about the changes.
fn loosen(schema: &mut Value, notes: &mut Vec<String>) {
    let mut loosening = SchemaLoosener {
        path: Vec::new(),
        notes: Vec::new(),
        unsaid: 0,
    };
    loosening.schema(schema);
    notes.append(&mut loosening.notes);
    if loosening.unsaid > 0 {
        let unsaid = loosening.unsaid;
        notes.push(format!(
            "its schema contradicts itself in {unsaid} more places"
        ));
    }
}

/// The walk over one schema.
struct SchemaLoosener {
    /// The path of argument names to the schema.
    path: Vec<String>,
    /// The notes so far.
    notes: Vec<String>,
    /// The number of further notes.
    unsaid: usize,
}

impl SchemaLoosener {
    /// Loosens one schema and its subschemas.
    fn schema(&mut self, schema: &mut Value) {
        charge(1);
        let Value::Object(members) = schema else {
            return;
        };
        let mut said = Vec::new();
        alternatives::loosen(members, self.path.is_empty(), &mut said);
        bounds::loosen(members, &mut said);
        choices::loosen(members, &mut said);
        properties::loosen(members, &mut said);
        for words in said {
            self.note(&words);
        }
        for (keyword, value) in members.iter_mut() {
            self.below(keyword, value);
        }
    }

    /// Loosens the schemas under one keyword.
    fn below(&mut self, keyword: &str, value: &mut Value) {
        let kind = match keyword {
            "$defs" | "definitions" => KeywordKind::Names,
            _ => keyword_kind(keyword),
        };
        match (kind, value) {
            (KeywordKind::Schema | KeywordKind::Items, value @ Value::Object(_)) => {
                self.inside(keyword, value);
            }
            (KeywordKind::List | KeywordKind::Items, Value::Array(schemas)) => {
                for schema in schemas {
                    self.inside(keyword, schema);
                }
            }
            (KeywordKind::Names | KeywordKind::Dependencies, Value::Object(schemas)) => {
                for (name, schema) in schemas.iter_mut() {
                    self.path.push(name.clone());
                    self.schema(schema);
                    self.path.pop();
                }
            }
            _ => {}
        }
    }

    /// Loosens a subschema without a name.
    fn inside(&mut self, keyword: &str, schema: &mut Value) {
        let is_step = matches!(keyword, "items" | "prefixItems" | "additionalProperties");
        if is_step {
            self.path.push(keyword.to_owned());
        }
        self.schema(schema);
        if is_step {
            self.path.pop();
        }
    }

    /// Adds a note.
    fn note(&mut self, words: &str) {
        if self.notes.len() >= NOTES_MAX {
            self.unsaid += 1;
            return;
        }
        let place: String = self.path.join(".").chars().take(PLACE_CHARS_MAX).collect();
        self.notes.push(if place.is_empty() {
            format!("its arguments: {words}")
        } else {
            format!("`{place}`: {words}")
        });
    }
}

/// Returns the types of a schema, with the additions of OpenAPI 3.0; all types if it has none.
fn own_types(members: &Map<String, Value>) -> ValueTypeSet {
    let types = ValueTypeSet::declared(members);
    if types == ValueTypeSet::NONE {
        ValueTypeSet::ALL
    } else if members.get("nullable") == Some(&Value::Bool(true)) {
        types.or(ValueTypeSet::NULL)
    } else {
        types
    }
}

/// Returns the number under a keyword.
fn number(members: &Map<String, Value>, keyword: &str) -> Option<f64> {
    members.get(keyword).and_then(Value::as_f64)
}

/// Whether a schema rejects every value: `false`, or `not` with a schema that accepts everything.
fn is_impossible(schema: &Value) -> bool {
    let denies_all =
        |not: &Value| *not == Value::Bool(true) || not.as_object().is_some_and(Map::is_empty);
    *schema == Value::Bool(false) || schema.get("not").is_some_and(denies_all)
}
