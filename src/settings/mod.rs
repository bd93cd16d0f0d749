//! [`ReloadableSettings`]: the parts of the configuration that requests use and a reload replaces.

mod address;
mod capacity;
mod gate;

use std::sync::Arc;

pub use address::{below, public_url};
pub use capacity::{DESCRIPTORS_MAX, connections_max};
pub use gate::{AdmissionControl, PlaceError, RequestPlace, ResponseMemory, UNCOUNTED_BYTES};

use self::capacity::requests_max;
use crate::{
    access::AccessControl,
    auth::{AuthSources, Authenticator},
    chat::ChatClient,
    config::Config,
    rate::RateLimits,
    store::UserDirectory,
};

/// The settings that a reload replaces.
#[derive(Debug)]
pub struct ReloadableSettings {
    /// The current configuration.
    pub config: Arc<Config>,
    /// The checks that identify callers.
    pub proofs: Arc<Authenticator>,
    /// The access rules.
    pub access: AccessControl,
    /// The groups in Open WebUI's database, if it is configured.
    pub directory: Option<Arc<UserDirectory>>,
    /// The rate limits.
    pub rates: Arc<RateLimits>,
    /// The chats that show the progress of calls. `None` if Open WebUI's address is not configured.
    pub chats: Option<Arc<ChatClient>>,
    /// The limit on concurrent requests.
    pub gate: AdmissionControl,
}

impl ReloadableSettings {
    /// Builds the settings for a configuration.
    pub fn new(config: Arc<Config>, sources: &AuthSources) -> Self {
        Self {
            access: AccessControl::new(&config, sources.store.clone(), &sources.tracker),
            rates: Arc::new(RateLimits::new(&config, sources.redis.clone())),
            proofs: Arc::new(Authenticator::new(&config, sources.clone())),
            chats: chats(&config, sources),
            directory: sources.directory.clone(),
            gate: gate(&config),
            config,
        }
    }

    /// Builds the settings for a changed configuration. Caches and counters stay if the change does
    /// not affect them.
    pub fn renewed(&self, config: Arc<Config>, sources: &AuthSources) -> Self {
        let old = &self.config;
        let proofs = if old.identity == config.identity {
            Arc::clone(&self.proofs)
        } else {
            Arc::new(Authenticator::new(&config, sources.clone()))
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
fn gate(config: &Config) -> AdmissionControl {
    AdmissionControl::new(requests_max(config), &config.limits)
}

/// The chats of the Open WebUI that the operator configured, and of no other.
fn chats(config: &Config, sources: &AuthSources) -> Option<Arc<ChatClient>> {
    let url = config.identity.open_webui.url.as_ref()?;
    ChatClient::new(sources.http.clone(), url, sources.tracker.clone()).map(Arc::new)
}
