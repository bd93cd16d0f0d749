//! Accounts at the servers of bridges: list them and disconnect them.

use std::sync::Arc;

use axum::{Json, extract::State};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    errors::NO_DATABASE,
    guard::{AdminCaller, JsonBody, refused},
};
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
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = AccountSelector)]
#[serde(deny_unknown_fields)]
pub struct AccountSelector {
    /// The bridge.
    bridge: String,
    /// The subject as the list shows it. It is empty for a shared account.
    subject: String,
}

/// The accounts.
#[derive(Debug, Serialize, ToSchema)]
pub struct AccountList {
    /// The number of accounts.
    count: usize,
    /// The accounts.
    accounts: Vec<AccountItem>,
}

/// An account at the server of a bridge.
#[derive(Debug, Serialize, ToSchema)]
struct AccountItem {
    /// The bridge whose server has the account.
    bridge: String,
    /// The user to whom the account belongs. It is empty for an account that all callers share.
    subject: String,
    /// When the tokens of the account last changed, in microseconds since 1970 UTC.
    updated_at: i64,
}

/// What became of the account.
#[derive(Debug, Serialize, ToSchema)]
pub struct AccountRemoval {
    /// Whether there was an account.
    status: AccountStatus,
    /// The bridge.
    bridge: String,
    /// The subject. It is empty for a shared account.
    subject: String,
}

/// Whether there was an account to disconnect.
#[derive(Debug, Serialize, ToSchema)]
enum AccountStatus {
    /// The account was connected, and is not connected anymore.
    #[serde(rename = "disconnected")]
    Disconnected,
    /// The account was not connected.
    #[serde(rename = "not connected")]
    NotConnected,
}

/// Lists connected accounts
///
/// The answer contains the accounts of your workspace, and the accounts that all callers share. It
/// never contains a token.
#[utoipa::path(
    get,
    path = "/accounts",
    operation_id = "list_accounts",
    tag = "Accounts",
    responses(
        (status = 200, description = "The accounts.", body = AccountList),
        (status = 404, description = NO_DATABASE),
    ),
)]
pub async fn list(admin: AdminCaller) -> Result<Json<AccountList>, ApiError> {
    let accounts = admin.store()?.accounts().await.map_err(refused)?;
    let own = &admin.actor.workspace;
    let accounts: Vec<AccountItem> = accounts
        .into_iter()
        // Client registrations are stored in the same table and are left out.
        .filter(|it| !it.key.subject.starts_with("client:"))
        .filter(|it| it.key.subject.is_empty() || it.key.workspace == *own)
        .map(|it| AccountItem {
            bridge: it.key.bridge,
            subject: it.key.subject,
            updated_at: it.updated_at,
        })
        .collect();
    Ok(Json(AccountList {
        count: accounts.len(),
        accounts,
    }))
}

/// Disconnects an account
///
/// The bridge forgets the account and revokes its tokens at the authorization server. Only
/// administrators of the default workspace may disconnect an account that all callers share.
#[utoipa::path(
    delete,
    path = "/accounts",
    operation_id = "disconnect_account",
    tag = "Accounts",
    request_body = AccountSelector,
    responses(
        (status = 200, description = "The account is not connected anymore.", body = AccountRemoval),
        (status = 404, description = "`not_found`: there is no such bridge. `no_database`: the bridge was started without a database."),
    ),
)]
pub async fn disconnect(
    State(state): State<Arc<AppState>>,
    admin: AdminCaller,
    JsonBody(which): JsonBody<AccountSelector>,
) -> Result<Json<AccountRemoval>, ApiError> {
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
        AccountStatus::Disconnected
    } else {
        AccountStatus::NotConnected
    };
    Ok(Json(AccountRemoval {
        status,
        bridge: which.bridge,
        subject: which.subject,
    }))
}
