//! Decides which credentials could be guessed and therefore must wait for their turn ([`GuessLimiter`]).
//!
//! [`GuessLimiter`]: super::guesses::GuessLimiter

use http::HeaderMap;

use super::{
    guesses, headers,
    proofs::{Authenticator, IssuerClaim},
    request_credentials::basic_password,
    session::SessionTokenAuth,
    token,
};

impl Authenticator {
    /// Whether an attacker could guess the credentials, or checking them requires a request to
    /// another service. False for a long key of the bridge and for a token whose signature the
    /// bridge checks itself.
    pub(super) async fn is_guessable(&self, sent: &HeaderMap) -> bool {
        let authorization = headers::authorization(sent).ok().flatten();
        let text = match authorization.and_then(|text| text.split_once(' ')) {
            Some((scheme, text)) if scheme.eq_ignore_ascii_case("basic") => {
                basic_password(text.trim()).unwrap_or_default()
            }
            Some((_, text)) => text.trim().to_owned(),
            None => {
                let cookie = headers::cookie(sent).ok().flatten();
                cookie.unwrap_or_default().to_owned()
            }
        };
        if token::is_token(&text) && !self.is_asked_elsewhere(&text) {
            return false;
        }
        if guesses::is_guessable(&text) {
            return true;
        }
        let is_ours = self.keys.configured(&text).is_some()
            || self
                .keys
                .stored(&text)
                .await
                .is_ok_and(|found| found.is_some());
        !is_ours
    }

    /// Whether only Open WebUI can decide if a token is valid.
    fn is_asked_elsewhere(&self, text: &str) -> bool {
        let is_named =
            token::unproven::<IssuerClaim>(text).is_ok_and(|origin| origin.iss.is_some());
        let asks = self.sessions.as_ref().is_some_and(SessionTokenAuth::asks);
        asks && !is_named
    }
}
