//! Why OAuth did not lead to a token, in words for the operator.

use std::error::Error;

use rmcp::transport::auth::AuthError;

use super::answer::is_passing;

/// Longest text of a stranger that is repeated, in characters.
const WORDS_MAX: usize = 400;

/// Why there is no token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OAuthError {
    /// What the server says of its authorization cannot be had or is not to be trusted.
    #[error("its OAuth metadata cannot be used: {0}")]
    Discovery(String),
    /// The authorization server does not take us as a client.
    #[error(
        "registering as a client failed: {0}; if the vendor gives out client ids, set `client_id` in its `oauth` table"
    )]
    Registration(String),
    /// Our id there, or the secret to it, does not count.
    #[error(
        "the authorization server does not take us for its client ({0}); look at `client_id` and `client_secret` in its `oauth` table"
    )]
    Client(String),
    /// What was granted no longer counts; somebody has to log in again.
    #[error("the authorization server no longer accepts what was granted ({0})")]
    Rejected(String),
    /// The authorization server refused, and would again.
    #[error("the authorization server refused: {0}")]
    Refused(String),
    /// The authorization server does not answer as it should; it may in a moment.
    #[error("the authorization server cannot be used now: {0}")]
    Unavailable(String),
}

impl OAuthError {
    /// From rmcp's words, and what was seen on the wire.
    pub(super) fn new(error: &AuthError, seen: Option<Seen>) -> Self {
        // A refusal on the wire tells more than what rmcp makes of it.
        if let Some(Seen::Refusal(refusal)) = seen {
            return match error {
                AuthError::TokenExchangeFailed(_)
                | AuthError::TokenRefreshFailed(_)
                | AuthError::TokenRefreshRejected(_)
                | AuthError::ClientCredentialsError(_) => Self::refused(&refusal),
                _ => Self::Discovery(short(&format!("{error}: {}", refusal.text))),
            };
        }
        let cause = match seen {
            Some(Seen::Broken(cause)) => format!(": {cause}"),
            Some(Seen::Refusal(_)) | None => causes(error),
        };
        let words = short(&format!("{error}{cause}"));
        match error {
            AuthError::AuthorizationRequired
            | AuthError::TokenRefreshRejected(_)
            | AuthError::TokenExpired => Self::Rejected(words),
            AuthError::RegistrationFailed(_) => Self::Registration(words),
            AuthError::DiscoveryRequestFailed { .. }
            | AuthError::ProtectedResourceMetadataInvalid { .. }
            | AuthError::AuthorizationServersUnavailable { .. }
            | AuthError::AuthorizationServerMismatch { .. }
            | AuthError::AuthorizationServerMissingIssuer { .. }
            | AuthError::MetadataError(_)
            | AuthError::NoAuthorizationSupport
            | AuthError::PkceUnsupported
            | AuthError::UrlError(_)
            | AuthError::OAuthError(_) => Self::Discovery(words),
            AuthError::TokenRefreshFailed(_)
            | AuthError::TokenExchangeFailed(_)
            | AuthError::ClientCredentialsError(_)
            | AuthError::HttpError(_) => Self::Unavailable(words),
            _ => Self::Refused(words),
        }
    }

    /// From a refusal. What its code says counts more than its status.
    pub(super) fn refused(refusal: &Refusal) -> Self {
        let text = refusal.text.clone();
        match refusal.code.as_deref() {
            Some("invalid_grant") => Self::Rejected(text),
            Some("invalid_client" | "unauthorized_client") => Self::Client(text),
            _ if refusal.is_passing() => Self::Unavailable(text),
            Some("invalid_target") => Self::Refused(format!("{text}; {RESOURCE_HINT}")),
            _ => Self::Refused(text),
        }
    }
}

/// What to do where a server does not take the `resource` that it is told.
pub const RESOURCE_HINT: &str = "if it takes no `resource`, or another one, set `resource = false` or \
     `resource = \"its own name for it\"` in its `oauth` table";

/// What was seen on the wire last.
#[derive(Debug, Clone)]
pub(super) enum Seen {
    /// A refusal.
    Refusal(Refusal),
    /// No answer, and why.
    Broken(String),
}

/// A refusal of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    /// `error` of RFC 6749 §5.2, if it is one; a vendor's word for one of these stands as that one.
    pub(super) code: Option<String>,
    /// The host, the status, and what the body says, cut.
    pub(super) text: String,
    /// The status.
    pub(super) status: u16,
}

impl Refusal {
    /// Whether the same request may be taken in a moment.
    pub(super) fn is_passing(&self) -> bool {
        let by_status = self.status == 429 || self.status >= 500;
        by_status || self.code.as_deref().is_some_and(is_passing)
    }
}

/// The causes of an error that its own words leave out.
fn causes(error: &AuthError) -> String {
    let mut words = String::new();
    let mut said = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !said.contains(&text) {
            words = format!("{words}: {text}");
            said = text;
        }
        cause = error.source();
    }
    words
}

/// A stranger's text on one line, cut.
pub(super) fn short(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut cut: String = line.chars().take(WORDS_MAX).collect();
    if cut.len() < line.len() {
        cut.push('…');
    }
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_of_a_refusal_counts_more_than_its_status() {
        let refused = |code: Option<&str>, status| {
            OAuthError::refused(&Refusal {
                code: code.map(str::to_owned),
                text: "it".to_owned(),
                status,
            })
        };
        let it = || "it".to_owned();
        for (code, status, error) in [
            (Some("invalid_grant"), 400, OAuthError::Rejected(it())),
            (Some("invalid_grant"), 200, OAuthError::Rejected(it())),
            (Some("invalid_grant"), 500, OAuthError::Rejected(it())),
            (Some("invalid_client"), 401, OAuthError::Client(it())),
            (Some("unauthorized_client"), 400, OAuthError::Client(it())),
            (
                Some("temporarily_unavailable"),
                200,
                OAuthError::Unavailable(it()),
            ),
            (Some("server_error"), 400, OAuthError::Unavailable(it())),
            (Some("anything"), 503, OAuthError::Unavailable(it())),
            (None, 429, OAuthError::Unavailable(it())),
            (Some("invalid_scope"), 400, OAuthError::Refused(it())),
            (Some("anything"), 200, OAuthError::Refused(it())),
            (None, 403, OAuthError::Refused(it())),
        ] {
            assert_eq!(refused(code, status), error, "{code:?} {status}");
        }
        let told = refused(Some("invalid_target"), 400).to_string();
        assert!(told.contains("resource = false"), "{told}");
    }
}
