//! [`Plan`]: a schema as the steps that settle a value.

use std::{
    collections::{HashMap, HashSet},
    sync::OnceLock,
};

use jsonschema::{Draft, Validator};
use serde_json::{Map, Value};

use super::{
    branch,
    repair::pointer_of,
    types::{Types, same},
};

/// Which node of a plan.
pub type NodeId = usize;

/// Keywords that judge a value of any type as a whole.
const JUDGES: &[&str] = &["const", "else", "enum", "if", "not", "then", "$dynamicRef", "$recursiveRef"];

/// Keywords that judge strings.
const STRING_JUDGES: &[&str] = &["maxLength", "minLength", "pattern"];

/// Keywords that judge numbers.
const NUMBER_JUDGES: &[&str] =
    &["exclusiveMaximum", "exclusiveMinimum", "maximum", "minimum", "multipleOf"];

/// Keywords that judge arrays.
const ARRAY_JUDGES: &[&str] = &[
    "additionalItems", "contains", "items", "maxItems", "minItems", "prefixItems",
    "unevaluatedItems", "uniqueItems",
];

/// Keywords that judge objects.
const OBJECT_JUDGES: &[&str] = &[
    "additionalProperties", "dependencies", "dependentRequired", "dependentSchemas",
    "maxProperties", "minProperties", "patternProperties", "properties", "propertyNames",
    "required", "unevaluatedProperties",
];

/// Keywords that may refuse an object, or something around it, because a key was added.
const ADDITION_JUDGES: &[&str] = &[
    "allOf", "anyOf", "const", "contains", "dependencies", "dependentRequired",
    "dependentSchemas", "enum", "if", "maxProperties", "not", "oneOf", "patternProperties",
    "propertyNames", "uniqueItems", "$dynamicRef", "$recursiveRef",
];

/// A schema as the steps that settle a value. Node 0 is the root.
#[derive(Debug)]
pub struct Plan {
    /// What it was made from.
    schema: Value,
    /// The dialect of `schema`.
    draft: Draft,
    /// One for each schema that a value can meet, by [`NodeId`].
    nodes: Vec<Node>,
    /// See [`Plan::defaults_may_conflict`].
    defaults_may_conflict: bool,
}

/// One schema.
#[derive(Debug)]
pub struct Node {
    /// Where it stands in the document.
    pub pointer: String,
    /// The types it names itself, or its choices have.
    pub declared: Types,
    /// No valid value is of another type, all things considered.
    pub possible: Types,
    /// Each value of these types is valid.
    pub whole: Types,
    /// `enum`, or `const`.
    pub choices: Option<Vec<Value>>,
    /// The properties it names.
    pub properties: HashMap<String, Property>,
    /// What all other properties are.
    pub additional: Option<NodeId>,
    /// The first elements.
    pub prefix: Vec<NodeId>,
    /// What all other elements are.
    pub items: Option<NodeId>,
    /// Schemas that apply as well: `$ref` and `allOf`.
    pub all_of: Vec<NodeId>,
    /// Lists of schemas of which one applies: `anyOf` and `oneOf`.
    pub any_of: Vec<Vec<NodeId>>,
    /// What is filled in where a property is absent.
    pub defaults: Vec<(String, Value)>,
    /// Nothing here or below ever changes a value.
    pub idle: bool,
    /// Adding a key to a value at this place or below may make it invalid.
    guarded: bool,
    /// The schema on its own, compiled when a union first needs it.
    pub(super) validator: OnceLock<Option<Validator>>,
}

/// One property of an object.
#[derive(Debug)]
pub struct Property {
    /// Its schema.
    pub node: NodeId,
    /// The object must have it.
    pub required: bool,
    /// A null is dropped: it is not allowed, and the property can be absent.
    pub drops_null: bool,
}

impl Plan {
    /// Plans a schema that compiles.
    pub fn compile(schema: Value, draft: Draft, warnings: &mut Vec<String>) -> Self {
        let mut survey = Survey {
            schema: &schema,
            draft,
            nodes: Vec::new(),
            places: HashMap::new(),
        };
        survey.node(String::new());
        let nodes = survey.nodes;
        let mut plan = Self {
            schema,
            draft,
            nodes,
            defaults_may_conflict: false,
        };
        plan.break_circles();
        plan.spread_types();
        plan.collect_defaults(warnings);
        plan.rest();
        plan.defaults_may_conflict = plan.find_conflict();
        plan
    }

