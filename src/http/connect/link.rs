//! Links to the page where a person connects an account.

use std::{borrow::Cow, sync::Arc};

use url::Url;

use crate::{
    auth::Caller,
    bridge::Bridge,
    config::DEFAULT_WORKSPACE,
    credential::{NoTicket, Owner, Ticket, is_ticket_id},
    error_code::ErrorCode,
    http::{AppState, error::ApiError},
    settings::below,
    store::AccountKey,
};

/// The path for logs and traces. The id of a link is removed, so that readers of the log cannot use
/// the link.
pub fn without_link(path: &str) -> Cow<'_, str> {
    match path.rsplit_once('/') {
        Some((before, id)) if before.ends_with("/c") && is_ticket_id(id) => {
            Cow::Owned(format!("{before}/…"))
        }
        Some(_) | None => Cow::Borrowed(path),
    }
}

/// A link with which a caller connects their own account, or with `shared` the account that all
/// callers share.
pub async fn connect_link(
    state: &AppState,
    bridge: &Bridge,
    caller: &Caller,
    shared: bool,
) -> Result<Url, ApiError> {
    let tickets = state.credentials.accounts().tickets().ok_or_else(|| {
        let words = "accounts cannot be connected: this bridge was started without a database; set [database] in bridges.toml";
        ApiError::new(ErrorCode::NoDatabase, words)
    })?;
    let account = if shared {
        AccountKey {
            workspace: DEFAULT_WORKSPACE.to_owned(),
            bridge: bridge.name().to_string(),
            subject: String::new(),
        }
    } else {
        let owner = Owner::caller(caller).and_then(|it| it.account(bridge.name().as_str()));
        owner.ok_or_else(|| {
            let words = "an account belongs to one caller, and this request does not identify its caller; send an API key or a session token";
            ApiError::new(ErrorCode::Forbidden, words)
        })?
    };
    let ticket = Ticket::new(&account, &caller.id, caller.proof.as_str());
    let id = tickets.write(&ticket).await.map_err(|error| match error {
        NoTicket::Key(error) => ApiError::new(ErrorCode::NoSecretKey, error.to_string()),
        NoTicket::Store(error) => ApiError::store(error),
    })?;
    Ok(below(&state.settings.load().config, &format!("/c/{id}")))
}

/// Adds a link to an error that asks the caller to connect an account.
pub async fn with_link(
    state: &AppState,
    bridge: &Arc<Bridge>,
    caller: &Caller,
    error: ApiError,
) -> ApiError {
    if error.code != ErrorCode::ConnectRequired {
        return error;
    }
    match connect_link(state, bridge, caller, false).await {
        Ok(url) => error.connect_at(&url),
        Err(reason) => {
            tracing::warn!(bridge.name = %bridge.name(), reason = %reason.detail, "a link to connect an account could not be made");
            error
        }
    }
}
