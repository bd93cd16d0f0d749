//! Takes schemas out of an OpenAPI document, so that each is complete on its own.
//!
//! References become `#/$defs/…`, together with everything they reach. The dialect of OpenAPI 3.0
//! (`nullable`, boolean `exclusiveMinimum`, `example`) becomes JSON Schema 2020-12. References to other
//! documents are never fetched; such a schema accepts everything.

use std::collections::{BTreeMap, VecDeque};

use percent_encoding::percent_decode_str;
use serde_json::{Map, Value, json};

use super::names::UniqueNames;

/// Keywords whose value is a map of schemas.
const MAPS: [&str; 5] = [
    "properties",
    "patternProperties",
    "dependentSchemas",
    "$defs",
    "definitions",
];
/// Keywords whose value is a list of schemas.
const LISTS: [&str; 4] = ["allOf", "anyOf", "oneOf", "prefixItems"];
/// Keywords whose value is a schema. In old drafts `items` may be a list.
const SCHEMAS: [&str; 12] = [
    "items",
    "additionalItems",
    "additionalProperties",
    "not",
    "if",
    "then",
    "else",
    "contains",
    "propertyNames",
    "unevaluatedItems",
    "unevaluatedProperties",
    "contentSchema",
];
/// Keywords of OpenAPI that have no meaning in JSON Schema, or that refer to the document.
const DROPPED: [&str; 3] = ["xml", "externalDocs", "discriminator"];

/// The maximum length of a chain of references.
const HOPS_MAX: usize = 16;

/// The maximum number of definitions of one tool. References to further ones accept everything.
const DEFINITIONS_MAX: usize = 2_000;

/// A document with resolvable references.
#[derive(Debug, Clone, Copy)]
pub struct ResolvableDocument<'a> {
    /// The whole document.
    root: &'a Value,
    /// Whether it is OpenAPI 3.0, whose schemas have their own dialect.
    is_3_0: bool,
}

/// The definitions that a schema needs, by their location in the document.
#[derive(Debug, Default)]
pub struct SchemaDefinitions {
    /// Pointer → name.
    names: BTreeMap<String, String>,
    /// The names in use.
    free: UniqueNames,
    /// Pointers whose schemas have not been taken yet.
    open: VecDeque<String>,
    /// Name → schema.
    taken: Map<String, Value>,
}

impl<'a> ResolvableDocument<'a> {
    /// Wraps a document.
    pub fn new(root: &'a Value, is_3_0: bool) -> Self {
        Self { root, is_3_0 }
    }

    /// Resolves the references of a parameter, body, response or schema.
    pub fn resolve(self, value: &'a Value) -> &'a Value {
        let mut value = value;
        for _ in 0..HOPS_MAX {
            let Some(target) = value
                .get("$ref")
                .and_then(Value::as_str)
                .and_then(|reference| self.lookup(reference))
            else {
                break;
            };
            value = target;
        }
        value
    }

    /// Takes a schema. The schemas that it refers to are added to `definitions`.
    pub fn take(self, schema: &Value, definitions: &mut SchemaDefinitions) -> Value {
        match schema {
            Value::Object(schema) => self.take_object(schema, definitions),
            Value::Bool(_) => schema.clone(),
            // A missing or invalid schema accepts everything.
            Value::Null | Value::Number(_) | Value::String(_) | Value::Array(_) => json!({}),
        }
    }

    /// Takes all referenced schemas, and the ones that those refer to.
    pub fn finish(self, mut definitions: SchemaDefinitions) -> Map<String, Value> {
        while let Some(pointer) = definitions.open.pop_front() {
            let Some(schema) = self.lookup(&pointer) else {
                continue;
            };
            let schema = self.take(schema, &mut definitions);
            if let Some(name) = definitions.names.get(&pointer) {
                definitions.taken.insert(name.clone(), schema);
            }
        }
        definitions.taken
    }

    /// Finds the target of `#/…`. `None` for another document.
    fn lookup(self, reference: &str) -> Option<&'a Value> {
        let pointer = reference.strip_prefix('#')?;
        let pointer = percent_decode_str(pointer).decode_utf8().ok()?;
        self.root.pointer(&pointer)
    }

