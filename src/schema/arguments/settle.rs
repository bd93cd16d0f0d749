//! [`Settle`]: one walk of a value along a [`Plan`], changing it in place.
//!
//! The invariant: only what could not be valid as it stands is changed, and defaults are added.

use serde_json::{Map, Value};

use super::{
    branch, lax,
    plan::{NodeId, Plan},
    types::Types,
};

/// How many values may be copied to try the branches of unions, in one call.
const TRIAL_VALUES_MAX: usize = 200_000;

/// One walk.
#[derive(Debug)]
pub struct Settle<'p> {
    /// Along which it goes.
    plan: &'p Plan,
    /// Fill in defaults.
    fill: bool,
    /// A default was filled in.
    filled: bool,
    /// What is left of [`TRIAL_VALUES_MAX`].
    trials: usize,
}

impl<'p> Settle<'p> {
    /// Prepares a walk.
    pub fn new(plan: &'p Plan, fill: bool) -> Self {
        Self {
            plan,
            fill,
            filled: false,
            trials: TRIAL_VALUES_MAX,
        }
    }

    /// Settles the arguments as a whole.
    pub fn root(&mut self, arguments: &mut Value) {
        self.value(0, arguments);
    }

    /// True if a default was filled in.
    pub fn filled(&self) -> bool {
        self.filled
    }

    /// Settles one value.
    fn value(&mut self, id: NodeId, value: &mut Value) {
        let node = self.plan.node(id);
        if node.idle {
            return;
        }
        if !node.admits(value)
            && let Some(new) = lax::toward(value, node.declared, node.choices.as_deref())
        {
            *value = new;
        }
        unfraction(node.possible, value);
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
        for other in &node.all_of {
            self.value(*other, value);
        }
        for group in &node.any_of {
            self.union(group, value);
        }
    }

    /// Settles an object: drops nulls that may be absent, settles the rest, fills in defaults.
    fn object(&mut self, id: NodeId, members: &mut Map<String, Value>) {
        let node = self.plan.node(id);
        let mut nulls = false;
        for (key, value) in members.iter_mut() {
            match node.properties.get(key) {
                Some(property) if value.is_null() && property.drops_null => nulls = true,
                Some(property) => self.value(property.node, value),
                None => {
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
            if !members.contains_key(name) {
                members.insert(name.clone(), default.clone());
                self.filled = true;
            }
        }
    }

    /// Settles a value that may go several ways: as it is if one branch takes it so, else by the
    /// first branch that takes it once settled.
    fn union(&mut self, group: &[NodeId], value: &mut Value) {
        let plan = self.plan;
        let kind = Types::of(value);
        let is_container = value.is_array() || value.is_object();
        if group.iter().any(|id| plan.node(*id).whole.contains(kind)) {
            let possible = |sum: Types, id: &NodeId| sum.or(plan.node(*id).possible);
            unfraction(group.iter().fold(Types::NONE, possible), value);
            return;
        }
        let mut candidates = group
            .iter()
            .filter(|id| plan.node(**id).possible.contains(kind));
        if is_container && let (Some(only), None) = (candidates.next(), candidates.next()) {
            // No container is ever converted to another type.
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
            let filled = self.filled;
            let mut attempt = value.clone();
            self.value(*id, &mut attempt);
            if branch::is_valid(plan, *id, &attempt) {
                *value = attempt;
                return;
            }
            self.filled = filled;
        }
    }
}

/// Writes `5.0` as `5` where only whole numbers are possible.
fn unfraction(possible: Types, value: &mut Value) {
    if let Value::Number(number) = value
        && possible.whole_only()
        && let Some(whole) = lax::whole(number)
    {
        *number = whole;
    }
}

/// How many values a value is made of.
fn size(value: &Value) -> usize {
    match value {
        Value::Array(elements) => elements.iter().map(size).sum::<usize>() + 1,
        Value::Object(members) => members.values().map(size).sum::<usize>() + 1,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 1,
    }
}
