//! [`AccessControl`]: collects what is known about a caller.

use std::sync::Arc;

use tokio_util::task::TaskTracker;

use super::{
    AccessRule, Permissions,
    memory::{AccessCache, CachedMembership, MemberRecord},
    policy::AccessPolicy,
    settings::GroupSettings,
    view::{CallerMembership, GroupSource},
};
use crate::{
    auth::{AuthenticationMethod, Caller},
    config::Config,
    store::{Store, StoreError},
};

/// The data for access decisions.
#[derive(Debug)]
pub struct AccessControl {
    /// The access settings.
    rules: Arc<GroupSettings>,
    /// The cached tables; `None` without a database.
    memory: Option<Arc<AccessCache>>,
}

impl AccessControl {
    /// The settings of a configuration and the grants of a store. `tracker` runs the tasks that
    /// refresh cached data.
    pub fn new(config: &Config, store: Option<Arc<Store>>, tracker: &TaskTracker) -> Self {
        let ttl = config.access.cache_ttl;
        let memory = store.map(|store| Arc::new(AccessCache::new(store, ttl, tracker)));
        Self {
            rules: Arc::new(GroupSettings::of(config)),
            memory,
        }
    }

    /// The settings of another configuration with the same store. Cached data is kept if the cache
    /// time is unchanged.
    pub fn renewed(
        &self,
        config: &Config,
        store: Option<Arc<Store>>,
        tracker: &TaskTracker,
    ) -> Self {
        let mut new = Self::new(config, store, tracker);
        let is_same_time = |old: &&Arc<AccessCache>| old.ttl() == config.access.cache_ttl;
        if let Some(old) = self.memory.as_ref().filter(is_same_time) {
            new.memory = Some(Arc::clone(old));
        }
        new
    }

    /// Whether a decision may need the tables.
    pub fn is_enforced(&self) -> bool {
        self.rules.is_enforced
    }

    /// What is known about a caller now. Fails if the database is needed and does not respond.
    /// Callers whose decision needs no table do not wait for the database.
    pub async fn permissions(&self, caller: &Arc<Caller>) -> Result<Permissions, StoreError> {
        let free = match caller.proof {
            AuthenticationMethod::Operator => Some(AccessRule::Operator),
            AuthenticationMethod::Loopback => Some(AccessRule::Loopback),
            _ if !self.rules.is_enforced => Some(AccessRule::Open),
            _ => None,
        };
        if let Some(rule) = free {
            return Ok(Permissions::free(Arc::clone(caller), rule));
        }
        let standing = self.membership(caller).await?;
        Ok(Permissions::bound(Arc::clone(caller), standing))
    }

    /// The permissions from a caller's groups and grants.
    async fn membership(&self, caller: &Caller) -> Result<Arc<CallerMembership>, StoreError> {
        let proven = caller.groups.as_deref().unwrap_or_default();
        if self.rules.admin_group(proven).is_some() {
            let nothing = Arc::new(AccessPolicy::default());
            return Ok(self.build_membership(&nothing, proven, GroupSource::Proof, false));
        }
        let memory = self.memory.as_ref().ok_or_else(|| {
            StoreError::Down("access depends on groups, but no database is configured".into())
        })?;
        let known = async {
            match &caller.email {
                Some(email) => memory.member(email).await,
                None => Ok(Arc::new(MemberRecord::default())),
            }
        };
        let (policy, known) = futures::try_join!(memory.policy(), known)?;
        if !proven.is_empty() {
            return Ok(self.build_membership(&policy, proven, GroupSource::Proof, known.is_admin));
        }
        if known.groups.is_empty() && !caller.open_webui_groups.is_empty() {
            let groups = Some(&caller.open_webui_groups);
            return Ok(self.remembered(&policy, &known, groups));
        }
        Ok(self.remembered(&policy, &known, None))
    }

    /// The permissions from Open WebUI's groups, or else from those of the bridge's tables. They
    /// are cached as long as the groups are the same.
    fn remembered(
        &self,
        policy: &Arc<AccessPolicy>,
        known: &MemberRecord,
        groups: Option<&Arc<[Arc<str>]>>,
    ) -> Arc<CallerMembership> {
        if let Some(made) = known.cached_membership.load().as_ref()
            && Arc::ptr_eq(&made.standing.policy, policy)
            && Arc::ptr_eq(&made.standing.rules, &self.rules)
            && is_same(made.groups.as_ref(), groups)
        {
            return Arc::clone(&made.standing);
        }
        let standing = match groups {
            Some(groups) => {
                self.build_membership(policy, groups, GroupSource::OpenWebUi, known.is_admin)
            }
            None => {
                self.build_membership(policy, &known.groups, GroupSource::Table, known.is_admin)
            }
        };
        known
            .cached_membership
            .store(Some(Arc::new(CachedMembership {
                groups: groups.cloned(),
                standing: Arc::clone(&standing),
            })));
        standing
    }

    /// The permissions from groups of one origin.
    fn build_membership(
        &self,
        policy: &Arc<AccessPolicy>,
        groups: &[Arc<str>],
        origin: GroupSource,
        is_marked: bool,
    ) -> Arc<CallerMembership> {
        let own = groups.iter().map(|group| (group, origin));
        Arc::new(CallerMembership::new(&self.rules, policy, own, is_marked))
    }
}

/// Whether both are the very same groups.
fn is_same(one: Option<&Arc<[Arc<str>]>>, other: Option<&Arc<[Arc<str>]>>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => Arc::ptr_eq(one, other),
        (None, None) => true,
        _ => false,
    }
}
