//! The routes: get a link, open it, continue to the login, disconnect.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Path, Query, Request, State},
    response::{IntoResponse as _, Response},
    routing::{any, get},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    callback,
    consent::{asked, begin},
    page,
    parts::{bridge, logins, open_webui, refused, root_of},
    short::{is_form, short, unidentified_browser},
};
use crate::{
    access::Permissions,
    bridge::Bridge,
    call::connect_link,
    config::{CredentialScope, TransportSettings},
    credential::{SessionOwner, TICKET_TTL, oauth_of},
    error_code::ErrorCode,
    http::{AppState, error::ApiError, identity, sender::RequestSender},
    settings::below,
    store::{AccountKey, ChangeActor},
};

/// The routes. Only the native flavor has them: under mcpo's rules `oauth` may be the name of a
/// server.
pub fn routes() -> Router<Arc<AppState>> {
    Router::new()
        .route("/c/{id}", any(short))
        .route("/oauth", get(list))
        .route("/oauth/", get(list))
        .route("/oauth/callback", get(callback::callback))
        .route("/oauth/page.css", get(page::style))
        .route("/oauth/client-metadata.json", get(client_metadata))
        .route(
            "/oauth/{bridge}/connect",
            get(open).post(go_on).delete(disconnect),
        )
}

/// The query of a link.
#[derive(Debug, Deserialize)]
struct LinkQuery {
    /// The id of the ticket.
    ticket: Option<String>,
}

/// `GET /oauth`: the bridges that need a login.
async fn list(
    State(state): State<Arc<AppState>>,
    sender: RequestSender,
) -> Result<Json<Value>, ApiError> {
    let view = identity::view(&state.settings.load_full(), &sender).await?;
    let mut bridges = Vec::new();
    let roster = state.registry.roster().clone();
    for bridge in roster.bridges() {
        if oauth_of(&bridge.config).is_err() || view.enter(bridge.name()).is_err() {
            continue;
        }
        let owner = match bridge.config.credential {
            CredentialScope::Caller => SessionOwner::caller(view.caller()),
            CredentialScope::Shared | CredentialScope::Group => Some(SessionOwner::Shared),
        };
        let is_connected = match owner.and_then(|it| it.account(bridge.name().as_str())) {
            Some(account) => is_connected(&state, &account).await?,
            None => false,
        };
        bridges.push(json!({
            "bridge": bridge.name().as_str(),
            "title": bridge.config.title.as_deref().unwrap_or(bridge.name().as_str()),
            "account": whose(bridge),
            "connected": is_connected,
            "connect": below(&state.settings.load().config, &format!("/oauth/{}/connect", bridge.name())).path(),
        }));
    }
    Ok(Json(json!({ "bridges": bridges })))
}

/// Whether the account is connected.
async fn is_connected(state: &AppState, account: &AccountKey) -> Result<bool, ApiError> {
    match state.credentials.accounts().store() {
        Some(store) => {
            let found = store.account(account).await.map_err(ApiError::store)?;
            Ok(found.is_some())
        }
        None => Ok(false),
    }
}

/// `GET /oauth/{bridge}/connect`: the page behind a link. A signed-in user without a link gets one.
async fn open(
    State(state): State<Arc<AppState>>,
    Path(name): Path<String>,
    Query(carried): Query<LinkQuery>,
    sender: RequestSender,
) -> Response {
    let root = root_of(&state);
    let opened = async {
        let bridge = bridge(&state, &name)?;
        oauth_of(&bridge.config).map_err(|error| refused(&error))?;
        let id = if let Some(id) = carried.ticket {
            id
        } else {
            let view = identity::view(&state.settings.load_full(), &sender).await;
            let url = link_for(&state, &bridge, &view.map_err(unidentified_browser)?).await?;
            let mut steps = url.path_segments().into_iter().flatten();
            steps.next_back().unwrap_or_default().to_owned()
        };
        asked(&state, Some(&bridge), &id, &sender).await
    };
    let opened: Result<Response, ApiError> = opened.await;
    opened.unwrap_or_else(|error| page::refusal(&root, &error, open_webui(&state).as_ref()))
}

/// `POST /oauth/{bridge}/connect`: with a JSON body, returns a link for the caller; with the form
/// of the consent page, redirects to the authorization server.
async fn go_on(
    State(state): State<Arc<AppState>>,
    Path(name): Path<String>,
    request: Request,
) -> Response {
    let (mut parts, body) = request.into_parts();
    let is_form = is_form(&parts.headers);
    let sender = RequestSender::take(&mut parts);
    if !is_form {
        let link = ask(&state, &name, &sender).await;
        return link.map_or_else(ApiError::into_response, |it| Json(it).into_response());
    }
    let begun = match bridge(&state, &name) {
        Ok(bridge) => begin(&state, Some(&bridge), &sender, body).await,
        Err(error) => Err(error),
    };
    begun.unwrap_or_else(|error| {
        page::refusal(&root_of(&state), &error, open_webui(&state).as_ref())
    })
}

