//! [`GroupKeyTable`]: the rows of all groups, combined for lookups.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use super::credentials::GroupCredentials;
use crate::{
    credential::endpoint,
    secret::Secret,
    store::{EndpointRow, GroupKeyRow},
};

/// The keys of each group, by bridge.
#[derive(Debug, Default)]
pub(super) struct GroupKeyTable {
    bridges: HashMap<String, Groups>,
    /// The last assigned revision.
    revision: u64,
}

/// The keys of each group for one bridge.
type Groups = BTreeMap<Arc<str>, GroupKeyEntry>;

/// The keys of one group for one bridge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum GroupKeyEntry {
    /// All of its keys and its endpoint.
    Usable(Arc<GroupCredentials>),
    /// Part of it is unusable, so none of it is used. Contains the reason.
    Unusable(Arc<str>),
}

impl GroupKeyTable {
    /// Combines rows. Entries that did not change keep their revision.
    pub(super) fn build(
        old: Option<&Self>,
        rows: &[GroupKeyRow],
        endpoints: &[EndpointRow],
        open: impl Fn(&GroupKeyRow) -> Result<Secret, String>,
    ) -> Self {
        let mut drafts = BTreeMap::<(&str, &str), GroupKeyDraft>::new();
        for row in rows {
            let name = &row.name;
            let draft = drafts.entry((&name.bridge, &name.group)).or_default();
            match open(row) {
                Ok(value) => drop(draft.key.values.insert(name.variable.clone(), value)),
                Err(why) => draft.fails(&format!("`{}`: {why}", name.variable)),
            }
        }
        for row in endpoints {
            let draft = drafts.entry((&row.bridge, &row.group)).or_default();
            match endpoint(&row.url) {
                Ok(url) => draft.key.endpoint = Some(url),
                Err(why) => draft.fails(&format!("its endpoint: {why}")),
            }
        }
        let mut table = Self {
            bridges: HashMap::new(),
            revision: old.map_or(0, |old| old.revision),
        };
        for ((bridge, group), draft) in drafts {
            let before = old.and_then(|old| old.bridges.get(bridge)?.get(group));
            let entry = draft.finish(group, before, &mut table.revision);
            let groups = table.bridges.entry(bridge.to_owned()).or_default();
            groups.insert(Arc::from(group), entry);
        }
        table
    }

    /// The entry of the first of these groups that has one for a bridge.
    pub(super) fn of(
        &self,
        groups: &[Arc<str>],
        bridge: &str,
    ) -> Option<(&Arc<str>, &GroupKeyEntry)> {
        let known = self.bridges.get(bridge)?;
        groups.iter().find_map(|group| known.get_key_value(group))
    }

    /// All usable entries, with their bridge and group.
    pub(super) fn usable(&self) -> impl Iterator<Item = (&str, &str, &GroupCredentials)> {
        self.bridges.iter().flat_map(|(bridge, groups)| {
            groups.iter().filter_map(move |(group, entry)| match entry {
                GroupKeyEntry::Usable(key) => Some((bridge.as_str(), &**group, &**key)),
                GroupKeyEntry::Unusable(_) => None,
            })
        })
    }

    /// Whether no group has any keys or endpoint.
    pub(super) fn is_empty(&self) -> bool {
        self.bridges.is_empty()
    }

    /// Whether all entries are usable.
    pub(super) fn is_sound(&self) -> bool {
        self.unusable().is_empty()
    }

    /// Logs unusable entries that the old table did not have.
    pub(super) fn log(&self, old: Option<&Self>) {
        let known = old.map(Self::unusable).unwrap_or_default();
        for (place, why) in self.unusable() {
            if known.get(&place) != Some(&why) {
                let (bridge, group) = place;
                tracing::error!(
                    bridge,
                    group,
                    "the credentials of a group cannot be used: {why}"
                );
            }
        }
    }

    /// The unusable entries, by bridge and group, with the reason.
    fn unusable(&self) -> BTreeMap<(&str, &str), &str> {
        let groups = self.bridges.iter().flat_map(|(bridge, groups)| {
            groups
                .iter()
                .map(move |(group, entry)| ((bridge.as_str(), &**group), entry))
        });
        groups
            .filter_map(|(place, entry)| match entry {
                GroupKeyEntry::Unusable(why) => Some((place, &**why)),
                GroupKeyEntry::Usable(_) => None,
            })
            .collect()
    }
}

/// The entry of a group for a bridge, while its rows are read.
struct GroupKeyDraft {
    key: GroupCredentials,
    problem: Option<String>,
}

impl Default for GroupKeyDraft {
    fn default() -> Self {
        Self {
            key: GroupCredentials {
                group: Arc::from(""),
                revision: 0,
                values: BTreeMap::new(),
                endpoint: None,
            },
            problem: None,
        }
    }
}

impl GroupKeyDraft {
    /// Records the first problem.
    fn fails(&mut self, why: &str) {
        self.problem.get_or_insert_with(|| why.to_owned());
    }

    /// The finished entry. If nothing changed, it is the same as before.
    fn finish(
        mut self,
        group: &str,
        before: Option<&GroupKeyEntry>,
        revision: &mut u64,
    ) -> GroupKeyEntry {
        if let Some(problem) = self.problem {
            return GroupKeyEntry::Unusable(problem.into());
        }
        if let Some(GroupKeyEntry::Usable(before)) = before
            && before.values == self.key.values
            && before.endpoint == self.key.endpoint
        {
            return GroupKeyEntry::Usable(Arc::clone(before));
        }
        *revision += 1;
        self.key.group = Arc::from(group);
        self.key.revision = *revision;
        GroupKeyEntry::Usable(Arc::new(self.key))
    }
}
