//! [`BridgeCommand`]: what other tasks tell the supervisor of a bridge.

/// The commands to a bridge's task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BridgeCommand {
    /// A call wants a session.
    Wake,
    /// End the session and reconnect immediately.
    Restart,
}
