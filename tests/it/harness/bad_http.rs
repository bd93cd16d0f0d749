//! The HTTP server that misbehaves on demand (`servers/bad_http.py`), and requests by hand.

use std::time::Duration;

use reqwest::Client;
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    process::Child,
    time::{Instant, sleep, timeout},
};

use super::{Bridge, PATIENCE, client, port_in, python};

/// A running `bad_http.py`.
pub struct BadHttp {
    child: Child,
    /// Where it listens.
    pub port: u16,
    client: Client,
}

impl BadHttp {
    /// Starts it on a free port; the words are its arguments.
    pub async fn start(words: &str) -> Self {
        let (child, line) = python("bad_http.py", words.split_whitespace()).await;
        let port = port_in(&line);
        Self {
            child,
            port,
            client: client(),
        }
    }

    /// Starts several at once.
    pub async fn start_all<W: AsRef<str>>(words: impl IntoIterator<Item = W>) -> Vec<Self> {
        let all = words
            .into_iter()
            .map(async |words| Self::start(words.as_ref()).await);
        futures::future::join_all(all).await
    }

    /// Ends it as a crash does: the port refuses from then on.
    pub async fn kill(mut self) -> u16 {
        self.child.kill().await.unwrap();
        self.port
    }

    /// The lines of a bridge to its Streamable HTTP endpoint.
    pub fn streamable(&self) -> String {
        format!(
            "url = 'http://127.0.0.1:{}/mcp'\ntransport = 'http'",
            self.port
        )
    }

    /// The lines of a bridge to its old HTTP+SSE endpoint.
    pub fn sse(&self) -> String {
        format!(
            "url = 'http://127.0.0.1:{}/sse'\ntransport = 'sse'",
            self.port
        )
    }

    /// `GET` of its own pages: `stats`, `headers`.
    pub async fn read(&self, page: &str) -> Value {
        let url = format!("http://127.0.0.1:{}/__{page}", self.port);
        let response = self.client.get(url).send().await.unwrap();
        serde_json::from_str(&response.text().await.unwrap()).unwrap()
    }

    /// How often something happened.
    pub async fn count(&self, what: &str) -> u64 {
        self.read("stats").await[what].as_u64().unwrap_or(0)
    }

    /// `POST` to its own pages: `mode`, `expire`, `changed`.
    pub async fn tell(&self, page: &str, body: &str) {
        let url = format!("http://127.0.0.1:{}/__{page}", self.port);
        let request = self.client.post(url).body(body.to_owned());
        assert!(request.send().await.unwrap().status().is_success());
    }

    /// Waits until something happened at least so often.
    pub async fn until_count(&self, what: &str, least: u64) {
        let end = Instant::now() + PATIENCE;
        while self.count(what).await < least {
            assert!(Instant::now() < end, "{what} is not {least}");
            sleep(Duration::from_millis(25)).await;
        }
    }
}

impl Bridge {
    /// Opens a connection of its own.
    pub async fn connect(&self) -> TcpStream {
        let address = self.base.strip_prefix("http://").unwrap();
        TcpStream::connect(address).await.unwrap()
    }

    /// Sends bytes as they are and reads until the connection ends: status and the whole text.
    pub async fn raw(&self, request: &str) -> (u16, String) {
        let mut stream = self.connect().await;
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        timeout(PATIENCE, stream.read_to_end(&mut answer))
            .await
            .expect("it ends in time")
            .unwrap();
        let text = String::from_utf8_lossy(&answer).into_owned();
        let status = text.split(' ').nth(1).and_then(|it| it.parse().ok());
        (status.unwrap_or(0), text)
    }

    /// A request line as it is, with a `Host` and more header lines (`"A: b\r\n"`).
    pub async fn line(&self, line: &str, headers: &str, body: &str) -> (u16, String) {
        self.raw(&format!(
            "{line} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {}\r\n{headers}\r\n{body}",
            body.len()
        ))
        .await
    }
}
