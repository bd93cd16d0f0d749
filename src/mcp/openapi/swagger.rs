//! Converts a Swagger 2.0 document to the structure of OpenAPI 3.0. Pure.
//!
//! Only the structure changes: `definitions` stay in place, because references point there.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::mcp::weight::weight_of;

/// The keys of a path item that contain operations.
const METHODS: [&str; 7] = ["get", "put", "post", "delete", "options", "head", "patch"];

/// The keys of a parameter that describe the parameter and not its value.
const ABOUT: [&str; 6] = [
    "name",
    "in",
    "required",
    "description",
    "collectionFormat",
    "allowEmptyValue",
];

/// The OpenAPI version of the result.
const VERSION: &str = "3.0.3";

/// The maximum length of a chain of references.
const HOPS_MAX: usize = 16;

/// Returns the document in the structure of OpenAPI 3.0. `scheme` is the scheme of the document's own URL.
/// Returns `None` if the copies of shared parameters and responses would weigh more than `weight_max`.
pub fn modernized(mut document: Value, scheme: &str, weight_max: usize) -> Option<Value> {
    let paths = document.get_mut("paths").map(Value::take);
    let mut shared = SharedParts {
        document: &document,
        left: weight_max,
    };
    let mut modern = Map::new();
    for (path, item) in paths
        .as_ref()
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        modern.insert(path.clone(), shared.item(item)?);
    }
    let server = server_of(&document, scheme);
    let root = document.as_object_mut()?;
    root.shift_remove("swagger");
    root.insert("openapi".to_owned(), json!(VERSION));
    root.insert("servers".to_owned(), json!([{ "url": server }]));
    root.insert("paths".to_owned(), Value::Object(modern));
    Some(document)
}

/// Returns the address of the service: that of the document, unless `host` is set.
fn server_of(document: &Value, scheme: &str) -> String {
    let base = text(document, "basePath").unwrap_or("/");
    let base = format!("/{}", base.trim_start_matches('/'));
    let Some(host) = text(document, "host").filter(|host| !host.trim().is_empty()) else {
        return base;
    };
    let schemes = document.get("schemes").and_then(Value::as_array);
    let mut schemes = schemes.into_iter().flatten().filter_map(Value::as_str);
    let first = schemes.clone().next();
    let scheme = match first {
        Some(first) if !schemes.any(|it| it == scheme) => first,
        _ => scheme,
    };
    format!("{scheme}://{host}{base}")
}

/// The parts of a document that operations share.
struct SharedParts<'a> {
    /// The document without its paths.
    document: &'a Value,
    /// The weight that copies may still have, in bytes.
    left: usize,
}

/// The parameters of an operation or a path, by kind.
#[derive(Default)]
struct SortedParameters {
    /// Parameters in the path, the query and headers.
    plain: Vec<Value>,
    /// The parameter that is the body.
    body: Option<Value>,
    /// The fields of a form.
    fields: Vec<Value>,
}

impl<'a> SharedParts<'a> {
    /// Converts a path item.
    fn item(&mut self, item: &'a Value) -> Option<Value> {
        let Some(item) = item.as_object() else {
            return Some(item.clone());
        };
        let of_path = self.sorted(item.get("parameters"))?;
        let mut modern = Map::new();
        for (key, value) in item {
            let value = match key.as_str() {
                "parameters" => continue,
                key if METHODS.contains(&key) => self.operation(value, &of_path)?,
                _ => value.clone(),
            };
            modern.insert(key.clone(), value);
        }
        modern.insert("parameters".to_owned(), Value::Array(of_path.plain));
        Some(Value::Object(modern))
    }

    /// Converts an operation. Its body is its own or that of its path.
    fn operation(&mut self, operation: &'a Value, of_path: &SortedParameters) -> Option<Value> {
        let Some(operation) = operation.as_object() else {
            return Some(operation.clone());
        };
        let own = self.sorted(operation.get("parameters"))?;
        let body = own.body.as_ref().or(of_path.body.as_ref());
        let mut fields = own.fields.clone();
        let named: BTreeSet<_> = own.fields.iter().map(|it| text(it, "name")).collect();
        for field in &of_path.fields {
            if !named.contains(&text(field, "name")) {
                fields.push(self.copy(field)?);
            }
        }
        let consumes = self.kinds(operation, "consumes");
        let body = match body {
            Some(body) => {
                let body = self.copy(body)?;
                Some(whole_body(&body, &consumes))
            }
            None if !fields.is_empty() => Some(form(&fields, &consumes)),
            None => None,
        };
        let mut modern = Map::new();
        for (key, value) in operation {
            let value = match key.as_str() {
                "parameters" | "servers" | "requestBody" => continue,
                "responses" => self.responses(operation, value)?,
                _ => value.clone(),
            };
            modern.insert(key.clone(), value);
        }
        modern.insert("parameters".to_owned(), Value::Array(own.plain));
        modern.extend(body.map(|body| ("requestBody".to_owned(), body)));
        Some(Value::Object(modern))
    }

