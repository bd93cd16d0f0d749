//! More MCP servers behind OAuth, made of other SDKs.

use std::path::{Path, PathBuf};

use tokio::process::Command;

use super::{OAuthPeer, fixture, free_port};

/// The ports of the TypeScript SDK's example: its MCP server, and the authorization server beside it.
#[derive(Debug, Clone, Copy)]
pub struct Ports {
    server: u16,
    authorization: u16,
}

impl Ports {
    /// Two that are free.
    pub fn free() -> Self {
        Self {
            server: free_port(),
            authorization: free_port(),
        }
    }
}

impl OAuthPeer {
    /// `FastMCP` (`servers/fastmcp_peer.py`).
    pub async fn fastmcp(words: &[&str]) -> Self {
        let port = free_port();
        let mut command = Command::new(installed("py/v1/bin/python"));
        command
            .arg(fixture("it/servers/fastmcp_peer.py"))
            .args(["--port", &port.to_string()])
            .args(words);
        Self::of(command, format!("http://127.0.0.1:{port}"), "mcp").await
    }

    /// The example of the TypeScript SDK, which takes no token that was not asked for it.
    pub async fn typescript(ports: Ports) -> Self {
        let sdk = "npm/reference/node_modules/@modelcontextprotocol/sdk";
        let example = "dist/esm/examples/server/simpleStreamableHttp.js";
        let own = Path::new(env!("CARGO_MANIFEST_DIR")).join(".peers/node/bin/node");
        let node = if own.exists() { own } else { "node".into() };
        let mut command = Command::new(node);
        command
            .arg(installed(sdk).join(example))
            .args(["--oauth", "--oauth-strict"])
            .env("MCP_PORT", ports.server.to_string())
            .env("MCP_AUTH_PORT", ports.authorization.to_string());
        Self::of(command, format!("http://localhost:{}", ports.server), "mcp").await
    }
}

/// Something that `scripts/peers` installs.
fn installed(path: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join(".peers")
        .join(path);
    assert!(
        path.exists(),
        "{} is missing: run ./scripts/peers",
        path.display()
    );
    path
}
