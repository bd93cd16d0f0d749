//! [`ArgumentPlanBuilder`]: converts a schema, with all its references, to the nodes of a plan.

use std::collections::HashMap;

use jsonschema::Draft;
use serde_json::{Map, Value};

use crate::schema::meter::{charge, per};

use super::{
    node::{NodeId, PlanNode, PlanProperty},
    reference::pointer_of,
    types::ValueTypeSet,
};

/// Keywords that constrain values of any type.
const JUDGES: &[&str] = &[
    "const",
    "else",
    "enum",
    "if",
    "not",
    "then",
    "$dynamicRef",
    "$recursiveRef",
];

/// Keywords that constrain strings.
const STRING_JUDGES: &[&str] = &["maxLength", "minLength", "pattern"];

/// Keywords that constrain numbers.
const NUMBER_JUDGES: &[&str] = &[
    "exclusiveMaximum",
    "exclusiveMinimum",
    "maximum",
    "minimum",
    "multipleOf",
];

/// Keywords that constrain arrays.
const ARRAY_JUDGES: &[&str] = &[
    "additionalItems",
    "contains",
    "items",
    "maxItems",
    "minItems",
    "prefixItems",
    "unevaluatedItems",
    "uniqueItems",
];

/// Keywords that constrain objects.
const OBJECT_JUDGES: &[&str] = &[
    "additionalProperties",
    "dependencies",
    "dependentRequired",
    "dependentSchemas",
    "maxProperties",
    "minProperties",
    "patternProperties",
    "properties",
    "propertyNames",
    "required",
    "unevaluatedProperties",
];

/// Keywords by which an added key may make an object, or a value around it, invalid.
const ADDITION_JUDGES: &[&str] = &[
    "allOf",
    "anyOf",
    "const",
    "contains",
    "dependencies",
    "dependentRequired",
    "dependentSchemas",
    "enum",
    "if",
    "maxProperties",
    "not",
    "oneOf",
    "patternProperties",
    "propertyNames",
    "uniqueItems",
    "$dynamicRef",
    "$recursiveRef",
];

/// Keywords that allow further property names, or define them in a way that a plan does not examine.
const OPENERS: &[&str] = &[
    "additionalProperties",
    "dependencies",
    "dependentSchemas",
    "else",
    "if",
    "patternProperties",
    "then",
    "unevaluatedProperties",
    "$dynamicRef",
    "$recursiveRef",
];

/// The walk that creates the nodes.
pub struct ArgumentPlanBuilder<'s> {
    /// The document.
    schema: &'s Value,
    /// Its dialect.
    draft: Draft,
    /// The nodes so far.
    nodes: Vec<PlanNode>,
    /// The node of each JSON pointer.
    places: HashMap<String, NodeId>,
}

impl<'s> ArgumentPlanBuilder<'s> {
    /// Returns the nodes of a schema, the root first.
    pub fn of(schema: &'s Value, draft: Draft) -> Vec<PlanNode> {
        let mut survey = Self {
            schema,
            draft,
            nodes: Vec::new(),
            places: HashMap::new(),
        };
        survey.node("");
        survey.nodes
    }

    /// Returns the node of the schema at a pointer. Creates it, with all it refers to, on first use.
    fn node(&mut self, pointer: &str) -> NodeId {
        charge(2 + per(pointer.len(), 16));
        if let Some(id) = self.places.get(pointer) {
            return *id;
        }
        let id = self.nodes.len();
        self.places.insert(pointer.to_owned(), id);
        self.nodes.push(PlanNode::blank(pointer.to_owned()));
        match self.schema.pointer(pointer) {
            Some(Value::Object(schema)) => self.nodes[id] = self.read(pointer, schema),
            Some(Value::Bool(false)) => {
                self.nodes[id].possible = ValueTypeSet::NONE;
                self.nodes[id].whole = ValueTypeSet::NONE;
            }
            _ => {}
        }
        id
    }

