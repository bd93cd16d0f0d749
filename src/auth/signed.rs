//! `X-OpenWebUI-User-Jwt`: the user as Open WebUI signs them (Open WebUI contract §6.3).

use http::HeaderMap;
use jsonwebtoken::{DecodingKey, Validation};
use serde::Deserialize;
use serde_json::Value;

use super::{
    Refusal,
    caller::{Caller, Proof},
    headers::{USER_JWT, is_name, text},
    token,
};
use crate::config::OpenWebUi;

/// Who signs.
const ISSUER: &str = "open-webui";

/// Reads the header.
#[derive(Debug)]
pub struct Signed {
    key: DecodingKey,
    validation: Validation,
    /// What `aud` must be where no forwarder stands behind the header.
    audience: Option<String>,
    /// Whether the header counts alone, without an audience.
    alone: bool,
}

/// The user it names.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct SignedUser {
    /// Their id.
    #[serde(rename = "sub")]
    pub id: String,
    /// Their e-mail.
    pub email: Option<String>,
    /// Their role.
    pub role: Option<String>,
    /// When it was signed, seconds since 1970.
    iat: Option<f64>,
    /// Whom it is for: a text or a list. Open WebUI says nothing.
    aud: Option<Value>,
}

impl Signed {
    /// With Open WebUI's `FORWARD_USER_INFO_HEADER_JWT_SECRET`; `None` where it is not known.
    pub fn new(config: &OpenWebUi) -> Option<Self> {
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

    /// Refuses a user whom nothing else vouches for. Open WebUI sends the same header to other tool
    /// servers and to model providers, and each of them could send it here.
    pub fn check_alone(&self, user: &SignedUser) -> Result<(), Refusal> {
        if self.alone || (self.audience.is_some() && user.aud.is_some()) {
            return Ok(());
        }
        Err(Refusal::SignedAlone)
    }

    /// Whether a token is for us. One that names an audience is for nobody else (RFC 7519 §4.1.3).
    fn is_for_us(&self, aud: Option<&Value>) -> bool {
        let ours = self.audience.as_deref();
        let is_ours = |it: &Value| it.as_str().is_some_and(|it| Some(it) == ours);
        match aud {
            None => true,
            Some(Value::Array(all)) => all.iter().any(is_ours),
            Some(one) => is_ours(one),
        }
    }

    /// The user, if the header is there.
    pub fn read(&self, headers: &HeaderMap) -> Result<Option<SignedUser>, Refusal> {
        let Some(sent) = text(headers, &USER_JWT)? else {
            // A blank one proves nothing, and is not passed over.
            return if headers.contains_key(USER_JWT) {
                Err(Refusal::Header(USER_JWT.to_string()))
            } else {
                Ok(None)
            };
        };
        token::check_length(&sent)?;
        let mut user: SignedUser = token::verify(&sent, &self.key, &self.validation)?;
        token::check_issued(user.iat)?;
        if !self.is_for_us(user.aud.as_ref()) {
            return Err(token::flaw("it is for another audience"));
        }
        user.email = user.email.map(|email| email.trim().to_owned());
        user.email = user.email.filter(|email| !email.is_empty());
        if !is_name(&user.id) || user.email.as_deref().is_some_and(|email| !is_name(email)) {
            return Err(token::flaw("it names no user"));
        }
        if !matches!(user.role.as_deref(), None | Some("user" | "admin")) {
            return Err(Refusal::Pending);
        }
        Ok(Some(user))
    }
}

impl SignedUser {
    /// As a caller.
    pub fn caller(&self) -> Caller {
        let mut caller = Caller::user(Some(&self.id), self.email.as_deref(), Proof::SignedHeader);
        caller.is_admin = self.role.as_deref() == Some("admin");
        caller
    }
}
