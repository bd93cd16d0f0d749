//! Replaces published argument names with the server's names.

use serde_json::{Map, Value};

use super::{node::NodeId, plan::ArgumentPlan};
use crate::schema::meter::charge;

/// Renames in a value for the schema of a node. A name that the server itself defines stays.
pub fn restore(plan: &ArgumentPlan, id: NodeId, value: &mut Value) {
    if !plan.renaming.names.is_empty() {
        walk(plan, &[id], value);
    }
}

/// Renames where several schemas, or one of several, apply.
fn walk(plan: &ArgumentPlan, ids: &[NodeId], value: &mut Value) {
    charge(1);
    match value {
        Value::Object(members) => {
            let ids = plan.beside(ids);
            if members
                .keys()
                .any(|key| own(plan, &ids, members, key).is_some())
            {
                rename(plan, &ids, members);
            }
            for (key, value) in members.iter_mut().filter(|(_, value)| is_nested(value)) {
                let next = plan.below(&ids, &Value::from(key.as_str()));
                if !next.is_empty() {
                    walk(plan, &next, value);
                }
            }
        }
        Value::Array(elements) => {
            let ids = plan.beside(ids);
            for (index, value) in elements.iter_mut().enumerate() {
                let next = plan.below(&ids, &Value::from(index));
                if !next.is_empty() && is_nested(value) {
                    walk(plan, &next, value);
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Renames the keys of one object and keeps their order.
fn rename(plan: &ArgumentPlan, ids: &[NodeId], members: &mut Map<String, Value>) {
    let before = std::mem::take(members);
    let own: Vec<Option<String>> = before
        .keys()
        .map(|key| own(plan, ids, &before, key).map(str::to_owned))
        .collect();
    *members = before
        .into_iter()
        .zip(own)
        .map(|((key, value), own)| (own.unwrap_or(key), value))
        .collect();
}

/// Returns the server's name for a key, if it differs.
fn own<'p>(
    plan: &'p ArgumentPlan,
    ids: &[NodeId],
    members: &Map<String, Value>,
    key: &str,
) -> Option<&'p str> {
    charge(1);
    let own = plan.renaming.names.own(key)?;
    let is_here = || {
        charge(u64::try_from(ids.len()).unwrap_or(u64::MAX));
        ids.iter()
            .any(|id| plan.node(*id).properties.contains_key(own))
    };
    // Conditions name arguments that the plan does not examine.
    let is_own = !members.contains_key(own) && (!plan.renaming.placed.contains(own) || is_here());
    is_own.then_some(own)
}

/// Whether a value can contain others.
fn is_nested(value: &Value) -> bool {
    value.is_object() || value.is_array()
}
