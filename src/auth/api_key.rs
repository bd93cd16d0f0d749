//! API keys, sent as `Authorization: Bearer KEY` or as the password of HTTP Basic (RFC 7617).

use std::{net::IpAddr, sync::Arc};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderMap, header::AUTHORIZATION};

use super::caller::{Caller, Proof};
use crate::{
    config::{Anonymous, ApiKey, Config},
    redis::Redis,
    store::{Directory, Store},
};

/// Why a request has no identity. The words of mcpo are part of its contract (mcpo contract §8).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No `Authorization`, or an empty one.
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
}

/// What a request brings to say who sent it.
#[derive(Debug, Clone, Copy)]
pub struct Evidence<'a> {
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// The address it came from.
    pub peer: Option<IpAddr>,
}

/// Where users are looked up; it outlives reloads.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// Our own tables: stored API keys.
    pub store: Option<Arc<Store>>,
    /// Open WebUI's tables.
    pub directory: Option<Arc<Directory>>,
    /// Open WebUI's signed-out tokens.
    pub redis: Option<Arc<Redis>>,
    /// For Open WebUI's API and for the keys of issuers.
    pub http: reqwest::Client,
}

/// What a request is checked against.
#[derive(Debug, Clone)]
pub struct Proofs {
    /// The keys.
    keys: Vec<ApiKey>,
    /// Who a request without credentials is, if anyone.
    fallback: Option<Proof>,
}

impl Proofs {
    /// The proofs of a configuration.
    pub fn new(config: &Config, _sources: Sources) -> Self {
        let identity = &config.identity;
        let fallback = match identity.anonymous {
            Anonymous::Refused => None,
            Anonymous::Loopback => Some(Proof::Loopback),
            Anonymous::Allowed => Some(Proof::Anonymous),
        };
        Self {
            keys: identity.keys.clone(),
            fallback,
        }
    }

    /// Who sent these headers. Credentials that are wrong are refused also where none are needed:
    /// their sender means to be someone.
    pub async fn identify(&self, evidence: &Evidence<'_>) -> Result<Arc<Caller>, Refusal> {
        self.caller(evidence.headers).map(Arc::new)
    }

    fn caller(&self, headers: &HeaderMap) -> Result<Caller, Refusal> {
        let sent = headers
            .get(AUTHORIZATION)
            .map(|value| value.to_str().map_err(|_| Refusal::Missing))
            .transpose()?
            .map(str::trim)
            .unwrap_or_default();
        if self.keys.is_empty() || sent.is_empty() {
            let anonymous = |proof| Caller::named("anonymous", proof);
            return self.fallback.map(anonymous).ok_or(Refusal::Missing);
        }
        let (scheme, credentials) = sent.split_once(' ').ok_or(Refusal::Scheme)?;
        let credentials = credentials.trim();
        if scheme.eq_ignore_ascii_case("bearer") {
            self.key(credentials)
        } else if scheme.eq_ignore_ascii_case("basic") {
            let password = basic_password(credentials)?;
            self.key(&password).map_err(|_| Refusal::Password)
        } else {
            Err(Refusal::Scheme)
        }
    }

    /// Compares with every key, also after a match: the time tells nothing.
    fn key(&self, sent: &str) -> Result<Caller, Refusal> {
        let mut found = None;
        for key in &self.keys {
            if key.matches(sent) {
                found = Some(key);
            }
        }
        let key = found.ok_or(Refusal::Key)?;
        Ok(Caller::named(&key.name, Proof::ApiKey))
    }
}

/// The password of Basic credentials; the user name is free.
fn basic_password(credentials: &str) -> Result<String, Refusal> {
    let decoded = STANDARD.decode(credentials).map_err(|_| Refusal::Format)?;
    let text = String::from_utf8(decoded).map_err(|_| Refusal::Format)?;
    let (_user, password) = text.split_once(':').ok_or(Refusal::Format)?;
    Ok(password.to_owned())
}
