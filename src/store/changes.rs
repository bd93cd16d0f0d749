//! The audit trail of administrative changes.

use sqlx::{AssertSqlSafe, FromRow};

use super::{
    ChangeActor, ChangeFilter, ChangeRecord, Store, StoreError,
    calls::{SqlConditions, no_nul, workspace_or_default},
    open::{ALL, now},
    pool::DatabaseTransaction,
};

const ADD: &str = "INSERT INTO bridge_change \
    (id, workspace_id, changed_at, actor, proof, action, target) \
    VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING";
const SELECT: &str =
    "SELECT id, workspace_id, changed_at, actor, proof, action, target FROM bridge_change";

impl Store {
    /// Writes records of changes that had no transaction of their own. Known IDs are ignored.
    pub async fn put_changes(&self, changes: &[ChangeRecord]) -> Result<(), StoreError> {
        if changes.is_empty() {
            return Ok(());
        }
        self.bounded(async {
            let mut tx = self.begin().await?;
            self.scope(&mut tx, ALL).await?;
            for change in changes {
                put(&mut tx, change).await?;
            }
            tx.commit().await
        })
        .await
    }

    /// Records of changes, newest first. Changes of the operator, in workspace `*`, affect every
    /// workspace and are shown in each.
    pub async fn changes(&self, filter: &ChangeFilter) -> Result<Vec<ChangeRecord>, StoreError> {
        let mut conditions = SqlConditions::default();
        match filter.workspace.as_deref() {
            None | Some(ALL) => {}
            // This matches no row, as in the policies.
            Some("") => conditions.workspace(Some("")),
            Some(workspace) => conditions.and("workspace_id IN (?, '*')", workspace.into()),
        }
        if let Some(since) = filter.since {
            conditions.and("changed_at >= ?", since.into());
        }
        if let Some(until) = filter.until {
            conditions.and("changed_at < ?", until.into());
        }
        if let Some(actor) = &filter.actor {
            conditions.and("lower(actor) = lower(?)", actor.into());
        }
        let (sql, values) =
            conditions.finish(SELECT, "ORDER BY changed_at DESC, id DESC", filter.limit);
        self.bounded(async {
            let mut tx = self
                .begin_reading(filter.workspace.as_deref().unwrap_or(ALL))
                .await?;
            // The SQL consists only of constant parts; values are bound.
            let rows: Vec<ChangeRow> = tx.fetch(AssertSqlSafe(sql), &values).await?;
            tx.commit().await?;
            Ok(rows.into_iter().map(|ChangeRow(record)| record).collect())
        })
        .await
    }
}

/// Writes the record of a change in the change's own transaction, scoped to the actor's workspace.
pub(super) async fn record(
    tx: &mut DatabaseTransaction,
    actor: &ChangeActor,
    action: &str,
    target: &str,
) -> Result<(), StoreError> {
    put(
        tx,
        &ChangeRecord {
            id: format!("{:032x}", rand::random::<u128>()),
            workspace: actor.workspace.clone(),
            time: now(),
            actor: actor.id.clone(),
            proof: actor.proof.clone(),
            action: action.to_owned(),
            target: target.to_owned(),
        },
    )
    .await
}

/// Writes one record.
async fn put(tx: &mut DatabaseTransaction, change: &ChangeRecord) -> Result<(), StoreError> {
    let values = [
        no_nul(&change.id),
        no_nul(workspace_or_default(&change.workspace)),
        change.time.into(),
        no_nul(&change.actor),
        no_nul(&change.proof),
        no_nul(&change.action),
        no_nul(&change.target),
    ];
    tx.execute(ADD, &values).await?;
    Ok(())
}

/// A row, converted to a record.
struct ChangeRow(ChangeRecord);

impl<'r, R: sqlx::Row> FromRow<'r, R> for ChangeRow
where
    usize: sqlx::ColumnIndex<R>,
    String: sqlx::Decode<'r, R::Database> + sqlx::Type<R::Database>,
    i64: sqlx::Decode<'r, R::Database> + sqlx::Type<R::Database>,
{
    fn from_row(row: &'r R) -> Result<Self, sqlx::Error> {
        Ok(Self(ChangeRecord {
            id: row.try_get(0)?,
            workspace: row.try_get(1)?,
            time: row.try_get(2)?,
            actor: row.try_get(3)?,
            proof: row.try_get(4)?,
            action: row.try_get(5)?,
            target: row.try_get(6)?,
        }))
    }
}
