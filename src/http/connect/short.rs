//! The short address of a link, the page behind it, and the check that the user may use it.

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
    call::permissions,
    credential::{BadTicket, Owner, Ticket, Tickets, is_ticket_id, oauth_of},
    error_code::ErrorCode,
    http::{AppState, error::ApiError, identity, sender::Sender},
};

/// The error for a browser that does not identify its user: it sent no session of Open WebUI and no
/// other credentials.
pub fn unidentified_browser(error: ApiError) -> ApiError {
    if error.code == ErrorCode::Unauthorized {
        let words = "open this page from the chat, or sign in to Open WebUI first";
        return ApiError::new(ErrorCode::Unauthorized, words);
    }
    error
}

/// The address where users sign in, if it is configured.
pub fn open_webui(state: &AppState) -> Option<url::Url> {
    state.settings.load().config.identity.open_webui.url.clone()
}

/// `/c/{id}`: the page behind a link, and the form that its button sends. A bridge may be called
/// `c`, so requests that cannot be for a link go to that bridge.
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

/// The page that asks for consent.
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
        // The operator's title comes first, because a server could take the name of another one.
        vendor: bridge.config.title.as_deref().or(vendor_of(server)),
    };
    Ok(page::question(&root_of(state), &question))
}

/// Whether the body is a form.
pub fn is_form(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|kind| {
        kind.as_bytes()
            .starts_with(b"application/x-www-form-urlencoded")
    })
}

/// The store of tickets.
pub fn tickets(state: &AppState) -> Result<Tickets, ApiError> {
    let tickets = state.credentials.accounts().tickets();
    tickets.ok_or_else(|| ApiError::not_found("accounts cannot be connected: this bridge was started without a database; set [database] in bridges.toml"))
}

/// The error for a link that is not valid.
pub fn bad_link(error: BadTicket) -> ApiError {
    match error {
        BadTicket::Store(error) => ApiError::store(error),
        BadTicket::OtherBrowser => ApiError::new(ErrorCode::NotYourLink, error.to_string()),
        BadTicket::Unknown => ApiError::new(ErrorCode::BadLink, error.to_string()),
    }
}

/// Checks a ticket against the bridge in the path, if there is one, and against the user who opens
/// it. Returns the ticket's bridge.
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

/// Refuses a user who is identified as another user than the one the link is for. A browser without
/// credentials may continue, because the page shows the name of the link's user.
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
    let view = permissions(&settings, &caller).await?;
    let is_same = if ticket.subject.is_empty() {
        identity::administers_all(&view)
    } else {
        let owner = Owner::caller(&caller).and_then(|it| it.account(bridge.name().as_str()));
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
