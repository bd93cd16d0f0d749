//! [`OpenApiSession`]: the document of a service, and calls to its operations.

use std::{collections::HashMap, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, header::ACCEPT};
use serde_json::{Map, Value};
use tokio::time::timeout;
use tokio_util::task::TaskTracker;
use url::Url;

use super::{
    answer,
    operation::{self, Operation},
    request,
    schema::Document,
};
use crate::config::Remote;
use crate::mcp::credential::Courier;
use crate::mcp::error::{CallError, ConnectError};
use crate::mcp::http::{
    Failure, Kind, content_type, header_map, join_same_origin, preview, read, read_refusal,
    refused_by_body, refused_by_status,
};
use crate::mcp::unasked::Bounds;
use crate::mcp::weight::{weight, weight_max};
use crate::secret::Redactor;

/// An HTTP service, described by its document.
#[derive(Debug)]
pub struct OpenApiSession {
    /// Sends the requests.
    courier: Courier,
    /// Sent with every request.
    headers: HeaderMap,
    /// Keeps secrets out of messages.
    redactor: Redactor,
    /// The largest answer, in bytes.
    bytes_max: usize,
    /// Tool → where its operation is and how it is called.
    operations: HashMap<String, (Url, Operation)>,
    /// The entries of `tools/list`, in the order of the document.
    tools: Vec<Value>,
}

impl OpenApiSession {
    /// Fetches the document and reads its operations, within `limit`. `bounds` holds for the document
    /// and for each answer.
    pub async fn connect(
        courier: &Courier,
        remote: &Remote,
        bounds: Bounds,
        limit: Duration,
        redactor: &Redactor,
        tracker: &TaskTracker,
    ) -> Result<Self, ConnectError> {
        let headers = header_map(&remote.headers)?;
        let request = courier
            .client
            .get(remote.url.clone())
            .headers(headers.clone())
            .header(ACCEPT, "application/json");
        let bytes_max = bounds.tools_bytes_max;
        let fetching = fetch(courier, request, bytes_max, redactor);
        let Ok(fetched) = timeout(limit, fetching).await else {
            return Err(ConnectError::Timeout {
                step: "OpenAPI document",
                after: limit,
            });
        };
        let (location, body) = match fetched {
            Err(Failure::TooLarge(_)) => return Err(too_large(bytes_max)),
            fetched => fetched.map_err(Failure::into_connect_error)?,
        };
        // Reading a document of thousands of operations takes a while.
        let cleaner = redactor.clone();
        let reading =
            tracker.spawn_blocking(move || read_tools(&location, &body, bytes_max, &cleaner));
        let read = reading.await.map_err(|error| {
            ConnectError::Protocol(format!("its OpenAPI document cannot be read: {error}"))
        })?;
        let (operations, tools) = read?;
        if tools.is_empty() {
            tracing::warn!("the OpenAPI document has no POST operation: there are no tools");
        }
        Ok(Self {
            courier: courier.clone(),
            headers,
            redactor: redactor.clone(),
            bytes_max: bounds.result_bytes_max,
            operations,
            tools,
        })
    }

    /// The tools, each in the shape of an entry of `tools/list`.
    pub fn list_tools(&self) -> Vec<Value> {
        self.tools.clone()
    }

    /// Calls a tool. Returns the JSON text of a `CallToolResult`. The caller sets the deadline by
    /// dropping the future, which closes the connection.
    pub async fn call(
        &self,
        name: &str,
        arguments: Map<String, Value>,
        passed: &HeaderMap,
    ) -> Result<String, CallError> {
        let Some((base, operation)) = self.operations.get(name) else {
            return Err(CallError::Rpc {
                code: -32_602,
                message: format!("unknown tool `{name}`"),
                data: None,
            });
        };
        let prepared = request::prepare(operation, base, arguments)?;
        let mut headers = prepared.headers;
        headers.insert(
            ACCEPT,
            http::HeaderValue::from_static("application/json, */*;q=0.5"),
        );
        // The operator's headers come last: an argument does not replace a credential.
        for name in self.headers.keys() {
            headers.remove(name);
        }
        headers.extend(self.headers.clone());
        for (name, value) in passed {
            if !headers.contains_key(name) {
                headers.append(name, value.clone());
            }
        }
        let mut request = self.courier.client.post(prepared.url).headers(headers);
        if let Some(body) = prepared.body {
            request = request.body(body);
        }
        let response = self
            .courier
            .send(request)
            .await
            .map_err(Failure::into_call_error)?;
        answer::result(response, self.bytes_max, &self.redactor).await
    }
}

