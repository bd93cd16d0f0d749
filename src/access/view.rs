//! [`Permissions`]: a caller with their groups and grants. It decides without waiting.

use std::sync::Arc;

use super::{
    AccessRefusal, AccessRule, CallAuthorization,
    policy::{AccessPolicy, AccessRequest, AccessSubject, GroupSet},
    settings::GroupSettings,
};
use crate::{
    auth::{AuthenticationMethod, Caller},
    name::BridgeName,
    tool::Tool,
};

/// Where a group of a caller comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupSource {
    /// From the credentials: a gateway's header, a token, or the entry of an API key.
    Proof,
    /// From the bridge's tables.
    Table,
    /// From Open WebUI's tables, because the bridge's tables contain no group of this user.
    OpenWebUi,
    /// `access.default_groups`
    Default,
}

impl GroupSource {
    /// The name in `explain`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Proof => "proof",
            Self::Table => "table",
            Self::OpenWebUi => "open_webui",
            Self::Default => "default",
        }
    }
}

/// A caller with their groups and grants: everything that a decision needs.
#[derive(Debug, Clone)]
pub struct Permissions {
    /// The caller.
    caller: Arc<Caller>,
    /// What they may do.
    source: PermissionSource,
}

/// How decisions are made.
#[derive(Debug, Clone)]
enum PermissionSource {
    /// One rule allows everything.
    Free(AccessRule),
    /// Groups and grants.
    Bound(Arc<CallerMembership>),
}

/// The permissions that result from a caller's groups and grants.
#[derive(Debug)]
pub struct CallerMembership {
    /// The groups that apply.
    groups: Vec<Arc<str>>,
    /// Where each group comes from.
    origins: Vec<GroupSource>,
    /// The numbers of the groups that have grants.
    numbers: GroupSet,
    /// The first group whose members are administrators.
    admin_group: Option<Arc<str>>,
    /// `user_admin_status`
    is_marked: bool,
    /// The grants.
    pub(super) policy: Arc<AccessPolicy>,
    /// The access settings.
    pub(super) rules: Arc<GroupSettings>,
}

/// The explanation of a decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessExplanation {
    /// The caller's name in logs.
    pub caller: String,
    /// How they authenticated.
    pub proof: &'static str,
    /// Their e-mail address.
    pub email: Option<String>,
    /// Their workspace.
    pub workspace: String,
    /// Their groups, and where each comes from.
    pub groups: Vec<(String, GroupSource)>,
    /// Whether they are an administrator.
    pub is_admin: bool,
    /// The rule that decided.
    pub rule: AccessRule,
    /// The groups that would allow it.
    pub allowing: Vec<String>,
    /// Where the decision depends on whether the tool only reads, and that is not known: what it would be
    /// if it does.
    pub if_it_reads: Option<ReadOnlyDecision>,
}

/// What would decide if a tool were one that only reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadOnlyDecision {
    /// The rule that would decide.
    pub rule: AccessRule,
    /// The groups that would allow it then, besides the others.
    pub allowing: Vec<String>,
}

impl AccessExplanation {
    /// Whether it is allowed; `None` where that depends on whether the tool only reads.
    pub fn is_allowed(&self) -> Option<bool> {
        let is_allowed = self.rule.allows();
        match &self.if_it_reads {
            Some(other) if other.rule.allows() != is_allowed => None,
            Some(_) | None => Some(is_allowed),
        }
    }
}

impl Permissions {
    /// The operator who runs the program's own commands, and therefore has its configuration.
    pub fn operator() -> Self {
        Self::free(Arc::new(Caller::operator()), AccessRule::Operator)
    }

    /// A caller for whom one rule allows everything.
    pub(super) fn free(caller: Arc<Caller>, rule: AccessRule) -> Self {
        Self {
            caller,
            source: PermissionSource::Free(rule),
        }
    }

    /// A caller whose groups and grants decide.
    pub(super) fn bound(caller: Arc<Caller>, standing: Arc<CallerMembership>) -> Self {
        Self {
            caller,
            source: PermissionSource::Bound(standing),
        }
    }

    /// The caller.
    pub fn caller(&self) -> &Arc<Caller> {
        &self.caller
    }

    /// The groups that apply.
    pub fn groups(&self) -> &[Arc<str>] {
        match &self.source {
            PermissionSource::Free(_) => self.caller.groups.as_deref().unwrap_or_default(),
            PermissionSource::Bound(standing) => &standing.groups,
        }
    }

    /// Whether they are an administrator: by a group, by the bridge's tables, or by their
    /// credentials. Without access rules, every holder of a key and the user of this machine are
    /// administrators.
    pub fn is_admin(&self) -> bool {
        match (&self.source, self.caller.proof) {
            (_, AuthenticationMethod::Anonymous) => false,
            (_, AuthenticationMethod::Operator | AuthenticationMethod::Loopback) => true,
            (PermissionSource::Free(_), proof) => {
                proof == AuthenticationMethod::ApiKey || self.caller.is_admin
            }
            (PermissionSource::Bound(standing), _) => {
                standing.admin_group.is_some() || standing.is_marked || self.caller.is_admin
            }
        }
    }

    /// Whether they may call every tool.
    pub fn is_unbounded(&self) -> bool {
        match &self.source {
            PermissionSource::Free(_) => true,
            PermissionSource::Bound(standing) => standing.admin_group.is_some(),
        }
    }

    /// Decides whether they may call a tool. This is the only way to get a [`CallAuthorization`].
    pub fn authorize(
        &self,
        bridge: &BridgeName,
        tool: &Tool,
    ) -> Result<CallAuthorization, AccessRefusal> {
        self.checked(bridge, AccessRequest::Tool(tool))
            .map(|rule| CallAuthorization::new(rule, bridge, &tool.server_name))
    }

