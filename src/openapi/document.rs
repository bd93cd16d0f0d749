//! Assembles documents from finished operations.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fmt::Write,
};

use bytes::Bytes;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::{
    DocumentFlavor, Operation, mcpo,
    operation::{PydanticModel, encoded_path, json_text},
};

/// A document, ready to serve.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RenderedDocument {
    /// The JSON.
    pub body: Bytes,
    /// A strong entity tag of the body, in quotes.
    pub etag: String,
}

/// The parts of a document besides its operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DocumentMetadata<'a> {
    /// `info.title`.
    pub title: &'a str,
    /// `info.version`.
    pub version: &'a str,
    /// `info.description`; omitted if empty.
    pub description: &'a str,
    /// `servers[0].url`, such as `/github`; omitted if `None`.
    pub server: Option<&'a str>,
    /// The path before `/{bridge}` in a merged document, without a final slash.
    pub path_prefix: &'a str,
    /// Whether callers need a bearer token.
    pub secured: bool,
    /// The servers' own descriptions, by bridge. Servers without a tool in the document are omitted.
    pub tags: &'a [(String, String)],
}

/// How much of a server's description is included, in characters.
const TAG_CHARS_MAX: usize = 2_000;

/// Builds one document with the tools of all bridges, at `{path_prefix}/{bridge}/{tool}`. Needs operations of
/// [`DocumentFlavor::Native`] with the ids from [`super::OperationIdOwners::ids`].
pub fn merged<'a>(
    frame: &DocumentMetadata<'_>,
    operations: impl IntoIterator<Item = (&'a Operation, &'a str)>,
) -> RenderedDocument {
    let operations: Vec<_> = operations.into_iter().collect();
    write(frame, DocumentFlavor::Native, &operations, |operation| {
        [frame.path_prefix, operation.bridge_path(), operation.path()].concat()
    })
}

/// Builds the document of one bridge's tools, at `/{tool}` below `frame.server`. All operations must have the
/// given style.
pub fn for_bridge<'a>(
    frame: &DocumentMetadata<'_>,
    style: DocumentFlavor,
    operations: impl IntoIterator<Item = (&'a Operation, &'a str)>,
) -> RenderedDocument {
    let operations: Vec<_> = operations.into_iter().collect();
    write(frame, style, &operations, |operation| {
        operation.path().to_owned()
    })
}

/// Writes a document.
fn write(
    frame: &DocumentMetadata<'_>,
    style: DocumentFlavor,
    operations: &[(&Operation, &str)],
    path_of: impl Fn(&Operation) -> String,
) -> RenderedDocument {
    let size: usize = operations
        .iter()
        .map(|(operation, id)| operation.size() + id.len())
        .sum();
    let mut out = String::with_capacity(size + 4096);
    out.push_str("{\"openapi\":\"3.1.0\",\"info\":");
    out.push_str(&info(frame).to_string());

    let keys = model_keys(operations);
    let mut written = HashSet::with_capacity(operations.len());
    let mut used = Vec::with_capacity(operations.len());
    out.push_str(",\"paths\":{");
    for (operation, id) in operations {
        let path = path_of(operation);
        if !written.insert(path.clone()) {
            continue;
        }
        if !used.is_empty() {
            out.push(',');
        }
        used.push(*operation);
        out.push_str(&json_text(&path));
        out.push_str(":{\"post\":");
        operation.write(id, |model| key(&keys, model), &mut out);
        if frame.secured && style == DocumentFlavor::Mcpo {
            out.push_str(",\"security\":[{\"HTTPBearer\":[]}]");
        }
        out.push_str("}}");
    }
    out.push('}');

    tags(frame, style, &used, &mut out);
    components(frame, style, &used, &keys, &mut out);
    if let Some(url) = frame.server {
        out.push_str(",\"servers\":[{\"url\":");
        out.push_str(&json_text(url));
        out.push_str("}]");
    }
    if frame.secured && style == DocumentFlavor::Native {
        out.push_str(",\"security\":[{\"HTTPBearer\":[]}]");
    }
    out.push('}');
    RenderedDocument::new(out)
}

impl RenderedDocument {
    /// Creates a finished document with its tag.
    fn new(body: String) -> Self {
        let mut etag = String::with_capacity(34);
        etag.push('"');
        for byte in Sha256::digest(body.as_bytes()).iter().take(16) {
            // Writing to a string cannot fail.
            write!(etag, "{byte:02x}").unwrap_or_default();
        }
        etag.push('"');
        Self {
            body: Bytes::from(body),
            etag,
        }
    }
}

/// Builds the info block, in mcpo's order.
fn info(frame: &DocumentMetadata<'_>) -> Value {
    let mut info = Map::new();
    info.insert("title".to_owned(), frame.title.into());
    if !frame.description.is_empty() {
        info.insert("description".to_owned(), frame.description.into());
    }
    info.insert("version".to_owned(), frame.version.into());
    Value::Object(info)
}

/// Writes the servers' descriptions.
fn tags(
    frame: &DocumentMetadata<'_>,
    style: DocumentFlavor,
    operations: &[&Operation],
    out: &mut String,
) {
    let used: HashSet<&str> = operations.iter().map(|it| it.bridge_path()).collect();
    let tags: Vec<Value> = frame
        .tags
        .iter()
        .filter(|(bridge, text)| {
            !text.trim().is_empty() && used.contains(encoded_path(bridge).as_str())
        })
        .map(|(bridge, text)| {
            let mut shown: String = text.chars().take(TAG_CHARS_MAX).collect();
            if shown.len() < text.len() {
                shown.push('…');
            }
            json!({"name": bridge, "description": shown})
        })
        .collect();
    if style == DocumentFlavor::Native && !tags.is_empty() {
        out.push_str(",\"tags\":");
        out.push_str(&Value::Array(tags).to_string());
    }
}

