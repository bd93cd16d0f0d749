//! Accounts at the servers of bridges: list them and disconnect them.

use std::sync::Arc;

use axum::{Json, extract::State};
use serde::Deserialize;
use serde_json::{Value, json};

use super::guard::{AdminCaller, JsonBody, refused};
use crate::{
    config::DEFAULT_WORKSPACE,
    credential::SessionOwner,
    http::{
        AppState,
        connect::{bridge, forget},
        error::ApiError,
    },
    store::AccountKey,
};

/// The account to disconnect.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccountSelector {
    /// The bridge.
    bridge: String,
    /// The subject as the list shows it. It is empty for a shared account.
    subject: String,
}

/// `GET /accounts`: the accounts of the administrator's workspace, and the shared ones.
pub async fn list(admin: AdminCaller) -> Result<Json<Value>, ApiError> {
    let accounts = admin.store()?.accounts().await.map_err(refused)?;
    let own = &admin.actor.workspace;
    let accounts: Vec<Value> = accounts
        .into_iter()
        // Client registrations are stored in the same table and are left out.
        .filter(|it| !it.key.subject.starts_with("client:"))
        .filter(|it| it.key.subject.is_empty() || it.key.workspace == *own)
        .map(|it| {
            json!({
                "bridge": it.key.bridge,
                "subject": it.key.subject,
                "updated_at": it.updated_at,
            })
        })
        .collect();
    Ok(Json(
        json!({ "count": accounts.len(), "accounts": accounts }),
    ))
}

/// `DELETE /accounts`: forgets an account and revokes its tokens at the authorization server.
pub async fn disconnect(
    State(state): State<Arc<AppState>>,
    admin: AdminCaller,
    JsonBody(which): JsonBody<AccountSelector>,
) -> Result<Json<Value>, ApiError> {
    let bridge = bridge(&state, &which.bridge)?;
    if which.subject.is_empty() {
        admin.check_all("an account that all callers share")?;
    }
    let (owner, workspace) = if which.subject.is_empty() {
        (SessionOwner::Shared, DEFAULT_WORKSPACE.to_owned())
    } else {
        let owner = SessionOwner::Caller {
            workspace: admin.actor.workspace.as_str().into(),
            subject: which.subject.as_str().into(),
        };
        (owner, admin.actor.workspace.clone())
    };
    let account = AccountKey {
        workspace,
        bridge: which.bridge.clone(),
        subject: which.subject.clone(),
    };
    let is_gone = forget(&state, &bridge, &owner, &account, &admin.actor).await?;
    let status = if is_gone {
        "disconnected"
    } else {
        "not connected"
    };
    Ok(Json(
        json!({ "status": status, "bridge": which.bridge, "subject": which.subject }),
    ))
}
