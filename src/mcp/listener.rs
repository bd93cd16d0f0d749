//! The client side of an MCP session: the name and version that the bridge reports.

use rmcp::{
    ClientHandler, Peer, RoleClient,
    model::{
        ClientCapabilities, ClientConfig, Implementation, ProtocolVersion, SubscriptionFilter,
    },
};

/// Reports the bridge's name and version. It receives no notifications: the transports handle what a server
/// sends unasked ([`UnsolicitedMessages`](super::unasked::UnsolicitedMessages)). It declares no capabilities, because the bridge
/// cannot answer a server's requests.
#[derive(Debug, Clone)]
pub struct McpClientHandler {
    /// The version that `initialize` offers.
    pub version: ProtocolVersion,
}

impl Default for McpClientHandler {
    fn default() -> Self {
        // rmcp's default offers 2026-07-28, which has no `initialize`.
        Self {
            version: ProtocolVersion::LATEST_WITH_INITIALIZE,
        }
    }
}

impl ClientHandler for McpClientHandler {
    fn get_info(&self) -> ClientConfig {
        ClientConfig::new(
            ClientCapabilities::default(),
            Implementation::new("mcp-bridge", env!("CARGO_PKG_VERSION")),
        )
        .with_protocol_version(self.version.clone())
    }
}

/// Subscribes to changes. Since 2026-07-28 a server reports changes only on a stream that the client opened
/// (`subscriptions/listen`). The transports see the notifications before rmcp does; this task keeps the
/// stream open. It ends with the session, or when the server rejects the subscription.
pub async fn subscribe(peer: Peer<RoleClient>) {
    let filter = SubscriptionFilter::builder().tools_list_changed().build();
    let mut subscription = match peer.listen(filter).await {
        Ok(subscription) => subscription,
        Err(error) => {
            tracing::debug!(%error, "the server rejected the subscription to its tool list");
            return;
        }
    };
    while let Ok(Some(_notification)) = subscription.next().await {}
}
