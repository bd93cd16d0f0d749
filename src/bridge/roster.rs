//! [`Roster`]: the bridges there are, by name and in the order of the file.

use std::{collections::HashMap, sync::Arc};

use super::handle::Bridge;
use crate::name::BridgeName;

/// The bridges of one configuration; replaced as a whole.
#[derive(Debug, Default)]
pub struct Roster {
    /// In the order of the file.
    bridges: Vec<Arc<Bridge>>,
    /// By name.
    by_name: HashMap<BridgeName, Arc<Bridge>>,
}

impl Roster {
    /// A roster of these bridges.
    pub(super) fn new(bridges: Vec<Arc<Bridge>>) -> Self {
        let by_name = bridges
            .iter()
            .map(|bridge| (bridge.name().clone(), Arc::clone(bridge)))
            .collect();
        Self { bridges, by_name }
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
