//! [`Reloader`]: reads the configuration anew and applies what changed. A bad file changes nothing.

use std::sync::{Arc, PoisonError};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::registry::Registry;
use crate::{
    bridge::Phase,
    config::{Config, Diagnostic, Loaded, Plan, Watch, in_force, plan},
    name::BridgeName,
    telemetry::Reloads,
};

/// Reads the configuration: the file, the environment, the command line's word over both.
pub type Source = dyn Fn() -> Result<Loaded, Vec<Diagnostic>> + Send + Sync;

/// What others do when the configuration changed.
type Listener = dyn Fn(&Arc<Config>) + Send + Sync;

/// What a reload did, by bridge name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Applied {
    /// Bridges that are new.
    pub started: Vec<String>,
    /// Bridges that are gone.
    pub stopped: Vec<String>,
    /// Bridges that changed, or were down and are tried again.
    pub restarted: Vec<String>,
    /// Bridges that keep their session.
    pub kept: Vec<String>,
    /// Bridges whose tools were taken out of what is published, because their server is down.
    pub dropped: Vec<String>,
}

/// Reads and applies.
pub struct Reloader {
    /// Where the configuration comes from.
    source: Box<Source>,
    /// What it is applied to.
    registry: Arc<Registry>,
    /// Who else hears of it.
    listener: Box<Listener>,
    /// The files to watch; `None` where nothing is watched.
    watch: std::sync::Mutex<Option<Watch>>,
    /// One reload at a time.
    turn: tokio::sync::Mutex<()>,
    /// What came of them.
    pub reloads: Reloads,
}

impl std::fmt::Debug for Reloader {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Reloader").finish_non_exhaustive()
    }
}

impl Reloader {
    /// A reloader; `listener` is told of every configuration that was applied.
    pub fn new(source: Box<Source>, registry: Arc<Registry>, listener: Box<Listener>) -> Self {
        Self {
            source,
            registry,
            listener,
            watch: std::sync::Mutex::default(),
            turn: tokio::sync::Mutex::default(),
            reloads: Reloads::default(),
        }
    }

    /// Reloads on every change that `watch` sees and every time `asked` is woken, until `stop`.
    pub async fn run(
        self: Arc<Self>,
        watch: Option<Watch>,
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
                    "the configuration was read anew"
                ),
                Err(problems) => tracing::error!(
                    %problems,
                    "the changed configuration has errors; the old one stays in force"
                ),
            }
        }
    }

    /// Reads the configuration and applies what changed. The error is every diagnostic, rendered.
    pub async fn reload(&self) -> Result<Applied, String> {
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
            let reason =
                "the file changed to a form that is served by other rules: restart the process";
            return Err(reason.to_owned());
        }
        let changes = plan(&old, &loaded.config);
        let new = Arc::new(in_force(&old, loaded.config));
        if changes.is_empty() {
            tracing::debug!("the configuration says what it said before");
        }
        if !changes.after_restart.is_empty() {
            tracing::warn!(
                settings = changes.after_restart.join(", "),
                "settings changed that apply after a restart of the process"
            );
        }
        self.registry.apply(&new, &changes);
        (self.listener)(&new);
        if let Some(watch) = &*self.watch.lock().unwrap_or_else(PoisonError::into_inner) {
            watch.follow(loaded.sources);
        }
        Ok(Applied {
            started: names(&changes.start),
            stopped: names(&changes.stop),
            restarted: names(&changes.restart),
            kept: names(&changes.keep),
            dropped: Vec::new(),
        })
    }

    /// What [`Self::reload`] would change now, with all warnings; or the errors that it would meet.
    pub fn preview(&self) -> Result<(Plan, Vec<Diagnostic>), Vec<Diagnostic>> {
        let loaded = (self.source)()?;
        Ok((
            plan(&self.registry.config(), &loaded.config),
            loaded.warnings,
        ))
    }

    /// [`Self::reload`], and tries at once what is down. Waits until that is settled. Where `drop_dead`
    /// or else the configuration says so, the tools of what is still down are published no longer.
    pub async fn refresh(&self, drop_dead: Option<bool>) -> Result<Applied, String> {
        let mut applied = self.reload().await?;
        let roster = self.registry.roster().clone();
        let mut restarts = Vec::new();
        for bridge in roster.bridges() {
            if matches!(bridge.status().phase, Phase::BackingOff | Phase::Failed) {
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
