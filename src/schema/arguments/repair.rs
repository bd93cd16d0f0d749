//! From a schema as servers write it to one that compiles.

use jsonschema::{Draft, PatternOptions, ValidationOptions, Validator};
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

use super::types::Types;

/// How many keywords are dropped before the whole schema is.
const REPAIRS_MAX: usize = 32;

/// How often a pattern with look-around may try again: enough for any honest one, at most some
/// milliseconds. All other patterns run in linear time.
const BACKTRACK_MAX: usize = 50_000;

/// The memory a compiled pattern may take, in bytes.
const PATTERN_BYTES_MAX: usize = 2 << 20;

/// Keywords that hold one schema.
const ONE: &[&str] = &[
    "additionalItems",
    "additionalProperties",
    "contains",
    "else",
    "if",
    "items",
    "not",
    "propertyNames",
    "then",
    "unevaluatedItems",
    "unevaluatedProperties",
];

/// Keywords that hold a list of schemas.
const LIST: &[&str] = &["allOf", "anyOf", "items", "oneOf", "prefixItems"];

/// Keywords that hold schemas by name.
const NAMED: &[&str] = &[
    "$defs",
    "definitions",
    "dependencies",
    "dependentSchemas",
    "patternProperties",
    "properties",
];

/// A schema that compiles.
#[derive(Debug)]
pub struct Repaired {
    /// Without the keywords that made no sense.
    pub schema: Value,
    /// Its dialect.
    pub draft: Draft,
    /// The whole of it, compiled.
    pub validator: Validator,
}

/// Drops what does not compile and says so; `None` if nothing sensible is left.
pub fn repair(schema: &Value, warnings: &mut Vec<String>) -> Option<Repaired> {
    let Value::Object(schema) = schema else {
        warnings.push("the tool has no input schema, any object is accepted".to_owned());
        return None;
    };
    if !Types::declared(schema).contains(Types::OBJECT) {
        warnings.push("the input schema describes no object, any object is accepted".to_owned());
        return None;
    }
    let draft = draft(schema);
    let mut schema = schema.clone();
    // The dialect is chosen; a base for references would only lead away from the document.
    schema.retain(|key, _| key != "$schema" && key != "$id");
    require_declared_only(&mut schema, warnings);
    let mut schema = Value::Object(schema);
    let bad_refs = dangling(&schema);
    tidy(&mut schema, draft, &bad_refs, warnings);
    for _ in 0..REPAIRS_MAX {
        let error = match options(draft).build(&schema) {
            Ok(validator) => {
                return Some(Repaired {
                    schema,
                    draft,
                    validator,
                });
            }
            Err(error) => error,
        };
        let place = error.instance_path().as_str();
        if !remove(&mut schema, place) {
            warnings.push(format!(
                "the input schema does not compile, any object is accepted: {error}"
            ));
            return None;
        }
        warnings.push(format!("`{place}` of the input schema is ignored: {error}"));
    }
    warnings.push("the input schema has too many mistakes, any object is accepted".to_owned());
    None
}

/// How we validate, in a dialect.
pub fn options(draft: Draft) -> ValidationOptions<'static> {
    let patterns = PatternOptions::fancy_regex()
        .backtrack_limit(BACKTRACK_MAX)
        .size_limit(PATTERN_BYTES_MAX);
    jsonschema::options()
        .with_draft(draft)
        .offline()
        .should_validate_formats(false)
        .without_content_encoding_support("base64")
        .without_content_media_type_support("application/json")
        .with_pattern_options(patterns)
}

/// The JSON pointer of a reference into its own document.
pub fn pointer_of(reference: &str) -> Option<String> {
    let fragment = reference.strip_prefix('#')?;
    let pointer = percent_decode_str(fragment).decode_utf8().ok()?;
    (pointer.is_empty() || pointer.starts_with('/')).then(|| pointer.into_owned())
}

