//! [`BridgeContext`]: what all bridges share.

use std::sync::Arc;

use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{compute::ComputePool, credential::CredentialProvider, secret::Redactor};

/// What all bridges share.
#[derive(Debug, Clone)]
pub struct BridgeContext {
    /// The connection pool of remote bridges.
    pub http: reqwest::Client,
    /// The credentials that sessions present to their servers.
    pub credentials: Arc<CredentialProvider>,
    /// Whether the names of the published tools are stored. Commands that only read do not store them.
    pub notes_tools: bool,
    /// Redacts secrets from the output of servers.
    pub redactor: Redactor,
    /// Threads for expensive checks of arguments.
    pub checks: ComputePool,
    /// Threads for parsing large results.
    pub replies: ComputePool,
    /// Runs all tasks.
    pub tracker: TaskTracker,
    /// Ends every bridge.
    pub stop: CancellationToken,
}
