//! [`GroupCredentials`]: what a group uses instead of the shared credentials of a bridge.

use std::{collections::BTreeMap, sync::Arc};

use url::Url;

use crate::secret::Secret;

/// A group's own keys and endpoint for a bridge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupCredentials {
    /// The group.
    pub group: Arc<str>,
    /// Changes with any field below. Sessions of an earlier revision are not reused.
    pub revision: u64,
    /// Its values for variables of the configuration.
    pub values: BTreeMap<String, Secret>,
    /// The URL that its calls go to instead of the configured one.
    pub endpoint: Option<Url>,
}
