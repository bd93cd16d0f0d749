//! The records of administrators' changes.

use axum::Json;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    calls::limit,
    guard::{AdminCaller, QueryParams, refused},
    words,
};
use crate::{audit, http::error::ApiError, store::ChangeFilter};

/// The query of the request.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChangesQuery {
    /// Only changes at or after this time.
    since: Option<String>,
    /// Only changes before this time.
    until: Option<String>,
    /// Only changes by this actor.
    actor: Option<String>,
    /// The largest number of records.
    limit: Option<u32>,
}

/// `GET /changes`
pub async fn list(
    admin: AdminCaller,
    QueryParams(wanted): QueryParams<ChangesQuery>,
) -> Result<Json<Value>, ApiError> {
    let now = Timestamp::now();
    let filter = ChangeFilter {
        workspace: Some(admin.actor.workspace.clone()),
        since: words::moment("since", wanted.since.as_deref(), now)?,
        until: words::moment("until", wanted.until.as_deref(), now)?,
        actor: wanted.actor,
        limit: limit(wanted.limit)?,
    };
    let changes = admin.store()?.changes(&filter).await.map_err(refused)?;
    let changes: Vec<Value> = changes.iter().map(audit::object).collect();
    Ok(Json(json!({ "count": changes.len(), "changes": changes })))
}
