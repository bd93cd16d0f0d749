//! [`SchemaPathCounter`]: counts how many paths lead from a schema to subschemas for the same value.

use std::collections::HashMap;

use serde_json::Value;

use super::reference::pointer_of;
use crate::schema::meter::charge;

/// The maximum number of such paths from a schema with an `unevaluated` keyword.
pub(super) const PATHS_MAX: u64 = 256;

/// Counts the paths from a schema to subschemas for the same value.
pub(super) struct SchemaPathCounter<'d> {
    /// The document.
    pub(super) document: &'d Value,
    /// The number of paths for each schema, by its address; one while it is being counted.
    pub(super) known: HashMap<usize, u64>,
}

impl<'d> SchemaPathCounter<'d> {
    /// Returns the number of paths from one schema, including itself.
    pub(super) fn of(&mut self, schema: &'d Value) -> u64 {
        charge(1);
        let address = std::ptr::from_ref(schema).addr();
        if let Some(known) = self.known.get(&address) {
            return *known;
        }
        self.known.insert(address, 1);
        let mut ways = 1_u64;
        for (key, value) in schema.as_object().into_iter().flatten() {
            match (key.as_str(), value) {
                ("$ref", Value::String(reference)) => {
                    let document = self.document;
                    let target = pointer_of(reference).and_then(|it| document.pointer(&it));
                    let below = target.map_or(0, |target| self.of(target));
                    ways = ways.saturating_add(below);
                }
                // Only the library knows the target, which is the root in most cases.
                ("$dynamicRef" | "$recursiveRef", _) => ways = ways.saturating_add(PATHS_MAX / 8),
                ("allOf" | "anyOf" | "oneOf", Value::Array(list)) => {
                    for schema in list {
                        ways = ways.saturating_add(self.of(schema));
                    }
                }
                ("if" | "then" | "else" | "not", schema) => {
                    ways = ways.saturating_add(self.of(schema));
                }
                ("dependentSchemas" | "dependencies", Value::Object(named)) => {
                    for schema in named.values() {
                        ways = ways.saturating_add(self.of(schema));
                    }
                }
                _ => {}
            }
        }
        self.known.insert(address, ways);
        ways
    }
}
