//! Publishes a server's schema in a form that OpenAPI clients can read. Pure: nothing is fetched, and schemas
//! cannot make it panic, overflow the stack or take more than linear time.
//!
//! The published schema keeps every constraint of the server. Only its *form* changes, because code
//! generators and `Open WebUI`'s converter support less than JSON Schema allows:
//!
//! 1. [`inline`]: references become copies; recursion becomes a named component.
//! 2. [`repair`]: keywords of the wrong type are removed, and older drafts are converted to 2020-12.
//! 3. [`flatten`]: `allOf` and single alternatives are merged if nothing is lost.
//! 4. [`types`]: schemas that the converter would treat as strings get a type.
//! 5. [`top`]: arguments are always an object with named properties.
//! 6. [`rename`]: names that model providers reject are replaced.
//! 7. [`bounded`]: what is too deep or too large for model providers is loosened.
//!
//! Steps 2 to 4 are `schemars` transforms. Contradictions in a schema are loosened before step 1.

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
    flatten::FlattenTransform,
    inline::{InlineMode, InlinedSchema},
    repair::RepairTransform,
    types::FillTypesTransform,
};
use super::{SchemaFlavor, contradictions, names::ArgumentNames};

/// One schema in its published form.
#[derive(Debug, Clone, PartialEq)]
pub struct PublishedSchema {
    /// The schema; for arguments always `{"type": "object", "properties": {…}, …}`.
    pub schema: Value,
    /// The components that `schema` refers to as `#/components/schemas/NAME`: the name, then the schema.
    /// Empty unless the server's schema is recursive or too large to be copied.
    pub components: Vec<(String, Value)>,
    /// What could not be published as written, for the operator. Phrases in lower case.
    pub warnings: Vec<String>,
    /// Whether the schema does not name the arguments: it has no properties and allows others.
    pub free_form: bool,
}

/// Publishes a tool's `inputSchema`. `prefix` is the start of component names and must be unique to the tool
/// within the document: `[A-Za-z0-9._-]`. With mcp-bridge's own conventions, parts that model providers
/// reject are corrected.
pub fn publish_input(source: &Value, prefix: &str, habits: SchemaFlavor) -> PublishedSchema {
    if !habits.helps {
        return publish_arguments(source, prefix, Vec::new());
    }
    let mut warnings = Vec::new();
    let loosened = contradictions::loosened(source, &mut warnings);
    let mut published = publish_arguments(&loosened, prefix, warnings);
    let names = ArgumentNames::of(source);
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

/// Runs steps 1 to 5.
fn publish_arguments(source: &Value, prefix: &str, mut warnings: Vec<String>) -> PublishedSchema {
    let (schema, components, more) = read(source, prefix, true);
    warnings.extend(more);
    let top = top::object(&schema, source, &mut warnings);
    PublishedSchema {
        schema: Value::Object(top.schema),
        components,
        warnings,
        free_form: top.free_form,
    }
}

/// Publishes a tool's `outputSchema` of any type. `prefix` as for [`publish_input`].
pub fn publish_output(source: &Value, prefix: &str) -> PublishedSchema {
    let (schema, components, warnings) = read(source, prefix, false);
    PublishedSchema {
        schema,
        components,
        warnings,
        free_form: false,
    }
}

/// Runs steps 1 to 4. The converter reads only arguments.
fn read(
    source: &Value,
    prefix: &str,
    arguments: bool,
) -> (Value, Vec<(String, Value)>, Vec<String>) {
    let InlinedSchema {
        schema,
        mut components,
        mut warnings,
    } = inlined(source, prefix);
    let mut schema = into_schema(schema);
    let mut bodies: Vec<Schema> = components
        .iter_mut()
        .map(|(_, body)| into_schema(body.take()))
        .collect();

    let mut repair = RepairTransform::default();
    for schema in bodies.iter_mut().chain([&mut schema]) {
        repair.transform(schema);
        FlattenTransform.transform(schema);
    }
    let mut types = FillTypesTransform::new(
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

/// Tries the most readable form first. A schema that fits no form is published with only its names.
fn inlined(source: &Value, prefix: &str) -> InlinedSchema {
    [InlineMode::Copy, InlineMode::Name, InlineMode::Cut]
        .into_iter()
        .filter_map(|reuse| inline::inline(source, prefix, reuse).ok())
        .find(|inlined| expansion::is_finite(&inlined.schema, &inlined.components))
        .unwrap_or_else(|| InlinedSchema {
            schema: names_of(source),
            components: Vec::new(),
            warnings: vec!["its schema is too large to publish; only its names are".to_owned()],
        })
}

/// Returns the names of the top-level properties without their schemas.
fn names_of(source: &Value) -> Value {
    /// The maximum number of names.
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

/// Converts `true` to `{}`. The previous steps have removed everything that is not a schema.
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
