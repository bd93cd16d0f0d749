//! [`LazySchema`]: the argument schema of a tool, compiled when the tool is first called.
//!
//! A compiled schema takes many times the memory of its text, and most tools of a long list are
//! never called. Each schema is therefore compiled once when the list is read, to report its flaws,
//! and again when a call needs it.

use std::sync::OnceLock;

use serde_json::Value;

use crate::{
    json,
    schema::{ArgumentSchema, CheckEffort, SchemaFlavor},
};

/// Schemas with more values than this are compiled on a separate thread, because compiling takes
/// more than a millisecond.
const SMALL_SCHEMA_VALUES: usize = 500;
/// How many steps of compiling a schema are acceptable on a thread of the async runtime.
const SMALL_SCHEMA_STEPS: u64 = 50_000;

/// A schema that may not be compiled yet.
#[derive(Debug)]
pub struct LazySchema {
    /// Set by the first call.
    compiled: OnceLock<ArgumentSchema>,
    /// Whether compiling takes long.
    is_slow: bool,
    /// How arguments are corrected.
    habits: SchemaFlavor,
}

impl LazySchema {
    /// Compiles a schema on trial and returns which parts had to be left out. Subtracts the steps
    /// that compiling took from `steps_left`.
    pub fn try_out(
        schema: &Value,
        steps_left: &mut u64,
        habits: SchemaFlavor,
    ) -> (Self, Vec<String>) {
        let before = *steps_left;
        let (compiled, warnings) = ArgumentSchema::compile(schema, steps_left, habits);
        let is_slow = before - *steps_left > SMALL_SCHEMA_STEPS
            || json::count_values(schema) > SMALL_SCHEMA_VALUES;
        let kept = OnceLock::new();
        // A schema that accepts any object takes no memory. It stays so even if the next attempt
        // has a larger budget.
        if compiled.accepts_any_object() {
            kept.get_or_init(|| compiled);
        }
        let on_demand = Self {
            compiled: kept,
            is_slow,
            habits,
        };
        (on_demand, warnings)
    }

    /// The schema for a check of this effort; `None` if compiling it would take more.
    pub fn get(&self, schema: &Value, effort: CheckEffort) -> Option<&ArgumentSchema> {
        if self.is_slow && effort != CheckEffort::Full {
            return self.compiled.get();
        }
        let compile = || ArgumentSchema::compile(schema, &mut u64::MAX.clone(), self.habits).0;
        Some(self.compiled.get_or_init(compile))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A schema with this many properties.
    fn schema(properties: usize) -> Value {
        let properties =
            (0..properties).map(|number| (format!("p{number}"), json!({"type": "integer"})));
        json!({ "type": "object", "properties": properties.collect::<serde_json::Map<_, _>>() })
    }

    #[test]
    fn a_schema_is_compiled_by_the_first_check_that_may_take_so_long() {
        for (properties, by_light) in [(3, true), (400, false)] {
            let schema = schema(properties);
            let (on_demand, warnings) =
                LazySchema::try_out(&schema, &mut u64::MAX.clone(), SchemaFlavor::NATIVE);
            assert!(warnings.is_empty() && on_demand.compiled.get().is_none());
            let light = on_demand.get(&schema, CheckEffort::Light);
            assert_eq!(light.is_some(), by_light, "{properties}");
            let full = on_demand.get(&schema, CheckEffort::Full).unwrap();
            assert!(full.accept(br#"{"p0": []}"#, CheckEffort::Full).is_err());
            assert!(
                on_demand.get(&schema, CheckEffort::Light).is_some(),
                "it is kept"
            );
        }
    }

    #[test]
    fn what_could_not_be_compiled_within_the_list_is_not_tried_again() {
        let schema = schema(50);
        let (on_demand, warnings) = LazySchema::try_out(&schema, &mut 10, SchemaFlavor::NATIVE);
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        let accepting = on_demand.get(&schema, CheckEffort::Light).unwrap();
        assert!(
            accepting
                .accept(br#"{"p0": []}"#, CheckEffort::Light)
                .is_ok()
        );
    }
}
