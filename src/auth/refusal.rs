//! [`Refusal`]: why a request has no identity.

use crate::{error_code::ErrorCode, store::StoreError};

/// Why a request has no identity. The words of mcpo are part of its contract (mcpo contract §8);
/// all others tell an honest caller what to do and a dishonest one nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No `Authorization`, or an empty one, and nothing in its place.
    #[error("Missing or invalid Authorization header")]
    Missing,
    /// Neither Bearer nor Basic, or nothing after it.
    #[error("Unsupported authorization method")]
    Scheme,
    /// Basic credentials that are no base64 or have no colon.
    #[error("Invalid Basic Authentication format")]
    Format,
    /// A key that is none of ours.
    #[error("Invalid API key")]
    Key,
    /// The same as the password of Basic.
    #[error("Invalid credentials")]
    Password,
    /// A stored key whose time is over.
    #[error("this API key has expired; ask an administrator for a new one")]
    KeyExpired,
    /// A token that is not even looked at.
    #[error("the token is longer than 16 KiB; send a session token or an access token")]
    TooLong,
    /// A token of an issuer that is not configured.
    #[error("the token comes from an issuer that is not accepted here")]
    Issuer,
    /// Forged, cut off, for somebody else, of the wrong kind: which of them is for the log.
    #[error("the token is not valid here; sign in again and send a fresh one")]
    Token,
    /// `exp` is over.
    #[error("the token has expired; sign in again")]
    Expired,
    /// `nbf` or `iat` is still to come.
    #[error("the token is not valid yet; the clocks of its issuer and of this server disagree")]
    Immature,
    /// The user is gone, switched off, signed out, or changed their password.
    #[error("the session of this token has ended; sign in again")]
    SignedOut,
    /// Open WebUI's role `pending`, or none we know.
    #[error("this account is not approved yet; ask an administrator of Open WebUI")]
    Pending,
    /// Open WebUI asks for a second factor, and this session has none.
    #[error("this account needs a second factor; sign in to Open WebUI with it")]
    SecondFactor,
    /// `sk-…` without Open WebUI's database, which alone knows whose it is.
    #[error("API keys of Open WebUI are not accepted here; send a session token")]
    SessionKey,
    /// Two proofs or headers, two users.
    #[error("the credentials and the user headers of this request name different users")]
    Contradiction,
    /// User headers of someone who is not the gateway, and nothing else.
    #[error(
        "user headers are taken from the configured gateway only; send an Authorization header, or call through the gateway"
    )]
    Untrusted,
    /// The signed header alone: whoever received it for another purpose can send it here.
    #[error(
        "`X-OpenWebUI-User-Jwt` alone does not prove that this request is meant for this bridge; send the key of the connection beside it (`forwards = true` in [identity.keys]), or see `jwt_alone` in [identity.open_webui]"
    )]
    SignedAlone,
    /// The signed header, where no secret is configured to check it with.
    #[error(
        "`X-OpenWebUI-User-Jwt` cannot be checked here; set `jwt_secret` in [identity.open_webui] to Open WebUI's FORWARD_USER_INFO_HEADER_JWT_SECRET"
    )]
    Uncheckable,
    /// The issuer does not say that the e-mail is the user's own.
    #[error(
        "the issuer does not say that the e-mail of this token is verified (`email_verified`), so that it names nobody; verify it at the issuer, or see `emails_verified` in [identity.oidc]"
    )]
    EmailUnverified,
    /// A name that looks like an e-mail, and nothing better.
    #[error(
        "this token names its user in `{0}` alone, which is a name and does not prove an e-mail; if the issuer alone assigns these names, set `email_claims = [\"{0}\"]` in [identity.oidc]"
    )]
    EmailUnproven(&'static str),
    /// A key of one workspace, and a header that names another.
    #[error(
        "the key of this request speaks for its own workspace alone, and the header names another"
    )]
    Workspace,
    /// Without any key only this machine is served, and a proxy brings in others.
    #[error(
        "the header `{0}` says that a proxy passed this request on, and without a key only this machine may call; set a key in [identity.keys], or `anonymous = true` in [identity] if everybody who reaches the proxy may call"
    )]
    Proxied(String),
    /// Open WebUI sent a template as it stands in its settings.
    #[error(
        "the header `{0}` holds a template that was not filled in; correct the headers of the connection in Open WebUI, or update it"
    )]
    Template(String),
    /// Something that is no name of a user or group.
    #[error("the header `{0}` has a value that is not readable or too long")]
    Header(String),
    /// The same header twice: which one counts would be a guess.
    #[error("the header `{0}` was sent more than once")]
    Repeated(String),
    /// Open WebUI sends plain headers where signing failed; they prove nothing where signed ones
    /// are configured (Open WebUI contract §6.3).
    #[error(
        "the user must be named by `X-OpenWebUI-User-Jwt`; plain `X-OpenWebUI-User-*` headers are not accepted here"
    )]
    Unsigned,
    /// Groups without anybody to be in them.
    #[error("groups were sent without a user; send `X-User-Email` or `X-OpenWebUI-User-Id` too")]
    Nobody,
    /// Many different wrong credentials came from this address, and this one was never right before.
    /// In seconds: when it may be tried again.
    #[error(
        "too many different wrong credentials were sent from your address; wait {0} s and try again"
    )]
    TooManyFailures(u64),
    /// The database does not answer, and nothing is decided without it.
    #[error(
        "who is calling cannot be looked up: the database does not answer; try again in a moment"
    )]
    Store(StoreError),
    /// Somebody else who would have to be asked does not answer.
    #[error("who is calling cannot be checked: {0}; try again in a moment")]
    Unavailable(&'static str),
}

impl Refusal {
    /// For programs: the `code` of the answer.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Store(_) => ErrorCode::StoreUnavailable,
            Self::Unavailable(_) => ErrorCode::IdentityUnavailable,
            Self::TooManyFailures(_) => ErrorCode::TooManyFailures,
            _ => ErrorCode::Unauthorized,
        }
    }

    /// Whether the credentials are wrong, and may have been guessed.
    pub(super) fn is_wrong(&self) -> bool {
        matches!(
            self,
            Self::Key | Self::Password | Self::Token | Self::SignedOut | Self::Issuer
        )
    }

    /// Whether nobody is to blame but us: the same request may succeed later.
    pub fn is_outage(&self) -> bool {
        matches!(self, Self::Store(_) | Self::Unavailable(_))
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}
