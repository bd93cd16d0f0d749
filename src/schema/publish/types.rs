//! Step 4: schemas without a type get the one they imply. `Open WebUI`'s converter treats everything without
//! `type`, `anyOf` and `properties` as a string, and model providers reject arrays without `items`.

use std::{collections::HashMap, mem};

use schemars::{Schema, transform::Transform};
use serde_json::{Map, Value, json};

use super::keyword::{descend, list};

/// The types by name, in output order.
const NAMES: [&str; 7] = [
    "string", "integer", "number", "boolean", "object", "array", "null",
];

/// A set of JSON Schema types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SchemaTypeSet(u8);

impl SchemaTypeSet {
    /// Reads the value of `type`. Any other value means all types.
    pub fn of_names(value: &Value) -> Self {
        match value {
            Value::String(name) => Self::named(name),
            Value::Array(names) => names
                .iter()
                .filter_map(Value::as_str)
                .fold(Self(0), |types, name| types.or(Self::named(name))),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => Self(u8::MAX),
        }
    }

    /// Returns the types in both sets; an integer is a number.
    pub fn and(self, other: Self) -> Self {
        Self(self.widened().0 & other.widened().0)
    }

    /// Returns the types in either set.
    pub fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether the set may contain the type `name`.
    pub fn has(self, name: &str) -> bool {
        self.widened().0 & Self::named(name).0 != 0
    }

    /// Returns the value of `type`; `None` for an empty set.
    pub fn to_value(self) -> Option<Value> {
        let number = Self::named("number").0;
        let integer = Self::named("integer").0;
        let set = if self.0 & number == 0 {
            self.0
        } else {
            self.0 & !integer
        };
        let mut names: Vec<Value> = NAMES
            .into_iter()
            .filter(|name| set & Self::named(name).0 != 0)
            .map(Value::from)
            .collect();
        match names.len() {
            0 => None,
            1 => names.pop(),
            _ => Some(Value::Array(names)),
        }
    }

    /// Returns the set of one type; an unknown name gives the empty set.
    fn named(name: &str) -> Self {
        NAMES
            .iter()
            .position(|known| *known == name)
            .map_or(Self(0), |bit| Self(1 << bit))
    }

    /// Adds integers to numbers.
    fn widened(self) -> Self {
        if self.0 & Self::named("number").0 == 0 {
            self
        } else {
            self.or(Self::named("integer"))
        }
    }

    /// The type of one value.
    pub fn of_value(value: &Value) -> Self {
        Self::named(match value {
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Number(number) if number.is_f64() => "number",
            Value::Number(_) => "integer",
            Value::String(_) => "string",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
        })
    }
}

/// The transform. It works from the inside out.
#[derive(Debug)]
pub struct FillTypesTransform {
    /// Whether the schema is for arguments, which the converter reads.
    arguments: bool,
    /// The types of components, by reference.
    components: HashMap<String, SchemaTypeSet>,
}

impl FillTypesTransform {
    /// Creates the transform with the components.
    pub fn new<'a>(
        arguments: bool,
        components: impl Iterator<Item = (&'a str, &'a Schema)>,
    ) -> Self {
        let mut fill = Self {
            arguments,
            components: HashMap::new(),
        };
        for (name, body) in components {
            if let Some(types) = fill.implied(body.as_value(), 0) {
                let reference = format!("#/components/schemas/{name}");
                fill.components.insert(reference, types);
            }
        }
        fill
    }

    /// Returns the types that a schema implies, if they are known.
    fn implied(&self, schema: &Value, depth: usize) -> Option<SchemaTypeSet> {
        /// The maximum depth of references and alternatives.
        const DEPTH_MAX: usize = 8;

        let members = schema.as_object().filter(|_| depth < DEPTH_MAX)?;
        if let Some(reference) = members.get("$ref").and_then(Value::as_str) {
            return self.components.get(reference).copied();
        }
        if let Some(names) = members.get("type") {
            return Some(SchemaTypeSet::of_names(names));
        }
        if let Some(value) = members.get("const") {
            return Some(SchemaTypeSet::of_value(value));
        }
        if let Some(values) = members.get("enum").and_then(Value::as_array) {
            return values
                .iter()
                .map(SchemaTypeSet::of_value)
                .reduce(SchemaTypeSet::or);
        }
        for keyword in ["anyOf", "oneOf"] {
            let either = list(members, keyword)
                .iter()
                .map(|schema| self.implied(schema, depth + 1))
                .reduce(|one, other| Some(one?.or(other?)));
            if let Some(Some(types)) = either {
                return Some(types);
            }
        }
        list(members, "allOf")
            .iter()
            .filter_map(|schema| self.implied(schema, depth + 1))
            .reduce(SchemaTypeSet::and)
            .filter(|types| types.0 != 0)
            .or_else(|| told_by_keywords(members))
    }

    /// Adds the type to a property or an item.
    fn place(&self, value: &mut Value) {
        let types = || self.implied(value, 0).and_then(SchemaTypeSet::to_value);
        if let Some(reference) = value.get("$ref") {
            // The converter drops a recursive reference, but the type next to it stays.
            if let Some(types) = types() {
                *value = json!({"type": types, "allOf": [{"$ref": reference}]});
            }
        } else if value.get("type").is_none()
            && (value.get("anyOf").is_none() || value.get("enum").is_some())
        {
            let types = types();
            let is_combined = value.get("oneOf").is_some() || value.get("allOf").is_some();
            let Some(members) = value.as_object_mut() else {
                return;
            };
            match types {
                Some(types) => drop(members.insert("type".to_owned(), types)),
                None if is_combined => {
                    let all = ["string", "number", "boolean", "object", "array", "null"];
                    members.insert("type".to_owned(), json!(all));
                }
                None => drop(members.insert("anyOf".to_owned(), anything())),
            }
        }
        if let Some(members) = value.as_object_mut() {
            complete(members);
        }
    }
}

