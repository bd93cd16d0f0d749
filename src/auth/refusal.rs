//! [`AuthenticationError`]: why a request could not be authenticated.

use crate::{error_code::ErrorCode, store::StoreError};

/// Why a request could not be authenticated. The texts that mcpo also uses are part of its
/// interface and must not change. All others tell an honest caller what to do and reveal nothing to
/// an attacker.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuthenticationError {
    /// The `Authorization` header is missing or empty, and there is no other proof.
    #[error("Missing or invalid Authorization header")]
    Missing,
    /// The header is neither Bearer nor Basic, or has no value after the scheme.
    #[error("Unsupported authorization method")]
    Scheme,
    /// The Basic credentials are not valid base64 or have no colon.
    #[error("Invalid Basic Authentication format")]
    Format,
    /// The key is unknown.
    #[error("Invalid API key")]
    Key,
    /// The key was sent as the password of Basic credentials and is unknown.
    #[error("Invalid credentials")]
    Password,
    /// The stored key has expired.
    #[error("this API key has expired; ask an administrator for a new one")]
    KeyExpired,
    /// The token is too long to be checked.
    #[error("the token is longer than 16 KiB; send a session token or an access token")]
    TooLong,
    /// The token's issuer is not configured.
    #[error("the token comes from an issuer that is not accepted here")]
    Issuer,
    /// The token is forged, cut off, meant for another audience, or of the wrong kind. Only the log
    /// says which.
    #[error("the token is not valid here; sign in again and send a fresh one")]
    Token,
    /// The `exp` time has passed.
    #[error("the token has expired; sign in again")]
    Expired,
    /// The `nbf` or `iat` time is in the future.
    #[error("the token is not valid yet; the clocks of its issuer and of this server disagree")]
    Immature,
    /// The user was deleted, deactivated, or signed out, or has changed their password.
    #[error("the session of this token has ended; sign in again")]
    SignedOut,
    /// The user has Open WebUI's role `pending`, or an unknown one.
    #[error("this account is not approved yet; ask an administrator of Open WebUI")]
    Pending,
    /// Open WebUI requires a second factor, and this session has none.
    #[error("this account needs a second factor; sign in to Open WebUI with it")]
    SecondFactor,
    /// An `sk-…` key was sent, but Open WebUI's database, which is needed to find its user, is not
    /// configured.
    #[error("API keys of Open WebUI are not accepted here; send a session token")]
    SessionKey,
    /// Two credentials or headers name different users.
    #[error("the credentials and the user headers of this request name different users")]
    Contradiction,
    /// The request has only user headers, and its sender is not the gateway.
    #[error(
        "user headers are accepted only from the configured gateway; send an Authorization header, or call through the gateway"
    )]
    Untrusted,
    /// The signed header is the only proof. Any service that received it for another purpose could
    /// send it here.
    #[error(
        "`X-OpenWebUI-User-Jwt` alone does not prove that this request is meant for this bridge; send the key of the connection with it (`forwards = true` in [identity.keys]), or see `jwt_alone` in [identity.open_webui]"
    )]
    SignedAlone,
    /// The signed header was sent, but no secret is configured to check it.
    #[error(
        "`X-OpenWebUI-User-Jwt` cannot be checked here; set `jwt_secret` in [identity.open_webui] to Open WebUI's FORWARD_USER_INFO_HEADER_JWT_SECRET"
    )]
    Uncheckable,
    /// The issuer has not verified that the e-mail address belongs to the user.
    #[error(
        "the issuer does not say that the e-mail of this token is verified (`email_verified`), so it does not identify a user; verify it at the issuer, or see `emails_verified` in [identity.oidc]"
    )]
    EmailUnverified,
    /// The only name of the user looks like an e-mail address but does not prove one.
    #[error(
        "this token names its user only in `{0}`, which does not prove an e-mail address; if only the issuer assigns these names, set `email_claims = [\"{0}\"]` in [identity.oidc]"
    )]
    EmailUnproven(&'static str),
    /// The key belongs to one workspace, and a header names another.
    #[error(
        "the key of this request is valid only for its own workspace, and the header names another one"
    )]
    Workspace,
    /// Without a configured key only this machine is served, but a proxy passes on requests of
    /// others.
    #[error(
        "the header `{0}` shows that a proxy passed this request on, and without a key only this machine may call; set a key in [identity.keys], or `anonymous = true` in [identity] if every client of the proxy may call"
    )]
    Proxied(String),
    /// Open WebUI sent a header template without filling it in.
    #[error(
        "the header `{0}` contains a template that was not filled in; correct the headers of the connection in Open WebUI, or update it"
    )]
    Template(String),
    /// A header that should name a user or group has an invalid value.
    #[error("the header `{0}` has a value that is not readable or too long")]
    Header(String),
    /// The same header was sent twice: choosing one of them would be a guess.
    #[error("the header `{0}` was sent more than once")]
    Repeated(String),
    /// Open WebUI sends plain headers if signing failed. They prove nothing if signed ones are
    /// configured.
    #[error(
        "the user must be named by `X-OpenWebUI-User-Jwt`; plain `X-OpenWebUI-User-*` headers are not accepted here"
    )]
    Unsigned,
    /// Groups were sent without a user who could be in them.
    #[error("groups were sent without a user; send `X-User-Email` or `X-OpenWebUI-User-Id` too")]
    NoUser,
    /// Many different wrong credentials came from this address, and this one was never right
    /// before. Contains the seconds until the next attempt.
    #[error(
        "too many different wrong credentials were sent from your address; wait {0} s and try again"
    )]
    TooManyFailures(u64),
    /// The database does not respond, and no decision is possible without it.
    #[error(
        "the caller cannot be identified: the database is not responding; try again in a moment"
    )]
    Store(StoreError),
    /// Another service that must be asked does not respond.
    #[error("the caller cannot be identified: {0}; try again in a moment")]
    Unavailable(&'static str),
}

impl AuthenticationError {
    /// The `code` of the HTTP error body, for programs.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Store(_) => ErrorCode::StoreUnavailable,
            Self::Unavailable(_) => ErrorCode::IdentityUnavailable,
            Self::TooManyFailures(_) => ErrorCode::TooManyFailures,
            _ => ErrorCode::Unauthorized,
        }
    }

    /// Whether the credentials are wrong and may have been guessed.
    pub(super) fn is_wrong(&self) -> bool {
        matches!(
            self,
            Self::Key | Self::Password | Self::Token | Self::SignedOut | Self::Issuer
        )
    }

    /// Whether the cause is an outage, so that the same request may succeed later.
    pub fn is_outage(&self) -> bool {
        matches!(self, Self::Store(_) | Self::Unavailable(_))
    }
}

impl From<StoreError> for AuthenticationError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}
