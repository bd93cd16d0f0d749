//! [`Failure`]: why a call has no result, and [`Unopened`]: why a session could not be opened.

use crate::{
    credential::Denied,
    mcp::{CallError, ConnectError},
};

/// Why a call has no result.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Failure {
    /// The grant is for another tool. This is a defect of the bridge itself; no call is made.
    #[error("the grant is not for tool `{1}` of bridge `{0}`")]
    NotGranted(String, String),
    /// The bridge is disabled.
    #[error("bridge `{0}` is disabled: {1}")]
    Disabled(String, String),
    /// The server is not connected.
    #[error("bridge `{bridge}` is not available: {reason}")]
    Unavailable {
        /// The bridge.
        bridge: String,
        /// Why.
        reason: String,
        /// Seconds until the next attempt.
        retry_after: u64,
    },
    /// The server rejects the bridge's credentials. A retry does not help.
    #[error("bridge `{bridge}` is not available: {reason}")]
    Refused {
        /// The bridge.
        bridge: String,
        /// Why.
        reason: String,
    },
    /// An administrator must log in to the shared account, or log in again with more scopes.
    #[error(
        "bridge `{bridge}` waits for a login: {reason}; an administrator runs `mcp-bridge login {bridge}`, or connects it on /admin"
    )]
    NeedsLogin {
        /// The bridge.
        bridge: String,
        /// Why.
        reason: String,
    },
    /// The caller must connect their own account.
    #[error("bridge `{bridge}` needs your own account there ({reason})")]
    ConnectRequired {
        /// The bridge.
        bridge: String,
        /// Why.
        reason: String,
    },
    /// The caller has no credential for the server and cannot get one by logging in.
    #[error("bridge `{bridge}` cannot act for you: {reason}")]
    NoCredential {
        /// The bridge.
        bridge: String,
        /// Why.
        reason: String,
    },
    /// All slots are taken and the queue is full.
    #[error("bridge `{0}` has {1} calls in flight and its queue is full; try again in a moment")]
    Busy(String, usize),
    /// The caller has used up its share of the slots and of the queue.
    #[error(
        "you have reached the limit of running and waiting calls for one caller of bridge `{0}`; wait until one of them has ended, then try again"
    )]
    OwnShare(String),
    /// The server was reached, or may have been.
    #[error(transparent)]
    Call(CallError),
}

impl Failure {
    /// Whether a login or group keys are needed before a call can succeed.
    pub(super) fn wants_login(&self) -> bool {
        matches!(
            self,
            Self::ConnectRequired { .. } | Self::NeedsLogin { .. } | Self::NoCredential { .. }
        )
    }
}

/// Why a session could not be opened.
#[derive(Debug, Clone)]
pub(super) enum Unopened {
    /// The owner has no credential for the server.
    Denied(Denied),
    /// Connecting to the server failed.
    Connect(ConnectError),
}
