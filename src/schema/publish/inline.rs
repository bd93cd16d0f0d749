//! Step 1: references become copies of their targets.
//!
//! Only the schema's own tree and copies of it are walked, within a budget. An exponential web of references
//! exceeds the budget quickly, and is then published as named components.

use std::{collections::HashMap, ptr};

use serde_json::{Map, Value, json};

use super::{
    keyword::{KeywordKind, is_converted, is_in_place, keyword_kind},
    refs::{ReferenceIndex, ReferenceTarget, name_of},
};

/// The maximum nesting depth of schemas. Each level is at most two levels of JSON, and many parsers stop at
/// 128.
const DEPTH_MAX: usize = 40;

/// The maximum depth of JSON inside `default`, `enum` and other plain values.
const DATA_DEPTH_MAX: usize = 20;

/// The budget with copies, in steps of [`SchemaInliner::spend`]. The largest known schema of a real server takes
/// 1,819.
const COPY_BUDGET: usize = 10_000;

/// The budget without copies, which is about the largest schema that is published.
const NAME_BUDGET: usize = 60_000;

/// A definition with at most this many values and without references is copied even if others are named.
const SMALL_VALUES: usize = 20;

/// How to replace a reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InlineMode {
    /// With a copy; with a named component only if the schema would contain itself.
    Copy,
    /// With a named component, unless it is small.
    Name,
    /// Like [`InlineMode::Name`], but components contain no references: for webs of references that are too large
    /// for a client that expands them.
    Cut,
}

/// A schema that refers only to its components.
#[derive(Debug)]
pub struct InlinedSchema {
    /// The schema.
    pub schema: Value,
    /// Components by name, in the order of first use.
    pub components: Vec<(String, Value)>,
    /// Warnings about lost parts.
    pub warnings: Vec<String>,
}

/// The budget was exceeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the schema is too large")]
pub struct SchemaSizeError;

/// Resolves the references of `source`.
pub fn inline(
    source: &Value,
    prefix: &str,
    reuse: InlineMode,
) -> Result<InlinedSchema, SchemaSizeError> {
    let mut inliner = SchemaInliner {
        index: ReferenceIndex::new(source),
        reuse,
        prefix,
        budget: match reuse {
            InlineMode::Copy => COPY_BUDGET,
            InlineMode::Name | InlineMode::Cut => NAME_BUDGET,
        },
        open: vec![(source, 0)],
        in_component: false,
        components: Vec::new(),
        named: HashMap::new(),
        names: HashMap::new(),
        warnings: Vec::new(),
    };
    let place = InlinePosition {
        base: source,
        depth: 0,
        level: 0,
        converted: true,
    };
    let schema = if source.is_null() {
        Value::Bool(true)
    } else {
        inliner.schema(source, place)?
    };
    let components = inliner.bodies(place)?;
    Ok(InlinedSchema {
        schema,
        components,
        warnings: inliner.warnings,
    })
}

/// The walk over one schema.
struct SchemaInliner<'a> {
    /// The targets of references.
    index: ReferenceIndex<'a>,
    /// How references are replaced.
    reuse: InlineMode,
    /// The prefix of component names.
    prefix: &'a str,
    /// The rest of the budget.
    budget: usize,
    /// The schemas that are being copied, outermost first, each with the level at its entry.
    open: Vec<(&'a Value, usize)>,
    /// Whether a component is being written.
    in_component: bool,
    /// The components by name. They are written after the schema itself.
    components: Vec<(String, ReferenceTarget<'a>)>,
    /// The component of each schema, by address; never walked.
    named: HashMap<*const Value, usize>,
    /// How many times each name was requested.
    names: HashMap<String, usize>,
    /// The warnings, without duplicates.
    warnings: Vec<String>,
}

/// The current position in the copy.
#[derive(Clone, Copy)]
struct InlinePosition<'a> {
    /// The target of `#`.
    base: &'a Value,
    /// The number of enclosing schemas.
    depth: usize,
    /// The nesting depth in the *value* that the schema describes: `properties` increases it, `anyOf` does
    /// not.
    level: usize,
    /// Whether `Open WebUI`'s converter reaches this position.
    converted: bool,
}

impl<'a> SchemaInliner<'a> {
    /// Copies one schema.
    fn schema(
        &mut self,
        node: &'a Value,
        mut place: InlinePosition<'a>,
    ) -> Result<Value, SchemaSizeError> {
        self.spend(1)?;
        let Value::Object(members) = node else {
            if !node.is_boolean() {
                self.warn(
                    "a schema is neither an object nor a boolean; anything is accepted there",
                );
            }
            return Ok(Value::Bool(node.as_bool().unwrap_or(true)));
        };
        if place.depth > DEPTH_MAX {
            if self.reuse == InlineMode::Copy && self.open.len() > 1 {
                return Err(SchemaSizeError);
            }
            self.warn("it nests too deeply; anything is accepted below");
            return Ok(Value::Bool(true));
        }
        if ReferenceIndex::is_resource(node) {
            place.base = node;
        }
        let mut copy = Map::new();
        let mut referred = Vec::new();
        for (keyword, value) in members {
            match (keyword_kind(keyword), value) {
                (KeywordKind::Noise, _) => {}
                (KeywordKind::Reference, Value::String(reference)) => {
                    referred.push(self.reference(reference, place)?);
                }
                (KeywordKind::Reference, _) => self.warn("a `$ref` is not a text"),
                (KeywordKind::Dependencies, Value::Object(names)) => {
                    self.dependencies(&mut copy, names, place)?;
                }
                (KeywordKind::Data, _) => self.data_member(&mut copy, keyword, value)?,
                (kind, _) => {
                    if let Some(value) = self.subschemas(kind, keyword, value, place)? {
                        copy.insert(keyword.clone(), value);
                    }
                }
            }
        }
        Ok(join(copy, referred))
    }

