//! Our side of an MCP session: who we say we are, and what we hear.

use std::sync::Arc;

use rmcp::{
    ClientHandler, Peer, RoleClient,
    model::{
        ClientCapabilities, ClientConfig, Implementation, ProtocolVersion, SubscriptionFilter,
    },
    service::NotificationContext,
};
use tokio::sync::Notify;

/// Hears `tools/list_changed`; declares no capability, for nobody here could answer a server's
/// question.
#[derive(Debug, Clone, Default)]
pub struct Listener {
    /// Woken when the server's tool list changed.
    pub tools_changed: Arc<Notify>,
}

impl ClientHandler for Listener {
    fn get_info(&self) -> ClientConfig {
        ClientConfig::new(
            ClientCapabilities::default(),
            Implementation::new("mcp-bridge", env!("CARGO_PKG_VERSION")),
        )
        // rmcp's default offers 2026-07-28, which has no `initialize`.
        .with_protocol_version(ProtocolVersion::LATEST_WITH_INITIALIZE)
    }

    async fn on_tool_list_changed(&self, _context: NotificationContext<RoleClient>) {
        self.tools_changed.notify_one();
    }
}

/// Since 2026-07-28 a server tells of changes only on a stream that the client opened
/// (`subscriptions/listen`). Ends with the session, or when the server wants no subscription.
pub async fn subscribe(peer: Peer<RoleClient>, tools_changed: Arc<Notify>) {
    let filter = SubscriptionFilter::builder().tools_list_changed().build();
    let mut subscription = match peer.listen(filter).await {
        Ok(subscription) => subscription,
        Err(error) => {
            tracing::debug!(%error, "the server takes no subscription to its tool list");
            return;
        }
    };
    while let Ok(Some(_notification)) = subscription.next().await {
        tools_changed.notify_one();
    }
}
