//! Converts the operations of a document to tools.

use serde_json::{Map, Value, json};

use super::{
    body::{self, RequestBody},
    flaws::DocumentFlaws,
    input::InputSchema,
    media::json_schema,
    naming::{self, NameParts},
    parameter::{
        OperationParameter, ParameterLocation, ParameterStyle, parameters_of, place_of, style_of,
        text,
    },
    schema::{ResolvableDocument, SchemaDefinitions},
};
use crate::mcp::weight::{TOOL_BYTES, lighten, weight_of};
use crate::tool::ALIAS_META;

/// The methods whose operations become tools. The first one of a path gets the path's name.
const METHODS: [(&str, http::Method); 5] = [
    ("post", http::Method::POST),
    ("get", http::Method::GET),
    ("put", http::Method::PUT),
    ("patch", http::Method::PATCH),
    ("delete", http::Method::DELETE),
];

/// An operation as a tool.
#[derive(Debug)]
pub struct ServiceOperation {
    /// The tool's name.
    pub name: String,
    /// The tool as an entry of `tools/list`.
    pub tool: Value,
    /// The HTTP method.
    pub method: http::Method,
    /// The `servers[0].url` of the operation or its path, if it has one.
    pub server: Option<String>,
    /// The path, split at its parameters.
    pub path: Vec<PathPiece>,
    /// The other parameters.
    pub parameters: Vec<OperationParameter>,
    /// The format of the body, which holds the remaining arguments.
    pub body: RequestBody,
}

/// A piece of a path.
#[derive(Debug, PartialEq, Eq)]
pub enum PathPiece {
    /// Literal text.
    Text(String),
    /// The value of a parameter.
    Value(OperationParameter),
}

/// How many copies of a tool exist while a document is read.
const COPIES: usize = 2;

/// An operation in the document.
struct OperationEntry<'a> {
    /// The path.
    path: &'a str,
    /// The method, in lower case.
    method: &'static str,
    /// The operation id, if it is a valid tool name.
    id: Option<&'a str>,
}

/// Returns the operations of a document. Operations that cannot be called are left out and reported in
/// `flaws`. Returns `None` if the tools weigh more than `weight_max`, because each tool contains all
/// definitions that it needs.
pub fn operations(
    document: ResolvableDocument<'_>,
    root: &Value,
    weight_max: usize,
    flaws: &mut DocumentFlaws,
) -> Option<Vec<ServiceOperation>> {
    let mut left = weight_max;
    let (mut operations, mut found) = (Vec::new(), Vec::new());
    let paths = root.get("paths").and_then(Value::as_object);
    for (path, item) in paths.into_iter().flatten() {
        let item = document.resolve(item);
        for (method, verb) in METHODS {
            let Some(operation) = item.get(method).filter(|it| it.is_object()) else {
                continue;
            };
            match read(document, path, item, operation) {
                Ok(mut read) => {
                    if lighten(&mut read.tool) {
                        flaws.note(
                            method,
                            path,
                            "it has too many arguments, so they are not described",
                        );
                    }
                    annotate(&mut read.tool, &verb);
                    left = left.checked_sub(COPIES * weight_of(&read.tool) + TOOL_BYTES)?;
                    read.method = verb;
                    operations.push(read);
                    let id = text(operation, "operationId").and_then(naming::usable_id);
                    found.push(OperationEntry { path, method, id });
                }
                Err(reason) => flaws.note(method, path, &format!("left out: {reason}")),
            }
        }
    }
    name_all(&mut operations, &found, flaws);
    Some(operations)
}

