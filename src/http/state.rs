//! The state that handlers share.

use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio_util::sync::CancellationToken;

use super::metrics::Metering;
use crate::{
    audit::Audit,
    bridge::Registry,
    credential::{Credentials, GroupKeys, Keyring},
    files::Files,
    reload::Reloader,
    secret::Redactor,
    settings::Settings,
    store::Store,
    telemetry::Traces,
};

/// The state of the router.
#[derive(Debug)]
pub struct AppState {
    /// The bridges.
    pub registry: Arc<Registry>,
    /// The credentials for servers, and the logins with which users connect accounts.
    pub credentials: Arc<Credentials>,
    /// The current settings.
    pub settings: Arc<ArcSwap<Settings>>,
    /// Reloads the configuration.
    pub reloader: Arc<Reloader>,
    /// The database: grants, members, records. `None` if it is not configured.
    pub store: Option<Arc<Store>>,
    /// The key that encrypts secrets in the database. `None` if no database is configured.
    pub keyring: Option<Arc<Keyring>>,
    /// The credentials that groups use at servers instead of the shared ones.
    pub group_keys: Arc<GroupKeys>,
    /// The files that tools made for their callers.
    pub files: Arc<Files>,
    /// The audit trail.
    pub audit: Arc<Audit>,
    /// Redacts secrets in responses.
    pub redactor: Redactor,
    /// Makes the spans of requests.
    pub traces: Traces,
    /// The counters and caches of the metrics.
    pub metering: Metering,
    /// Cancelled when the bridge starts to drain.
    pub draining: CancellationToken,
}
