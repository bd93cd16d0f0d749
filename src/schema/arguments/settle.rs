//! [`ArgumentRepair`]: walks a value along an [`ArgumentPlan`] and changes it in place.
//!
//! The invariant: only values that would be invalid are changed, and defaults are added.

use serde_json::{Map, Value};

use crate::{
    json,
    schema::meter::{StepBudget, charge, charge_each, give_up, per, within},
};

use super::{
    branch, lax,
    node::{NodeId, PlanNode, PlanProperty},
    plan::{ArgumentPlan, depth},
    rename,
    types::ValueTypeSet,
};

/// The maximum number of values that are copied to try the branches of unions, in one call.
const TRIAL_VALUES_MAX: usize = 200_000;

/// The maximum number of values that are filled in as defaults, in one call. Each takes 72 bytes or more, and
/// a default inside a list's elements is filled in once for each element.
const DEFAULT_VALUES_MAX: u64 = 500_000;

/// One walk.
#[derive(Debug)]
pub struct ArgumentRepair<'p> {
    /// The plan.
    plan: &'p ArgumentPlan,
    /// Whether to fill in defaults.
    fill: bool,
    /// What the walk found.
    noted: RepairFindings,
    /// The rest of [`TRIAL_VALUES_MAX`].
    trials: usize,
    /// The current nesting depth in the value.
    depth: usize,
    /// The rest of [`DEFAULT_VALUES_MAX`].
    defaults: u64,
}

/// What a walk found.
#[derive(Debug, Default)]
struct RepairFindings {
    /// Whether a default was filled in.
    filled: bool,
    /// Whether a number with a fraction became a text, possibly with other digits than were sent.
    restyled: bool,
    /// Whether an object had a key that its own schema does not define. Another schema may define it.
    strayed: bool,
}

impl<'p> ArgumentRepair<'p> {
    /// Prepares a walk.
    pub fn new(plan: &'p ArgumentPlan, fill: bool) -> Self {
        Self {
            plan,
            fill,
            noted: RepairFindings::default(),
            trials: TRIAL_VALUES_MAX,
            depth: 0,
            defaults: DEFAULT_VALUES_MAX,
        }
    }

    /// Settles the arguments as a whole.
    pub fn root(&mut self, arguments: &mut Value) {
        self.value(0, arguments);
    }

    /// Whether a default was filled in.
    pub fn filled(&self) -> bool {
        self.noted.filled
    }

    /// Whether a number that became a text may have other digits than were sent.
    pub fn restyled(&self) -> bool {
        self.noted.restyled
    }

    /// Whether there may be a key that the schemas do not define.
    pub fn strayed(&self) -> bool {
        self.noted.strayed
    }

