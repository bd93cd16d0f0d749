//! Resolves a `$ref` inside one server schema. Nothing is ever fetched.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;
use serde_json::Value;

/// The targets of references: the root, and every schema with an `$id` or an anchor.
#[derive(Debug)]
pub struct ReferenceIndex<'a> {
    /// The whole schema.
    root: &'a Value,
    /// Embedded resources by `$id`.
    resources: Vec<(&'a str, &'a Value)>,
    /// Schemas by `$anchor`, `$dynamicAnchor` or draft-07's `$id: "#name"`.
    anchors: Vec<(&'a str, &'a Value)>,
}

/// The target of a reference.
#[derive(Debug, Clone, Copy)]
pub struct ReferenceTarget<'a> {
    /// The schema: an object or a boolean.
    pub schema: &'a Value,
    /// The enclosing resource, where its own `#/…` references start.
    pub base: &'a Value,
}

impl<'a> ReferenceIndex<'a> {
    /// Reads the schema once. It uses its own stack, so deep nesting is safe.
    pub fn new(root: &'a Value) -> Self {
        let mut index = Self {
            root,
            resources: Vec::new(),
            anchors: Vec::new(),
        };
        let mut rest = vec![root];
        while let Some(value) = rest.pop() {
            match value {
                Value::Object(members) => {
                    index.note(value);
                    rest.extend(members.values().filter(|member| is_nested(member)));
                }
                Value::Array(entries) => {
                    rest.extend(entries.iter().filter(|entry| is_nested(entry)));
                }
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
            }
        }
        index
    }

    /// Resolves `reference` inside the resource `base`. Also accepts what servers write outside the standard:
    /// a bare name, and any path whose last segment names a definition.
    pub fn find(&self, reference: &str, base: &'a Value) -> Option<ReferenceTarget<'a>> {
        let (resource, fragment) = reference.split_once('#').unwrap_or((reference, ""));
        let start = if resource.is_empty() {
            Some(base)
        } else {
            self.resource(resource)
        };
        let found = start.and_then(|start| match fragment {
            "" => Some(at(start, start)),
            _ if fragment.starts_with('/') => {
                walk(start, fragment).or_else(|| walk(self.root, fragment))
            }
            _ => lookup(&self.anchors, fragment).map(|schema| at(schema, base)),
        });
        found
            .or_else(|| (!resource.contains("://")).then(|| self.definition(reference))?)
            .filter(|target| target.schema.is_object() || target.schema.is_boolean())
    }

    /// Whether `schema` is a resource of its own.
    pub fn is_resource(schema: &Value) -> bool {
        id_of(schema).is_some_and(|id| !id.starts_with('#'))
    }

    /// Records the names by which a schema can be referred to.
    fn note(&mut self, schema: &'a Value) {
        if let Some(id) = id_of(schema) {
            match id.strip_prefix('#') {
                Some(name) => self.anchors.push((name, schema)),
                None => self.resources.push((id.trim_end_matches('#'), schema)),
            }
        }
        for keyword in ["$anchor", "$dynamicAnchor"] {
            if let Some(name) = schema.get(keyword).and_then(Value::as_str) {
                self.anchors.push((name, schema));
            }
        }
    }

    /// Finds a resource by its `$id`, or by the end of the `$id` if the reference is relative.
    fn resource(&self, id: &str) -> Option<&'a Value> {
        lookup(&self.resources, id).or_else(|| {
            let relative = format!("/{}", id.trim_start_matches("./").trim_start_matches('/'));
            let found = self
                .resources
                .iter()
                .find(|(known, _)| known.ends_with(&relative))?;
            Some(found.1)
        })
    }

    /// Finds the definition that the last segment of a reference names.
    fn definition(&self, reference: &str) -> Option<ReferenceTarget<'a>> {
        let name = unescape(reference.rsplit(['/', '#']).next()?);
        ["/$defs", "/definitions", "/components/schemas"]
            .into_iter()
            .find_map(|table| self.root.pointer(table)?.get(&*name))
            .map(|schema| at(schema, self.root))
    }
}

/// Returns a readable name for the target of `reference`: its last segment that is not a keyword.
pub fn name_of(reference: &str) -> String {
    let name = reference
        .rsplit(['/', '#'])
        .find(|segment| {
            let keyword = matches!(
                *segment,
                "" | "items" | "properties" | "anyOf" | "oneOf" | "allOf" | "additionalProperties"
            );
            !keyword && segment.parse::<usize>().is_err()
        })
        .map_or(Cow::Borrowed("root"), unescape);
    name.chars()
        .take(64)
        .map(|character| match character {
            'A'..='Z' | 'a'..='z' | '0'..='9' | '_' | '-' => character,
            _ => '_',
        })
        .collect()
}

/// Follows a JSON pointer. Also returns the innermost resource on the path.
fn walk<'a>(start: &'a Value, pointer: &str) -> Option<ReferenceTarget<'a>> {
    let mut target = at(start, start);
    for segment in pointer.split('/').skip(1) {
        let next = step(target.schema, segment)?;
        if ReferenceIndex::is_resource(target.schema) {
            target.base = target.schema;
        }
        target.schema = next;
    }
    Some(target)
}

/// Follows one segment of a pointer: first as written, then percent-decoded.
fn step<'a>(value: &'a Value, segment: &str) -> Option<&'a Value> {
    match value {
        Value::Object(members) => {
            let plain = segment.replace("~1", "/").replace("~0", "~");
            members
                .get(&plain)
                .or_else(|| members.get(&*unescape(segment)))
        }
        Value::Array(entries) => entries.get(segment.parse::<usize>().ok()?),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}

/// Decodes percent-encoding, then the escapes of JSON pointers.
fn unescape(segment: &str) -> Cow<'_, str> {
    let decoded = percent_decode_str(segment).decode_utf8_lossy();
    if decoded.contains('~') {
        Cow::Owned(decoded.replace("~1", "/").replace("~0", "~"))
    } else {
        decoded
    }
}

/// Pairs a schema with its resource.
fn at<'a>(schema: &'a Value, base: &'a Value) -> ReferenceTarget<'a> {
    ReferenceTarget { schema, base }
}

/// Returns the `$id` of a schema. A property of that name contains a schema and does not count.
fn id_of(schema: &Value) -> Option<&str> {
    schema.get("$id").and_then(Value::as_str)
}

/// Whether a value can contain others.
fn is_nested(value: &Value) -> bool {
    value.is_object() || value.is_array()
}

/// Returns the first entry of that name.
fn lookup<'a>(table: &[(&'a str, &'a Value)], name: &str) -> Option<&'a Value> {
    table
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, schema)| *schema)
}