    /// Takes a schema, keyword by keyword.
    fn take_object(
        self,
        schema: &Map<String, Value>,
        definitions: &mut SchemaDefinitions,
    ) -> Value {
        let mut taken = Map::new();
        for (key, value) in schema {
            let value = match key.as_str() {
                "$ref" => match value
                    .as_str()
                    .filter(|target| self.lookup(target).is_some() && definitions.has_room(target))
                {
                    Some(target) => Value::String(definitions.reference(target)),
                    None => continue,
                },
                key if DROPPED.contains(&key) => continue,
                key if MAPS.contains(&key) => self.take_map(value, definitions),
                key if LISTS.contains(&key) => self.take_list(value, definitions),
                "items" if value.is_array() => self.take_list(value, definitions),
                key if SCHEMAS.contains(&key) => self.take(value, definitions),
                _ => value.clone(),
            };
            taken.insert(key.clone(), value);
        }
        if self.is_3_0 {
            modernize(&mut taken);
        }
        Value::Object(taken)
    }

    /// Takes each schema of a map.
    fn take_map(self, map: &Value, definitions: &mut SchemaDefinitions) -> Value {
        let entries = map.as_object().into_iter().flatten();
        entries
            .map(|(name, schema)| (name.clone(), self.take(schema, definitions)))
            .collect::<Map<_, _>>()
            .into()
    }

    /// Takes each schema of a list.
    fn take_list(self, list: &Value, definitions: &mut SchemaDefinitions) -> Value {
        let entries = list.as_array().into_iter().flatten();
        entries
            .map(|schema| self.take(schema, definitions))
            .collect::<Vec<_>>()
            .into()
    }
}

impl SchemaDefinitions {
    /// Whether a reference may be followed: its definition is already taken, or the limit is not reached.
    fn has_room(&self, target: &str) -> bool {
        self.names.len() < DEFINITIONS_MAX || self.names.contains_key(target)
    }

    /// Returns the reference to a definition, and queues the definition.
    fn reference(&mut self, pointer: &str) -> String {
        if !self.names.contains_key(pointer) {
            let short = pointer
                .strip_prefix("#/components/schemas/")
                .or_else(|| pointer.strip_prefix("#/definitions/"))
                .unwrap_or(pointer.trim_start_matches("#/"));
            let name: String = percent_decode_str(short)
                .decode_utf8_lossy()
                .chars()
                .map(|c| {
                    if c.is_ascii_alphanumeric() || "-_.".contains(c) {
                        c
                    } else {
                        '_'
                    }
                })
                .collect();
            let name = self
                .free
                .free(&name, |name, number| format!("{name}_{number}"));
            self.names.insert(pointer.to_owned(), name);
            self.open.push_back(pointer.to_owned());
        }
        let name = self.names.get(pointer).map_or("", String::as_str);
        format!("#/$defs/{name}")
    }
}

/// Converts the dialect of OpenAPI 3.0 to JSON Schema, in place.
fn modernize(schema: &mut Map<String, Value>) {
    for (flag, bound) in [
        ("exclusiveMinimum", "minimum"),
        ("exclusiveMaximum", "maximum"),
    ] {
        if let Some(Value::Bool(exclusive)) = schema.get(flag).cloned() {
            schema.shift_remove(flag);
            if exclusive && let Some(limit) = schema.shift_remove(bound) {
                schema.insert(flag.to_owned(), limit);
            }
        }
    }
    if let Some(example) = schema.shift_remove("example") {
        schema.entry("examples").or_insert_with(|| json!([example]));
    }
    // The second flag is used by Swagger 2.0 documents.
    for flag in ["nullable", "x-nullable"] {
        if schema.shift_remove(flag) == Some(Value::Bool(true)) {
            allow_null(schema);
        }
    }
}

/// Makes a schema also accept null.
fn allow_null(schema: &mut Map<String, Value>) {
    if let Some(Value::Array(values)) = schema.get_mut("enum")
        && !values.contains(&Value::Null)
    {
        values.push(Value::Null);
    }
    match schema.get("type").cloned() {
        Some(Value::String(kind)) => {
            schema.insert("type".to_owned(), json!([kind, "null"]));
        }
        None if schema.contains_key("$ref") || schema.contains_key("allOf") => {
            let whole = Value::Object(std::mem::take(schema));
            schema.insert("anyOf".to_owned(), json!([whole, { "type": "null" }]));
        }
        _ => {}
    }
}
