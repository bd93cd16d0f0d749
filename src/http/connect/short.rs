//! The page behind a link, for whom a link counts, and the short address of it.

use std::sync::Arc;

use axum::{
    extract::{Path, Request, State},
    response::Response,
};
use http::{HeaderMap, Method, header::CONTENT_TYPE};

use super::{
    page,
    routes::{begin, bridge, refused, root_of},
    vendor::vendor_of,
};
use crate::{
    auth::Proof,
    bridge::Bridge,
    credential::{BadTicket, Owner, Ticket, Tickets, is_ticket_id, oauth_of},
    error_code::ErrorCode,
    http::{AppState, error::ApiError, identity, sender::Sender},
};

/// A person without a name here: their browser shows neither a session of Open WebUI nor anything else.
pub fn nobody(error: ApiError) -> ApiError {
    if error.code == ErrorCode::Unauthorized {
        let words = "open this page from the chat, or sign in to Open WebUI first";
        return ApiError::new(ErrorCode::Unauthorized, words);
    }
    error
}

/// Where people sign in, where that is known.
pub fn open_webui(state: &AppState) -> Option<url::Url> {
    state.settings.load().config.identity.open_webui.url.clone()
}

/// `/c/{id}`: the page behind a link, and what its button sends. A bridge may be called `c`; what cannot be
/// a link is for it.
pub async fn short(
    State(state): State<Arc<AppState>>,
    Path(id): Path<String>,
    request: Request,
) -> Response {
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    let is_sent = *request.method() == Method::POST && is_form(request.headers());
    let is_taken = state.registry.roster().get("c").is_some();
    if !(is_read || is_sent) || is_taken && !is_ticket_id(&id) {
        return crate::http::dispatch(State(state), request).await;
    }
    let (mut parts, body) = request.into_parts();
    let sender = Sender::take(&mut parts);
    let answer = if is_read {
        asked(&state, None, &id, &sender).await
    } else {
        begin(&state, None, &sender, body).await
    };
    answer.unwrap_or_else(|error| {
        page::refusal(&root_of(&state), &error, open_webui(&state).as_ref())
    })
}

/// The page that asks whether to go on.
pub async fn asked(
    state: &AppState,
    named: Option<&Bridge>,
    id: &str,
    sender: &Sender,
) -> Result<Response, ApiError> {
    let ticket = tickets(state)?.read(id).await.map_err(bad_link)?;
    let bridge = check(state, named, &ticket, sender).await?;
    let (server, _) = oauth_of(&bridge.config).map_err(|error| refused(&error))?;
    let question = page::Question {
        ticket: &ticket,
        id,
        server: &server.origin().ascii_serialization(),
        // The operator's title first: a server could call itself like another one.
        vendor: bridge.config.title.as_deref().or(vendor_of(server)),
    };
    Ok(page::question(&root_of(state), &question))
}

/// Whether a body is that of a form.
pub fn is_form(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|kind| {
        kind.as_bytes()
            .starts_with(b"application/x-www-form-urlencoded")
    })
}

/// What keeps tickets.
pub fn tickets(state: &AppState) -> Result<Tickets, ApiError> {
    let tickets = state.credentials.accounts().tickets();
    tickets.ok_or_else(|| ApiError::not_found("nobody can connect an account here"))
}

/// Why a link does not count.
pub fn bad_link(error: BadTicket) -> ApiError {
    match error {
        BadTicket::Store(error) => ApiError::store(error),
        BadTicket::OtherBrowser => ApiError::new(ErrorCode::NotYourLink, error.to_string()),
        BadTicket::Unknown => ApiError::new(ErrorCode::BadLink, error.to_string()),
    }
}

/// Compares a ticket with the bridge that is named, if one is, and with the person who brings it: its bridge.
pub async fn check(
    state: &AppState,
    named: Option<&Bridge>,
    ticket: &Ticket,
    sender: &Sender,
) -> Result<Arc<Bridge>, ApiError> {
    if named.is_some_and(|named| named.name().as_str() != ticket.bridge) {
        let words = "this link is for another bridge; ask for a new one";
        return Err(ApiError::new(ErrorCode::BadLink, words));
    }
    let bridge = bridge(state, &ticket.bridge)?;
    is_theirs(state, &bridge, ticket, sender).await?;
    Ok(bridge)
}

/// Refuses whoever proves to be somebody else than the link is for. A browser that proves nothing may
/// go on: the page has told it the name.
async fn is_theirs(
    state: &AppState,
    bridge: &Bridge,
    ticket: &Ticket,
    sender: &Sender,
) -> Result<(), ApiError> {
    let settings = state.settings.load_full();
    let Ok(caller) = settings.proofs.identify(&sender.evidence()).await else {
        return Ok(());
    };
    if matches!(caller.proof, Proof::Anonymous | Proof::Loopback) {
        return Ok(());
    }
    let view = identity::view_of(&settings, &caller).await?;
    let is_same = if ticket.subject.is_empty() {
        identity::administers_all(&view)
    } else {
        let owner = Owner::caller(&caller).and_then(|it| it.account(bridge.name().as_str()));
        owner == Some(ticket.account())
    };
    if is_same {
        return Ok(());
    }
    tracing::warn!(bridge.name = %bridge.name(), caller = %caller.id, "a link to connect an account was opened by somebody else");
    let detail = format!(
        "this link is for {}, and you are {}; ask for one of your own",
        ticket.caller, caller.id
    );
    Err(ApiError::new(ErrorCode::NotYourLink, detail))
}