/// What was fetched.
#[derive(Debug)]
struct Fetched {
    /// The content type.
    kind: String,
    /// The document.
    body: Bytes,
}

/// Fetches the document, and tells where it was found after redirects.
async fn fetch(
    courier: &Courier,
    request: reqwest::RequestBuilder,
    bytes_max: usize,
    redactor: &Redactor,
) -> Result<(Url, Fetched), Failure> {
    let response = courier.send(request).await?;
    let status = response.status();
    if let Some(failure) = refused_by_status(status, response.headers()) {
        return Err(failure);
    }
    if !status.is_success() {
        return Err(refused_by_body(
            status,
            &read_refusal(response).await,
            redactor,
        ));
    }
    let location = response.url().clone();
    let kind = content_type(&response);
    let body = read(response, bytes_max).await?;
    Ok((location, Fetched { kind, body }))
}

/// Operations by the names of their tools, and the tools.
type Tools = (HashMap<String, (Url, Operation)>, Vec<Value>);

/// Reads the tools of a document. CPU-bound.
fn read_tools(
    location: &Url,
    fetched: &Fetched,
    bytes_max: usize,
    redactor: &Redactor,
) -> Result<Tools, ConnectError> {
    if weight(&fetched.body) > weight_max(bytes_max) {
        return Err(too_large(bytes_max));
    }
    let document = parse(fetched, redactor).map_err(Failure::into_connect_error)?;
    let is_3_0 = check_version(&document)?;
    let root = operation::server_of(&document).unwrap_or_else(|| "/".to_owned());
    let found = operation::operations(
        Document::new(&document, is_3_0),
        &document,
        weight_max(bytes_max),
    );
    let (mut operations, mut tools) = (HashMap::new(), Vec::new());
    for mut operation in found.ok_or_else(|| too_large(bytes_max))? {
        let server = operation.server.as_deref().unwrap_or(&root);
        let base = join_same_origin(location, server).map_err(|reason| {
            ConnectError::Protocol(format!("`servers[0].url` of its document {reason}"))
        })?;
        tools.push(std::mem::take(&mut operation.tool));
        operations.insert(operation.name.clone(), (base, operation));
    }
    Ok((operations, tools))
}

/// Parses the document, or says what it is instead.
fn parse(fetched: &Fetched, redactor: &Redactor) -> Result<Value, Failure> {
    let Fetched { kind, body } = fetched;
    if let Ok(document @ Value::Object(_)) = serde_json::from_slice(body) {
        return Ok(document);
    }
    let preview = preview(body, redactor);
    Err(Failure::Protocol(
        if preview.starts_with("openapi:") || kind.ends_with("yaml") {
            "its OpenAPI document is YAML; the URL of the JSON one is needed".to_owned()
        } else if Kind::of(kind) == Kind::Json {
            format!("its OpenAPI document is no JSON object: {preview}")
        } else {
            format!("`{kind}` instead of an OpenAPI document in JSON: {preview}")
        },
    ))
}

/// The error of a document that is too large, or whose operations are once they stand alone.
fn too_large(bytes_max: usize) -> ConnectError {
    ConnectError::TooLarge {
        what: "its OpenAPI document",
        bytes_max,
    }
}

/// Whether the document is OpenAPI 3.0; anything but 3.x is refused.
fn check_version(document: &Value) -> Result<bool, ConnectError> {
    let version = |key| document.get(key).and_then(Value::as_str);
    match (version("openapi"), version("swagger")) {
        (Some(version), _) if version.starts_with("3.0") => Ok(true),
        (Some(version), _) if version.starts_with("3.") => Ok(false),
        (Some(version), _) | (None, Some(version)) => Err(ConnectError::Protocol(format!(
            "its document is of OpenAPI (Swagger) `{version}`; 3.0 or 3.1 is needed"
        ))),
        (None, None) => Err(ConnectError::Protocol(
            "the JSON at its URL is no OpenAPI document (it has no `openapi`)".to_owned(),
        )),
    }
}
