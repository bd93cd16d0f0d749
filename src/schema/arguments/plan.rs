//! [`ArgumentPlan`]: the steps that settle a value, derived from a schema.

use jsonschema::Draft;
use serde_json::Value;

use super::{
    node::{NodeId, PlanNode},
    renaming::ArgumentRenaming,
};

/// The maximum number of errors that the validator collects for one refusal.
const MISTAKES_MAX: usize = 4_096;

/// The steps that settle a value. Node 0 is the root.
#[derive(Debug)]
pub struct ArgumentPlan {
    /// The original schema.
    pub(super) schema: Value,
    /// The dialect of `schema`.
    pub(super) draft: Draft,
    /// One node for each schema that can apply to a value, by [`NodeId`].
    pub(super) nodes: Vec<PlanNode>,
    /// See [`ArgumentPlan::defaults_may_conflict`].
    pub(super) defaults_may_conflict: bool,
    /// See [`ArgumentPlan::can_explain`].
    pub(super) recursive_width: usize,
    /// The number of values in the schema.
    pub(super) size: usize,
    /// See [`ArgumentPlan::judges_branches`].
    pub(super) judges_branches: bool,
    /// Whether arguments are corrected more than mcpo does.
    pub(super) helps: bool,
    /// Maps published names back to the server's.
    pub(super) renaming: ArgumentRenaming,
}

impl ArgumentPlan {
    /// Returns the original schema.
    pub fn schema(&self) -> &Value {
        &self.schema
    }

    /// Returns the dialect of the schema.
    pub fn draft(&self) -> Draft {
        self.draft
    }

    /// Returns the number of values in the schema.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Whether the branches of unions are compiled. If they are too large, values for a union are not
    /// converted.
    pub fn judges_branches(&self) -> bool {
        self.judges_branches
    }

    /// All nodes.
    pub fn nodes(&self) -> &[PlanNode] {
        &self.nodes
    }

    /// Returns one node. All ids come from the plan itself.
    pub fn node(&self, id: NodeId) -> &PlanNode {
        &self.nodes[id]
    }

    /// Whether the tool has an argument of that name.
    pub fn has_property(&self, name: &str) -> bool {
        let beside = self.beside(&[0]);
        beside
            .iter()
            .any(|id| self.node(*id).properties.contains_key(name))
    }

    /// Whether filling in a default may make valid arguments invalid.
    pub fn defaults_may_conflict(&self) -> bool {
        self.defaults_may_conflict
    }

    /// Whether the validator can explain an error in reasonable time. For a recursive union it reports the
    /// errors of all branches of all branches.
    pub fn can_explain(&self, value: &Value) -> bool {
        if self.recursive_width < 2 {
            return true;
        }
        let depth = u32::try_from(depth(value)).unwrap_or(u32::MAX);
        let mistakes = self.recursive_width.checked_pow(depth);
        mistakes.is_some_and(|mistakes| mistakes <= MISTAKES_MAX)
    }
}

/// Returns the nesting depth of a value.
pub(super) fn depth(value: &Value) -> usize {
    match value {
        Value::Array(elements) => elements.iter().map(depth).max().unwrap_or(0) + 1,
        Value::Object(members) => members.values().map(depth).max().unwrap_or(0) + 1,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    }
}
