//! [`ToolPublisher`]: the published tools of a bridge. They come from the list of the shared
//! session, or are merged from the lists of the sessions of all owners; the merged list is stored
//! and published again after a restart.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::{ArcSwap, Guard};
use serde_json::Value;
use tokio::{sync::Notify, time::Instant};

use super::{
    context::BridgeContext,
    known::{KnownTools, ToolListWriter},
    tool_lists::{MergedToolList, SessionTools},
    tools::{ToolList, without_secrets},
};
use crate::{
    config::{self, Flavor},
    credential::SessionOwner,
    mcp::ConnectError,
    store::StoreError,
};

/// How many flaws of one tool list are logged. `/servers` and `check` show more of them.
const WARNINGS_LOGGED_MAX: usize = 20;

/// Publishes the tools of one bridge. They stay published while the server is down.
#[derive(Debug)]
pub struct ToolPublisher {
    /// The published tools.
    published: ArcSwap<ToolList>,
    /// The tools that the sessions of owners listed.
    gathered: Arc<Mutex<MergedToolList>>,
    /// Held while a merged list is published.
    turn: tokio::sync::Mutex<()>,
    /// Stores the names of the published tools.
    notes: ToolListWriter,
    /// The configuration of the bridge.
    config: Arc<config::BridgeSettings>,
    /// How tools are published.
    flavor: Flavor,
    /// What all bridges share.
    context: BridgeContext,
    /// Woken when the published tools change.
    changed: Arc<Notify>,
}

impl ToolPublisher {
    /// Publishes no tools yet.
    pub(super) fn new(
        config: &Arc<config::BridgeSettings>,
        flavor: Flavor,
        context: BridgeContext,
        changed: Arc<Notify>,
    ) -> Self {
        Self {
            published: ArcSwap::default(),
            gathered: Arc::default(),
            turn: tokio::sync::Mutex::default(),
            notes: ToolListWriter::default(),
            config: Arc::clone(config),
            flavor,
            context,
            changed,
        }
    }

    /// The published tools.
    pub fn load(&self) -> Guard<Arc<ToolList>> {
        self.published.load()
    }

    /// The published tools, to keep for longer.
    pub fn load_full(&self) -> Arc<ToolList> {
        self.published.load_full()
    }

    /// Takes over the tools of the bridge that this one replaces.
    pub(super) fn take_over(&self, old: &Self) {
        self.published.store(old.load_full());
        let gathered = old.gathered().without_sessions();
        *self.gathered() = gathered;
    }

    /// Stops publishing these tools, unless others are published by now. Returns whether it did.
    pub(super) fn withdraw(&self, known: &Arc<ToolList>) -> bool {
        let empty = Arc::new(ToolList::default());
        let found = self.published.compare_and_swap(known, empty);
        self.changed.notify_one();
        Arc::ptr_eq(&found, known)
    }

    /// Publishes the tool list of an owner's session.
    pub(super) async fn publish(
        &self,
        owner: &SessionOwner,
        tools: SessionTools,
    ) -> Result<(), ConnectError> {
        if *owner == SessionOwner::Shared {
            return self.swap(tools).await;
        }
        if self.gather(Some(owner), tools).await? {
            self.remember();
        }
        Ok(())
    }

    /// Merges a list into the known tools and publishes the result. Returns whether any tool
    /// changed.
    async fn gather(
        &self,
        owner: Option<&SessionOwner>,
        mut tools: SessionTools,
    ) -> Result<bool, ConnectError> {
        let _turn = self.turn.lock().await;
        // The list is stored for all owners, and must not expose the credential of one of them.
        without_secrets(&mut tools.list, &self.config, &self.context.redactor);
        let is_new = {
            let mut gathered = self.gathered();
            let is_new = gathered.add(owner, tools.list, Instant::now());
            tools.list = gathered.list();
            is_new
        };
        // If an earlier task ended before it could publish, its tools are gathered but not new.
        let is_published = {
            let published = self.load();
            !published.entries.is_empty() && published.flaws == tools.flaws
        };
        if is_new || !is_published {
            self.swap(tools).await?;
        }
        Ok(is_new)
    }

    /// Replaces the published tools.
    async fn swap(&self, tools: SessionTools) -> Result<(), ConnectError> {
        let set = self.compile(tools).await?;
        for warning in set.warnings.iter().take(WARNINGS_LOGGED_MAX) {
            tracing::warn!(bridge.name = %self.config.name, %warning, "the server's tool list has a flaw");
        }
        let set = Arc::new(set);
        self.published.store(Arc::clone(&set));
        self.notes.note(&self.context, &self.config.name, &set);
        self.changed.notify_one();
        Ok(())
    }

    /// Compiles the tools on a thread where they do not block the async runtime.
    async fn compile(&self, tools: SessionTools) -> Result<ToolList, ConnectError> {
        let (config, flavor) = (Arc::clone(&self.config), self.flavor);
        let (old, redactor) = (self.load_full(), self.context.redactor.clone());
        let compiling =
            move || ToolList::compile(tools.list, tools.flaws, &config, flavor, &old, &redactor);
        let compiled = self.context.tracker.spawn_blocking(compiling);
        compiled.await.map_err(|error| {
            ConnectError::Protocol(format!("its tools cannot be compiled: {error}"))
        })
    }

    /// Forgets which tools the ended session of an owner listed.
    pub(super) fn forget_session(&self, owner: &SessionOwner) {
        self.gathered().leave(owner);
    }

    fn gathered(&self) -> MutexGuard<'_, MergedToolList> {
        self.gathered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stores the merged tools for the next start.
    fn remember(&self) {
        let gathered = Arc::clone(&self.gathered);
        let credentials = Arc::clone(&self.context.credentials);
        let name = self.config.name.clone();
        self.context.tracker.spawn(async move {
            let list = gathered.lock().unwrap_or_else(PoisonError::into_inner).list();
            let written = Value::Array(list).to_string();
            if let Err(error) = credentials.remember_tools(&name, &written).await {
                tracing::debug!(bridge.name = %name, %error, "could not store the tool list; after a restart it must be read again");
            }
        });
    }

    /// Publishes the merged tools that were stored before the start.
    pub(super) async fn recall(&self) -> Result<(), ConnectError> {
        let stored = self.context.credentials.known_tools(&self.config.name);
        let Ok(Some(written)) = stored.await else {
            return Ok(());
        };
        let Ok(Value::Array(list)) = serde_json::from_str(&written) else {
            return Ok(());
        };
        let flaws = Arc::default();
        self.gather(None, SessionTools { list, flaws }).await?;
        Ok(())
    }

    /// What is known of the tools: the published ones, or, before the first list of this run, those
    /// that the database has from an earlier one. `None`: nothing is known yet.
    pub(super) async fn known(&self) -> Result<Option<KnownTools>, StoreError> {
        let published = self.load_full();
        if published.entries.is_empty() {
            let listed = self.context.credentials.listed_tools(&self.config.name);
            return Ok(listed.await?.as_deref().and_then(KnownTools::from_json));
        }
        Ok(KnownTools::of(&published))
    }
}
