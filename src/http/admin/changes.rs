//! The records of administrators' changes.

use axum::Json;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    calls::limit,
    errors::NO_DATABASE,
    guard::{AdminCaller, QueryParams, refused},
    words,
};
use crate::{
    audit::readable,
    http::error::ApiError,
    store::{ChangeFilter, ChangeRecord},
};

/// The query of the request.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ChangesQuery {
    /// Only changes at or after this time: a timestamp, a date, or an age such as `2h`.
    #[param(example = "2026-11-20T10:00:00Z")]
    since: Option<String>,
    /// Only changes before this time: a timestamp, a date, or an age such as `2h`.
    #[param(example = "2h")]
    until: Option<String>,
    /// Only changes by this actor.
    actor: Option<String>,
    /// The largest number of records.
    #[param(minimum = 1, maximum = 5000, default = 100)]
    limit: Option<u32>,
}

/// The newest records of changes.
#[derive(Debug, Serialize, ToSchema)]
pub struct ChangeList {
    /// The number of records.
    count: usize,
    /// The records, newest first.
    changes: Vec<ChangeItem>,
}

/// The record of a change.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ChangeItem {
    /// When it was made.
    #[schema(format = DateTime)]
    time: String,
    /// Who made it: an e-mail address, the name of an API key, or `operator` for the command line.
    actor: String,
    /// How they authenticated.
    proof: String,
    /// The action: `grant`, `revoke`, `add_member`, `restart`, …
    action: String,
    /// What was changed, for example `developers github`.
    target: String,
    /// The workspace of the change.
    workspace: String,
    /// A unique ID.
    id: String,
}

impl From<ChangeRecord> for ChangeItem {
    fn from(record: ChangeRecord) -> Self {
        Self {
            time: readable(record.time),
            actor: record.actor,
            proof: record.proof,
            action: record.action,
            target: record.target,
            workspace: record.workspace,
            id: record.id,
        }
    }
}

/// Lists the changes that administrators made
///
/// The answer contains the records of your workspace, newest first.
#[utoipa::path(
    get,
    path = "/changes",
    operation_id = "list_changes",
    tag = "Audit",
    params(ChangesQuery),
    responses(
        (status = 200, description = "The records.", body = ChangeList),
        (status = 404, description = NO_DATABASE),
    ),
)]
pub async fn list(
    admin: AdminCaller,
    QueryParams(wanted): QueryParams<ChangesQuery>,
) -> Result<Json<ChangeList>, ApiError> {
    let now = Timestamp::now();
    let filter = ChangeFilter {
        workspace: Some(admin.actor.workspace.clone()),
        since: words::moment("since", wanted.since.as_deref(), now)?,
        until: words::moment("until", wanted.until.as_deref(), now)?,
        actor: wanted.actor,
        limit: limit(wanted.limit)?,
    };
    let changes = admin.store()?.changes(&filter).await.map_err(refused)?;
    let changes: Vec<_> = changes.into_iter().map(ChangeItem::from).collect();
    Ok(Json(ChangeList {
        count: changes.len(),
        changes,
    }))
}
