//! Turns the origin of a request into a caller, and the caller into permissions. Checks that protect
//! browsers belong to `http`.

use std::{sync::Arc, time::Duration};

use tokio::time::timeout;

use super::{error::ServiceError, origin::RequestOrigin};
use crate::{
    access::Permissions,
    auth::{AuthenticationError, AuthenticationMethod, Caller},
    settings::{PlaceError, ReloadableSettings},
};

/// The time limit for identifying the sender of a request. Until then the request holds one of few
/// places.
const IDENTIFY_MAX: Duration = Duration::from_secs(10);

/// Identifies the sender of a request, within the time limit.
pub async fn identify(
    settings: &ReloadableSettings,
    origin: &RequestOrigin,
) -> Result<Arc<Caller>, AuthenticationError> {
    let evidence = origin.evidence();
    let identified = settings.proofs.authenticate(&evidence);
    let identified = timeout(IDENTIFY_MAX, identified).await;
    identified.unwrap_or(Err(AuthenticationError::Unavailable(
        "the lookup took too long",
    )))
}

/// Assigns the request's place to the caller, within the caller's share of all places. An
/// administrator gets a reserved place if all others are taken.
pub async fn take_place(
    settings: &ReloadableSettings,
    origin: &RequestOrigin,
    caller: &Arc<Caller>,
) -> Result<(), ServiceError> {
    let Some(seat) = &origin.seat else {
        return Ok(());
    };
    let key = origin.key(caller);
    let Err(full) = seat.claim(key) else {
        return Ok(());
    };
    // Without access rules every caller may do everything, so no caller has the privileges of an
    // administrator.
    let is_admin = settings.access.is_enforced()
        && is_authenticated(caller)
        && Box::pin(permissions(settings, caller)).await?.is_admin();
    if is_admin && seat.claim_reserved(key).is_ok() {
        return Ok(());
    }
    Err(PlaceError::Place(full).into())
}

/// The permissions of a caller.
pub async fn permissions(
    settings: &ReloadableSettings,
    caller: &Arc<Caller>,
) -> Result<Permissions, ServiceError> {
    Ok(settings.access.permissions(caller).await?)
}

/// Whether a caller has proved an identity.
pub fn is_authenticated(caller: &Caller) -> bool {
    !matches!(
        caller.proof,
        AuthenticationMethod::Anonymous | AuthenticationMethod::Loopback
    )
}
