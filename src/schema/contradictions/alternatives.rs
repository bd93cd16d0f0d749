//! Alternatives that contradict the rest of their schema or each other.

use serde_json::{Map, Value};

use super::{is_impossible, own_types};
use crate::schema::{arguments::types::ValueTypeSet, publish::keyword::is_annotation};

/// Loosens one schema.
pub fn loosen(members: &mut Map<String, Value>, is_top: bool, said: &mut Vec<String>) {
    for keyword in ["anyOf", "oneOf"] {
        of_another_type(members, keyword, is_top, said);
    }
    one_of_twins(members, said);
}

/// Handles alternatives that all differ from the adjacent type. Arguments stay an object; elsewhere the
/// alternatives take precedence over the type.
fn of_another_type(
    members: &mut Map<String, Value>,
    keyword: &str,
    is_top: bool,
    said: &mut Vec<String>,
) {
    let own = own_types(members);
    let Some(Value::Array(schemas)) = members.get(keyword) else {
        return;
    };
    let are_foreign = !schemas.is_empty()
        && schemas.iter().all(|schema| {
            let types = schema.as_object().map_or(ValueTypeSet::ALL, own_types);
            is_impossible(schema) || own.and(types) == ValueTypeSet::NONE
        });
    if are_foreign {
        let wrong = if is_top { keyword } else { "type" };
        members.shift_remove(wrong);
        said.push(format!(
            "all alternatives of its `{keyword}` contradict its own `type`; `{wrong}` is left out"
        ));
    }
}

/// Handles `oneOf` alternatives that accept the same values. A value that fits one of them fits the other, so
/// that it can never fit exactly one.
fn one_of_twins(members: &mut Map<String, Value>, said: &mut Vec<String>) {
    /// The maximum number of alternatives, each of which is compared with all others.
    const COMPARED_MAX: usize = 50;

    let Some(Value::Array(schemas)) = members.get("oneOf") else {
        return;
    };
    if members.contains_key("anyOf") || schemas.len() > COMPARED_MAX {
        return;
    }
    let checked: Vec<Value> = schemas.iter().map(bare).collect();
    let are_twins = checked
        .iter()
        .enumerate()
        .any(|(place, one)| checked.iter().skip(place + 1).any(|other| one == other));
    if are_twins && let Some(schemas) = members.shift_remove("oneOf") {
        members.insert("anyOf".to_owned(), schemas);
        said.push(
            "alternatives of its `oneOf` accept the same values; any of them may fit".to_owned(),
        );
    }
}

/// Returns a schema without keywords that are not checked.
fn bare(schema: &Value) -> Value {
    match schema {
        Value::Object(members) => members
            .iter()
            .filter(|(keyword, _)| !is_annotation(keyword) && *keyword != "format")
            .map(|(keyword, value)| (keyword.clone(), value.clone()))
            .collect(),
        other => other.clone(),
    }
}
