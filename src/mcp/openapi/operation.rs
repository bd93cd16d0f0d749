//! POST operations of a document, as tools.

use std::collections::BTreeSet;

use http::HeaderName;
use serde_json::{Map, Value, json};

use super::names::Names;
use super::schema::{Definitions, Document};
use crate::mcp::http::Kind;
use crate::mcp::weight::{TOOL_BYTES, lighten, weight_of};

/// The argument that holds a body which is no plain object.
pub const BODY: &str = "body";

/// An operation that became a tool.
#[derive(Debug)]
pub struct Operation {
    /// The tool's name.
    pub name: String,
    /// Its entry in the shape of `tools/list`.
    pub tool: Value,
    /// The `servers[0].url` of the operation or its path, where it has its own.
    pub server: Option<String>,
    /// The path, cut at its parameters.
    pub path: Vec<Piece>,
    /// Where the other parameters go.
    pub parameters: Vec<Parameter>,
    /// What becomes of the remaining arguments.
    pub body: Body,
}

/// A piece of a path.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece {
    /// As it is.
    Text(String),
    /// The value of this argument.
    Argument(String),
}

/// A parameter in the query or a header.
#[derive(Debug)]
pub struct Parameter {
    /// The argument that holds its value.
    pub argument: String,
    /// Its name on the wire.
    pub name: String,
    /// Where it goes.
    pub place: Place,
    /// How a list or an object is written.
    pub style: Style,
}

/// Where a parameter goes.
#[derive(Debug, PartialEq, Eq)]
pub enum Place {
    /// The query.
    Query,
    /// A header.
    Header(HeaderName),
    /// The path, which is cut at its parameters instead.
    Path,
}

/// How a list or an object is written (OpenAPI 3.1, style values).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// `a=1&a=2`
    Repeated,
    /// `a=1,2`
    Commas,
    /// `a[b]=1`
    Deep,
    /// `a={"b":1}`
    Json,
}

/// The body of the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body {
    /// None.
    None,
    /// The arguments that are no parameters are its fields; without any there is no body unless
    /// it is required.
    Fields {
        /// Whether there always is one.
        required: bool,
        /// `application/x-www-form-urlencoded` instead of JSON.
        form: bool,
    },
    /// The argument [`BODY`] is the body, as JSON.
    Whole,
}

/// How many copies of a tool there are while a document is read.
const COPIES: usize = 2;

/// Operations that are left out and logged, of one document.
const LEFT_OUT_LOGGED_MAX: usize = 20;

/// The POST operations of a document. Those that cannot be called are left out with a warning. `None`
/// when their tools weigh more than `weight_max`: each has all definitions that it needs.
pub fn operations(
    document: Document<'_>,
    root: &Value,
    weight_max: usize,
) -> Option<Vec<Operation>> {
    let mut names = Names::default();
    let mut found = Vec::new();
    let mut left = weight_max;
    let mut left_out = 0_usize;
    let paths = root.get("paths").and_then(Value::as_object);
    for (path, item) in paths.into_iter().flatten() {
        let item = document.resolve(item);
        let Some(operation) = item.get("post") else {
            continue;
        };
        match read(document, path, item, operation) {
            Ok(mut operation) => {
                operation.rename(&mut names);
                if lighten(&mut operation.tool) {
                    tracing::warn!(
                        path,
                        "the arguments of an operation are not described: they are too many"
                    );
                }
                left = left.checked_sub(COPIES * weight_of(&operation.tool) + TOOL_BYTES)?;
                found.push(operation);
            }
            Err(reason) if left_out < LEFT_OUT_LOGGED_MAX => {
                left_out += 1;
                tracing::warn!(path, reason, "left an operation out");
            }
            Err(_) => left_out += 1,
        }
    }
    if left_out > LEFT_OUT_LOGGED_MAX {
        tracing::warn!(
            "left {left_out} operations out; the first {LEFT_OUT_LOGGED_MAX} are logged"
        );
    }
    Some(found)
}

impl Operation {
    /// Makes the name unique.
    fn rename(&mut self, names: &mut Names) {
        self.name = names.free(&self.name, |name, number| format!("{name}_{number}"));
        self.tool["name"] = json!(self.name);
    }
}

/// The input schema as it grows.
#[derive(Debug, Default)]
struct Input {
    /// The whole schema; `properties` and `required` are kept apart.
    rest: Map<String, Value>,
    /// Argument → schema.
    properties: Map<String, Value>,
    /// The arguments that must be there.
    required: Vec<Value>,
}

