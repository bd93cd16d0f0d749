//! A server on the network: `bad_http.py`, restarted at will.

use serde_json::Value;
use tokio::process::Child;

use super::{client, port_in, python};

/// A running server; it ends with this.
pub struct Upstream {
    /// Where it listens, also after a restart.
    pub port: u16,
    child: Child,
}

impl Upstream {
    /// Starts it at a free port.
    pub async fn start(mode: &str) -> Self {
        let (child, port) = spawn(mode, 0).await;
        Self { port, child }
    }

    /// Ends it as a crash does.
    pub async fn stop(&mut self) {
        self.child.kill().await.unwrap();
    }

    /// Starts it where it was.
    pub async fn start_again(&mut self, mode: &str) {
        (self.child, _) = spawn(mode, self.port).await;
    }

    /// The headers of the last request that it got.
    pub async fn headers(&self) -> Value {
        let url = format!("http://127.0.0.1:{}/__headers", self.port);
        let answer = client().get(url).send().await.unwrap();
        serde_json::from_str(&answer.text().await.unwrap()).unwrap()
    }

    /// Tells it something: its own `/__` paths.
    pub async fn post(&self, path: &str) {
        let url = format!("http://127.0.0.1:{}{path}", self.port);
        let answer = client().post(url).send().await.unwrap();
        assert!(answer.status().is_success(), "{}", answer.status());
    }
}

/// Starts one and waits until it says where it listens.
async fn spawn(mode: &str, port: u16) -> (Child, u16) {
    let port = port.to_string();
    let (child, line) = python("bad_http.py", [mode, "--port", &port]).await;
    (child, port_in(&line))
}