    /// Settles one value.
    fn value(&mut self, id: NodeId, value: &mut Value) {
        let node = self.plan.node(id);
        charge(2);
        if node.idle {
            return;
        }
        if !node.admits(value) {
            charge(per(value.as_str().map_or(0, str::len), 8));
            let new = lax::toward(value, node.declared, node.choices.as_deref())
                .or_else(|| self.helped(node, value));
            // JSON in nested strings could become deeper than the limit.
            if let Some(mut new) = new.filter(|new| self.depth + depth(new) <= json::DEPTH_MAX) {
                rename::restore(self.plan, id, &mut new);
                *value = new;
            }
        }
        unfraction(node.possible, value);
        self.depth += 1;
        match value {
            Value::Object(members) => self.object(id, members),
            Value::Array(elements) => {
                for (index, element) in elements.iter_mut().enumerate() {
                    if let Some(id) = node.prefix.get(index).copied().or(node.items) {
                        self.value(id, element);
                    }
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
        self.depth -= 1;
        for other in &node.all_of {
            self.value(*other, value);
        }
        for group in &node.any_of {
            self.union(group, value);
        }
    }

    /// Corrects what mcpo rejects although it is unambiguous: a number instead of a text, or one value
    /// instead of a list.
    fn helped(&mut self, node: &PlanNode, value: &Value) -> Option<Value> {
        if !self.plan.helps {
            return None;
        }
        if node.declared.contains(ValueTypeSet::STRING)
            && let Some(text) = lax::text(value, node.choices.as_deref())
        {
            self.noted.restyled |= value.is_f64();
            return Some(text);
        }
        let is_list = node.declared.contains(ValueTypeSet::ARRAY) && node.prefix.is_empty();
        let is_doubtful = value.is_null() || lax::is_blank(value);
        if !is_list || is_doubtful || value.is_array() {
            return None;
        }
        charge_each(value);
        let item = match lax::toward(value, ValueTypeSet::OBJECT, None) {
            Some(object) if !self.takes_item(node, value) => object,
            _ if lax::looks_like_json(value) => return None,
            _ => value.clone(),
        };
        let list = self
            .takes_item(node, &item)
            .then(|| Value::Array(vec![item]))?;
        let is_choice = node.choices.is_none();
        is_choice.then_some(list)
    }

    /// Whether values of the type of `value` may be items of a list. A number may then become a text.
    fn takes_item(&self, node: &PlanNode, value: &Value) -> bool {
        let possible = node
            .items
            .map_or(ValueTypeSet::ALL, |items| self.plan.node(items).possible);
        possible.contains(ValueTypeSet::of(value))
            || (value.is_number() && possible.contains(ValueTypeSet::STRING))
    }

    /// Replaces an empty text with null if text is not allowed, and null is allowed or dropped.
    fn blank(&self, property: &PlanProperty, value: &mut Value) {
        let possible = self.plan.node(property.node).possible;
        let is_none = possible.contains(ValueTypeSet::NULL) || property.drops_null;
        if self.plan.helps
            && is_none
            && !possible.contains(ValueTypeSet::STRING)
            && lax::is_blank(value)
        {
            *value = Value::Null;
        }
    }

    /// Settles an object: drops optional nulls, settles the rest, and fills in defaults.
    fn object(&mut self, id: NodeId, members: &mut Map<String, Value>) {
        let node = self.plan.node(id);
        let mut nulls = false;
        for (key, value) in members.iter_mut() {
            charge(1);
            let property = node.properties.get(key);
            if let Some(property) = property {
                self.blank(property, value);
            }
            match property {
                Some(property) if value.is_null() && property.drops_null => nulls = true,
                Some(property) => self.value(property.node, value),
                None => {
                    self.noted.strayed |= !node.opens;
                    if let Some(additional) = node.additional {
                        self.value(additional, value);
                    }
                }
            }
        }
        if nulls {
            members.retain(|key, value| {
                !value.is_null()
                    || !node
                        .properties
                        .get(key)
                        .is_some_and(|property| property.drops_null)
            });
        }
        if !self.fill {
            return;
        }
        for (name, default) in &node.defaults {
            charge(1);
            if !members.contains_key(name) {
                let (copied, used) =
                    within(StepBudget::steps(self.defaults), || charge_each(default));
                self.defaults -= used;
                if copied.is_err() {
                    give_up();
                }
                members.insert(name.clone(), default.clone());
                self.noted.filled = true;
            }
        }
    }

    /// Settles a value for a union: unchanged if one branch accepts it unchanged, otherwise by the first
    /// branch that accepts it after settling.
    fn union(&mut self, group: &[NodeId], value: &mut Value) {
        let plan = self.plan;
        charge(u64::try_from(group.len()).unwrap_or(u64::MAX));
        let kind = ValueTypeSet::of(value);
        let is_container = value.is_array() || value.is_object();
        if group.iter().any(|id| plan.node(*id).whole.contains(kind)) {
            let possible = |sum: ValueTypeSet, id: &NodeId| sum.or(plan.node(*id).possible);
            unfraction(group.iter().fold(ValueTypeSet::NONE, possible), value);
            return;
        }
        let mut candidates = group
            .iter()
            .filter(|id| plan.node(**id).possible.contains(kind));
        if is_container && let (Some(only), None) = (candidates.next(), candidates.next()) {
            // Containers are never converted to another type.
            return self.value(*only, value);
        }
        if let Some(exact) = group.iter().find(|id| branch::is_valid(plan, **id, value)) {
            return self.value(*exact, value);
        }
        for id in group {
            if is_container {
                let Some(left) = self.trials.checked_sub(size(value)) else {
                    return;
                };
                self.trials = left;
            }
            let filled = self.noted.filled;
            charge_each(value);
            let mut attempt = value.clone();
            self.value(*id, &mut attempt);
            if branch::is_valid(plan, *id, &attempt) {
                *value = attempt;
                return;
            }
            self.noted.filled = filled;
        }
    }
}

/// Changes `5.0` to `5` if only whole numbers are possible.
fn unfraction(possible: ValueTypeSet, value: &mut Value) {
    if let Value::Number(number) = value
        && possible.whole_only()
        && let Some(whole) = lax::whole(number)
    {
        *number = whole;
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
