//! [`SessionToken`]: lets the bridge act as a caller at their Open WebUI.

use http::HeaderMap;

use super::{
    caller::{AuthenticationMethod, Caller},
    headers,
};
use crate::secret::Secret;

/// The Open WebUI session token that a caller authenticated with.
#[derive(Debug, Clone)]
pub struct SessionToken(Secret);

impl SessionToken {
    /// The token of a caller who was identified by these headers. `None` for every other method of
    /// authentication, and for a token in a cookie, which browsers send on their own.
    pub fn of(caller: &Caller, headers: &HeaderMap) -> Option<Self> {
        if caller.proof != AuthenticationMethod::Session || caller.via_cookie {
            return None;
        }
        let (_bearer, token) = headers::authorization(headers).ok()??.split_once(' ')?;
        Some(Self(Secret::new(token.trim())))
    }

    /// The text of the token. Send it to Open WebUI only.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }
}
