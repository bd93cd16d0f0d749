//! [`ArgumentRenaming`]: the published argument names of a plan.

use std::collections::HashSet;

use super::node::PlanNode;
use crate::schema::names::ArgumentNames;

/// The published argument names, and those that a plan knows the position of.
#[derive(Debug, Default)]
pub struct ArgumentRenaming {
    /// The names.
    pub names: ArgumentNames,
    /// The names for which the plan knows a position.
    pub(super) placed: HashSet<String>,
}

impl ArgumentRenaming {
    /// Creates it from the names of a schema and their positions in the nodes of a plan.
    pub fn new(names: ArgumentNames, nodes: &[PlanNode]) -> Self {
        let properties = nodes.iter().flat_map(|node| node.properties.keys());
        let placed = properties.filter(|name| names.published(name).is_some());
        Self {
            placed: placed.cloned().collect(),
            names,
        }
    }

    /// Returns the published form of a server's name.
    pub fn shown<'n>(&'n self, own: &'n str) -> &'n str {
        self.names.published(own).unwrap_or(own)
    }
}
