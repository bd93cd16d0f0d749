//! The tools of a bridge that has one session per owner: merged from the lists of all sessions,
//! published, and restored after a restart.

use std::sync::{Arc, MutexGuard, PoisonError};

use serde_json::Value;
use tokio::time::Instant;

use super::{handle::Bridge, tool_lists::Gathered, tools::without_secrets};
use crate::{
    credential::Owner,
    mcp::{ConnectError, Session},
};

impl Bridge {
    /// Reads the tool list of an owner's session, publishes the changes, and stores the merged
    /// list.
    pub(super) async fn read_owned_tools(
        self: &Arc<Self>,
        owner: &Owner,
        session: &Session,
    ) -> Result<(), ConnectError> {
        let list = self.list_tools(owner, session).await?;
        if self.gather(Some(owner), list).await? {
            self.remember_tools();
        }
        Ok(())
    }

    /// Merges a list into the known tools and publishes the result. Returns whether any tool
    /// changed.
    async fn gather(
        &self,
        owner: Option<&Owner>,
        mut list: Vec<Value>,
    ) -> Result<bool, ConnectError> {
        let _turn = self.publishing.lock().await;
        // The list is stored for all owners, and must not expose the credential of one of them.
        without_secrets(&mut list, &self.config, self.redactor());
        let (is_new, all) = {
            let mut gathered = self.gathered();
            let is_new = gathered.add(owner, list, Instant::now());
            (is_new, gathered.list())
        };
        // If an earlier task ended before it could publish, its tools are gathered but not new.
        let is_published = {
            let tools = self.live.tools.load();
            !tools.entries.is_empty() && tools.flaws == **self.live.flaws.load()
        };
        if is_new || !is_published {
            self.publish_tools(all).await?;
        }
        Ok(is_new)
    }

    /// Forgets which tools the ended session of an owner listed.
    pub(super) fn forget_shown(&self, owner: &Owner) {
        if !self.pool.has(owner) {
            self.gathered().leave(owner);
        }
    }

    /// Takes over the tools that the predecessor of this bridge gathered.
    pub(super) fn take_over_gathered(&self, old: &Self) {
        let known = old.gathered().without_sessions();
        *self.gathered() = known;
    }

    fn gathered(&self) -> MutexGuard<'_, Gathered> {
        self.gathered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stores the tools for the next start.
    fn remember_tools(self: &Arc<Self>) {
        let bridge = Arc::clone(self);
        self.opener.context.tracker.spawn(async move {
            let written = Value::Array(bridge.gathered().list()).to_string();
            let credentials = &bridge.opener.context.credentials;
            if let Err(error) = credentials.remember_tools(bridge.name(), &written).await {
                tracing::debug!(bridge.name = %bridge.name(), %error, "could not store the tool list; after a restart it must be read again");
            }
        });
    }

    /// Publishes the tools that were stored before the start.
    pub(super) async fn recall_tools(&self) -> Result<(), ConnectError> {
        let credentials = &self.opener.context.credentials;
        let Ok(Some(written)) = credentials.known_tools(self.name()).await else {
            return Ok(());
        };
        match serde_json::from_str(&written) {
            Ok(Value::Array(list)) => self.gather(None, list).await.map(|_is_new| ()),
            Ok(_) | Err(_) => Ok(()),
        }
    }
}
