//! Properties that are required and forbidden at the same time.

use serde_json::{Map, Value};

use super::{is_impossible, number};

/// Loosens one schema.
pub fn loosen(members: &mut Map<String, Value>, said: &mut Vec<String>) {
    let properties = members.get("properties").and_then(Value::as_object);
    let names: Vec<String> = properties
        .into_iter()
        .flatten()
        .filter(|(_, schema)| !is_impossible(schema))
        .map(|(name, _)| name.clone())
        .collect();
    let impossible: Vec<String> = properties
        .into_iter()
        .flatten()
        .filter(|(_, schema)| is_impossible(schema))
        .map(|(name, _)| name.clone())
        .collect();
    let is_closed = is_closed(members);
    let known: std::collections::HashSet<&str> = names.iter().map(String::as_str).collect();
    let may_be = |name: &Value| {
        name.as_str().is_none_or(|name| {
            known.contains(name) || !(is_closed || impossible.iter().any(|other| other == name))
        })
    };
    if members
        .get_mut("required")
        .is_some_and(|names| keep(names, may_be))
    {
        said.push(
            "`required` lists properties that the schema forbids; they are not required".to_owned(),
        );
    }
    for keyword in ["dependentRequired", "dependencies"] {
        let Some(Value::Object(table)) = members.get_mut(keyword) else {
            continue;
        };
        let mut is_loosened = false;
        for (_, wanted) in table.iter_mut() {
            is_loosened |= keep(wanted, may_be);
        }
        if is_loosened {
            said.push(format!(
                "`{keyword}` lists properties that the schema forbids; they are not required"
            ));
        }
    }
    counts(members, is_closed.then_some(names.len()), said);
}

/// Keeps the names of allowed properties. Returns whether there were others.
fn keep(names: &mut Value, may_be: impl Fn(&Value) -> bool) -> bool {
    let Value::Array(names) = names else {
        return false;
    };
    let before = names.len();
    names.retain(may_be);
    names.len() < before
}

/// Whether an object may have only the properties that it defines.
fn is_closed(members: &Map<String, Value>) -> bool {
    /// Keywords that define further properties for `unevaluatedProperties`.
    const BESIDE: [&str; 9] = [
        "$ref",
        "$dynamicRef",
        "$recursiveRef",
        "allOf",
        "anyOf",
        "oneOf",
        "if",
        "dependentSchemas",
        "additionalProperties",
    ];
    let is_refused = |keyword: &str| members.get(keyword).is_some_and(is_impossible);
    let is_alone = || !BESIDE.iter().any(|keyword| members.contains_key(*keyword));
    !members.contains_key("patternProperties")
        && (is_refused("additionalProperties")
            || (is_refused("unevaluatedProperties") && is_alone()))
}

/// Handles impossible limits on the number of properties.
#[expect(
    clippy::cast_precision_loss,
    reason = "schemas have fewer than 2^52 names"
)]
fn counts(members: &mut Map<String, Value>, named: Option<usize>, said: &mut Vec<String>) {
    if let (Some(named), Some(least)) = (named, number(members, "minProperties"))
        && least > named as f64
    {
        members.shift_remove("minProperties");
        said.push(
            "`minProperties` is larger than its number of properties; it is left out".to_owned(),
        );
    }
    let required = members.get("required").and_then(Value::as_array);
    if let (Some(required), Some(most)) = (required, number(members, "maxProperties"))
        && most < required.len() as f64
    {
        members.shift_remove("maxProperties");
        said.push(
            "`maxProperties` is smaller than the number of required properties; it is left out"
                .to_owned(),
        );
    }
}
