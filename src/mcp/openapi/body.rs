//! The request body of an operation: which arguments it consists of, and how it is written.

use std::{cell::Cell, collections::BTreeSet};

use http::HeaderValue;
use serde_json::{Map, Value, json};

use super::{
    input::InputSchema,
    media::{MediaKind, MediaType, essence, is_textual},
    parameter::{ParameterStyle, style_of, text},
    schema::{ResolvableDocument, SchemaDefinitions},
};

/// The argument for a body that is not a plain object.
pub const BODY: &str = "body";

/// How deep `allOf` and lists are searched for the fields of a form.
const DEPTH_MAX: usize = 8;

/// The maximum number of schemas that are examined for the fields of one form.
const LOOKS_MAX: usize = 2_000;

/// The content type of a binary body if the document has only a pattern.
const OCTETS: &str = "application/octet-stream";

/// The body of the request.
#[derive(Debug, PartialEq, Eq)]
pub enum RequestBody {
    /// No body.
    None,
    /// The fields of the body are all arguments that are not parameters. Without such arguments, a body is
    /// sent only if it is required.
    Fields {
        /// Whether the body is always sent.
        required: bool,
        /// The format of the fields.
        format: BodyFieldsFormat,
    },
    /// The argument [`BODY`] is the whole body.
    Whole {
        /// The format of the body.
        format: WholeBodyFormat,
        /// The content type.
        kind: HeaderValue,
    },
}

/// The format of fields.
#[derive(Debug, PartialEq, Eq)]
pub enum BodyFieldsFormat {
    /// As a JSON object of this content type.
    Json(HeaderValue),
    /// `application/x-www-form-urlencoded`, with the fields that have their own style.
    Form(Vec<(String, ParameterStyle)>),
    /// `multipart/form-data`, with the fields that are not plain text.
    Parts(Vec<MultipartField>),
}

/// The format of the argument [`BODY`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WholeBodyFormat {
    /// As JSON.
    Json,
    /// As plain text.
    Text,
    /// As bytes, decoded from base64.
    Bytes,
}

/// A field of a multipart body that is not plain text.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct MultipartField {
    /// The name of the field.
    pub name: String,
    /// Whether its value is a file in base64.
    pub is_file: bool,
    /// The content type of the part.
    pub kind: Option<String>,
    /// The argument for the name of the file.
    pub filename: Option<String>,
}

/// Adds the request body to the input.
pub fn read(
    document: ResolvableDocument<'_>,
    operation: &Value,
    input: &mut InputSchema,
    definitions: &mut SchemaDefinitions,
) -> Result<RequestBody, String> {
    let Some(body) = operation
        .get("requestBody")
        .map(|body| document.resolve(body))
    else {
        return Ok(RequestBody::None);
    };
    let Some(media) = MediaType::best(body) else {
        return Err("its body has no content type".to_owned());
    };
    let reader = RequestBodyReader {
        document,
        body,
        media,
        required: body.get("required") == Some(&Value::Bool(true)),
        looks: Cell::new(LOOKS_MAX),
    };
    match media.family {
        MediaKind::Json => reader.json(input, definitions),
        MediaKind::Form => Ok(reader.form(input, definitions)),
        MediaKind::Parts => reader.parts(input, definitions),
        MediaKind::Text => reader.whole(WholeBodyFormat::Text, input),
        MediaKind::Bytes => reader.whole(WholeBodyFormat::Bytes, input),
        MediaKind::Unknown => Err(format!("a body of `{}` cannot be written", media.kind)),
    }
}

/// A body that is being read.
struct RequestBodyReader<'a> {
    /// The document.
    document: ResolvableDocument<'a>,
    /// The body.
    body: &'a Value,
    /// The chosen content type.
    media: MediaType<'a>,
    /// Whether the body is required.
    required: bool,
    /// How many schemas may still be examined.
    looks: Cell<usize>,
}

