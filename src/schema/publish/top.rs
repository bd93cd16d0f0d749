//! Step 5: arguments are an object with named properties.
//!
//! Clients of the document read only `properties` and `required` at the top level, and the large model
//! providers reject schemas that begin with `anyOf`, `oneOf`, `allOf`, `not` or `enum`. The properties of all
//! alternatives are therefore combined, and only what all alternatives require is required. Calls are still
//! validated against the server's own schema.

use serde_json::{Map, Value, json};

use super::{
    flatten::merge,
    keyword::{is_annotation, list},
    types::{SchemaTypeSet, anything},
};

/// The schema of a tool's arguments.
#[derive(Debug)]
pub struct TopLevelSchema {
    /// `{"type": "object", "properties": {…}, …}`.
    pub schema: Map<String, Value>,
    /// As in [`super::PublishedSchema`].
    pub free_form: bool,
}

/// Converts the published `schema` to an object; `source` is the server's schema.
pub fn object(schema: &Value, source: &Value, warnings: &mut Vec<String>) -> TopLevelSchema {
    let empty = Map::new();
    let members = schema.as_object().unwrap_or(&empty);
    let takes_objects = members
        .get("type")
        .is_none_or(|names| SchemaTypeSet::of_names(names).has("object"));
    if !takes_objects || *source == Value::Bool(false) {
        warnings.push("its arguments are not an object; any object is accepted".to_owned());
        return TopLevelSchema {
            schema: finished(&empty, ObjectProperties::default(), true),
            free_form: true,
        };
    }
    let fields = ObjectProperties::of(members, 0);
    let says_nothing = (source.is_object() || source.is_boolean())
        && members.keys().all(|keyword| is_annotation(keyword));
    let others_welcome = match members.get("additionalProperties") {
        Some(Value::Bool(are_welcome)) => *are_welcome,
        Some(_) => true,
        None => says_nothing || members.contains_key("patternProperties"),
    };
    let free_form = fields.properties.is_empty() && others_welcome;
    TopLevelSchema {
        schema: finished(members, fields, says_nothing),
        free_form,
    }
}

/// Properties, and the names of those that are always required.
#[derive(Debug, Default)]
struct ObjectProperties {
    /// Properties by name.
    properties: Map<String, Value>,
    /// The names, without duplicates.
    required: Vec<String>,
}

impl ObjectProperties {
    /// Returns the fields of a schema and of everything that it combines.
    fn of(members: &Map<String, Value>, depth: usize) -> Self {
        /// The maximum depth of combinations.
        const DEPTH_MAX: usize = 8;

        let mut fields = Self {
            properties: members
                .get("properties")
                .and_then(Value::as_object)
                .cloned()
                .unwrap_or_default(),
            required: Vec::new(),
        };
        fields.require(list(members, "required").iter().filter_map(Value::as_str));
        if depth >= DEPTH_MAX {
            return fields;
        }
        for schema in list(members, "allOf").iter().filter_map(Value::as_object) {
            let other = Self::of(schema, depth + 1);
            fields.require(other.required.iter().map(String::as_str));
            fields.name(other.properties, both);
        }
        for keyword in ["anyOf", "oneOf"] {
            let alternatives: Vec<Self> = list(members, keyword)
                .iter()
                .filter_map(Value::as_object)
                .filter(|schema| {
                    schema
                        .get("type")
                        .is_none_or(|names| SchemaTypeSet::of_names(names).has("object"))
                })
                .map(|schema| Self::of(schema, depth + 1))
                .collect();
            fields.add_alternatives(alternatives);
        }
        let dependent = members
            .get("dependentSchemas")
            .and_then(Value::as_object)
            .into_iter()
            .flat_map(Map::values);
        let conditional = ["then", "else"]
            .into_iter()
            .filter_map(|keyword| members.get(keyword));
        for schema in conditional.chain(dependent).filter_map(Value::as_object) {
            fields.name(Self::of(schema, depth + 1).properties, |own, _| own.clone());
        }
        fields
    }

