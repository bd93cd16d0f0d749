//! The audit trail of calls.

use std::{borrow::Cow, collections::HashMap, fmt::Write as _};

use sqlx::{AssertSqlSafe, FromRow};

use super::{
    CallFilter, CallRecord, Store, StoreError,
    access::{json, list},
    open::ALL,
    pool::{DatabaseTarget, DatabaseTransaction, SqlValue},
};
use crate::config::DEFAULT_WORKSPACE;

/// Rows per statement in PostgreSQL, where each statement is a network round trip.
const ROWS_POSTGRES: usize = 100;
/// Rows per statement in SQLite. There is no round trip, and binding a value takes time
/// proportional to the number of values.
const ROWS_SQLITE: usize = 4;
/// Longer texts are not in any index (migration 2), in characters.
const INDEXED_MAX: usize = 255;

const INSERT: &str = "INSERT INTO bridge_call (id, instance, workspace_id, called_at, request_id, \
    caller, proof, group_names, rule, bridge, tool, peer, outcome, status, duration_us, \
    request_bytes, response_bytes, arguments, repeats) VALUES ";
const COLUMNS: usize = 19;
/// A call that has ended does not change anymore.
const REPLACE: &str = " ON CONFLICT (id) DO UPDATE SET instance = excluded.instance, \
    workspace_id = excluded.workspace_id, called_at = excluded.called_at, \
    request_id = excluded.request_id, caller = excluded.caller, proof = excluded.proof, \
    group_names = excluded.group_names, rule = excluded.rule, bridge = excluded.bridge, \
    tool = excluded.tool, peer = excluded.peer, outcome = excluded.outcome, \
    status = excluded.status, duration_us = excluded.duration_us, \
    request_bytes = excluded.request_bytes, response_bytes = excluded.response_bytes, \
    arguments = excluded.arguments, repeats = excluded.repeats WHERE bridge_call.outcome = 'started'";
const SELECT: &str = "SELECT id, instance, workspace_id, called_at, request_id, caller, proof, \
    group_names, rule, bridge, tool, peer, outcome, status, duration_us, request_bytes, \
    response_bytes, arguments, repeats FROM bridge_call";
const INTERRUPT: &str = "UPDATE bridge_call SET outcome = 'interrupted' \
    WHERE instance = $1 AND outcome = 'started'";
const PURGE: &str = "DELETE FROM bridge_call WHERE id IN \
    (SELECT id FROM bridge_call WHERE called_at < $1 ORDER BY called_at LIMIT $2)";

impl Store {
    /// Writes records. A record with a known ID replaces only one with outcome `started`.
    pub async fn put_calls(&self, calls: &[CallRecord]) -> Result<(), StoreError> {
        if calls.is_empty() {
            return Ok(());
        }
        let calls = settled(calls);
        let rows = match self.target {
            DatabaseTarget::Postgres(_) => ROWS_POSTGRES,
            DatabaseTarget::Sqlite(_) => ROWS_SQLITE,
        };
        self.bounded(async {
            let mut tx = self.begin().await?;
            self.scope(&mut tx, ALL).await?;
            for chunk in calls.chunks(rows) {
                put(&mut tx, chunk).await?;
            }
            tx.commit().await
        })
        .await
    }

    /// Marks the `started` calls of an instance that has exited as `interrupted`. Returns how many
    /// there were.
    pub async fn interrupt_calls(&self, instance: &str) -> Result<u64, StoreError> {
        self.bounded(async {
            let mut tx = self.begin().await?;
            self.scope(&mut tx, ALL).await?;
            let touched = tx.execute(INTERRUPT, &[no_nul(instance)]).await?;
            tx.commit().await?;
            Ok(touched)
        })
        .await
    }

    /// Records, newest first.
    pub async fn calls(&self, filter: &CallFilter) -> Result<Vec<CallRecord>, StoreError> {
        let (sql, values) = query(filter);
        self.bounded(async {
            let mut tx = self
                .begin_reading(filter.workspace.as_deref().unwrap_or(ALL))
                .await?;
            // The SQL consists only of constant parts; values are bound.
            let rows: Vec<CallRow> = tx.fetch(AssertSqlSafe(sql), &values).await?;
            tx.commit().await?;
            Ok(rows.into_iter().map(CallRow::record).collect())
        })
        .await
    }

