//! Why OAuth did not lead to a token, in words for the operator.

use std::error::Error;

use rmcp::transport::auth::AuthError;

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
        // A refusal with a code of OAuth tells more than what rmcp makes of it.
        if let Some(Seen::Refusal { code, text, status }) = &seen {
            match error {
                AuthError::RegistrationFailed(_) => return Self::Registration(text.clone()),
                _ if *status == 429 || *status >= 500 => return Self::Unavailable(text.clone()),
                _ if code.as_deref() == Some("invalid_grant") => {
                    return Self::Rejected(text.clone());
                }
                _ if matches!(
                    code.as_deref(),
                    Some("invalid_client" | "unauthorized_client")
                ) =>
                {
                    return Self::Client(text.clone());
                }
                AuthError::TokenExchangeFailed(_)
                | AuthError::TokenRefreshFailed(_)
                | AuthError::ClientCredentialsError(_) => return Self::Refused(text.clone()),
                _ => {}
            }
        }
        let cause = match seen {
            Some(Seen::Broken(cause)) => format!(": {cause}"),
            Some(Seen::Refusal { .. }) | None => causes(error),
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
}

/// What was seen on the wire last.
#[derive(Debug, Clone)]
pub(super) enum Seen {
    /// A refusal.
    Refusal {
        /// `error` of RFC 6749 §5.2, if it is one.
        code: Option<String>,
        /// The host, the status, and what the body says, cut.
        text: String,
        /// The status.
        status: u16,
    },
    /// No answer, and why.
    Broken(String),
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
