//! Combines a verified identity with what other headers of the same request say.

use std::sync::Arc;

use http::HeaderMap;

use super::{
    AuthenticationError,
    caller::{AuthenticatedUser, AuthenticationMethod, Caller},
    gateway::GatewayIdentity,
    headers,
    signed::SignedUser,
};

/// A caller without credentials. If only this machine is allowed to call that way, a request
/// through a proxy on this machine is refused, because it may come from elsewhere.
pub(super) fn anonymous(
    fallback: &Arc<Caller>,
    sent: &HeaderMap,
) -> Result<Arc<Caller>, AuthenticationError> {
    match headers::proxied(sent) {
        Some(name) if fallback.proof == AuthenticationMethod::Loopback => {
            Err(AuthenticationError::Proxied(name.to_string()))
        }
        _ => Ok(Arc::clone(fallback)),
    }
}

/// The user of a token is the caller. A gateway that removes these headers from client requests may
/// add what it knows about that user.
pub(super) fn user(
    session: AuthenticatedUser,
    signed: Option<&SignedUser>,
    named: Option<&GatewayIdentity>,
    strips: bool,
    sent: &HeaderMap,
) -> Result<Arc<Caller>, AuthenticationError> {
    let AuthenticatedUser { caller, id } = session;
    let email = caller.email.as_deref();
    headers::check_user(sent, id.as_deref(), email)?;
    if let Some(signed) = signed {
        let is_other = match (&id, email, signed.email.as_deref()) {
            (Some(id), _, _) => **id != *signed.id,
            (None, Some(email), Some(other)) => !headers::is_same_email(email, other),
            (None, _, _) => true,
        };
        if is_other {
            return Err(AuthenticationError::Contradiction);
        }
    }
    let Some(named) = named else {
        return Ok(caller);
    };
    if let (Some(email), Some(other)) = (email, named.email.as_deref())
        && !headers::is_same_email(email, other)
    {
        return Err(AuthenticationError::Contradiction);
    }
    // A gateway that only authenticates itself may pass on headers that the client wrote.
    if !strips || !named.adds() {
        return Ok(caller);
    }
    let mut caller = Arc::unwrap_or_clone(caller);
    named.add_to(&mut caller);
    Ok(Arc::new(caller))
}
