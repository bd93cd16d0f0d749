//! Derives an [`ArgumentPlan`] from a schema.

use std::collections::HashSet;

use jsonschema::Draft;
use serde_json::Value;

use super::{
    branch,
    node::{NodeId, PlanNode},
    plan::ArgumentPlan,
    reference::pointer_of,
    renaming::ArgumentRenaming,
    survey::ArgumentPlanBuilder,
    types::ValueTypeSet,
};
use crate::schema::meter::charge;

/// The maximum number of values of all documents that are compiled for the branches of one plan. Each
/// compiled branch has its own copy.
const BRANCH_VALUES_MAX: usize = 4_000_000;

impl ArgumentPlan {
    /// Creates the plan of a schema that compiles.
    pub fn compile(schema: Value, draft: Draft, warnings: &mut Vec<String>) -> Self {
        let nodes = ArgumentPlanBuilder::of(&schema, draft);
        let size = size(&schema);
        let branches: usize = nodes
            .iter()
            .flat_map(|node| &node.any_of)
            .map(Vec::len)
            .sum();
        let mut plan = Self {
            size,
            judges_branches: branches.saturating_mul(size) <= BRANCH_VALUES_MAX,
            schema,
            draft,
            nodes,
            defaults_may_conflict: false,
            recursive_width: 1,
            helps: false,
            renaming: ArgumentRenaming::default(),
        };
        if plan.is_recursive() {
            let groups = plan.nodes.iter().flat_map(|node| &node.any_of);
            plan.recursive_width = groups.map(Vec::len).max().unwrap_or(1);
        }
        plan.break_circles();
        plan.spread_types();
        plan.collect_defaults(warnings);
        plan.rest();
        plan.defaults_may_conflict = plan.find_conflict();
        plan
    }

    /// Returns a plan that changes nothing.
    pub fn any() -> Self {
        Self::compile(Value::Bool(true), Draft::Draft202012, &mut Vec::new())
    }

    /// Whether a schema contains itself.
    fn is_recursive(&self) -> bool {
        /// The states of a node: on the current path, and completed.
        const OPEN: u8 = 1;
        const DONE: u8 = 2;
        let mut marks = vec![0; self.nodes.len()];
        for start in 0..self.nodes.len() {
            let mut path = vec![(start, false)];
            while let Some((id, leaving)) = path.pop() {
                charge(1);
                if leaving {
                    marks[id] = DONE;
                    continue;
                }
                match marks[id] {
                    OPEN => return true,
                    DONE => continue,
                    _ => marks[id] = OPEN,
                }
                path.push((id, true));
                let properties = self.nodes[id].properties.values();
                let below = self
                    .children(id)
                    .chain(properties.map(|property| property.node));
                path.extend(
                    below
                        .filter(|next| marks[*next] != DONE)
                        .map(|next| (next, false)),
                );
            }
        }
        false
    }

    /// Removes `$ref`, `allOf`, `anyOf` and `oneOf` links that form a cycle on the same value, so that
    /// settling ends.
    fn break_circles(&mut self) {
        let mut done = vec![false; self.nodes.len()];
        for start in 0..self.nodes.len() {
            self.cut_below(start, &mut Vec::new(), &mut done);
        }
    }

    /// Does the work of [`ArgumentPlan::break_circles`] below one node; `path` is the path to it.
    fn cut_below(&mut self, id: NodeId, path: &mut Vec<NodeId>, done: &mut [bool]) {
        charge(1 + u64::try_from(path.len() / 16).unwrap_or(u64::MAX));
        if done[id] {
            return;
        }
        path.push(id);
        let mut all_of = std::mem::take(&mut self.nodes[id].all_of);
        let mut any_of = std::mem::take(&mut self.nodes[id].any_of);
        let before = all_of.len() + any_of.len();
        all_of.retain(|next| !path.contains(next));
        any_of.retain(|group| !group.iter().any(|next| path.contains(next)));
        if all_of.len() + any_of.len() < before {
            self.nodes[id].whole = ValueTypeSet::NONE;
        }
        for next in all_of.iter().chain(any_of.iter().flatten()) {
            self.cut_below(*next, path, done);
        }
        self.nodes[id].all_of = all_of;
        self.nodes[id].any_of = any_of;
        path.pop();
        done[id] = true;
    }

    /// Determines the possible types, by removing, and the whole types, by adding.
    fn spread_types(&mut self) {
        let own: Vec<ValueTypeSet> = self.nodes.iter().map(|node| node.whole).collect();
        for node in &mut self.nodes {
            if !node.all_of.is_empty() || !node.any_of.is_empty() {
                node.whole = ValueTypeSet::NONE;
            }
        }
        let mut changed = true;
        while changed {
            changed = false;
            for (id, own) in own.iter().enumerate() {
                let (possible, whole) = self.types_of(id, *own);
                let node = &mut self.nodes[id];
                changed |= node.possible != possible || node.whole != whole;
                node.possible = possible;
                node.whole = whole;
            }
        }
    }

