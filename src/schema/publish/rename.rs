//! Step 6: arguments with names that model providers reject get the names from [`ArgumentNames`].

use std::mem;

use serde_json::{Map, Value};

use super::keyword::{KeywordKind, keyword_kind};
use crate::schema::names::{ArgumentNames, shown};

/// Renames in a published schema, including everything that refers to a name.
pub fn rename(schema: &mut Value, names: &ArgumentNames) {
    let Value::Object(members) = schema else {
        return;
    };
    let is_renamed = members
        .get("properties")
        .and_then(Value::as_object)
        .is_some_and(|named| named.keys().any(|name| names.published(name).is_some()));
    if is_renamed {
        // It describes the server's names.
        members.shift_remove("propertyNames");
        values(members, names);
        describe(members, names);
    }
    if let Some(required) = members.get_mut("required") {
        texts(required, names);
    }
    if let Some(Value::Object(table)) = members.get_mut("dependentRequired") {
        keys(table, names);
        for (_, wanted) in table.iter_mut() {
            texts(wanted, names);
        }
    }
    for keyword in ["properties", "dependentSchemas"] {
        if let Some(Value::Object(table)) = members.get_mut(keyword) {
            keys(table, names);
        }
    }
    for (keyword, value) in members.iter_mut() {
        match (keyword_kind(keyword), value) {
            (KeywordKind::Schema | KeywordKind::Items, value @ Value::Object(_)) => {
                rename(value, names);
            }
            (KeywordKind::List | KeywordKind::Items, Value::Array(schemas)) => {
                for schema in schemas {
                    rename(schema, names);
                }
            }
            (KeywordKind::Names, Value::Object(schemas)) => {
                for (_, schema) in schemas.iter_mut() {
                    rename(schema, names);
                }
            }
            _ => {}
        }
    }
}

/// Renames the keys of a table, in its order.
fn keys(table: &mut Map<String, Value>, names: &ArgumentNames) {
    if !table.keys().any(|name| names.published(name).is_some()) {
        return;
    }
    *table = mem::take(table)
        .into_iter()
        .map(|(name, value)| match names.published(&name) {
            Some(published) => (published.to_owned(), value),
            None => (name, value),
        })
        .collect();
}

/// Renames the texts of a list.
fn texts(list: &mut Value, names: &ArgumentNames) {
    for name in list.as_array_mut().into_iter().flatten() {
        if let Some(published) = name.as_str().and_then(|name| names.published(name)) {
            *name = Value::from(published);
        }
    }
}

/// Renames in the example and default objects of a schema.
fn values(members: &mut Map<String, Value>, names: &ArgumentNames) {
    for keyword in ["default", "const"] {
        if let Some(Value::Object(object)) = members.get_mut(keyword) {
            keys(object, names);
        }
    }
    for keyword in ["examples", "enum"] {
        let listed = members.get_mut(keyword).and_then(Value::as_array_mut);
        for object in listed
            .into_iter()
            .flatten()
            .filter_map(Value::as_object_mut)
        {
            keys(object, names);
        }
    }
}

/// Adds the server's name of an argument to its description, because the name may explain it.
fn describe(members: &mut Map<String, Value>, names: &ArgumentNames) {
    let Some(Value::Object(properties)) = members.get_mut("properties") else {
        return;
    };
    for (name, schema) in properties.iter_mut() {
        let Some(schema) = schema.as_object_mut() else {
            continue;
        };
        if names.published(name).is_none() || name.is_empty() || schema.contains_key("$ref") {
            continue;
        }
        let told = format!("The server calls it `{}`.", shown(name));
        let text = match schema.get("description").and_then(Value::as_str) {
            Some(text) if !text.trim().is_empty() => format!("{text} {told}"),
            _ => told,
        };
        schema.insert("description".to_owned(), text.into());
    }
}