impl Transform for FillTypesTransform {
    fn transform(&mut self, schema: &mut Schema) {
        if schema.get("anyOf") == Some(&anything()) {
            return;
        }
        // Adding a type inside a negation would change its meaning.
        let negated = ["not", "if"].map(|keyword| schema.get_mut(keyword).map(mem::take));
        descend(self, schema);
        for (keyword, value) in ["not", "if"].into_iter().zip(negated) {
            if let (Some(value), Some(place)) = (value, schema.get_mut(keyword)) {
                *place = value;
            }
        }

        let Some(members) = schema.as_object_mut() else {
            return;
        };
        no_null_default(members);
        if !self.arguments {
            return;
        }
        complete(members);
        if let Some(Value::Object(properties)) = members.get_mut("properties") {
            properties.values_mut().for_each(|value| self.place(value));
        }
        if let Some(items) = members.get_mut("items") {
            self.place(items);
        }
    }
}

/// Adds `items` to an array, and removes a default that the type does not allow.
fn complete(members: &mut Map<String, Value>) {
    no_null_default(members);
    let is_array = members
        .get("type")
        .is_some_and(|names| SchemaTypeSet::of_names(names).has("array"));
    if is_array && !members.contains_key("items") {
        members.insert("items".to_owned(), items(members));
    }
}

/// Removes `"default": null` from a text. Servers write it when there is no default, and clients would send
/// it.
fn no_null_default(members: &mut Map<String, Value>) {
    let allows_null = members
        .get("type")
        .is_none_or(|names| SchemaTypeSet::of_names(names).has("null"));
    if !allows_null && members.get("default") == Some(&Value::Null) {
        members.shift_remove("default");
    }
}

/// Returns a schema that explicitly accepts any value. A list of types would be equivalent, but some model
/// providers accept only one name in `type`.
pub fn anything() -> Value {
    json!([
        {"type": "string"},
        {"type": "number"},
        {"type": "boolean"},
        {"type": "object"},
        {"type": "array", "items": {}},
        {"type": "null"}
    ])
}

/// Returns the implied items of an array. For a closed tuple: the combined schemas of its elements.
fn items(members: &Map<String, Value>) -> Value {
    let first = list(members, "prefixItems");
    let most = members.get("maxItems").and_then(Value::as_u64);
    if first.is_empty() || most.is_none_or(|most| most > first.len() as u64) {
        return json!({"anyOf": anything()});
    }
    let mut kinds: Vec<&Value> = Vec::new();
    for kind in first.iter().take(20) {
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    match kinds.as_slice() {
        [only] => (*only).clone(),
        _ => json!({"anyOf": kinds}),
    }
}

/// Returns the type whose keywords a schema uses, if there is exactly one.
fn told_by_keywords(members: &Map<String, Value>) -> Option<SchemaTypeSet> {
    let mut told = members.keys().filter_map(|keyword| {
        Some(match keyword.as_str() {
            "properties"
            | "required"
            | "additionalProperties"
            | "patternProperties"
            | "propertyNames"
            | "minProperties"
            | "maxProperties"
            | "dependentRequired"
            | "dependentSchemas"
            | "unevaluatedProperties" => "object",
            "items" | "prefixItems" | "minItems" | "maxItems" | "uniqueItems" | "contains" => {
                "array"
            }
            "minLength" | "maxLength" | "pattern" => "string",
            "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum" | "multipleOf" => {
                "number"
            }
            _ => return None,
        })
    });
    let first = told.next()?;
    told.all(|other| other == first)
        .then(|| SchemaTypeSet::named(first))
}
