//! What handlers share.

use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    access::Access,
    auth::{Proofs, Sources},
    bridge::{Registry, Reloader},
    config::Config,
};

/// What a reload replaces.
#[derive(Debug)]
pub struct Settings {
    /// The configuration in force.
    pub config: Arc<Config>,
    /// What callers are checked against.
    pub proofs: Proofs,
    /// What they may use.
    pub access: Access,
}

impl Settings {
    /// Derives the settings of a configuration.
    pub fn new(config: Arc<Config>, sources: Sources, tracker: &TaskTracker) -> Self {
        Self {
            access: Access::new(&config, sources.store.clone(), tracker),
            proofs: Proofs::new(&config, sources),
            config,
        }
    }
}

/// The state of the router.
#[derive(Debug)]
pub struct AppState {
    /// The bridges.
    pub registry: Arc<Registry>,
    /// The settings in force.
    pub settings: Arc<ArcSwap<Settings>>,
    /// Reads the configuration anew.
    pub reloader: Arc<Reloader>,
    /// Cancelled when no new work is taken.
    pub draining: CancellationToken,
}