/// Reads one operation.
fn read(
    document: Document<'_>,
    path: &str,
    item: &Value,
    operation: &Value,
) -> Result<Operation, &'static str> {
    let mut definitions = Definitions::default();
    let mut input = Input::default();
    let body = read_body(document, operation, &mut input, &mut definitions)?;
    let mut path_arguments = Vec::new();
    let mut parameters = Vec::new();
    for parameter in parameters_of(document, item, operation) {
        let name = text(parameter, "name").unwrap_or_default();
        let place = text(parameter, "in").unwrap_or_default();
        let Some(wire) = place_of(place, name) else {
            tracing::debug!(path, name, place, "left a parameter out");
            continue;
        };
        let argument = input.free_name(place, name);
        input.add(document, parameter, &argument, &mut definitions);
        if wire == Place::Path {
            path_arguments.push((name.to_owned(), argument));
        } else {
            parameters.push(Parameter {
                argument,
                name: name.to_owned(),
                place: wire,
                style: style_of(parameter),
            });
        }
    }
    let pieces = cut(path, &path_arguments)?;
    let name = match text(operation, "operationId") {
        Some(id) if !id.trim().is_empty() => id.to_owned(),
        _ => name_of(path),
    };
    Ok(Operation {
        tool: tool(
            document,
            &name,
            operation,
            input.schema(document, definitions),
        ),
        name,
        server: server_of(operation).or_else(|| server_of(item)),
        path: pieces,
        parameters,
        body,
    })
}

/// The entry of `tools/list`.
fn tool(document: Document<'_>, name: &str, operation: &Value, input: Value) -> Value {
    let summary = text(operation, "summary");
    let description = text(operation, "description");
    let mut tool = Map::new();
    tool.insert("name".to_owned(), json!(name));
    if let (Some(title), true) = (summary, description.is_some()) {
        tool.insert("title".to_owned(), json!(title));
    }
    if let Some(words) = description.or(summary) {
        tool.insert("description".to_owned(), json!(words));
    }
    tool.insert("inputSchema".to_owned(), input);
    if let Some(schema) = output_schema(document, operation) {
        tool.insert("outputSchema".to_owned(), schema);
    }
    Value::Object(tool)
}

impl Input {
    /// An argument name for a parameter: its own, unless a field of the body has it already.
    fn free_name(&self, place: &str, name: &str) -> String {
        if self.properties.contains_key(name) {
            format!("{place}_{name}")
        } else {
            name.to_owned()
        }
    }

    /// Adds a parameter.
    fn add(
        &mut self,
        document: Document<'_>,
        parameter: &Value,
        argument: &str,
        definitions: &mut Definitions,
    ) {
        let described = parameter.get("schema").or_else(|| json_content(parameter));
        let schema = described.unwrap_or(&Value::Bool(true));
        let mut schema = document.take(schema, definitions);
        if schema == Value::Bool(true) {
            schema = json!({});
        }
        if let (Some(words), Value::Object(schema)) = (text(parameter, "description"), &mut schema)
        {
            schema.entry("description").or_insert_with(|| json!(words));
        }
        self.properties.insert(argument.to_owned(), schema);
        if parameter.get("required") == Some(&Value::Bool(true)) {
            self.required.push(json!(argument));
        }
    }

    /// The finished schema.
    fn schema(self, document: Document<'_>, definitions: Definitions) -> Value {
        let mut schema = Map::new();
        schema.insert("type".to_owned(), json!("object"));
        schema.extend(self.rest);
        schema.insert("properties".to_owned(), Value::Object(self.properties));
        if !self.required.is_empty() {
            schema.insert("required".to_owned(), Value::Array(self.required));
        }
        let definitions = document.finish(definitions);
        if !definitions.is_empty() {
            schema.insert("$defs".to_owned(), Value::Object(definitions));
        }
        Value::Object(schema)
    }
}

/// Reads the request body into the input.
fn read_body(
    document: Document<'_>,
    operation: &Value,
    input: &mut Input,
    definitions: &mut Definitions,
) -> Result<Body, &'static str> {
    let Some(body) = operation
        .get("requestBody")
        .map(|body| document.resolve(body))
    else {
        return Ok(Body::None);
    };
    let required = body.get("required") == Some(&Value::Bool(true));
    let (schema, form) = match (json_content(body), form_content(body)) {
        (Some(schema), _) => (schema, false),
        (None, Some(schema)) => (schema, true),
        (None, None) if required => return Err("its body is neither JSON nor a plain form"),
        (None, None) => return Ok(Body::None),
    };
    let resolved = document.resolve(schema);
    let is_object = resolved.get("properties").is_some_and(Value::is_object)
        && !["allOf", "anyOf", "oneOf"]
            .iter()
            .any(|key| resolved.get(*key).is_some());
    if !is_object && !form {
        let taken = document.take(schema, definitions);
        input.properties.insert(
            BODY.to_owned(),
            if taken.is_object() { taken } else { json!({}) },
        );
        if required {
            input.required.push(json!(BODY));
        }
        return Ok(Body::Whole);
    }
    if let Value::Object(mut taken) = document.take(resolved, definitions) {
        if let Some(Value::Object(properties)) = taken.shift_remove("properties") {
            input.properties = properties;
        }
        if let (Some(Value::Array(names)), true) = (taken.shift_remove("required"), required) {
            input.required = names;
        }
        // An object, whatever else 3.0's `nullable` made of it.
        taken.shift_remove("type");
        taken.shift_remove("description");
        input.rest = taken;
    }
    Ok(Body::Fields { required, form })
}

