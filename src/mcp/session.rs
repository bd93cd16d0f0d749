//! [`Session`]: one live connection to a server, of any transport.

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
    connect::Known,
    decode::raw_result,
    error::{CallError, ConnectError},
    http::{self as transport, Passed},
    openapi::OpenApiSession,
    pages,
    process::LastWords,
    progress::{Ear, Heard},
    unasked::Unasked,
};
use crate::{name::ToolName, secret::Redactor};

/// What a server says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ServerInfo {
    /// `serverInfo.name`
    pub name: Option<String>,
    /// `serverInfo.version`
    pub version: Option<String>,
    /// `instructions`
    pub instructions: Option<String>,
    /// The negotiated protocol, `2025-11-25`; `openapi` for a service without MCP.
    pub protocol: String,
}

impl ServerInfo {
    /// The same without the secrets that a server puts into it.
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

/// A live connection. Cheap to share; it ends when the server goes or [`Session::close`] is called.
#[derive(Debug)]
pub struct Session {
    /// How calls get there.
    link: Link,
    /// What the server said of itself.
    pub server: ServerInfo,
    /// What the connect found out, for the next one.
    pub known: Known,
    /// The child's last words, for a stdio server.
    pub last_words: Option<Arc<LastWords>>,
    /// The process group behind it, for a stdio server.
    pub group: Option<u32>,
    /// Woken when the server's tool list changed.
    pub tools_changed: Arc<Notify>,
    /// What the server sends unasked.
    pub(super) unasked: Unasked,
    /// Cancelled when the connection has ended and everything of it is cleaned up.
    pub(super) ended: CancellationToken,
    /// Cancel to end the connection.
    pub(super) stop: CancellationToken,
}

/// The two kinds of connection.
#[derive(Debug)]
pub(super) enum Link {
    /// MCP by rmcp.
    Mcp {
        /// Sends requests.
        peer: Peer<RoleClient>,
        /// For the message that tells of an abandoned call.
        tracker: TaskTracker,
        /// The limit behind [`CallError::TooLarge`], in bytes.
        result_bytes_max: usize,
    },
    /// An HTTP service that is no MCP server.
    OpenApi(OpenApiSession),
}

impl Session {
    /// Puts a session together; [`super::connect`] does the work before.
    pub(super) fn new(link: Link, server: ServerInfo, known: Known) -> Self {
        Self {
            link,
            server,
            known,
            last_words: None,
            group: None,
            tools_changed: Arc::default(),
            unasked: Unasked::default(),
            ended: CancellationToken::new(),
            stop: CancellationToken::new(),
        }
    }

    /// All pages of the server's tool list, as it wrote them.
    pub async fn list_tools(&self, limit: Duration) -> Result<Vec<Value>, ConnectError> {
        match &self.link {
            Link::Mcp { peer, .. } => {
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
            Link::OpenApi(session) => Ok(session.list_tools()),
        }
    }

    /// What the tool list could not hold, each in a line: operations of a service without MCP.
    pub fn flaws(&self) -> Vec<String> {
        match &self.link {
            Link::Mcp { .. } => Vec::new(),
            Link::OpenApi(session) => session.flaws(),
        }
    }

    /// Calls a tool and gives the JSON text of its result. `passed` are headers of the caller that go
    /// on to a server behind a URL; `ear` hears what the server says in between. Dropping the
    /// future, like the deadline, tells the server to cancel (MCP 2025-11-25, cancellation).
    pub async fn call(
        &self,
        tool: &ToolName,
        arguments: Map<String, Value>,
        passed: &HeaderMap,
        ear: Option<&Arc<Ear>>,
        limit: Duration,
    ) -> Result<String, CallError> {
        match &self.link {
            Link::Mcp {
                peer,
                tracker,
                result_bytes_max,
            } => {
                let mut params =
                    CallToolRequestParams::new(tool.to_string()).with_arguments(arguments);
                trace_into(passed, &mut params);
                let mut request = CallToolRequest::new(params);
                if !passed.is_empty() {
                    request.extensions.insert(Passed(passed.clone()));
                }
                let mut options = PeerRequestOptions::no_options();
                if let Some(ear) = ear {
                    request.extensions.insert(Heard(Arc::downgrade(ear)));
                    options.meta = self.known.is_modern.then(asks_for_log);
                }
                let request = ClientRequest::CallToolRequest(request);
                let sending = peer.send_request_with_option(request, options);
                let handle = sending
                    .await
                    .map_err(|_| CallError::NotSent("the connection has ended".to_owned()))?;
                answer(handle, tracker, limit, *result_bytes_max).await
            }
            Link::OpenApi(session) => {
                timeout(limit, session.call(tool.as_str(), arguments, passed))
                    .await
                    .unwrap_or(Err(CallError::Timeout(limit)))
            }
        }
    }

    /// Why the bridge ended the session itself, because of what the server sent; `None` where it did not.
    pub fn ended_because(&self) -> Option<&'static str> {
        self.unasked.reason()
    }

    /// Waits until the connection is over.
    pub async fn ended(&self) {
        self.ended.cancelled().await;
    }

    /// Whether the connection is over.
    pub fn has_ended(&self) -> bool {
        self.ended.is_cancelled()
    }

    /// Ends the connection and waits until nothing of it is left.
    pub async fn close(&self) {
        self.stop.cancel();
        self.ended.cancelled().await;
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Goes on with the caller's trace in `_meta` too, where servers of every transport find it (MCP
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

/// Since 2026-07-28 a server logs nothing unless the request asks for it.
#[expect(deprecated, reason = "servers log until it is gone")]
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
    let mut flight = Flight {
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

/// A request on its way. Dropped before its answer came, it tells the server so.
struct Flight<'a> {
    /// The request, until it is answered.
    handle: Option<RequestHandle<RoleClient>>,
    /// Runs the message.
    tracker: &'a TaskTracker,
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        if let Some(handle) = self.handle.take() {
            self.tracker.spawn(async move {
                let cancelled = handle.cancel(Some("the caller no longer waits".to_owned()));
                if let Err(error) = cancelled.await {
                    tracing::debug!(%error, "cannot tell the server of a cancelled call");
                }
            });
        }
    }
}
