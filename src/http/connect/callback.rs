//! `GET /oauth/callback`: the authorization server sends the browser back here.

use std::sync::Arc;

use axum::{
    extract::{Query, State},
    response::Response,
};

use super::{
    cookie,
    page::{self, PageText},
    parts::{failed, logins, root_of},
};
use crate::{
    auth::{AuthenticationMethod, Caller},
    credential::{AuthorizationResponse, ConnectedAccount, LoginError, SessionOwner},
    http::{AppState, sender::RequestSender},
    rate::CallerKey,
};

/// Handles the authorization response.
pub async fn callback(
    State(state): State<Arc<AppState>>,
    Query(answer): Query<AuthorizationResponse>,
    sender: RequestSender,
) -> Response {
    match finish(&state, &answer, &sender).await {
        Ok(finished) => welcome(&state, &finished),
        Err(error) => {
            tracing::warn!(%error, "a login failed");
            failed(&state, &error)
        }
    }
}

async fn finish(
    state: &AppState,
    answer: &AuthorizationResponse,
    sender: &RequestSender,
) -> Result<ConnectedAccount, LoginError> {
    let logins = logins(state).map_err(|_| LoginError::Unknown)?;
    let held = cookie::held(&sender.headers);
    let find = |name: &str| {
        let roster = state.registry.roster();
        roster.get(name).map(|bridge| (*bridge.config).clone())
    };
    logins.finish(answer, held.as_ref(), find).await
}

/// Tells the user that the account is connected. Meanwhile the bridge lists the server's tools.
fn welcome(state: &AppState, finished: &ConnectedAccount) -> Response {
    let account = &finished.account;
    let text = if account.subject.is_empty() {
        format!(
            "Bridge {} now acts with this account for everyone who may use it. You can close this page.",
            account.bridge
        )
    } else {
        format!(
            "Bridge {} now acts with this account for {}. You can close this page and retry what you were doing.",
            account.bridge, finished.caller
        )
    };
    let bridge = state.registry.roster().get(&account.bridge).map(Arc::clone);
    if let (Some(bridge), false) = (bridge, account.subject.is_empty()) {
        let owner = SessionOwner::Caller {
            workspace: account.workspace.as_str().into(),
            subject: account.subject.as_str().into(),
        };
        let caller = Caller::named(&account.subject, AuthenticationMethod::Session);
        let caller = CallerKey::of(&caller, None);
        state.registry.tracker().spawn(async move {
            // The old session used the old account.
            bridge.dismiss(&owner);
            if let Err(reason) = bridge.welcome(&owner, caller).await {
                tracing::warn!(bridge.name = %bridge.name(), %reason, "the account is connected, but its server cannot be reached");
            }
        });
    }
    let words = PageText {
        title: "Connected",
        text: &text,
    };
    page::done(&root_of(state), words)
}
