//! [`Owner`]: on whose behalf a session is held.

use std::sync::Arc;

use crate::{
    auth::{Caller, Proof},
    config::DEFAULT_WORKSPACE,
    store::AccountKey,
};

/// On whose behalf a session is held, and whose credential its server is shown.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Owner {
    /// Everybody's.
    Shared,
    /// A group's: its keys stand in the database. Other keys are another owner.
    Group {
        /// The group.
        name: Arc<str>,
        /// Changes with its keys.
        revision: u64,
    },
    /// A caller's own.
    Caller {
        /// Their workspace.
        workspace: Arc<str>,
        /// `user:E-MAIL`, or `key:NAME` of an API key.
        subject: Arc<str>,
    },
}

impl Owner {
    /// The caller themselves; `None` for whoever may be anybody.
    pub fn caller(caller: &Caller) -> Option<Self> {
        let kind = match caller.proof {
            Proof::Anonymous => return None,
            Proof::ApiKey => "key",
            // Without proof there is one person: whoever sits at this machine.
            Proof::Loopback | Proof::Operator => "local",
            Proof::Session
            | Proof::SessionKey
            | Proof::SignedHeader
            | Proof::ForwardedHeaders
            | Proof::Gateway
            | Proof::Oidc => "user",
        };
        // Whoever holds a key that vouches for others is nobody of them.
        if caller.vouches || caller.id.is_empty() {
            return None;
        }
        let subject = match kind {
            "local" => "local".to_owned(),
            kind => format!("{kind}:{}", caller.id),
        };
        Some(Self::Caller {
            workspace: Arc::clone(&caller.workspace),
            subject: subject.into(),
        })
    }

    /// Where the tokens of a bridge stand for this owner; a group has none.
    pub fn account(&self, bridge: &str) -> Option<AccountKey> {
        let (workspace, subject) = match self {
            Self::Shared => (DEFAULT_WORKSPACE, ""),
            Self::Caller { workspace, subject } => (&**workspace, &**subject),
            Self::Group { .. } => return None,
        };
        Some(AccountKey {
            workspace: workspace.to_owned(),
            bridge: bridge.to_owned(),
            subject: subject.to_owned(),
        })
    }
}
