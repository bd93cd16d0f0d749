//! Repairs a server's schema so that it compiles.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use jsonschema::{Draft, PatternOptions, Retrieve, ValidationOptions, Validator};
use serde_json::{Map, Value, json};

use super::{
    counted::MeteredJson,
    paths::{PATHS_MAX, SchemaPathCounter},
    patterns,
    reference::pointer_of,
    types::ValueTypeSet,
};
use crate::schema::meter::charge;

/// How many keywords are dropped before the whole schema is dropped.
const REPAIRS_MAX: usize = 32;

/// The maximum number of schemas in a document.
const SCHEMAS_MAX: usize = 20_000;

/// The maximum length of a chain of references in dialects that allow no other keywords next to a reference.
const HOPS_MAX: usize = 64;

/// The maximum number of lists and objects in a list of choices or names. Each is compared with all others by
/// code without a budget.
const CONTAINERS_MAX: usize = 64;

/// Keywords with one schema.
const ONE: &[&str] = &[
    "additionalItems",
    "additionalProperties",
    "contains",
    "else",
    "if",
    "items",
    "not",
    "propertyNames",
    "then",
    "unevaluatedItems",
    "unevaluatedProperties",
];

/// Keywords with a list of schemas.
const LIST: &[&str] = &["allOf", "anyOf", "items", "oneOf", "prefixItems"];

/// Keywords with schemas by name.
const NAMED: &[&str] = &[
    "$defs",
    "definitions",
    "dependencies",
    "dependentSchemas",
    "patternProperties",
    "properties",
];

/// Keywords whose lists must not contain duplicates.
const UNIQUE_LISTS: &[&str] = &["enum", "required", "type"];

/// Keywords that depend on what adjacent schemas have evaluated.
const UNEVALUATED: &[&str] = &["unevaluatedItems", "unevaluatedProperties"];

/// Keywords with schemas that apply to the same value.
const IN_PLACE: &[&str] = &[
    "$dynamicRef",
    "$recursiveRef",
    "$ref",
    "allOf",
    "anyOf",
    "dependencies",
    "dependentSchemas",
    "if",
    "not",
    "oneOf",
    "unevaluatedItems",
    "unevaluatedProperties",
];

/// A schema that compiles.
#[derive(Debug)]
pub struct CompiledSchema {
    /// The schema without invalid keywords.
    pub schema: Value,
    /// Its dialect.
    pub draft: Draft,
    /// The compiled schema.
    pub validator: Validator<MeteredJson>,
    /// The longest string that its patterns are applied to, in bytes.
    pub text_bytes_max: usize,
}

