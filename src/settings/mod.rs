//! [`Settings`]: the parts of the configuration that requests use and a reload replaces.

mod address;
mod capacity;
mod gate;

use std::sync::Arc;

pub use address::{below, public_url};
pub use capacity::{DESCRIPTORS_MAX, connections_max};
pub use gate::{Gate, Held, PlaceError, Seat, UNCOUNTED_BYTES};

use self::capacity::requests_max;
use crate::{
    access::Access,
    auth::{Proofs, Sources},
    chat::Chats,
    config::Config,
    rate::Rates,
    store::Directory,
};

/// The settings that a reload replaces.
#[derive(Debug)]
pub struct Settings {
    /// The current configuration.
    pub config: Arc<Config>,
    /// The checks that identify callers.
    pub proofs: Arc<Proofs>,
    /// The access rules.
    pub access: Access,
    /// The groups in Open WebUI's database, if it is configured.
    pub directory: Option<Arc<Directory>>,
    /// The rate limits.
    pub rates: Arc<Rates>,
    /// The chats that show the progress of calls. `None` if Open WebUI's address is not configured.
    pub chats: Option<Arc<Chats>>,
    /// The limit on concurrent requests.
    pub gate: Gate,
}

impl Settings {
    /// Builds the settings for a configuration.
    pub fn new(config: Arc<Config>, sources: &Sources) -> Self {
        Self {
            access: Access::new(&config, sources.store.clone(), &sources.tracker),
            rates: Arc::new(Rates::new(&config, sources.redis.clone())),
            proofs: Arc::new(Proofs::new(&config, sources.clone())),
            chats: chats(&config, sources),
            directory: sources.directory.clone(),
            gate: gate(&config),
            config,
        }
    }

    /// Builds the settings for a changed configuration. Caches and counters stay if the change does
    /// not affect them.
    pub fn renewed(&self, config: Arc<Config>, sources: &Sources) -> Self {
        let old = &self.config;
        let proofs = if old.identity == config.identity {
            Arc::clone(&self.proofs)
        } else {
            Arc::new(Proofs::new(&config, sources.clone()))
        };
        let rates = self.rates.renew(&config, sources.redis.clone());
        let access = &self.access;
        let is_same = old.identity.open_webui.url == config.identity.open_webui.url;
        let chats = if is_same {
            self.chats.clone()
        } else {
            chats(&config, sources)
        };
        // Requests in progress keep their place in the old gate.
        let gate = if old.limits == config.limits {
            self.gate.clone()
        } else {
            gate(&config)
        };
        Self {
            gate,
            directory: sources.directory.clone(),
            access: access.renewed(&config, sources.store.clone(), &sources.tracker),
            proofs,
            rates: Arc::new(rates),
            chats,
            config,
        }
    }
}

/// Builds the gate for a configuration.
fn gate(config: &Config) -> Gate {
    Gate::new(requests_max(config), &config.limits)
}

/// The chats of the Open WebUI that the operator configured, and of no other.
fn chats(config: &Config, sources: &Sources) -> Option<Arc<Chats>> {
    let url = config.identity.open_webui.url.as_ref()?;
    Chats::new(sources.http.clone(), url, sources.tracker.clone()).map(Arc::new)
}
