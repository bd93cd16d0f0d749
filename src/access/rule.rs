//! The results of a decision: [`AccessRule`], [`CallAuthorization`], [`AccessRefusal`].

use std::{fmt, sync::Arc};

use crate::name::{BridgeName, ToolName};

/// The rule that decided, as named in the audit trail and by `explain`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccessRule {
    /// The program's own commands, whose user has the configuration.
    Operator,
    /// No access rules are configured: every authenticated caller may call everything.
    Open,
    /// Only this machine can connect, and no authentication is configured.
    Loopback,
    /// A member of a group of administrators.
    AdminGroup(Arc<str>),
    /// A grant of this group.
    Grant(Arc<str>),
    /// A grant of this group that is limited to some tools, including this one.
    NarrowedGrant(Arc<str>),
    /// None of the caller's groups has a grant.
    NoGrant,
    /// There are grants, but none of them includes this tool.
    Narrowed,
}

/// The names in the audit trail: `grant developers`, `no_grant`.
impl fmt::Display for AccessRule {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Operator => formatter.write_str("operator"),
            Self::Open => formatter.write_str("open"),
            Self::Loopback => formatter.write_str("loopback"),
            Self::AdminGroup(group) => write!(formatter, "admin_group {group}"),
            Self::Grant(group) => write!(formatter, "grant {group}"),
            Self::NarrowedGrant(group) => write!(formatter, "narrowed_grant {group}"),
            Self::NoGrant => formatter.write_str("no_grant"),
            Self::Narrowed => formatter.write_str("narrowed"),
        }
    }
}

impl AccessRule {
    /// Whether it allows the call.
    pub fn allows(&self) -> bool {
        !matches!(self, Self::NoGrant | Self::Narrowed)
    }
}

/// Proves that [`super::Permissions::authorize`] allowed this tool of this bridge. Only this module can
/// create one.
#[derive(Debug)]
pub struct CallAuthorization {
    /// The rule that allowed the call.
    pub rule: AccessRule,
    /// The requested bridge.
    bridge: BridgeName,
    /// The requested tool, by the server's name.
    tool: ToolName,
}

impl CallAuthorization {
    /// Creates a grant. The rule must allow the call.
    pub(super) fn new(rule: AccessRule, bridge: &BridgeName, tool: &ToolName) -> Self {
        Self {
            rule,
            bridge: bridge.clone(),
            tool: tool.clone(),
        }
    }

    /// Whether it was given for this tool of this bridge, by the server's name of the tool.
    pub fn is_for(&self, bridge: &BridgeName, tool: &ToolName) -> bool {
        self.bridge == *bridge && self.tool == *tool
    }
}

/// A refused call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessRefusal {
    /// The rule that refused it.
    pub rule: AccessRule,
    /// The groups that would allow it. Empty for a caller who is not an administrator, because they
    /// may not know the groups.
    pub allowing: Vec<String>,
}
