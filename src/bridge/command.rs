//! [`Command`]: what other tasks tell the supervisor of a bridge.

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