    /// The plan that changes nothing.
    pub fn any() -> Self {
        Self::compile(Value::Bool(true), Draft::Draft202012, &mut Vec::new())
    }

    /// The schema it was made from.
    pub fn schema(&self) -> &Value {
        &self.schema
    }

    /// The dialect of the schema.
    pub fn draft(&self) -> Draft {
        self.draft
    }

    /// One node. All ids come from the plan itself.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id]
    }

    /// True if the tool has an argument of that name.
    pub fn has_property(&self, name: &str) -> bool {
        let mut open = vec![0];
        while let Some(id) = open.pop() {
            let node = self.node(id);
            if node.properties.contains_key(name) {
                return true;
            }
            open.extend(node.all_of.iter().chain(node.any_of.iter().flatten()));
        }
        false
    }

    /// True if filling in a default may turn valid arguments into invalid ones.
    pub fn defaults_may_conflict(&self) -> bool {
        self.defaults_may_conflict
    }

    /// Cuts `$ref`, `allOf`, `anyOf` and `oneOf` where they lead back without a step into the
    /// value, so that settling ends.
    fn break_circles(&mut self) {
        let mut done = vec![false; self.nodes.len()];
        for start in 0..self.nodes.len() {
            self.cut_below(start, &mut Vec::new(), &mut done);
        }
    }

    /// [`Plan::break_circles`] from one node on; `path` is the way there.
    fn cut_below(&mut self, id: NodeId, path: &mut Vec<NodeId>, done: &mut [bool]) {
        if done[id] {
            return;
        }
        path.push(id);
        let mut all_of = std::mem::take(&mut self.nodes[id].all_of);
        let mut any_of = std::mem::take(&mut self.nodes[id].any_of);
        let before = all_of.len() + any_of.len();
        all_of.retain(|next| !path.contains(next));
        any_of.retain(|group| !group.iter().any(|next| path.contains(next)));
        if all_of.len() + any_of.len() < before {
            self.nodes[id].whole = Types::NONE;
        }
        for next in all_of.iter().chain(any_of.iter().flatten()) {
            self.cut_below(*next, path, done);
        }
        self.nodes[id].all_of = all_of;
        self.nodes[id].any_of = any_of;
        path.pop();
        done[id] = true;
    }

    /// Finds the types that are possible, shrinking, and those that are whole, growing.
    fn spread_types(&mut self) {
        let own: Vec<Types> = self.nodes.iter().map(|node| node.whole).collect();
        for node in &mut self.nodes {
            if !node.all_of.is_empty() || !node.any_of.is_empty() {
                node.whole = Types::NONE;
            }
        }
        loop {
            let mut changed = false;
            for id in 0..self.nodes.len() {
                let node = &self.nodes[id];
                let (mut possible, mut whole) = (node.possible, own[id]);
                for other in &node.all_of {
                    possible = possible.and(self.nodes[*other].possible);
                    whole = whole.and(self.nodes[*other].whole);
                }
                for group in &node.any_of {
                    let union = |of: fn(&Node) -> Types| {
                        group.iter().fold(Types::NONE, |sum, id| sum.or(of(&self.nodes[*id])))
                    };
                    possible = possible.and(union(|node| node.possible));
                    whole = whole.and(union(|node| node.whole));
                }
                let node = &mut self.nodes[id];
                changed |= node.possible != possible || node.whole != whole;
                node.possible = possible;
                node.whole = whole;
            }
            if !changed {
                return;
            }
        }
    }

    /// Collects the defaults that are valid themselves, and decides which nulls are dropped.
    fn collect_defaults(&mut self, warnings: &mut Vec<String>) {
        for id in 0..self.nodes.len() {
            let mut defaults = Vec::new();
            for name in self.property_names(id) {
                let Some(property) = self.nodes[id].properties.get(&name) else {
                    continue;
                };
                let Some(default) = self.default_of(property.node).cloned() else {
                    continue;
                };
                if branch::is_valid(self, property.node, &default) {
                    defaults.push((name, default));
                } else {
                    warnings.push(format!(
                        "the default of `{name}` is not what its own schema allows, and is not filled in"
                    ));
                }
            }
            let nodes: HashMap<NodeId, Types> = self.nodes[id]
                .properties
                .values()
                .map(|property| (property.node, self.nodes[property.node].possible))
                .collect();
            let node = &mut self.nodes[id];
            for (name, property) in &mut node.properties {
                let possible = nodes.get(&property.node).copied().unwrap_or(Types::ALL);
                let spare = !property.required || defaults.iter().any(|(key, _)| key == name);
                property.drops_null = spare && !possible.contains(Types::NULL);
            }
            node.defaults = defaults;
        }
    }

    /// The names of a node's properties as the schema orders them.
    fn property_names(&self, id: NodeId) -> Vec<String> {
        let schema = self.schema.pointer(&self.nodes[id].pointer);
        let properties = schema.and_then(|schema| schema.get("properties"));
        properties
            .and_then(Value::as_object)
            .map(|properties| properties.keys().cloned().collect())
            .unwrap_or_default()
    }

    /// A schema's `default`, or that of the schema it refers to; null counts as none, as in mcpo.
    fn default_of(&self, id: NodeId) -> Option<&Value> {
        let mut schema = self.schema.pointer(&self.nodes[id].pointer)?;
        // A chain of references longer than the document has nodes is a circle.
        for _ in 0..=self.nodes.len() {
            if let Some(default) = schema.get("default") {
                return (!default.is_null()).then_some(default);
            }
            let reference = schema.get("$ref").and_then(Value::as_str)?;
            schema = self.schema.pointer(&pointer_of(reference)?)?;
        }
        None
    }

    /// Finds the nodes that never change a value.
    fn rest(&mut self) {
        loop {
            let mut changed = false;
            for id in 0..self.nodes.len() {
                let node = &self.nodes[id];
                let quiet = node.idle && self.children(id).all(|child| self.nodes[child].idle);
                if node.idle && !quiet {
                    self.nodes[id].idle = false;
                    changed = true;
                }
            }
            if !changed {
                return;
            }
        }
    }

    /// All nodes that a node leads to.
    fn children(&self, id: NodeId) -> impl Iterator<Item = NodeId> + '_ {
        let node = &self.nodes[id];
        let below = node.prefix.iter().copied().chain(node.items).chain(node.additional);
        let beside = node.all_of.iter().chain(node.any_of.iter().flatten()).copied();
        below.chain(beside)
    }

    /// Looks for defaults at or below a guarded place.
    fn find_conflict(&self) -> bool {
        let mut seen = HashSet::new();
        let mut open = vec![(0, false)];
        while let Some((id, guarded)) = open.pop() {
            let node = self.node(id);
            let guarded = guarded || node.guarded;
            if guarded && !node.defaults.is_empty() {
                return true;
            }
            if seen.insert((id, guarded)) {
                open.extend(self.children(id).map(|child| (child, guarded)));
                for name in self.property_names(id) {
                    let property = node.properties.get(&name);
                    open.extend(property.map(|property| (property.node, guarded)));
                }
            }
        }
        false
    }
}