/// Sets the name of each operation, and its operation id as a second name.
fn name_all(
    operations: &mut [ServiceOperation],
    found: &[OperationEntry<'_>],
    flaws: &mut DocumentFlaws,
) {
    let called: Vec<NameParts<'_>> = found
        .iter()
        .map(|&OperationEntry { path, method, id }| NameParts { path, method, id })
        .collect();
    let names = naming::names(&called);
    let mut taken: std::collections::HashSet<&str> = names.iter().map(String::as_str).collect();
    for ((operation, name), found) in operations.iter_mut().zip(&names).zip(found) {
        operation.tool["name"] = json!(name);
        operation.name.clone_from(name);
        match found.id {
            Some(id) if id == name => {}
            Some(id) if taken.insert(id) => operation.tool["_meta"] = json!({ ALIAS_META: id }),
            Some(_) => flaws.note(
                found.method,
                found.path,
                "it cannot be called by its operation id, because another tool has that name",
            ),
            None => {}
        }
    }
}

/// Adds the annotations that follow from the method (MCP 2025-11-25, tool annotations; RFC 9110 §9.2).
fn annotate(tool: &mut Value, method: &http::Method) {
    let hints = match *method {
        http::Method::GET => json!({ "readOnlyHint": true }),
        http::Method::PUT => json!({ "idempotentHint": true }),
        http::Method::DELETE => json!({ "destructiveHint": true, "idempotentHint": true }),
        _ => return,
    };
    if let Some(tool) = tool.as_object_mut() {
        tool.insert("annotations".to_owned(), hints);
    }
}

/// Reads one operation. Its name and method are set later.
fn read(
    document: ResolvableDocument<'_>,
    path: &str,
    item: &Value,
    operation: &Value,
) -> Result<ServiceOperation, String> {
    let mut definitions = SchemaDefinitions::default();
    let mut input = InputSchema::default();
    let body = body::read(document, operation, &mut input, &mut definitions)?;
    let mut of_path = Vec::new();
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
        let is_path = wire == ParameterLocation::Path;
        let parameter = OperationParameter {
            argument,
            name: name.to_owned(),
            place: wire,
            style: style_of(parameter, place),
        };
        if is_path {
            of_path.push(parameter);
        } else {
            parameters.push(parameter);
        }
    }
    let pieces = cut(path, &of_path, &mut input)?;
    // Path parameters that do not occur in the path are ignored.
    parameters.extend(of_path);
    Ok(ServiceOperation {
        tool: tool(document, operation, input.schema(document, definitions)),
        name: String::new(),
        method: http::Method::POST,
        server: server_of(operation).or_else(|| server_of(item)),
        path: pieces,
        parameters,
        body,
    })
}

/// Builds the entry of `tools/list`.
fn tool(document: ResolvableDocument<'_>, operation: &Value, input: Value) -> Value {
    let summary = text(operation, "summary");
    let description = text(operation, "description").filter(|words| !words.trim().is_empty());
    let mut tool = Map::new();
    tool.insert("name".to_owned(), Value::Null);
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

/// Returns the JSON schema of a 2xx answer.
fn output_schema(document: ResolvableDocument<'_>, operation: &Value) -> Option<Value> {
    let responses = operation.get("responses")?;
    let response = ["200", "201", "2XX"]
        .iter()
        .find_map(|status| responses.get(*status))?;
    let schema = json_schema(document.resolve(response))?;
    let mut definitions = SchemaDefinitions::default();
    let mut taken = document.take(document.resolve(schema), &mut definitions);
    let fields = taken.as_object_mut().filter(|fields| !fields.is_empty())?;
    let definitions = document.finish(definitions);
    if !definitions.is_empty() {
        fields.insert("$defs".to_owned(), Value::Object(definitions));
    }
    Some(taken)
}

/// Splits a path at its parameters. A parameter without a description accepts a text.
fn cut(
    path: &str,
    described: &[OperationParameter],
    input: &mut InputSchema,
) -> Result<Vec<PathPiece>, String> {
    let mut pieces = Vec::new();
    let mut rest = path;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, after) = after
            .split_once('}')
            .ok_or("its path has a `{` without `}`")?;
        let parameter = match described.iter().find(|it| it.name == name) {
            Some(parameter) => parameter.clone(),
            None if name.is_empty() => {
                return Err("its path has a parameter without a name".to_owned());
            }
            None => undescribed(name, input),
        };
        if !input.required.iter().any(|it| *it == parameter.argument) {
            input.required.push(json!(parameter.argument));
        }
        pieces.push(PathPiece::Text(before.to_owned()));
        pieces.push(PathPiece::Value(parameter));
        rest = after;
    }
    pieces.push(PathPiece::Text(rest.to_owned()));
    Ok(pieces)
}

/// Adds a parameter that occurs only in the path.
fn undescribed(name: &str, input: &mut InputSchema) -> OperationParameter {
    let argument = input.free_name("path", name);
    input.insert(&argument, json!({ "type": "string" }), None, false);
    OperationParameter {
        argument,
        name: name.to_owned(),
        place: ParameterLocation::Path,
        style: ParameterStyle::Simple { explode: false },
    }
}

/// Returns `servers[0].url` with the defaults of its variables.
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