    /// Deletes up to `limit` calls that are older than `before` (microseconds since 1970). Returns
    /// how many there were.
    pub async fn purge_calls(&self, before: i64, limit: u32) -> Result<u64, StoreError> {
        self.bounded(async {
            let mut tx = self.begin().await?;
            self.scope(&mut tx, ALL).await?;
            let values = [before.into(), i64::from(limit).into()];
            let gone = tx.execute(PURGE, &values).await?;
            tx.commit().await?;
            Ok(gone)
        })
        .await
    }
}

/// One record per ID, with the result of writing them one after another: a statement may change
/// each row only once.
fn settled(calls: &[CallRecord]) -> Vec<&CallRecord> {
    let mut places = HashMap::new();
    let mut settled: Vec<&CallRecord> = Vec::with_capacity(calls.len());
    for call in calls {
        let place = *places.entry(&call.id).or_insert(settled.len());
        match settled.get_mut(place) {
            Some(known) if known.outcome == "started" => *known = call,
            Some(_) => {}
            None => settled.push(call),
        }
    }
    settled
}

/// Writes a few records with one statement.
async fn put(tx: &mut DatabaseTransaction, calls: &[&CallRecord]) -> Result<(), StoreError> {
    let mut sql = INSERT.to_owned();
    let mut values = Vec::with_capacity(calls.len() * COLUMNS);
    for call in calls {
        sql.push_str(if values.is_empty() { "(" } else { ", (" });
        for (place, value) in row(call).into_iter().enumerate() {
            values.push(value);
            let comma = if place == 0 { "" } else { ", " };
            // Writing to a string cannot fail.
            let _ok = write!(sql, "{comma}${}", values.len()).is_ok();
        }
        sql.push(')');
    }
    sql.push_str(REPLACE);
    tx.execute(AssertSqlSafe(sql), &values).await?;
    Ok(())
}

/// The values of a record, in the order of [`INSERT`].
fn row(call: &CallRecord) -> [SqlValue<'_>; COLUMNS] {
    [
        no_nul(&call.id),
        no_nul(&call.instance),
        no_nul(workspace_or_default(&call.workspace)),
        call.time.into(),
        no_nul(&call.request_id),
        optional(call.caller.as_deref()),
        no_nul(&call.proof),
        json(&call.groups).into(),
        no_nul(&call.rule),
        no_nul(&call.bridge),
        no_nul(&call.tool),
        optional(call.peer.as_deref()),
        no_nul(&call.outcome),
        i64::from(call.status).into(),
        call.duration_us.into(),
        call.request_bytes.into(),
        call.response_bytes.into(),
        optional(call.arguments.as_deref()),
        call.repeats.into(),
    ]
}

/// The text with NUL bytes replaced by `\u{fffd}`. A text from a caller must not make a record
/// impossible to store; otherwise one request would block all later records.
pub(super) fn no_nul(text: &str) -> SqlValue<'_> {
    SqlValue::Text(replaced(text))
}

/// [`no_nul`] for an optional text.
fn optional(text: Option<&str>) -> SqlValue<'_> {
    SqlValue::OptText(text.map(replaced))
}

fn replaced(text: &str) -> Cow<'_, str> {
    if text.contains('\0') {
        Cow::Owned(text.replace('\0', "\u{fffd}"))
    } else {
        Cow::Borrowed(text)
    }
}

/// A record without a workspace belongs to the default one.
pub(super) fn workspace_or_default(workspace: &str) -> &str {
    if workspace.is_empty() {
        DEFAULT_WORKSPACE
    } else {
        workspace
    }
}

/// Builds the query of a filter.
fn query(filter: &CallFilter) -> (String, Vec<SqlValue<'_>>) {
    let mut conditions = SqlConditions::default();
    conditions.workspace(filter.workspace.as_deref());
    if let Some(since) = filter.since {
        conditions.and("called_at >= ?", since.into());
    }
    if let Some(until) = filter.until {
        conditions.and("called_at < ?", until.into());
    }
    if let Some((time, id)) = &filter.before {
        // The first condition looks redundant, but only it lets both databases use the index.
        conditions.and("called_at <= ?", (*time).into());
        conditions.and("(called_at < ?", (*time).into());
        conditions.or("(called_at = ?", (*time).into());
        conditions.and("id < ?))", no_nul(id));
    }
    if let Some(caller) = &filter.caller {
        if caller.chars().count() <= INDEXED_MAX {
            conditions.literal("length(caller) <= 320");
        }
        conditions.and(
            "lower(caller) = lower(?)",
            replaced(caller).into_owned().into(),
        );
    }
    for (text, condition, indexed) in [
        (&filter.bridge, "bridge = ?", "length(bridge) <= 255"),
        (&filter.tool, "tool = ?", ""),
        (&filter.outcome, "outcome = ?", ""),
        (
            &filter.request_id,
            "request_id = ?",
            "length(request_id) <= 255",
        ),
    ] {
        let Some(text) = text else { continue };
        conditions.and(condition, no_nul(text));
        if !indexed.is_empty() && text.chars().count() <= INDEXED_MAX {
            conditions.literal(indexed);
        }
    }
    conditions.finish(SELECT, "ORDER BY called_at DESC, id DESC", filter.limit)
}

