//! From a request to a caller and what they may, with the checks that browsers need.

use std::sync::Arc;

use http::{
    HeaderMap, StatusCode,
    header::{AUTHORIZATION, COOKIE, HOST, ORIGIN},
};

use super::{error::ApiError, sender::Sender, state::Settings};
use crate::{
    access::View,
    auth::{Caller, Proof, Refusal},
    config::Flavor,
};

/// Where a browser says that a request comes from (W3C Fetch Metadata); pages cannot set it.
const SEC_FETCH_SITE: &str = "sec-fetch-site";

/// Who sent the request, or why nobody may have.
pub async fn identify(settings: &Settings, sender: &Sender) -> Result<Arc<Caller>, ApiError> {
    let config = &settings.config;
    let caller = settings.proofs.identify(&sender.evidence()).await;
    let caller = caller.map_err(|refusal| unidentified(settings, refusal))?;
    if config.flavor == Flavor::Native && may_be_forged(&caller) {
        check_origin(&config.server.cors_allow_origins, &sender.headers)?;
    }
    if caller.proof == Proof::Loopback && config.flavor == Flavor::Native {
        check_host(&sender.headers)?;
    }
    Ok(caller)
}

/// Who sent the request, and what they may.
pub async fn view(settings: &Settings, sender: &Sender) -> Result<View, ApiError> {
    let caller = identify(settings, sender).await?;
    view_of(settings, &caller).await
}

/// What a caller may.
pub async fn view_of(settings: &Settings, caller: &Arc<Caller>) -> Result<View, ApiError> {
    let view = settings.access.view(caller).await;
    view.map_err(ApiError::store)
}

/// Who reads a document or a page; `None` is the public, where those are for all.
pub async fn reader(settings: &Settings, sender: &Sender) -> Result<Option<View>, ApiError> {
    let config = &settings.config;
    if !config.server.public_spec || config.identity.strict {
        return view(settings, sender).await.map(vouched);
    }
    // A page from elsewhere may read what is public, and only CORS lets it read anything.
    match settings.proofs.identify(&sender.evidence()).await {
        Ok(caller) if is_somebody(&caller) => view_of(settings, &caller).await.map(vouched),
        // User headers that nobody vouches for prove nothing and hide nothing.
        Ok(_) | Err(Refusal::Missing | Refusal::Untrusted) => Ok(None),
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

/// Whether any page in a browser could speak for this caller: nothing was proved, or it is proved
/// by what browsers send by themselves, to us or to the gateway before us.
pub fn may_be_forged(caller: &Caller) -> bool {
    let is_ambient = matches!(
        caller.proof,
        Proof::Anonymous | Proof::Loopback | Proof::Gateway
    );
    is_ambient || caller.via_cookie
}

/// Whether CORS lets a page of this origin call us.
pub fn is_allowed_origin(allowed: &[String], origin: &str) -> bool {
    allowed.iter().any(|it| it == "*" || it == origin)
}

/// Whether a request comes from a page of ours, or from no page.
pub fn is_same_origin(headers: &HeaderMap) -> bool {
    let Some(origin) = headers.get(ORIGIN) else {
        return true;
    };
    let origin = origin.to_str().unwrap_or_default();
    let host = headers
        .get(HOST)
        .and_then(|host| host.to_str().ok())
        .unwrap_or_default();
    let is_same = origin
        .split_once("://")
        .is_some_and(|(_scheme, authority)| authority == host);
    // What the browser says itself: a gateway may have changed the host.
    let site = headers.get(SEC_FETCH_SITE);
    is_same || site.is_some_and(|site| site == "same-origin")
}

/// Refuses a page from elsewhere (cross-site request forgery).
fn check_origin(allowed: &[String], headers: &HeaderMap) -> Result<(), ApiError> {
    let origin = headers.get(ORIGIN).and_then(|origin| origin.to_str().ok());
    if is_same_origin(headers) || is_allowed_origin(allowed, origin.unwrap_or_default()) {
        return Ok(());
    }
    Err(ApiError::new(
        StatusCode::FORBIDDEN,
        "forbidden_origin",
        "a page of this origin may not call without a key; add it to `cors_allow_origins` in [server]",
    ))
}

/// Refuses a name that only pretends to be this machine (DNS rebinding).
fn check_host(headers: &HeaderMap) -> Result<(), ApiError> {
    let host = headers
        .get(HOST)
        .and_then(|host| host.to_str().ok())
        .unwrap_or("localhost");
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let name = name.to_ascii_lowercase();
    let is_local = name == "localhost"
        || name.ends_with(".localhost")
        || name
            .trim_matches(['[', ']'])
            .parse::<std::net::IpAddr>()
            .is_ok();
    if is_local {
        return Ok(());
    }
    Err(ApiError::new(
        StatusCode::FORBIDDEN,
        "forbidden_host",
        "without a key this bridge answers to `localhost` and IP addresses only; set a key in [identity.keys]",
    ))
}
