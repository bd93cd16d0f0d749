//! [`Table`]: the rows of all groups, put together for look-ups.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use super::GroupKey;
use crate::{
    credential::endpoint,
    secret::Secret,
    store::{EndpointRow, GroupKeyRow},
};

/// What each group has, by bridge.
#[derive(Debug, Default)]
pub(super) struct Table {
    bridges: HashMap<String, Groups>,
    /// The last revision that was given.
    revision: u64,
}

/// What each group has for one bridge.
type Groups = BTreeMap<Arc<str>, Entry>;

/// What one group has for one bridge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Entry {
    /// Everything it has.
    Usable(Arc<GroupKey>),
    /// Something of it cannot be used, so nothing of it is; and why.
    Unusable(Arc<str>),
}

impl Table {
    /// Puts rows together. What is as it was in the old table keeps its revision.
    pub(super) fn build(
        old: Option<&Self>,
        rows: &[GroupKeyRow],
        endpoints: &[EndpointRow],
        open: impl Fn(&GroupKeyRow) -> Result<Secret, String>,
    ) -> Self {
        let mut drafts = BTreeMap::<(&str, &str), Draft>::new();
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

    /// What the first of the groups that has anything has for a bridge.
    pub(super) fn of(&self, groups: &[Arc<str>], bridge: &str) -> Option<(&Arc<str>, &Entry)> {
        let known = self.bridges.get(bridge)?;
        groups.iter().find_map(|group| known.get_key_value(group))
    }

    /// Everything that can be used, with its bridge and its group.
    pub(super) fn usable(&self) -> impl Iterator<Item = (&str, &str, &GroupKey)> {
        self.bridges.iter().flat_map(|(bridge, groups)| {
            groups.iter().filter_map(move |(group, entry)| match entry {
                Entry::Usable(key) => Some((bridge.as_str(), &**group, &**key)),
                Entry::Unusable(_) => None,
            })
        })
    }

    /// Whether no group has anything at all.
    pub(super) fn is_empty(&self) -> bool {
        self.bridges.is_empty()
    }

    /// Whether everything can be used.
    pub(super) fn is_sound(&self) -> bool {
        self.unusable().is_empty()
    }

    /// Logs what cannot be used and was not so in the old table.
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

    /// What cannot be used, by bridge and group, and why.
    fn unusable(&self) -> BTreeMap<(&str, &str), &str> {
        let groups = self.bridges.iter().flat_map(|(bridge, groups)| {
            groups
                .iter()
                .map(move |(group, entry)| ((bridge.as_str(), &**group), entry))
        });
        groups
            .filter_map(|(place, entry)| match entry {
                Entry::Unusable(why) => Some((place, &**why)),
                Entry::Usable(_) => None,
            })
            .collect()
    }
}

/// What a group has for a bridge, while its rows are read.
struct Draft {
    key: GroupKey,
    problem: Option<String>,
}

impl Default for Draft {
    fn default() -> Self {
        Self {
            key: GroupKey {
                group: Arc::from(""),
                revision: 0,
                values: BTreeMap::new(),
                endpoint: None,
            },
            problem: None,
        }
    }
}

impl Draft {
    /// Notes the first thing that cannot be used.
    fn fails(&mut self, why: &str) {
        self.problem.get_or_insert_with(|| why.to_owned());
    }

    /// The entry; the very same as before if nothing changed.
    fn finish(mut self, group: &str, before: Option<&Entry>, revision: &mut u64) -> Entry {
        if let Some(problem) = self.problem {
            return Entry::Unusable(problem.into());
        }
        if let Some(Entry::Usable(before)) = before
            && before.values == self.key.values
            && before.endpoint == self.key.endpoint
        {
            return Entry::Usable(Arc::clone(before));
        }
        *revision += 1;
        self.key.group = Arc::from(group);
        self.key.revision = *revision;
        Entry::Usable(Arc::new(self.key))
    }
}
