//! `X-OpenWebUI-User-Jwt`: the user, signed by Open WebUI.

use http::HeaderMap;
use jsonwebtoken::{DecodingKey, Validation};
use serde::Deserialize;
use serde_json::Value;

use super::{
    AuthenticationError,
    caller::{AuthenticationMethod, Caller},
    headers::{USER_JWT, is_name, text},
    token,
};
use crate::config::OpenWebUiSettings;

/// The issuer of the signature.
const ISSUER: &str = "open-webui";

/// Reads and checks the header.
#[derive(Debug)]
pub struct SignedHeaderAuth {
    key: DecodingKey,
    validation: Validation,
    /// The required `aud` if the request does not also carry the key of a forwarder.
    audience: Option<String>,
    /// Whether the header is accepted on its own without an audience.
    alone: bool,
}

/// The user that the header names.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct SignedUser {
    /// Their ID in Open WebUI.
    #[serde(rename = "sub")]
    pub id: String,
    /// Their e-mail address.
    pub email: Option<String>,
    /// Their role.
    pub role: Option<String>,
    /// When it was signed, seconds since 1970.
    iat: Option<f64>,
    /// The audience: a text or a list. Open WebUI does not set it.
    aud: Option<Value>,
}

impl SignedHeaderAuth {
    /// A reader that uses Open WebUI's `FORWARD_USER_INFO_HEADER_JWT_SECRET`; `None` if it is not
    /// configured.
    pub fn new(config: &OpenWebUiSettings) -> Option<Self> {
        let secret = config.jwt_secret.as_ref()?;
        let mut validation = token::hs256();
        validation.set_required_spec_claims(&["exp", "iss", "sub"]);
        validation.set_issuer(&[ISSUER]);
        validation.validate_nbf = true;
        Some(Self {
            key: DecodingKey::from_secret(secret.expose().as_bytes()).ok()?,
            validation,
            audience: config.jwt_audience.clone(),
            alone: config.jwt_alone,
        })
    }

    /// Refuses a user if the request has no other proof. Open WebUI sends the same header to other
    /// tool servers and to model providers, and each of them could send it here.
    pub fn check_alone(&self, user: &SignedUser) -> Result<(), AuthenticationError> {
        if self.alone || (self.audience.is_some() && user.aud.is_some()) {
            return Ok(());
        }
        Err(AuthenticationError::SignedAlone)
    }

    /// Whether a token is meant for this bridge. A token that names an audience is valid only for
    /// that audience (RFC 7519 §4.1.3).
    fn is_for_us(&self, aud: Option<&Value>) -> bool {
        let ours = self.audience.as_deref();
        let is_ours = |it: &Value| it.as_str().is_some_and(|it| Some(it) == ours);
        match aud {
            None => true,
            Some(Value::Array(all)) => all.iter().any(is_ours),
            Some(one) => is_ours(one),
        }
    }

    /// The user, if the header is present.
    pub fn read(&self, headers: &HeaderMap) -> Result<Option<SignedUser>, AuthenticationError> {
        let Some(sent) = text(headers, &USER_JWT)? else {
            // A blank header proves nothing, and must not be ignored.
            return if headers.contains_key(USER_JWT) {
                Err(AuthenticationError::Header(USER_JWT.to_string()))
            } else {
                Ok(None)
            };
        };
        token::check_length(&sent)?;
        let mut user: SignedUser = token::verify(&sent, &self.key, &self.validation)?;
        token::check_issued(user.iat)?;
        if !self.is_for_us(user.aud.as_ref()) {
            return Err(token::flaw("it is meant for another audience"));
        }
        user.email = user.email.map(|email| email.trim().to_owned());
        user.email = user.email.filter(|email| !email.is_empty());
        if !is_name(&user.id) || user.email.as_deref().is_some_and(|email| !is_name(email)) {
            return Err(token::flaw("it names no user"));
        }
        if !matches!(user.role.as_deref(), None | Some("user" | "admin")) {
            return Err(AuthenticationError::Pending);
        }
        Ok(Some(user))
    }
}

impl SignedUser {
    /// The user as a caller.
    pub fn caller(&self) -> Caller {
        let mut caller = Caller::user(
            Some(&self.id),
            self.email.as_deref(),
            AuthenticationMethod::SignedHeader,
        );
        caller.is_admin = self.role.as_deref() == Some("admin");
        caller
    }
}