    /// Whether they may call a tool; for lists and documents.
    pub fn may_call(&self, bridge: &BridgeName, tool: &Tool) -> bool {
        self.decide(bridge, AccessRequest::Tool(tool)).allows()
    }

    /// Whether they may use any tool of a bridge. Other callers do not learn which tools it has.
    pub fn enter(&self, bridge: &BridgeName) -> Result<AccessRule, AccessRefusal> {
        self.checked(bridge, AccessRequest::Anything)
    }

    /// Whether they may learn that a bridge has no tool with this name.
    pub fn enter_for(&self, bridge: &BridgeName, tool: &str) -> Result<AccessRule, AccessRefusal> {
        self.checked(bridge, AccessRequest::Named(tool))
    }

    /// Whether both were built from the very same values.
    #[cfg(test)]
    pub(super) fn is_made_of(&self, other: &Self) -> bool {
        match (&self.source, &other.source) {
            (PermissionSource::Bound(one), PermissionSource::Bound(other)) => {
                Arc::ptr_eq(one, other)
            }
            _ => false,
        }
    }

    /// Explains why they may or may not use a tool of a bridge, or the bridge at all.
    pub fn explain(&self, bridge: &BridgeName, tool: Option<&Tool>) -> AccessExplanation {
        let wanted = tool.map_or(AccessRequest::Anything, AccessRequest::Tool);
        let text = |group: &Arc<str>| group.to_string();
        let groups = match &self.source {
            PermissionSource::Free(_) => self
                .groups()
                .iter()
                .map(|it| (text(it), GroupSource::Proof))
                .collect(),
            PermissionSource::Bound(standing) => {
                let origins = standing.origins.iter().copied();
                standing.groups.iter().map(text).zip(origins).collect()
            }
        };
        AccessExplanation {
            caller: self.caller.id.to_string(),
            proof: self.caller.proof.as_str(),
            email: self.caller.email.as_deref().map(str::to_owned),
            workspace: self.caller.workspace.to_string(),
            groups,
            is_admin: self.is_admin(),
            rule: self.decide(bridge, wanted),
            allowing: self.allowing(bridge, wanted),
            if_it_reads: None,
        }
    }

    /// The same for a tool whose server has not answered yet, so that only its name is known.
    pub fn explain_unheard(&self, bridge: &BridgeName, tool: &Tool) -> AccessExplanation {
        let mut tool = tool.clone();
        tool.read_only = false;
        let mut explanation = self.explain(bridge, Some(&tool));
        tool.read_only = true;
        let wanted = AccessRequest::Tool(&tool);
        let rule = self.decide(bridge, wanted);
        let mut allowing = self.allowing(bridge, wanted);
        allowing.retain(|group| !explanation.allowing.contains(group));
        if rule != explanation.rule || !allowing.is_empty() {
            explanation.if_it_reads = Some(ReadOnlyDecision { rule, allowing });
        }
        explanation
    }

    /// The rule that allows the call, or a denial that the caller may see.
    fn checked(
        &self,
        bridge: &BridgeName,
        wanted: AccessRequest<'_>,
    ) -> Result<AccessRule, AccessRefusal> {
        let rule = self.decide(bridge, wanted);
        if rule.allows() {
            return Ok(rule);
        }
        let allowing = if self.is_admin() {
            self.allowing(bridge, wanted)
        } else {
            Vec::new()
        };
        Err(AccessRefusal { rule, allowing })
    }

    /// Checks in this order: a group of administrators, a grant for all tools, a narrowed grant.
    fn decide(&self, bridge: &BridgeName, wanted: AccessRequest<'_>) -> AccessRule {
        let standing = match &self.source {
            PermissionSource::Free(rule) => return rule.clone(),
            PermissionSource::Bound(standing) => standing,
        };
        if let Some(group) = &standing.admin_group {
            return AccessRule::AdminGroup(Arc::clone(group));
        }
        let asker = AccessSubject {
            numbers: &standing.numbers,
            workspace: &self.caller.workspace,
        };
        standing.policy.decide(bridge.as_str(), asker, wanted)
    }

    /// The groups that would allow it: first those with grants, then those of administrators.
    fn allowing(&self, bridge: &BridgeName, wanted: AccessRequest<'_>) -> Vec<String> {
        let PermissionSource::Bound(standing) = &self.source else {
            return Vec::new();
        };
        let workspace = &self.caller.workspace;
        let mut groups = standing.policy.allowing(bridge.as_str(), workspace, wanted);
        for group in &standing.rules.admin_groups {
            if !groups.iter().any(|it| **it == **group) {
                groups.push(group.to_string());
            }
        }
        groups
    }
}

impl CallerMembership {
    /// Builds the permissions from groups and their origins. Adds the configured default groups.
    pub fn new<'a>(
        rules: &Arc<GroupSettings>,
        policy: &Arc<AccessPolicy>,
        own: impl IntoIterator<Item = (&'a Arc<str>, GroupSource)>,
        is_marked: bool,
    ) -> Self {
        let (mut groups, mut origins): (Vec<_>, Vec<_>) = own
            .into_iter()
            .map(|(group, origin)| (Arc::clone(group), origin))
            .unzip();
        for group in &rules.default_groups {
            if !groups.contains(group) {
                groups.push(Arc::clone(group));
                origins.push(GroupSource::Default);
            }
        }
        Self {
            numbers: policy.group_set(&groups),
            admin_group: rules.admin_group(&groups),
            groups,
            origins,
            is_marked,
            policy: Arc::clone(policy),
            rules: Arc::clone(rules),
        }
    }
}