/// Drops and reports what does not compile; `None` if nothing useful is left.
pub fn repair(schema: &Value, warnings: &mut Vec<String>) -> Option<CompiledSchema> {
    let Value::Object(schema) = schema else {
        warnings.push("the tool has no input schema, any object is accepted".to_owned());
        return None;
    };
    if !ValueTypeSet::declared(schema).contains(ValueTypeSet::OBJECT) {
        warnings.push(
            "the input schema does not describe an object, any object is accepted".to_owned(),
        );
        return None;
    }
    let draft = draft(schema);
    let mut schema = schema.clone();
    // The dialect is already determined, and a base URI would only make references leave the document.
    schema.retain(|key, _| key != "$schema" && key != "$id");
    require_declared_only(&mut schema, warnings);
    let mut schema = Value::Object(schema);
    let bad_refs = dangling(&schema);
    if !bad_refs.has_refs {
        // Without references, each schema is examined only once.
    } else if is_old(draft) && has_long_chain(&schema) {
        warnings.push(
            "the input schema has a chain of too many references, any object is accepted"
                .to_owned(),
        );
        return None;
    }
    if drops_unevaluated(&mut schema) {
        warnings.push("`unevaluatedProperties` and `unevaluatedItems` of the input schema are ignored: too many schemas apply to one value".to_owned());
    }
    let mut tidying = SchemaNormalizer {
        draft,
        refs: &bad_refs,
        warnings,
        schemas: 0,
        text_bytes_max: usize::MAX,
    };
    tidying.schema(&mut schema);
    let (schemas, text_bytes_max) = (tidying.schemas, tidying.text_bytes_max);
    if schemas > SCHEMAS_MAX {
        warnings.push(format!(
            "the input schema contains {schemas} schemas and the maximum is {SCHEMAS_MAX}; any object is accepted"
        ));
        return None;
    }
    for _ in 0..REPAIRS_MAX {
        charge(
            u64::try_from(schemas)
                .unwrap_or(u64::MAX)
                .saturating_mul(100),
        );
        let error = match options(draft).build(&schema) {
            Ok(validator) => {
                return Some(CompiledSchema {
                    schema,
                    draft,
                    validator,
                    text_bytes_max,
                });
            }
            Err(error) => error,
        };
        let place = error.instance_path().as_str();
        if !remove(&mut schema, place) {
            warnings.push(format!(
                "the input schema does not compile, any object is accepted: {error}"
            ));
            return None;
        }
        warnings.push(format!("`{place}` of the input schema is ignored: {error}"));
    }
    warnings.push("the input schema has too many mistakes, any object is accepted".to_owned());
    None
}

/// Returns the validation options for a dialect.
pub fn options(draft: Draft) -> ValidationOptions<'static, Arc<dyn Retrieve>, MeteredJson> {
    let patterns = PatternOptions::fancy_regex()
        .backtrack_limit(patterns::BACKTRACK_MAX)
        .size_limit(patterns::PROGRAM_BYTES_MAX);
    jsonschema::options_for::<MeteredJson>()
        .with_draft(draft)
        .offline()
        .should_validate_formats(false)
        .without_content_encoding_support("base64")
        .without_content_media_type_support("application/json")
        .with_pattern_options(patterns)
}

/// Returns the dialect that `$schema` names.
fn draft(schema: &Map<String, Value>) -> Draft {
    let uri = schema
        .get("$schema")
        .and_then(Value::as_str)
        .unwrap_or_default();
    match uri {
        _ if uri.contains("draft-04") => Draft::Draft4,
        _ if uri.contains("draft-06") => Draft::Draft6,
        _ if uri.contains("draft-07") => Draft::Draft7,
        _ if uri.contains("2019-09") => Draft::Draft201909,
        _ => Draft::Draft202012,
    }
}

/// Ignores requirements of arguments that the tool does not describe, as mcpo does, because the model cannot
/// know what to send.
fn require_declared_only(schema: &mut Map<String, Value>, warnings: &mut Vec<String>) {
    let composed = ["$ref", "allOf", "anyOf", "oneOf", "patternProperties"];
    if composed.iter().any(|key| schema.contains_key(*key)) {
        return;
    }
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
        return;
    };
    let declared: Vec<String> = properties.keys().cloned().collect();
    let Some(Value::Array(required)) = schema.get_mut("required") else {
        return;
    };
    required.retain(|name| {
        let known = name
            .as_str()
            .is_none_or(|name| declared.iter().any(|key| key == name));
        if !known {
            warnings.push(format!(
                "the argument {name} is required but not described; the requirement is ignored"
            ));
        }
        known
    });
}

/// The references of a document.
#[derive(Debug, Default)]
struct SchemaReferences {
    /// References without a target in the document. They are never followed.
    dangling: HashSet<String>,
    /// Whether there are any references.
    has_refs: bool,
}

