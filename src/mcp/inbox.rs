//! [`StdioReader`]: reads the messages that a server writes to its stdout, one per line.

use std::sync::Arc;

use rmcp::{RoleClient, model::RequestId, service::RxJsonRpcMessage};
use tokio::io::AsyncBufRead;

use super::{
    decode::MessageDecoder,
    envelope::{looks_like_message, named_id},
    lines::{BoundedLine, LineReader},
    unasked::UnsolicitedMessages,
};

/// How many lines that are not JSON-RPC are logged. Servers print banners, and some never stop.
const JUNK_LOGGED_MAX: u64 = 5;

/// The output of a server.
#[derive(Debug)]
pub struct StdioReader<R> {
    /// Its lines.
    lines: LineReader<R>,
    /// Knows the requests in flight.
    decoder: Arc<MessageDecoder>,
    /// Handles what the server sends unasked.
    unasked: UnsolicitedMessages,
    /// The number of lines that were not JSON-RPC.
    junk: u64,
}

impl<R: AsyncBufRead + Unpin> StdioReader<R> {
    /// Reads a server's output. Messages that no request asked for go to `unasked`, which also limits the
    /// size of a message.
    pub fn new(output: R, decoder: Arc<MessageDecoder>, unasked: UnsolicitedMessages) -> Self {
        Self {
            lines: LineReader::new(output, unasked.message_bytes_max()),
            decoder,
            unasked,
            junk: 0,
        }
    }

    /// Returns the next message for rmcp, or `None` if the output or the session ended. Cancel-safe.
    pub async fn next(&mut self) -> Option<RxJsonRpcMessage<RoleClient>> {
        while !self.unasked.is_over() {
            if let Some(message) = self.decoder.take_more() {
                return Some(message);
            }
            // The bridge stops reading from a server that does not read the answers.
            self.unasked.room().await;
            self.lines.set_limit(self.unasked.message_bytes_max());
            let message = match self.lines.next().await.ok()?? {
                BoundedLine::Whole(line) => {
                    let line = message_in(line);
                    let message = self.decoder.received(line);
                    if message.is_none() && !line.trim_ascii_start().starts_with(b"{") {
                        note_junk(&mut self.junk, line);
                    }
                    message
                }
                BoundedLine::Passing(bytes) => {
                    self.unasked.skipped(bytes);
                    None
                }
                BoundedLine::TooLong { head, tail } => {
                    let id = overlong_id(&self.decoder.pending(), head, tail);
                    let limit = self.unasked.message_bytes_max();
                    if id.is_none() {
                        self.unasked.note(0);
                        tracing::debug!(
                            bytes_max = limit,
                            "dropped a message that is too large and whose id is unknown"
                        );
                    }
                    id.map(|id| self.decoder.too_large(id, limit))
                }
            };
            if message.is_some() {
                return message;
            }
            // A flood in one chunk must not block the other tasks of this thread.
            tokio::task::coop::consume_budget().await;
        }
        None
    }
}

