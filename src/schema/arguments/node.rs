//! [`PlanNode`]: one schema of a plan.

use std::{collections::HashMap, sync::OnceLock};

use jsonschema::Validator;
use serde_json::Value;

use super::{
    counted::MeteredJson,
    types::{ValueTypeSet, same},
};

/// The index of a node in a plan.
pub type NodeId = usize;

/// One schema.
#[derive(Debug)]
pub struct PlanNode {
    /// Its location in the document.
    pub pointer: String,
    /// The types in its `type` or of its choices.
    pub declared: ValueTypeSet,
    /// The types of valid values, considering everything. Values of other types are invalid.
    pub possible: ValueTypeSet,
    /// The types for which all values are valid.
    pub whole: ValueTypeSet,
    /// `enum`, or `const`.
    pub choices: Option<Vec<Value>>,
    /// The properties that it defines.
    pub properties: HashMap<String, PlanProperty>,
    /// The names of the properties, in the order of the schema.
    pub order: Vec<String>,
    /// The required properties, whether it defines them or not.
    pub required: Vec<String>,
    /// Whether it allows other names, or defines names in a way that a plan does not examine.
    pub opens: bool,
    /// The schema of all other properties.
    pub additional: Option<NodeId>,
    /// The first elements.
    pub prefix: Vec<NodeId>,
    /// The schema of all other elements.
    pub items: Option<NodeId>,
    /// Schemas that also apply: `$ref` and `allOf`.
    pub all_of: Vec<NodeId>,
    /// Lists of alternative schemas: `anyOf` and `oneOf`.
    pub any_of: Vec<Vec<NodeId>>,
    /// The defaults of missing properties.
    pub defaults: Vec<(String, Value)>,
    /// Whether this node and those below never change a value.
    pub idle: bool,
    /// Whether adding a key to a value here or below may make it invalid.
    pub guarded: bool,
    /// The separately compiled schema, created when a union first needs it.
    pub(super) validator: OnceLock<Option<Validator<MeteredJson>>>,
}

/// One property of an object.
#[derive(Debug)]
pub struct PlanProperty {
    /// Its schema.
    pub node: NodeId,
    /// Whether the object must have it.
    pub required: bool,
    /// Whether a null is dropped, because null is not allowed and the property is optional.
    pub drops_null: bool,
}

impl PlanNode {
    /// Creates a node without constraints.
    pub fn blank(pointer: String) -> Self {
        Self {
            pointer,
            declared: ValueTypeSet::ALL,
            possible: ValueTypeSet::ALL,
            whole: ValueTypeSet::ALL,
            choices: None,
            properties: HashMap::new(),
            order: Vec::new(),
            required: Vec::new(),
            opens: false,
            additional: None,
            prefix: Vec::new(),
            items: None,
            all_of: Vec::new(),
            any_of: Vec::new(),
            defaults: Vec::new(),
            idle: true,
            guarded: false,
            validator: OnceLock::new(),
        }
    }

    /// Whether its own types and choices allow a value.
    pub fn admits(&self, value: &Value) -> bool {
        self.declared.contains(ValueTypeSet::of(value))
            && self
                .choices
                .as_ref()
                .is_none_or(|all| all.iter().any(|choice| same(choice, value)))
    }
}
