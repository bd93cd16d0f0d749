//! [`IssuerKeySet`]: the public keys of an OpenID issuer, fetched when needed and kept while its endpoint
//! is unreachable (OpenID Connect Discovery 1.0, RFC 7517).

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use arc_swap::ArcSwapOption;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{
    Algorithm, AlgorithmFamily, DecodingKey, Header,
    jwk::{AlgorithmParameters, CommonParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse},
};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::OwnedMutexGuard;
use tokio_util::task::TaskTracker;
use url::Url;

use super::{
    AuthenticationError,
    fetch::{self, FetchError},
    token,
};
use crate::config::IssuerSettings;

/// The maximum number of keys per issuer; the rest are ignored.
const KEYS_MAX: usize = 64;

/// The shortest RSA modulus, in bytes: RFC 7518 §3.3 requires 2048 bits.
const MODULUS_BYTES_MIN: usize = 256;

/// The refusal while an issuer's keys are unavailable.
const SILENT: AuthenticationError =
    AuthenticationError::Unavailable("the issuer of the token is not responding");

/// How often keys are fetched.
#[derive(Debug, Clone, Copy)]
pub struct KeyFetchIntervals {
    /// Older keys are fetched again in the background while they remain in use.
    pub stale: Duration,
    /// After an attempt, an unknown key causes the next one no earlier than this.
    pub unknown: Duration,
    /// The same while no keys are available.
    pub cold: Duration,
}

impl Default for KeyFetchIntervals {
    fn default() -> Self {
        Self {
            stale: Duration::from_hours(1),
            unknown: Duration::from_secs(30),
            cold: Duration::from_secs(2),
        }
    }
}

/// The key sets of all issuers. They survive reloads.
#[derive(Debug, Default)]
pub struct IssuerKeyCache {
    pace: KeyFetchIntervals,
    sets: Mutex<HashMap<Place, Arc<IssuerKeySet>>>,
}

/// An issuer, and the URL of its keys if discovery is not used.
type Place = (Url, Option<Url>);

/// The keys of one issuer.
#[derive(Debug)]
pub struct IssuerKeySet {
    issuer: Url,
    jwks_url: Option<Url>,
    http: reqwest::Client,
    tracker: TaskTracker,
    pace: KeyFetchIntervals,
    kept: ArcSwapOption<FetchedKeys>,
    /// The last attempt. Locked during the next one.
    attempt: Arc<tokio::sync::Mutex<Option<KeyFetchAttempt>>>,
}

/// How the last fetch ended.
#[derive(Debug)]
struct KeyFetchAttempt {
    at: Instant,
    is_failed: bool,
}

/// Keys as fetched.
#[derive(Debug)]
pub struct FetchedKeys {
    keys: Vec<IssuerKey>,
    at: Instant,
}

/// A key that can verify signatures.
#[derive(Debug)]
struct IssuerKey {
    common: CommonParameters,
    kind: IssuerKeyType,
    verifier: DecodingKey,
}

/// The type of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum IssuerKeyType {
    Rsa,
    P256,
    P384,
    Ed25519,
}

/// The fields that are read from the issuer's configuration.
#[derive(Debug, Deserialize)]
struct IssuerMetadata {
    issuer: String,
    jwks_uri: Url,
}

/// A key set as JSON. One invalid key does not affect the others.
#[derive(Debug, Deserialize)]
struct RawKeySet {
    keys: Vec<Value>,
}

impl IssuerKeyCache {
    /// A ring with another pace.
    #[cfg(test)]
    pub fn with_pace(pace: KeyFetchIntervals) -> Self {
        Self {
            pace,
            sets: Mutex::default(),
        }
    }

