//! Parses the text of a document: JSON or YAML, OpenAPI 3 or Swagger 2.0. Pure.

use serde_json::Value;
use url::Url;

use super::{swagger, yaml};
use crate::mcp::error::ConnectError;
use crate::mcp::http::{BodyKind, preview};
use crate::mcp::weight::{weight, weight_max};
use crate::secret::Redactor;

/// A fetched document.
#[derive(Debug)]
pub struct RawDocument<'a> {
    /// The URL of the document.
    pub location: &'a Url,
    /// The content type.
    pub kind: &'a str,
    /// The text.
    pub body: &'a [u8],
}

/// A document in the form of OpenAPI 3.
#[derive(Debug)]
pub struct ParsedDocument {
    /// The whole document.
    pub root: Value,
    /// Whether its schemas use the dialect of OpenAPI 3.0.
    pub is_3_0: bool,
    /// The key that contains the address of the service.
    pub server_key: &'static str,
}

/// Parses the document, or explains what the text is instead.
pub fn parse(
    fetched: &RawDocument<'_>,
    bytes_max: usize,
    redactor: &Redactor,
) -> Result<ParsedDocument, ConnectError> {
    let root = values(fetched, bytes_max, redactor)?;
    match version(&root) {
        Some(("openapi", version)) if version.starts_with("3.") => Ok(ParsedDocument {
            root,
            is_3_0: version == "3.0" || version.starts_with("3.0."),
            server_key: "servers[0].url",
        }),
        Some(("swagger", version)) if version == "2" || version.starts_with("2.") => {
            let scheme = fetched.location.scheme();
            let root = swagger::modernized(root, scheme, weight_max(bytes_max))
                .ok_or_else(|| too_large(bytes_max))?;
            Ok(ParsedDocument {
                root,
                is_3_0: true,
                server_key: "host",
            })
        }
        Some((_, version)) => {
            let shown = preview(version.as_bytes(), redactor);
            Err(ConnectError::Protocol(format!(
                "its document has the OpenAPI (Swagger) version `{shown}`; 2.0, 3.0 or 3.1 is required"
            )))
        }
        None => Err(ConnectError::Protocol(
            "its URL does not return an OpenAPI document (it has neither `openapi` nor `swagger`)"
                .to_owned(),
        )),
    }
}

/// The error for a document that is too large, or whose operations are too large with all their definitions.
pub fn too_large(bytes_max: usize) -> ConnectError {
    ConnectError::TooLarge {
        what: "its OpenAPI document",
        bytes_max,
    }
}

/// Parses the text as JSON, or as YAML.
fn values(
    fetched: &RawDocument<'_>,
    bytes_max: usize,
    redactor: &Redactor,
) -> Result<Value, ConnectError> {
    let body = fetched.body;
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let starts_with = |letter: u8| body.trim_ascii_start().first() == Some(&letter);
    let is_json = starts_with(b'{') || starts_with(b'[');
    if is_json && weight(body) > weight_max(bytes_max) {
        return Err(too_large(bytes_max));
    }
    if is_json && let Ok(document @ Value::Object(_)) = serde_json::from_slice(body) {
        return Ok(document);
    }
    let wrong = if is_json || starts_with(b'<') {
        None
    } else {
        let text = String::from_utf8_lossy(body);
        // The values that the parser keeps for aliases take the same amount again.
        match yaml::read(&text, weight_max(bytes_max) / 2) {
            Ok(document @ Value::Object(_)) => return Ok(document),
            Ok(_) => None,
            Err(yaml::YamlError::TooHeavy) => return Err(too_large(bytes_max)),
            Err(yaml::YamlError::Invalid(words)) => Some(words),
        }
    };
    let preview = preview(body, redactor);
    let kind = fetched.kind;
    let is_yaml = kind.ends_with("yaml")
        || preview.starts_with("openapi:")
        || preview.starts_with("swagger:");
    Err(ConnectError::Protocol(match wrong {
        Some(words) if is_yaml => {
            let words = redactor.redact(&words);
            format!("its OpenAPI document is not valid YAML: {words}")
        }
        _ if BodyKind::of(kind) == BodyKind::Json => {
            format!("its OpenAPI document is not a JSON object: {preview}")
        }
        _ => format!("`{kind}` instead of an OpenAPI document in JSON or YAML: {preview}"),
    }))
}

/// Returns the version and its key. In YAML the version may be a number.
fn version(root: &Value) -> Option<(&'static str, String)> {
    ["openapi", "swagger"].into_iter().find_map(|key| {
        let version = match root.get(key)? {
            Value::String(version) => version.trim().to_owned(),
            Value::Number(version) => version.to_string(),
            _ => return None,
        };
        Some((key, version))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(kind: &str, body: &str) -> Result<ParsedDocument, String> {
        let location = Url::parse("https://a/doc").map_err(|error| error.to_string())?;
        let fetched = RawDocument {
            location: &location,
            kind,
            body: body.as_bytes(),
        };
        parse(&fetched, 1 << 16, &Redactor::default()).map_err(|error| error.to_string())
    }

    #[test]
    fn every_version_is_read_in_every_form() {
        for (kind, body, is_3_0) in [
            ("application/json", r#"{"openapi": "3.0.3"}"#, true),
            (
                "application/json",
                "\u{feff} {\"openapi\": \"3.1.1\"}",
                false,
            ),
            ("", r#"{"swagger": "2.0"}"#, true),
            ("application/yaml", "openapi: 3.1.0\ninfo: {}\n", false),
            ("text/plain", "# ours\n---\nopenapi: 3.0.0\n", true),
            ("text/vnd.yaml", "swagger: 2.0\n", true),
            ("application/octet-stream", "swagger: '2.0'\n", true),
            ("application/json", "openapi: 3.1.0\n", false),
        ] {
            assert_eq!(read(kind, body).unwrap().is_3_0, is_3_0, "{body}");
        }
    }

    #[test]
    fn what_is_no_document_is_told() {
        let bomb = format!(
            "openapi: 3.1.0\na: &a [{}]\nb: [{}]\n",
            "x, ".repeat(100),
            "*a, ".repeat(1_000)
        );
        for (kind, body, words) in [
            (
                "application/yaml",
                "openapi: [3.1.0\n",
                "its OpenAPI document is not valid YAML: ",
            ),
            (
                "application/yaml",
                "just words",
                "instead of an OpenAPI document in JSON or YAML: just words",
            ),
            (
                "application/json",
                r#"{"openapi": "3.1.0",}"#,
                "is not a JSON object",
            ),
            ("text/html", "<p>docs", "`text/html` instead of"),
            (
                "application/yaml",
                "openapi: 4.0.0",
                "`4.0.0`; 2.0, 3.0 or 3.1 is required",
            ),
            ("application/json", r#"{"swagger": "1.2"}"#, "`1.2`; 2.0"),
            (
                "application/yaml",
                "a: b",
                "neither `openapi` nor `swagger`",
            ),
            ("application/yaml", &bomb, "too large"),
        ] {
            let error = read(kind, body).unwrap_err();
            assert!(error.contains(words), "{error} is not {words}");
        }
    }
}
