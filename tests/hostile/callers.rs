//! Hostile callers: what strangers on the network do, and callers with a key of low rank. Each runs until it is dropped.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    pin::Pin,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use futures::future::join_all;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
    time::sleep,
};

use crate::stage::LOW;

/// A hostile caller.
pub type Caller = fn(Aim) -> Pin<Box<dyn Future<Output = ()>>>;

/// Which addresses the attack comes from. The probes come from 127.0.0.1.
#[derive(Clone, Copy)]
pub enum Source {
    /// An address of its own.
    One,
    /// Another address for each connection.
    Many,
    /// The address of the probes, as behind a proxy.
    Shared,
}

/// Whom to attack, and from where.
#[derive(Clone)]
pub struct Aim {
    to: SocketAddr,
    source: Source,
    /// The bridge of the hostile server.
    bridge: String,
    /// The arguments for its tool `attack`, where it writes them.
    arguments: PathBuf,
    /// How many calls at once.
    calls: usize,
    /// The slowest answer so far.
    pub slowest: Arc<Mutex<Duration>>,
    /// When each call that is under way began.
    pub waiting: Arc<Mutex<Vec<Option<Instant>>>>,
}

impl Aim {
    /// At an address.
    pub fn new(
        to: SocketAddr,
        source: Source,
        bridge: &str,
        arguments: PathBuf,
        calls: usize,
    ) -> Self {
        Self {
            to,
            source,
            bridge: bridge.to_owned(),
            arguments,
            calls,
            slowest: Arc::default(),
            waiting: Arc::new(Mutex::new(vec![None; calls])),
        }
    }

    /// Notes that a call is over.
    fn answered(&self, number: usize, took: Duration) {
        self.waiting.lock().unwrap()[number] = None;
        let mut slowest = self.slowest.lock().unwrap();
        *slowest = slowest.max(took);
    }

    /// Opens a connection.
    pub async fn connect(&self, number: usize) -> Option<TcpStream> {
        let socket = TcpSocket::new_v4().ok()?;
        let [.., high, low] = u32::try_from(number % 60_000 + 1).ok()?.to_be_bytes();
        let address = match self.source {
            Source::One => Ipv4Addr::new(127, 0, 0, 66),
            Source::Many => Ipv4Addr::new(127, 66, high, low),
            Source::Shared => Ipv4Addr::LOCALHOST,
        };
        socket.bind((address, 0).into()).ok()?;
        socket.connect(self.to).await.ok()
    }

    /// Opens a connection and sends bytes over it.
    async fn open(&self, number: usize, text: impl AsRef<[u8]>) -> Option<TcpStream> {
        let mut stream = self.connect(number).await?;
        stream.write_all(text.as_ref()).await.ok()?;
        Some(stream)
    }

    /// Sends block after block over one connection, reading what comes, and opens another when it ends.
    pub async fn pour(
        &self,
        number: usize,
        first: impl AsRef<[u8]>,
        mut block: impl FnMut(usize) -> Vec<u8>,
    ) {
        let mut blocks = 0;
        loop {
            if let Some(stream) = self.open(number, first.as_ref()).await {
                let (mut reader, mut writer) = stream.into_split();
                tokio::select! {
                    () = read_all(&mut reader) => {}
                    () = write_blocks(&mut writer, &mut blocks, &mut block) => {}
                }
            }
            sleep(Duration::from_millis(2)).await;
        }
    }

    /// Sends whole requests one after the other over one connection, and waits for each answer.
    async fn ask(&self, number: usize, mut request: impl FnMut(usize) -> Vec<u8>) {
        let mut count = 0;
        let mut sink = vec![0; 65_536];
        loop {
            let Some(mut stream) = self.connect(number).await else {
                sleep(Duration::from_millis(5)).await;
                continue;
            };
            loop {
                count += 1;
                if stream.write_all(&request(count)).await.is_err() {
                    break;
                }
                match stream.read(&mut sink).await {
                    Ok(read) if read > 0 => {}
                    _ => break,
                }
            }
        }
    }
}

