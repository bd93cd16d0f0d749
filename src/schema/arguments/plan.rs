//! [`ArgumentPlan`]: the steps that settle a value, derived from a schema.

use std::{
    collections::{HashMap, HashSet},
    sync::OnceLock,
};

use jsonschema::{Draft, Validator};
use serde_json::Value;

use crate::schema::meter::charge;

use super::{
    branch,
    counted::MeteredJson,
    rename::ArgumentRenaming,
    repair::pointer_of,
    survey::ArgumentPlanBuilder,
    types::{ValueTypeSet, same},
};

/// The index of a node in a plan.
pub type NodeId = usize;

/// The maximum number of errors that the validator collects for one refusal.
const MISTAKES_MAX: usize = 4_096;

/// The maximum number of values of all documents that are compiled for the branches of one plan. Each
/// compiled branch has its own copy.
const BRANCH_VALUES_MAX: usize = 4_000_000;

/// The steps that settle a value. Node 0 is the root.
#[derive(Debug)]
pub struct ArgumentPlan {
    /// The original schema.
    schema: Value,
    /// The dialect of `schema`.
    draft: Draft,
    /// One node for each schema that can apply to a value, by [`NodeId`].
    nodes: Vec<PlanNode>,
    /// See [`ArgumentPlan::defaults_may_conflict`].
    defaults_may_conflict: bool,
    /// See [`ArgumentPlan::can_explain`].
    recursive_width: usize,
    /// The number of values in the schema.
    size: usize,
    /// See [`ArgumentPlan::judges_branches`].
    judges_branches: bool,
    /// Whether arguments are corrected more than mcpo does.
    pub(super) helps: bool,
    /// Maps published names back to the server's.
    pub(super) renaming: ArgumentRenaming,
}

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

/// Returns the number of values in a value.
fn size(value: &Value) -> usize {
    match value {
        Value::Array(elements) => elements.iter().map(size).sum::<usize>() + 1,
        Value::Object(members) => members.values().map(size).sum::<usize>() + 1,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 1,
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
