//! [`UnknownProperty`]: keys of arguments that the schema does not define at their position.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::{node::NodeId, plan::ArgumentPlan};
use crate::{near, schema::meter::charge};

/// The maximum number of reported keys.
const STRAYS_MAX: usize = 10;

/// The maximum number of names that one key is compared with.
const COMPARED_MAX: usize = 200;

/// A key that the schema does not define.
#[derive(Debug, Clone, PartialEq)]
pub struct UnknownProperty {
    /// The keys and indices of the object.
    pub path: Vec<Value>,
    /// The key.
    pub name: String,
    /// The missing argument of which the key is a misspelling.
    pub slip: Option<String>,
    /// The missing argument that may be meant.
    pub near: Option<String>,
}

impl UnknownProperty {
    /// Returns the JSON pointer of its value.
    pub fn pointer(&self) -> String {
        let last = Value::from(self.name.as_str());
        let steps = self.path.iter().chain([&last]);
        steps
            .map(|step| match step {
                Value::String(key) => format!("/{}", key.replace('~', "~0").replace('/', "~1")),
                index => format!("/{index}"),
            })
            .collect()
    }
}

/// Finds unknown keys. Schemas that allow other names have none.
pub fn find(plan: &ArgumentPlan, value: &Value) -> Vec<UnknownProperty> {
    let mut search = UnknownPropertySearch {
        plan,
        path: Vec::new(),
        found: Vec::new(),
    };
    search.value(&[0], value);
    search.found
}

/// The walk along a value.
struct UnknownPropertySearch<'p> {
    plan: &'p ArgumentPlan,
    path: Vec<Value>,
    found: Vec<UnknownProperty>,
}

impl UnknownPropertySearch<'_> {
    /// Searches one value and its children.
    fn value(&mut self, ids: &[NodeId], value: &Value) {
        charge(1);
        if self.found.len() >= STRAYS_MAX {
            return;
        }
        match value {
            Value::Object(members) => {
                let ids = self.plan.beside(ids);
                self.object(&ids, members);
                for (key, value) in members {
                    self.inside(&ids, Value::from(key.as_str()), value);
                }
            }
            Value::Array(elements) => {
                let ids = self.plan.beside(ids);
                for (index, value) in elements.iter().enumerate() {
                    self.inside(&ids, Value::from(index), value);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    /// Searches a nested value.
    fn inside(&mut self, beside: &[NodeId], step: Value, value: &Value) {
        if !(value.is_object() || value.is_array()) {
            return;
        }
        let next = self.plan.below(beside, &step);
        if !next.is_empty() {
            self.path.push(step);
            self.value(&next, value);
            self.path.pop();
        }
    }

    /// Searches the keys of one object.
    fn object(&mut self, ids: &[NodeId], members: &Map<String, Value>) {
        let named: Vec<&str> = names(self.plan, ids);
        let is_open = ids.iter().any(|id| self.plan.node(*id).opens);
        if is_open || named.is_empty() {
            return;
        }
        let known: HashSet<&str> = named.iter().copied().collect();
        for key in members.keys().filter(|key| !known.contains(key.as_str())) {
            if self.found.len() >= STRAYS_MAX {
                return;
            }
            let absent = || {
                let absent = named
                    .iter()
                    .copied()
                    .filter(|name| !members.contains_key(*name));
                absent.take(COMPARED_MAX).inspect(|_| charge(20))
            };
            let slip = absent().find(|name| near::is_slip(key, self.plan.renaming.shown(name)));
            let shown = absent().map(|name| self.plan.renaming.shown(name));
            let near = slip.map_or_else(
                || near::nearest(key, shown, 1).first().copied(),
                |slip| Some(self.plan.renaming.shown(slip)),
            );
            self.found.push(UnknownProperty {
                path: self.path.clone(),
                name: key.clone(),
                slip: slip.map(|slip| self.plan.renaming.shown(slip).to_owned()),
                near: near.map(str::to_owned),
            });
        }
    }
}

/// Returns the argument names of these schemas, without duplicates, in order.
pub fn names<'p>(plan: &'p ArgumentPlan, ids: &[NodeId]) -> Vec<&'p str> {
    let mut seen = HashSet::new();
    let mut found = Vec::new();
    for id in ids {
        charge(1);
        let names = plan.node(*id).order.iter().map(String::as_str);
        found.extend(names.filter(|name| seen.insert(*name)));
    }
    found
}
