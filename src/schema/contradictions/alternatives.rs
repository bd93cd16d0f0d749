//! Alternatives that cannot hold beside the rest of their schema, or beside each other.

use serde_json::{Map, Value};

use super::{is_impossible, own_types};
use crate::schema::{arguments::types::Types, publish::keyword::is_annotation};

/// Loosens one schema.
pub fn loosen(members: &mut Map<String, Value>, is_top: bool, said: &mut Vec<String>) {
    for keyword in ["anyOf", "oneOf"] {
        of_another_type(members, keyword, is_top, said);
    }
    one_of_twins(members, said);
}

/// Alternatives none of which is of the type beside them. Arguments stay an object; elsewhere the
/// alternatives say more than the type.
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
            let types = schema.as_object().map_or(Types::ALL, own_types);
            is_impossible(schema) || own.and(types) == Types::NONE
        });
    if are_foreign {
        let wrong = if is_top { keyword } else { "type" };
        members.shift_remove(wrong);
        said.push(format!(
            "no alternative of its `{keyword}` is of its own `type`; `{wrong}` is left out"
        ));
    }
}

/// `oneOf` alternatives that differ in nothing that is checked: what fits one of them fits the other,
/// so that no value could fit exactly one.
fn one_of_twins(members: &mut Map<String, Value>, said: &mut Vec<String>) {
    /// More are not compared, each with all others.
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
        said.push("alternatives of its `oneOf` accept the same; any of them may fit".to_owned());
    }
}

/// A schema without what is not checked.
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
