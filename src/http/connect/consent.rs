//! The page that asks the user for consent, what its button starts, and the check that the user may
//! use the link.

use std::sync::Arc;

use axum::{
    body::Body,
    response::{IntoResponse as _, Redirect, Response},
};
use http::header::SET_COOKIE;
use url::form_urlencoded;

use super::{
    cookie, page,
    parts::{bridge, logins, refused, root_of},
    vendor::vendor_of,
};
use crate::{
    auth::AuthenticationMethod,
    bridge::Bridge,
    call::permissions,
    credential::{
        ConnectTicket, InvalidTicketError, LoginRequest, SessionOwner, TicketStore, oauth_of,
    },
    error_code::ErrorCode,
    http::{AppState, body, browser, error::ApiError, identity, sender::RequestSender},
    settings::{below, public_url},
    store::ChangeActor,
};

/// The largest request body, in bytes.
const BODY_BYTES_MAX: usize = 16 << 10;

/// The page that asks for consent.
pub async fn asked(
    state: &AppState,
    named: Option<&Bridge>,
    id: &str,
    sender: &RequestSender,
) -> Result<Response, ApiError> {
    let ticket = tickets(state)?.read(id).await.map_err(bad_link)?;
    let bridge = check(state, named, &ticket, sender).await?;
    let (server, _) = oauth_of(&bridge.config).map_err(|error| refused(&error))?;
    let question = page::ConsentPage {
        ticket: &ticket,
        id,
        server: &server.origin().ascii_serialization(),
        // The operator's title comes first, because a server could take the name of another one.
        vendor: bridge.config.title.as_deref().or(vendor_of(server)),
    };
    Ok(page::question(&root_of(state), &question))
}

/// Sends the browser to the authorization server.
pub async fn begin(
    state: &AppState,
    named: Option<&Bridge>,
    sender: &RequestSender,
    request: Body,
) -> Result<Response, ApiError> {
    if !browser::is_same_origin(sender) {
        let words = "the request did not come from the consent page; open the link again and use the button on the page";
        return Err(ApiError::new(ErrorCode::ForbiddenOrigin, words));
    }
    let form = body::read(request, BODY_BYTES_MAX, None).await?;
    let id = form_urlencoded::parse(&form)
        .find_map(|(key, value)| (key == "ticket").then(|| value.into_owned()))
        .unwrap_or_default();
    let tickets = tickets(state)?;
    let ticket = tickets.read(&id).await.map_err(bad_link)?;
    let bridge = check(state, named, &ticket, sender).await?;
    let config = Arc::clone(&state.settings.load().config);
    let held = cookie::held(&sender.headers).unwrap_or_else(cookie::fresh);
    tickets.claim(&id, &held).await.map_err(bad_link)?;
    let wish = LoginRequest {
        bridge: &bridge.config,
        account: ticket.account(),
        redirect_url: &below(&config, "/oauth/callback"),
        browser: Some(&held),
        actor: &ChangeActor {
            id: ticket.caller.clone(),
            proof: ticket.proof.clone(),
            workspace: ticket.workspace.clone(),
        },
    };
    let begun = logins(state)?.begin(&wish).await;
    let url = begun.map_err(|error| refused(&error))?;
    let mut response = Redirect::to(url.as_str()).into_response();
    if let Some(value) = cookie::header(&held, &public_url(&config)) {
        response.headers_mut().insert(SET_COOKIE, value);
    }
    Ok(response)
}

/// The store of tickets.
fn tickets(state: &AppState) -> Result<TicketStore, ApiError> {
    let tickets = state.credentials.accounts().tickets();
    tickets.ok_or_else(|| ApiError::not_found("accounts cannot be connected: this bridge was started without a database; set [database] in bridges.toml"))
}

/// The error for a link that is not valid.
fn bad_link(error: InvalidTicketError) -> ApiError {
    match error {
        InvalidTicketError::Store(error) => ApiError::store(error),
        InvalidTicketError::OtherBrowser => {
            ApiError::new(ErrorCode::NotYourLink, error.to_string())
        }
        InvalidTicketError::Unknown => ApiError::new(ErrorCode::BadLink, error.to_string()),
    }
}

/// Checks a ticket against the bridge in the path, if there is one, and against the user who opens
/// it. Returns the ticket's bridge.
async fn check(
    state: &AppState,
    named: Option<&Bridge>,
    ticket: &ConnectTicket,
    sender: &RequestSender,
) -> Result<Arc<Bridge>, ApiError> {
    if named.is_some_and(|named| named.name().as_str() != ticket.bridge) {
        let words = "this link is for another bridge; ask for a new one";
        return Err(ApiError::new(ErrorCode::BadLink, words));
    }
    let bridge = bridge(state, &ticket.bridge)?;
    is_theirs(state, &bridge, ticket, sender).await?;
    Ok(bridge)
}

/// Refuses a user who is identified as another user than the one the link is for. A browser without
/// credentials may continue, because the page shows the name of the link's user.
async fn is_theirs(
    state: &AppState,
    bridge: &Bridge,
    ticket: &ConnectTicket,
    sender: &RequestSender,
) -> Result<(), ApiError> {
    let settings = state.settings.load_full();
    let Ok(caller) = settings.proofs.authenticate(&sender.evidence()).await else {
        return Ok(());
    };
    if matches!(
        caller.proof,
        AuthenticationMethod::Anonymous | AuthenticationMethod::Loopback
    ) {
        return Ok(());
    }
    let view = permissions(&settings, &caller).await?;
    let is_same = if ticket.subject.is_empty() {
        identity::administers_all(&view)
    } else {
        let owner = SessionOwner::caller(&caller).and_then(|it| it.account(bridge.name().as_str()));
        owner == Some(ticket.account())
    };
    if is_same {
        return Ok(());
    }
    tracing::warn!(bridge.name = %bridge.name(), caller = %caller.id, "another user opened a link to connect an account");
    let detail = format!(
        "this link is for {}, and you are {}; ask for a link of your own",
        ticket.caller, caller.id
    );
    Err(ApiError::new(ErrorCode::NotYourLink, detail))
}
