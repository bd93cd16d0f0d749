//! [`InputSchema`]: builds the schema of a tool's arguments.

use serde_json::{Map, Value, json};

use super::{
    media::json_schema,
    names::UniqueNames,
    parameter::text,
    schema::{ResolvableDocument, SchemaDefinitions},
};

/// An input schema under construction.
#[derive(Debug, Default)]
pub struct InputSchema {
    /// The schema without `properties` and `required`.
    pub rest: Map<String, Value>,
    /// The schema of each argument.
    pub properties: Map<String, Value>,
    /// The required arguments.
    pub required: Vec<Value>,
}

impl InputSchema {
    /// Returns an argument name for a parameter: its own name, unless another parameter or a field of the
    /// body uses it.
    pub fn free_name(&self, place: &str, name: &str) -> String {
        if !self.properties.contains_key(name) {
            return name.to_owned();
        }
        let mut names = UniqueNames::default();
        let wish = format!("{place}_{name}");
        loop {
            let free = names.free(&wish, |name, number| format!("{name}_{number}"));
            if !self.properties.contains_key(&free) {
                return free;
            }
        }
    }

    /// Adds a parameter.
    pub fn add(
        &mut self,
        document: ResolvableDocument<'_>,
        parameter: &Value,
        argument: &str,
        definitions: &mut SchemaDefinitions,
    ) {
        let described = parameter.get("schema").or_else(|| json_schema(parameter));
        let schema = document.take(described.unwrap_or(&Value::Bool(true)), definitions);
        let is_required = parameter.get("required") == Some(&Value::Bool(true));
        self.insert(
            argument,
            schema,
            text(parameter, "description"),
            is_required,
        );
    }

    /// Adds an argument.
    pub fn insert(
        &mut self,
        argument: &str,
        schema: Value,
        description: Option<&str>,
        is_required: bool,
    ) {
        let mut schema = match schema {
            Value::Object(schema) => schema,
            _ => Map::new(),
        };
        if let Some(words) = description.filter(|words| !words.is_empty()) {
            schema.entry("description").or_insert_with(|| json!(words));
        }
        self.properties
            .insert(argument.to_owned(), Value::Object(schema));
        if is_required {
            self.required.push(json!(argument));
        }
    }

    /// Returns the finished schema.
    pub fn schema(self, document: ResolvableDocument<'_>, definitions: SchemaDefinitions) -> Value {
        let mut schema = Map::new();
        schema.insert("type".to_owned(), json!("object"));
        schema.extend(self.rest);
        schema.insert("properties".to_owned(), Value::Object(self.properties));
        if !self.required.is_empty() {
            schema.insert("required".to_owned(), Value::Array(self.required));
        }
        let definitions = document.finish(definitions);
        if !definitions.is_empty() {
            schema.insert("$defs".to_owned(), Value::Object(definitions));
        }
        Value::Object(schema)
    }
}
