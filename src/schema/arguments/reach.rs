//! Finds the schemas that apply to a value at some position.

use std::collections::HashSet;

use serde_json::Value;

use super::{node::NodeId, plan::ArgumentPlan};
use crate::schema::meter::charge;

impl ArgumentPlan {
    /// Returns these schemas and all that apply, or may apply, to the same value.
    pub fn beside(&self, ids: &[NodeId]) -> Vec<NodeId> {
        let mut found = Vec::new();
        let mut seen: HashSet<NodeId> = ids.iter().copied().collect();
        let mut open: Vec<NodeId> = ids.iter().rev().copied().collect();
        while let Some(id) = open.pop() {
            charge(1);
            found.push(id);
            let node = self.node(id);
            let beside = node.all_of.iter().chain(node.any_of.iter().flatten());
            open.extend(beside.copied().filter(|next| seen.insert(*next)));
        }
        found
    }

    /// Returns the schemas for the value under a key or an index. `beside` comes from [`ArgumentPlan::beside`].
    pub fn below(&self, beside: &[NodeId], step: &Value) -> Vec<NodeId> {
        let mut found = Vec::new();
        for id in beside {
            charge(1);
            let node = self.node(*id);
            let next = match step {
                Value::String(key) => match node.properties.get(key) {
                    Some(property) => Some(property.node),
                    None => node.additional,
                },
                step => {
                    let index = step.as_u64().and_then(|index| usize::try_from(index).ok());
                    let place = index.and_then(|index| node.prefix.get(index).copied());
                    place.or(node.items)
                }
            };
            found.extend(next.filter(|next| !found.contains(next)));
        }
        found
    }
}
