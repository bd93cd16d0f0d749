//! [`Bridge`]: the cheap handle that the rest of the program holds.

use std::{sync::Arc, time::Duration};

use arc_swap::{ArcSwap, ArcSwapOption};
use tokio::{
    sync::{Notify, Semaphore, mpsc, watch},
    time::Instant,
};

use super::{
    call::Failure,
    gathered::Gathered,
    known::Notes,
    opener::Opener,
    pool::Pool,
    slots::{Queued, Slots},
    status::{Fault, Phase, Status},
    toolset::Toolset,
};
use crate::{
    config::{self, CredentialKind, Standing},
    mcp::{LastWords, ServerInfo, Session},
    name::BridgeName,
    rate::{CallerKey, Full},
    telemetry::Tally,
};

/// The commands to a bridge's task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Command {
    /// A call wants a session.
    Wake,
    /// End the session and reconnect immediately.
    Restart,
    /// A call found the session of this generation broken, for this reason.
    Suspect(u64, String),
    /// The server no longer accepts the token of the session of this generation.
    SignedOut(u64),
}

/// The live state of a bridge. Its task writes it; all others read it.
#[derive(Debug)]
pub struct Live {
    /// The session, while there is one.
    pub(super) session: ArcSwapOption<Lease>,
    /// The last known tools. They stay while the server is down.
    pub tools: ArcSwap<Toolset>,
    /// Flaws of the last tool list.
    pub(super) flaws: ArcSwap<Arc<[String]>>,
    /// What the server last reported about itself.
    pub server: ArcSwapOption<ServerInfo>,
    /// The last output of the last child process.
    pub last_words: ArcSwapOption<LastWords>,
}

/// A session with its generation.
#[derive(Debug)]
pub(super) struct Lease {
    /// Counts the sessions of a bridge.
    pub generation: u64,
    /// The session.
    pub session: Session,
}

/// A bridge, as the rest of the program sees it.
#[derive(Debug)]
pub struct Bridge {
    /// The configuration.
    pub config: config::Bridge,
    /// What the task publishes.
    pub live: Live,
    /// The counters for metrics.
    pub tally: Arc<Tally>,
    /// Opens sessions.
    pub(super) opener: Opener,
    /// The sessions that belong to one owner each.
    pub(super) pool: Pool,
    /// The tools that these sessions listed.
    pub(super) gathered: std::sync::Mutex<Gathered>,
    /// Stores the names of the published tools.
    pub(super) notes: Notes,
    /// Held while a tool list is published.
    pub(super) publishing: tokio::sync::Mutex<()>,
    /// The status.
    pub(super) status: watch::Sender<Status>,
    /// The number of attempts to connect that have finished. The attempt of a lazy bridge includes
    /// the disconnect that follows.
    pub(super) attempts: watch::Sender<u64>,
    /// Sends commands to the task.
    pub(super) commands: mpsc::Sender<Command>,
    /// Calls in flight, and those that wait for a slot or for the server.
    pub(super) slots: Arc<Slots>,
    /// Its share of the threads that check arguments.
    pub(super) checks: Arc<Semaphore>,
    /// When the last call ended.
    pub(super) last_call: std::sync::Mutex<Instant>,
    /// Woken when the published tools or the status change.
    pub(super) changed: Arc<Notify>,
}

impl Bridge {
    /// Creates a bridge whose task is not running yet. Also returns the receiver of its commands.
    pub(super) fn new(
        config: config::Bridge,
        opener: Opener,
        changed: Arc<Notify>,
    ) -> (Self, mpsc::Receiver<Command>) {
        let (commands, inbox) = mpsc::channel(16);
        let status = match off(&config) {
            None => Status::plain(Phase::Starting),
            Some(reason) => Status::disabled(reason),
        };
        let is_off = status.phase == Phase::Disabled;
        let bridge = Self {
            live: Live {
                session: ArcSwapOption::empty(),
                tools: ArcSwap::from_pointee(Toolset::default()),
                flaws: ArcSwap::from_pointee(Arc::default()),
                server: ArcSwapOption::empty(),
                last_words: ArcSwapOption::empty(),
            },
            tally: Arc::default(),
            status: watch::Sender::new(status),
            attempts: watch::Sender::new(u64::from(is_off)),
            commands,
            slots: Slots::new(config.concurrency, config.queue),
            checks: Arc::new(Semaphore::new(1)),
            last_call: std::sync::Mutex::new(Instant::now()),
            pool: Pool::new(config.sessions_max, config.session_idle),
            gathered: std::sync::Mutex::default(),
            notes: Notes::default(),
            publishing: tokio::sync::Mutex::default(),
            opener,
            changed,
            config,
        };
        (bridge, inbox)
    }

    /// The bridge's name.
    pub fn name(&self) -> &BridgeName {
        &self.config.name
    }

    /// The title for display in place of the bridge's name: the operator's title, or else the
    /// server's name for itself. It may contain a secret.
    pub fn title(&self) -> Option<String> {
        let own = || self.live.server.load().as_deref()?.name.clone();
        self.config.title.clone().or_else(own)
    }

