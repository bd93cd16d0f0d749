//! [`Watched`]: a transport that answers for itself what its server asks, and ends when the server
//! sends too much.

use std::time::Duration;

use futures::future::BoxFuture;
use rmcp::{
    RoleClient,
    service::{RxJsonRpcMessage, TxJsonRpcMessage},
    transport::Transport,
};
use tokio::time::{Instant, sleep_until};

use super::unasked::{DOES_NOT_READ, Unasked};

/// How long one answer may take on its way to a server that waits for [`OWED_MAX`] of them.
///
/// [`OWED_MAX`]: super::unasked::OWED_MAX
const PATIENCE: Duration = Duration::from_secs(2);

/// A message on its way.
type Sending<E> = BoxFuture<'static, Result<(), E>>;

/// A transport and what its server sends unasked.
pub struct Watched<T: Transport<RoleClient>> {
    /// The transport.
    inner: T,
    /// What the server sends unasked; the transport hands it over.
    unasked: Unasked,
    /// The answer that is on its way, and since when.
    sending: Option<(Sending<T::Error>, Instant)>,
}

impl<T: Transport<RoleClient>> Watched<T> {
    /// Watches a transport that hands over to `unasked`.
    pub fn new(inner: T, unasked: Unasked) -> Self {
        Self {
            inner,
            unasked,
            sending: None,
        }
    }

    /// Begins to send the answer that is due next, unless one is on its way.
    fn begin(&mut self) {
        if self.sending.is_none()
            && let Some(owed) = self.unasked.take_owed()
        {
            self.sending = Some((Box::pin(self.inner.send(owed)), Instant::now()));
        }
    }
}

impl<T: Transport<RoleClient>> Transport<RoleClient> for Watched<T> {
    type Error = T::Error;

    fn send(
        &mut self,
        item: TxJsonRpcMessage<RoleClient>,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send + 'static {
        self.inner.send(item)
    }

    /// Cancel-safe, as rmcp asks: the answer on its way stays in `sending`.
    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleClient>> {
        loop {
            self.begin();
            let is_full = self.unasked.owes_too_many();
            let (sending, since) = match &mut self.sending {
                Some((sending, since)) => (Some(sending), *since),
                None => (None, Instant::now()),
            };
            let is_sending = sending.is_some();
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
                () = sleep_until(since + PATIENCE), if is_sending && is_full => {
                    self.unasked.end(DOES_NOT_READ);
                }
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