/// Finds the references.
fn dangling(schema: &Value) -> SchemaReferences {
    let mut found = SchemaReferences::default();
    let mut open = vec![schema];
    while let Some(value) = open.pop() {
        charge(1);
        match value {
            Value::Object(members) => {
                found.has_refs |= members.contains_key("$ref")
                    || members.contains_key("$dynamicRef")
                    || members.contains_key("$recursiveRef");
                if let Some(Value::String(reference)) = members.get("$ref") {
                    let target = pointer_of(reference).map(|pointer| schema.pointer(&pointer));
                    let anchor = reference.starts_with('#') && target.is_none();
                    if !anchor && target.flatten().is_none() {
                        found.dangling.insert(reference.clone());
                    }
                }
                open.extend(members.values());
            }
            Value::Array(items) => open.extend(items),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    found
}

/// Whether a dialect ignores keywords next to a `$ref`.
fn is_old(draft: Draft) -> bool {
    matches!(draft, Draft::Draft4 | Draft::Draft6 | Draft::Draft7)
}

/// Whether a chain of references has more than [`HOPS_MAX`] links.
fn has_long_chain(schema: &Value) -> bool {
    let mut open = vec![schema];
    while let Some(value) = open.pop() {
        charge(1);
        match value {
            Value::Object(members) => {
                // A cycle ends where it closes.
                let mut passed = HashSet::new();
                let mut at = Some(value);
                while let Some(reference) = at.and_then(|at| at.get("$ref")?.as_str())
                    && passed.insert(reference)
                {
                    charge(1);
                    if passed.len() > HOPS_MAX {
                        return true;
                    }
                    at = pointer_of(reference).and_then(|pointer| schema.pointer(&pointer));
                }
                open.extend(members.values());
            }
            Value::Array(items) => open.extend(items),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    false
}

/// Removes all `unevaluated` keywords if one of them is on a schema with too many subschemas for the same
/// value: the library compiles every path to each of them separately.
fn drops_unevaluated(schema: &mut Value) -> bool {
    let mut paths = SchemaPathCounter {
        document: schema,
        known: HashMap::new(),
    };
    let mut is_costly = false;
    let mut open = vec![&*schema];
    while let Some(value) = open.pop() {
        charge(1);
        match value {
            Value::Object(members) => {
                let is_one = UNEVALUATED.iter().any(|key| members.contains_key(*key));
                is_costly |= is_one && paths.of(value) > PATHS_MAX;
                open.extend(members.values());
            }
            Value::Array(items) => open.extend(items),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    if is_costly {
        drop_keywords(schema, UNEVALUATED);
    }
    is_costly
}

/// Removes keywords from all objects. Some of the objects may not be schemas, which matters little in a
/// malicious document.
fn drop_keywords(value: &mut Value, keywords: &[&str]) {
    charge(1);
    match value {
        Value::Object(members) => {
            members.retain(|key, _| !keywords.contains(&key.as_str()));
            for (_, value) in members.iter_mut() {
                drop_keywords(value, keywords);
            }
        }
        Value::Array(items) => items
            .iter_mut()
            .for_each(|item| drop_keywords(item, keywords)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Converts each schema to the form of its dialect, and removes what would cost too much.
struct SchemaNormalizer<'t> {
    /// The dialect.
    draft: Draft,
    /// The references of the document.
    refs: &'t SchemaReferences,
    /// The warnings about removed parts.
    warnings: &'t mut Vec<String>,
    /// The number of schemas seen.
    schemas: usize,
    /// The longest string that the patterns may be applied to, in bytes.
    text_bytes_max: usize,
}

impl SchemaNormalizer<'_> {
    /// Tidies one schema and its subschemas.
    fn schema(&mut self, schema: &mut Value) {
        charge(1);
        self.schemas += 1;
        let Value::Object(members) = schema else {
            return;
        };
        // The whole document has one dialect, and references start at its root.
        members.remove("$schema");
        members.remove("$id");
        if let Some(Value::String(reference)) = members.get("$ref")
            && self.refs.dangling.contains(reference)
        {
            self.warnings.push(format!(
                "the reference `{reference}` has no target and is ignored"
            ));
            members.remove("$ref");
        }
        if self.draft == Draft::Draft202012 && members.get("items").is_some_and(Value::is_array) {
            let tuple = members.remove("items").unwrap_or_default();
            members.insert("prefixItems".to_owned(), tuple);
            if let Some(rest) = members.remove("additionalItems") {
                members.insert("items".to_owned(), rest);
            }
        }
        self.patterns(members);
        self.unique_lists(members);
        self.watch(members);
        for (key, value) in members.iter_mut() {
            let key = key.as_str();
            match value {
                Value::Object(named) if NAMED.contains(&key) => {
                    for (_, schema) in named.iter_mut() {
                        self.schema(schema);
                    }
                }
                Value::Array(list) if LIST.contains(&key) => {
                    for schema in list {
                        self.schema(schema);
                    }
                }
                one if ONE.contains(&key) => self.schema(one),
                Value::Null
                | Value::Bool(_)
                | Value::Number(_)
                | Value::String(_)
                | Value::Array(_)
                | Value::Object(_) => {}
            }
        }
    }

    /// Adds a `type` that allows everything, so that the validator accesses a value (which is counted) before
    /// several schemas do.
    fn watch(&self, members: &mut Map<String, Value>) {
        let is_alone = is_old(self.draft) && members.contains_key("$ref");
        let repeats = IN_PLACE.iter().any(|key| members.contains_key(*key));
        if self.refs.has_refs && repeats && !is_alone && !members.contains_key("type") {
            let all = json!(["null", "boolean", "number", "string", "array", "object"]);
            members.insert("type".to_owned(), all);
        }
    }

    /// Removes patterns that are too large, and limits the strings for the others.
    fn patterns(&mut self, members: &mut Map<String, Value>) {
        let own = members.get("pattern").and_then(Value::as_str);
        if own.is_some_and(|pattern| !self.admits(pattern)) {
            members.shift_remove("pattern");
        }
        if let Some(Value::Object(named)) = members.get_mut("patternProperties") {
            named.retain(|pattern, _| self.admits(pattern));
        }
    }

    /// Whether a pattern is small enough to be used.
    fn admits(&mut self, pattern: &str) -> bool {
        if let Some(most) = patterns::text_bytes_max(pattern) {
            self.text_bytes_max = self.text_bytes_max.min(most);
            return true;
        }
        let start: String = pattern.chars().take(60).collect();
        self.warnings
            .push(format!("the pattern `{start}` is too large and is ignored"));
        false
    }

    /// Removes lists whose elements would all be compared with each other.
    fn unique_lists(&mut self, members: &mut Map<String, Value>) {
        for key in UNIQUE_LISTS {
            let list = members.get(*key).and_then(Value::as_array);
            let containers = list.into_iter().flatten();
            let containers = containers.filter(|it| it.is_array() || it.is_object());
            if containers.count() > CONTAINERS_MAX {
                members.shift_remove(*key);
                self.warnings.push(format!(
                    "`{key}` of the input schema contains more than {CONTAINERS_MAX} lists and objects and is ignored"
                ));
            }
        }
        for key in ["dependencies", "dependentRequired"] {
            if let Some(Value::Object(named)) = members.get_mut(key) {
                named.retain(|_, list| {
                    let list = list.as_array().into_iter().flatten();
                    list.filter(|it| !it.is_string()).count() <= CONTAINERS_MAX
                });
            }
        }
    }
}

/// Removes the target of a JSON pointer.
fn remove(schema: &mut Value, pointer: &str) -> bool {
    let Some((parent, last)) = pointer.rsplit_once('/') else {
        return false;
    };
    match schema.pointer_mut(parent) {
        Some(Value::Object(members)) => {
            let key = last.replace("~1", "/").replace("~0", "~");
            members.shift_remove(&key).is_some()
        }
        Some(Value::Array(items)) => match last.parse::<usize>() {
            Ok(index) if index < items.len() => {
                items.remove(index);
                true
            }
            _ => false,
        },
        _ => false,
    }
}
