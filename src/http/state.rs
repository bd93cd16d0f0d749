//! What handlers share.

use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio_util::sync::CancellationToken;

use super::{gate::Gate, metrics::Metering, serve::requests_max};
use crate::{
    access::Access,
    audit::Audit,
    auth::{Proofs, Sources},
    bridge::{Registry, Reloader},
    chat::Chats,
    config::Config,
    credential::{Credentials, GroupKeys, Keyring},
    files::Files,
    rate::Rates,
    secret::Redactor,
    store::{Directory, Store},
    telemetry::Traces,
};

/// What a reload replaces.
#[derive(Debug)]
pub struct Settings {
    /// The configuration in force.
    pub config: Arc<Config>,
    /// What callers are checked against.
    pub proofs: Arc<Proofs>,
    /// What they may use.
    pub access: Access,
    /// Open WebUI's groups, where its database is known.
    pub directory: Option<Arc<Directory>>,
    /// How often.
    pub rates: Arc<Rates>,
    /// Where the progress of calls is told; `None` where Open WebUI's address is not known.
    pub chats: Option<Arc<Chats>>,
    /// The bound on requests served at once.
    pub gate: Gate,
}

impl Settings {
    /// Derives the settings of a configuration.
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

    /// The settings of a changed configuration. What was looked up, and what was counted, stays
    /// where the change does not touch it.
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
        // Requests under way keep their place in the old one.
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

/// The bound on requests of a configuration.
fn gate(config: &Config) -> Gate {
    Gate::new(requests_max(config), &config.limits)
}

/// The chats of the Open WebUI that the operator named, and of no other.
fn chats(config: &Config, sources: &Sources) -> Option<Arc<Chats>> {
    let url = config.identity.open_webui.url.as_ref()?;
    Chats::new(sources.http.clone(), url, sources.tracker.clone()).map(Arc::new)
}

/// The state of the router.
#[derive(Debug)]
pub struct AppState {
    /// The bridges.
    pub registry: Arc<Registry>,
    /// What sessions show to their servers, and how people connect accounts.
    pub credentials: Arc<Credentials>,
    /// The settings in force.
    pub settings: Arc<ArcSwap<Settings>>,
    /// Reads the configuration anew.
    pub reloader: Arc<Reloader>,
    /// Grants, members, records; `None` where nothing is kept.
    pub store: Option<Arc<Store>>,
    /// The key of what is stored sealed; `None` where nothing is kept.
    pub keyring: Option<Arc<Keyring>>,
    /// What groups call servers with instead of the shared credentials.
    pub group_keys: Arc<GroupKeys>,
    /// What tools made for their callers.
    pub files: Arc<Files>,
    /// What happened.
    pub audit: Arc<Audit>,
    /// Takes secrets out of answers.
    pub redactor: Redactor,
    /// Makes spans of requests.
    pub traces: Traces,
    /// What is kept for metrics.
    pub metering: Metering,
    /// Cancelled when no new work is taken.
    pub draining: CancellationToken,
}
