//! Step 2: removes keywords with values of the wrong type, and converts older drafts to JSON Schema 2020-12,
//! which OpenAPI 3.1 uses.

use std::mem;

use schemars::{Schema, transform::Transform};
use serde_json::{Map, Value, json};

use super::{
    keyword::{descend, list},
    types::SchemaTypeSet,
};

/// The transform. It works from the outside in, so that its results are repaired in turn.
#[derive(Debug, Default)]
pub struct RepairTransform {
    /// Unknown types that were found.
    unknown_types: Vec<String>,
    /// Whether `false` was found where a value is required.
    is_impossible: bool,
}

impl RepairTransform {
    /// Returns what is wrong.
    pub fn warnings(self) -> Vec<String> {
        let types = self.unknown_types.into_iter().map(|kind| {
            format!("`type` `{kind}` is not a JSON Schema type; any value is accepted there")
        });
        let impossible = self
            .is_impossible
            .then(|| "an `allOf` with `false` in it accepts nothing; it is left out".to_owned());
        types.chain(impossible).collect()
    }

    /// Converts `type` to one known name or a list of several.
    fn types(&mut self, members: &mut Map<String, Value>) {
        let Some(value) = members.get_mut("type") else {
            return;
        };
        let written = match value.as_array_mut() {
            Some(types) => mem::take(types),
            None => vec![value.take()],
        };
        let mut known: Vec<Value> = Vec::new();
        let mut is_any = false;
        for kind in &written {
            if let Some(name) = kind.as_str().and_then(type_name) {
                if !known.iter().any(|known| known == name) {
                    known.push(name.into());
                }
            } else if kind == "any" {
                is_any = true;
            } else {
                self.unknown(kind);
            }
        }
        if is_any || known.is_empty() {
            members.shift_remove("type");
        } else if known.len() == 1 {
            *value = known.pop().unwrap_or_default();
        } else {
            *value = Value::Array(known);
        }
    }

    /// Records an unknown type.
    fn unknown(&mut self, kind: &Value) {
        let shown: String = kind.to_string().chars().take(40).collect();
        if self.unknown_types.len() < 10 && !self.unknown_types.contains(&shown) {
            self.unknown_types.push(shown);
        }
    }

    /// Removes `true` and `false` from lists of alternatives, and empty lists.
    fn combinations(&mut self, members: &mut Map<String, Value>) {
        for keyword in ["anyOf", "oneOf", "allOf"] {
            let Some(Value::Array(schemas)) = members.get_mut(keyword) else {
                continue;
            };
            let is_all = keyword == "allOf";
            self.is_impossible |= is_all && schemas.contains(&Value::Bool(false));
            schemas.retain(|schema| *schema != Value::Bool(false));
            if is_all {
                schemas.retain(|schema| *schema != Value::Bool(true));
            }
            if schemas.is_empty() {
                members.shift_remove(keyword);
            }
        }
        if members.get("not").is_some_and(Value::is_boolean) {
            members.shift_remove("not");
        }
    }
}

impl Transform for RepairTransform {
    fn transform(&mut self, schema: &mut Schema) {
        if let Some(boolean) = schema.as_bool() {
            *schema = if boolean {
                Map::new().into()
            } else {
                Map::from_iter([("not".to_owned(), json!({}))]).into()
            };
            return;
        }
        if let Some(members) = schema.as_object_mut() {
            members.retain(|keyword, value| is_sound(keyword, value));
            self.types(members);
            tuple(members);
            properties(members);
            self.combinations(members);
            nullable(members);
            bounds(members);
        }
        descend(self, schema);
    }
}

/// Whether a value is valid for its keyword. Corrects it if it is almost valid.
fn is_sound(keyword: &str, value: &mut Value) -> bool {
    match keyword {
        "title" | "description" | "format" | "pattern" | "$comment" | "contentEncoding"
        | "contentMediaType" => value.is_string(),
        "enum" => value.as_array().is_some_and(|values| !values.is_empty()),
        "examples" => {
            if !value.is_array() {
                *value = Value::Array(vec![value.take()]);
            }
            true
        }
        "required" => {
            texts(value);
            value.as_array().is_some_and(|names| !names.is_empty())
        }
        "dependentRequired" => {
            if let Value::Object(names) = value {
                names.values_mut().for_each(texts);
                names.retain(|_, names| names.is_array());
            }
            value.is_object()
        }
        "minimum" | "maximum" => value.is_number(),
        "exclusiveMinimum" | "exclusiveMaximum" => value.is_number() || value.is_boolean(),
        "multipleOf" => value.as_f64().is_some_and(|step| step > 0.0),
        "minLength" | "maxLength" | "minItems" | "maxItems" | "minProperties" | "maxProperties"
        | "minContains" | "maxContains" => count(value),
        "uniqueItems" | "deprecated" | "readOnly" | "writeOnly" | "nullable" => value.is_boolean(),
        "xml" | "externalDocs" => value.is_object(),
        _ => true,
    }
}