impl RequestBodyReader<'_> {
    /// A JSON body: its fields if it is a plain object, otherwise one argument.
    fn json(
        &self,
        input: &mut InputSchema,
        definitions: &mut SchemaDefinitions,
    ) -> Result<RequestBody, String> {
        let kind = self.kind("application/json")?;
        let resolved = self.document.resolve(self.media.schema());
        let is_object = resolved.get("properties").is_some_and(Value::is_object)
            && !["allOf", "anyOf", "oneOf"]
                .iter()
                .any(|key| resolved.get(*key).is_some());
        if is_object {
            self.take_fields(input, definitions);
            let required = self.required;
            let format = BodyFieldsFormat::Json(kind);
            return Ok(RequestBody::Fields { required, format });
        }
        let schema = self.document.take(self.media.schema(), definitions);
        let words = text(self.body, "description");
        input.insert(BODY, schema, words, self.required);
        let format = WholeBodyFormat::Json;
        Ok(RequestBody::Whole { format, kind })
    }

    /// A URL-encoded form.
    fn form(&self, input: &mut InputSchema, definitions: &mut SchemaDefinitions) -> RequestBody {
        self.take_fields(input, definitions);
        let encoding = self.media.said.get("encoding").and_then(Value::as_object);
        let styles = encoding.into_iter().flatten();
        let styles = styles
            .map(|(name, said)| (name.clone(), style_of(said, "query")))
            .filter(|(_, style)| *style != ParameterStyle::Repeated)
            .collect();
        RequestBody::Fields {
            required: self.required,
            format: BodyFieldsFormat::Form(styles),
        }
    }

    /// Takes the fields of an object schema.
    fn take_fields(&self, input: &mut InputSchema, definitions: &mut SchemaDefinitions) {
        let resolved = self.document.resolve(self.media.schema());
        let Value::Object(mut taken) = self.document.take(resolved, definitions) else {
            return;
        };
        if let Some(Value::Object(properties)) = taken.shift_remove("properties") {
            input.properties = properties;
        }
        if let (Some(Value::Array(names)), true) = (taken.shift_remove("required"), self.required) {
            input.required = names;
        }
        // The schema is an object, even if `nullable` of 3.0 changed its type.
        taken.shift_remove("type");
        taken.shift_remove("description");
        input.rest = taken;
    }

    /// A multipart form, with files in base64.
    fn parts(
        &self,
        input: &mut InputSchema,
        definitions: &mut SchemaDefinitions,
    ) -> Result<RequestBody, String> {
        let mut fields = MultipartSchema::default();
        self.describe(self.media.schema(), &mut fields, 0);
        if fields.properties.is_empty() {
            return Err("its multipart body does not say which fields it has".to_owned());
        }
        let mut parts = Vec::new();
        for (name, schema) in &fields.properties {
            let said = self.media.said.get("encoding").and_then(|it| it.get(name));
            let kind = said.and_then(|it| text(it, "contentType"));
            let is_required = self.required && fields.required.contains(name);
            let resolved = self.document.resolve(schema);
            if self.is_file(resolved, 0) || is_file_by_encoding(resolved, kind) {
                let described = self.file(resolved);
                input.insert(name, described, None, is_required);
                parts.push(MultipartField {
                    name: (*name).to_owned(),
                    is_file: true,
                    kind: kind.and_then(single).map(str::to_owned),
                    filename: None,
                });
                continue;
            }
            let schema = self.document.take(schema, definitions);
            input.insert(name, schema, None, is_required);
            if let Some(kind) = kind.and_then(single) {
                parts.push(MultipartField {
                    name: (*name).to_owned(),
                    kind: Some(kind.to_owned()),
                    ..MultipartField::default()
                });
            }
        }
        add_filenames(&mut parts, input);
        Ok(RequestBody::Fields {
            required: self.required,
            format: BodyFieldsFormat::Parts(parts),
        })
    }

    /// Whether another schema may be examined.
    fn may_look(&self, depth: usize) -> bool {
        let left = self.looks.get();
        self.looks.set(left.saturating_sub(1));
        left > 0 && depth <= DEPTH_MAX
    }

    /// Collects the fields of a schema, including those from `allOf`.
    fn describe<'b>(&'b self, schema: &'b Value, fields: &mut MultipartSchema<'b>, depth: usize) {
        let schema = self.document.resolve(schema);
        if !self.may_look(depth) {
            return;
        }
        let properties = schema.get("properties").and_then(Value::as_object);
        for (name, schema) in properties.into_iter().flatten() {
            if fields.names.insert(name) {
                fields.properties.push((name, schema));
            }
        }
        let required = schema.get("required").and_then(Value::as_array);
        let required = required.into_iter().flatten().filter_map(Value::as_str);
        fields.required.extend(required);
        let all = schema.get("allOf").and_then(Value::as_array);
        for part in all.into_iter().flatten() {
            self.describe(part, fields, depth + 1);
        }
    }

    /// Whether a schema describes a file or a list of files.
    fn is_file(&self, schema: &Value, depth: usize) -> bool {
        let schema = self.document.resolve(schema);
        if !self.may_look(depth) {
            return false;
        }
        let says = |key: &str, value: &str| text(schema, key) == Some(value);
        let is_raw = schema.get("contentEncoding").is_none()
            && text(schema, "contentMediaType").is_some_and(|kind| !is_textual(&essence(kind)));
        if says("type", "file") || says("format", "binary") || is_raw {
            return true;
        }
        let items = schema.get("items").into_iter();
        let branches = ["anyOf", "oneOf", "allOf"].into_iter();
        let branches = branches
            .filter_map(|key| schema.get(key)?.as_array())
            .flatten();
        items
            .chain(branches)
            .any(|inner| self.is_file(inner, depth + 1))
    }

    /// Returns the schema of the argument for a file, or for a list of files.
    fn file(&self, schema: &Value) -> Value {
        let one = json!({ "type": "string", "contentEncoding": "base64" });
        let mut said = if self.is_list(schema, 0) {
            json!({ "type": "array", "items": one })
        } else {
            one
        };
        let words = text(schema, "description").or_else(|| text(schema, "title"));
        let words = words.unwrap_or("The file").trim().trim_end_matches('.');
        let words = format!("{words}. Its bytes in base64, or a `data:` URI.");
        if let (Some(said), false) = (said.as_object_mut(), words.is_empty()) {
            said.insert("description".to_owned(), Value::String(words));
        }
        said
    }

    /// Whether the schema of a file is a list of files.
    fn is_list(&self, schema: &Value, depth: usize) -> bool {
        let schema = self.document.resolve(schema);
        if !self.may_look(depth) {
            return false;
        }
        let branches = ["anyOf", "oneOf", "allOf"].into_iter();
        let mut branches = branches
            .filter_map(|key| schema.get(key)?.as_array())
            .flatten();
        schema.get("items").is_some() || branches.any(|inner| self.is_list(inner, depth + 1))
    }

    /// A body in one argument, as text or as base64.
    fn whole(
        &self,
        format: WholeBodyFormat,
        input: &mut InputSchema,
    ) -> Result<RequestBody, String> {
        let kind = self.kind(OCTETS)?;
        let words = text(self.body, "description").unwrap_or_default();
        let words = words.trim().trim_end_matches('.');
        let lead = if words.is_empty() {
            "The body".to_owned()
        } else {
            words.to_owned()
        };
        let (mut schema, how) = match format {
            WholeBodyFormat::Bytes => (
                json!({ "type": "string", "contentEncoding": "base64" }),
                "its bytes in base64, or a `data:` URI",
            ),
            WholeBodyFormat::Json | WholeBodyFormat::Text => {
                (json!({ "type": "string" }), "its text as it is")
            }
        };
        if let Some(schema) = schema.as_object_mut() {
            schema.insert("contentMediaType".to_owned(), json!(self.media.kind));
        }
        let words = format!("{lead} ({}): {how}.", self.media.kind);
        input.insert(BODY, schema, Some(&words), self.required);
        Ok(RequestBody::Whole { format, kind })
    }

    /// Returns the content type to send; `default` if the document has a pattern.
    fn kind(&self, default: &'static str) -> Result<HeaderValue, String> {
        let Some(kind) = single(self.media.kind) else {
            return Ok(HeaderValue::from_static(default));
        };
        HeaderValue::from_str(kind)
            .map_err(|_| "the content type of its body is not a valid header value".to_owned())
    }
}

