//! The server that words things its own way (`servers/odd_peer.py`), over HTTP.

use serde_json::Value;
use tokio::process::Child;

use super::{client, port_in, python};

/// A running `odd_peer.py http`.
pub struct OddPeer {
    _child: Child,
    port: u16,
}

impl OddPeer {
    /// Starts it on a free port.
    pub async fn start() -> Self {
        let (child, line) = python("odd_peer.py", ["http"]).await;
        Self {
            port: port_in(&line),
            _child: child,
        }
    }

    /// The lines of a bridge to one of its modes.
    pub fn bridge(&self, mode: &str) -> String {
        let port = self.port;
        format!("[bridges.{mode}]\nurl = 'http://127.0.0.1:{port}/{mode}/mcp'\ntimeout = '20s'\n")
    }

    /// How often a session of a mode was begun, and a tool called.
    pub async fn counts(&self, mode: &str) -> (u64, u64) {
        let url = format!("http://127.0.0.1:{}/{mode}/count", self.port);
        let counts: Value = client()
            .get(url)
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap();
        let count = |name: &str| counts[name].as_u64().unwrap();
        (count("begun"), count("calls"))
    }
}

/// The lines of a bridge to a mode of `odd_peer.py stdio`.
pub fn odd_stdio(mode: &str) -> String {
    format!(
        "[bridges.{mode}]\ncommand = 'python3'\nargs = ['{{tests}}/it/servers/odd_peer.py', 'stdio', '{mode}']\ntimeout = '20s'\n"
    )
}
