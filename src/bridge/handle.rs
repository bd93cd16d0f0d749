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

/// What others ask of a bridge's task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Command {
    /// A call wants a session.
    Wake,
    /// End the session and connect anew, without waiting.
    Restart,
    /// A call found the session of this generation broken, and how.
    Suspect(u64, String),
    /// The token that the session of this generation showed counts no more.
    SignedOut(u64),
}

/// The live side of a bridge, written by its task and read by everyone.
#[derive(Debug)]
pub struct Live {
    /// The session, while there is one.
    pub(super) session: ArcSwapOption<Lease>,
    /// The last known tools; they stay while the server is down.
    pub tools: ArcSwap<Toolset>,
    /// What the last tool list could not hold.
    pub(super) flaws: ArcSwap<Arc<[String]>>,
    /// What the server last said of itself.
    pub server: ArcSwapOption<ServerInfo>,
    /// The last words of the last child.
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

/// A bridge, as callers see it.
#[derive(Debug)]
pub struct Bridge {
    /// What the operator wrote.
    pub config: config::Bridge,
    /// What its task publishes.
    pub live: Live,
    /// What is counted of it.
    pub tally: Arc<Tally>,
    /// Makes sessions.
    pub(super) opener: Opener,
    /// The sessions that belong to somebody.
    pub(super) pool: Pool,
    /// The tools that these were shown.
    pub(super) gathered: std::sync::Mutex<Gathered>,
    /// Keeps the names of the published tools in the database.
    pub(super) notes: Notes,
    /// One list is published at a time.
    pub(super) publishing: tokio::sync::Mutex<()>,
    /// Where it stands.
    pub(super) status: watch::Sender<Status>,
    /// Attempts to connect that have an outcome; the rest after a lazy one belongs to it.
    pub(super) attempts: watch::Sender<u64>,
    /// To its task.
    pub(super) commands: mpsc::Sender<Command>,
    /// Calls in flight, and those that wait for a slot or for the server.
    pub(super) slots: Arc<Slots>,
    /// Its part of the threads that check arguments.
    pub(super) checks: Arc<Semaphore>,
    /// When the last call ended.
    pub(super) last_call: std::sync::Mutex<Instant>,
    /// Woken when the published tools or the status changed.
    pub(super) changed: Arc<Notify>,
}

impl Bridge {
    /// A bridge whose task does not run yet, and the other end of its commands.
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

    /// What people read in place of the bridge's name: the operator's title, else what the server calls
    /// itself. It may hold a secret.
    pub fn title(&self) -> Option<String> {
        let own = || self.live.server.load().as_deref()?.name.clone();
        self.config.title.clone().or_else(own)
    }

    /// Takes its tools out of what is published while its server is down; says whether it did. They come
    /// back with its next session.
    pub(super) fn drop_dead_tools(&self) -> bool {
        // Read before the status: what a new session publishes after this is another value, and stays.
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

    /// Whether it is on: not switched off, nothing missing, and logged in where that is what it waits
    /// for.
    pub fn is_on(&self) -> bool {
        self.status.borrow().phase != Phase::Disabled
    }

    /// Whether it is on, and what it waits for where it is not.
    pub fn standing(&self) -> Standing {
        if self.is_on() {
            Standing::On
        } else {
            self.config.standing_while_off()
        }
    }

    /// Where it stands.
    pub fn status(&self) -> Status {
        self.status.borrow().clone()
    }

    /// How many attempts to connect came to an end, well or not; restarts are what is more than one.
    pub fn attempts(&self) -> u64 {
        *self.attempts.borrow()
    }

    /// Has its task end the session and connect anew, and waits for the outcome.
    pub async fn restart(&self) {
        let before = *self.attempts.borrow();
        self.tell(Command::Restart);
        self.attempted(before + 1).await;
    }

    /// Has its task end the session and connect anew, without waiting.
    pub fn reconnect(&self) {
        self.tell(Command::Restart);
    }

    /// Whether the first attempt to connect has an outcome.
    pub fn is_settled(&self) -> bool {
        // The status is set a moment before the attempt is counted.
        *self.attempts.borrow() > 0 || self.status.borrow().phase == Phase::Ready
    }

    /// Waits until the first attempt to connect has an outcome.
    pub async fn settled(&self) {
        self.attempted(1).await;
    }

    /// Waits for the first session, or for its program to be beyond hope: the reason.
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

    /// Waits until so many attempts have an outcome. The sender is ours, so it cannot go away.
    async fn attempted(&self, count: u64) {
        let mut attempts = self.attempts.subscribe();
        if attempts.wait_for(|made| *made >= count).await.is_err() {
            tracing::debug!(bridge.name = %self.name(), "the bridge is gone");
        }
    }

    /// Notes the outcome of an attempt.
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

    /// Sends a command; a full inbox holds one like it already.
    pub(super) fn tell(&self, command: Command) {
        if let Err(error) = self.commands.try_send(command) {
            tracing::debug!(bridge.name = %self.name(), %error, "a command to a bridge was left out");
        }
    }

    /// Publishes a status.
    pub(super) fn set_status(&self, status: Status) {
        self.status.send_replace(status);
        self.changed.notify_one();
    }

    /// Counts a caller that waits, unless too many do.
    pub(super) fn queue(&self, caller: CallerKey) -> Result<Queued, Failure> {
        let queued = self.slots.wait(caller);
        queued.map_err(|full| self.busy(full))
    }

    /// The refusal of a call for which there is no place.
    pub(super) fn busy(&self, full: Full) -> Failure {
        let name = self.name().to_string();
        match full {
            Full::All => Failure::Busy(name, self.config.concurrency),
            Full::Own => Failure::OwnShare(name),
        }
    }
}

/// Why a bridge is off. Where each group brings its own keys, nothing need be there before.
pub(super) fn off(config: &config::Bridge) -> Option<&str> {
    match &config.transport {
        Err(disabled) if config.credential != CredentialKind::Group || !config.is_enabled => {
            Some(&disabled.0)
        }
        Ok(_) | Err(_) => None,
    }
}