/// The parameters of an operation: its own, then those of its path that it does not replace.
fn parameters_of<'a>(
    document: Document<'a>,
    item: &'a Value,
    operation: &'a Value,
) -> Vec<&'a Value> {
    let mut seen = BTreeSet::new();
    [operation, item]
        .into_iter()
        .filter_map(|owner| owner.get("parameters").and_then(Value::as_array))
        .flatten()
        .map(|parameter| document.resolve(parameter))
        .filter(|parameter| seen.insert((text(parameter, "name"), text(parameter, "in"))))
        .collect()
}

/// Where a parameter goes. Cookies are left out (we keep none), and
/// so are the headers that the transport and the operator's credentials own.
fn place_of(place: &str, name: &str) -> Option<Place> {
    match place {
        "path" => Some(Place::Path),
        "query" => Some(Place::Query),
        "header" => {
            let name: HeaderName = name.parse().ok()?;
            let owned = [
                http::header::ACCEPT,
                http::header::AUTHORIZATION,
                http::header::CONNECTION,
                http::header::CONTENT_LENGTH,
                http::header::CONTENT_TYPE,
                http::header::COOKIE,
                http::header::HOST,
                http::header::TRANSFER_ENCODING,
            ];
            (!owned.contains(&name)).then_some(Place::Header(name))
        }
        _ => None,
    }
}

/// How a parameter writes lists and objects.
fn style_of(parameter: &Value) -> Style {
    if parameter.get("content").is_some() {
        return Style::Json;
    }
    let default = if text(parameter, "in") == Some("query") {
        "form"
    } else {
        "simple"
    };
    match (
        text(parameter, "style").unwrap_or(default),
        parameter.get("explode"),
    ) {
        ("deepObject", _) => Style::Deep,
        ("form", None | Some(Value::Bool(true))) => Style::Repeated,
        _ => Style::Commas,
    }
}

/// The JSON schema of a 2xx answer.
fn output_schema(document: Document<'_>, operation: &Value) -> Option<Value> {
    let responses = operation.get("responses")?;
    let response = ["200", "201", "2XX"]
        .iter()
        .find_map(|status| responses.get(*status))?;
    let schema = json_content(document.resolve(response))?;
    let mut definitions = Definitions::default();
    let mut taken = document.take(document.resolve(schema), &mut definitions);
    let fields = taken.as_object_mut().filter(|fields| !fields.is_empty())?;
    let definitions = document.finish(definitions);
    if !definitions.is_empty() {
        fields.insert("$defs".to_owned(), Value::Object(definitions));
    }
    Some(taken)
}

/// The schema under the first JSON content type.
fn json_content(owner: &Value) -> Option<&Value> {
    content(owner, |kind| kind == "*/*" || Kind::of(kind) == Kind::Json)
}

/// The schema of a form that has no files.
fn form_content(owner: &Value) -> Option<&Value> {
    content(owner, |kind| kind == "application/x-www-form-urlencoded")
}

/// The schema under the first content type that fits.
fn content(owner: &Value, fits: impl Fn(&str) -> bool) -> Option<&Value> {
    let content = owner.get("content")?.as_object()?;
    content
        .iter()
        .find(|(kind, _)| {
            let kind = kind.split(';').next().unwrap_or_default();
            fits(&kind.trim().to_ascii_lowercase())
        })
        .map(|(_, media)| media.get("schema").unwrap_or(&Value::Bool(true)))
}

/// Cuts a path at its parameters.
fn cut(path: &str, arguments: &[(String, String)]) -> Result<Vec<Piece>, &'static str> {
    let mut pieces = Vec::new();
    let mut rest = path;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, after) = after
            .split_once('}')
            .ok_or("its path has a `{` without `}`")?;
        let (_, argument) = arguments
            .iter()
            .find(|(placeholder, _)| placeholder == name)
            .ok_or("its path has a parameter that it does not describe")?;
        pieces.push(Piece::Text(before.to_owned()));
        pieces.push(Piece::Argument(argument.clone()));
        rest = after;
    }
    pieces.push(Piece::Text(rest.to_owned()));
    Ok(pieces)
}

/// A name for an operation without id: its path in words.
fn name_of(path: &str) -> String {
    let words: Vec<&str> = path
        .split(|c: char| !c.is_ascii_alphanumeric() && c != '-')
        .filter(|word| !word.is_empty())
        .collect();
    if words.is_empty() {
        "root".to_owned()
    } else {
        words.join("_")
    }
}

/// `servers[0].url` with the defaults of its variables.
pub fn server_of(owner: &Value) -> Option<String> {
    let server = owner.get("servers")?.get(0)?;
    let mut url = text(server, "url")?.to_owned();
    let variables = server.get("variables").and_then(Value::as_object);
    for (name, variable) in variables.into_iter().flatten() {
        if let Some(value) = text(variable, "default") {
            url = url.replace(&format!("{{{name}}}"), value);
        }
    }
    Some(url)
}

/// A text under a key.
fn text<'a>(owner: &'a Value, key: &str) -> Option<&'a str> {
    owner.get(key).and_then(Value::as_str)
}
