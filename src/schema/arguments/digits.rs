//! Keeps the digits of numbers that are converted to text, such as `1.10`.

use serde_json::Value;

use super::{
    plan::{ArgumentPlan, NodeId},
    types::ValueTypeSet,
};

/// A number as written, and the keys and indices of its position.
pub type Written = (Vec<Value>, String);

/// Converts these numbers to text if the schema accepts only text there. Returns the others.
pub fn write(plan: &ArgumentPlan, value: &mut Value, numbers: Vec<Written>) -> Vec<Written> {
    let mut left = Vec::new();
    for (path, digits) in numbers {
        let is_text = wants_text(plan, &path);
        match at(value, &path).filter(|_| is_text) {
            Some(place) => *place = Value::String(digits),
            None => left.push((path, digits)),
        }
    }
    left
}

/// Whether the schema at the end of a path accepts texts and no numbers.
fn wants_text(plan: &ArgumentPlan, path: &[Value]) -> bool {
    let mut ids: Vec<NodeId> = vec![0];
    for step in path {
        let beside = plan.beside(&ids);
        ids = plan.below(&beside, &own_step(plan, &beside, step));
    }
    let possible = |id: &NodeId| plan.node(*id).possible;
    ids.iter()
        .any(|id| possible(id).contains(ValueTypeSet::STRING))
        && ids
            .iter()
            .all(|id| possible(id).and(ValueTypeSet::NUMBER) == ValueTypeSet::NONE)
}

/// Returns the server's name for a key that was sent with a published name.
fn own_step(plan: &ArgumentPlan, beside: &[NodeId], step: &Value) -> Value {
    let own = step.as_str().and_then(|key| {
        let is_known = |id: &NodeId| plan.node(*id).properties.contains_key(key);
        let own = plan.renaming.names.own(key);
        own.filter(|_| !beside.iter().any(is_known))
    });
    own.map_or_else(|| step.clone(), Value::from)
}

/// Returns the value at the end of a path.
fn at<'v>(value: &'v mut Value, path: &[Value]) -> Option<&'v mut Value> {
    path.iter().try_fold(value, |value, step| match step {
        Value::String(key) => value.get_mut(key),
        step => value.get_mut(usize::try_from(step.as_u64()?).ok()?),
    })
}