    /// Reads one schema.
    fn read(&mut self, pointer: &str, schema: &Map<String, Value>) -> PlanNode {
        let mut node = PlanNode::blank(pointer.to_owned());
        let reference = schema.get("$ref").and_then(Value::as_str);
        let target = reference.and_then(pointer_of);
        let is_elsewhere = reference.is_some() && target.is_none();
        if let Some(target) = target {
            node.all_of.push(self.node(&target));
            // Up to draft 7, keywords next to a `$ref` are ignored.
            if matches!(self.draft, Draft::Draft4 | Draft::Draft6 | Draft::Draft7) {
                return node;
            }
        }
        node.read_types(schema);
        self.read_object(&mut node, schema);
        if is_elsewhere {
            node.whole = ValueTypeSet::NONE;
            node.opens = true;
        }
        self.read_array(&mut node, schema);
        for index in 0..list(schema, "allOf") {
            node.all_of
                .push(self.node(&format!("{pointer}/allOf/{index}")));
        }
        for key in ["anyOf", "oneOf"] {
            let group: Vec<NodeId> = (0..list(schema, key))
                .map(|index| self.node(&format!("{pointer}/{key}/{index}")))
                .collect();
            if !group.is_empty() {
                node.any_of.push(group);
            }
        }
        node.guarded = ADDITION_JUDGES.iter().any(|key| schema.contains_key(*key));
        node.idle = node.declared == ValueTypeSet::ALL
            && node.choices.is_none()
            && node.properties.is_empty();
        node
    }

    /// Reads the keywords for objects.
    fn read_object(&mut self, node: &mut PlanNode, schema: &Map<String, Value>) {
        let required: Vec<&str> = match schema.get("required") {
            Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        let properties = schema.get("properties").and_then(Value::as_object);
        for name in properties.into_iter().flat_map(Map::keys) {
            let escaped = name.replace('~', "~0").replace('/', "~1");
            let property = PlanProperty {
                node: self.node(&format!("{}/properties/{escaped}", node.pointer)),
                required: required.contains(&name.as_str()),
                drops_null: false,
            };
            node.properties.insert(name.clone(), property);
            node.order.push(name.clone());
        }
        node.required = required.into_iter().map(str::to_owned).collect();
        let is_welcome = |keyword: &&str| {
            schema
                .get(*keyword)
                .is_some_and(|value| *value != Value::Bool(false))
        };
        node.opens = OPENERS.iter().any(is_welcome);
        let is_open = schema
            .get("additionalProperties")
            .is_some_and(Value::is_object);
        if is_open && !schema.contains_key("patternProperties") {
            node.additional = Some(self.node(&format!("{}/additionalProperties", node.pointer)));
        }
    }

    /// Reads the keywords for arrays, including tuples of all drafts.
    fn read_array(&mut self, node: &mut PlanNode, schema: &Map<String, Value>) {
        let (prefix, rest) = if schema.get("items").is_some_and(Value::is_array) {
            ("items", "additionalItems")
        } else {
            ("prefixItems", "items")
        };
        for index in 0..list(schema, prefix) {
            node.prefix
                .push(self.node(&format!("{}/{prefix}/{index}", node.pointer)));
        }
        if schema.get(rest).is_some_and(Value::is_object) {
            node.items = Some(self.node(&format!("{}/{rest}", node.pointer)));
        }
    }
}

impl PlanNode {
    /// Reads `type`, `enum` and `const`, and determines the types that need no further checks.
    fn read_types(&mut self, schema: &Map<String, Value>) {
        self.choices = match (schema.get("const"), schema.get("enum")) {
            (Some(only), _) => Some(vec![only.clone()]),
            (None, Some(Value::Array(all))) => Some(all.clone()),
            _ => None,
        };
        self.declared = ValueTypeSet::declared(schema);
        if let Some(choices) = &self.choices {
            let kinds = choices
                .iter()
                .map(ValueTypeSet::of)
                .fold(ValueTypeSet::NONE, ValueTypeSet::or);
            self.declared = self.declared.and(kinds);
        }
        self.possible = self.declared;
        let judged = |keys: &[&str], types: ValueTypeSet| {
            if keys.iter().any(|key| schema.contains_key(*key)) {
                types
            } else {
                ValueTypeSet::NONE
            }
        };
        self.whole = self
            .declared
            .without(judged(JUDGES, ValueTypeSet::ALL))
            .without(judged(STRING_JUDGES, ValueTypeSet::STRING))
            .without(judged(NUMBER_JUDGES, ValueTypeSet::NUMBER))
            .without(judged(ARRAY_JUDGES, ValueTypeSet::ARRAY))
            .without(judged(OBJECT_JUDGES, ValueTypeSet::OBJECT));
    }
}

/// Returns the length of the list under a key.
fn list(schema: &Map<String, Value>, key: &str) -> usize {
    schema
        .get(key)
        .and_then(Value::as_array)
        .map_or(0, Vec::len)
}
