//! The stdio transport: one JSON-RPC message a line (MCP 2025-11-25, transports, stdio).

use std::{io, sync::Arc, time::Duration};

use rmcp::{
    RoleClient,
    model::{CallToolRequestParams, ClientRequest, JsonRpcMessage, RequestId, RequestMetaObject},
    service::{RxJsonRpcMessage, TxJsonRpcMessage},
    transport::Transport,
};
use serde::Serialize;
use tokio::{
    io::BufReader,
    process::ChildStdout,
    sync::{Mutex, Notify},
    time::timeout,
};

use super::{
    decode::Decoder,
    lines::{Line, Lines},
    outbox::Outbox,
    process::{Pipes, Process},
    progress::Heard,
};

/// How long one message may take to go into the pipe. A server that reads nothing for this long is
/// stuck for good, and every further message would wait behind it.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// How long closing stdin may take.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(100);
/// Lines that are no JSON-RPC which are logged; servers print banners, and some never stop.
const JUNK_LOGGED_MAX: u64 = 5;

/// The transport of one child process.
#[derive(Debug)]
pub struct StdioTransport {
    /// The process, ended by `close`.
    process: Arc<Mutex<Process>>,
    /// Its stdin, until `close`.
    outbox: Arc<Outbox>,
    /// Its stdout.
    stdout: Lines<BufReader<ChildStdout>>,
    /// Knows what was asked.
    decoder: Arc<Decoder>,
    /// Woken when a write fails: the session is over though stdout may stay open.
    broken: Arc<Notify>,
    /// Lines that were no JSON-RPC.
    junk: u64,
    /// The largest answer, in bytes.
    result_bytes_max: usize,
}

impl StdioTransport {
    /// Speaks to a started process.
    pub fn new(process: Arc<Mutex<Process>>, pipes: Pipes, result_bytes_max: usize) -> Self {
        let stdout = BufReader::with_capacity(64 << 10, pipes.stdout);
        Self {
            process,
            outbox: Arc::new(Outbox::new(pipes.stdin)),
            stdout: Lines::new(stdout, result_bytes_max),
            decoder: Arc::new(Decoder::default()),
            broken: Arc::new(Notify::new()),
            junk: 0,
            result_bytes_max,
        }
    }

    /// The next message, or `None` when stdout ended.
    async fn next_message(&mut self) -> Option<RxJsonRpcMessage<RoleClient>> {
        loop {
            let message = match self.stdout.next().await.ok()?? {
                Line::Whole(line) => {
                    let message = self.decoder.received(line);
                    if message.is_none() && !line.trim_ascii_start().starts_with(b"{") {
                        note_junk(&mut self.junk, line);
                    }
                    message
                }
                Line::TooLong { head, tail } => {
                    let id = overlong_id(&self.decoder.pending(), head, tail);
                    if id.is_none() {
                        tracing::warn!(
                            bytes_max = self.result_bytes_max,
                            "dropped a message that is too large and whose id is unknown"
                        );
                    }
                    id.map(|id| self.decoder.too_large(id, self.result_bytes_max))
                }
            };
            if message.is_some() {
                return message;
            }
        }
    }
}

impl Transport<RoleClient> for StdioTransport {
    type Error = io::Error;

    fn send(
        &mut self,
        item: TxJsonRpcMessage<RoleClient>,
    ) -> impl Future<Output = io::Result<()>> + Send + 'static {
        self.decoder.sent(&item);
        let queued = match PlainCall::of(&item) {
            Some(call) => self.outbox.queue(&call),
            None => self.outbox.queue(&item),
        };
        let (outbox, broken) = (Arc::clone(&self.outbox), Arc::clone(&self.broken));
        async move {
            let ticket = queued?;
            let written = timeout(WRITE_TIMEOUT, outbox.written(ticket)).await;
            let result = written.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
            if result.is_err() {
                broken.notify_one();
            }
            // What went out before the pipe broke is lost with the session, and never sent twice.
            result.or_else(|error| {
                if outbox.is_written(ticket) {
                    Ok(())
                } else {
                    Err(error)
                }
            })
        }
    }

    /// Cancel-safe, as rmcp asks: a partial line stays in `stdout`.
    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleClient>> {
        let broken = Arc::clone(&self.broken);
        let message = tokio::select! {
            message = self.next_message() => message,
            () = broken.notified() => None,
        };
        if message.is_none() {
            self.process.lock().await.note_exit().await;
        }
        message
    }

    async fn close(&mut self) -> io::Result<()> {
        // A writer that hangs in a full pipe keeps it open; the group is killed all the same.
        if timeout(CLOSE_TIMEOUT, self.outbox.close()).await.is_err() {
            tracing::debug!("the server's stdin is stuck");
        }
        self.process.lock().await.end().await;
        Ok(())
    }
}

/// A `tools/call` of the revisions before 2026-07-28, as it goes over the wire. rmcp would build a
/// tree of it first, to add a progress token that nobody listens to.
#[derive(Serialize)]
struct PlainCall<'a> {
    /// Always `2.0`.
    jsonrpc: &'static str,
    /// The request's id.
    id: &'a RequestId,
    /// Always `tools/call`.
    method: &'static str,
    /// Name and arguments.
    params: &'a CallToolRequestParams,
}

impl<'a> PlainCall<'a> {
    /// The call in a message, if it is one that needs no `_meta`.
    fn of(message: &'a TxJsonRpcMessage<RoleClient>) -> Option<Self> {
        let JsonRpcMessage::Request(request) = message else {
            return None;
        };
        let ClientRequest::CallToolRequest(call) = &request.request else {
            return None;
        };
        let meta = call.extensions.get::<RequestMetaObject>();
        let is_heard = call.extensions.get::<Heard>().is_some();
        if is_heard || meta.is_some_and(|meta| meta.protocol_version().is_some()) {
            return None;
        }
        Some(Self {
            jsonrpc: "2.0",
            id: &request.id,
            method: "tools/call",
            params: &call.params,
        })
    }
}

/// Logs the first few lines that are no JSON-RPC; their text is not ours to log.
fn note_junk(junk: &mut u64, line: &[u8]) {
    *junk += 1;
    if *junk <= JUNK_LOGGED_MAX && !line.trim_ascii().is_empty() {
        tracing::debug!(
            bytes = line.len(),
            "the server printed a line on stdout that is no JSON-RPC"
        );
    }
}

/// Finds whose answer an overlong line is: SDKs write `"id":N` first or last. What does not look
/// like a message is nobody's.
fn overlong_id(pending: &[RequestId], head: &[u8], tail: &[u8]) -> Option<RequestId> {
    let ends = [head, tail].map(|end| String::from_utf8_lossy(end).replace(' ', ""));
    let is_message = ends[0].starts_with('{') && ends.iter().any(|end| end.contains("\"jsonrpc\""));
    if !is_message {
        return None;
    }
    let mut found = pending.iter().filter(|id| {
        let text = id.to_string();
        let is_in = |end: &String| {
            [",", "}"].iter().any(|after| {
                end.contains(&format!("\"id\":{text}{after}"))
                    || end.contains(&format!("\"id\":\"{text}\"{after}"))
            })
        };
        ends.iter().any(is_in)
    });
    match (found.next(), found.next(), pending) {
        (Some(id), None, _) | (None, None, [id]) => Some(id.clone()),
        _ => None,
    }
}
