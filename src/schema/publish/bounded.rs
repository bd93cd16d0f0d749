//! Step 7: schemas that are too deep or too large for model providers are loosened below some level.
//!
//! This affects only the document; calls are still validated against the server's own schema.

use serde_json::{Map, Value, json};

use super::{
    keyword::{KeywordKind, is_annotation, is_in_place, keyword_kind},
    types::anything,
};

/// The maximum nesting depth of arguments.
const LEVELS_MAX: usize = 11;

/// The maximum nesting depth including alternatives.
const NESTED_MAX: usize = 22;

/// The largest schema of one tool, in bytes of JSON. A larger one would fill most of the prompt.
const BYTES_MAX: usize = 128 << 10;

/// Loosens the arguments of a tool and their components if they nest too deeply. The larger they are, the
/// more is loosened.
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
            "it nests deeper than the {LEVELS_MAX} levels that model providers accept; deeper levels are published without details"
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
            "it has {before} bytes, which is more than model providers accept; levels deeper than {levels} are published without details"
        ));
    }
}

/// Returns the size of a value in bytes of JSON.
fn size_of(value: &Value) -> usize {
    value.to_string().len()
}

/// Loosens everything deeper than this many levels. Returns whether anything changed.
fn cut(schema: &mut Value, levels: usize, nested: usize) -> bool {
    let Value::Object(members) = schema else {
        return false;
    };
    let has_schemas = |members: &Map<String, Value>| {
        members.iter().any(|(keyword, value)| {
            keyword_kind(keyword) != KeywordKind::Data
                && !value.is_boolean()
                && !is_leaf(keyword, value)
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
        match (keyword_kind(keyword), value) {
            (KeywordKind::Schema | KeywordKind::Items, value @ Value::Object(_)) => inside(value),
            (KeywordKind::List | KeywordKind::Items, Value::Array(schemas)) => {
                schemas.iter_mut().for_each(inside);
            }
            (KeywordKind::Names, Value::Object(schemas)) => schemas.values_mut().for_each(inside),
            _ => {}
        }
    }
    is_cut
}

/// Whether the value of a keyword is as flat as its replacement would be.
fn is_leaf(keyword: &str, value: &Value) -> bool {
    let is_flat = |schema: &Value| {
        schema.as_object().is_none_or(|members| {
            members
                .keys()
                .all(|keyword| keyword_kind(keyword) == KeywordKind::Data)
        })
    };
    match keyword {
        "items" => *value == json!({}) || is_flat(value),
        "anyOf" => {
            *value == anything() || value.as_array().is_some_and(|all| all.iter().all(is_flat))
        }
        _ => false,
    }
}

/// Keeps only the annotations and the type of a schema.
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
