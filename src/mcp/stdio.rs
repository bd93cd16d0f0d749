//! The stdio transport: one JSON-RPC message per line (MCP 2025-11-25, transports, stdio).

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
    decode::MessageDecoder,
    exit::ExitWatch,
    inbox::StdioReader,
    outbox::StdioWriter,
    process::{ProcessPipes, ServerProcess},
    progress::ProgressHandle,
    unasked::UnsolicitedMessages,
};
use crate::secret::Redactor;

/// The timeout for writing one message into the pipe. A server that reads nothing for this long is considered
/// stuck, and every further message would wait behind it.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// The timeout for closing stdin.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(100);

/// The transport of one child process.
#[derive(Debug)]
pub struct StdioTransport {
    /// The process; `close` ends it.
    process: Arc<Mutex<ServerProcess>>,
    /// Its stdin, until `close`.
    outbox: Arc<StdioWriter>,
    /// Its stdout.
    inbox: StdioReader<BufReader<ChildStdout>>,
    /// Knows the requests in flight.
    decoder: Arc<MessageDecoder>,
    /// Notified when a write fails. The session then ends, although stdout may stay open.
    broken: Arc<Notify>,
    /// Detects that the process has exited, even if another process keeps stdout open.
    exit: ExitWatch,
    /// Handles what the server sends unasked.
    unasked: UnsolicitedMessages,
}

impl StdioTransport {
    /// Creates the transport of a started process. What the server sends unasked goes to `unasked`, which
    /// also limits the size of an answer.
    pub fn new(
        process: Arc<Mutex<ServerProcess>>,
        pipes: ProcessPipes,
        unasked: UnsolicitedMessages,
        redactor: Redactor,
    ) -> Self {
        let stdout = BufReader::with_capacity(64 << 10, pipes.stdout);
        let decoder = Arc::new(MessageDecoder::new(unasked.clone(), redactor));
        Self {
            process,
            outbox: Arc::new(StdioWriter::new(pipes.stdin)),
            inbox: StdioReader::new(stdout, Arc::clone(&decoder), unasked.clone()),
            decoder,
            broken: Arc::new(Notify::new()),
            exit: ExitWatch::new(),
            unasked,
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
            // A message that was written before the pipe broke is lost with the session. It is never sent
            // twice.
            result.or_else(|error| {
                if outbox.is_written(ticket) {
                    Ok(())
                } else {
                    Err(error)
                }
            })
        }
    }

    /// Cancel-safe, as rmcp requires: a partial line stays in `inbox`.
    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleClient>> {
        let broken = Arc::clone(&self.broken);
        let message = tokio::select! {
            message = self.inbox.next() => message,
            () = broken.notified() => None,
            () = self.exit.over(&self.process) => None,
        };
        if message.is_none() {
            self.process.lock().await.note_exit().await;
        }
        message
    }

    async fn close(&mut self) -> io::Result<()> {
        // A writer that hangs on a full pipe keeps stdin open. The group is killed regardless.
        if timeout(CLOSE_TIMEOUT, self.outbox.close()).await.is_err() {
            tracing::debug!("closing the server's stdin timed out");
        }
        let mut process = self.process.lock().await;
        if self.unasked.is_over() {
            process.hurry();
        }
        process.end().await;
        Ok(())
    }
}

/// A `tools/call` of the revisions before 2026-07-28, as it is sent. rmcp would first build a tree of it, to
/// add a progress token that has no listener.
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
    /// Returns the call of a message, if it needs no `_meta`.
    fn of(message: &'a TxJsonRpcMessage<RoleClient>) -> Option<Self> {
        let JsonRpcMessage::Request(request) = message else {
            return None;
        };
        let ClientRequest::CallToolRequest(call) = &request.request else {
            return None;
        };
        let meta = call.extensions.get::<RequestMetaObject>();
        let is_heard = call.extensions.get::<ProgressHandle>().is_some();
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
