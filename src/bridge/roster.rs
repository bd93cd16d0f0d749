//! [`BridgeSet`]: all bridges, by name and in the order of the configuration file.

use std::{collections::HashMap, sync::Arc};

use super::handle::Bridge;
use crate::{name::BridgeName, openapi::OperationIdOwners};

/// The bridges of one configuration. It is replaced as a whole.
#[derive(Debug, Default)]
pub struct BridgeSet {
    /// In the order of the file.
    bridges: Vec<Arc<Bridge>>,
    /// By name.
    by_name: HashMap<BridgeName, Arc<Bridge>>,
    /// Which bridge owns an operation ID or a flat path.
    id_owners: OperationIdOwners,
}

impl BridgeSet {
    /// A roster of these bridges.
    pub(super) fn new(bridges: Vec<Arc<Bridge>>) -> Self {
        let by_name = bridges
            .iter()
            .map(|bridge| (bridge.name().clone(), Arc::clone(bridge)))
            .collect();
        let id_owners = OperationIdOwners::new(bridges.iter().map(|bridge| bridge.name()));
        Self {
            bridges,
            by_name,
            id_owners,
        }
    }

    /// Decides which bridge an operation ID or a flat path belongs to.
    pub fn id_owners(&self) -> &OperationIdOwners {
        &self.id_owners
    }

    /// All bridges, in the order of the file.
    pub fn bridges(&self) -> &[Arc<Bridge>] {
        &self.bridges
    }

    /// The bridge with exactly this name.
    pub fn get(&self, name: &str) -> Option<&Arc<Bridge>> {
        self.by_name.get(name)
    }
}
