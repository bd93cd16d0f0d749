//! Writes the body of a request.

use base64::{
    Engine as _,
    alphabet::STANDARD,
    engine::{
        DecodePaddingMode,
        general_purpose::{GeneralPurpose, GeneralPurposeConfig},
    },
};
use http::HeaderValue;
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};
use url::form_urlencoded;

use super::{
    body::{BODY, BodyFieldsFormat, MultipartField, RequestBody, WholeBodyFormat},
    parameter::ParameterStyle,
    refusal::invalid,
    value::{pairs, scalar},
};
use crate::mcp::error::CallError;

/// Base64 with or without padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A body with its content type.
#[derive(Debug)]
pub struct EncodedBody {
    /// The content type.
    pub kind: HeaderValue,
    /// The body.
    pub bytes: Vec<u8>,
}

/// Writes the body; `None` if there is none.
pub fn write(
    body: &RequestBody,
    mut arguments: Map<String, Value>,
) -> Result<Option<EncodedBody>, CallError> {
    match body {
        RequestBody::None => Ok(None),
        RequestBody::Whole { format, kind } => {
            let Some(value) = arguments.shift_remove(BODY) else {
                return Ok(None);
            };
            whole(*format, kind, value).map(Some)
        }
        RequestBody::Fields { required, .. } if arguments.is_empty() && !required => Ok(None),
        RequestBody::Fields { format, .. } => match format {
            BodyFieldsFormat::Json(kind) => Ok(Some(EncodedBody {
                kind: kind.clone(),
                bytes: Value::Object(arguments).to_string().into_bytes(),
            })),
            BodyFieldsFormat::Form(styles) => Ok(Some(form(styles, arguments))),
            BodyFieldsFormat::Parts(parts) => multipart(parts, arguments).map(Some),
        },
    }
}

/// Writes a body that is one argument.
fn whole(
    format: WholeBodyFormat,
    kind: &HeaderValue,
    value: Value,
) -> Result<EncodedBody, CallError> {
    let mut kind = kind.clone();
    let bytes = match (format, value) {
        (WholeBodyFormat::Text, Value::String(text)) => text.into_bytes(),
        (WholeBodyFormat::Bytes, Value::String(text)) => {
            let file = DecodedFile::read(BODY, &text)?;
            let said = file.kind.and_then(|it| HeaderValue::from_str(&it).ok());
            if let (Some(said), "application/octet-stream") = (said, kind.to_str().unwrap_or("")) {
                kind = said;
            }
            file.bytes
        }
        (WholeBodyFormat::Json | WholeBodyFormat::Text | WholeBodyFormat::Bytes, value) => {
            value.to_string().into_bytes()
        }
    };
    Ok(EncodedBody { kind, bytes })
}

/// `application/x-www-form-urlencoded`
fn form(styles: &[(String, ParameterStyle)], arguments: Map<String, Value>) -> EncodedBody {
    let mut form = form_urlencoded::Serializer::new(String::new());
    for (name, value) in arguments {
        let style = styles.iter().find(|(field, _)| *field == name);
        let style = style.map_or(ParameterStyle::Repeated, |(_, style)| *style);
        match value {
            // Without its own style, an object is one field.
            Value::Object(_) if style == ParameterStyle::Repeated => {
                form.append_pair(&name, &value.to_string());
            }
            value => {
                form.extend_pairs(pairs(&name, style, &value));
            }
        }
    }
    EncodedBody {
        kind: HeaderValue::from_static("application/x-www-form-urlencoded"),
        bytes: form.finish().into_bytes(),
    }
}

/// `multipart/form-data` (RFC 7578).
fn multipart(
    parts: &[MultipartField],
    mut arguments: Map<String, Value>,
) -> Result<EncodedBody, CallError> {
    let mut writer = MultipartWriter::new();
    let names = parts.iter().filter_map(|part| {
        let name = arguments.shift_remove(part.filename.as_deref()?)?;
        Some((part.name.as_str(), scalar(&name)?))
    });
    let names: Vec<(&str, String)> = names.collect();
    for (name, value) in &arguments {
        let part = parts.iter().find(|part| part.name == *name);
        let items = value
            .as_array()
            .map_or(std::slice::from_ref(value), Vec::as_slice);
        for item in items.iter().filter(|item| !item.is_null()) {
            match part.filter(|part| part.is_file) {
                Some(part) => {
                    let file = names.iter().find(|(field, _)| field == name);
                    writer.file(part, file.map(|(_, file)| file.as_str()), item)?;
                }
                None => writer.value(name, part.and_then(|it| it.kind.as_deref()), item),
            }
        }
    }
    writer.finish()
}

/// A multipart body under construction.
struct MultipartWriter {
    /// The separator between the parts.
    boundary: String,
    /// The bytes so far.
    bytes: Vec<u8>,
}

