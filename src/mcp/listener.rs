//! Our side of an MCP session: who we say we are.

use rmcp::{
    ClientHandler, Peer, RoleClient,
    model::{
        ClientCapabilities, ClientConfig, Implementation, ProtocolVersion, SubscriptionFilter,
    },
};

/// Says who we are. It hears of nothing: what a server sends unasked is dealt with by the transports
/// ([`Unasked`](super::unasked::Unasked)). It declares no capability, because nothing here could answer
/// a server's question.
#[derive(Debug, Clone)]
pub struct Listener {
    /// The version that `initialize` offers.
    pub version: ProtocolVersion,
}

impl Default for Listener {
    fn default() -> Self {
        // rmcp's default offers 2026-07-28, which has no `initialize`.
        Self {
            version: ProtocolVersion::LATEST_WITH_INITIALIZE,
        }
    }
}

impl ClientHandler for Listener {
    fn get_info(&self) -> ClientConfig {
        ClientConfig::new(
            ClientCapabilities::default(),
            Implementation::new("mcp-bridge", env!("CARGO_PKG_VERSION")),
        )
        .with_protocol_version(self.version.clone())
    }
}

/// Since 2026-07-28 a server tells of changes only on a stream that the client opened
/// (`subscriptions/listen`). The transports hear of them before rmcp does; this keeps the stream open.
/// Ends with the session, or when the server wants no subscription.
pub async fn subscribe(peer: Peer<RoleClient>) {
    let filter = SubscriptionFilter::builder().tools_list_changed().build();
    let mut subscription = match peer.listen(filter).await {
        Ok(subscription) => subscription,
        Err(error) => {
            tracing::debug!(%error, "the server takes no subscription to its tool list");
            return;
        }
    };
    while let Ok(Some(_notification)) = subscription.next().await {}
}
