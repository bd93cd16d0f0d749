//! From a request to a caller and what they may. The checks on browsers are in `browser`.

use std::{sync::Arc, time::Duration};

use http::{
    HeaderMap,
    header::{AUTHORIZATION, COOKIE},
};
use tokio::time::timeout;

use super::{browser, error::ApiError, gate, sender::Sender, state::Settings};
use crate::{
    access::View,
    auth::{Caller, Proof, Refusal},
    config::{DEFAULT_WORKSPACE, Flavor},
    rate::CallerKey,
};

/// How long it may take to find out who sent a request. Until then it holds one of few places.
const IDENTIFY_MAX: Duration = Duration::from_secs(10);

/// Who sent the request, or why nobody may have.
pub async fn identify(settings: &Settings, sender: &Sender) -> Result<Arc<Caller>, ApiError> {
    checked(settings, sender, proven(settings, sender).await)
}

/// The caller of a proof that stands, or why nobody may call with it.
fn checked(
    settings: &Settings,
    sender: &Sender,
    proven: Result<Arc<Caller>, Refusal>,
) -> Result<Arc<Caller>, ApiError> {
    let config = &settings.config;
    let caller = proven.map_err(|refusal| unidentified(settings, refusal))?;
    if browser::may_be_forged(&caller) {
        browser::check_origin(&config.server.cors_allow_origins, sender)?;
    }
    if caller.proof == Proof::Loopback && config.flavor == Flavor::Native {
        browser::check_host(sender)?;
    }
    Ok(caller)
}

/// Who sent the request, and what they may. The request takes a place of theirs.
pub async fn view(settings: &Settings, sender: &Sender) -> Result<View, ApiError> {
    let caller = identify(settings, sender).await?;
    take_place(settings, sender, &caller).await?;
    view_of(settings, &caller).await
}

/// [`view`], with `None` for a request that has no credentials at all. A wrong one is refused.
pub async fn view_if_any(settings: &Settings, sender: &Sender) -> Result<Option<View>, ApiError> {
    let proven = proven(settings, sender).await;
    if let (Err(Refusal::Missing), Flavor::Native) = (&proven, settings.config.flavor) {
        return Ok(None);
    }
    let caller = checked(settings, sender, proven)?;
    take_place(settings, sender, &caller).await?;
    view_of(settings, &caller).await.map(Some)
}

/// Makes the request's place the caller's, within their share of all. An administrator gets one out
/// of what is reserved for them when there is no other.
pub async fn take_place(
    settings: &Settings,
    sender: &Sender,
    caller: &Arc<Caller>,
) -> Result<(), ApiError> {
    let Some(seat) = &sender.seat else {
        return Ok(());
    };
    let key = CallerKey::of(caller, sender.peer);
    let Err(full) = seat.claim(key) else {
        return Ok(());
    };
    // Where everybody may do everything nobody is an administrator among others.
    let is_admin = settings.access.is_enforced()
        && is_somebody(caller)
        && Box::pin(view_of(settings, caller)).await?.is_admin();
    if is_admin && seat.claim_reserved(key).is_ok() {
        return Ok(());
    }
    Err(gate::refusal(full))
}

/// Who sent the request, within a bounded time.
async fn proven(settings: &Settings, sender: &Sender) -> Result<Arc<Caller>, Refusal> {
    let evidence = sender.evidence();
    let identified = settings.proofs.identify(&evidence);
    let identified = timeout(IDENTIFY_MAX, identified).await;
    identified.unwrap_or(Err(Refusal::Unavailable("it takes too long to look up")))
}

/// What a caller may.
pub async fn view_of(settings: &Settings, caller: &Arc<Caller>) -> Result<View, ApiError> {
    let view = settings.access.view(caller).await;
    view.map_err(ApiError::store)
}

/// Whether a caller administers every workspace, and not only their own: what has no workspace, and
/// what sends the operator's credentials elsewhere, is for the operator and for administrators of
/// the default workspace.
pub fn administers_all(view: &View) -> bool {
    view.is_admin() && *view.caller().workspace == *DEFAULT_WORKSPACE
}

/// Who reads a document or a page; `None` is the public, where those are for all.
pub async fn reader(settings: &Settings, sender: &Sender) -> Result<Option<View>, ApiError> {
    let config = &settings.config;
    if !config.server.public_spec || config.identity.strict {
        return view(settings, sender).await.map(vouched);
    }
    // A page from elsewhere may read what is public, and only CORS lets it read anything.
    match proven(settings, sender).await {
        Ok(caller) if is_somebody(&caller) => {
            take_place(settings, sender, &caller).await?;
            view_of(settings, &caller).await.map(vouched)
        }
        // Without any key there is no public either: a page whose name was moved here reads nothing.
        Ok(caller) if caller.proof == Proof::Loopback && config.flavor == Flavor::Native => {
            browser::check_host(sender).map(|()| None)
        }
        // User headers that nobody vouches for prove nothing and hide nothing.
        Ok(_) | Err(Refusal::Missing | Refusal::Untrusted) => Ok(None),
        Err(refusal @ Refusal::Proxied(_)) => Err(unidentified(settings, refusal)),
        // A cookie is sent by the browser, which knows no better.
        Err(_) if is_cookie_alone(&sender.headers) => Ok(None),
        // mcpo's documents are for everybody, whatever they send.
        Err(_) if config.flavor != Flavor::Native => Ok(None),
        Err(refusal) => Err(unidentified(settings, refusal)),
    }
}

/// Whoever vouches for others reads for all of them: Open WebUI fetches documents without a user.
fn vouched(view: View) -> Option<View> {
    (!view.caller().vouches).then_some(view)
}

/// Whether a cookie is all that a request proves itself with.
fn is_cookie_alone(headers: &HeaderMap) -> bool {
    headers.contains_key(COOKIE)
        && !headers.contains_key(AUTHORIZATION)
        && !headers.contains_key("x-openwebui-user-jwt")
}

/// Whether a caller is more than a request without credentials.
fn is_somebody(caller: &Caller) -> bool {
    !matches!(caller.proof, Proof::Anonymous | Proof::Loopback)
}

/// The answer to a request without identity.
fn unidentified(settings: &Settings, refusal: Refusal) -> ApiError {
    let config = &settings.config;
    ApiError::unidentified(refusal, config.flavor, config.identity.strict)
}
