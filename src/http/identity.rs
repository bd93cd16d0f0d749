//! Turns a request into a caller and the caller's access. The checks on browsers are in `browser`.

use std::sync::Arc;

use super::{browser, error::ApiError, sender::RequestSender};
use crate::{
    access::Permissions,
    auth::{AuthenticationError, AuthenticationMethod, Caller},
    call::{self, is_authenticated, permissions, take_place},
    config::{DEFAULT_WORKSPACE, Flavor},
    settings::ReloadableSettings,
};
use http::{
    HeaderMap,
    header::{AUTHORIZATION, COOKIE},
};

/// The sender of the request, or the reason for the refusal.
pub async fn identify(
    settings: &ReloadableSettings,
    sender: &RequestSender,
) -> Result<Arc<Caller>, ApiError> {
    checked(settings, sender, call::identify(settings, sender).await)
}

/// Checks a proven caller against the browser checks, or turns the refusal into an error.
fn checked(
    settings: &ReloadableSettings,
    sender: &RequestSender,
    proven: Result<Arc<Caller>, AuthenticationError>,
) -> Result<Arc<Caller>, ApiError> {
    let config = &settings.config;
    let caller = proven.map_err(|refusal| unidentified(settings, refusal))?;
    if browser::may_be_forged(&caller) {
        browser::check_origin(&config.server.cors_allow_origins, sender)?;
    }
    if caller.proof == AuthenticationMethod::Loopback && config.flavor == Flavor::Native {
        browser::check_host(sender)?;
    }
    Ok(caller)
}

/// The sender of the request and their access. The request takes one of the caller's places.
pub async fn view(
    settings: &ReloadableSettings,
    sender: &RequestSender,
) -> Result<Permissions, ApiError> {
    let caller = identify(settings, sender).await?;
    take_place(settings, sender, &caller).await?;
    Ok(permissions(settings, &caller).await?)
}

/// Like [`view`], but `None` for a request without any credentials. Wrong credentials are refused.
pub async fn view_if_any(
    settings: &ReloadableSettings,
    sender: &RequestSender,
) -> Result<Option<Permissions>, ApiError> {
    let proven = call::identify(settings, sender).await;
    if let (Err(AuthenticationError::Missing), Flavor::Native) = (&proven, settings.config.flavor) {
        return Ok(None);
    }
    let caller = checked(settings, sender, proven)?;
    take_place(settings, sender, &caller).await?;
    Ok(Some(permissions(settings, &caller).await?))
}

/// Whether a caller administers every workspace. Only the operator and administrators of the
/// default workspace may manage what does not belong to a workspace, and what sends the operator's
/// credentials to another address.
pub fn administers_all(view: &Permissions) -> bool {
    view.is_admin() && *view.caller().workspace == *DEFAULT_WORKSPACE
}

/// The reader of a document or a page. `None` is the public, where documents are public.
pub async fn reader(
    settings: &ReloadableSettings,
    sender: &RequestSender,
) -> Result<Option<Permissions>, ApiError> {
    let config = &settings.config;
    if !config.server.public_spec || config.identity.strict {
        return view(settings, sender).await.map(vouched);
    }
    // A page of another origin may read public documents. CORS decides which origins can read them.
    match call::identify(settings, sender).await {
        Ok(caller) if is_authenticated(&caller) => {
            take_place(settings, sender, &caller).await?;
            Ok(vouched(permissions(settings, &caller).await?))
        }
        // Without any key, documents are not public: a page that uses DNS rebinding must not read
        // them.
        Ok(caller)
            if caller.proof == AuthenticationMethod::Loopback
                && config.flavor == Flavor::Native =>
        {
            browser::check_host(sender).map(|()| None)
        }
        // User headers without a trusted sender prove nothing and do not restrict the document.
        Ok(_) | Err(AuthenticationError::Missing | AuthenticationError::Untrusted) => Ok(None),
        Err(refusal @ AuthenticationError::Proxied(_)) => Err(unidentified(settings, refusal)),
        // The browser adds the cookie by itself, so a cookie that is not valid is ignored.
        Err(_) if is_cookie_alone(&sender.headers) => Ok(None),
        // mcpo's documents are public, whatever credentials a request carries.
        Err(_) if config.flavor != Flavor::Native => Ok(None),
        Err(refusal) => Err(unidentified(settings, refusal)),
    }
}

/// A caller that acts on behalf of users reads the public document: Open WebUI fetches documents
/// without naming a user.
fn vouched(view: Permissions) -> Option<Permissions> {
    (!view.caller().vouches).then_some(view)
}

/// Whether a cookie is the only credential of a request.
fn is_cookie_alone(headers: &HeaderMap) -> bool {
    headers.contains_key(COOKIE)
        && !headers.contains_key(AUTHORIZATION)
        && !headers.contains_key("x-openwebui-user-jwt")
}

/// The error for a request without a valid identity.
fn unidentified(settings: &ReloadableSettings, refusal: AuthenticationError) -> ApiError {
    let config = &settings.config;
    ApiError::unidentified(refusal, config.flavor, config.identity.strict)
}
