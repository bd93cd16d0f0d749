//! Which credentials could be guessed, and so have to wait for their turn ([`Guesses`]).
//!
//! [`Guesses`]: super::guesses::Guesses

use http::HeaderMap;

use super::{
    guesses, headers,
    proofs::{Origin, Proofs, basic_password},
    session::Sessions,
    token,
};

impl Proofs {
    /// Whether it takes a guess, or a question to others, to find out what the credentials are: they
    /// are no key of ours that is long, and no token whose signature we check.
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

    /// Whether only Open WebUI can say whether a token is right.
    fn is_asked_elsewhere(&self, text: &str) -> bool {
        let is_named = token::unproven::<Origin>(text).is_ok_and(|origin| origin.iss.is_some());
        let asks = self.sessions.as_ref().is_some_and(Sessions::asks);
        asks && !is_named
    }
}
