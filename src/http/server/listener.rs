//! [`LimitedListener`]: accepts connections within the limits.

use std::{io, sync::Arc};

use axum_server::{AddrListener, Address};
use tokio::net::TcpListener;

use super::{
    connections::{ClientPeer, ListenerConnections},
    watched::WatchedStream,
};

/// Accepts connections within the limits.
#[derive(Debug)]
pub struct LimitedListener {
    /// The listening socket.
    pub socket: TcpListener,
    /// The limits.
    pub connections: Arc<ListenerConnections>,
}

impl Address for ClientPeer {
    type Stream = WatchedStream;
    type Listener = LimitedListener;
}

impl AddrListener<WatchedStream, ClientPeer> for LimitedListener {
    async fn bind_to(peer: ClientPeer) -> io::Result<Self> {
        Ok(Self {
            socket: TcpListener::bind(peer.address).await?,
            connections: Arc::clone(&peer.connection.all),
        })
    }

    /// Accepts the next connection. Connections without a place wait in the kernel's queue.
    async fn accept_stream(&self) -> io::Result<(WatchedStream, ClientPeer)> {
        loop {
            let place = self.connections.place().await?;
            let (stream, address) = match self.socket.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Most likely the process ran out of file descriptors. Closing a connection
                    // frees one.
                    self.connections.close_idle(None);
                    return Err(error);
                }
            };
            // A call is a few small packets, and none of them should wait for the next.
            stream.set_nodelay(true).ok();
            let Some(connection) = self.connections.admit(address.ip(), place) else {
                tracing::debug!(peer = %address, "an address has too many connections; its new connection is closed");
                continue;
            };
            let peer = ClientPeer {
                address,
                connection: Arc::clone(&connection),
            };
            return Ok((WatchedStream::new(stream, connection), peer));
        }
    }

    fn get_local_addr(&self) -> io::Result<ClientPeer> {
        // A peer belongs to a connection. The listener's own address is known since `bind`.
        Err(io::ErrorKind::Unsupported.into())
    }
}