/// SQL conditions from constant texts, each with a bound value for its `?`.
#[derive(Debug, Default)]
pub(super) struct SqlConditions<'a> {
    sql: String,
    values: Vec<SqlValue<'a>>,
}

impl<'a> SqlConditions<'a> {
    /// Adds a condition with AND.
    pub(super) fn and(&mut self, condition: &'static str, value: SqlValue<'a>) {
        self.join(" AND ", condition, Some(value));
    }

    /// Adds a condition with OR.
    fn or(&mut self, condition: &'static str, value: SqlValue<'a>) {
        self.join(" OR ", condition, Some(value));
    }

    /// Adds a condition without a value, with AND.
    fn literal(&mut self, condition: &'static str) {
        self.join(" AND ", condition, None);
    }

    /// Restricts the query to rows of this workspace, because SQLite has no policies.
    pub(super) fn workspace(&mut self, workspace: Option<&'a str>) {
        if let Some(workspace) = workspace.filter(|&workspace| workspace != ALL) {
            self.and("workspace_id = ?", workspace.into());
        }
    }

    fn join(&mut self, word: &str, condition: &'static str, value: Option<SqlValue<'a>>) {
        self.sql
            .push_str(if self.sql.is_empty() { " WHERE " } else { word });
        if let Some(value) = value {
            self.values.push(value);
            let place = format!("${}", self.values.len());
            self.sql.push_str(&condition.replace('?', &place));
        } else {
            self.sql.push_str(condition);
        }
    }

    /// The complete query.
    pub(super) fn finish(
        mut self,
        select: &str,
        order: &str,
        limit: u32,
    ) -> (String, Vec<SqlValue<'a>>) {
        self.values.push(i64::from(limit).into());
        let sql = format!("{select}{} {order} LIMIT ${}", self.sql, self.values.len());
        (sql, self.values)
    }
}

/// A row whose list of groups is not parsed yet.
struct CallRow(CallRecord, String);

impl CallRow {
    /// A list that cannot be parsed is shown as it is stored.
    fn record(self) -> CallRecord {
        CallRecord {
            groups: list(&self.1).unwrap_or_else(|| vec![self.1]),
            ..self.0
        }
    }
}

impl<'r, R: sqlx::Row> FromRow<'r, R> for CallRow
where
    usize: sqlx::ColumnIndex<R>,
    String: sqlx::Decode<'r, R::Database> + sqlx::Type<R::Database>,
    Option<String>: sqlx::Decode<'r, R::Database> + sqlx::Type<R::Database>,
    i64: sqlx::Decode<'r, R::Database> + sqlx::Type<R::Database>,
{
    fn from_row(row: &'r R) -> Result<Self, sqlx::Error> {
        let record = CallRecord {
            id: row.try_get(0)?,
            instance: row.try_get(1)?,
            workspace: row.try_get(2)?,
            time: row.try_get(3)?,
            request_id: row.try_get(4)?,
            caller: row.try_get(5)?,
            proof: row.try_get(6)?,
            groups: Vec::new(),
            rule: row.try_get(8)?,
            bridge: row.try_get(9)?,
            tool: row.try_get(10)?,
            peer: row.try_get(11)?,
            outcome: row.try_get(12)?,
            status: u16::try_from(row.try_get::<i64, _>(13)?).unwrap_or_default(),
            duration_us: row.try_get(14)?,
            request_bytes: row.try_get(15)?,
            response_bytes: row.try_get(16)?,
            arguments: row.try_get(17)?,
            repeats: row.try_get(18)?,
        };
        Ok(Self(record, row.try_get(7)?))
    }
}
