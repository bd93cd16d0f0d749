//! What becomes of the body of an operation: which arguments hold it, and how it is written.

use std::{cell::Cell, collections::BTreeSet};

use http::HeaderValue;
use serde_json::{Map, Value, json};

use super::{
    input::Input,
    media::{Family, Media, essence, is_textual},
    parameter::{Style, style_of, text},
    schema::{Definitions, Document},
};

/// The argument that holds a body which is no plain object.
pub const BODY: &str = "body";

/// How deep `allOf` and lists are looked into for the fields of a form.
const DEPTH_MAX: usize = 8;

/// Schemas that are looked at for the fields of one form.
const LOOKS_MAX: usize = 2_000;

/// What a body of bytes is called where its content type is only a pattern.
const OCTETS: &str = "application/octet-stream";

/// The body of the request.
#[derive(Debug, PartialEq, Eq)]
pub enum Body {
    /// None.
    None,
    /// The arguments that are no parameters are its fields; without any there is no body unless it is
    /// required.
    Fields {
        /// Whether there always is one.
        required: bool,
        /// How they are written.
        format: Fields,
    },
    /// The argument [`BODY`] is the body.
    Whole {
        /// How it is written.
        format: Whole,
        /// The content type.
        kind: HeaderValue,
    },
}

/// How fields are written.
#[derive(Debug, PartialEq, Eq)]
pub enum Fields {
    /// As a JSON object of this content type.
    Json(HeaderValue),
    /// `application/x-www-form-urlencoded`: the fields that are written in a way of their own.
    Form(Vec<(String, Style)>),
    /// `multipart/form-data`: the fields that are more than text.
    Parts(Vec<Part>),
}

/// How the argument [`BODY`] is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whole {
    /// As JSON.
    Json,
    /// As it is.
    Text,
    /// The bytes that its base64 stands for.
    Bytes,
}

/// A field of a multipart body that is more than text.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Part {
    /// Its name.
    pub name: String,
    /// Whether its value is base64, of a file.
    pub is_file: bool,
    /// Its content type.
    pub kind: Option<String>,
    /// The argument that holds the name of the file.
    pub filename: Option<String>,
}

/// Reads the request body into the input.
pub fn read(
    document: Document<'_>,
    operation: &Value,
    input: &mut Input,
    definitions: &mut Definitions,
) -> Result<Body, String> {
    let Some(body) = operation
        .get("requestBody")
        .map(|body| document.resolve(body))
    else {
        return Ok(Body::None);
    };
    let Some(media) = Media::best(body) else {
        return Err("its body has no content type".to_owned());
    };
    let reader = Reader {
        document,
        body,
        media,
        required: body.get("required") == Some(&Value::Bool(true)),
        looks: Cell::new(LOOKS_MAX),
    };
    match media.family {
        Family::Json => reader.json(input, definitions),
        Family::Form => Ok(reader.form(input, definitions)),
        Family::Parts => reader.parts(input, definitions),
        Family::Text => reader.whole(Whole::Text, input),
        Family::Bytes => reader.whole(Whole::Bytes, input),
        Family::Unknown => Err(format!("a body of `{}` cannot be written", media.kind)),
    }
}

/// A body that is read.
struct Reader<'a> {
    /// The document.
    document: Document<'a>,
    /// The body.
    body: &'a Value,
    /// Its content type.
    media: Media<'a>,
    /// Whether it has to be there.
    required: bool,
    /// How many schemas may still be looked at.
    looks: Cell<usize>,
}

