//! [`OpenApiSession`]: the document of a service, and calls to its operations.

use std::{collections::HashMap, time::Duration};

use bytes::Bytes;
use http::{
    HeaderMap,
    header::{ACCEPT, COOKIE},
};
use serde_json::{Map, Value};
use tokio::time::timeout;
use tokio_util::task::TaskTracker;
use url::Url;

use super::{
    answer,
    document::{self, too_large},
    flaws::Flaws,
    operation::{self, Operation},
    request,
    schema::Document,
};
use crate::config::Remote;
use crate::mcp::credential::Courier;
use crate::mcp::error::{CallError, ConnectError};
use crate::mcp::http::{
    Failure, content_type, header_map, join_same_origin, read, read_refusal, refused_by_body,
    refused_by_status,
};
use crate::mcp::unasked::Bounds;
use crate::mcp::weight::weight_max;
use crate::secret::Redactor;

/// The forms of a document that can be read. Servers that know one only send it whatever is asked for.
const DOCUMENTS: &str = "application/json, application/yaml;q=0.9, text/yaml;q=0.9, */*;q=0.1";

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
    /// What of the document is no tool.
    flaws: Vec<String>,
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
            .header(ACCEPT, DOCUMENTS);
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
        let Tools {
            operations,
            list: tools,
            flaws,
        } = read?;
        if tools.is_empty() {
            tracing::warn!(
                "the OpenAPI document has no operation that can be called: there are no tools"
            );
        }
        Ok(Self {
            courier: courier.clone(),
            headers,
            redactor: redactor.clone(),
            bytes_max: bounds.result_bytes_max,
            operations,
            tools,
            flaws,
        })
    }

    /// The tools, each in the shape of an entry of `tools/list`.
    pub fn list_tools(&self) -> Vec<Value> {
        self.tools.clone()
    }

    /// What of the document is no tool, and why.
    pub fn flaws(&self) -> &[String] {
        &self.flaws
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
        // Cookies that the operator passes on are not mixed with those of arguments.
        if passed.contains_key(COOKIE) && !self.headers.contains_key(COOKIE) {
            headers.remove(COOKIE);
        }
        for (name, value) in passed {
            if !headers.contains_key(name) {
                headers.append(name, value.clone());
            }
        }
        let method = operation.method.clone();
        let mut request = self
            .courier
            .client
            .request(method, prepared.url)
            .headers(headers);
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

/// What a document has.
#[derive(Debug)]
struct Tools {
    /// Operations by the names of their tools.
    operations: HashMap<String, (Url, Operation)>,
    /// The tools.
    list: Vec<Value>,
    /// What is no tool.
    flaws: Vec<String>,
}

/// Reads the tools of a document. CPU-bound.
fn read_tools(
    location: &Url,
    fetched: &Fetched,
    bytes_max: usize,
    redactor: &Redactor,
) -> Result<Tools, ConnectError> {
    let fetched = document::Fetched {
        location,
        kind: &fetched.kind,
        body: &fetched.body,
    };
    let parsed = document::parse(&fetched, bytes_max, redactor)?;
    let root = operation::server_of(&parsed.root).unwrap_or_else(|| "/".to_owned());
    let mut flaws = Flaws::default();
    let found = operation::operations(
        Document::new(&parsed.root, parsed.is_3_0),
        &parsed.root,
        weight_max(bytes_max),
        &mut flaws,
    );
    let (mut operations, mut list) = (HashMap::new(), Vec::new());
    for mut operation in found.ok_or_else(|| too_large(bytes_max))? {
        let server = operation.server.as_deref().unwrap_or(&root);
        let base = match join_same_origin(location, server) {
            Ok(base) => base,
            Err(reason) if operation.server.is_some() => {
                let what = format!("left out: `servers[0].url` of it {reason}");
                flaws.note(operation.method.as_str(), &operation.name, &what);
                continue;
            }
            Err(reason) => {
                let key = parsed.server_key;
                let words = format!("`{key}` of its document {reason}");
                return Err(ConnectError::Protocol(words));
            }
        };
        list.push(std::mem::take(&mut operation.tool));
        operations.insert(operation.name.clone(), (base, operation));
    }
    Ok(Tools {
        operations,
        list,
        flaws: flaws.into_lines(),
    })
}
