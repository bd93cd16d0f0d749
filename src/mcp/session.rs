//! [`ServerSession`]: a live connection to a server, over any transport.

use std::{sync::Arc, time::Duration};

use http::HeaderMap;
use rmcp::{
    Peer, RoleClient,
    model::{
        CallToolRequest, CallToolRequestParams, ClientRequest, RequestMetaObject,
        RequestParamsMeta as _,
    },
    service::{PeerRequestOptions, RequestHandle},
};
use serde_json::{Map, Value};
use tokio::{sync::Notify, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    decode::raw_result,
    error::{CallError, ConnectError},
    http::{self as transport, CallHeaders},
    openapi::OpenApiSession,
    pages,
    process::LastOutput,
    progress::{ProgressHandle, ProgressSink},
    unasked::UnsolicitedMessages,
};
use crate::{name::ToolName, secret::Redactor};

/// What a connect found out about a server, so that the next connect need not try again. The lifecycle is a
/// property of the server, not of the connection (MCP 2026-07-28, versioning).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DetectedProtocol {
    /// The server speaks `server/discover`, not `initialize`.
    pub is_modern: bool,
    /// The URL speaks the deprecated HTTP+SSE transport.
    pub is_sse: bool,
}

/// What a server reports about itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ServerInfo {
    /// `serverInfo.name`
    pub name: Option<String>,
    /// `serverInfo.version`
    pub version: Option<String>,
    /// `instructions`
    pub instructions: Option<String>,
    /// The negotiated protocol version, such as `2025-11-25`; `openapi` for a service without MCP.
    pub protocol: String,
}

impl ServerInfo {
    /// Returns a copy with secrets redacted.
    pub fn without_secrets(&self, redactor: &Redactor) -> Self {
        let clean = |text: &String| redactor.redact(text).into_owned();
        Self {
            name: self.name.as_ref().map(clean),
            version: self.version.as_ref().map(clean),
            instructions: self.instructions.as_ref().map(clean),
            protocol: clean(&self.protocol),
        }
    }
}

/// A live connection. Clones are cheap. It ends when the server exits or [`ServerSession::close`] is called.
#[derive(Debug)]
pub struct ServerSession {
    /// The connection that carries the calls.
    link: ServerConnection,
    /// What the server reported about itself.
    pub server: ServerInfo,
    /// What the connect found out, for the next connect.
    pub known: DetectedProtocol,
    /// The child's last output, for a stdio server.
    pub last_words: Option<Arc<LastOutput>>,
    /// The process group, for a stdio server.
    pub group: Option<u32>,
    /// Notified when the server's tool list has changed.
    pub tools_changed: Arc<Notify>,
    /// Handles what the server sends unasked.
    pub(super) unasked: UnsolicitedMessages,
    /// Canceled when the connection has ended and its cleanup is complete.
    pub(super) ended: CancellationToken,
    /// Cancel to end the connection.
    pub(super) stop: CancellationToken,
}

/// The two kinds of connection.
#[derive(Debug)]
pub(super) enum ServerConnection {
    /// An MCP connection through rmcp.
    Mcp {
        /// Sends requests.
        peer: Peer<RoleClient>,
        /// Runs the task that reports an abandoned call to the server.
        tracker: TaskTracker,
        /// The limit behind [`CallError::TooLarge`], in bytes.
        result_bytes_max: usize,
    },
    /// An HTTP service that does not speak MCP.
    OpenApi(OpenApiSession),
}

impl ServerSession {
    /// Creates a session; [`super::connect`] opens the connection.
    pub(super) fn new(link: ServerConnection, server: ServerInfo, known: DetectedProtocol) -> Self {
        Self {
            link,
            server,
            known,
            last_words: None,
            group: None,
            tools_changed: Arc::default(),
            unasked: UnsolicitedMessages::default(),
            ended: CancellationToken::new(),
            stop: CancellationToken::new(),
        }
    }

    /// Returns all pages of the server's tool list, as the server wrote them.
    pub async fn list_tools(&self, limit: Duration) -> Result<Vec<Value>, ConnectError> {
        match &self.link {
            ServerConnection::Mcp { peer, .. } => {
                let late = |_| ConnectError::Timeout {
                    step: "tools/list",
                    after: limit,
                };
                let bytes_max = self.unasked.bounds().tools_bytes_max;
                let listed = timeout(limit, pages::list_tools(peer, bytes_max)).await;
                match (listed, self.ended_because()) {
                    (Ok(Err(_)), Some(reason)) => Err(ConnectError::Ended(reason)),
                    (listed, _) => listed.map_err(late)?,
                }
            }
            ServerConnection::OpenApi(session) => Ok(session.list_tools()),
        }
    }