/// Makes a link for the caller.
async fn ask(state: &AppState, name: &str, sender: &RequestSender) -> Result<Value, ApiError> {
    let view = identity::view(&state.settings.load_full(), sender).await?;
    let bridge = bridge(state, name)?;
    oauth_of(&bridge.config).map_err(|error| refused(&error))?;
    let url = link_for(state, &bridge, &view).await?;
    Ok(json!({
        "bridge": name,
        "account": whose(&bridge),
        "connect_url": url.as_str(),
        "expires_in": TICKET_TTL.as_secs(),
    }))
}

/// A link to connect an account. A caller who may use the bridge connects their own account. Only
/// an administrator connects a shared account.
async fn link_for(
    state: &AppState,
    bridge: &Bridge,
    view: &Permissions,
) -> Result<url::Url, ApiError> {
    let is_shared = bridge.config.credential != CredentialScope::Caller;
    if is_shared && !identity::administers_all(view) {
        let detail = format!(
            "the account of bridge `{}` is shared by all callers; only an administrator of the default workspace can connect it",
            bridge.name()
        );
        return Err(ApiError::new(ErrorCode::Forbidden, detail));
    }
    if !is_shared {
        let entered = view.enter(bridge.name());
        entered.map_err(|denial| ApiError::access_refused(&denial, bridge.name(), None))?;
    }
    Ok(connect_link(&state.services, bridge, view.caller(), is_shared).await?)
}

/// `DELETE /oauth/{bridge}/connect`: forgets the caller's own account. An administrator forgets a
/// shared account.
async fn disconnect(
    State(state): State<Arc<AppState>>,
    Path(name): Path<String>,
    sender: RequestSender,
) -> Result<Json<Value>, ApiError> {
    let view = identity::view(&state.settings.load_full(), &sender).await?;
    let bridge = bridge(&state, &name)?;
    let is_shared = bridge.config.credential != CredentialScope::Caller;
    if is_shared && !identity::administers_all(&view) {
        let words = "the account is shared by all callers; only an administrator of the default workspace can disconnect it";
        return Err(ApiError::new(ErrorCode::Forbidden, words));
    }
    let owner = if is_shared {
        Some(SessionOwner::Shared)
    } else {
        SessionOwner::caller(view.caller())
    };
    let account = owner.as_ref().and_then(|it| it.account(&name));
    let (Some(owner), Some(account)) = (owner, account) else {
        let words = "an account belongs to one caller, and this request does not identify its caller; send an API key or a session token";
        return Err(ApiError::new(ErrorCode::Forbidden, words));
    };
    let caller = view.caller();
    let by = ChangeActor {
        id: caller.id.to_string(),
        proof: caller.proof.as_str().to_owned(),
        workspace: caller.workspace.to_string(),
    };
    let is_gone = forget(&state, &bridge, &owner, &account, &by).await?;
    let status = if is_gone {
        "disconnected"
    } else {
        "not connected"
    };
    Ok(Json(json!({ "status": status, "bridge": name })))
}

/// Forgets an account and ends its session.
pub async fn forget(
    state: &AppState,
    bridge: &Arc<Bridge>,
    owner: &SessionOwner,
    account: &AccountKey,
    by: &ChangeActor,
) -> Result<bool, ApiError> {
    let actor = ChangeActor {
        workspace: account.workspace.clone(),
        ..by.clone()
    };
    let settings = match &bridge.config.transport {
        Ok(TransportSettings::Remote(remote)) => remote.oauth.as_ref(),
        Ok(TransportSettings::Stdio(_)) | Err(_) => None,
    };
    let gone = logins(state)?.disconnect(&actor, account, settings).await;
    let is_gone = gone.map_err(|error| refused(&error))?;
    match owner {
        SessionOwner::Shared if is_gone => bridge.reconnect(),
        SessionOwner::Shared => {}
        SessionOwner::Group { .. } | SessionOwner::Caller { .. } => bridge.dismiss(owner),
    }
    Ok(is_gone)
}

/// `GET /oauth/client-metadata.json`: describes the bridge to authorization servers
/// (draft-ietf-oauth-client-id-metadata-document). The URL of this document is the bridge's client
/// id.
async fn client_metadata(State(state): State<Arc<AppState>>) -> Json<Value> {
    let config = &state.settings.load().config;
    Json(json!({
        "client_id": below(config, "/oauth/client-metadata.json").as_str(),
        "client_name": "mcp-bridge",
        "redirect_uris": [below(config, "/oauth/callback").as_str()],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": "none",
        "application_type": "web",
    }))
}

/// Whether the account of a bridge is shared or belongs to the caller.
fn whose(bridge: &Bridge) -> &'static str {
    match bridge.config.credential {
        CredentialScope::Shared | CredentialScope::Group => "shared",
        CredentialScope::Caller => "caller",
    }
}
