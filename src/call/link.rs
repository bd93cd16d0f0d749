//! Links to the page where a person connects an account at a server.

use url::Url;

use super::{CallServices, error::ServiceError};
use crate::{
    auth::Caller,
    bridge::Bridge,
    config::DEFAULT_WORKSPACE,
    credential::{ConnectTicket, SessionOwner, TicketCreationError},
    error_code::ErrorCode,
    settings::below,
    store::AccountKey,
};

/// Makes a link with which a caller connects their own account, or with `shared` the account that
/// all callers share.
pub async fn connect_link(
    services: &CallServices,
    bridge: &Bridge,
    caller: &Caller,
    shared: bool,
) -> Result<Url, ServiceError> {
    let tickets = services.credentials.accounts().tickets().ok_or_else(|| {
        let words = "accounts cannot be connected: this bridge was started without a database; set [database] in bridges.toml";
        ServiceError::new(ErrorCode::NoDatabase, words)
    })?;
    let account = if shared {
        AccountKey {
            workspace: DEFAULT_WORKSPACE.to_owned(),
            bridge: bridge.name().to_string(),
            subject: String::new(),
        }
    } else {
        let owner = SessionOwner::caller(caller).and_then(|it| it.account(bridge.name().as_str()));
        owner.ok_or_else(|| {
            let words = "an account belongs to one caller, and this request does not identify its caller; send an API key or a session token";
            ServiceError::new(ErrorCode::Forbidden, words)
        })?
    };
    let ticket = ConnectTicket::new(&account, &caller.id, caller.proof.as_str());
    let id = tickets.write(&ticket).await.map_err(|error| match error {
        TicketCreationError::Key(error) => {
            ServiceError::new(ErrorCode::NoSecretKey, error.to_string())
        }
        TicketCreationError::Store(error) => error.into(),
    })?;
    Ok(below(&services.settings.load().config, &format!("/c/{id}")))
}

/// Adds a link to an error that asks the caller to connect an account. Other errors stay as they
/// are.
pub async fn with_link(
    services: &CallServices,
    bridge: &Bridge,
    caller: &Caller,
    error: ServiceError,
) -> ServiceError {
    if error.code != ErrorCode::ConnectRequired {
        return error;
    }
    match connect_link(services, bridge, caller, false).await {
        Ok(url) => error.connect_at(&url),
        Err(reason) => {
            tracing::warn!(bridge.name = %bridge.name(), reason = %reason.detail, "a link to connect an account could not be made");
            error
        }
    }
}