impl MultipartWriter {
    fn new() -> Self {
        Self {
            // The boundary is random, so that files cannot contain it.
            boundary: format!("mcp-bridge-{:032x}", rand::random::<u128>()),
            bytes: Vec::new(),
        }
    }

    /// Writes the head of a part.
    fn head(&mut self, name: &str, file: Option<&str>, kind: Option<&str>) {
        let file = file.map(|file| format!("; filename=\"{}\"", quoted(file)));
        let kind = kind.map(|kind| format!("\r\nContent-Type: {kind}"));
        let head = format!(
            "--{}\r\nContent-Disposition: form-data; name=\"{}\"{}{}\r\n\r\n",
            self.boundary,
            quoted(name),
            file.unwrap_or_default(),
            kind.unwrap_or_default()
        );
        self.bytes.extend(head.into_bytes());
    }

    /// Writes a value: a text literally, an object as JSON.
    fn value(&mut self, name: &str, kind: Option<&str>, value: &Value) {
        let Some(text) = scalar(value) else {
            return;
        };
        let is_json = value.is_object() || value.is_array();
        let kind = kind.or_else(|| is_json.then_some("application/json"));
        self.head(name, None, kind);
        self.bytes.extend(text.into_bytes());
        self.bytes.extend(b"\r\n");
    }

    /// Writes a file.
    fn file(
        &mut self,
        part: &MultipartField,
        name: Option<&str>,
        value: &Value,
    ) -> Result<(), CallError> {
        let Value::String(text) = value else {
            return Err(invalid(format!("`{}` is not valid base64", part.name)));
        };
        let file = DecodedFile::read(&part.name, text)?;
        let kind = file.kind.as_deref().or(part.kind.as_deref());
        let name = name.filter(|name| !name.trim().is_empty());
        self.head(
            &part.name,
            Some(name.unwrap_or(&part.name)),
            Some(kind.unwrap_or("application/octet-stream")),
        );
        self.bytes.extend(file.bytes);
        self.bytes.extend(b"\r\n");
        Ok(())
    }

    fn finish(mut self) -> Result<EncodedBody, CallError> {
        let end = format!("--{}--\r\n", self.boundary);
        self.bytes.extend(end.into_bytes());
        let kind = format!("multipart/form-data; boundary={}", self.boundary);
        let kind = HeaderValue::from_str(&kind)
            .map_err(|_| invalid("the body cannot be sent as a form".to_owned()))?;
        Ok(EncodedBody {
            kind,
            bytes: self.bytes,
        })
    }
}

/// Returns a quoted name as browsers write it (WHATWG, multipart form data).
fn quoted(name: &str) -> String {
    name.chars()
        .map(|it| match it {
            '"' => "%22".to_owned(),
            '\r' => "%0D".to_owned(),
            '\n' => "%0A".to_owned(),
            other => other.to_string(),
        })
        .collect()
}

/// A file that arrived as text.
struct DecodedFile {
    /// The content type in the data URI.
    kind: Option<String>,
    /// The contents.
    bytes: Vec<u8>,
}

impl DecodedFile {
    /// Parses base64 or a data URI (RFC 2397).
    fn read(argument: &str, text: &str) -> Result<Self, CallError> {
        let uri = text.trim_start().strip_prefix("data:");
        let Some((head, data)) = uri.and_then(|uri| uri.split_once(',')) else {
            let bytes = decode(argument, text)?;
            return Ok(Self { kind: None, bytes });
        };
        let (kind, is_base64) = match head.trim_end().strip_suffix(";base64") {
            Some(kind) => (kind, true),
            None => (head, false),
        };
        let is_kind =
            kind.contains('/') && kind.bytes().all(|it| it.is_ascii_graphic() || it == b' ');
        let bytes = if is_base64 {
            decode(argument, data)?
        } else {
            percent_decode_str(data).collect()
        };
        Ok(Self {
            kind: is_kind.then(|| kind.to_owned()),
            bytes,
        })
    }
}