    /// Converts the responses of an operation. Their schemas move below a content type.
    fn responses(&mut self, operation: &Map<String, Value>, responses: &'a Value) -> Option<Value> {
        let produces = self.kinds(operation, "produces");
        let kind = best(&produces, "application/json");
        let mut modern = Map::new();
        for (status, response) in responses.as_object().into_iter().flatten() {
            let response = self.resolve(response);
            let mut answer = Map::new();
            let schema = response.get("schema");
            if let Some(schema) = schema.filter(|it| text(it, "type") != Some("file")) {
                let schema = self.copy(schema)?;
                answer.insert("content".to_owned(), json!({ kind: { "schema": schema } }));
            }
            modern.insert(status.clone(), Value::Object(answer));
        }
        Some(Value::Object(modern))
    }

    /// Groups a list of parameters by kind.
    fn sorted(&mut self, parameters: Option<&'a Value>) -> Option<SortedParameters> {
        let mut sorted = SortedParameters::default();
        for parameter in parameters.and_then(Value::as_array).into_iter().flatten() {
            let parameter = self.copy(self.resolve(parameter))?;
            match text(&parameter, "in") {
                Some("body") => sorted.body = Some(parameter),
                Some("formData") => sorted.fields.push(parameter),
                _ => sorted.plain.push(plain(parameter)),
            }
        }
        Some(sorted)
    }

    /// Returns the content types of an operation: its own, or those of the document.
    fn kinds(&self, operation: &Map<String, Value>, key: &str) -> Vec<String> {
        let kinds = operation.get(key).or_else(|| self.document.get(key));
        let kinds = kinds.and_then(Value::as_array).into_iter().flatten();
        kinds.filter_map(Value::as_str).map(str::to_owned).collect()
    }

