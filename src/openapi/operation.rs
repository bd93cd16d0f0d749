//! [`Operation`]: one tool in the form for documents, translated once.

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde_json::{Map, Value, json};

use super::{
    ids::{fingerprint, native_id, plain},
    mcpo,
};
use crate::{
    name::BridgeName,
    schema::{PublishedSchema, SchemaFlavor, publish_input, publish_output},
    tool::Tool,
};

/// Characters that a path must encode (RFC 3986 §3.3), and those that a path template reserves: `{` and `}`.
/// A slash in a tool's name is not encoded.
const PATH: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// Whose conventions a document follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DocumentFlavor {
    /// mcp-bridge's own.
    Native,
    /// mcpo's, for one bridge.
    Mcpo,
}

/// One tool as finished JSON, which lacks only its operation id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// The conventions.
    style: DocumentFlavor,
    /// The path below the bridge: `/` and the tool's name, encoded.
    path: String,
    /// The path of the bridge: `/` and its name, encoded.
    bridge_path: String,
    /// The operation object before the id.
    head: String,
    /// The operation object after the id, without its closing brace.
    tail: String,
    /// mcpo's model of the arguments and of the result, which `tail` refers to with [`Operation::MODEL_KEY`].
    models: Vec<PydanticModel>,
    /// Other components, as key and JSON.
    components: Vec<(String, String)>,
    /// What could not be published as the server wrote it.
    warnings: Vec<String>,
}

/// A component whose key depends on the others in the document, as in pydantic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PydanticModel {
    /// The model's name in pydantic.
    pub name: String,
    /// Its schema as JSON.
    pub schema: String,
}

impl Operation {
    /// Translates a tool. This is the slow part of publishing; documents only assemble the results.
    pub fn new(bridge: &BridgeName, tool: &Tool, style: DocumentFlavor) -> Self {
        match style {
            DocumentFlavor::Native => Self::native(bridge, tool),
            DocumentFlavor::Mcpo => Self::mcpo(bridge, tool),
        }
    }

    /// Returns what could not be published as the server wrote it, for the operator. Each warning names the
    /// tool.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Returns the path below its bridge, which starts with `/`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Returns the path of the bridge, which starts with `/`.
    pub fn bridge_path(&self) -> &str {
        &self.bridge_path
    }

    /// Returns mcpo's models; empty for native operations.
    pub fn models(&self) -> &[PydanticModel] {
        &self.models
    }

    /// Returns the components of this tool, as key and JSON.
    pub fn components(&self) -> &[(String, String)] {
        &self.components
    }

    /// Returns the approximate number of bytes that [`Operation::write`] writes, including components.
    pub fn size(&self) -> usize {
        let components: usize = self
            .components
            .iter()
            .map(|(key, schema)| key.len() + schema.len() + 8)
            .sum();
        let models: usize = self
            .models
            .iter()
            .map(|model| model.schema.len() + 160)
            .sum();
        self.head.len() + self.tail.len() + components + models + 160
    }

    /// Writes the operation object. `key_of` returns the component key of a model.
    pub fn write(&self, id: &str, key_of: impl Fn(&PydanticModel) -> String, out: &mut String) {
        out.push_str(&self.head);
        out.push_str(&json_text(id));
        let mut pieces = self.tail.split(Self::MODEL_KEY);
        out.push_str(pieces.next().unwrap_or_default());
        for (piece, model) in pieces.zip(&self.models) {
            out.push_str(&key_of(model));
            out.push_str(piece);
        }
    }

    /// The placeholder in `tail` for the key of the next model. JSON text never contains it unescaped.
    const MODEL_KEY: &'static str = "\u{0}";