/// Reads to the end.
async fn read_all(stream: &mut (impl AsyncRead + Unpin)) {
    let mut sink = vec![0; 1 << 18];
    while matches!(stream.read(&mut sink).await, Ok(count) if count > 0) {}
}

/// Writes block after block until the connection ends.
async fn write_blocks(
    stream: &mut (impl AsyncWrite + Unpin),
    blocks: &mut usize,
    mut block: impl FnMut(usize) -> Vec<u8>,
) {
    *blocks += 1;
    while stream.write_all(&block(*blocks)).await.is_ok() {
        *blocks += 1;
    }
}

/// Writes a byte now and then until the connection ends.
async fn drip(stream: &mut (impl AsyncWrite + Unpin), pause: Duration) {
    sleep(pause).await;
    while stream.write_all(b" ").await.is_ok() {
        sleep(pause).await;
    }
}

/// Five hundred header lines.
pub fn lines(number: usize) -> String {
    let lines: Vec<_> = (0..500)
        .map(|each| format!("x-{number}-{each}: y\r\n"))
        .collect();
    lines.concat()
}

/// Many at once.
async fn all<F: Future>(count: usize, each: impl FnMut(usize) -> F) {
    join_all((0..count).map(each)).await;
}

/// The head of a POST.
fn post(path: &str, key: &str, length: usize) -> String {
    let key = if key.is_empty() {
        String::new()
    } else {
        format!("authorization: Bearer {key}\r\n")
    };
    format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\n{key}content-type: application/json\r\ncontent-length: {length}\r\n\r\n"
    )
}

/// A whole POST.
fn request(path: &str, key: &str, body: &str) -> Vec<u8> {
    (post(path, key, body.len()) + body).into_bytes()
}

/// The head of a GET with more header lines.
fn get(path: &str, headers: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n{headers}\r\n")
}

