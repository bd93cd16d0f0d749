//! [`ServerConnector`]: opens a [`ServerSession`] for a configured transport.

use std::{sync::Arc, time::Duration};

use rmcp::{
    RoleClient, ServiceExt as _,
    model::ProtocolVersion,
    service::{ClientInitializeError, ClientLifecycleMode, ClientServiceExt as _, RunningService},
    transport::Transport as McpTransport,
};
use tokio::{
    sync::{Mutex, Notify},
    time::timeout,
};
use tokio_util::task::TaskTracker;

use super::{
    credential::AuthorizedClient,
    error::ConnectError,
    http::{self, LastTransportError},
    listener::{McpClientHandler, subscribe},
    openapi::OpenApiSession,
    process::{LastOutput, ServerProcess},
    session::{DetectedProtocol, ServerConnection, ServerInfo, ServerSession},
    sse,
    stdio::StdioTransport,
    unasked::{AnswerLimits, UnsolicitedMessages},
    watched::WatchedTransport,
};
use crate::{
    config::{ProtocolMode, RemoteKind, RemoteSettings, StdioSettings, TransportSettings},
    name::BridgeName,
    secret::Redactor,
};

/// The settings that all connects of a bridge share.
#[derive(Debug, Clone)]
pub struct ServerConnector {
    /// The bridge's name, for the log.
    pub bridge: BridgeName,
    /// How to reach the server.
    pub transport: TransportSettings,
    /// The timeout of each step: spawn and handshake, then the tool list.
    pub limit: Duration,
    /// Size limits for an answer and for the tool list.
    pub bounds: AnswerLimits,
    /// Sends the requests of a remote bridge.
    pub courier: AuthorizedClient,
    /// Redacts secrets in text that comes from the server.
    pub redactor: Redactor,
    /// Runs the tasks of the connection.
    pub tracker: TaskTracker,
}

/// How a session begins.
#[derive(Debug, Clone, PartialEq, Eq)]
enum HandshakeMethod {
    /// `initialize` with this version.
    Initialize(ProtocolVersion),
    /// `server/discover` (MCP 2026-07-28).
    Discover,
}

impl HandshakeMethod {
    /// Returns the lifecycle to try first.
    fn first(is_modern: bool) -> Self {
        if is_modern {
            Self::Discover
        } else {
            Self::Initialize(ProtocolVersion::LATEST_WITH_INITIALIZE)
        }
    }

    /// Returns the lifecycle to try after the server refused `initialize`: a version that the refusal lists
    /// and the bridge supports, or `server/discover` if the refusal indicates a server that supports only
    /// that.
    fn after(&self, error: &ConnectError) -> Option<Self> {
        let ConnectError::Refused {
            step: "initialize",
            code,
            supported,
            ..
        } = error
        else {
            return None;
        };
        let Self::Initialize(offered) = self else {
            return None;
        };
        let known = OLDER_VERSIONS.iter().find(|version| {
            *version != offered && supported.iter().any(|named| named == version.as_str())
        });
        match known {
            Some(version) => Some(Self::Initialize(version.clone())),
            None => is_modern_only(*code).then_some(Self::Discover),
        }
    }

    fn is_modern(&self) -> bool {
        *self == Self::Discover
    }
}

/// Versions to offer to a server that refuses the newest one, newest first.
const OLDER_VERSIONS: [ProtocolVersion; 4] = [
    ProtocolVersion::V_2025_11_25,
    ProtocolVersion::V_2025_06_18,
    ProtocolVersion::V_2025_03_26,
    ProtocolVersion::V_2024_11_05,
];

/// A running service loop, what its server sends unasked, and the last words of its child process.
type Up = (
    RunningService<RoleClient, McpClientHandler>,
    UnsolicitedMessages,
    Option<Arc<LastOutput>>,
);

/// The longest name and version of a server, in bytes.
const NAME_BYTES_MAX: usize = 256;
/// The longest `instructions` of a server, in bytes.
const INSTRUCTIONS_BYTES_MAX: usize = 64 << 10;

impl ServerConnector {
    /// Connects and completes the handshake within the timeout. `last_words` receives the last output of a
    /// started program, also if the connect fails.
    pub async fn connect(
        &self,
        known: DetectedProtocol,
        last_words: &mut Option<Arc<LastOutput>>,
    ) -> Result<ServerSession, ConnectError> {
        let late = |_| ConnectError::Timeout {
            step: if known.is_modern {
                "server/discover"
            } else {
                "initialize"
            },
            after: self.limit,
        };
        timeout(self.limit, self.open(known, last_words))
            .await
            .map_err(late)?
    }