    /// Translates a tool in the native style.
    fn native(bridge: &BridgeName, tool: &Tool) -> Self {
        let prefix = component_prefix(bridge, tool);
        let mut input = publish_input(&tool.input_schema, &prefix, SchemaFlavor::NATIVE);
        let mut components = json_components(&mut input);
        let mut head = Map::new();
        head.insert("tags".to_owned(), json!([bridge.as_str()]));
        let summary = tool
            .title
            .as_deref()
            .filter(|title| !title.trim().is_empty());
        head.insert(
            "summary".to_owned(),
            summary.unwrap_or(tool.name.as_str()).into(),
        );
        describe(&mut head, tool);
        if !tool.hints.is_empty() {
            let hints = tool.hints.iter();
            let hints: Map<_, _> = hints
                .map(|(name, is_so)| ((*name).to_owned(), Value::Bool(*is_so)))
                .collect();
            head.insert("x-mcp-annotations".to_owned(), Value::Object(hints));
        }

        let mut tail = Map::new();
        if let Some(schema) = body(&mut input) {
            let mut request = json!({"content": {"application/json": {}}});
            if schema.get("required").is_some() {
                request["required"] = Value::Bool(true);
            }
            request["content"]["application/json"]["schema"] = schema;
            tail.insert("requestBody".to_owned(), request);
        }
        let mut success = json!({"description": "The result of the tool"});
        let mut warnings = input.warnings;
        if let Some(source) = &tool.output_schema {
            let mut output = publish_output(source, &format!("{prefix}.result"));
            components.extend(json_components(&mut output));
            warnings.extend(output.warnings);
            success["content"] = json!({"application/json": {"schema": output.schema}});
        } else {
            success["content"] = json!({"application/json": {"schema": {}}});
        }
        tail.insert(
            "responses".to_owned(),
            json!({
                "200": success,
                "422": {"$ref": "#/components/responses/InvalidArguments"},
                "default": {"$ref": "#/components/responses/Error"}
            }),
        );
        Self {
            style: DocumentFlavor::Native,
            path: encoded_path(tool.name.as_str()),
            bridge_path: encoded_path(bridge.as_str()),
            head: opened(&head),
            tail: continued(&tail),
            models: Vec::new(),
            components,
            warnings: about(tool, warnings),
        }
    }

    /// Translates a tool as mcpo publishes it.
    fn mcpo(bridge: &BridgeName, tool: &Tool) -> Self {
        let name = tool.name.as_str();
        let form = format!("{name}_form_model");
        let mut input = publish_input(&tool.input_schema, &key_prefix(&form), SchemaFlavor::MCPO);
        let mut components = json_components(&mut input);
        let mut warnings = input.warnings;
        let mut models = Vec::new();
        let mut head = Map::new();
        head.insert("summary".to_owned(), mcpo::summary(name).into());
        describe(&mut head, tool);

        let reference = json!({"$ref": format!("#/components/schemas/{}", Self::MODEL_KEY)});
        let mut tail = Map::new();
        let mut result = json!({});
        let mut responses = Map::new();
        let has_arguments = !is_empty(&input.schema, "properties");
        if has_arguments {
            models.push(model(form, input.schema));
            tail.insert(
                "requestBody".to_owned(),
                json!({"content": {"application/json": {"schema": reference}}, "required": true}),
            );
            let source = tool.output_schema.as_ref();
            if let Some(source) = source.filter(|source| !is_empty(source, "properties")) {
                let response = format!("{name}_response_model");
                let mut output = publish_output(source, &key_prefix(&response));
                components.extend(json_components(&mut output));
                warnings.extend(output.warnings);
                models.push(model(response, output.schema));
                result["anyOf"] = json!([reference, {}]);
            }
            result["title"] = mcpo::response_title(name).into();
        }
        responses.insert("200".to_owned(), response("Successful Response", &result));
        if has_arguments {
            let refused = json!({"$ref": "#/components/schemas/HTTPValidationError"});
            responses.insert("422".to_owned(), response("Validation Error", &refused));
        }
        tail.insert("responses".to_owned(), Value::Object(responses));
        Self {
            style: DocumentFlavor::Mcpo,
            // mcpo does not encode paths. Only braces are encoded, because they would become a parameter.
            path: format!("/{}", name.replace('{', "%7B").replace('}', "%7D")),
            bridge_path: encoded_path(bridge.as_str()),
            head: opened(&head),
            tail: continued(&tail).replace("\\u0000", Self::MODEL_KEY),
            models,
            components,
            warnings: about(tool, warnings),
        }
    }
}

