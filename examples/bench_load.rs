//! Load over keep-alive HTTP/1.1, without an HTTP library, on one thread: it must never be what limits the benchmark.
//!
//! `bench_load GET|POST URL CONNECTIONS SECONDS [BODY [TOKEN]]` prints one line of JSON: calls, calls a second, percentiles
//! of the latency in microseconds. The token is sent as `Authorization: Bearer`. Anything but a 200 ends it with an error.

use std::{
    io::Write,
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
};
use url::Url;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [method, url, connections, seconds, rest @ ..] = arguments.as_slice() else {
        bail!("usage: bench_load GET|POST URL CONNECTIONS SECONDS [BODY [TOKEN]]");
    };
    let url = Url::parse(url)?;
    let address = format!(
        "{}:{}",
        url.host_str().context("a URL with a host")?,
        url.port_or_known_default().context("a URL with a port")?
    );
    let body = rest.first().map_or("", String::as_str);
    let authorization = rest
        .get(1)
        .map(|token| format!("authorization: Bearer {token}\r\n"))
        .unwrap_or_default();
    let request = format!(
        "{method} {} HTTP/1.1\r\nhost: {address}\r\n{authorization}content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        url.path(),
        body.len(),
    );

    let time = Duration::from_secs_f64(seconds.parse()?);
    let began = Instant::now();
    let mut clients = JoinSet::new();
    for _ in 0..connections.parse::<usize>()? {
        clients.spawn(client(address.clone(), request.clone(), began + time));
    }
    let mut latencies = Vec::new();
    while let Some(done) = clients.join_next().await {
        latencies.extend(done??);
    }
    report(&mut latencies, began.elapsed())
}

/// One connection: a request after the other until the time is over.
async fn client(address: String, request: String, end: Instant) -> anyhow::Result<Vec<Duration>> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (mut buffer, mut latencies) = (Vec::with_capacity(64 << 10), Vec::new());
    while Instant::now() < end {
        let sent = Instant::now();
        stream.write_all(request.as_bytes()).await?;
        read_answer(&mut stream, &mut buffer).await?;
        latencies.push(sent.elapsed());
    }
    Ok(latencies)
}

/// Reads one answer to its end, by its length or its last chunk.
async fn read_answer(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> anyhow::Result<()> {
    buffer.clear();
    let body_at = loop {
        if let Some(at) = find(buffer, b"\r\n\r\n") {
            break at + 4;
        }
        ensure!(
            stream.read_buf(buffer).await? > 0,
            "the server closed the connection"
        );
    };
    let head =
        String::from_utf8_lossy(buffer.get(..body_at).unwrap_or_default()).to_ascii_lowercase();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"))
        .map(|length| length.trim().parse::<usize>())
        .transpose()?;
    let is_whole = |buffer: &[u8]| match length {
        Some(length) => buffer.len() >= body_at + length,
        None => buffer.ends_with(b"\r\n0\r\n\r\n"),
    };
    while !is_whole(buffer) {
        ensure!(
            stream.read_buf(buffer).await? > 0,
            "the server closed the connection"
        );
    }
    ensure!(
        head.starts_with("http/1.1 200"),
        "the server answered {}",
        String::from_utf8_lossy(buffer)
    );
    Ok(())
}

/// Where a piece begins.
fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack
        .windows(needle.len())
        .position(|window| window == needle)
}

/// Prints the line of JSON.
fn report(latencies: &mut [Duration], time: Duration) -> anyhow::Result<()> {
    latencies.sort_unstable();
    let percentile = |percent: usize| {
        let at = latencies.len().saturating_sub(1) * percent / 100;
        latencies.get(at).map_or(0, Duration::as_micros)
    };
    let calls = u32::try_from(latencies.len())?;
    let line = serde_json::json!({
        "calls": calls,
        "per_second": f64::from(calls) / time.as_secs_f64(),
        "p50_us": u64::try_from(percentile(50))?,
        "p99_us": u64::try_from(percentile(99))?,
    });
    writeln!(std::io::stdout(), "{line}")?;
    Ok(())
}