/// The dialect that `$schema` names.
fn draft(schema: &Map<String, Value>) -> Draft {
    let uri = schema
        .get("$schema")
        .and_then(Value::as_str)
        .unwrap_or_default();
    match uri {
        _ if uri.contains("draft-04") => Draft::Draft4,
        _ if uri.contains("draft-06") => Draft::Draft6,
        _ if uri.contains("draft-07") => Draft::Draft7,
        _ if uri.contains("2019-09") => Draft::Draft201909,
        _ => Draft::Draft202012,
    }
}

/// Ignores requirements of arguments that the tool does not describe, as mcpo does: the model
/// cannot know what to send.
fn require_declared_only(schema: &mut Map<String, Value>, warnings: &mut Vec<String>) {
    let composed = ["$ref", "allOf", "anyOf", "oneOf", "patternProperties"];
    if composed.iter().any(|key| schema.contains_key(*key)) {
        return;
    }
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
        return;
    };
    let declared: Vec<String> = properties.keys().cloned().collect();
    let Some(Value::Array(required)) = schema.get_mut("required") else {
        return;
    };
    required.retain(|name| {
        let known = name
            .as_str()
            .is_none_or(|name| declared.iter().any(|key| key == name));
        if !known {
            warnings.push(format!(
                "the argument {name} is required but not described, and not asked for"
            ));
        }
        known
    });
}

/// The references that lead nowhere, or out of the document: those are never followed.
fn dangling(schema: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![schema];
    while let Some(value) = open.pop() {
        match value {
            Value::Object(members) => {
                if let Some(Value::String(reference)) = members.get("$ref") {
                    let target = pointer_of(reference).map(|pointer| schema.pointer(&pointer));
                    let anchor = reference.starts_with('#') && target.is_none();
                    if !anchor && target.flatten().is_none() {
                        found.push(reference.clone());
                    }
                }
                open.extend(members.values());
            }
            Value::Array(items) => open.extend(items),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    found
}

/// Puts each schema in the form its dialect wants.
fn tidy(schema: &mut Value, draft: Draft, bad_refs: &[String], warnings: &mut Vec<String>) {
    let Value::Object(members) = schema else {
        return;
    };
    // A dialect is chosen for the whole document.
    members.remove("$schema");
    if let Some(Value::String(reference)) = members.get("$ref")
        && bad_refs.contains(reference)
    {
        warnings.push(format!(
            "the reference `{reference}` leads nowhere and is ignored"
        ));
        members.remove("$ref");
    }
    if draft == Draft::Draft202012 && members.get("items").is_some_and(Value::is_array) {
        let tuple = members.remove("items").unwrap_or_default();
        members.insert("prefixItems".to_owned(), tuple);
        if let Some(rest) = members.remove("additionalItems") {
            members.insert("items".to_owned(), rest);
        }
    }
    for (key, value) in members.iter_mut() {
        let key = key.as_str();
        match value {
            Value::Object(named) if NAMED.contains(&key) => {
                for (_, schema) in named.iter_mut() {
                    tidy(schema, draft, bad_refs, warnings);
                }
            }
            Value::Array(list) if LIST.contains(&key) => {
                for schema in list {
                    tidy(schema, draft, bad_refs, warnings);
                }
            }
            one if ONE.contains(&key) => tidy(one, draft, bad_refs, warnings),
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Array(_)
            | Value::Object(_) => {}
        }
    }
}

/// Removes what a JSON pointer points at.
fn remove(schema: &mut Value, pointer: &str) -> bool {
    let Some((parent, last)) = pointer.rsplit_once('/') else {
        return false;
    };
    match schema.pointer_mut(parent) {
        Some(Value::Object(members)) => {
            let key = last.replace("~1", "/").replace("~0", "~");
            members.shift_remove(&key).is_some()
        }
        Some(Value::Array(items)) => match last.parse::<usize>() {
            Ok(index) if index < items.len() => {
                items.remove(index);
                true
            }
            _ => false,
        },
        _ => false,
    }
}
