//! Keeps the digits of numbers as they were written, such as `1.10` or an integer beyond 64 bits.

use std::borrow::Cow;

use serde_json::{Number, Value, value::RawValue};

use super::{node::NodeId, plan::ArgumentPlan, types::ValueTypeSet};
use crate::json::{self, RawJson};

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

/// Returns the integers of a JSON text that parsing would change, with their positions.
pub fn inexact(text: &str) -> Vec<Written> {
    let is_inexact = |number: &str| json::is_integer_literal(number) && !survives(number);
    let mut found = Vec::new();
    if json::has_long_digits(text.as_bytes())
        && let Ok(raw) = serde_json::from_str(text)
    {
        collect(raw, &is_inexact, &mut Vec::new(), &mut found);
    }
    found
}

/// Walks one value and collects the matching numbers.
pub fn collect(
    raw: &RawValue,
    is_wanted: &dyn Fn(&str) -> bool,
    path: &mut Vec<Value>,
    found: &mut Vec<Written>,
) {
    if path.len() > json::DEPTH_MAX {
        return;
    }
    match RawJson::open(raw) {
        Ok(RawJson::Object(members)) => {
            for (key, value) in members {
                path.push(Value::String(Cow::into_owned(key)));
                collect(value, is_wanted, path, found);
                path.pop();
            }
        }
        Ok(RawJson::Array(elements)) => {
            for (index, value) in elements.into_iter().enumerate() {
                path.push(Value::from(index));
                collect(value, is_wanted, path, found);
                path.pop();
            }
        }
        Ok(RawJson::Number(number)) if is_wanted(number) => {
            found.push((path.clone(), number.to_owned()));
        }
        Ok(RawJson::Number(_) | RawJson::Other(_)) | Err(_) => {}
    }
}

/// Whether the value of an integer survives [`Number`]: it fits 64 bits, or its digits are those of the
/// nearest float, such as `1` and thirty zeros, sent as `1e30`.
fn survives(literal: &str) -> bool {
    match serde_json::from_str::<Number>(literal) {
        Ok(number) if number.is_f64() => number.as_f64().is_some_and(|float| {
            decimal_digits(float.abs()).as_deref() == Some(literal.trim_start_matches('-'))
        }),
        Ok(_) => true,
        Err(_) => false,
    }
}

/// Returns the digits of a large whole float, as its shortest form denotes them.
fn decimal_digits(float: f64) -> Option<String> {
    let shortest = format!("{float:e}");
    let (mantissa, exponent) = shortest.split_once('e')?;
    let digits = mantissa.replace('.', "");
    let length = exponent.parse::<usize>().ok()?.checked_add(1)?;
    (digits.len() <= length).then(|| format!("{digits:0<length$}"))
}