    /// Copies the schemas under a keyword; `None` if its value is not a schema.
    fn subschemas(
        &mut self,
        kind: KeywordKind,
        keyword: &str,
        value: &'a Value,
        place: InlinePosition<'a>,
    ) -> Result<Option<Value>, SchemaSizeError> {
        let inner = InlinePosition {
            depth: place.depth + 1,
            level: place.level + usize::from(!is_in_place(keyword)),
            converted: place.converted && is_converted(keyword),
            ..place
        };
        let copy = match (kind, value) {
            (KeywordKind::Schema | KeywordKind::Items, Value::Object(_) | Value::Bool(_)) => {
                self.schema(value, inner)?
            }
            (KeywordKind::List | KeywordKind::Items, Value::Array(schemas)) => schemas
                .iter()
                .map(|schema| self.schema(schema, inner))
                .collect::<Result<_, _>>()?,
            (KeywordKind::Names, Value::Object(schemas)) => Value::Object(
                schemas
                    .iter()
                    .map(|(name, schema)| Ok((name.clone(), self.schema(schema, inner)?)))
                    .collect::<Result<_, _>>()?,
            ),
            _ => {
                self.warn(&format!("`{keyword}` contains no schema and is left out"));
                return Ok(None);
            }
        };
        Ok(Some(copy))
    }

    /// Splits draft-07's `dependencies` into the two keywords that replaced it.
    fn dependencies(
        &mut self,
        copy: &mut Map<String, Value>,
        names: &'a Map<String, Value>,
        place: InlinePosition<'a>,
    ) -> Result<(), SchemaSizeError> {
        for (name, value) in names {
            let (keyword, value) = if value.is_array() {
                ("dependentRequired", self.data(value, 0)?)
            } else {
                let inner = InlinePosition {
                    depth: place.depth + 1,
                    converted: false,
                    ..place
                };
                ("dependentSchemas", self.schema(value, inner)?)
            };
            let table = copy.entry(keyword).or_insert_with(|| json!({}));
            if let Some(table) = table.as_object_mut() {
                table.insert(name.clone(), value);
            }
        }
        Ok(())
    }

    /// Replaces one reference.
    fn reference(
        &mut self,
        reference: &str,
        place: InlinePosition<'a>,
    ) -> Result<Value, SchemaSizeError> {
        let Some(target) = self.index.find(reference, place.base) else {
            let shown: String = reference.chars().take(80).collect();
            self.warn(&format!(
                "`$ref` `{shown}` has no target in its schema; anything is accepted there"
            ));
            return Ok(Value::Bool(true));
        };
        let around = self
            .open
            .iter()
            .find(|(schema, _)| ptr::eq(*schema, target.schema));
        match around {
            Some((_, level)) if *level == place.level => {
                self.warn("a schema is defined as itself; anything is accepted there");
                return Ok(Value::Bool(true));
            }
            Some(_) => return Ok(self.named(reference, target, place)),
            None => {}
        }
        // Schemas for the arguments as a whole are merged later, so they must be copied.
        if self.reuse != InlineMode::Copy && place.level > 0 && !is_small(target.schema) {
            return Ok(self.named(reference, target, place));
        }
        self.open.push((target.schema, place.level));
        let inner = InlinePosition {
            base: target.base,
            depth: place.depth + 1,
            ..place
        };
        let copy = self.schema(target.schema, inner);
        self.open.pop();
        copy
    }

    /// Refers to a component if clients can follow. Elsewhere writes only the type.
    fn named(
        &mut self,
        reference: &str,
        target: ReferenceTarget<'a>,
        place: InlinePosition<'a>,
    ) -> Value {
        if !place.converted {
            self.warn(
                "it refers to itself where clients cannot follow; only the type is published",
            );
            return plain_type(target.schema);
        }
        if self.in_component && self.reuse == InlineMode::Cut {
            self.warn(
                "it has more references than clients can follow; only the types are published",
            );
            return plain_type(target.schema);
        }
        let number = match self.named.get(&ptr::from_ref(target.schema)) {
            Some(number) => *number,
            None => self.component(reference, target),
        };
        let name = self
            .components
            .get(number)
            .map_or("", |(name, _)| name.as_str());
        json!({"$ref": format!("#/components/schemas/{name}")})
    }

