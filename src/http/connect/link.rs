//! Links that lead a person to the page where an account is connected.

use std::{borrow::Cow, sync::Arc};

use url::Url;

use crate::{
    auth::Caller,
    bridge::Bridge,
    config::{Config, DEFAULT_WORKSPACE},
    credential::{NoTicket, Owner, Ticket, is_ticket_id},
    error_code::ErrorCode,
    http::{AppState, error::ApiError},
    store::AccountKey,
};

/// Where browsers reach us: the operator's word, else this machine by the port that we listen on.
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

/// `http://localhost`; a constant, so it parses.
#[expect(clippy::expect_used, reason = "a constant")]
fn localhost() -> Url {
    "http://localhost".parse().expect("a URL")
}

/// A place below where browsers reach us.
pub fn below(config: &Config, path: &str) -> Url {
    let mut url = public_url(config);
    let root = url.path().trim_end_matches('/').to_owned();
    url.set_path(&format!("{root}{path}"));
    url
}

/// A path for logs and traces: the id of a link does not stand there, so that nobody goes on with it.
pub fn without_link(path: &str) -> Cow<'_, str> {
    match path.rsplit_once('/') {
        Some((before, id)) if before.ends_with("/c") && is_ticket_id(id) => {
            Cow::Owned(format!("{before}/…"))
        }
        Some(_) | None => Cow::Borrowed(path),
    }
}

/// A link with which a caller connects an account: their own, or with `shared` everybody's.
pub async fn connect_link(
    state: &AppState,
    bridge: &Bridge,
    caller: &Caller,
    shared: bool,
) -> Result<Url, ApiError> {
    let tickets = state.credentials.accounts().tickets().ok_or_else(|| {
        let words = "nothing is kept here, so nobody can connect an account: this bridge was started without [database]";
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
            let words = "an account belongs to somebody, and who calls is not known";
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

/// A refusal that asks the caller to connect their account, with the link to it.
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
            tracing::warn!(bridge.name = %bridge.name(), reason = %reason.detail, "no link to connect an account");
            error
        }
    }
}