/// Writes the components in use; mcpo's in the order of their keys, as FastAPI does.
fn components(
    frame: &DocumentMetadata<'_>,
    style: DocumentFlavor,
    operations: &[&Operation],
    keys: &HashMap<&str, String>,
    out: &mut String,
) {
    let mut schemas: BTreeMap<String, &str> = BTreeMap::new();
    let shared: Vec<(&str, String)> = match style {
        DocumentFlavor::Native => vec![
            ("Error", error().to_string()),
            ("InvalidArguments", invalid_arguments().to_string()),
        ],
        DocumentFlavor::Mcpo => mcpo::validation_components()
            .map(|(key, schema)| (key, schema.to_string()))
            .to_vec(),
    };
    let has_models = operations.iter().any(|one| !one.models().is_empty());
    if style == DocumentFlavor::Native || has_models {
        schemas.extend(
            shared
                .iter()
                .map(|(key, schema)| ((*key).to_owned(), schema.as_str())),
        );
    }
    for operation in operations {
        for (key, schema) in operation.components() {
            schemas.insert(key.clone(), schema);
        }
        for model in operation.models() {
            schemas.insert(key(keys, model), &model.schema);
        }
    }

    let mut parts = Vec::new();
    if !schemas.is_empty() {
        let schemas: Vec<String> = schemas
            .iter()
            .map(|(key, schema)| format!("{}:{schema}", json_text(key)))
            .collect();
        parts.push(format!("\"schemas\":{{{}}}", schemas.join(",")));
    }
    if style == DocumentFlavor::Native {
        parts.push(format!("\"responses\":{}", responses()));
    }
    if frame.secured && (style == DocumentFlavor::Native || !operations.is_empty()) {
        let scheme = json!({"HTTPBearer": {"type": "http", "scheme": "bearer"}});
        parts.push(format!("\"securitySchemes\":{scheme}"));
    }
    if !parts.is_empty() {
        out.push_str(",\"components\":{");
        out.push_str(&parts.join(","));
        out.push('}');
    }
}

/// Returns the component keys of all models by name. Keys are long if the short ones collide.
fn model_keys<'a>(operations: &[(&'a Operation, &str)]) -> HashMap<&'a str, String> {
    let names: HashSet<&str> = operations
        .iter()
        .flat_map(|(operation, _)| operation.models())
        .map(|model| model.name.as_str())
        .collect();
    let mut counts: HashMap<String, usize> = HashMap::new();
    #[expect(
        clippy::iter_over_hash_type,
        reason = "the count does not depend on the order"
    )]
    for name in &names {
        *counts.entry(mcpo::component_key(name)).or_default() += 1;
    }
    names
        .into_iter()
        .map(|name| {
            let short = mcpo::component_key(name);
            let is_free = counts.get(&short).is_none_or(|count| *count == 1);
            let key = if is_free {
                short
            } else {
                mcpo::long_component_key(name)
            };
            (name, key)
        })
        .collect()
}

/// Returns the key of one model.
fn key(keys: &HashMap<&str, String>, model: &PydanticModel) -> String {
    keys.get(model.name.as_str())
        .cloned()
        .unwrap_or_else(|| mcpo::component_key(&model.name))
}

/// The body of every failed call.
fn error() -> Value {
    json!({
        "type": "object",
        "properties": {
            "detail": {
                "description": "What went wrong: a message of mcp-bridge or of the server.",
                "anyOf": [
                    {"type": "string"},
                    {
                        "type": "object",
                        "properties": {"message": {"type": "string"}, "data": {}},
                        "required": ["message"]
                    }
                ]
            },
            "message": {
                "type": "string",
                "description": "The same as one sentence: what is wrong, what to do, and whether and when to retry."
            },
            "retry": {
                "type": "boolean",
                "description": "Whether the same call may succeed later."
            },
            "code": {"type": "string", "description": "An error code for programs, such as `timeout`."},
            "request_id": {"type": "string", "description": "Identifies the call in logs and audit."}
        },
        "required": ["detail"]
    })
}

/// The body for rejected arguments: FastAPI's list.
fn invalid_arguments() -> Value {
    json!({
        "type": "object",
        "properties": {
            "detail": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {
                        "type": {"type": "string"},
                        "loc": {
                            "type": "array",
                            "items": {"anyOf": [{"type": "string"}, {"type": "integer"}]}
                        },
                        "msg": {"type": "string"},
                        "input": {},
                        "ctx": {"type": "object"}
                    },
                    "required": ["type", "loc", "msg"]
                }
            },
            "message": {
                "type": "string",
                "description": "The same as one sentence, with the arguments of the tool."
            },
            "retry": {"type": "boolean"},
            "code": {"type": "string"},
            "request_id": {"type": "string"}
        },
        "required": ["detail"]
    })
}

/// The shared responses that refer to these schemas.
fn responses() -> Value {
    let response = |description: &str, schema: &str| {
        let reference = format!("#/components/schemas/{schema}");
        json!({
            "description": description,
            "content": {"application/json": {"schema": {"$ref": reference}}}
        })
    };
    json!({
        "InvalidArguments": response("The arguments were rejected", "InvalidArguments"),
        "Error": response("The call failed", "Error")
    })
}
