//! [`ConfigReloader`]: reads the configuration again and applies what changed. An invalid file changes
//! nothing.

use std::sync::{Arc, PoisonError};

use arc_swap::ArcSwap;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::{
    auth::AuthSources,
    bridge::{BridgePhase, BridgeRegistry},
    config::{Config, ConfigWatcher, Diagnostic, LoadedConfig, ReloadPlan, in_force, plan},
    name::BridgeName,
    settings::ReloadableSettings,
    telemetry::ReloadCounters,
};

/// Reads the configuration: the file, the environment, and the command line, which overrides both.
pub type Source = dyn Fn() -> Result<LoadedConfig, Vec<Diagnostic>> + Send + Sync;

/// What a reload changed, by bridge name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReloadChanges {
    /// New bridges.
    pub started: Vec<String>,
    /// Removed bridges.
    pub stopped: Vec<String>,
    /// Bridges that changed, or that were down and are retried.
    pub restarted: Vec<String>,
    /// Bridges that keep their session.
    pub kept: Vec<String>,
    /// Bridges whose tools are no longer published, because their server is down.
    pub dropped: Vec<String>,
}

/// Reads and applies the configuration.
pub struct ConfigReloader {
    /// Reads the configuration.
    source: Box<Source>,
    /// The bridges that it is applied to.
    registry: Arc<BridgeRegistry>,
    /// The settings that it is applied to.
    settings: Arc<ArcSwap<ReloadableSettings>>,
    /// The data sources of the settings.
    sources: AuthSources,
    /// The files to watch; `None` if no file is watched.
    watch: std::sync::Mutex<Option<ConfigWatcher>>,
    /// One reload at a time.
    turn: tokio::sync::Mutex<()>,
    /// Counts the reloads.
    pub reloads: ReloadCounters,
}

impl std::fmt::Debug for ConfigReloader {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("ConfigReloader")
            .finish_non_exhaustive()
    }
}

impl ConfigReloader {
    /// A reloader that applies changes to these bridges and these settings.
    pub fn new(
        source: Box<Source>,
        registry: Arc<BridgeRegistry>,
        settings: Arc<ArcSwap<ReloadableSettings>>,
        sources: AuthSources,
    ) -> Self {
        Self {
            source,
            registry,
            settings,
            sources,
            watch: std::sync::Mutex::default(),
            turn: tokio::sync::Mutex::default(),
            reloads: ReloadCounters::default(),
        }
    }

    /// Reloads on every change that `watch` sees and whenever `asked` is notified, until `stop`.
    pub async fn run(
        self: Arc<Self>,
        watch: Option<ConfigWatcher>,
        asked: Arc<Notify>,
        stop: CancellationToken,
    ) {
        let mut own = watch.clone();
        *self.watch.lock().unwrap_or_else(PoisonError::into_inner) = watch;
        loop {
            let changed = async {
                match &mut own {
                    Some(watch) => watch.changed().await.is_some(),
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                is_alive = changed => if !is_alive { own = None; continue },
                () = asked.notified() => {}
                () = stop.cancelled() => return,
            }
            match self.reload().await {
                Ok(applied) => tracing::info!(
                    started = ?applied.started,
                    stopped = ?applied.stopped,
                    restarted = ?applied.restarted,
                    kept = applied.kept.len(),
                    "the configuration was reloaded"
                ),
                Err(problems) => tracing::error!(
                    %problems,
                    "the changed configuration has errors; the old one stays in effect"
                ),
            }
        }
    }

    /// Reads the configuration and applies what changed. The error contains all diagnostics as
    /// text.
    pub async fn reload(&self) -> Result<ReloadChanges, String> {
        let _turn = self.turn.lock().await;
        let loaded = (self.source)();
        self.reloads.note(loaded.is_ok());
        let loaded = loaded.map_err(|problems| render(&problems))?;
        self.registry.redactor().set_configured(loaded.secrets());
        for warning in &loaded.warnings {
            warning.log();
        }
        let old = self.registry.config();
        if old.flavor != loaded.config.flavor {
            let reason = "the file changed between native and mcpo format: restart the process";
            return Err(reason.to_owned());
        }
        let changes = plan(&old, &loaded.config);
        let new = Arc::new(in_force(&old, loaded.config));
        if changes.is_empty() {
            tracing::debug!("the configuration is unchanged");
        }
        if !changes.after_restart.is_empty() {
            tracing::warn!(
                settings = changes.after_restart.join(", "),
                "some changed settings take effect only after a restart of the process"
            );
        }
        self.registry.apply(&new, &changes);
        self.renew_settings(&new);
        if let Some(watch) = &*self.watch.lock().unwrap_or_else(PoisonError::into_inner) {
            watch.follow(loaded.sources);
        }
        Ok(ReloadChanges {
            started: names(&changes.start),
            stopped: names(&changes.stop),
            restarted: names(&changes.restart),
            kept: names(&changes.keep),
            dropped: Vec::new(),
        })
    }

    /// Replaces the settings. A background task adds new entries of `[access.groups]` to the
    /// database.
    fn renew_settings(&self, config: &Arc<Config>) {
        let old = self.settings.load_full();
        let new = old.renewed(Arc::clone(config), &self.sources);
        self.settings.store(Arc::new(new));
        let Some(store) = self.sources.store.clone() else {
            return;
        };
        let (before, after) = (&old.config.access, &config.access);
        if before.groups == after.groups
            && before.admins == after.admins
            && before.admin_groups == after.admin_groups
        {
            return;
        }
        let access = config.access.clone();
        self.sources.tracker.spawn(async move {
            if let Err(error) = store.seed(&access).await {
                tracing::warn!(
                    "the changes of [access] could not be written to the database; restart to try again: {error}"
                );
            }
        });
    }

    /// What [`Self::reload`] would change now, with all warnings; or the errors that would stop it.
    pub fn preview(&self) -> Result<(ReloadPlan, Vec<Diagnostic>), Vec<Diagnostic>> {
        let loaded = (self.source)()?;
        Ok((
            plan(&self.registry.config(), &loaded.config),
            loaded.warnings,
        ))
    }

    /// Reloads, and retries bridges that are down without their delay. Waits for the outcome. With
    /// `drop_dead`, or if the configuration says so, the tools of bridges that are still down are no
    /// longer published.
    pub async fn refresh(&self, drop_dead: Option<bool>) -> Result<ReloadChanges, String> {
        let mut applied = self.reload().await?;
        let roster = self.registry.roster().clone();
        let mut restarts = Vec::new();
        for bridge in roster.bridges() {
            if matches!(
                bridge.status().phase,
                BridgePhase::BackingOff | BridgePhase::Failed
            ) {
                restarts.push(bridge.restart());
                let name = bridge.name().to_string();
                applied.kept.retain(|kept| *kept != name);
                applied.restarted.push(name);
            }
        }
        futures::future::join_all(restarts).await;
        self.registry.settled().await;
        if drop_dead.unwrap_or(self.registry.config().server.drop_dead) {
            let roster = self.registry.roster().clone();
            let bridges = roster.bridges().iter();
            let dropped = bridges.filter(|bridge| bridge.drop_dead_tools());
            applied.dropped = dropped.map(|bridge| bridge.name().to_string()).collect();
            // The documents are built anew without them.
            self.registry.settled().await;
        }
        Ok(applied)
    }
}

/// All diagnostics as one text.
fn render(problems: &[Diagnostic]) -> String {
    let texts: Vec<String> = problems.iter().map(ToString::to_string).collect();
    texts.join("\n\n")
}

/// Names as text.
fn names(names: &[BridgeName]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}