/// Finds the answer in a line. Some servers print a prompt or a progress bar without a line break before it.
/// A request or notification behind other text is ignored, because servers log what they receive.
fn message_in(line: &[u8]) -> &[u8] {
    /// The member that distinguishes an answer from other messages.
    #[derive(serde::Deserialize)]
    struct MethodField {
        /// Only requests and notifications have a method.
        method: Option<serde::de::IgnoredAny>,
    }

    if line.trim_ascii_start().starts_with(b"{") {
        return line;
    }
    let start = memchr::memmem::find(line, br#"{"jsonrpc""#);
    let Some(message) = start.and_then(|start| line.get(start..)) else {
        return line;
    };
    match serde_json::from_slice::<MethodField>(message) {
        Ok(shape) if shape.method.is_none() => message,
        Ok(_) | Err(_) => line,
    }
}

/// Logs that a line is not JSON-RPC, for the first few lines. The text itself may be private, so it is not
/// logged.
fn note_junk(junk: &mut u64, line: &[u8]) {
    *junk += 1;
    if *junk <= JUNK_LOGGED_MAX && !line.trim_ascii().is_empty() {
        tracing::debug!(
            bytes = line.len(),
            "the server printed a line on stdout that is not JSON-RPC"
        );
    }
}

/// Finds the request that an overlong line answers: the one it names, or the only one in flight.
fn overlong_id(pending: &[RequestId], head: &[u8], tail: &[u8]) -> Option<RequestId> {
    let only = || match pending {
        [id] if looks_like_message(head, tail) => Some(id.clone()),
        _ => None,
    };
    named_id(pending, head, tail).or_else(only)
}

/// The outcome of a server's output, for the fuzz target and the property test.
#[cfg(any(test, fuzzing))]
#[derive(Debug, Default)]
pub struct OutputSummary {
    /// The messages that rmcp receives.
    pub messages: Vec<String>,
    /// The number of answers to requests of the server.
    pub owed: usize,
    /// The maximum number of bytes that were kept of one line.
    pub kept_bytes_max: usize,
}

/// The maximum number of bytes that [`stdio_of`] may keep of one line.
#[cfg(any(test, fuzzing))]
pub const STDIO_KEPT_MAX: usize = 8 << 10;

/// Reads the output of a server with requests in flight: initialize (0), the tool list (1) and a call (2).
/// The output arrives in pieces of `piece` bytes, and a message may have at most one kilobyte.
#[cfg(any(test, fuzzing))]
pub fn stdio_of(output: &[u8], piece: usize) -> OutputSummary {
    use futures::FutureExt as _;
    use rmcp::model::{ClientJsonRpcMessage, JsonRpcMessage};

    let unasked = UnsolicitedMessages::new(super::AnswerLimits {
        result_bytes_max: 1 << 10,
        tools_bytes_max: 1 << 10,
    });
    let decoder = Arc::new(MessageDecoder::new(
        unasked.clone(),
        crate::secret::Redactor::default(),
    ));
    for (id, request) in super::decode::requests_of_each_kind() {
        let message: ClientJsonRpcMessage = JsonRpcMessage::request(request, RequestId::Number(id));
        decoder.sent(&message);
    }
    let reader = tokio::io::BufReader::with_capacity(piece, output);
    let mut inbox = StdioReader::new(reader, decoder, unasked.clone());
    let mut seen = OutputSummary::default();
    loop {
        let next = inbox.next().now_or_never();
        seen.kept_bytes_max = seen.kept_bytes_max.max(inbox.lines.kept_bytes());
        let owed = std::iter::from_fn(|| unasked.take_owed()).count();
        seen.owed += owed;
        match next {
            Some(Some(message)) => {
                let text = serde_json::to_string(&message).unwrap_or_default();
                seen.messages.push(text);
            }
            Some(None) => return seen,
            // The transport waits until the pending answers are sent, or it yielded to other tasks.
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    #[test]
    fn an_answer_behind_other_text_is_found_and_a_logged_request_is_not() {
        let answer = r#"{"jsonrpc":"2.0","id":1,"result":{"method":1}}"#;
        for before in ["", "> ", "100%|##| 3/3\r", "\0\0"] {
            let line = format!("{before}{answer}");
            assert_eq!(message_in(line.as_bytes()), answer.as_bytes(), "{before:?}");
        }
        for line in [
            r#"got {"jsonrpc":"2.0","id":1,"method":"tools/call"}"#,
            r#"cut {"jsonrpc":"2.0","id":1,"res"#,
            "plain",
        ] {
            assert_eq!(message_in(line.as_bytes()), line.as_bytes());
        }
    }

    /// Pieces of typical output, so that random tests find more than noise.
    fn piece() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            Just(br#"{"jsonrpc":"2.0","id":0,"result":{}}"#.to_vec()),
            Just(br#"{"jsonrpc":"2.0","id":1,"result":{"tools":[]}}"#.to_vec()),
            Just(br#"{"jsonrpc":"2.0","id":2,"error":{"code":1,"message":"no"}}"#.to_vec()),
            Just(br#"{"jsonrpc":"2.0","id":7,"method":"ping"}"#.to_vec()),
            Just(br#"{"method":"notifications/cancelled"}"#.to_vec()),
            Just(br#"{"id":[1,2],"method":"ping"}"#.to_vec()),
            Just(b"x".repeat(3_000)),
            Just(b"\n".to_vec()),
            Just(b"\n\n".to_vec()),
            vec(any::<u8>(), 0..40),
        ]
    }

    proptest! {
        #[test]
        fn any_output_is_read_within_bounds(pieces in vec(piece(), 0..120), size in 1_usize..300) {
            let output = pieces.concat();
            let whole = stdio_of(&output, usize::from(u16::MAX));
            let cut = stdio_of(&output, size);
            prop_assert_eq!(&whole.messages, &cut.messages);
            prop_assert_eq!(whole.owed, cut.owed);
            prop_assert!(whole.kept_bytes_max.max(cut.kept_bytes_max) <= STDIO_KEPT_MAX);
            prop_assert!(whole.messages.len() <= 3 + 16, "three answers, and what rmcp needs");
        }
    }
}