    /// Opens the configured transport.
    async fn open(
        &self,
        known: DetectedProtocol,
        last_words: &mut Option<Arc<LastOutput>>,
    ) -> Result<ServerSession, ConnectError> {
        match &self.transport {
            TransportSettings::Stdio(stdio) => self.open_stdio(stdio, known, last_words).await,
            TransportSettings::Remote(remote) => self.open_remote(remote, known).await,
        }
    }

    /// Starts a child process. The second lifecycle gets a new process, because some servers exit after a
    /// request that they do not know.
    async fn open_stdio(
        &self,
        stdio: &StdioSettings,
        known: DetectedProtocol,
        last_words: &mut Option<Arc<LastOutput>>,
    ) -> Result<ServerSession, ConnectError> {
        let first = HandshakeMethod::first(known.is_modern);
        match self.try_stdio(stdio, &first, last_words).await {
            Err(error) => match first.after(&error) {
                Some(second) => {
                    let second = self.try_stdio(stdio, &second, last_words).await;
                    second.map_err(|_| error)
                }
                None => Err(error),
            },
            result => result,
        }
    }

    /// Starts a child process with one lifecycle.
    async fn try_stdio(
        &self,
        stdio: &StdioSettings,
        lifecycle: &HandshakeMethod,
        told: &mut Option<Arc<LastOutput>>,
    ) -> Result<ServerSession, ConnectError> {
        let (process, pipes) =
            ServerProcess::start(&self.bridge, stdio, self.redactor.clone(), &self.tracker).await?;
        let (last_words, group) = (process.last_output(), process.group());
        *told = Some(Arc::clone(&last_words));
        let process = Arc::new(Mutex::new(process));
        let unasked = UnsolicitedMessages::new(self.bounds);
        let transport = StdioTransport::new(
            Arc::clone(&process),
            pipes,
            unasked.clone(),
            self.redactor.clone(),
        );
        let known = DetectedProtocol {
            is_modern: lifecycle.is_modern(),
            is_sse: false,
        };
        match shake_hands(transport, lifecycle, &unasked).await {
            Ok(service) => {
                let up = (service, unasked, Some(last_words));
                let mut session = self.session(up, known).await;
                session.group = group;
                Ok(session)
            }
            Err(error) => {
                // A server that exited before the first message leaves a broken pipe behind.
                process.lock().await.note_exit().await;
                let not_started = last_words.not_started(stdio);
                let told = || ended_or(&unasked, self.stdio_error(error, &last_words));
                Err(not_started.unwrap_or_else(told))
            }
        }
    }

    /// Returns why a child's handshake failed. If the connection ended, the exit status explains more than
    /// the closed pipe. After an unusable answer, the child exits only because the bridge closed its stdin.
    fn stdio_error(&self, error: ClientInitializeError, last_words: &LastOutput) -> ConnectError {
        let error = http::connect_error(error, &LastTransportError::default());
        match (&error, last_words.exit()) {
            (ConnectError::Closed(_) | ConnectError::Unreachable(_), Some(exit)) => {
                ConnectError::Exited {
                    exit: exit.to_owned(),
                    last_words: match last_words.lines().last() {
                        Some(line) => format!(": {}", self.redactor.redact(line)),
                        None => String::new(),
                    },
                }
            }
            _ => error,
        }
    }

    /// Connects to a URL. Without a token it sends nothing.
    async fn open_remote(
        &self,
        remote: &RemoteSettings,
        known: DetectedProtocol,
    ) -> Result<ServerSession, ConnectError> {
        if let Some(credential) = &self.courier.credential {
            credential.token().await.map_err(ConnectError::NoToken)?;
        }
        match remote.kind {
            RemoteKind::OpenApi => self.open_openapi(remote).await,
            RemoteKind::Sse => self.open_sse(remote).await,
            RemoteKind::Auto if known.is_sse => self.open_sse(remote).await,
            RemoteKind::StreamableHttp => self.open_http(remote, known).await,
            RemoteKind::Auto => match self.open_http(remote, known).await {
                // MCP 2025-11-25, transports, backwards compatibility.
                Err(error) if http::suggests_sse(&error) => {
                    let second = self.open_sse(remote).await;
                    second.map_err(|other| more_telling(error, other))
                }
                result => result,
            },
        }
    }

