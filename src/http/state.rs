//! The state that handlers share.

use std::{ops::Deref, sync::Arc};

use tokio_util::sync::CancellationToken;

use super::metrics::ScrapeState;
use crate::{
    call::CallServices,
    credential::{EncryptionKeys, GroupKeys},
    files::FileStore,
    reload::ConfigReloader,
    store::Store,
    telemetry::RequestTracer,
};

/// The state of the router.
#[derive(Debug)]
pub struct AppState {
    /// What every call uses.
    pub services: CallServices,
    /// Reloads the configuration.
    pub reloader: Arc<ConfigReloader>,
    /// The database: grants, members, records. `None` if it is not configured.
    pub store: Option<Arc<Store>>,
    /// The key that encrypts secrets in the database. `None` if no database is configured.
    pub keyring: Option<Arc<EncryptionKeys>>,
    /// The credentials that groups use at servers instead of the shared ones.
    pub group_keys: Arc<GroupKeys>,
    /// The files that tools made for their callers.
    pub files: Arc<FileStore>,
    /// Makes the spans of requests.
    pub traces: RequestTracer,
    /// The counters and caches of the metrics.
    pub metering: ScrapeState,
    /// Cancelled when the bridge starts to drain.
    pub draining: CancellationToken,
}

impl Deref for AppState {
    type Target = CallServices;

    fn deref(&self) -> &CallServices {
        &self.services
    }
}
