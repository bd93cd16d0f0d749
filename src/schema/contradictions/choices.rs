//! `enum`, `const` and `default` values that contradict the rest of their schema.

use serde_json::{Map, Value, json};

use super::{bounds, own_types};
use crate::schema::arguments::types::{ValueTypeSet, same};

/// Loosens one schema.
pub fn loosen(members: &mut Map<String, Value>, said: &mut Vec<String>) {
    let types = own_types(members);
    for keyword in ["enum", "const"] {
        of_the_type(members, keyword, types, said);
    }
    constant(members, said);
    bounds_of_choices(members, said);
    default(members, types, said);
}

/// Returns the values of a keyword.
fn values(members: &Map<String, Value>, keyword: &str) -> Option<Vec<Value>> {
    match (keyword, members.get(keyword)?) {
        ("const", value) => Some(vec![value.clone()]),
        (_, Value::Array(values)) => Some(values.clone()),
        _ => None,
    }
}

/// Keeps the values of the schema's own type. For an array, item values become choices of the items.
fn of_the_type(
    members: &mut Map<String, Value>,
    keyword: &str,
    types: ValueTypeSet,
    said: &mut Vec<String>,
) {
    let Some(values) = values(members, keyword) else {
        return;
    };
    if values.is_empty() {
        members.shift_remove(keyword);
        said.push("its `enum` is empty and is left out".to_owned());
        return;
    }
    let (fitting, others): (Vec<Value>, Vec<Value>) = values
        .into_iter()
        .partition(|value| types.contains(ValueTypeSet::of(value)));
    if others.is_empty() {
        return;
    }
    let are_of_items = types.contains(ValueTypeSet::ARRAY) && !fitting.iter().any(Value::is_array);
    if are_of_items {
        members.shift_remove(keyword);
        said.push(if give_to_items(members, others) {
            format!("`{keyword}` contains no arrays; it is applied to the items")
        } else {
            format!("`{keyword}` contains no arrays and is left out")
        });
    } else if fitting.is_empty() {
        members.shift_remove(keyword);
        said.push(format!(
            "`{keyword}` has no value of its own `type` and is left out"
        ));
    } else {
        members.insert(keyword.to_owned(), Value::Array(fitting));
        said.push(format!(
            "`{keyword}` has values of another `type`, which are left out"
        ));
    }
}

/// Makes values the choices of an array's items, if the items allow them and have no choices yet.
fn give_to_items(members: &mut Map<String, Value>, values: Vec<Value>) -> bool {
    if members.contains_key("prefixItems") {
        return false;
    }
    let items = members.entry("items").or_insert_with(|| json!({}));
    if *items == Value::Bool(true) {
        *items = json!({});
    }
    let Some(items) = items.as_object_mut() else {
        return false;
    };
    if ["$ref", "enum", "const"]
        .iter()
        .any(|key| items.contains_key(*key))
    {
        return false;
    }
    let types = own_types(items);
    let fitting: Vec<Value> = values
        .into_iter()
        .filter(|value| types.contains(ValueTypeSet::of(value)))
        .collect();
    if fitting.is_empty() {
        return false;
    }
    items.insert("enum".to_owned(), Value::Array(fitting));
    true
}

/// Handles a constant that is not among the choices.
fn constant(members: &mut Map<String, Value>, said: &mut Vec<String>) {
    if let (Some(only), Some(choices)) = (members.get("const"), values(members, "enum"))
        && !choices.iter().any(|choice| same(choice, only))
    {
        members.shift_remove("const");
        said.push("`const` is not in its `enum` and is left out".to_owned());
    }
}

/// Handles bounds that exclude all choices.
fn bounds_of_choices(members: &mut Map<String, Value>, said: &mut Vec<String>) {
    let Some(choices) = values(members, "const").or_else(|| values(members, "enum")) else {
        return;
    };
    if choices.iter().all(|choice| !bounds::admit(members, choice)) && bounds::remove(members) {
        said.push("its bounds exclude all values that it lists; they are left out".to_owned());
    }
}

/// Handles a default that is not allowed.
fn default(members: &mut Map<String, Value>, types: ValueTypeSet, said: &mut Vec<String>) {
    // Servers write `"default": null` when there is no default.
    let Some(default) = members.get("default").filter(|value| !value.is_null()) else {
        return;
    };
    let is_choice = |keyword: &str| {
        values(members, keyword)
            .is_none_or(|choices| choices.iter().any(|choice| same(choice, default)))
    };
    let is_sound = types.contains(ValueTypeSet::of(default))
        && is_choice("enum")
        && is_choice("const")
        && bounds::admit(members, default);
    if !is_sound {
        members.shift_remove("default");
        said.push(
            "its default is not what its own schema allows; it is left out and not filled in"
                .to_owned(),
        );
    }
}
