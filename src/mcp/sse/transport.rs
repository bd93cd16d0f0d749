//! [`SseTransport`]: an open connection, as rmcp's session loop uses it.

use std::sync::Arc;

use bytes::Bytes;
use futures::Stream;
use http::{HeaderMap, HeaderValue, StatusCode, header::CONTENT_TYPE};
use reqwest::Response;
use rmcp::{
    RoleClient,
    model::{ErrorData, JsonRpcMessage, RequestId},
    service::{RxJsonRpcMessage, TxJsonRpcMessage},
    transport::Transport,
};
use tokio::{sync::mpsc, task::JoinHandle};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use url::Url;

use super::reader;
use crate::mcp::credential::AuthorizedClient;
use crate::mcp::decode::MessageDecoder;
use crate::mcp::http::{
    BodyKind, PingOutcome, REFUSAL_BYTES_MAX, SessionPing, StreamItem, TransportError,
    content_type, is_session_gone, json_rpc_error, passed_into, read, read_refusal,
    refused_by_body, refused_by_head, speaks_of_session,
};
use crate::mcp::unasked::UnsolicitedMessages;
use crate::secret::Redactor;

/// The maximum number of messages that wait for the session loop. The stream is not read while this many
/// wait.
const QUEUE: usize = 64;

/// A connection of the deprecated HTTP+SSE transport.
#[derive(Debug)]
pub struct SseTransport {
    /// Sends the messages.
    outbox: Arc<SseSender>,
    /// The messages from the server. Closed when the stream has ended.
    inbox: mpsc::Receiver<RxJsonRpcMessage<RoleClient>>,
    /// Stops the reader.
    stop: CancellationToken,
    /// Reads the stream; taken when the transport is closed.
    reader: Option<JoinHandle<()>>,
}

/// The address for messages.
#[derive(Debug)]
pub struct SseEndpoint {
    /// Sends the requests.
    pub courier: AuthorizedClient,
    /// The URL from the `endpoint` event.
    pub url: Url,
    /// Headers that are sent with every message.
    pub headers: HeaderMap,
    /// Redacts secrets in messages.
    pub redactor: Redactor,
}

/// The sending half.
#[derive(Debug)]
struct SseSender {
    /// The address for messages.
    address: SseEndpoint,
    /// Limits the size of an answer.
    unasked: UnsolicitedMessages,
    /// Knows the requests in flight.
    decoder: Arc<MessageDecoder>,
    /// For servers that answer in the body of the POST. Weak, so that the queue closes with the stream.
    queue: mpsc::WeakSender<RxJsonRpcMessage<RoleClient>>,
    /// Ends the session when the server no longer knows it.
    stop: CancellationToken,
}

impl SseTransport {
    /// Starts to read `stream` on `tracker`. What the server sends unasked goes to `unasked`.
    pub fn start(
        address: SseEndpoint,
        stream: impl Stream<Item = Result<StreamItem, reqwest::Error>> + Send + 'static,
        unasked: UnsolicitedMessages,
        tracker: &TaskTracker,
    ) -> Self {
        let (sender, inbox) = mpsc::channel(QUEUE);
        let stop = CancellationToken::new();
        let decoder = MessageDecoder::new(unasked.clone(), address.redactor.clone());
        let outbox = Arc::new(SseSender {
            address,
            decoder: Arc::new(decoder),
            unasked: unasked.clone(),
            queue: sender.downgrade(),
            stop: stop.clone(),
        });
        let reading = reader::run(stream, Arc::clone(&outbox.decoder), sender, unasked);
        let stopped = stop.clone();
        let reader = tracker.spawn(async move {
            if stopped.run_until_cancelled(reading).await.is_none() {
                tracing::debug!("stopped reading an event stream");
            }
        });
        Self {
            outbox,
            inbox,
            stop,
            reader: Some(reader),
        }
    }
}

impl Transport<RoleClient> for SseTransport {
    type Error = TransportError;

    fn send(
        &mut self,
        message: TxJsonRpcMessage<RoleClient>,
    ) -> impl Future<Output = Result<(), TransportError>> + Send + 'static {
        let outbox = Arc::clone(&self.outbox);
        async move {
            let id = match &message {
                JsonRpcMessage::Request(request) => Some(request.id.clone()),
                JsonRpcMessage::Notification(_)
                | JsonRpcMessage::Response(_)
                | JsonRpcMessage::Error(_) => None,
            };
            outbox.decoder.sent(&message);
            let sent = outbox.post(&message, id.as_ref()).await;
            if let (Err(_), Some(id)) = (&sent, &id) {
                outbox.decoder.forget(id);
            }
            sent
        }
    }

    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleClient>> {
        self.inbox.recv().await
    }

    async fn close(&mut self) -> Result<(), TransportError> {
        self.stop.cancel();
        if let Some(reader) = self.reader.take()
            && reader.await.is_err()
        {
            tracing::debug!("the reader of an event stream failed");
        }
        Ok(())
    }
}

