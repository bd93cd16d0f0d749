//! [`Bridge`]: the cheap handle that the rest of the program holds.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use tokio::sync::{Notify, mpsc};

use super::{
    command::BridgeCommand,
    connector::SessionFactory,
    context::BridgeContext,
    error::CallFailure,
    known::KnownTools,
    limits::CallLimits,
    owner_failures::OwnerFailures,
    publishing::ToolPublisher,
    sessions::SessionPool,
    status::{BridgePhase, BridgeStatus, off},
    status_channel::StatusChannel,
};
use crate::{
    config::{self, BridgeAvailability, Config},
    credential::CredentialError,
    mcp::{AnswerLimits, LastOutput, ServerInfo},
    name::BridgeName,
    store::StoreError,
    telemetry::BridgeCounters,
};
use tokio_util::sync::CancellationToken;

/// The live state of a bridge. Its sessions write it; all others read it.
#[derive(Debug)]
pub struct BridgeState {
    /// The last known tools. They stay while the server is down.
    pub tools: ToolPublisher,
    /// What the server last reported about itself.
    pub server: ArcSwapOption<ServerInfo>,
    /// The last output of the last child process.
    pub last_words: ArcSwapOption<LastOutput>,
}

/// A bridge, as the rest of the program sees it.
#[derive(Debug)]
pub struct Bridge {
    /// The configuration.
    pub config: Arc<config::BridgeSettings>,
    /// What its sessions publish.
    pub live: BridgeState,
    /// The counters for metrics.
    pub tally: Arc<BridgeCounters>,
    /// Opens sessions.
    pub(super) factory: Arc<SessionFactory>,
    /// The sessions.
    pub(super) pool: SessionPool,
    /// Why owners get no session for a while.
    pub(super) failures: OwnerFailures,
    /// Calls that run, wait, or check their arguments.
    pub(super) limits: CallLimits,
    /// The status.
    pub(super) status: StatusChannel,
    /// Sends commands to the task.
    commands: mpsc::Sender<BridgeCommand>,
}

impl Bridge {
    /// Creates a bridge whose task is not running yet. Also returns the receiver of its commands.
    /// The sessions end when `stop` is canceled; `changed` is woken when the published tools or the
    /// status change.
    pub(super) fn new(
        bridge: &config::BridgeSettings,
        config: &Config,
        context: &BridgeContext,
        stop: CancellationToken,
        changed: &Arc<Notify>,
    ) -> (Self, mpsc::Receiver<BridgeCommand>) {
        let (commands, inbox) = mpsc::channel(16);
        let status = match off(bridge) {
            None => BridgeStatus::plain(BridgePhase::Starting),
            Some(reason) => BridgeStatus::disabled(reason),
        };
        let bounds = AnswerLimits {
            result_bytes_max: config.limits.result_bytes_max,
            tools_bytes_max: config.limits.tools_bytes_max,
        };
        let own = Arc::new(bridge.clone());
        let context = context.clone();
        let pool = SessionPool::new(own.sessions_max, own.session_idle, own.idle_stop);
        let factory = SessionFactory::new(&own, context.clone(), bounds, stop);
        let bridge = Self {
            live: BridgeState {
                tools: ToolPublisher::new(&own, config.flavor, context, Arc::clone(changed)),
                server: ArcSwapOption::empty(),
                last_words: ArcSwapOption::empty(),
            },
            tally: Arc::default(),
            factory: Arc::new(factory),
            pool,
            failures: OwnerFailures::new(),
            limits: CallLimits::new(&own),
            status: StatusChannel::new(status, Arc::clone(changed)),
            commands,
            config: own,
        };
        (bridge, inbox)
    }

    /// Takes over the counters of the bridge that this one replaces, and its tools if both publish
    /// the same ones. They stay published while the new session starts.
    pub(super) fn take_over(&mut self, old: &Self) {
        self.tally = Arc::clone(&old.tally);
        let (own, former) = (&self.config, &old.config);
        let is_alike = own.tools == former.tools
            && own.rename == former.rename
            && own.aliases == former.aliases;
        if is_alike && off(own).is_none() {
            self.live.tools.take_over(&old.live.tools);
            self.live.server.store(old.live.server.load_full());
        }
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
        let known = self.live.tools.load_full();
        let is_down = matches!(
            self.status.phase(),
            BridgePhase::BackingOff | BridgePhase::Failed
        );
        is_down && !known.entries.is_empty() && self.live.tools.withdraw(&known)
    }

    /// What is known of the tools: the published ones, or, before the first list of this run, those
    /// that the database has from an earlier one. `None`: nothing is known yet.
    pub async fn known_tools(&self) -> Result<Option<KnownTools>, StoreError> {
        self.live.tools.known().await
    }

    /// Whether the bridge is enabled: not disabled by the operator, no variable missing, and logged
    /// in if it waits for a login.
    pub fn is_on(&self) -> bool {
        self.status.phase() != BridgePhase::Disabled
    }

    /// Whether the bridge is on; if not, what it waits for.
    pub fn standing(&self) -> BridgeAvailability {
        if self.is_on() {
            BridgeAvailability::On
        } else {
            self.config.availability_while_off()
        }
    }

    /// The current status.
    pub fn status(&self) -> BridgeStatus {
        self.status.get()
    }

    /// The number of attempts to connect that have finished, successful or not. All after the first
    /// are restarts.
    pub fn attempts(&self) -> u64 {
        self.status.attempts()
    }

    /// Makes the task end the session and reconnect, and waits for the outcome.
    pub async fn restart(&self) {
        let before = self.status.attempts();
        self.reconnect();
        self.status.attempted(before + 1).await;
    }

    /// Makes the task end the session and reconnect, without waiting.
    pub fn reconnect(&self) {
        self.tell(BridgeCommand::Restart);
    }

    /// Whether the first attempt to connect has finished.
    pub fn is_settled(&self) -> bool {
        self.status.is_settled()
    }

    /// Waits until the first attempt to connect has finished.
    pub async fn settled(&self) {
        self.status.attempted(1).await;
    }

    /// Waits for the first session, or until the server's program has failed to start; then returns
    /// the reason.
    pub async fn failed_to_start(&self) -> Option<String> {
        self.status.failed_to_start().await
    }

    /// Sends a command. If the inbox is full, it already contains such a command.
    pub(super) fn tell(&self, command: BridgeCommand) {
        if let Err(error) = self.commands.try_send(command) {
            tracing::debug!(bridge.name = %self.name(), %error, "the inbox of the bridge is full or closed; the command was dropped");
        }
    }

    /// The failure of a call in a status that allows no calls.
    pub fn unavailable(&self, status: &BridgeStatus) -> CallFailure {
        CallFailure::of_status(&self.config, status)
    }

    /// The failure of a call of a caller who has no usable credential.
    pub fn denied(&self, denied: CredentialError) -> CallFailure {
        CallFailure::denied(&self.config, denied)
    }
}