    /// Stops publishing the tools while the server is down. Returns whether it did. The tools come
    /// back with the next session.
    pub fn drop_dead_tools(&self) -> bool {
        // Read this before the status: a new session that connects after this publishes another
        // value, which stays.
        let known = self.live.tools.load();
        let is_down = matches!(self.status().phase, Phase::BackingOff | Phase::Failed);
        if !is_down || known.entries.is_empty() {
            return false;
        }
        let empty = Arc::new(Toolset::default());
        let found = self.live.tools.compare_and_swap(&known, empty);
        let is_dropped = Arc::ptr_eq(&found, &known);
        self.changed.notify_one();
        is_dropped
    }

    /// Whether the bridge is enabled: not disabled by the operator, no variable missing, and logged
    /// in if it waits for a login.
    pub fn is_on(&self) -> bool {
        self.status.borrow().phase != Phase::Disabled
    }

    /// Whether the bridge is on; if not, what it waits for.
    pub fn standing(&self) -> Standing {
        if self.is_on() {
            Standing::On
        } else {
            self.config.standing_while_off()
        }
    }

    /// The current status.
    pub fn status(&self) -> Status {
        self.status.borrow().clone()
    }

    /// The number of attempts to connect that have finished, successful or not. All after the first
    /// are restarts.
    pub fn attempts(&self) -> u64 {
        *self.attempts.borrow()
    }

    /// Makes the task end the session and reconnect, and waits for the outcome.
    pub async fn restart(&self) {
        let before = *self.attempts.borrow();
        self.tell(Command::Restart);
        self.attempted(before + 1).await;
    }

    /// Makes the task end the session and reconnect, without waiting.
    pub fn reconnect(&self) {
        self.tell(Command::Restart);
    }

    /// Whether the first attempt to connect has finished.
    pub fn is_settled(&self) -> bool {
        // The status is set a moment before the attempt is counted.
        *self.attempts.borrow() > 0 || self.status.borrow().phase == Phase::Ready
    }

    /// Waits until the first attempt to connect has finished.
    pub async fn settled(&self) {
        self.attempted(1).await;
    }

    /// Waits for the first session, or until the server's program has failed to start; then returns
    /// the reason.
    pub async fn stillborn(&self) -> Option<String> {
        let mut status = self.status.subscribe();
        let outcome = status
            .wait_for(|it| {
                it.fault == Some(Fault::Stillborn) || matches!(it.phase, Phase::Ready | Phase::Idle)
            })
            .await;
        let status = outcome.ok()?;
        (status.fault == Some(Fault::Stillborn)).then(|| status.reason.clone())?
    }

    /// Waits until this many attempts have finished. `self` holds the sender, so the channel stays
    /// open.
    async fn attempted(&self, count: u64) {
        let mut attempts = self.attempts.subscribe();
        if attempts.wait_for(|made| *made >= count).await.is_err() {
            tracing::debug!(bridge.name = %self.name(), "the bridge is gone");
        }
    }

    /// Counts a finished attempt.
    pub(super) fn note_attempt(&self) {
        self.attempts.send_modify(|made| *made += 1);
        self.changed.notify_one();
    }

    /// How long ago the last call ended.
    pub(super) fn idle_for(&self) -> Duration {
        if self.slots.running() > 0 {
            return Duration::ZERO;
        }
        let last = self
            .last_call
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        last.elapsed()
    }

    /// Notes the end of a call.
    pub(super) fn touch(&self) {
        *self
            .last_call
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner) = Instant::now();
    }

    /// Sends a command. If the inbox is full, it already contains such a command.
    pub(super) fn tell(&self, command: Command) {
        if let Err(error) = self.commands.try_send(command) {
            tracing::debug!(bridge.name = %self.name(), %error, "the inbox of the bridge is full or closed; the command was dropped");
        }
    }

    /// Publishes a status.
    pub(super) fn set_status(&self, status: Status) {
        self.status.send_replace(status);
        self.changed.notify_one();
    }

    /// Counts a waiting caller, unless too many wait already.
    pub(super) fn queue(&self, caller: CallerKey) -> Result<Queued, Failure> {
        let queued = self.slots.wait(caller);
        queued.map_err(|full| self.busy(full))
    }

    /// The failure of a call for which there is no slot and no place in the queue.
    pub(super) fn busy(&self, full: Full) -> Failure {
        let name = self.name().to_string();
        match full {
            Full::All => Failure::Busy(name, self.config.concurrency),
            Full::Own => Failure::OwnShare(name),
        }
    }
}

/// Why a bridge is disabled. If each group brings its own keys, the configuration need not contain
/// any.
pub(super) fn off(config: &config::Bridge) -> Option<&str> {
    match &config.transport {
        Err(disabled) if config.credential != CredentialKind::Group || !config.is_enabled => {
            Some(&disabled.0)
        }
        Ok(_) | Err(_) => None,
    }
}