/// The walk that makes the nodes.
struct Survey<'s> {
    /// The document.
    schema: &'s Value,
    /// Its dialect.
    draft: Draft,
    /// What is found.
    nodes: Vec<Node>,
    /// Where it was found.
    places: HashMap<String, NodeId>,
}

impl Survey<'_> {
    /// The node of the schema at a pointer; made with all it leads to when first asked for.
    fn node(&mut self, pointer: String) -> NodeId {
        if let Some(id) = self.places.get(&pointer) {
            return *id;
        }
        let id = self.nodes.len();
        self.places.insert(pointer.clone(), id);
        self.nodes.push(Node::blank(pointer.clone()));
        match self.schema.pointer(&pointer) {
            Some(Value::Object(schema)) => self.nodes[id] = self.read(&pointer, schema),
            Some(Value::Bool(false)) => {
                self.nodes[id].possible = Types::NONE;
                self.nodes[id].whole = Types::NONE;
            }
            _ => {}
        }
        id
    }

    /// Reads one schema.
    fn read(&mut self, pointer: &str, schema: &Map<String, Value>) -> Node {
        let mut node = Node::blank(pointer.to_owned());
        let reference = schema.get("$ref").and_then(Value::as_str);
        let target = reference.and_then(pointer_of);
        let is_elsewhere = reference.is_some() && target.is_none();
        if let Some(target) = target {
            node.all_of.push(self.node(target));
            // Up to draft 7 nothing beside a `$ref` counts.
            if matches!(self.draft, Draft::Draft4 | Draft::Draft6 | Draft::Draft7) {
                return node;
            }
        }
        node.read_types(schema);
        if is_elsewhere {
            node.whole = Types::NONE;
        }
        self.read_object(&mut node, schema);
        self.read_array(&mut node, schema);
        for index in 0..list(schema, "allOf") {
            node.all_of.push(self.node(format!("{pointer}/allOf/{index}")));
        }
        for key in ["anyOf", "oneOf"] {
            let group: Vec<NodeId> = (0..list(schema, key))
                .map(|index| self.node(format!("{pointer}/{key}/{index}")))
                .collect();
            if !group.is_empty() {
                node.any_of.push(group);
            }
        }
        node.guarded = ADDITION_JUDGES.iter().any(|key| schema.contains_key(*key));
        node.idle = node.declared == Types::ALL && node.choices.is_none() && node.properties.is_empty();
        node
    }

    /// Reads what is said of objects.
    fn read_object(&mut self, node: &mut Node, schema: &Map<String, Value>) {
        let required: Vec<&str> = match schema.get("required") {
            Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        let properties = schema.get("properties").and_then(Value::as_object);
        for name in properties.into_iter().flat_map(Map::keys) {
            let escaped = name.replace('~', "~0").replace('/', "~1");
            let property = Property {
                node: self.node(format!("{}/properties/{escaped}", node.pointer)),
                required: required.contains(&name.as_str()),
                drops_null: false,
            };
            node.properties.insert(name.clone(), property);
        }
        let is_open = schema.get("additionalProperties").is_some_and(Value::is_object);
        if is_open && !schema.contains_key("patternProperties") {
            node.additional = Some(self.node(format!("{}/additionalProperties", node.pointer)));
        }
    }

    /// Reads what is said of arrays, tuples of all drafts included.
    fn read_array(&mut self, node: &mut Node, schema: &Map<String, Value>) {
        let (prefix, rest) = if schema.get("items").is_some_and(Value::is_array) {
            ("items", "additionalItems")
        } else {
            ("prefixItems", "items")
        };
        for index in 0..list(schema, prefix) {
            node.prefix.push(self.node(format!("{}/{prefix}/{index}", node.pointer)));
        }
        if schema.get(rest).is_some_and(Value::is_object) {
            node.items = Some(self.node(format!("{}/{rest}", node.pointer)));
        }
    }
}

