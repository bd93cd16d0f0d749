//! [`GroupSettings`]: the `[access]` settings that every decision needs.

use std::sync::Arc;

use crate::config::Config;

/// The access settings.
#[derive(Debug)]
pub struct GroupSettings {
    /// Whether groups and grants decide.
    pub(super) is_enforced: bool,
    /// `access.admin_groups`
    pub(super) admin_groups: Vec<Arc<str>>,
    /// `access.default_groups`
    pub(super) default_groups: Vec<Arc<str>>,
}

impl GroupSettings {
    /// The settings of a configuration.
    pub(super) fn of(config: &Config) -> Self {
        let shared = |names: &[String]| names.iter().map(|it| it.as_str().into()).collect();
        Self {
            is_enforced: config.is_access_enforced(),
            admin_groups: shared(&config.access.admin_groups),
            default_groups: shared(&config.access.default_groups),
        }
    }

    /// The first of these groups whose members are administrators.
    pub(super) fn admin_group(&self, groups: &[Arc<str>]) -> Option<Arc<str>> {
        let is_admins = |group: &&Arc<str>| self.admin_groups.contains(group);
        groups.iter().find(is_admins).cloned()
    }
}
