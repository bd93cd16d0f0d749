//! [`BridgeRegistry`]: runs the bridges of a configuration and publishes what they offer.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use arc_swap::{ArcSwap, Guard};
use tokio::{sync::Notify, time::Instant};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    catalogue::ToolCatalog, context::BridgeContext, handle::Bridge, roster::BridgeSet, status::off,
    supervisor::Supervisor,
};
use crate::{
    access::Permissions,
    config::{self, Config, Flavor, ReloadPlan},
    name::BridgeName,
    openapi::RenderedDocument,
    secret::Redactor,
};

/// Changes of several bridges within this time are published together. At startup all of them
/// arrive at almost the same time.
const PUBLISH_DEBOUNCE: Duration = Duration::from_millis(20);

/// After building the documents, publishing pauses this many times as long. A server that changes
/// its tools all the time thus costs at most a fifth of a core.
const PUBLISH_REST: u32 = 4;

/// The longest pause after building the documents.
const PUBLISH_PAUSE_MAX: Duration = Duration::from_secs(30);

/// The running bridges.
#[derive(Debug)]
pub struct BridgeRegistry {
    /// What all bridges share.
    context: BridgeContext,
    /// All bridges.
    roster: ArcSwap<BridgeSet>,
    /// What they publish.
    catalogue: ArcSwap<ToolCatalog>,
    /// The configuration in effect.
    config: ArcSwap<Config>,
    /// The tasks.
    tasks: Mutex<BTreeMap<BridgeName, BridgeTask>>,
    /// Woken when any bridge changes.
    changed: Arc<Notify>,
}

/// The handles of a bridge's task.
#[derive(Debug, Clone)]
struct BridgeTask {
    /// Cancel it to end the task.
    stop: CancellationToken,
    /// Canceled when the task has ended.
    done: CancellationToken,
}

impl BridgeRegistry {
    /// Starts the bridges of a configuration without waiting for them.
    pub fn start(config: &Arc<Config>, context: BridgeContext) -> Arc<Self> {
        let registry = Arc::new(Self {
            roster: ArcSwap::from_pointee(BridgeSet::default()),
            catalogue: ArcSwap::from_pointee(ToolCatalog::build(
                config,
                &BridgeSet::default(),
                &context.redactor,
            )),
            config: ArcSwap::new(Arc::clone(config)),
            tasks: Mutex::default(),
            changed: Arc::new(Notify::new()),
            context,
        });
        registry.apply(config, &ReloadPlan::default());
        registry.publish();
        let publisher = Arc::clone(&registry).publish_changes();
        registry.context.tracker.spawn(publisher);
        registry
    }

    /// Applies a new configuration. Bridges that the plan keeps keep their session; the others are
    /// ended and started.
    pub fn apply(&self, config: &Arc<Config>, plan: &ReloadPlan) {
        self.config.store(Arc::clone(config));
        let old = self.roster.load_full();
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        let mut bridges = Vec::with_capacity(config.bridges.len());
        let mut running = BTreeMap::new();
        for wanted in &config.bridges {
            let known = old.get(wanted.name.as_str());
            let same = known.filter(|_| plan.keep.contains(&wanted.name));
            let previous = tasks.remove(&wanted.name);
            let (bridge, task) = match (same, previous) {
                (Some(bridge), Some(task)) => (Arc::clone(bridge), Some(task)),
                (Some(bridge), None) => (Arc::clone(bridge), None),
                (None, previous) => self.spawn(wanted, config, known, previous),
            };
            running.extend(task.map(|task| (wanted.name.clone(), task)));
            bridges.push(bridge);
        }
        let gone = std::mem::replace(&mut *tasks, running);
        drop(tasks);
        for task in gone.values() {
            task.stop.cancel();
        }
        self.roster.store(Arc::new(BridgeSet::new(bridges)));
        self.changed.notify_one();
    }