    /// The key set of an issuer, with the keys it already has. Drops sets that the configuration no
    /// longer uses.
    pub fn set(
        &self,
        issuer: &IssuerSettings,
        http: &reqwest::Client,
        tracker: &TaskTracker,
    ) -> Arc<IssuerKeySet> {
        let mut sets = self.sets.lock().unwrap_or_else(PoisonError::into_inner);
        sets.retain(|_, set| Arc::strong_count(set) > 1);
        let name = (issuer.issuer.clone(), issuer.jwks_url.clone());
        let set = sets.entry(name).or_insert_with(|| {
            Arc::new(IssuerKeySet {
                issuer: issuer.issuer.clone(),
                jwks_url: issuer.jwks_url.clone(),
                http: http.clone(),
                tracker: tracker.clone(),
                pace: self.pace,
                kept: ArcSwapOption::empty(),
                attempt: Arc::default(),
            })
        });
        Arc::clone(set)
    }
}

impl IssuerKeySet {
    /// Returns keys that include one for a token with this header.
    pub async fn keys_for(
        self: &Arc<Self>,
        header: &Header,
    ) -> Result<Arc<FetchedKeys>, AuthenticationError> {
        if let Some(keys) = self.kept_for(header) {
            if keys.at.elapsed() > self.pace.stale {
                self.refresh();
            }
            return Ok(keys);
        }
        // One task fetches; the others wait here and then check again.
        let attempt = Arc::clone(&self.attempt).lock_owned().await;
        if let Some(keys) = self.kept_for(header) {
            return Ok(keys);
        }
        let pause = match self.kept.load().as_ref() {
            Some(_) => self.pace.unknown,
            None => self.pace.cold,
        };
        let is_failed = match attempt.as_ref().filter(|last| last.at.elapsed() < pause) {
            Some(last) => last.is_failed,
            None => self.spawn(attempt).await.unwrap_or(true),
        };
        match self.kept_for(header) {
            Some(keys) => Ok(keys),
            None if is_failed => Err(SILENT),
            None => Err(token::flaw("its issuer has no such key")),
        }
    }

    fn kept_for(&self, header: &Header) -> Option<Arc<FetchedKeys>> {
        let kept = self.kept.load_full()?;
        let is_there = kept.matching(header).next().is_some();
        is_there.then_some(kept)
    }

    /// Fetches in the background, unless a fetch is running or just ended.
    fn refresh(self: &Arc<Self>) {
        let Ok(attempt) = Arc::clone(&self.attempt).try_lock_owned() else {
            return;
        };
        let is_due = attempt
            .as_ref()
            .is_none_or(|last| last.at.elapsed() >= self.pace.unknown);
        if is_due {
            drop(self.spawn(attempt));
        }
    }

    /// Fetches in a separate task, so that a caller who hangs up does not cancel it for the others.
    /// Returns whether it failed.
    fn spawn(
        self: &Arc<Self>,
        mut attempt: OwnedMutexGuard<Option<KeyFetchAttempt>>,
    ) -> tokio::task::JoinHandle<bool> {
        let set = Arc::clone(self);
        self.tracker.spawn(async move {
            let fetched = set.fetch().await;
            let is_failed = fetched.is_err();
            match fetched {
                Ok(keys) => set.kept.store(Some(Arc::new(keys))),
                Err(error) => {
                    tracing::warn!("cannot get the keys of the issuer {}: {error}", set.issuer);
                }
            }
            *attempt = Some(KeyFetchAttempt {
                at: Instant::now(),
                is_failed,
            });
            is_failed
        })
    }

    async fn fetch(&self) -> Result<FetchedKeys, FetchError> {
        let url = match &self.jwks_url {
            Some(url) => url.clone(),
            None => self.discover().await?,
        };
        let wire: RawKeySet = fetch::json(&self.http, url, None).await?;
        let keys: Vec<_> = wire
            .keys
            .into_iter()
            .take(KEYS_MAX)
            .filter_map(IssuerKey::new)
            .collect();
        if keys.is_empty() {
            let message = "none of its keys can verify signatures";
            return Err(FetchError::Failed(message.to_owned()));
        }
        Ok(FetchedKeys {
            keys,
            at: Instant::now(),
        })
    }

