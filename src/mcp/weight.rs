//! Estimates how much memory a JSON text needs once it is parsed into values. Pure.
//!
//! A text of 8 MB that consists of `0,0,0,…` becomes hundreds of megabytes of values. Text from a server is
//! therefore weighed before it is parsed.

use serde_json::Value;

/// The memory of one value, in bytes: itself and its share of the list or object around it.
pub const VALUE_BYTES: usize = 96;

/// The additional memory of an object, in bytes: it has room for four members and a table to find them.
pub const OBJECT_BYTES: usize = 416;

/// The weight of a tool in addition to its JSON, in bytes: its part of the documents and the tables.
pub const TOOL_BYTES: usize = 3 << 10;

/// The maximum weight of one tool, in bytes. The heaviest known tool weighs 100 KB.
const TOOL_WEIGHT_MAX: usize = 2 << 20;

/// The factor between the size limit and the weight limit of a tool list. A typical tool weighs 8 times its
/// text, or up to 23 times; the heaviest known list weighs 4 MB.
const WEIGHT_FACTOR: usize = 4;

/// An upper bound for the weight of a JSON text, in bytes. The text need not be valid.
pub fn weight(json: &[u8]) -> usize {
    let (mut values, mut objects) = (1_usize, 0_usize);
    let mut rest = json;
    let mut is_text = false;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match (is_text, byte) {
            (true, b'\\') => rest = rest.get(1..).unwrap_or_default(),
            (_, b'"') => is_text = !is_text,
            (false, b',' | b'[') => values += 1,
            (false, b'{') => (values, objects) = (values + 1, objects + 1),
            _ => {}
        }
    }
    json.len()
        .saturating_add(values.saturating_mul(VALUE_BYTES))
        .saturating_add(objects.saturating_mul(OBJECT_BYTES))
}

/// The weight limit for a size limit in bytes.
pub fn weight_max(bytes_max: usize) -> usize {
    bytes_max.saturating_mul(WEIGHT_FACTOR)
}

/// The weight of a value in bytes, equal to the [`weight`] of its text.
pub fn weight_of(value: &Value) -> usize {
    let mut weight = 0_usize;
    let mut open = vec![value];
    while let Some(value) = open.pop() {
        weight = weight.saturating_add(VALUE_BYTES);
        match value {
            Value::String(text) => weight = weight.saturating_add(text.len()),
            Value::Array(items) => open.extend(items),
            Value::Object(members) => {
                let names: usize = members.keys().map(String::len).sum();
                weight = weight.saturating_add(names + OBJECT_BYTES);
                open.extend(members.values());
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
    weight
}

/// Replaces the schema of a tool that is too heavy with one that accepts any object, so that the tool can
/// still be called. Models do not read a schema of that size. Returns whether the schema was replaced.
pub fn lighten(tool: &mut Value) -> bool {
    if weight_of(tool) <= TOOL_WEIGHT_MAX {
        return false;
    }
    let Some(members) = tool.as_object_mut() else {
        return false;
    };
    members.retain(|name, value| name == "name" || weight_of(value) <= TOOL_WEIGHT_MAX / 8);
    members
        .entry("inputSchema")
        .or_insert_with(|| serde_json::json!({ "type": "object" }));
    true
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The number of values.
    fn count(value: &Value) -> usize {
        match value {
            Value::Array(items) => 1 + items.iter().map(count).sum::<usize>(),
            Value::Object(members) => 1 + members.values().map(count).sum::<usize>(),
            _ => 1,
        }
    }

    #[test]
    fn tiny_values_are_heavy_and_text_is_not() {
        let numbers = format!("[{}0]", "0,".repeat(1_000_000));
        assert!(weight(numbers.as_bytes()) > 90_000_000);
        let text = format!("\"{}\"", r#",[{\"\\"#.repeat(100_000));
        assert!(weight(text.as_bytes()) < text.len() + 200);
    }

    #[test]
    fn a_heavy_tool_loses_what_is_heavy() {
        let wide: Value = (0..10_000)
            .map(|it| serde_json::json!({ "const": it }))
            .collect();
        let schema =
            serde_json::json!({ "type": "object", "properties": { "a": { "anyOf": wide } } });
        let mut tool =
            serde_json::json!({ "name": "t", "description": "It works.", "inputSchema": schema });
        assert!(lighten(&mut tool));
        let light = serde_json::json!(
            { "name": "t", "description": "It works.", "inputSchema": { "type": "object" } }
        );
        assert_eq!(tool, light);
        assert!(!lighten(&mut tool));
    }

    proptest! {
        #[test]
        fn no_value_is_overlooked(texts in prop::collection::vec(".*", 0..5), depth in 0_usize..5) {
            let mut value = Value::from(texts);
            for _ in 0..depth {
                value = serde_json::json!({ "a": value, "b,[{": [1, {}, []] });
            }
            let text = value.to_string();
            prop_assert!(weight(text.as_bytes()) >= text.len() + count(&value) * VALUE_BYTES);
            prop_assert!(weight_of(&value) <= weight(text.as_bytes()));
        }

        #[test]
        fn any_bytes_are_weighed(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(weight(&bytes) > bytes.len());
        }
    }
}
