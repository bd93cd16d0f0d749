//! A server's schema, made readable for OpenAPI clients. Pure: nothing is fetched, and no schema
//! can make it panic, overflow the stack or take more than linear time.
//!
//! What is published keeps every constraint the server wrote; only its *form* changes, because
//! code generators and `Open WebUI`'s converter (openwebui §3.1) read less than JSON Schema allows:
//!
//! 1. [`inline`]: references become copies; recursion becomes a named component.
//! 2. [`repair`]: keywords of the wrong type go, older drafts' forms become 2020-12's.
//! 3. [`flatten`]: `allOf`, and alternatives that are none, dissolve where nothing is lost.
//! 4. [`types`]: what the converter would otherwise take for a string says what it is.
//! 5. [`top`]: arguments are always an object with named properties.
//! 6. [`rename`]: names that model providers refuse become names that they take.
//! 7. [`bounded`]: what model providers find too deep or too large is loosened.
//!
//! Steps 2 to 4 are `schemars` transforms. What a schema says against itself is loosened before.

mod bounded;
mod expansion;
mod flatten;
mod inline;
pub(super) mod keyword;
mod refs;
mod rename;
mod repair;
#[cfg(test)]
mod tests;
mod top;
mod types;

use schemars::{Schema, transform::Transform};
use serde_json::{Map, Value};

use self::{
    flatten::Flatten,
    inline::{Inlined, Reuse},
    repair::Repair,
    types::Fill,
};
use super::{Habits, contradictions, names::Names};

/// One schema as it stands in our documents.
#[derive(Debug, Clone, PartialEq)]
pub struct Published {
    /// The schema; for arguments always `{"type": "object", "properties": {…}, …}`.
    pub schema: Value,
    /// What `schema` refers to as `#/components/schemas/NAME`: the name, then the schema. Empty
    /// unless the server's schema is recursive or too large to be copied in.
    pub components: Vec<(String, Value)>,
    /// What could not be published as written, for the operator; lower-case fragments.
    pub warnings: Vec<String>,
    /// Arguments have names that the schema does not tell: there are no properties, and others
    /// are welcome.
    pub free_form: bool,
}

/// Publishes a tool's `inputSchema`. `prefix` opens the names of components and must be the
/// tool's own within the document: `[A-Za-z0-9._-]`. Only where our habits count, what model
/// providers refuse is put right.
pub fn publish_input(source: &Value, prefix: &str, habits: Habits) -> Published {
    if !habits.helps {
        return publish_arguments(source, prefix, Vec::new());
    }
    let mut warnings = Vec::new();
    let loosened = contradictions::loosened(source, &mut warnings);
    let mut published = publish_arguments(&loosened, prefix, warnings);
    let names = Names::of(source);
    if let Some(warning) = names.warning() {
        published.warnings.push(warning);
        rename::rename(&mut published.schema, &names);
        for (_, body) in &mut published.components {
            rename::rename(body, &names);
        }
    }
    bounded::bound(
        &mut published.schema,
        &mut published.components,
        &mut published.warnings,
    );
    published
}

/// Steps 1 to 5.
fn publish_arguments(source: &Value, prefix: &str, mut warnings: Vec<String>) -> Published {
    let (schema, components, more) = read(source, prefix, true);
    warnings.extend(more);
    let top = top::object(&schema, source, &mut warnings);
    Published {
        schema: Value::Object(top.schema),
        components,
        warnings,
        free_form: top.free_form,
    }
}

/// Publishes a tool's `outputSchema`, of whatever type. `prefix` as for [`publish_input`].
pub fn publish_output(source: &Value, prefix: &str) -> Published {
    let (schema, components, warnings) = read(source, prefix, false);
    Published {
        schema,
        components,
        warnings,
        free_form: false,
    }
}

/// Steps 1 to 4; only arguments are read by the converter.
fn read(
    source: &Value,
    prefix: &str,
    arguments: bool,
) -> (Value, Vec<(String, Value)>, Vec<String>) {
    let Inlined {
        schema,
        mut components,
        mut warnings,
    } = inlined(source, prefix);
    let mut schema = into_schema(schema);
    let mut bodies: Vec<Schema> = components
        .iter_mut()
        .map(|(_, body)| into_schema(body.take()))
        .collect();

    let mut repair = Repair::default();
    for schema in bodies.iter_mut().chain([&mut schema]) {
        repair.transform(schema);
        Flatten.transform(schema);
    }
    let mut types = Fill::new(
        arguments,
        components
            .iter()
            .map(|(name, _)| name.as_str())
            .zip(&bodies),
    );
    for schema in bodies.iter_mut().chain([&mut schema]) {
        types.transform(schema);
    }

    for ((_, body), schema) in components.iter_mut().zip(bodies) {
        *body = schema.to_value();
    }
    warnings.extend(repair.warnings());
    (schema.to_value(), components, warnings)
}

/// Tries the copy that reads best first. What no way can hold is published by its names alone.
fn inlined(source: &Value, prefix: &str) -> Inlined {
    [Reuse::Copy, Reuse::Name, Reuse::Cut]
        .into_iter()
        .filter_map(|reuse| inline::inline(source, prefix, reuse).ok())
        .find(|inlined| expansion::is_finite(&inlined.schema, &inlined.components))
        .unwrap_or_else(|| Inlined {
            schema: names_of(source),
            components: Vec::new(),
            warnings: vec!["its schema is too large to publish; only its names are".to_owned()],
        })
}

/// The names of the top-level properties, with nothing said of them.
fn names_of(source: &Value) -> Value {
    /// More names help nobody.
    const NAMES_MAX: usize = 500;

    let properties: Map<String, Value> = source
        .get("properties")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .take(NAMES_MAX)
        .map(|(name, _)| (name.clone(), Value::Bool(true)))
        .collect();
    serde_json::json!({"type": "object", "properties": properties, "additionalProperties": true})
}

/// `true` becomes `{}`; anything but a schema has gone before.
fn into_schema(value: Value) -> Schema {
    match value {
        Value::Object(members) => members.into(),
        Value::Bool(false) => {
            Map::from_iter([("not".to_owned(), Value::Object(Map::new()))]).into()
        }
        Value::Bool(true) | Value::Null | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Map::new().into()
        }
    }
}
