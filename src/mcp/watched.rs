//! [`WatchedTransport`]: a transport that answers its server's requests itself, and ends when the server sends too
//! much.

use std::time::Duration;

use futures::future::BoxFuture;
use rmcp::{
    RoleClient,
    service::{RxJsonRpcMessage, TxJsonRpcMessage},
    transport::Transport,
};
use tokio::time::{Instant, sleep_until};

use super::unasked::{DOES_NOT_READ, UnsolicitedMessages};

/// How long the queue of answers may stay full. The server either sends requests faster than it reads the
/// answers, or reads nothing.
const PATIENCE: Duration = Duration::from_secs(5);

/// A message that is being sent.
type Sending<E> = BoxFuture<'static, Result<(), E>>;

/// A transport and what its server sends unasked.
pub struct WatchedTransport<T: Transport<RoleClient>> {
    /// The transport.
    inner: T,
    /// Handles what the server sends unasked; the transport passes it on.
    unasked: UnsolicitedMessages,
    /// The answer that is being sent.
    sending: Option<Sending<T::Error>>,
    /// Since when the queue of answers is full.
    full_since: Option<Instant>,
}

impl<T: Transport<RoleClient>> WatchedTransport<T> {
    /// Wraps a transport that reports to `unasked`.
    pub fn new(inner: T, unasked: UnsolicitedMessages) -> Self {
        Self {
            inner,
            unasked,
            sending: None,
            full_since: None,
        }
    }

    /// Starts to send the next answer, unless one is being sent.
    fn begin(&mut self) {
        if self.sending.is_none()
            && let Some(owed) = self.unasked.take_owed()
        {
            self.sending = Some(Box::pin(self.inner.send(owed)));
        }
        if self.unasked.owes_too_many() {
            self.full_since.get_or_insert_with(Instant::now);
        } else if self.unasked.owes_few() {
            self.full_since = None;
        }
    }
}

impl<T: Transport<RoleClient>> Transport<RoleClient> for WatchedTransport<T> {
    type Error = T::Error;

    fn send(
        &mut self,
        item: TxJsonRpcMessage<RoleClient>,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send + 'static {
        self.inner.send(item)
    }

    /// Cancel-safe, as rmcp requires: the answer that is being sent stays in `sending`.
    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleClient>> {
        loop {
            self.begin();
            let sending = self.sending.as_mut();
            let full_since = self.full_since;
            tokio::select! {
                biased;
                () = self.unasked.over() => return None,
                sent = async {
                    match sending {
                        Some(sending) => sending.await,
                        None => std::future::pending().await,
                    }
                } => {
                    self.sending = None;
                    if let Err(error) = sent {
                        tracing::debug!(%error, "could not answer a request of the server");
                    }
                }
                () = async {
                    match full_since {
                        Some(since) => sleep_until(since + PATIENCE).await,
                        None => std::future::pending().await,
                    }
                } => self.unasked.end(DOES_NOT_READ),
                message = self.inner.receive() => return message,
                () = self.unasked.owing() => {}
            }
        }
    }

    async fn close(&mut self) -> Result<(), Self::Error> {
        self.sending = None;
        self.inner.close().await
    }
}
