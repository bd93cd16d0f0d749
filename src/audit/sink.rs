//! [`AuditSink`]: the database operations that the shipper needs. [`AuditRow`]: the rows that it writes.

use std::fmt;

use serde::Serialize;

use crate::store::{CallRecord, ChangeRecord, Store, StoreError};

/// The database operations that the shipper needs.
pub(super) trait AuditSink: fmt::Debug + Send + Sync + 'static {
    /// See [`Store::put_calls`].
    fn put_calls(
        &self,
        calls: &[CallRecord],
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// See [`Store::put_changes`].
    fn put_changes(
        &self,
        changes: &[ChangeRecord],
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// See [`Store::interrupt_calls`].
    fn interrupt_calls(
        &self,
        instance: &str,
    ) -> impl Future<Output = Result<u64, StoreError>> + Send;

    /// See [`Store::purge_calls`].
    fn purge_calls(
        &self,
        before: i64,
        limit: u32,
    ) -> impl Future<Output = Result<u64, StoreError>> + Send;
}

impl AuditSink for Store {
    async fn put_calls(&self, calls: &[CallRecord]) -> Result<(), StoreError> {
        Self::put_calls(self, calls).await
    }

    async fn put_changes(&self, changes: &[ChangeRecord]) -> Result<(), StoreError> {
        Self::put_changes(self, changes).await
    }

    async fn interrupt_calls(&self, instance: &str) -> Result<u64, StoreError> {
        Self::interrupt_calls(self, instance).await
    }

    async fn purge_calls(&self, before: i64, limit: u32) -> Result<u64, StoreError> {
        Self::purge_calls(self, before, limit).await
    }
}

/// A row of the audit trail.
pub(super) trait AuditRow: Serialize + Sized + Send + Sync {
    /// Writes rows.
    fn put<S: AuditSink>(
        store: &S,
        rows: &[Self],
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// The row without any field that the database could reject. It shows in the audit trail that a
    /// record was put aside.
    fn bare(&self) -> Self;
}

impl AuditRow for CallRecord {
    async fn put<S: AuditSink>(store: &S, rows: &[Self]) -> Result<(), StoreError> {
        store.put_calls(rows).await
    }

    fn bare(&self) -> Self {
        Self {
            id: self.id.clone(),
            instance: self.instance.clone(),
            workspace: self.workspace.clone(),
            time: self.time,
            proof: "none".to_owned(),
            rule: "put_aside".to_owned(),
            outcome: "put_aside".to_owned(),
            ..Self::default()
        }
    }
}

impl AuditRow for ChangeRecord {
    async fn put<S: AuditSink>(store: &S, rows: &[Self]) -> Result<(), StoreError> {
        store.put_changes(rows).await
    }

    fn bare(&self) -> Self {
        Self {
            id: self.id.clone(),
            workspace: self.workspace.clone(),
            time: self.time,
            proof: "none".to_owned(),
            action: "put_aside".to_owned(),
            ..Self::default()
        }
    }
}
