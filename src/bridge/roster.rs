//! [`Roster`]: the bridges there are, by name and in the order of the file.

use std::{collections::HashMap, sync::Arc};

use super::handle::Bridge;
use crate::{name::BridgeName, openapi::IdOwners};

/// The bridges of one configuration; replaced as a whole.
#[derive(Debug, Default)]
pub struct Roster {
    /// In the order of the file.
    bridges: Vec<Arc<Bridge>>,
    /// By name.
    by_name: HashMap<BridgeName, Arc<Bridge>>,
    /// Whose an operation id or a flat path is.
    id_owners: IdOwners,
}

impl Roster {
    /// A roster of these bridges.
    pub(super) fn new(bridges: Vec<Arc<Bridge>>) -> Self {
        let by_name = bridges
            .iter()
            .map(|bridge| (bridge.name().clone(), Arc::clone(bridge)))
            .collect();
        let id_owners = IdOwners::new(bridges.iter().map(|bridge| bridge.name()));
        Self {
            bridges,
            by_name,
            id_owners,
        }
    }

    /// Decides which bridge an operation id or a flat path belongs to.
    pub fn id_owners(&self) -> &IdOwners {
        &self.id_owners
    }

    /// All of them, in the order of the file.
    pub fn bridges(&self) -> &[Arc<Bridge>] {
        &self.bridges
    }

    /// The bridge of exactly that name.
    pub fn get(&self, name: &str) -> Option<&Arc<Bridge>> {
        self.by_name.get(name)
    }
}