/// Keeps connections open, and sends a byte over each now and then.
async fn hold(aim: Aim, count: usize, first: String, pause: Duration) {
    all(count, async |number| {
        loop {
            if let Some(mut stream) = aim.open(number, &first).await {
                drip(&mut stream, pause).await;
            }
            sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
}

/// Calls the tool `attack` of the hostile bridge again and again.
pub fn attack_calls(aim: Aim) -> Pin<Box<dyn Future<Output = ()>>> {
    Box::pin(async move {
        let aim = &aim;
        all(aim.calls, async |number| {
            loop {
                let body = std::fs::read(&aim.arguments).unwrap_or_else(|_| b"{}".to_vec());
                let mut bytes = post(&format!("/{}/attack", aim.bridge), LOW, body.len())
                    .replace("\r\n\r\n", "\r\nconnection: close\r\n\r\n")
                    .into_bytes();
                bytes.extend(body);
                let began = Instant::now();
                aim.waiting.lock().unwrap()[number] = Some(began);
                if let Some(mut stream) = aim.open(number, bytes).await {
                    read_all(&mut stream).await;
                }
                aim.answered(number, began.elapsed());
                sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
    })
}

/// Connections that say nothing.
pub async fn idle(aim: Aim, count: usize) {
    let streams = join_all((0..count).map(|number| aim.connect(number))).await;
    std::future::pending::<()>().await;
    drop(streams);
}

/// Connections that come and go.
pub async fn churn(aim: Aim) {
    all(50, async |number| {
        loop {
            drop(aim.connect(number).await);
            sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}

/// Heads that come byte by byte.
pub async fn slow_heads(aim: Aim) {
    hold(
        aim,
        400,
        "GET /health HTTP/1.1\r\nhost: localhost\r\nx-slow: ".to_owned(),
        Duration::from_millis(100),
    )
    .await;
}

/// Bodies that come byte by byte, with a key, without one, or with keys that are made up.
pub async fn slow_bodies(aim: Aim, count: usize, key: &str) {
    hold(
        aim,
        count,
        post("/healthy/echo", key, 1_000_000),
        Duration::from_millis(200),
    )
    .await;
}

/// Answers that nobody reads.
pub async fn unread(aim: Aim, count: usize, ask: Vec<u8>) {
    let streams = join_all((0..count).map(|number| aim.open(number, &ask))).await;
    std::future::pending::<()>().await;
    drop(streams);
}

/// Requests for large answers that nobody reads.
pub async fn unread_large(aim: Aim) {
    unread(
        aim,
        12,
        request("/hostile/large", LOW, r#"{"bytes":30000000}"#),
    )
    .await;
}

/// Requests for documents without a key, one behind the other, that nobody reads.
pub async fn unread_documents(aim: Aim) {
    unread(aim, 300, get("/openapi.json", "").repeat(200).into_bytes()).await;
}

/// Calls that are slow, more than a bridge takes at once.
pub async fn take_slots(aim: Aim) {
    unread(aim, 400, request("/hostile/slow", LOW, r#"{"seconds":30}"#)).await;
}

/// Calls whose caller hangs up.
pub async fn hang_up(aim: Aim) {
    all(30, async |number| {
        loop {
            if let Some(stream) = aim
                .open(number, request("/hostile/slow", LOW, r#"{"seconds":30}"#))
                .await
            {
                sleep(Duration::from_millis(10)).await;
                drop(stream);
            }
        }
    })
    .await;
}

/// Calls without a key, or with one that is wrong.
pub async fn refused(aim: Aim, key: &'static str) {
    all(4, async |number| {
        aim.ask(number, |count| {
            let key = key.replace('#', &format!("{number}-{count}"));
            request("/healthy/echo", &key, r#"{"message":"hi"}"#)
        })
        .await;
    })
    .await;
}

/// Calls of paths that do not exist, each another one.
pub async fn paths(aim: Aim, key: &'static str) {
    all(4, async |number| {
        aim.ask(number, |count| {
            request(
                &format!("/none-{number}-{count}/tool-{count}/{}", "p".repeat(3_000)),
                key,
                "{}",
            )
        })
        .await;
    })
    .await;
}

/// Names of bridges and tools that exist, with suffixes that are made up.
pub async fn tools(aim: Aim) {
    all(4, async |number| {
        aim.ask(number, |count| {
            request(
                &format!("/healthy/echo-{number}-{count}%1B%5B2J%E2%80%AE"),
                LOW,
                "{}",
            )
        })
        .await;
    })
    .await;
}

/// GETs with header lines of the caller's own making.
pub async fn headers(aim: Aim, line: fn(usize) -> String) {
    all(4, async |number| {
        aim.ask(number, |count| get("/none", &line(count)).into_bytes())
            .await;
    })
    .await;
}

/// Methods that do not exist.
pub async fn methods(aim: Aim) {
    all(4, async |number| {
        aim.ask(number, |count| {
            format!("M{count} /healthy/echo HTTP/1.1\r\nhost: localhost\r\n\r\n").into_bytes()
        })
        .await;
    })
    .await;
}

/// Requests without end over a few connections, and the answers are not waited for.
pub async fn pipelined(aim: Aim, text: Vec<u8>) {
    let block = text.repeat(50);
    all(4, async |number| {
        aim.pour(number, "", |_| block.clone()).await;
    })
    .await;
}

/// One request head without end.
pub async fn endless(aim: Aim, first: &'static str, block: fn(usize) -> Vec<u8>) {
    all(8, async |number| aim.pour(number, first, block).await).await;
}

/// A body of ten megabytes, again and again.
pub async fn bodies(aim: Aim, path: &'static str, body: String) {
    let bytes = request(path, LOW, &body);
    drop(body);
    all(2, async |number| aim.ask(number, |_| bytes.clone()).await).await;
}

/// A chunked body that never ends.
pub async fn chunked(aim: Aim, block: fn(usize) -> Vec<u8>) {
    let head = format!(
        "POST /healthy/echo HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {LOW}\r\ntransfer-encoding: chunked\r\n\r\n"
    );
    all(8, async |number| aim.pour(number, &head, block).await).await;
}

/// Waits for `100 Continue`, and sends nothing.
pub async fn expecting(aim: Aim) {
    let head =
        post("/healthy/echo", LOW, 1000).replace("\r\n\r\n", "\r\nexpect: 100-continue\r\n\r\n");
    unread(aim, 300, head.into_bytes()).await;
}