    /// The URL of the issuer's keys. The document must name the configured issuer; otherwise its
    /// tokens would not match (OpenID Connect Discovery 1.0 §4.3).
    async fn discover(&self) -> Result<Url, FetchError> {
        let failed = |message: String| Err(FetchError::Failed(message));
        let base = self.issuer.as_str().trim_end_matches('/');
        let Ok(url) = Url::parse(&format!("{base}/.well-known/openid-configuration")) else {
            return failed("the issuer's URL is not usable for discovery".to_owned());
        };
        let found: IssuerMetadata = fetch::json(&self.http, url, None).await?;
        if !names(&self.issuer).contains(&found.issuer.as_str()) {
            return failed(format!(
                "it calls itself `{}`; write that as `issuer`, with your tenant's ID in place of a placeholder",
                found.issuer
            ));
        }
        if self.issuer.scheme() == "https" && found.jwks_uri.scheme() != "https" {
            return failed("its keys are not served over https".to_owned());
        }
        Ok(found.jwks_uri)
    }
}

/// The names an issuer may use for itself. A URL without a path is the same with and without a
/// slash, and parsing does not preserve which one was written.
pub fn names(issuer: &Url) -> Vec<&str> {
    let whole = issuer.as_str();
    let bare = whole.strip_suffix('/').filter(|_| issuer.path() == "/");
    bare.into_iter().chain([whole]).collect()
}

impl FetchedKeys {
    /// The keys that may have signed a token with this header.
    pub fn matching<'a>(&'a self, header: &'a Header) -> impl Iterator<Item = &'a DecodingKey> {
        let keys = self.keys.iter();
        keys.filter(|key| key.fits(header)).map(|key| &key.verifier)
    }
}

impl IssuerKey {
    fn new(value: Value) -> Option<Self> {
        let jwk: Jwk = serde_json::from_value(value).ok()?;
        let kind = match &jwk.algorithm {
            AlgorithmParameters::RSA(rsa) => {
                let modulus = URL_SAFE_NO_PAD.decode(&rsa.n).ok()?;
                let bytes = modulus.iter().skip_while(|byte| **byte == 0).count();
                (bytes >= MODULUS_BYTES_MIN).then_some(IssuerKeyType::Rsa)?
            }
            AlgorithmParameters::EllipticCurve(curve) => match curve.curve {
                EllipticCurve::P256 => IssuerKeyType::P256,
                EllipticCurve::P384 => IssuerKeyType::P384,
                _ => return None,
            },
            AlgorithmParameters::OctetKeyPair(pair) if pair.curve == EllipticCurve::Ed25519 => {
                IssuerKeyType::Ed25519
            }
            _ => return None,
        };
        Some(Self {
            verifier: DecodingKey::from_jwk(&jwk).ok()?,
            common: jwk.common,
            kind,
        })
    }

    /// Whether the key may have signed such a token: its type, use, algorithm and ID must all
    /// match.
    fn fits(&self, header: &Header) -> bool {
        let CommonParameters {
            public_key_use,
            key_operations,
            key_algorithm,
            key_id,
            ..
        } = &self.common;
        let is_kind = match header.alg {
            Algorithm::ES256 => self.kind == IssuerKeyType::P256,
            Algorithm::ES384 => self.kind == IssuerKeyType::P384,
            Algorithm::EdDSA => self.kind == IssuerKeyType::Ed25519,
            alg => alg.family() == AlgorithmFamily::Rsa && self.kind == IssuerKeyType::Rsa,
        };
        let is_use = matches!(public_key_use, None | Some(PublicKeyUse::Signature));
        let verifies = key_operations
            .as_ref()
            .is_none_or(|all| all.contains(&KeyOperations::Verify));
        let is_algorithm = key_algorithm
            .is_none_or(|own| Algorithm::try_from(own).is_ok_and(|own| own == header.alg));
        let is_named = header.kid.is_none() || header.kid == *key_id;
        is_kind && is_use && verifies && is_algorithm && is_named
    }
}