    /// Resolves references to shared parts.
    fn resolve(&self, value: &'a Value) -> &'a Value {
        let mut value = value;
        for _ in 0..HOPS_MAX {
            let target = text(value, "$ref").and_then(|it| it.strip_prefix('#'));
            let Some(target) = target.and_then(|it| self.document.pointer(it)) else {
                break;
            };
            value = target;
        }
        value
    }

    /// Returns a copy if the weight limit allows it.
    fn copy(&mut self, value: &Value) -> Option<Value> {
        self.left = self.left.checked_sub(weight_of(value))?;
        Some(value.clone())
    }
}

/// Moves the schema of a parameter into its own object.
fn plain(parameter: Value) -> Value {
    let Value::Object(parameter) = parameter else {
        return parameter;
    };
    let (mut modern, schema) = parted(parameter);
    let format = modern.shift_remove("collectionFormat");
    // The default separator of lists is a comma.
    let format = format.as_ref().and_then(Value::as_str).unwrap_or("csv");
    let is_query = modern.get("in").and_then(Value::as_str) == Some("query");
    modern.extend(style_of(format, is_query));
    modern.insert("schema".to_owned(), Value::Object(schema));
    Value::Object(modern)
}

/// Separates the keys that describe a parameter from those that describe its value.
fn parted(parameter: Map<String, Value>) -> (Map<String, Value>, Map<String, Value>) {
    parameter
        .into_iter()
        .partition(|(key, _)| ABOUT.contains(&key.as_str()))
}

/// Converts a `collectionFormat` to its form since 3.0. OpenAPI 3 has no style for tabs, so that name is the
/// bridge's own.
fn style_of(format: &str, is_form: bool) -> Vec<(String, Value)> {
    let (style, explode) = match (format, is_form) {
        ("multi", _) => ("form", true),
        ("ssv", _) => ("spaceDelimited", false),
        ("tsv", _) => ("tabDelimited", false),
        ("pipes", _) => ("pipeDelimited", false),
        (_, true) => ("form", false),
        (_, false) => ("simple", false),
    };
    vec![
        ("style".to_owned(), json!(style)),
        ("explode".to_owned(), json!(explode)),
    ]
}

/// Converts the body parameter.
fn whole_body(parameter: &Value, consumes: &[String]) -> Value {
    let kind = best(consumes, "application/json");
    let schema = parameter.get("schema").cloned().unwrap_or(json!({}));
    let required = parameter.get("required") == Some(&Value::Bool(true));
    let words = text(parameter, "description").unwrap_or_default();
    json!({ "required": required, "description": words, "content": { kind: { "schema": schema } } })
}

/// Converts form parameters to a form. With files it is multipart.
fn form(fields: &[Value], consumes: &[String]) -> Value {
    let has_file = fields.iter().any(|it| text(it, "type") == Some("file"));
    let said = consumes.iter().find(|kind| {
        kind.starts_with("multipart/") || kind.as_str() == "application/x-www-form-urlencoded"
    });
    let kind = match said {
        _ if has_file => "multipart/form-data",
        Some(kind) => kind,
        None => "application/x-www-form-urlencoded",
    };
    let (mut properties, mut required, mut encoding) = (Map::new(), Vec::new(), Map::new());
    for field in fields {
        let (Some(name), Some(all)) = (text(field, "name"), field.as_object()) else {
            continue;
        };
        let (about, mut schema) = parted(all.clone());
        if let Some(words) = about.get("description") {
            schema.insert("description".to_owned(), words.clone());
        }
        if about.get("required") == Some(&Value::Bool(true)) {
            required.push(json!(name));
        }
        let format = text(field, "collectionFormat").unwrap_or("csv");
        encoding.insert(
            name.to_owned(),
            style_of(format, true).into_iter().collect(),
        );
        properties.insert(name.to_owned(), Value::Object(schema));
    }
    let is_required = !required.is_empty();
    let schema = json!({ "type": "object", "properties": properties, "required": required });
    let media = json!({ "schema": schema, "encoding": encoding });
    json!({ "required": is_required, "content": { kind: media } })
}

/// Returns the content type of a body: JSON if possible, otherwise the first.
fn best<'a>(kinds: &'a [String], default: &'a str) -> &'a str {
    let json = kinds.iter().find(|kind| kind.contains("json"));
    json.or(kinds.first()).map_or(default, String::as_str)
}

/// Returns the text under a key.
fn text<'a>(owner: &'a Value, key: &str) -> Option<&'a str> {
    owner.get(key).and_then(Value::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn modern(document: Value) -> Value {
        modernized(document, "https", 1 << 20).unwrap()
    }

    #[test]
    fn the_server_is_beside_the_document_unless_a_host_is_said() {
        for (document, expected) in [
            (json!({}), "/"),
            (json!({ "basePath": "v1" }), "/v1"),
            (json!({ "basePath": "/v1", "host": "" }), "/v1"),
            (
                json!({ "basePath": "/v1", "host": "a:1" }),
                "https://a:1/v1",
            ),
            (
                json!({ "host": "a", "schemes": ["http", "https"] }),
                "https://a/",
            ),
            (json!({ "host": "a", "schemes": ["http"] }), "http://a/"),
        ] {
            assert_eq!(modern(document)["servers"][0]["url"], expected);
        }
    }

    #[test]
    fn parameters_become_schemas_bodies_and_forms() {
        let document = json!({
            "swagger": "2.0", "consumes": ["application/xml", "application/json"],
            "parameters": { "Limit": { "name": "limit", "in": "query", "type": "integer", "maximum": 9 } },
            "responses": { "Gone": { "description": "gone", "schema": { "$ref": "#/definitions/Error" } } },
            "definitions": { "Error": { "type": "object" } },
            "paths": {
                "/a": {
                    "parameters": [{ "name": "token", "in": "formData", "type": "string", "required": true }],
                    "get": { "parameters": [
                        { "$ref": "#/parameters/Limit" },
                        { "name": "ids", "in": "query", "type": "array", "items": { "type": "string" }, "collectionFormat": "pipes" },
                        { "name": "body", "in": "body", "required": true, "schema": { "$ref": "#/definitions/Error" } },
                    ] },
                    "post": { "responses": { "200": { "$ref": "#/responses/Gone" } }, "parameters": [
                        { "name": "file", "in": "formData", "type": "file", "description": "A picture" },
                    ] },
                },
            },
        });
        let modern = modern(document);
        assert_eq!(modern["openapi"], "3.0.3");
        assert_eq!(modern.get("swagger"), None);
        let item = &modern["paths"]["/a"];
        assert_eq!(item["parameters"], json!([]));
        let limit = json!({ "name": "limit", "in": "query", "style": "form", "explode": false,
                            "schema": { "type": "integer", "maximum": 9 } });
        assert_eq!(item["get"]["parameters"][0], limit);
        assert_eq!(item["get"]["parameters"][1]["style"], "pipeDelimited");
        let body = json!({ "required": true, "description": "", "content": { "application/json": {
            "schema": { "$ref": "#/definitions/Error" } } } });
        assert_eq!(item["get"]["requestBody"], body);
        let form = &item["post"]["requestBody"]["content"]["multipart/form-data"]["schema"];
        let expected = json!({ "type": "object", "required": ["token"], "properties": {
            "file": { "type": "file", "description": "A picture" }, "token": { "type": "string" } } });
        assert_eq!(form, &expected);
        let answer = &item["post"]["responses"]["200"]["content"]["application/json"]["schema"];
        assert_eq!(answer, &json!({ "$ref": "#/definitions/Error" }));
    }

    #[test]
    fn odd_documents_are_read_and_shared_parts_have_a_bound() {
        for paths in [
            json!([]),
            json!({ "/a": 1 }),
            json!({ "/a": { "get": [], "parameters": {} } }),
        ] {
            modern(json!({ "paths": paths }));
        }
        let loops = json!({ "parameters": { "A": { "$ref": "#/parameters/A" } },
                            "paths": { "/a": { "get": { "parameters": [{ "$ref": "#/parameters/A" }] } } } });
        modern(loops);
        let heavy = json!({ "name": "a", "in": "query", "enum": vec!["x".repeat(100); 100] });
        let item = json!({ "get": { "parameters": [{ "$ref": "#/parameters/A" }] } });
        let paths: Map<_, _> = (0..100)
            .map(|it| (format!("/{it}"), item.clone()))
            .collect();
        let document = json!({ "parameters": { "A": heavy }, "paths": paths });
        assert_eq!(modernized(document, "http", 1 << 20), None);
    }
}