    /// Adds the properties of several alternatives, and requires what all of them require.
    fn add_alternatives(&mut self, alternatives: Vec<Self>) {
        let shared: Vec<String> = alternatives.first().map_or_else(Vec::new, |first| {
            first
                .required
                .iter()
                .filter(|name| {
                    alternatives
                        .iter()
                        .all(|other| other.required.contains(name))
                })
                .cloned()
                .collect()
        });
        let mut union = Self::default();
        for alternative in alternatives {
            union.name(alternative.properties, either);
        }
        self.name(union.properties, |own, other| {
            if own.get("anyOf") == Some(&anything()) {
                other.clone()
            } else {
                own.clone()
            }
        });
        self.require(shared.iter().map(String::as_str));
    }

    /// Adds properties; `unite` merges those that exist in both.
    fn name(&mut self, others: Map<String, Value>, unite: impl Fn(&Value, &Value) -> Value) {
        for (name, schema) in others {
            match self.properties.get_mut(&name) {
                Some(own) if *own == schema => {}
                Some(own) => *own = unite(own, &schema),
                None => drop(self.properties.insert(name, schema)),
            }
        }
    }

    /// Adds names to the required ones.
    fn require<'a>(&mut self, names: impl Iterator<Item = &'a str>) {
        for name in names {
            if !self.required.iter().any(|known| known == name) {
                self.required.push(name.to_owned());
            }
        }
    }
}

/// Returns a schema for both, as far as one schema can express it.
fn both(own: &Value, other: &Value) -> Value {
    let mut united = own.clone();
    if let (Some(members), Some(other)) = (united.as_object_mut(), other.as_object()) {
        merge(members, other);
    }
    united
}

/// Returns a schema for either. Constants, such as those of a discriminator, become one `enum`.
fn either(own: &Value, other: &Value) -> Value {
    if let (Some(mut values), Some(more)) = (constants(own), constants(other)) {
        for value in more {
            if !values.contains(&value) {
                values.push(value);
            }
        }
        let types = values
            .iter()
            .map(SchemaTypeSet::of_value)
            .reduce(SchemaTypeSet::or);
        let mut united = own.as_object().cloned().unwrap_or_default();
        united.shift_remove("const");
        if let Some(types) = types.and_then(SchemaTypeSet::to_value) {
            united.insert("type".to_owned(), types);
        }
        united.insert("enum".to_owned(), Value::Array(values));
        return Value::Object(united);
    }
    let mut alternatives = match own.as_object() {
        Some(members) if members.len() == 1 && members.contains_key("anyOf") => {
            list(members, "anyOf").to_vec()
        }
        _ => vec![own.clone()],
    };
    if !alternatives.contains(other) {
        alternatives.push(other.clone());
    }
    json!({"anyOf": alternatives})
}

/// Returns the values of a schema that lists them.
fn constants(schema: &Value) -> Option<Vec<Value>> {
    match (schema.get("const"), schema.get("enum")) {
        (Some(value), None) => Some(vec![value.clone()]),
        (None, Some(Value::Array(values))) => Some(values.clone()),
        _ => None,
    }
}

/// Writes the object: `type` first, the server's keywords in their order, `required` last.
fn finished(
    members: &Map<String, Value>,
    fields: ObjectProperties,
    is_open: bool,
) -> Map<String, Value> {
    let ObjectProperties {
        mut properties,
        required,
    } = fields;
    // Callers can send only named properties.
    for name in &required {
        if !properties.contains_key(name) {
            properties.insert(name.clone(), json!({"anyOf": anything()}));
        }
    }
    let mut schema = Map::new();
    schema.insert("type".to_owned(), "object".into());
    for (keyword, value) in members {
        match keyword.as_str() {
            "type" | "required" | "allOf" | "anyOf" | "oneOf" | "not" | "enum" | "const"
            | "items" => {}
            "default" if !value.is_object() => {}
            "properties" => {
                schema.insert("properties".to_owned(), Value::Null);
            }
            _ => {
                schema.insert(keyword.clone(), value.clone());
            }
        }
    }
    schema.insert("properties".to_owned(), Value::Object(properties));
    if !required.is_empty() {
        schema.insert("required".to_owned(), required.into());
    }
    if is_open {
        schema
            .entry("additionalProperties")
            .or_insert(Value::Bool(true));
    }
    schema
}
