//! What the tests of the remote transports share: servers on loopback ports, and a client.

use std::{net::SocketAddr, time::Duration};

use axum::Router;
use http::HeaderName;
use rmcp::{
    ClientHandler, Peer, RoleClient,
    model::{
        CallToolRequest, CallToolRequestParams, ClientCapabilities, ClientConfig, ClientRequest,
        Implementation, ProtocolVersion,
    },
};
use tokio::{net::TcpListener, task::AbortHandle};
use tokio_util::task::TaskTracker;
use url::Url;

use super::{call_error, http_client, install_tls};
use crate::{
    config::{Remote, RemoteKind},
    mcp::{Bounds, credential::Courier, decode::raw_result, error::CallError, unasked::Unasked},
    secret::{Redactor, Secret},
};

/// The limit the tests use, in bytes.
pub const LIMIT: usize = 64 << 10;

/// The credential the tests send.
pub const TOKEN: &str = "Bearer sesame-sesame";

/// A server that stops when it is dropped.
pub struct Server {
    /// Where it listens.
    pub address: SocketAddr,
    /// Stops it.
    task: AbortHandle,
}

impl Server {
    /// Serves `router` on a free port.
    pub async fn start(router: Router) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let task = TaskTracker::new().spawn(async move {
            axum::serve(listener, router).await.unwrap();
        });
        Self {
            address,
            task: task.abort_handle(),
        }
    }

    /// How it is configured.
    pub fn remote(&self, path: &str, kind: RemoteKind) -> Remote {
        remote(&format!("http://{}{path}", self.address), kind)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The configuration of a server at `url`, with a credential.
pub fn remote(url: &str, kind: RemoteKind) -> Remote {
    Remote {
        headers: vec![(HeaderName::from_static("authorization"), Secret::new(TOKEN))],
        ..Remote::new(Url::parse(url).unwrap(), kind)
    }
}

/// Knows the credential.
pub fn redactor() -> Redactor {
    let redactor = Redactor::default();
    redactor.set_configured([Secret::new(TOKEN)]);
    redactor
}

/// For a session whose answers have the limit of the tests.
pub fn unasked() -> Unasked {
    Unasked::new(Bounds {
        result_bytes_max: LIMIT,
        tools_bytes_max: LIMIT,
    })
}

/// The client of the process.
pub fn courier() -> Courier {
    install_tls();
    Courier {
        client: http_client().unwrap(),
        credential: None,
    }
}

/// The session's side, as small as it can be.
#[derive(Debug, Clone)]
pub struct Quiet;

impl ClientHandler for Quiet {
    fn get_info(&self) -> ClientConfig {
        ClientConfig::new(
            ClientCapabilities::default(),
            Implementation::new("mcp-bridge", "0"),
        )
        .with_protocol_version(ProtocolVersion::LATEST_WITH_INITIALIZE)
    }
}

/// Calls a tool and gives its result as sent.
pub async fn call(peer: &Peer<RoleClient>, tool: &str) -> Result<String, CallError> {
    call_with(peer, tool, serde_json::Map::new()).await
}

/// Calls a tool with arguments.
pub async fn call_with(
    peer: &Peer<RoleClient>,
    tool: &str,
    arguments: serde_json::Map<String, serde_json::Value>,
) -> Result<String, CallError> {
    let params = CallToolRequestParams::new(tool.to_owned()).with_arguments(arguments);
    let request = ClientRequest::CallToolRequest(CallToolRequest::new(params));
    let answer = tokio::time::timeout(Duration::from_secs(20), peer.send_request(request)).await;
    match answer.expect("the call hangs") {
        Ok(result) => Ok(raw_result(result).unwrap()),
        Err(error) => Err(call_error(error, LIMIT)),
    }
}