/// Keeps the texts of a list, without duplicates.
fn texts(value: &mut Value) {
    if let Value::Array(names) = value {
        let mut seen = std::collections::HashSet::new();
        names.retain(|name| {
            name.as_str()
                .is_some_and(|name| seen.insert(name.to_owned()))
        });
    }
}

/// Whether a value is a count. `2.0` is one and is changed to `2`.
fn count(value: &mut Value) -> bool {
    if let Some(number) = value.as_f64().filter(|number| number.fract() == 0.0)
        && let Ok(whole) = format!("{number:.0}").parse::<u64>()
    {
        if !value.is_u64() {
            *value = whole.into();
        }
        return true;
    }
    false
}

/// Returns the JSON Schema type for a name, including names from other languages.
fn type_name(name: &str) -> Option<&'static str> {
    Some(match name.to_ascii_lowercase().as_str() {
        "string" | "str" => "string",
        "integer" | "int" => "integer",
        "number" | "float" | "double" => "number",
        "boolean" | "bool" => "boolean",
        "object" | "dict" => "object",
        "array" | "list" => "array",
        "null" => "null",
        _ => return None,
    })
}

/// Converts `items: [a, b]` of draft-07 to `prefixItems`, and `additionalItems` to `items`. A closed tuple is
/// expressed with `maxItems`, because the converter reads `items: false` as a string.
fn tuple(members: &mut Map<String, Value>) {
    let rest = members.shift_remove("additionalItems");
    if let Some(Value::Array(first)) = members.get_mut("items") {
        let first = mem::take(first);
        members.shift_remove("items");
        if !first.is_empty() && !members.contains_key("prefixItems") {
            members.insert("prefixItems".to_owned(), Value::Array(first));
        }
        if let Some(rest) = rest {
            members.insert("items".to_owned(), rest);
        }
    }
    if list(members, "prefixItems").is_empty() {
        members.shift_remove("prefixItems");
    }
    match members.get("items") {
        Some(Value::Bool(false)) => {
            let length = list(members, "prefixItems").len();
            members.shift_remove("items");
            let most = members
                .get("maxItems")
                .and_then(Value::as_u64)
                .unwrap_or(u64::MAX);
            members.insert("maxItems".to_owned(), json!(most.min(length as u64)));
        }
        Some(Value::Bool(true)) => drop(members.insert("items".to_owned(), json!({}))),
        _ => {}
    }
}

/// Removes properties that are `false`, because they must not be sent.
fn properties(members: &mut Map<String, Value>) {
    let mut absent = Vec::new();
    if let Some(Value::Object(properties)) = members.get_mut("properties") {
        properties.retain(|name, schema| {
            let is_absent = *schema == Value::Bool(false);
            if is_absent {
                absent.push(name.clone());
            }
            !is_absent
        });
    }
    if let Some(Value::Array(required)) = members.get_mut("required") {
        required.retain(|name| !absent.iter().any(|absent| name == absent));
        if required.is_empty() {
            members.shift_remove("required");
        }
    }
}

/// Converts `nullable: true` of OpenAPI 3.0 to the type `null`.
fn nullable(members: &mut Map<String, Value>) {
    if members.shift_remove("nullable") != Some(Value::Bool(true)) {
        return;
    }
    let none = json!({"type": "null"});
    if let Some(kind) = members.get_mut("type") {
        let types = SchemaTypeSet::of_names(kind).or(SchemaTypeSet::of_value(&Value::Null));
        *kind = types.to_value().unwrap_or_default();
    }
    if let Some(Value::Array(values)) = members.get_mut("enum")
        && !values.contains(&Value::Null)
    {
        values.push(Value::Null);
    }
    let alternatives = if members.contains_key("anyOf") {
        "anyOf"
    } else {
        "oneOf"
    };
    if let Some(Value::Array(schemas)) = members.get_mut(alternatives) {
        if !schemas.contains(&none) {
            schemas.push(none);
        }
    } else if let Some(all) = members.shift_remove("allOf") {
        members.insert("anyOf".to_owned(), json!([{"allOf": all}, none]));
    }
}

/// Converts `exclusiveMinimum: true` of draft-04, which takes the number from `minimum`.
fn bounds(members: &mut Map<String, Value>) {
    for (exclusive, bound) in [
        ("exclusiveMinimum", "minimum"),
        ("exclusiveMaximum", "maximum"),
    ] {
        if let Some(Value::Bool(is_exclusive)) = members.get(exclusive) {
            let is_exclusive = *is_exclusive;
            members.shift_remove(exclusive);
            if is_exclusive && let Some(number) = members.shift_remove(bound) {
                members.insert(exclusive.to_owned(), number);
            }
        }
    }
}