    /// Connects over Streamable HTTP with the lifecycle that the server speaks.
    async fn open_http(
        &self,
        remote: &RemoteSettings,
        known: DetectedProtocol,
    ) -> Result<ServerSession, ConnectError> {
        let first =
            HandshakeMethod::first(known.is_modern || remote.protocol == ProtocolMode::Modern);
        let error = match self.try_http(remote, &first).await {
            Err(error) => error,
            result => return result,
        };
        match first.after(&error) {
            Some(HandshakeMethod::Discover) if remote.protocol != ProtocolMode::Auto => Err(error),
            Some(second) => {
                let second = self.try_http(remote, &second).await;
                second.map_err(|other| more_telling(error, other))
            }
            None => Err(error),
        }
    }

    /// Connects over Streamable HTTP with one lifecycle.
    async fn try_http(
        &self,
        remote: &RemoteSettings,
        lifecycle: &HandshakeMethod,
    ) -> Result<ServerSession, ConnectError> {
        let unasked = UnsolicitedMessages::of_events(self.bounds);
        let (transport, last) = http::transport(&self.courier, remote, &unasked, &self.redactor)?;
        let service = shake_hands(transport, lifecycle, &unasked)
            .await
            .map_err(|error| ended_or(&unasked, http::connect_error(error, &last)))?;
        let known = DetectedProtocol {
            is_modern: lifecycle.is_modern(),
            is_sse: false,
        };
        Ok(self.session((service, unasked, None), known).await)
    }

    /// Connects over the deprecated HTTP+SSE transport, which supports `initialize` only.
    async fn open_sse(&self, remote: &RemoteSettings) -> Result<ServerSession, ConnectError> {
        let unasked = UnsolicitedMessages::of_events(self.bounds);
        let transport = sse::connect(
            &self.courier,
            remote,
            &unasked,
            self.limit,
            &self.redactor,
            &self.tracker,
        )
        .await
        .map_err(|error| ended_or(&unasked, error))?;
        let last = LastTransportError::default();
        let service = shake_hands(transport, &HandshakeMethod::first(false), &unasked)
            .await
            .map_err(|error| ended_or(&unasked, http::connect_error(error, &last)))?;
        let known = DetectedProtocol {
            is_modern: false,
            is_sse: true,
        };
        Ok(self.session((service, unasked, None), known).await)
    }

    /// Connects to an OpenAPI service, which does not speak MCP.
    async fn open_openapi(&self, remote: &RemoteSettings) -> Result<ServerSession, ConnectError> {
        let service = OpenApiSession::connect(
            &self.courier,
            remote,
            self.bounds,
            self.limit,
            &self.redactor,
            &self.tracker,
        )
        .await?;
        let server = ServerInfo {
            protocol: "openapi".to_owned(),
            ..ServerInfo::default()
        };
        let changed = Arc::<Notify>::default();
        let following = service.follow(Arc::clone(&changed));
        let mut session = ServerSession::new(
            ServerConnection::OpenApi(service),
            server,
            DetectedProtocol::default(),
        );
        session.tools_changed = changed;
        let (stop, ended) = (session.stop.clone(), session.ended.clone());
        self.tracker.spawn(async move {
            stop.run_until_cancelled(following).await;
            stop.cancelled().await;
            ended.cancel();
        });
        Ok(session)
    }

    /// Wraps a running service loop. A separate task waits for its end and cleans up.
    async fn session(
        &self,
        (service, unasked, last_words): Up,
        known: DetectedProtocol,
    ) -> ServerSession {
        let peer = service.peer().clone();
        // A cached tool list would hide the change that the server just reported.
        peer.set_response_cache_config(rmcp::service::ClientCacheConfig::disabled())
            .await;
        let link = ServerConnection::Mcp {
            peer: peer.clone(),
            tracker: self.tracker.clone(),
            result_bytes_max: self.bounds.result_bytes_max,
        };
        let mut session = ServerSession::new(link, server_info(&service, &self.redactor), known);
        session.last_words = last_words;
        session.tools_changed = unasked.tools_changed();
        session.unasked = unasked;
        if known.is_modern {
            let ended = session.ended.clone();
            let subscription = subscribe(peer);
            self.tracker.spawn(async move {
                tokio::select! {
                    () = subscription => {}
                    () = ended.cancelled() => {}
                }
            });
        }
        let (stop, ended) = (session.stop.clone(), session.ended.clone());
        self.tracker.spawn(async move {
            let loop_stop = service.cancellation_token();
            let mut waiting = std::pin::pin!(service.waiting());
            let quit = tokio::select! {
                quit = &mut waiting => quit,
                () = stop.cancelled() => {
                    loop_stop.cancel();
                    waiting.await
                }
            };
            if let Err(error) = quit {
                tracing::error!(%error, "a session's task failed");
            }
            ended.cancel();
        });
        session
    }
}