    /// Operations of an OpenAPI service that could not become tools, one line each.
    pub fn flaws(&self) -> Vec<String> {
        match &self.link {
            ServerConnection::Mcp { .. } => Vec::new(),
            ServerConnection::OpenApi(session) => session.flaws(),
        }
    }

    /// Calls a tool and returns the JSON text of its result. `passed` contains headers of the caller that are
    /// forwarded to a server behind a URL. `ear` receives the server's progress messages. If the future is
    /// dropped or the deadline passes, the server is told to cancel (MCP 2025-11-25, cancellation).
    pub async fn call(
        &self,
        tool: &ToolName,
        arguments: Map<String, Value>,
        passed: &HeaderMap,
        ear: Option<&Arc<ProgressSink>>,
        limit: Duration,
    ) -> Result<String, CallError> {
        match &self.link {
            ServerConnection::Mcp {
                peer,
                tracker,
                result_bytes_max,
            } => {
                let mut params =
                    CallToolRequestParams::new(tool.to_string()).with_arguments(arguments);
                trace_into(passed, &mut params);
                let mut request = CallToolRequest::new(params);
                if !passed.is_empty() {
                    request.extensions.insert(CallHeaders(passed.clone()));
                }
                let mut options = PeerRequestOptions::no_options();
                if let Some(ear) = ear {
                    request
                        .extensions
                        .insert(ProgressHandle(Arc::downgrade(ear)));
                    options.meta = self.known.is_modern.then(asks_for_log);
                }
                let request = ClientRequest::CallToolRequest(request);
                let sending = peer.send_request_with_option(request, options);
                let handle = sending
                    .await
                    .map_err(|_| CallError::NotSent("the connection has ended".to_owned()))?;
                answer(handle, tracker, limit, *result_bytes_max).await
            }
            ServerConnection::OpenApi(session) => {
                timeout(limit, session.call(tool.as_str(), arguments, passed))
                    .await
                    .unwrap_or(Err(CallError::Timeout(limit)))
            }
        }
    }

    /// Returns why the bridge itself ended the session because of what the server sent, if so.
    pub fn ended_because(&self) -> Option<&'static str> {
        self.unasked.reason()
    }

    /// Waits until the connection is over.
    pub async fn ended(&self) {
        self.ended.cancelled().await;
    }

    /// Whether the connection has ended.
    pub fn has_ended(&self) -> bool {
        self.ended.is_cancelled()
    }

    /// Ends the connection and waits until its cleanup is complete.
    pub async fn close(&self) {
        self.stop.cancel();
        self.ended.cancelled().await;
    }
}

impl Drop for ServerSession {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Writes the caller's trace context into `_meta` too, where servers of every transport find it (MCP
/// SEP-414).
fn trace_into(passed: &HeaderMap, params: &mut CallToolRequestParams) {
    let text = |name| passed.get(name).and_then(|value| value.to_str().ok());
    let Some(parent) = text("traceparent") else {
        return;
    };
    params.set_traceparent(parent);
    if let Some(state) = text("tracestate") {
        params.set_tracestate(state);
    }
}

/// Asks for log messages. Since 2026-07-28 a server sends them only if the request asks for them.
#[expect(deprecated, reason = "servers use it until it is removed")]
fn asks_for_log() -> RequestMetaObject {
    let mut meta = RequestMetaObject::new();
    meta.set_log_level(rmcp::model::LoggingLevel::Info);
    meta
}

/// Waits for the answer to a request that was sent.
async fn answer(
    handle: RequestHandle<RoleClient>,
    tracker: &TaskTracker,
    limit: Duration,
    result_bytes_max: usize,
) -> Result<String, CallError> {
    let mut flight = CancelableRequest {
        handle: Some(handle),
        tracker,
    };
    let Some(handle) = &mut flight.handle else {
        return Err(CallError::Lost);
    };
    let Ok(answer) = timeout(limit, &mut handle.rx).await else {
        return Err(CallError::Timeout(limit));
    };
    flight.handle = None;
    let result = answer
        .map_err(|_| CallError::Lost)?
        .map_err(|error| transport::call_error(error, result_bytes_max))?;
    raw_result(result).map_err(|error| CallError::Protocol(error.to_string()))
}

/// A request in flight. Dropping it before the answer arrives tells the server to cancel.
struct CancelableRequest<'a> {
    /// The request, until it is answered.
    handle: Option<RequestHandle<RoleClient>>,
    /// Runs the task that sends the cancellation.
    tracker: &'a TaskTracker,
}

impl Drop for CancelableRequest<'_> {
    fn drop(&mut self) {
        if let Some(handle) = self.handle.take() {
            self.tracker.spawn(async move {
                let cancelled = handle.cancel(Some("the caller no longer waits".to_owned()));
                if let Err(error) = cancelled.await {
                    tracing::debug!(%error, "cannot tell the server that a call was canceled");
                }
            });
        }
    }
}
