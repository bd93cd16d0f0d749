//! Step 3: `allOf`, and unions with only one alternative, are merged into the enclosing schema if that loses
//! nothing. All clients understand plain schemas, but few understand `allOf`.

use std::{collections::HashSet, mem};

use schemars::{Schema, transform::Transform};
use serde_json::{Map, Value, json};

use super::{
    keyword::{descend, is_annotation, list},
    types::SchemaTypeSet,
};

/// The transform. It works from the inside out.
#[derive(Debug)]
pub struct FlattenTransform;

impl Transform for FlattenTransform {
    fn transform(&mut self, schema: &mut Schema) {
        descend(self, schema);
        if let Some(members) = schema.as_object_mut() {
            nested_any_of(members);
            any_of_anything(members);
            only_alternative(members);
            all_of(members);
        }
    }
}

/// Merges two schemas that both apply. The annotations of `into` take precedence. Returns `false` and leaves
/// `into` unchanged if one schema cannot express both.
pub fn merge(into: &mut Map<String, Value>, from: &Map<String, Value>) -> bool {
    let is_apart = |keyword: &str| is_part_of_more(keyword) && !from.contains_key(keyword);
    if into.contains_key("$ref")
        || from.contains_key("$ref")
        || is_closed_to(into, from)
        || is_closed_to(from, into)
        || (from
            .keys()
            .any(|keyword| is_part_of_more(keyword) && !into.contains_key(keyword))
            && into.keys().any(|keyword| is_apart(keyword)))
    {
        return false;
    }
    let mut changes = Vec::new();
    let mut properties = Vec::new();
    for (keyword, value) in from {
        let united = match into.get(keyword) {
            None => value.clone(),
            Some(own) if own == value || is_annotation(keyword) => continue,
            Some(Value::Object(own)) if keyword == "properties" => {
                match both_properties(own, value) {
                    Some(more) => properties = more,
                    None => return false,
                }
                continue;
            }
            Some(own) => match both(keyword, own, value) {
                Some(united) => united,
                None => return false,
            },
        };
        changes.push((keyword.clone(), united));
    }
    into.extend(changes);
    if let Some(Value::Object(own)) = into.get_mut("properties") {
        own.extend(properties);
    }
    true
}

/// Merges two values of one keyword.
fn both(keyword: &str, own: &Value, other: &Value) -> Option<Value> {
    match keyword {
        "type" => SchemaTypeSet::of_names(own)
            .and(SchemaTypeSet::of_names(other))
            .to_value(),
        "required" | "allOf" => {
            let mut entries = own.as_array()?.clone();
            let known: HashSet<&Value> = own.as_array()?.iter().collect();
            let more = other.as_array()?.iter().filter(|one| !known.contains(one));
            entries.extend(more.cloned());
            Some(Value::Array(entries))
        }
        "enum" => {
            let known: HashSet<&Value> = other.as_array()?.iter().collect();
            let shared = own.as_array()?.iter().filter(|one| known.contains(one));
            let shared: Vec<Value> = shared.cloned().collect();
            (!shared.is_empty()).then_some(Value::Array(shared))
        }
        "minimum" | "exclusiveMinimum" | "minLength" | "minItems" | "minProperties" => {
            let is_own = own.as_f64()? >= other.as_f64()?;
            Some(if is_own { own } else { other }.clone())
        }
        "maximum" | "exclusiveMaximum" | "maxLength" | "maxItems" | "maxProperties" => {
            let is_own = own.as_f64()? <= other.as_f64()?;
            Some(if is_own { own } else { other }.clone())
        }
        "uniqueItems" => Some(Value::Bool(true)),
        _ => None,
    }
}

/// Returns the properties that `other` adds or changes.
fn both_properties(own: &Map<String, Value>, other: &Value) -> Option<Vec<(String, Value)>> {
    let mut changes = Vec::new();
    for (name, schema) in other.as_object()? {
        match own.get(name) {
            None => changes.push((name.clone(), schema.clone())),
            Some(known) if known == schema => {}
            Some(known) => {
                let mut united = known.as_object()?.clone();
                if !merge(&mut united, schema.as_object()?) {
                    return None;
                }
                changes.push((name.clone(), Value::Object(united)));
            }
        }
    }
    Some(changes)
}

