//! `GET /me`: how the bridge identifies the caller, and whether access rules are enforced.

use axum::Json;
use serde::Serialize;
use utoipa::ToSchema;

use super::guard::AdminCaller;

/// The administrator who asks.
#[derive(Debug, Serialize, ToSchema)]
pub struct AdminIdentity {
    /// The e-mail address, the name of the API key, or the user ID.
    id: String,
    /// How you authenticated: `api_key`, `session`, …
    #[schema(examples("api_key", "session"))]
    proof: String,
    /// Your workspace.
    workspace: String,
    /// Whether access rules are enforced. Without any identity in the configuration, every caller
    /// may use everything.
    enforced: bool,
}

/// Shows who you are
///
/// This route needs no database, so it works while the database does not answer.
#[utoipa::path(
    get,
    path = "/me",
    operation_id = "show_me",
    tag = "Access",
    responses((status = 200, description = "Your identity.", body = AdminIdentity)),
)]
pub async fn me(admin: AdminCaller) -> Json<AdminIdentity> {
    let actor = admin.actor;
    Json(AdminIdentity {
        id: actor.id,
        proof: actor.proof,
        workspace: actor.workspace,
        enforced: admin.settings.access.is_enforced(),
    })
}
