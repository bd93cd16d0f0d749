//! How large a schema grows for a reader that follows every reference, as `Open WebUI`'s converter
//! does. One explosive tool would stop it from loading any.

use std::collections::HashMap;

use serde_json::Value;

use super::keyword::{is_converted, is_in_place};

/// Schemas that a reader may end up with.
const NODES_MAX: usize = 10_000;

/// Schemas within schemas, references followed.
const DEPTH_MAX: usize = 80;

/// Whether following all references that the converter follows ends in reasonable time, and no
/// component is defined as itself.
pub fn is_finite(schema: &Value, components: &[(String, Value)]) -> bool {
    if components.is_empty() {
        return true;
    }
    let mut reader = Reader {
        components: components
            .iter()
            .map(|(name, body)| (name.as_str(), body))
            .collect(),
        left: NODES_MAX,
        path: Vec::new(),
    };
    reader.reads(schema, 0, 0) && components.iter().all(|(_, body)| reader.reads(body, 0, 0))
}

/// The walk of such a reader.
struct Reader<'a> {
    /// What references lead to.
    components: HashMap<&'a str, &'a Value>,
    /// Schemas that may still be read.
    left: usize,
    /// Components being read, with the level each was entered at.
    path: Vec<(&'a str, usize)>,
}

impl<'a> Reader<'a> {
    /// Reads one schema; `false` when it gets too much.
    fn reads(&mut self, node: &'a Value, depth: usize, level: usize) -> bool {
        if self.left == 0 || depth > DEPTH_MAX {
            return false;
        }
        self.left -= 1;
        let Some(members) = node.as_object() else {
            return true;
        };
        if let Some(reference) = members.get("$ref").and_then(Value::as_str) {
            return self.follows(reference, depth, level);
        }
        members
            .iter()
            .filter(|(keyword, _)| is_converted(keyword))
            .all(|(keyword, value)| {
                let level = level + usize::from(!is_in_place(keyword));
                match value {
                    Value::Array(schemas) => schemas
                        .iter()
                        .all(|schema| self.reads(schema, depth + 1, level)),
                    Value::Object(schemas) if keyword == "properties" => schemas
                        .values()
                        .all(|schema| self.reads(schema, depth + 1, level)),
                    Value::Object(_)
                    | Value::Null
                    | Value::Bool(_)
                    | Value::Number(_)
                    | Value::String(_) => self.reads(value, depth + 1, level),
                }
            })
    }

    /// Reads what a reference leads to; recursion ends at the second visit.
    fn follows(&mut self, reference: &str, depth: usize, level: usize) -> bool {
        let name = reference.rsplit('/').next().unwrap_or_default();
        let Some((name, body)) = self.components.get_key_value(name) else {
            return true;
        };
        let (name, body) = (*name, *body);
        if let Some((_, entered)) = self.path.iter().find(|(known, _)| *known == name) {
            return *entered != level;
        }
        self.path.push((name, level));
        let reads = self.reads(body, depth + 1, level);
        self.path.pop();
        reads
    }
}
