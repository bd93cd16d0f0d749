//! The tools of a bridge whose sessions belong to somebody: gathered from what each of them is shown,
//! published, and known again after a restart.

use std::sync::{Arc, MutexGuard, PoisonError};

use serde_json::Value;
use tokio::time::Instant;

use super::{gathered::Gathered, handle::Bridge, toolset::without_secrets};
use crate::{
    credential::Owner,
    mcp::{ConnectError, Session},
};

impl Bridge {
    /// Reads the tool list of an owner's session, publishes what it adds to or takes from those of the
    /// others, and has that written down.
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

    /// Publishes a list together with what is known already; whether anything is another now.
    async fn gather(
        &self,
        owner: Option<&Owner>,
        mut list: Vec<Value>,
    ) -> Result<bool, ConnectError> {
        let _turn = self.publishing.lock().await;
        // It is written down, and an owner's own credential is none of the others' business.
        without_secrets(&mut list, &self.config, self.redactor());
        let (is_new, all) = {
            let mut gathered = self.gathered();
            let is_new = gathered.add(owner, list, Instant::now());
            (is_new, gathered.list())
        };
        // What was gathered by a task that ended before it could publish is not new any more.
        let is_published = {
            let tools = self.live.tools.load();
            !tools.entries.is_empty() && tools.flaws == **self.live.flaws.load()
        };
        if is_new || !is_published {
            self.publish_tools(all).await?;
        }
        Ok(is_new)
    }

    /// An owner's session has ended.
    pub(super) fn forget_shown(&self, owner: &Owner) {
        if !self.pool.has(owner) {
            self.gathered().leave(owner);
        }
    }

    /// What was gathered by the bridge that this one takes the place of.
    pub(super) fn take_over_gathered(&self, old: &Self) {
        let known = old.gathered().without_sessions();
        *self.gathered() = known;
    }

    fn gathered(&self) -> MutexGuard<'_, Gathered> {
        self.gathered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes down which tools there are, for the next start.
    fn remember_tools(self: &Arc<Self>) {
        let bridge = Arc::clone(self);
        self.opener.context.tracker.spawn(async move {
            let written = Value::Array(bridge.gathered().list()).to_string();
            let credentials = &bridge.opener.context.credentials;
            if let Err(error) = credentials.remember_tools(bridge.name(), &written).await {
                tracing::debug!(bridge.name = %bridge.name(), %error, "the tools are not known after a restart");
            }
        });
    }

    /// Publishes the tools that were known before the start.
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
