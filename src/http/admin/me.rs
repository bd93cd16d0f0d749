//! `GET /me`: how the bridge identifies the caller, and whether access rules are enforced.

use axum::Json;
use serde_json::{Value, json};

use super::guard::AdminCaller;

/// The administrator who asks. The route needs no database, so it works while the database is down.
pub async fn me(admin: AdminCaller) -> Json<Value> {
    let actor = admin.actor;
    Json(json!({
        "id": actor.id, "proof": actor.proof, "workspace": actor.workspace,
        "enforced": admin.settings.access.is_enforced(),
    }))
}
