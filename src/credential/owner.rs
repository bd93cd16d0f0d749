//! [`SessionOwner`]: the owner of a session.

use std::sync::Arc;

use crate::{
    auth::{AuthenticationMethod, Caller},
    config::DEFAULT_WORKSPACE,
    store::AccountKey,
};

/// The owner of a session, whose credentials its server gets.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum SessionOwner {
    /// All callers share the session.
    Shared,
    /// A group whose keys are stored in the database. After a change of the keys it is a different
    /// owner.
    Group {
        /// The group.
        name: Arc<str>,
        /// Changes with the group's keys.
        revision: u64,
    },
    /// One caller.
    Caller {
        /// Their workspace.
        workspace: Arc<str>,
        /// `user:EMAIL`, or `key:NAME` for an API key.
        subject: Arc<str>,
    },
}

impl SessionOwner {
    /// The caller as an owner; `None` if the caller is not identified.
    pub fn caller(caller: &Caller) -> Option<Self> {
        let kind = match caller.proof {
            AuthenticationMethod::Anonymous => return None,
            AuthenticationMethod::ApiKey => "key",
            // Without authentication there is only the user of this machine.
            AuthenticationMethod::Loopback | AuthenticationMethod::Operator => "local",
            AuthenticationMethod::Session
            | AuthenticationMethod::SessionKey
            | AuthenticationMethod::SignedHeader
            | AuthenticationMethod::ForwardedHeaders
            | AuthenticationMethod::Gateway
            | AuthenticationMethod::Oidc => "user",
        };
        // The holder of a forwarding key that named no user is not one of the users it acts for.
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

    /// The key of this owner's account for a bridge; a group has none.
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
