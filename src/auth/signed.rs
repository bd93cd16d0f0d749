//! `X-OpenWebUI-User-Jwt`: the user as Open WebUI signs them (Open WebUI contract §6.3).

use http::HeaderMap;
use jsonwebtoken::{DecodingKey, Validation};
use serde::Deserialize;

use super::{
    Refusal,
    caller::{Caller, Proof},
    headers::{USER_JWT, is_name, text},
    token,
};
use crate::secret::Secret;

/// Who signs.
const ISSUER: &str = "open-webui";

/// Reads the header.
#[derive(Debug)]
pub struct Signed {
    key: DecodingKey,
    validation: Validation,
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
}

impl Signed {
    /// With Open WebUI's `FORWARD_USER_INFO_HEADER_JWT_SECRET`.
    pub fn new(secret: &Secret) -> Self {
        let mut validation = token::hs256();
        validation.set_required_spec_claims(&["exp", "iss", "sub"]);
        validation.set_issuer(&[ISSUER]);
        validation.validate_nbf = true;
        Self {
            key: DecodingKey::from_secret(secret.expose().as_bytes()),
            validation,
        }
    }

    /// The user, if the header is there.
    pub fn read(&self, headers: &HeaderMap) -> Result<Option<SignedUser>, Refusal> {
        let Some(sent) = text(headers, &USER_JWT)? else {
            return Ok(None);
        };
        token::check_length(&sent)?;
        let mut user: SignedUser = token::verify(&sent, &self.key, &self.validation)?;
        token::check_issued(user.iat)?;
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