/// Whether `one` restricts the properties that it does not define, and `other` defines some of those.
fn is_closed_to(one: &Map<String, Value>, other: &Map<String, Value>) -> bool {
    let is_closed = ["additionalProperties", "unevaluatedProperties"]
        .into_iter()
        .filter_map(|keyword| one.get(keyword))
        .any(|limit| *limit != Value::Bool(true) && *limit != json!({}));
    if !is_closed {
        return false;
    }
    let named = one.get("properties");
    other.contains_key("patternProperties")
        || other
            .get("properties")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
            .any(|(name, _)| named.is_none_or(|named| named.get(name).is_none()))
}

/// Whether a keyword has a meaning only together with others of its schema.
fn is_part_of_more(keyword: &str) -> bool {
    matches!(
        keyword,
        "$ref"
            | "if"
            | "then"
            | "else"
            | "contains"
            | "minContains"
            | "maxContains"
            | "prefixItems"
            | "items"
            | "unevaluatedItems"
            | "contentSchema"
            | "contentMediaType"
            | "contentEncoding"
    )
}

/// Merges an `anyOf` directly inside an `anyOf`, which the converter would lose.
fn nested_any_of(members: &mut Map<String, Value>) {
    let is_bare = |schema: &Value| {
        schema.as_object().is_some_and(|inner| {
            inner.contains_key("anyOf")
                && inner
                    .keys()
                    .all(|keyword| keyword == "anyOf" || is_annotation(keyword))
        })
    };
    if !list(members, "anyOf").iter().any(is_bare) {
        return;
    }
    let mut flat = Vec::new();
    let mut has_null = false;
    if let Some(Value::Array(schemas)) = members.get_mut("anyOf") {
        for mut schema in mem::take(schemas) {
            let inner = if is_bare(&schema) {
                schema.get_mut("anyOf").map(Value::take)
            } else {
                None
            };
            let found = match inner {
                Some(Value::Array(inner)) => inner,
                _ => vec![schema],
            };
            for schema in found {
                let is_null = schema == json!({"type": "null"});
                if !(is_null && has_null) {
                    flat.push(schema);
                }
                has_null |= is_null;
            }
        }
        *schemas = flat;
    }
}

/// Removes an `anyOf` if one of its alternatives accepts everything.
fn any_of_anything(members: &mut Map<String, Value>) {
    let anything = list(members, "anyOf").iter().find_map(|schema| {
        schema
            .as_object()
            .filter(|inner| inner.keys().all(|keyword| is_annotation(keyword)))
    });
    if let Some(notes) = anything.cloned() {
        members.shift_remove("anyOf");
        for (keyword, value) in notes {
            members.entry(keyword).or_insert(value);
        }
    }
}

/// Replaces a union with its only alternative.
fn only_alternative(members: &mut Map<String, Value>) {
    for keyword in ["anyOf", "oneOf"] {
        if list(members, keyword).len() != 1 {
            continue;
        }
        if let Some(Value::Array(mut only)) = members.shift_remove(keyword) {
            let all = members.entry("allOf").or_insert_with(|| json!([]));
            if let Some(all) = all.as_array_mut() {
                all.append(&mut only);
            }
        }
    }
}

/// Merges the schemas that can be merged. The others stay.
fn all_of(members: &mut Map<String, Value>) {
    let Some(Value::Array(schemas)) = members.shift_remove("allOf") else {
        return;
    };
    let mut rest = Vec::new();
    for schema in schemas {
        if let Value::Object(one) = &schema
            && !merge(members, one)
        {
            rest.push(schema);
        }
    }
    if let Some(Value::Array(merged)) = members.shift_remove("allOf") {
        rest.extend(merged);
    }
    if !rest.is_empty() {
        members.insert("allOf".to_owned(), Value::Array(rest));
    }
}