impl Drop for SseTransport {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl SseSender {
    /// Sends a message. The answer arrives on the stream; some servers send it in this response.
    async fn post(
        &self,
        message: &TxJsonRpcMessage<RoleClient>,
        id: Option<&RequestId>,
    ) -> Result<(), TransportError> {
        let body = serde_json::to_vec(message)
            .map_err(|error| TransportError::NotSent(error.to_string()))?;
        let address = &self.address;
        let mut headers = address.headers.clone();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        passed_into(message, &mut headers);
        let request = address.courier.client.post(address.url.clone());
        let request = request.headers(headers.clone()).body(body);
        let response = address.courier.send(request).await?;
        let status = response.status();
        if !status.is_success() {
            let Some(id) = id else {
                tracing::debug!(%status, "the server refused a notification");
                return Ok(());
            };
            // Boxed because it is large and most messages are accepted.
            return Box::pin(self.refused(response, id, headers)).await;
        }
        let is_json = BodyKind::of(&content_type(&response)) == BodyKind::Json;
        if let (true, Some(id)) = (is_json, id) {
            return self.answered(response, id).await;
        }
        // Usually `Accepted`. It is read so that the connection can be reused.
        drop(read(response, REFUSAL_BYTES_MAX).await);
        Ok(())
    }

    /// Takes an answer from the body of the POST. Any other body is ignored.
    async fn answered(&self, response: Response, id: &RequestId) -> Result<(), TransportError> {
        let limit = self.unasked.message_bytes_max();
        let answer = match read(response, limit).await {
            Ok(body) => self.received(&body),
            Err(TransportError::TooLarge(limit)) => Some(self.decoder.too_large(id.clone(), limit)),
            // The body can be ignored: the answer will arrive on the stream.
            Err(_) => None,
        };
        self.deliver(answer).await;
        Ok(())
    }

    /// Decodes an answer.
    fn received(&self, body: &Bytes) -> Option<RxJsonRpcMessage<RoleClient>> {
        if body.is_empty() {
            None
        } else {
            self.decoder.received(body)
        }
    }

    /// Puts an answer into the queue, as if it came from the stream.
    async fn deliver(&self, answer: Option<RxJsonRpcMessage<RoleClient>>) {
        if let (Some(answer), Some(queue)) = (answer, self.queue.upgrade())
            && queue.send(answer).await.is_err()
        {
            tracing::debug!("an answer came after the session had ended");
        }
    }

    /// Handles an error status: an answer, an unknown session, or a failure.
    async fn refused(
        &self,
        response: Response,
        id: &RequestId,
        headers: HeaderMap,
    ) -> Result<(), TransportError> {
        let status = response.status();
        if let Some(failure) = refused_by_head(status, response.headers()) {
            return Err(failure);
        }
        let body = read_refusal(response).await;
        let error = json_rpc_error(&body);
        if self
            .is_unknown(status, error.as_ref(), &body, headers)
            .await
        {
            // Some servers forget a session without closing its stream. The bridge needs a new session.
            self.stop.cancel();
            return Err(TransportError::NotSent(
                "the server ended the session".to_owned(),
            ));
        }
        let Some(error) = error else {
            return Err(refused_by_body(status, &body, &self.address.redactor));
        };
        self.decoder.forget(id);
        let answer = JsonRpcMessage::error(error, Some(id.clone()));
        self.deliver(Some(answer)).await;
        Ok(())
    }

    /// Whether an error status means that the server does not know the session named in the URL.
    async fn is_unknown(
        &self,
        status: StatusCode,
        error: Option<&ErrorData>,
        body: &[u8],
        headers: HeaderMap,
    ) -> bool {
        let is_told = match error {
            Some(error) => is_session_gone(error),
            None => speaks_of_session(&String::from_utf8_lossy(body)),
        };
        match status {
            StatusCode::NOT_FOUND | StatusCode::GONE => true,
            StatusCode::BAD_REQUEST if is_told => true,
            _ if is_told => {
                let ping = SessionPing {
                    courier: self.address.courier.clone(),
                    url: self.address.url.clone(),
                    headers,
                };
                ping.send().await != PingOutcome::Lives
            }
            _ => false,
        }
    }
}