/// The fields of a multipart body.
#[derive(Default)]
struct MultipartSchema<'a> {
    /// The names and schemas of the fields.
    properties: Vec<(&'a str, &'a Value)>,
    /// The names of the fields.
    names: BTreeSet<&'a str>,
    /// The required fields.
    required: BTreeSet<&'a str>,
}

/// Adds an argument for the name of each single file, because services check the file extension.
fn add_filenames(parts: &mut [MultipartField], input: &mut InputSchema) {
    for part in parts {
        let is_list = input
            .properties
            .get(&part.name)
            .is_some_and(|schema| schema.get("items").is_some());
        if !part.is_file || is_list {
            continue;
        }
        let argument = input.free_name("file", &format!("{}_filename", part.name));
        let words = format!("The name of the file `{}`, with its ending.", part.name);
        input.insert(&argument, json!({ "type": "string" }), Some(&words), false);
        part.filename = Some(argument);
    }
}

/// Returns a content type that is neither a pattern nor a list.
fn single(kind: &str) -> Option<&str> {
    (!kind.contains(['*', ',']) && kind.contains('/')).then_some(kind)
}

/// Whether a field without a schema, or with a plain text schema, is a file according to the content type of
/// its part.
fn is_file_by_encoding(schema: &Value, kind: Option<&str>) -> bool {
    let Some(kind) = kind else {
        return false;
    };
    let kind = essence(kind.split(',').next().unwrap_or_default());
    let is_bare = schema.as_object().is_none_or(Map::is_empty);
    let is_text = text(schema, "type") == Some("string")
        && schema.get("enum").is_none()
        && schema.get("contentEncoding").is_none();
    (is_bare || is_text) && !is_textual(&kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the body and the arguments for this content type.
    fn read_body(kind: &str, media: &Value) -> (Result<RequestBody, String>, Value) {
        let root = json!({ "components": { "schemas": {
            "File": { "type": "string", "format": "binary" },
            "Upload": { "type": "object", "required": ["file"], "properties": {
                "file": { "$ref": "#/components/schemas/File" }, "note": { "type": "string" } } },
        } } });
        let document = ResolvableDocument::new(&root, false);
        let operation = json!({ "requestBody": { "required": true, "content": { kind: media } } });
        let (mut input, mut definitions) = (InputSchema::default(), SchemaDefinitions::default());
        let body = read(document, &operation, &mut input, &mut definitions);
        (body, input.schema(document, definitions))
    }

    #[test]
    fn files_are_found_however_they_are_described() {
        for schema in [
            json!({ "type": "string", "format": "binary" }),
            json!({ "type": "file" }),
            json!({ "type": "string", "contentMediaType": "application/octet-stream" }),
            json!({ "anyOf": [{ "type": "string", "format": "binary" }, { "type": "null" }] }),
            json!({ "$ref": "#/components/schemas/File" }),
            json!({ "type": "array", "items": { "$ref": "#/components/schemas/File" } }),
        ] {
            let is_list = schema["type"] == "array";
            let media = json!({ "schema": { "type": "object", "properties": { "f": schema, "n": { "type": "integer" } } } });
            let (body, input) = read_body("multipart/form-data", &media);
            let Ok(RequestBody::Fields {
                format: BodyFieldsFormat::Parts(parts),
                ..
            }) = body
            else {
                panic!("{body:?}");
            };
            assert_eq!((parts.len(), parts[0].is_file), (1, true), "{schema}");
            let said = &input["properties"]["f"];
            let said = if is_list { &said["items"] } else { said };
            assert_eq!(said["contentEncoding"], "base64", "{schema}");
            assert_eq!(
                input["properties"]["f_filename"].is_object(),
                !is_list,
                "{schema}"
            );
        }
    }

    #[test]
    fn a_part_is_a_file_by_its_content_type() {
        for (schema, kind, is_file) in [
            (json!({}), "image/png, image/jpeg", true),
            (
                json!({ "type": "string" }),
                "application/octet-stream",
                true,
            ),
            (json!({ "type": "string" }), "text/plain", false),
            (json!({ "type": "object" }), "application/json", false),
            (
                json!({ "type": "string", "format": "byte", "contentEncoding": "base64" }),
                "image/png",
                false,
            ),
        ] {
            assert_eq!(
                is_file_by_encoding(&schema, Some(kind)),
                is_file,
                "{schema} {kind}"
            );
        }
    }

    #[test]
    fn fields_are_found_through_references_and_all_of() {
        let media = json!({ "schema": { "allOf": [{ "$ref": "#/components/schemas/Upload" },
                            { "properties": { "tag": { "type": "string" } } }] } });
        let (body, input) = read_body("multipart/form-data", &media);
        assert!(body.is_ok());
        let names: Vec<_> = input["properties"].as_object().unwrap().keys().collect();
        assert_eq!(names, ["file", "note", "tag", "file_filename"]);
        assert_eq!(input["required"], json!(["file"]));
    }

    #[test]
    fn what_cannot_be_written_is_refused() {
        for (kind, media) in [
            (
                "multipart/mixed",
                json!({ "schema": { "properties": { "a": {} } } }),
            ),
            ("multipart/form-data", json!({})),
            (
                "multipart/form-data",
                json!({ "schema": { "type": "object" } }),
            ),
            ("application/x\ny", json!({})),
        ] {
            let (body, _) = read_body(kind, &media);
            assert!(body.is_err(), "{kind}: {body:?}");
        }
    }

    #[test]
    fn text_and_bytes_are_one_argument() {
        for (kind, sent, encoding) in [
            (
                "application/octet-stream",
                "application/octet-stream",
                json!("base64"),
            ),
            ("image/*", "application/octet-stream", json!("base64")),
            ("text/csv", "text/csv", Value::Null),
            ("application/xml", "application/xml", Value::Null),
        ] {
            let (body, input) = read_body(kind, &json!({ "schema": { "type": "object" } }));
            let Ok(RequestBody::Whole { kind: written, .. }) = body else {
                panic!("{kind}: {body:?}");
            };
            assert_eq!(written, sent);
            let said = &input["properties"][BODY];
            assert_eq!(
                (&said["type"], &said["contentEncoding"]),
                (&json!("string"), &encoding),
                "{kind}"
            );
            assert_eq!(input["required"], json!([BODY]));
        }
    }
}