impl Reader<'_> {
    /// A body in JSON: its fields if it is a plain object, else one argument.
    fn json(&self, input: &mut Input, definitions: &mut Definitions) -> Result<Body, String> {
        let kind = self.kind("application/json")?;
        let resolved = self.document.resolve(self.media.schema());
        let is_object = resolved.get("properties").is_some_and(Value::is_object)
            && !["allOf", "anyOf", "oneOf"]
                .iter()
                .any(|key| resolved.get(*key).is_some());
        if is_object {
            self.take_fields(input, definitions);
            let required = self.required;
            let format = Fields::Json(kind);
            return Ok(Body::Fields { required, format });
        }
        let schema = self.document.take(self.media.schema(), definitions);
        let words = text(self.body, "description");
        input.insert(BODY, schema, words, self.required);
        let format = Whole::Json;
        Ok(Body::Whole { format, kind })
    }

    /// A form.
    fn form(&self, input: &mut Input, definitions: &mut Definitions) -> Body {
        self.take_fields(input, definitions);
        let encoding = self.media.said.get("encoding").and_then(Value::as_object);
        let styles = encoding.into_iter().flatten();
        let styles = styles
            .map(|(name, said)| (name.clone(), style_of(said, "query")))
            .filter(|(_, style)| *style != Style::Repeated)
            .collect();
        Body::Fields {
            required: self.required,
            format: Fields::Form(styles),
        }
    }

    /// Takes the fields of a schema that is an object.
    fn take_fields(&self, input: &mut Input, definitions: &mut Definitions) {
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
        // An object, whatever else 3.0's `nullable` made of it.
        taken.shift_remove("type");
        taken.shift_remove("description");
        input.rest = taken;
    }

    /// A form in parts, with files as base64.
    fn parts(&self, input: &mut Input, definitions: &mut Definitions) -> Result<Body, String> {
        let mut fields = Described::default();
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
                parts.push(Part {
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
                parts.push(Part {
                    name: (*name).to_owned(),
                    kind: Some(kind.to_owned()),
                    ..Part::default()
                });
            }
        }
        add_filenames(&mut parts, input);
        Ok(Body::Fields {
            required: self.required,
            format: Fields::Parts(parts),
        })
    }

    /// Whether one more schema may be looked at.
    fn may_look(&self, depth: usize) -> bool {
        let left = self.looks.get();
        self.looks.set(left.saturating_sub(1));
        left > 0 && depth <= DEPTH_MAX
    }

    /// Collects the fields of a schema, also those that `allOf` puts together.
    fn describe<'b>(&'b self, schema: &'b Value, fields: &mut Described<'b>, depth: usize) {
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

    /// Whether a schema is of a file, or of several.
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

    /// What is said of the argument for a file, or for a list of them.
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

    /// Whether a file's schema is a list of files.
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

    /// A body that one argument holds, as text or as base64.
    fn whole(&self, format: Whole, input: &mut Input) -> Result<Body, String> {
        let kind = self.kind(OCTETS)?;
        let words = text(self.body, "description").unwrap_or_default();
        let words = words.trim().trim_end_matches('.');
        let lead = if words.is_empty() {
            "The body".to_owned()
        } else {
            words.to_owned()
        };
        let (mut schema, how) = match format {
            Whole::Bytes => (
                json!({ "type": "string", "contentEncoding": "base64" }),
                "its bytes in base64, or a `data:` URI",
            ),
            Whole::Json | Whole::Text => (json!({ "type": "string" }), "its text as it is"),
        };
        if let Some(schema) = schema.as_object_mut() {
            schema.insert("contentMediaType".to_owned(), json!(self.media.kind));
        }
        let words = format!("{lead} ({}): {how}.", self.media.kind);
        input.insert(BODY, schema, Some(&words), self.required);
        Ok(Body::Whole { format, kind })
    }

    /// The content type to send; `default` in the place of a pattern.
    fn kind(&self, default: &'static str) -> Result<HeaderValue, String> {
        let Some(kind) = single(self.media.kind) else {
            return Ok(HeaderValue::from_static(default));
        };
        HeaderValue::from_str(kind)
            .map_err(|_| "the content type of its body fits no header".to_owned())
    }
}

/// The fields of a multipart body.
#[derive(Default)]
struct Described<'a> {
    /// Their names and schemas.
    properties: Vec<(&'a str, &'a Value)>,
    /// Their names.
    names: BTreeSet<&'a str>,
    /// Those that must be there.
    required: BTreeSet<&'a str>,
}

/// Adds an argument for the name of each single file: services go by its ending.
fn add_filenames(parts: &mut [Part], input: &mut Input) {
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

/// A content type that is no pattern and no list.
fn single(kind: &str) -> Option<&str> {
    (!kind.contains(['*', ',']) && kind.contains('/')).then_some(kind)
}

/// Whether a field that is not described, or only as text, is a file by the content type of its part.
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

    /// The arguments for a body under this content type.
    fn read_body(kind: &str, media: &Value) -> (Result<Body, String>, Value) {
        let root = json!({ "components": { "schemas": {
            "File": { "type": "string", "format": "binary" },
            "Upload": { "type": "object", "required": ["file"], "properties": {
                "file": { "$ref": "#/components/schemas/File" }, "note": { "type": "string" } } },
        } } });
        let document = Document::new(&root, false);
        let operation = json!({ "requestBody": { "required": true, "content": { kind: media } } });
        let (mut input, mut definitions) = (Input::default(), Definitions::default());
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
            let Ok(Body::Fields {
                format: Fields::Parts(parts),
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
            let Ok(Body::Whole { kind: written, .. }) = body else {
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
