//! [`OpenApiSession`]: the document of a service, and calls of its operations.

use std::{collections::HashMap, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{
    HeaderMap,
    header::{ACCEPT, COOKIE},
};
use serde_json::{Map, Value};
use tokio::{
    sync::Notify,
    time::{sleep, timeout},
};
use tokio_util::task::TaskTracker;
use url::Url;

use super::{
    answer,
    document::{self, too_large},
    flaws::DocumentFlaws,
    operation::{self, ServiceOperation},
    request,
    schema::ResolvableDocument,
};
use crate::config::RemoteSettings;
use crate::mcp::credential::AuthorizedClient;
use crate::mcp::error::{CallError, ConnectError};
use crate::mcp::http::{
    TransportError, content_type, header_map, join_same_origin, read, read_refusal,
    refused_by_body, refused_by_status,
};
use crate::mcp::unasked::AnswerLimits;
use crate::mcp::weight::weight_max;
use crate::secret::Redactor;

/// The accepted formats of a document. Servers with only one format send it in any case.
const DOCUMENTS: &str = "application/json, application/yaml;q=0.9, text/yaml;q=0.9, */*;q=0.1";

/// The delay before a document without operations is read again. It doubles each time.
const AGAIN_FIRST: Duration = Duration::from_secs(1);
/// The maximum delay.
const AGAIN_MAX: Duration = Duration::from_mins(1);

/// An HTTP service, described by its document.
#[derive(Debug)]
pub struct OpenApiSession {
    /// Reads the document, and sends the requests.
    reader: DocumentReader,
    /// The size limit of an answer, in bytes.
    bytes_max: usize,
    /// The tools of the document.
    tools: Arc<ArcSwap<ServiceTools>>,
}

impl OpenApiSession {
    /// Fetches the document and reads its operations, within `limit`. `bounds` applies to the document and to
    /// each answer.
    pub async fn connect(
        courier: &AuthorizedClient,
        remote: &RemoteSettings,
        bounds: AnswerLimits,
        limit: Duration,
        redactor: &Redactor,
        tracker: &TaskTracker,
    ) -> Result<Self, ConnectError> {
        let reader = DocumentReader {
            courier: courier.clone(),
            url: remote.url.clone(),
            headers: header_map(&remote.headers)?,
            bytes_max: bounds.tools_bytes_max,
            limit,
            redactor: redactor.clone(),
            tracker: tracker.clone(),
        };
        let tools = reader.read().await?;
        if tools.list.is_empty() {
            tracing::warn!(
                "the OpenAPI document has no operation that can be called: there are no tools yet"
            );
        }
        Ok(Self {
            reader,
            bytes_max: bounds.result_bytes_max,
            tools: Arc::new(ArcSwap::from_pointee(tools)),
        })
    }

    /// Returns the tools as entries of `tools/list`.
    pub fn list_tools(&self) -> Vec<Value> {
        self.tools.load().list.clone()
    }

    /// Returns the operations that are not tools, with the reasons.
    pub fn flaws(&self) -> Vec<String> {
        self.tools.load().flaws.clone()
    }

    /// Reads a document without operations again until it has some, and then notifies `changed`: a proxy that
    /// has just started may not know its tools yet.
    pub fn follow(&self, changed: Arc<Notify>) -> impl Future<Output = ()> + Send + 'static {
        let (reader, tools) = (self.reader.clone(), Arc::clone(&self.tools));
        async move {
            let mut wait = AGAIN_FIRST;
            while tools.load().list.is_empty() {
                sleep(wait).await;
                wait = (wait * 2).min(AGAIN_MAX);
                let read = match reader.read().await {
                    Ok(read) => read,
                    Err(error) => {
                        tracing::debug!(%error, "the OpenAPI document cannot be read");
                        continue;
                    }
                };
                let is_new = !read.list.is_empty();
                tools.store(Arc::new(read));
                if is_new {
                    changed.notify_one();
                }
            }
        }
    }

    /// Calls a tool. Returns the JSON text of a `CallToolResult`. For a timeout, the caller drops the future,
    /// which closes the connection.
    pub async fn call(
        &self,
        name: &str,
        arguments: Map<String, Value>,
        passed: &HeaderMap,
    ) -> Result<String, CallError> {
        let tools = self.tools.load_full();
        let Some((base, operation)) = tools.operations.get(name) else {
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
        let own = &self.reader.headers;
        // The operator's headers are set last, so that an argument cannot replace a credential.
        for name in own.keys() {
            headers.remove(name);
        }
        headers.extend(own.clone());
        // Cookies that are forwarded from the caller are not mixed with those of arguments.
        if passed.contains_key(COOKIE) && !own.contains_key(COOKIE) {
            headers.remove(COOKIE);
        }
        for (name, value) in passed {
            if !headers.contains_key(name) {
                headers.append(name, value.clone());
            }
        }
        let courier = &self.reader.courier;
        let method = operation.method.clone();
        let mut request = courier
            .client
            .request(method, prepared.url)
            .headers(headers);
        if let Some(body) = prepared.body {
            request = request.body(body);
        }
        let response = courier
            .send(request)
            .await
            .map_err(TransportError::into_call_error)?;
        answer::result(response, self.bytes_max, &self.reader.redactor).await
    }
}

/// Reads the document of a service.
#[derive(Debug, Clone)]
struct DocumentReader {
    /// Sends the requests.
    courier: AuthorizedClient,
    /// The URL of the document.
    url: Url,
    /// Headers that are sent with every request.
    headers: HeaderMap,
    /// The size limit of the document, in bytes.
    bytes_max: usize,
    /// The timeout for fetching it.
    limit: Duration,
    /// Redacts secrets in messages.
    redactor: Redactor,
    /// Runs long tasks.
    tracker: TaskTracker,
}

impl DocumentReader {
    /// Fetches the document and reads its tools.
    async fn read(&self) -> Result<ServiceTools, ConnectError> {
        let request = self
            .courier
            .client
            .get(self.url.clone())
            .headers(self.headers.clone())
            .header(ACCEPT, DOCUMENTS);
        let bytes_max = self.bytes_max;
        let fetching = fetch(&self.courier, request, bytes_max, &self.redactor);
        let Ok(fetched) = timeout(self.limit, fetching).await else {
            return Err(ConnectError::Timeout {
                step: "OpenAPI document",
                after: self.limit,
            });
        };
        let (location, body) = match fetched {
            Err(TransportError::TooLarge(_)) => return Err(too_large(bytes_max)),
            fetched => fetched.map_err(TransportError::into_connect_error)?,
        };
        // Parsing a document of thousands of operations takes a while.
        let cleaner = self.redactor.clone();
        let reading = self
            .tracker
            .spawn_blocking(move || read_tools(&location, &body, bytes_max, &cleaner));
        reading.await.map_err(|error| {
            ConnectError::Protocol(format!("its OpenAPI document cannot be read: {error}"))
        })?
    }
}

/// A fetched document.
#[derive(Debug)]
struct FetchedDocument {
    /// The content type.
    kind: String,
    /// The document.
    body: Bytes,
}

/// Fetches the document, and returns its URL after redirects.
async fn fetch(
    courier: &AuthorizedClient,
    request: reqwest::RequestBuilder,
    bytes_max: usize,
    redactor: &Redactor,
) -> Result<(Url, FetchedDocument), TransportError> {
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
    Ok((location, FetchedDocument { kind, body }))
}

/// The contents of a document.
#[derive(Debug)]
struct ServiceTools {
    /// The operations by tool name, with their base URLs.
    operations: HashMap<String, (Url, ServiceOperation)>,
    /// The tools.
    list: Vec<Value>,
    /// The operations that are not tools.
    flaws: Vec<String>,
}

/// Reads the tools of a document. CPU-bound.
fn read_tools(
    location: &Url,
    fetched: &FetchedDocument,
    bytes_max: usize,
    redactor: &Redactor,
) -> Result<ServiceTools, ConnectError> {
    let fetched = document::RawDocument {
        location,
        kind: &fetched.kind,
        body: &fetched.body,
    };
    let parsed = document::parse(&fetched, bytes_max, redactor)?;
    let root = operation::server_of(&parsed.root).unwrap_or_else(|| "/".to_owned());
    let mut flaws = DocumentFlaws::default();
    let found = operation::operations(
        ResolvableDocument::new(&parsed.root, parsed.is_3_0),
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
    Ok(ServiceTools {
        operations,
        list,
        flaws: flaws.into_lines(),
    })
}
