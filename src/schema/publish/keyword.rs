//! The keywords of all drafts of JSON Schema, and the kinds of their values.

use std::mem;

use schemars::{Schema, transform::Transform, transform::transform_subschemas};
use serde_json::{Map, Value};

/// The kind of a keyword's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeywordKind {
    /// One schema.
    Schema,
    /// A list of schemas.
    List,
    /// Schemas by name.
    Names,
    /// `items`: a schema, or a list of schemas before 2020-12.
    Items,
    /// `dependencies` of draft-07: lists of names or schemas, by name.
    Dependencies,
    /// A reference to another schema.
    Reference,
    /// A keyword without a meaning once references are resolved, or with another meaning in OpenAPI.
    Noise,
    /// Anything else: values, numbers, texts, vendor extensions.
    Data,
}

/// Returns the kind of the value of `keyword`.
pub fn keyword_kind(keyword: &str) -> KeywordKind {
    match keyword {
        "not"
        | "if"
        | "then"
        | "else"
        | "contains"
        | "additionalProperties"
        | "additionalItems"
        | "propertyNames"
        | "unevaluatedItems"
        | "unevaluatedProperties"
        | "contentSchema" => KeywordKind::Schema,
        "allOf" | "anyOf" | "oneOf" | "prefixItems" => KeywordKind::List,
        "properties" | "patternProperties" | "dependentSchemas" => KeywordKind::Names,
        "items" => KeywordKind::Items,
        "dependencies" => KeywordKind::Dependencies,
        "$ref" | "$dynamicRef" | "$recursiveRef" => KeywordKind::Reference,
        // `discriminator` maps to references that no longer exist.
        "$schema" | "$id" | "$anchor" | "$dynamicAnchor" | "$recursiveAnchor" | "$vocabulary"
        | "$defs" | "definitions" | "discriminator" => KeywordKind::Noise,
        _ => KeywordKind::Data,
    }
}

/// Whether `Open WebUI`'s converter follows references under `keyword`.
pub fn is_converted(keyword: &str) -> bool {
    matches!(
        keyword,
        "properties" | "items" | "allOf" | "anyOf" | "oneOf"
    )
}

/// Whether the schema under `keyword` describes the same value as the enclosing schema.
pub fn is_in_place(keyword: &str) -> bool {
    matches!(
        keyword,
        "allOf"
            | "anyOf"
            | "oneOf"
            | "not"
            | "if"
            | "then"
            | "else"
            | "dependentSchemas"
            | "dependencies"
    )
}

/// Whether `keyword` is only a description.
pub fn is_annotation(keyword: &str) -> bool {
    matches!(
        keyword,
        "title"
            | "description"
            | "default"
            | "examples"
            | "example"
            | "deprecated"
            | "readOnly"
            | "writeOnly"
            | "$comment"
    ) || keyword.starts_with("x-")
}

/// Applies `transform` to each schema directly under `schema`, including keywords that `schemars` skips.
/// Boolean schemas stay where OpenAPI and its clients accept them.
pub fn descend<T: Transform + ?Sized>(transform: &mut T, schema: &mut Schema) {
    let open = schema
        .get_mut("additionalProperties")
        .filter(|value| value.is_boolean())
        .map(mem::take);
    transform_subschemas(transform, schema);
    if let (Some(open), Some(place)) = (open, schema.get_mut("additionalProperties")) {
        *place = open;
    }

    for keyword in ["unevaluatedItems", "unevaluatedProperties", "contentSchema"] {
        if let Some(value) = schema.get_mut(keyword).filter(|value| value.is_object()) {
            apply(transform, value);
        }
    }
    if let Some(Value::Object(schemas)) = schema.get_mut("dependentSchemas") {
        schemas
            .values_mut()
            .for_each(|value| apply(transform, value));
    }
}

/// Returns the list under `keyword`, or an empty one.
pub fn list<'a>(members: &'a Map<String, Value>, keyword: &str) -> &'a [Value] {
    members
        .get(keyword)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

/// Transforms a value that is a schema. Others are unchanged.
fn apply<T: Transform + ?Sized>(transform: &mut T, value: &mut Value) {
    if let Ok(schema) = value.try_into() {
        transform.transform(schema);
    }
}
