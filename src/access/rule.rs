//! What a decision says: [`Rule`], [`Grant`], [`Denial`].

use std::{fmt, sync::Arc};

use crate::name::{BridgeName, ToolName};

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

/// The words of the audit trail: `grant developers`, `no_grant`.
impl fmt::Display for Rule {
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

impl Rule {
    /// Whether it lets the call pass.
    pub fn allows(&self) -> bool {
        !matches!(self, Self::NoGrant | Self::Narrowed)
    }
}

/// The proof that [`super::View::authorise`] said yes, to this tool of this bridge. Only this
/// module makes one.
#[derive(Debug)]
pub struct Grant {
    /// The rule that allowed it.
    pub rule: Rule,
    /// The bridge that was asked for.
    bridge: BridgeName,
    /// The tool that was asked for, as its server calls it.
    tool: ToolName,
}

impl Grant {
    /// A yes; the rule must be one that allows.
    pub(super) fn new(rule: Rule, bridge: &BridgeName, tool: &ToolName) -> Self {
        Self {
            rule,
            bridge: bridge.clone(),
            tool: tool.clone(),
        }
    }

    /// Whether it was given for this tool, by the server's name, of this bridge.
    pub fn is_for(&self, bridge: &BridgeName, tool: &ToolName) -> bool {
        self.bridge == *bridge && self.tool == *tool
    }
}

/// No.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    /// The rule that refused it.
    pub rule: Rule,
    /// The groups that would allow it. Empty for whoever may not administer: it is not theirs to
    /// know.
    pub allowing: Vec<String>,
}