    /// Starts one bridge after its predecessor has ended. Two instances of one server at the same
    /// time would compete for its files and ports.
    fn spawn(
        &self,
        wanted: &config::BridgeSettings,
        config: &Config,
        known: Option<&Arc<Bridge>>,
        previous: Option<BridgeTask>,
    ) -> (Arc<Bridge>, Option<BridgeTask>) {
        let stop = self.context.stop.child_token();
        let (mut bridge, inbox) =
            Bridge::new(wanted, config, &self.context, stop.clone(), &self.changed);
        if let Some(known) = known {
            bridge.take_over(known);
        }
        let bridge = Arc::new(bridge);
        if off(wanted).is_some() {
            previous.inspect(|task| task.stop.cancel());
            return (bridge, None);
        }
        let task = BridgeTask {
            stop,
            done: CancellationToken::new(),
        };
        let supervisor = Supervisor::new(Arc::clone(&bridge), inbox, task.stop.clone());
        let done = task.done.clone();
        self.context.tracker.spawn(async move {
            if let Some(previous) = previous {
                previous.stop.cancel();
                previous.done.cancelled().await;
            }
            supervisor.run().await;
            done.cancel();
        });
        (bridge, Some(task))
    }

    /// Runs all tasks.
    pub fn tracker(&self) -> &TaskTracker {
        &self.context.tracker
    }

    /// Redacts secrets from the output of servers.
    pub fn redactor(&self) -> &Redactor {
        &self.context.redactor
    }

    /// All bridges.
    pub fn roster(&self) -> Guard<Arc<BridgeSet>> {
        self.roster.load()
    }

    /// What they publish.
    pub fn catalogue(&self) -> Guard<Arc<ToolCatalog>> {
        self.catalogue.load()
    }

    /// The document of all tools, or of one bridge's tools, that a caller may call. With `None` as
    /// the view it contains every tool. Callers with the same permissions share one cached
    /// document.
    pub async fn document(
        &self,
        bridge: Option<&BridgeName>,
        view: Option<&Permissions>,
    ) -> Option<RenderedDocument> {
        let catalogue = self.catalogue.load_full();
        let part = view.and_then(|view| catalogue.document_scope(bridge, view));
        let (Some(part), true) = (part, catalogue.whole(bridge).is_some()) else {
            return catalogue.whole(bridge).cloned();
        };
        let (source, wanted) = (Arc::clone(&catalogue), part.clone());
        let build = async {
            let building = move || source.build_scoped(&wanted);
            self.context.tracker.spawn_blocking(building).await.ok()
        };
        catalogue
            .scoped_documents()
            .optionally_get_with(part, build)
            .await
    }

    /// The configuration in effect.
    pub fn config(&self) -> Arc<Config> {
        self.config.load_full()
    }

    /// Whether every bridge has finished its first attempt and the outcome is published.
    pub fn is_settled(&self) -> bool {
        self.catalogue.load().is_settled()
    }

    /// Waits until every bridge has finished its first attempt.
    pub async fn settled(&self) {
        let roster = self.roster.load_full();
        for bridge in roster.bridges() {
            bridge.settled().await;
        }
        self.publish();
    }

    /// The title of the merged document. A single server at the root gives it the server's own
    /// name.
    pub fn title(&self) -> String {
        let config = self.config.load();
        let roster = self.roster();
        let single = (config.flavor == Flavor::McpoSingle).then(|| roster.bridges().first());
        single
            .flatten()
            .and_then(|bridge| bridge.live.server.load().as_deref()?.name.clone())
            .unwrap_or_else(|| config.server.title.clone())
    }

    /// The path prefix of a bridge's tools, without a trailing slash. Empty for a single server.
    pub fn bridge_path(&self, bridge: &Bridge, path_prefix: &str) -> String {
        match self.config.load().flavor {
            Flavor::McpoSingle => String::new(),
            Flavor::Native | Flavor::Mcpo => format!("{path_prefix}{}", bridge.name()),
        }
    }

    /// Rebuilds the catalogue.
    fn publish(&self) {
        let config = self.config.load_full();
        let catalogue = ToolCatalog::build(&config, &self.roster(), &self.context.redactor);
        self.catalogue.store(Arc::new(catalogue));
    }

    /// Publishes after each change until the process stops.
    async fn publish_changes(self: Arc<Self>) {
        let mut pause = Duration::ZERO;
        loop {
            tokio::select! {
                () = self.changed.notified() => {}
                () = self.context.stop.cancelled() => return,
            }
            tokio::time::sleep(PUBLISH_DEBOUNCE.max(pause)).await;
            let began = Instant::now();
            let registry = Arc::clone(&self);
            let published = self
                .context
                .tracker
                .spawn_blocking(move || registry.publish());
            if let Err(error) = published.await {
                tracing::error!(%error, "could not build the OpenAPI documents; the old ones stay published");
            }
            pause = (began.elapsed() * PUBLISH_REST).min(PUBLISH_PAUSE_MAX);
        }
    }
}