    /// Creates a component with a unique name.
    fn component(&mut self, reference: &str, target: ReferenceTarget<'a>) -> usize {
        let mut name = format!("{}.{}", self.prefix, name_of(reference));
        loop {
            let count = self.names.entry(name.clone()).or_default();
            *count += 1;
            if *count == 1 {
                break;
            }
            name = format!("{name}_{count}");
        }
        let number = self.components.len();
        self.components.push((name, target));
        self.named.insert(ptr::from_ref(target.schema), number);
        number
    }

    /// Writes the components, and those that they need.
    fn bodies(
        &mut self,
        place: InlinePosition<'a>,
    ) -> Result<Vec<(String, Value)>, SchemaSizeError> {
        let mut bodies = Vec::new();
        self.in_component = true;
        while let Some((name, target)) = self.components.get(bodies.len()).cloned() {
            self.open = vec![(target.schema, 1)];
            let inner = InlinePosition {
                base: target.base,
                level: 1,
                ..place
            };
            bodies.push((name, self.schema(target.schema, inner)?));
        }
        Ok(bodies)
    }

    /// Copies a plain value. Drops one that nests too deeply.
    fn data_member(
        &mut self,
        copy: &mut Map<String, Value>,
        keyword: &str,
        value: &Value,
    ) -> Result<(), SchemaSizeError> {
        if is_deep(value, DATA_DEPTH_MAX) {
            self.warn(&format!("`{keyword}` nests too deeply and is left out"));
        } else {
            copy.insert(keyword.to_owned(), self.data(value, 0)?);
        }
        Ok(())
    }

    /// Copies a plain value within the budget.
    fn data(&mut self, value: &Value, depth: usize) -> Result<Value, SchemaSizeError> {
        if depth > DATA_DEPTH_MAX {
            return Ok(Value::Null);
        }
        Ok(match value {
            Value::Array(entries) => entries
                .iter()
                .map(|entry| self.data(entry, depth + 1))
                .collect::<Result<_, _>>()?,
            Value::Object(members) => Value::Object(
                members
                    .iter()
                    .map(|(name, value)| Ok((name.clone(), self.data(value, depth + 1)?)))
                    .collect::<Result<_, _>>()?,
            ),
            Value::String(text) => {
                self.spend(1 + text.len() / 32)?;
                value.clone()
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {
                self.spend(1)?;
                value.clone()
            }
        })
    }

    /// Takes from the budget: one step for a value, and one for each 32 bytes of text.
    fn spend(&mut self, steps: usize) -> Result<(), SchemaSizeError> {
        self.budget = self.budget.checked_sub(steps).ok_or(SchemaSizeError)?;
        Ok(())
    }

    /// Adds a warning, without duplicates.
    fn warn(&mut self, text: &str) {
        /// The maximum number of warnings.
        const WARNINGS_MAX: usize = 20;

        if self.warnings.len() < WARNINGS_MAX && !self.warnings.iter().any(|known| known == text) {
            self.warnings.push(text.to_owned());
        }
    }
}

/// Adds the target of a reference to a schema. The schema's own keywords take precedence in
/// [`super::flatten`].
fn join(mut copy: Map<String, Value>, mut referred: Vec<Value>) -> Value {
    if copy.is_empty() && referred.len() == 1 {
        return referred.pop().unwrap_or_default();
    }
    if !referred.is_empty() {
        let all = copy.entry("allOf").or_insert_with(|| json!([]));
        if let Some(all) = all.as_array_mut() {
            all.append(&mut referred);
        }
    }
    Value::Object(copy)
}

/// Returns only the type of a schema.
fn plain_type(schema: &Value) -> Value {
    match schema.get("type") {
        Some(kind @ (Value::String(_) | Value::Array(_))) if !is_deep(kind, 1) => {
            json!({"type": kind})
        }
        _ if schema.get("properties").is_some() => json!({"type": "object"}),
        _ if schema.get("items").is_some() => json!({"type": "array"}),
        _ => Value::Bool(true),
    }
}

/// Whether a definition is short and has no references.
fn is_small(schema: &Value) -> bool {
    let mut rest = vec![schema];
    let mut seen = 0;
    while let Some(value) = rest.pop() {
        seen += 1;
        if seen > SMALL_VALUES {
            return false;
        }
        match value {
            Value::Object(members) => {
                if members
                    .keys()
                    .any(|key| keyword_kind(key) == KeywordKind::Reference)
                {
                    return false;
                }
                rest.extend(members.values());
            }
            Value::Array(entries) => rest.extend(entries),
            Value::String(text) if text.len() > 400 => return false,
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    true
}

/// Whether a value nests deeper than `levels`. The check stops there, so the stack is safe.
fn is_deep(value: &Value, levels: usize) -> bool {
    let inside = |inner: &Value| levels == 0 || is_deep(inner, levels - 1);
    match value {
        Value::Array(entries) => entries.iter().any(inside),
        Value::Object(members) => members.values().any(inside),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}