    /// One step of [`ArgumentPlan::spread_types`]; `whole` starts with the node's own types.
    fn types_of(&self, id: NodeId, mut whole: ValueTypeSet) -> (ValueTypeSet, ValueTypeSet) {
        let node = &self.nodes[id];
        charge(1 + u64::try_from(node.all_of.len() + node.any_of.len()).unwrap_or(u64::MAX));
        let mut possible = node.possible;
        let union = |group: &[NodeId], of: fn(&PlanNode) -> ValueTypeSet| {
            charge(u64::try_from(group.len()).unwrap_or(u64::MAX));
            group
                .iter()
                .fold(ValueTypeSet::NONE, |sum, id| sum.or(of(&self.nodes[*id])))
        };
        for other in &node.all_of {
            possible = possible.and(self.nodes[*other].possible);
            whole = whole.and(self.nodes[*other].whole);
        }
        for group in &node.any_of {
            possible = possible.and(union(group, |node| node.possible));
            whole = whole.and(union(group, |node| node.whole));
        }
        (possible, whole)
    }

    /// Collects the defaults that are valid, and determines which nulls are dropped.
    fn collect_defaults(&mut self, warnings: &mut Vec<String>) {
        for id in 0..self.nodes.len() {
            let mut defaults = Vec::new();
            for name in self.nodes[id].order.clone() {
                let Some(node) = self.nodes[id]
                    .properties
                    .get(&name)
                    .map(|property| property.node)
                else {
                    continue;
                };
                let default = self.default_of(node).cloned();
                let valid = default.filter(|default| branch::is_valid(self, node, default));
                if valid.is_none() && self.default_of(node).is_some() {
                    warnings.push(format!(
                        "the default of `{name}` is not what its own schema allows, and is not filled in"
                    ));
                }
                let takes_null = self.nodes[node].possible.contains(ValueTypeSet::NULL);
                if let Some(property) = self.nodes[id].properties.get_mut(&name) {
                    property.drops_null = !takes_null && (!property.required || valid.is_some());
                }
                defaults.extend(valid.map(|default| (name, default)));
            }
            self.nodes[id].defaults = defaults;
        }
    }

    /// Returns a schema's `default`, or that of the schema it refers to. Null counts as none, as in mcpo.
    fn default_of(&self, id: NodeId) -> Option<&Value> {
        let mut schema = self.schema.pointer(&self.nodes[id].pointer)?;
        // A chain of references with more links than nodes is a cycle.
        for _ in 0..=self.nodes.len() {
            charge(4);
            if let Some(default) = schema.get("default") {
                return (!default.is_null()).then_some(default);
            }
            let reference = schema.get("$ref").and_then(Value::as_str)?;
            schema = self.schema.pointer(&pointer_of(reference)?)?;
        }
        None
    }

    /// Finds the nodes that never change a value.
    fn rest(&mut self) {
        loop {
            let mut changed = false;
            for id in 0..self.nodes.len() {
                let node = &self.nodes[id];
                let quiet = node.idle
                    && self.children(id).all(|child| {
                        charge(1);
                        self.nodes[child].idle
                    });
                charge(1);
                if node.idle && !quiet {
                    self.nodes[id].idle = false;
                    changed = true;
                }
            }
            if !changed {
                return;
            }
        }
    }

    /// Returns all nodes that a node refers to.
    fn children(&self, id: NodeId) -> impl Iterator<Item = NodeId> + '_ {
        let node = &self.nodes[id];
        let below = node
            .prefix
            .iter()
            .copied()
            .chain(node.items)
            .chain(node.additional);
        let beside = node
            .all_of
            .iter()
            .chain(node.any_of.iter().flatten())
            .copied();
        below.chain(beside)
    }

    /// Whether there are defaults at or below a guarded node.
    fn find_conflict(&self) -> bool {
        let mut seen = HashSet::new();
        let mut open = vec![(0, false)];
        while let Some((id, guarded)) = open.pop() {
            charge(2);
            let node = self.node(id);
            let guarded = guarded || node.guarded;
            if guarded && !node.defaults.is_empty() {
                return true;
            }
            if seen.insert((id, guarded)) {
                open.extend(self.children(id).map(|child| (child, guarded)));
                for name in &node.order {
                    let property = node.properties.get(name);
                    open.extend(property.map(|property| (property.node, guarded)));
                }
            }
        }
        false
    }
}

/// Returns the number of values in a value.
fn size(value: &Value) -> usize {
    match value {
        Value::Array(elements) => elements.iter().map(size).sum::<usize>() + 1,
        Value::Object(members) => members.values().map(size).sum::<usize>() + 1,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 1,
    }
}
