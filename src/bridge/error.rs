//! [`CallFailure`]: why a call has no result, and [`SessionOpenError`]: why a session could not be opened.

use super::status::{BridgeFault, BridgePhase, BridgeStatus};
use crate::{
    config::{self, CredentialScope},
    credential::CredentialError,
    mcp::{CallError, ConnectError, TokenError},
};

/// Why a call has no result.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CallFailure {
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

impl CallFailure {
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
    Denied(CredentialError),
    /// Connecting to the server failed.
    Connect(ConnectError),
}

impl CallFailure {
    /// The failure of a call of an owner for whom no session could be opened.
    pub(super) fn unopened(config: &config::BridgeSettings, error: SessionOpenError) -> Self {
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
    pub(super) fn denied(config: &config::BridgeSettings, denied: CredentialError) -> Self {
        let bridge = config.name.to_string();
        match denied {
            CredentialError::NoKeys(reason) => Self::NoCredential { bridge, reason },
            CredentialError::Unusable(reason) => Self::Unavailable {
                bridge,
                reason,
                retry_after: 60,
            },
        }
    }

    /// The failure of a call without a token for the server.
    pub(super) fn no_token(config: &config::BridgeSettings, why: &TokenError) -> Self {
        let bridge = config.name.to_string();
        let reason = why.to_string();
        match (why, config.credential) {
            (TokenError::Refused(_), _) => Self::Refused { bridge, reason },
            (TokenError::Unavailable(_), _) => Self::Unavailable {
                bridge,
                reason,
                retry_after: 5,
            },
            (TokenError::NeedsLogin(_) | TokenError::NeedsScope(_), CredentialScope::Caller) => {
                Self::ConnectRequired { bridge, reason }
            }
            (
                TokenError::NeedsLogin(_) | TokenError::NeedsScope(_),
                CredentialScope::Shared | CredentialScope::Group,
            ) => Self::NeedsLogin { bridge, reason },
        }
    }

    /// The failure of a call in a status that allows no calls.
    pub(super) fn of_status(config: &config::BridgeSettings, status: &BridgeStatus) -> Self {
        let bridge = config.name.to_string();
        let reason = status.reason.clone().unwrap_or_else(|| match status.phase {
            BridgePhase::Starting | BridgePhase::Idle => "its server is still starting".to_owned(),
            BridgePhase::Ready
            | BridgePhase::Disabled
            | BridgePhase::NeedsLogin
            | BridgePhase::BackingOff
            | BridgePhase::Failed => "the connection to its server was lost".to_owned(),
        });
        match status.phase {
            BridgePhase::Disabled => Self::Disabled(bridge, reason),
            BridgePhase::NeedsLogin => match config.credential {
                CredentialScope::Caller => Self::ConnectRequired { bridge, reason },
                CredentialScope::Group => Self::NoCredential { bridge, reason },
                CredentialScope::Shared => Self::NeedsLogin { bridge, reason },
            },
            BridgePhase::BackingOff | BridgePhase::Failed
                if status.fault == Some(BridgeFault::Refused) =>
            {
                Self::Refused { bridge, reason }
            }
            BridgePhase::Starting
            | BridgePhase::Ready
            | BridgePhase::Idle
            | BridgePhase::BackingOff
            | BridgePhase::Failed => Self::Unavailable {
                bridge,
                reason,
                retry_after: status.retry_after(),
            },
        }
    }
}