/// Decodes base64 in either alphabet, with line breaks. A space inside is not accepted, because ordinary
/// words would be decoded as bytes.
fn decode(argument: &str, text: &str) -> Result<Vec<u8>, CallError> {
    let letters: Vec<u8> = text
        .trim()
        .bytes()
        .filter(|it| !matches!(it, b'\r' | b'\n' | b'\t'))
        .map(|it| match it {
            b'-' => b'+',
            b'_' => b'/',
            other => other,
        })
        .collect();
    BASE64.decode(letters).map_err(|error| {
        invalid(format!(
            "`{argument}` is not valid base64 ({error}); encode the bytes in base64"
        ))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(value: Value) -> Map<String, Value> {
        serde_json::from_value(value).unwrap()
    }

    /// Returns the body with its boundary replaced.
    fn written(parts: Vec<MultipartField>, arguments: Value) -> String {
        let body = RequestBody::Fields {
            required: true,
            format: BodyFieldsFormat::Parts(parts),
        };
        let payload = write(&body, object(arguments)).unwrap().unwrap();
        let kind = payload.kind.to_str().unwrap();
        let boundary = kind.strip_prefix("multipart/form-data; boundary=").unwrap();
        let text = String::from_utf8(payload.bytes).unwrap();
        text.replace(boundary, "B").replace("\r\n", "\n")
    }

    #[test]
    fn files_and_values_are_parts() {
        let parts = vec![
            MultipartField {
                name: "file".to_owned(),
                is_file: true,
                kind: None,
                filename: Some("name".to_owned()),
            },
            MultipartField {
                name: "pics".to_owned(),
                is_file: true,
                kind: Some("image/png".to_owned()),
                filename: None,
            },
            MultipartField {
                name: "meta".to_owned(),
                kind: Some("text/x".to_owned()),
                ..MultipartField::default()
            },
        ];
        let arguments = json!({ "file": "aGk", "name": "a\"\r\nb.txt", "pics": ["data:image/gif;base64,aA==", "aQ=="],
                                "meta": "m", "tags": ["x", 1, null], "more": { "a": 1 } });
        let expected = "--B\nContent-Disposition: form-data; name=\"file\"; filename=\"a%22%0D%0Ab.txt\"\nContent-Type: application/octet-stream\n\nhi\n\
            --B\nContent-Disposition: form-data; name=\"pics\"; filename=\"pics\"\nContent-Type: image/gif\n\nh\n\
            --B\nContent-Disposition: form-data; name=\"pics\"; filename=\"pics\"\nContent-Type: image/png\n\ni\n\
            --B\nContent-Disposition: form-data; name=\"meta\"\nContent-Type: text/x\n\nm\n\
            --B\nContent-Disposition: form-data; name=\"tags\"\n\nx\n\
            --B\nContent-Disposition: form-data; name=\"tags\"\n\n1\n\
            --B\nContent-Disposition: form-data; name=\"more\"\nContent-Type: application/json\n\n{\"a\":1}\n\
            --B--\n";
        assert_eq!(written(parts, arguments), expected);
    }

    #[test]
    fn base64_is_read_as_it_is_found() {
        for (text, bytes) in [
            ("aGk/", "hi?"),
            ("aGk_", "hi?"),
            (" aG\nk= ", "hi"),
            ("data:text/plain,a%20b", "a b"),
            ("data:;base64,aGk=", "hi"),
            ("", ""),
        ] {
            assert_eq!(
                DecodedFile::read("f", text).unwrap().bytes,
                bytes.as_bytes(),
                "{text}"
            );
        }
        for text in [
            "so not base64",
            "hello world!",
            "data:image/png;base64,***",
            "a",
        ] {
            let refused = DecodedFile::read("f", text).err().unwrap();
            assert!(
                refused.to_string().contains("`f` is not valid base64"),
                "{refused}"
            );
        }
        let hostile = DecodedFile::read("f", "data:a/b\r\nX: y;base64,aGk=").unwrap();
        assert_eq!(hostile.kind, None);
    }

    #[test]
    fn whole_bodies_are_sent_as_they_are() {
        for (format, kind, value, expected, sent) in [
            (
                WholeBodyFormat::Json,
                "application/merge-patch+json",
                json!({ "a": null }),
                "{\"a\":null}",
                "application/merge-patch+json",
            ),
            (
                WholeBodyFormat::Text,
                "text/csv",
                json!("a,b"),
                "a,b",
                "text/csv",
            ),
            (
                WholeBodyFormat::Bytes,
                "image/png",
                json!("aGk="),
                "hi",
                "image/png",
            ),
            (
                WholeBodyFormat::Bytes,
                "application/octet-stream",
                json!("data:image/gif;base64,aGk="),
                "hi",
                "image/gif",
            ),
        ] {
            let body = RequestBody::Whole {
                format,
                kind: HeaderValue::from_static(kind),
            };
            let payload = write(&body, object(json!({ "body": value })))
                .unwrap()
                .unwrap();
            assert_eq!(
                (payload.bytes, payload.kind.to_str().unwrap()),
                (expected.as_bytes().to_vec(), sent)
            );
            assert!(write(&body, Map::new()).unwrap().is_none());
        }
    }

    #[test]
    fn forms_write_lists_in_the_style_of_their_field() {
        let styles = vec![("ids".to_owned(), ParameterStyle::Joined(','))];
        let body = RequestBody::Fields {
            required: false,
            format: BodyFieldsFormat::Form(styles),
        };
        let arguments = json!({ "ids": [1, 2], "tags": ["a", "b"], "o": { "x": 1 }, "n": null });
        let payload = write(&body, object(arguments)).unwrap().unwrap();
        let text = String::from_utf8(payload.bytes).unwrap();
        assert_eq!(text, "ids=1%2C2&tags=a&tags=b&o=%7B%22x%22%3A1%7D");
    }
}
