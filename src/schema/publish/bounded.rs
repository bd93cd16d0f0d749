//! Step 7: what model providers find too deep or too large is loosened below some level.
//!
//! Only the document says less; calls are still checked against the server's own schema.

use serde_json::{Map, Value, json};

use super::{
    keyword::{Holds, holds, is_annotation, is_in_place},
    types::anything,
};

/// Arguments in arguments.
const LEVELS_MAX: usize = 11;

/// Alternatives in alternatives count as well, but less.
const NESTED_MAX: usize = 22;

/// The largest schema of one tool, in bytes of JSON: a prompt with a larger one has little room left.
const BYTES_MAX: usize = 128 << 10;

/// Loosens the arguments of a tool and their components where they are too deep, and the more the
/// larger they are.
pub fn bound(schema: &mut Value, components: &mut [(String, Value)], warnings: &mut Vec<String>) {
    let mut is_cut = false;
    for body in components
        .iter_mut()
        .map(|(_, body)| body)
        .chain([&mut *schema])
    {
        is_cut |= cut(body, LEVELS_MAX, NESTED_MAX);
    }
    if is_cut {
        warnings.push(format!(
            "it nests deeper than the {LEVELS_MAX} levels that model providers take; what is below is published without its details"
        ));
    }
    let mut levels = LEVELS_MAX;
    let size = |schema: &Value, components: &[(String, Value)]| {
        let parts = components.iter().map(|(_, body)| size_of(body));
        size_of(schema) + parts.sum::<usize>()
    };
    let before = size(schema, components);
    while levels > 1 && size(schema, components) > BYTES_MAX {
        levels -= 1;
        for body in components
            .iter_mut()
            .map(|(_, body)| body)
            .chain([&mut *schema])
        {
            cut(body, levels, NESTED_MAX);
        }
    }
    if levels < LEVELS_MAX {
        warnings.push(format!(
            "it is larger than model providers take: of {before} bytes, what nests deeper than {levels} levels is published without its details"
        ));
    }
}

/// The size of a value on the wire.
fn size_of(value: &Value) -> usize {
    value.to_string().len()
}

/// Loosens what is deeper than so many levels; whether there was anything.
fn cut(schema: &mut Value, levels: usize, nested: usize) -> bool {
    let Value::Object(members) = schema else {
        return false;
    };
    let has_schemas = |members: &Map<String, Value>| {
        members.iter().any(|(keyword, value)| {
            holds(keyword) != Holds::Data && !value.is_boolean() && !is_leaf(keyword, value)
        })
    };
    if (levels == 0 || nested == 0) && has_schemas(members) && !members.contains_key("$ref") {
        loosen(members);
        return true;
    }
    let mut is_cut = false;
    for (keyword, value) in members.iter_mut() {
        let levels = levels.saturating_sub(usize::from(!is_in_place(keyword)));
        let mut inside =
            |schema: &mut Value| is_cut |= cut(schema, levels, nested.saturating_sub(1));
        match (holds(keyword), value) {
            (Holds::Schema | Holds::Items, value @ Value::Object(_)) => inside(value),
            (Holds::List | Holds::Items, Value::Array(schemas)) => {
                schemas.iter_mut().for_each(inside);
            }
            (Holds::Names, Value::Object(schemas)) => schemas.values_mut().for_each(inside),
            _ => {}
        }
    }
    is_cut
}

/// Whether what a keyword holds is as flat as what would be put in its place.
fn is_leaf(keyword: &str, value: &Value) -> bool {
    let is_flat = |schema: &Value| {
        schema
            .as_object()
            .is_none_or(|members| members.keys().all(|keyword| holds(keyword) == Holds::Data))
    };
    match keyword {
        "items" => *value == json!({}) || is_flat(value),
        "anyOf" => {
            *value == anything() || value.as_array().is_some_and(|all| all.iter().all(is_flat))
        }
        _ => false,
    }
}

/// Leaves only what a schema says of itself.
fn loosen(members: &mut Map<String, Value>) {
    members.retain(|keyword, value| {
        is_annotation(keyword) || keyword == "type" || is_leaf(keyword, value)
    });
    let is_array = members.get("type").is_some_and(|types| {
        *types == "array"
            || types
                .as_array()
                .is_some_and(|types| types.iter().any(|it| it == "array"))
    });
    if is_array {
        members.entry("items").or_insert_with(|| json!({}));
    }
    if !members.contains_key("type") && !members.contains_key("anyOf") {
        members.insert("anyOf".to_owned(), anything());
    }
}
