//! Errors of OAuth, with messages for the operator.

use std::error::Error;

use rmcp::transport::auth::AuthError;

use super::answer::is_passing;

/// The longest quoted text from another party, in characters.
const WORDS_MAX: usize = 400;

/// Why the bridge could not get a token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OAuthError {
    /// The server's OAuth metadata is missing or must not be trusted.
    #[error("its OAuth metadata cannot be used: {0}")]
    Discovery(String),
    /// The authorization server does not register the bridge as a client.
    #[error(
        "registering as a client failed: {0}; if the vendor gives out client ids, set `client_id` in its `oauth` table"
    )]
    Registration(String),
    /// The client id or its secret is not accepted.
    #[error(
        "the authorization server does not accept the bridge's client credentials ({0}); check `client_id` and `client_secret` in its `oauth` table"
    )]
    Client(String),
    /// The grant is no longer accepted. A user has to log in again.
    #[error("the authorization server no longer accepts this login ({0})")]
    Rejected(String),
    /// The authorization server refused, and a retry would not help.
    #[error("the authorization server refused: {0}")]
    Refused(String),
    /// The authorization server does not answer properly. A retry may help.
    #[error("the authorization server cannot be used now: {0}")]
    Unavailable(String),
}

impl OAuthError {
    /// Builds the error from rmcp's error and from what was seen on the wire.
    pub(super) fn new(error: &AuthError, seen: Option<WireFailure>) -> Self {
        // The error on the wire explains more than rmcp's version of it.
        if let Some(WireFailure::Refusal(refusal)) = seen {
            return match error {
                AuthError::TokenExchangeFailed(_)
                | AuthError::TokenRefreshFailed(_)
                | AuthError::TokenRefreshRejected(_)
                | AuthError::ClientCredentialsError(_) => Self::refused(&refusal),
                _ => Self::Discovery(short(&format!("{error}: {}", refusal.text))),
            };
        }
        let cause = match seen {
            Some(WireFailure::Broken(cause)) => format!(": {cause}"),
            Some(WireFailure::Refusal(_)) | None => causes(error),
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

    /// Builds the error from a refusal. Its code counts more than its status.
    pub(super) fn refused(refusal: &OAuthRefusal) -> Self {
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

/// What to do if a server does not accept the `resource` that it receives.
pub const RESOURCE_HINT: &str = "if it accepts no `resource`, or a different one, set `resource = false` or \
     `resource = \"its own name for it\"` in its `oauth` table";

/// What was last seen on the wire.
#[derive(Debug, Clone)]
pub(super) enum WireFailure {
    /// A refusal.
    Refusal(OAuthRefusal),
    /// No answer, with the reason.
    Broken(String),
}

/// A refusal of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OAuthRefusal {
    /// The `error` of RFC 6749 §5.2, if any. A vendor's equivalent is converted to it.
    pub(super) code: Option<String>,
    /// The host, the status and the text of the body, shortened.
    pub(super) text: String,
    /// The status.
    pub(super) status: u16,
}

impl OAuthRefusal {
    /// Whether the same request may succeed later.
    pub(super) fn is_passing(&self) -> bool {
        let by_status = self.status == 429 || self.status >= 500;
        by_status || self.code.as_deref().is_some_and(is_passing)
    }
}

/// The causes that an error's own message leaves out.
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

/// Returns a text from another party on one line, shortened.
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
            OAuthError::refused(&OAuthRefusal {
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