/// Returns a path of a document: `/` and a name, encoded. Clients interpret `.` and `..` between slashes as
/// path steps, encoded or not (RFC 3986 §5.2.4), so the slashes in such a name are encoded.
pub fn encoded_path(name: &str) -> String {
    let path = format!("/{}", utf8_percent_encode(name, PATH));
    let has_steps = name.contains('/') && name.split('/').any(|part| part == "." || part == "..");
    if has_steps {
        return format!("/{}", path.trim_start_matches('/').replace('/', "%2F"));
    }
    path
}

/// Writes a text as JSON.
pub fn json_text(text: &str) -> String {
    Value::from(text).to_string()
}

/// Adds the description of the tool. An empty one would hide the summary from the model.
fn describe(head: &mut Map<String, Value>, tool: &Tool) {
    if let Some(text) = tool
        .description
        .as_deref()
        .filter(|text| !text.trim().is_empty())
    {
        head.insert("description".to_owned(), text.into());
    }
}

/// Returns the request body of a native tool; `None` if it has no arguments. Arguments without names go into
/// one that has a name, because `Open WebUI` can send only named ones, and calls with `{"arguments": {…}}`
/// are accepted everywhere.
fn body(input: &mut PublishedSchema) -> Option<Value> {
    let schema = input.schema.take();
    if input.free_form {
        let mut inner = schema;
        if let Some(members) = inner.as_object_mut() {
            if members
                .get("properties")
                .is_some_and(|named| *named == json!({}))
            {
                members.shift_remove("properties");
            }
            members
                .entry("description")
                .or_insert_with(|| "The arguments, by name".into());
        }
        return Some(json!({"type": "object", "properties": {"arguments": inner}}));
    }
    (!is_empty(&schema, "properties")).then_some(schema)
}

/// Whether a schema has nothing under `keyword`.
fn is_empty(schema: &Value, keyword: &str) -> bool {
    schema
        .get(keyword)
        .and_then(Value::as_object)
        .is_none_or(Map::is_empty)
}

/// Returns the prefix of a tool's component keys, which is unique. A name that is not a valid key gets a
/// hash.
fn component_prefix(bridge: &BridgeName, tool: &Tool) -> String {
    let full = format!("{bridge}.{}", tool.name);
    let is_kept = plain(bridge.as_str()) == bridge.as_str()
        && plain(tool.name.as_str()) == tool.name.as_str()
        && full.len() <= 100;
    if is_kept {
        full
    } else {
        let id = native_id(bridge, &tool.name);
        format!("{id}.{}", fingerprint(full.as_bytes()))
    }
}

/// Returns the prefix for the parts of mcpo's model.
fn key_prefix(model: &str) -> String {
    let key = plain(model);
    if key == model {
        key
    } else {
        format!("{key}.{}", fingerprint(model.as_bytes()))
    }
}

/// Builds a model with its title, which pydantic derives from its name.
fn model(name: String, mut schema: Value) -> PydanticModel {
    if let Some(members) = schema.as_object_mut() {
        members.insert("title".to_owned(), name.clone().into());
    }
    PydanticModel {
        name,
        schema: schema.to_string(),
    }
}

/// Builds a JSON response.
fn response(description: &str, schema: &Value) -> Value {
    json!({"description": description, "content": {"application/json": {"schema": schema}}})
}

/// Takes the components of a published schema, as JSON.
fn json_components(published: &mut PublishedSchema) -> Vec<(String, String)> {
    std::mem::take(&mut published.components)
        .into_iter()
        .map(|(key, schema)| (key, schema.to_string()))
        .collect()
}

/// Writes the beginning of an object, up to the operation id.
fn opened(members: &Map<String, Value>) -> String {
    let mut json = Value::Object(members.clone()).to_string();
    json.pop();
    json.push_str(",\"operationId\":");
    json
}

/// Writes further members of an object and leaves it open.
fn continued(members: &Map<String, Value>) -> String {
    let mut json = Value::Object(members.clone()).to_string();
    json.pop();
    json.replacen('{', ",", 1)
}

/// Adds the tool's name to the warnings.
fn about(tool: &Tool, warnings: Vec<String>) -> Vec<String> {
    warnings
        .into_iter()
        .map(|warning| format!("tool `{}`: {warning}", tool.name))
        .collect()
}
