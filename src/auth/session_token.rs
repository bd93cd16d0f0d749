//! [`SessionToken`]: what lets us act as a caller at their own Open WebUI.

use http::HeaderMap;

use super::{
    caller::{Caller, Proof},
    headers,
};
use crate::secret::Secret;

/// The session token of Open WebUI that a caller proved themselves with.
#[derive(Debug, Clone)]
pub struct SessionToken(Secret);

impl SessionToken {
    /// The token of a caller who was identified by these headers. `None` for every other proof, and
    /// for a token in a cookie, which browsers send by themselves.
    pub fn of(caller: &Caller, headers: &HeaderMap) -> Option<Self> {
        if caller.proof != Proof::Session || caller.via_cookie {
            return None;
        }
        let (_bearer, token) = headers::authorization(headers).ok()??.split_once(' ')?;
        Some(Self(Secret::new(token.trim())))
    }

    /// Its text, for Open WebUI alone.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }
}
