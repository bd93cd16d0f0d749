//! [`Failure`]: why a call has no result, and [`SessionOpenError`]: why a session could not be opened.

use super::status::{Fault, Phase, Status};
use crate::{
    config::{self, CredentialKind},
    credential::Denied,
    mcp::{CallError, ConnectError, NoToken},
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
pub(super) enum SessionOpenError {
    /// The owner has no credential for the server.
    Denied(Denied),
    /// Connecting to the server failed.
    Connect(ConnectError),
}

impl Failure {
    /// The failure of a call of an owner for whom no session could be opened.
    pub(super) fn unopened(config: &config::Bridge, error: SessionOpenError) -> Self {
        let bridge = config.name.to_string();
        match error {
            SessionOpenError::Denied(denied) => Self::denied(config, denied),
            SessionOpenError::Connect(ConnectError::NoToken(why)) => Self::no_token(config, &why),
            SessionOpenError::Connect(error @ ConnectError::Auth(..)) => Self::Refused {
                bridge,
                reason: error.to_string(),
            },
            SessionOpenError::Connect(error) => Self::Unavailable {
                bridge,
                reason: error.to_string(),
                retry_after: 5,
            },
        }
    }

    /// The failure of a call of an owner who has no usable credential.
    pub(super) fn denied(config: &config::Bridge, denied: Denied) -> Self {
        let bridge = config.name.to_string();
        match denied {
            Denied::NoKeys(reason) => Self::NoCredential { bridge, reason },
            Denied::Unusable(reason) => Self::Unavailable {
                bridge,
                reason,
                retry_after: 60,
            },
        }
    }

    /// The failure of a call without a token for the server.
    pub(super) fn no_token(config: &config::Bridge, why: &NoToken) -> Self {
        let bridge = config.name.to_string();
        let reason = why.to_string();
        match (why, config.credential) {
            (NoToken::Refused(_), _) => Self::Refused { bridge, reason },
            (NoToken::Unavailable(_), _) => Self::Unavailable {
                bridge,
                reason,
                retry_after: 5,
            },
            (NoToken::NeedsLogin(_) | NoToken::NeedsScope(_), CredentialKind::Caller) => {
                Self::ConnectRequired { bridge, reason }
            }
            (
                NoToken::NeedsLogin(_) | NoToken::NeedsScope(_),
                CredentialKind::Shared | CredentialKind::Group,
            ) => Self::NeedsLogin { bridge, reason },
        }
    }

    /// The failure of a call in a status that allows no calls.
    pub(super) fn of_status(config: &config::Bridge, status: &Status) -> Self {
        let bridge = config.name.to_string();
        let reason = status.reason.clone().unwrap_or_else(|| match status.phase {
            Phase::Starting | Phase::Idle => "its server is still starting".to_owned(),
            Phase::Ready
            | Phase::Disabled
            | Phase::NeedsLogin
            | Phase::BackingOff
            | Phase::Failed => "the connection to its server was lost".to_owned(),
        });
        match status.phase {
            Phase::Disabled => Self::Disabled(bridge, reason),
            Phase::NeedsLogin => match config.credential {
                CredentialKind::Caller => Self::ConnectRequired { bridge, reason },
                CredentialKind::Group => Self::NoCredential { bridge, reason },
                CredentialKind::Shared => Self::NeedsLogin { bridge, reason },
            },
            Phase::BackingOff | Phase::Failed if status.fault == Some(Fault::Refused) => {
                Self::Refused { bridge, reason }
            }
            Phase::Starting | Phase::Ready | Phase::Idle | Phase::BackingOff | Phase::Failed => {
                Self::Unavailable {
                    bridge,
                    reason,
                    retry_after: status.retry_after(),
                }
            }
        }
    }
}