/// Runs the handshake of one lifecycle over a transport that reports to `unasked`.
async fn shake_hands<T>(
    transport: T,
    lifecycle: &HandshakeMethod,
    unasked: &UnsolicitedMessages,
) -> Result<RunningService<RoleClient, McpClientHandler>, ClientInitializeError>
where
    T: McpTransport<RoleClient> + 'static,
{
    let transport = WatchedTransport::new(transport, unasked.clone());
    match lifecycle {
        HandshakeMethod::Discover => {
            let discover = ClientLifecycleMode::Discover {
                preferred_versions: vec![ProtocolVersion::V_2026_07_28],
            };
            let listener = McpClientHandler::default();
            listener.serve_with_lifecycle(transport, discover).await
        }
        HandshakeMethod::Initialize(version) => {
            let version = version.clone();
            McpClientHandler { version }.serve(transport).await
        }
    }
}

/// Returns why the bridge ended the session, if it did; otherwise the given error.
fn ended_or(unasked: &UnsolicitedMessages, error: ConnectError) -> ConnectError {
    match unasked.reason() {
        Some(reason) => ConnectError::Ended(reason),
        None => error,
    }
}

/// Returns the more helpful error of two attempts: the first, unless the second one got as far as the
/// credentials.
fn more_telling(first: ConnectError, second: ConnectError) -> ConnectError {
    match second {
        ConnectError::NoToken(_) | ConnectError::Auth(..) => second,
        _ => first,
    }
}

/// What the server reported about itself.
fn server_info(
    service: &RunningService<RoleClient, McpClientHandler>,
    redactor: &Redactor,
) -> ServerInfo {
    let Some(info) = service.peer().peer_info() else {
        return ServerInfo::default();
    };
    let implementation = info.server_info.as_ref();
    let text = |text: &String, bytes_max: usize| {
        // Redacted before it is cut, because the redactor does not find half a secret.
        let text = redactor.redact(text);
        let end = text.floor_char_boundary(bytes_max);
        let text = text.get(..end).unwrap_or_default();
        Some(text.to_owned()).filter(|text| !text.is_empty())
    };
    let name = |name: &String| text(name, NAME_BYTES_MAX);
    ServerInfo {
        name: implementation.and_then(|it| name(&it.name)),
        version: implementation.and_then(|it| name(&it.version)),
        instructions: info
            .instructions
            .as_ref()
            .and_then(|it| text(it, INSTRUCTIONS_BYTES_MAX)),
        protocol: info.protocol_version.to_string(),
    }
}

/// Whether a refusal of `initialize` indicates a server that supports only `server/discover`: missing header,
/// unsupported version, unknown method or invalid parameters (MCP 2026-07-28, versioning and request
/// metadata).
fn is_modern_only(code: i64) -> bool {
    matches!(code, -32_022..=-32_020 | -32_601 | -32_602)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_version_is_followed_by_one_that_is_supported() {
        let refused = |code, supported: &[&str]| ConnectError::Refused {
            step: "initialize",
            code,
            message: "no".to_owned(),
            supported: supported.iter().map(ToString::to_string).collect(),
        };
        let first = HandshakeMethod::first(false);
        for (error, second) in [
            (
                refused(-32_602, &["2024-11-05", "2025-03-26"]),
                Some(HandshakeMethod::Initialize(ProtocolVersion::V_2025_03_26)),
            ),
            (
                refused(-32_602, &["2026-07-28"]),
                Some(HandshakeMethod::Discover),
            ),
            (refused(-32_602, &["1.0"]), Some(HandshakeMethod::Discover)),
            (
                refused(-32_000, &["2024-11-05"]),
                Some(HandshakeMethod::Initialize(ProtocolVersion::V_2024_11_05)),
            ),
            (refused(-32_000, &[]), None),
            (ConnectError::Closed("initialize"), None),
        ] {
            assert_eq!(first.after(&error), second, "{error:?}");
        }
        let discover = HandshakeMethod::first(true);
        assert_eq!(discover.after(&refused(-32_601, &["2024-11-05"])), None);
    }
}