impl Node {
    /// A schema that says nothing.
    fn blank(pointer: String) -> Self {
        Self {
            pointer,
            declared: Types::ALL,
            possible: Types::ALL,
            whole: Types::ALL,
            choices: None,
            properties: HashMap::new(),
            additional: None,
            prefix: Vec::new(),
            items: None,
            all_of: Vec::new(),
            any_of: Vec::new(),
            defaults: Vec::new(),
            idle: true,
            guarded: false,
            validator: OnceLock::new(),
        }
    }

    /// True if neither its own types nor its choices speak against a value.
    pub fn admits(&self, value: &Value) -> bool {
        self.declared.contains(Types::of(value))
            && self.choices.as_ref().is_none_or(|all| all.iter().any(|choice| same(choice, value)))
    }

    /// Reads `type`, `enum` and `const`, and for which types there is nothing else to check.
    fn read_types(&mut self, schema: &Map<String, Value>) {
        self.choices = match (schema.get("const"), schema.get("enum")) {
            (Some(only), _) => Some(vec![only.clone()]),
            (None, Some(Value::Array(all))) => Some(all.clone()),
            _ => None,
        };
        self.declared = Types::declared(schema);
        if let Some(choices) = &self.choices {
            let kinds = choices.iter().map(Types::of).fold(Types::NONE, Types::or);
            self.declared = self.declared.and(kinds);
        }
        self.possible = self.declared;
        let judged = |keys: &[&str], types: Types| {
            if keys.iter().any(|key| schema.contains_key(*key)) { types } else { Types::NONE }
        };
        self.whole = self
            .declared
            .without(judged(JUDGES, Types::ALL))
            .without(judged(STRING_JUDGES, Types::STRING))
            .without(judged(NUMBER_JUDGES, Types::NUMBER))
            .without(judged(ARRAY_JUDGES, Types::ARRAY))
            .without(judged(OBJECT_JUDGES, Types::OBJECT));
    }
}

/// How many elements the list under a key has.
fn list(schema: &Map<String, Value>, key: &str) -> usize {
    schema.get(key).and_then(Value::as_array).map_or(0, Vec::len)
}
