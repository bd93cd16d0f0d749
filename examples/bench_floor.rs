//! What the bridge is measured against.
//!
//! `bench_floor axum PORT`: a handler that parses a body and answers at once, which is what HTTP alone costs.
//! `bench_floor direct CALLERS SECONDS COMMAND…`: callers that share one rmcp session with a stdio server, which is what MCP
//! alone costs. Prints what `bench_load` prints.

use std::{
    io::Write,
    process::Stdio,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use axum::{Json, Router, routing::post};
use rmcp::{
    ServiceExt,
    model::{CallToolRequestParams, JsonObject},
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, process::Command, task::JoinSet};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments
        .iter()
        .map(String::as_str)
        .collect::<Vec<_>>()
        .as_slice()
    {
        ["axum", port] => serve(port.parse()?).await,
        ["direct", callers, seconds, program, rest @ ..] => {
            let time = Duration::from_secs_f64(seconds.parse()?);
            direct(callers.parse()?, time, program, rest).await
        }
        _ => bail!("usage: bench_floor axum PORT | bench_floor direct CALLERS SECONDS COMMAND…"),
    }
}

/// HTTP without MCP.
async fn serve(port: u16) -> anyhow::Result<()> {
    let routes = Router::new().route("/echo/echo", post(echo));
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    axum::serve(listener, routes).await?;
    Ok(())
}

/// What `raw_echo` answers, as the bridge would pass it on.
async fn echo(Json(body): Json<Value>) -> Json<Value> {
    Json(format!("Echo: {}", body["message"].as_str().unwrap_or_default()).into())
}

/// MCP without HTTP.
async fn direct(
    callers: usize,
    time: Duration,
    program: &str,
    arguments: &[&str],
) -> anyhow::Result<()> {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let output = child.stdout.take().context("a child with stdout")?;
    let input = child.stdin.take().context("a child with stdin")?;
    let session = Arc::new(().serve((output, input)).await?);

    let began = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..callers {
        let session = Arc::clone(&session);
        tasks.spawn(async move {
            let mut latencies = Vec::new();
            while began.elapsed() < time {
                let sent = Instant::now();
                let mut arguments = JsonObject::new();
                arguments.insert("message".to_owned(), "hello".into());
                let call = CallToolRequestParams::new("echo").with_arguments(arguments);
                session.call_tool(call).await?;
                latencies.push(sent.elapsed());
            }
            anyhow::Ok(latencies)
        });
    }
    let mut latencies = Vec::new();
    while let Some(done) = tasks.join_next().await {
        latencies.extend(done??);
    }
    report(&mut latencies, began.elapsed())
}

/// Prints the line of JSON.
fn report(latencies: &mut [Duration], time: Duration) -> anyhow::Result<()> {
    latencies.sort_unstable();
    let percentile = |percent: usize| {
        let at = latencies.len().saturating_sub(1) * percent / 100;
        latencies.get(at).map_or(0, Duration::as_micros)
    };
    let calls = u32::try_from(latencies.len())?;
    let line = json!({
        "calls": calls,
        "per_second": f64::from(calls) / time.as_secs_f64(),
        "p50_us": u64::try_from(percentile(50))?,
        "p99_us": u64::try_from(percentile(99))?,
    });
    writeln!(std::io::stdout(), "{line}")?;
    Ok(())
}
