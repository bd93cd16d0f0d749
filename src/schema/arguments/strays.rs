//! [`Stray`]: keys of arguments that the schema does not name where they stand.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::plan::{NodeId, Plan};
use crate::{near, schema::meter::charge};

/// How many are told.
const STRAYS_MAX: usize = 10;

/// How many names one key is compared with.
const COMPARED_MAX: usize = 200;

/// A key that the schema does not name.
#[derive(Debug, Clone, PartialEq)]
pub struct Stray {
    /// Keys and indices that lead to the object.
    pub path: Vec<Value>,
    /// The key.
    pub name: String,
    /// The name of an absent argument of which it is a misspelling.
    pub slip: Option<String>,
    /// The name of an absent argument that may be meant.
    pub near: Option<String>,
}

impl Stray {
    /// The JSON pointer of its value.
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

/// Finds them. Where a schema opens itself to other names there are none.
pub fn find(plan: &Plan, value: &Value) -> Vec<Stray> {
    let mut search = Search {
        plan,
        path: Vec::new(),
        found: Vec::new(),
    };
    search.value(&[0], value);
    search.found
}

/// The walk along a value.
struct Search<'p> {
    plan: &'p Plan,
    path: Vec<Value>,
    found: Vec<Stray>,
}

impl Search<'_> {
    /// One value, and those in it.
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

    /// A value in another.
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

    /// The keys of one object.
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
            self.found.push(Stray {
                path: self.path.clone(),
                name: key.clone(),
                slip: slip.map(|slip| self.plan.renaming.shown(slip).to_owned()),
                near: near.map(str::to_owned),
            });
        }
    }
}

/// The names that these schemas have for arguments, each once, in their order.
pub fn names<'p>(plan: &'p Plan, ids: &[NodeId]) -> Vec<&'p str> {
    let mut seen = HashSet::new();
    let mut found = Vec::new();
    for id in ids {
        charge(1);
        let names = plan.node(*id).order.iter().map(String::as_str);
        found.extend(names.filter(|name| seen.insert(*name)));
    }
    found
}
