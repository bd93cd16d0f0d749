//! Links to the page where a person connects an account.

use std::{borrow::Cow, sync::Arc};

use url::Url;

use crate::{
    auth::Caller,
    bridge::Bridge,
    config::{Config, DEFAULT_WORKSPACE},
    credential::{ConnectTicket, SessionOwner, TicketCreationError, is_ticket_id},
    error_code::ErrorCode,
    http::{AppState, error::ApiError},
    store::AccountKey,
};

/// The URL at which browsers reach the bridge: `public_url` from the configuration, or else this
/// machine with the port that the bridge listens on.
pub fn public_url(config: &Config) -> Url {
    if let Some(url) = &config.server.public_url {
        return url.clone();
    }
    let scheme = if config.server.tls.is_some() {
        "https"
    } else {
        "http"
    };
    let (port, root) = (config.server.listen.port(), &config.server.root_path);
    let text = format!("{scheme}://localhost:{port}{root}");
    text.parse().unwrap_or_else(|_| localhost())
}

/// `http://localhost`.
#[expect(clippy::expect_used, reason = "the text is a constant that parses")]
fn localhost() -> Url {
    "http://localhost".parse().expect("a URL")
}

/// A URL below the public URL.
pub fn below(config: &Config, path: &str) -> Url {
    let mut url = public_url(config);
    let root = url.path().trim_end_matches('/').to_owned();
    url.set_path(&format!("{root}{path}"));
    url
}

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
        let owner = SessionOwner::caller(caller).and_then(|it| it.account(bridge.name().as_str()));
        owner.ok_or_else(|| {
            let words = "an account belongs to one caller, and this request does not identify its caller; send an API key or a session token";
            ApiError::new(ErrorCode::Forbidden, words)
        })?
    };
    let ticket = ConnectTicket::new(&account, &caller.id, caller.proof.as_str());
    let id = tickets.write(&ticket).await.map_err(|error| match error {
        TicketCreationError::Key(error) => ApiError::new(ErrorCode::NoSecretKey, error.to_string()),
        TicketCreationError::Store(error) => ApiError::store(error),
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
