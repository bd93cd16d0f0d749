//! Limits the size of a schema for a client that expands every reference, as `Open WebUI`'s converter does. A
//! single exploding tool would stop it from loading all others.

use std::collections::HashMap;

use serde_json::Value;

use super::keyword::{is_converted, is_in_place};

/// The maximum number of schemas after expansion.
const NODES_MAX: usize = 10_000;

/// The maximum nesting depth after expansion.
const DEPTH_MAX: usize = 80;

/// Whether the converter's expansion of all references ends in reasonable time, and components are not
/// defined as themselves.
pub fn is_finite(schema: &Value, components: &[(String, Value)]) -> bool {
    if components.is_empty() {
        return true;
    }
    let mut reader = ExpansionSimulator {
        components: components
            .iter()
            .map(|(name, body)| (name.as_str(), body))
            .collect(),
        left: NODES_MAX,
        path: Vec::new(),
    };
    reader.reads(schema, 0, 0) && components.iter().all(|(_, body)| reader.reads(body, 0, 0))
}

/// A simulated expansion.
struct ExpansionSimulator<'a> {
    /// The targets of references.
    components: HashMap<&'a str, &'a Value>,
    /// How many schemas may still be visited.
    left: usize,
    /// The components on the current path, each with the level at its entry.
    path: Vec<(&'a str, usize)>,
}

impl<'a> ExpansionSimulator<'a> {
    /// Visits one schema. Returns `false` if the limit is exceeded.
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

    /// Visits the target of a reference. Recursion ends at the second visit.
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
