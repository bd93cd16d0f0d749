//! What happened: every call, allowed or refused (design §9).
//!
//! A call is written to the journal, a file, before its server is contacted and again when it
//! ended; the shipper carries the journal into the database, in batches, when it can be reached.

use std::sync::Arc;

use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    config,
    store::{CallRecord, ChangeRecord, Store},
};

/// A record could not be written, and the operator chose that such calls are refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("this call cannot be recorded, and calls without a record are refused here: {0}")]
pub struct AuditDown(pub String);

/// What `/health` says of the audit trail.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditHealth {
    /// Whether it is on.
    pub is_on: bool,
    /// Bytes in the journal that are not yet in the database.
    pub backlog_bytes: u64,
    /// Records that were lost since the start.
    pub lost: u64,
    /// What does not work, while something does not.
    pub failing: Option<String>,
}

/// The audit trail.
#[derive(Debug)]
pub struct Audit {}

impl Audit {
    /// Opens the journal and starts the shipper, which ends with `stop` after a last round.
    pub fn start(
        _config: &config::Audit,
        _store: Option<Arc<Store>>,
        _tracker: &TaskTracker,
        _stop: CancellationToken,
    ) -> Arc<Self> {
        Arc::new(Self {})
    }

    /// Writes down that a call begins, before any contact with its server. `id`, `instance`,
    /// `time`, `outcome` and `status` of the record are filled in here.
    pub fn begin(self: &Arc<Self>, record: CallRecord) -> Result<Begun, AuditDown> {
        Ok(Begun { record })
    }

    /// Writes down a call that was refused before it began. What fails is logged and counted.
    pub fn refused(&self, _record: CallRecord) {}

    /// Writes down a change that has no transaction of its own.
    pub fn change(&self, _change: ChangeRecord) {}

    /// How it stands.
    pub fn health(&self) -> AuditHealth {
        AuditHealth::default()
    }
}

/// A call that was written down as begun. Dropped without [`Begun::end`] it was `cancelled`.
#[derive(Debug)]
pub struct Begun {
    #[expect(dead_code, reason = "the journal comes next")]
    record: CallRecord,
}

impl Begun {
    /// Writes down how the call ended: `ok`, or the code of the error.
    pub fn end(self, _outcome: &str, _status: u16, _response_bytes: u64) {}
}
