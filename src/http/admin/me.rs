//! `GET /me`: whom the bridge takes the caller for.

use axum::Json;
use serde_json::{Value, json};

use super::guard::Admin;

/// The administrator who asks; needs no database, so it works while that is away.
pub async fn me(admin: Admin) -> Json<Value> {
    let actor = admin.actor;
    Json(json!({ "id": actor.id, "proof": actor.proof, "workspace": actor.workspace }))
}
