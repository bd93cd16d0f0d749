//! An OpenID issuer with real keys, on a real port.

use std::sync::Mutex;

use axum::{Json, Router, routing::get};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use jsonwebtoken::jwk::Jwk;
use serde_json::json;

use super::*;
use crate::config::IssuerSettings;

/// A private key and the public key that its issuer publishes.
#[derive(Clone)]
pub(super) struct Pair {
    pub(super) algorithm: Algorithm,
    pub(super) key: EncodingKey,
    pub(super) jwk: Value,
}

impl Pair {
    pub(super) fn new(kid: &str, algorithm: Algorithm, key: EncodingKey) -> Self {
        let jwk = Jwk::from_encoding_key(&key, algorithm).unwrap();
        let mut jwk = serde_json::to_value(jwk).unwrap();
        jwk["kid"] = json!(kid);
        jwk["use"] = json!("sig");
        Self {
            algorithm,
            key,
            jwk,
        }
    }

    pub(super) fn ec(kid: &str) -> Self {
        let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        let key = EncodingKey::from_ec_der(&pair.serialize_der());
        Self::new(kid, Algorithm::ES256, key)
    }

    pub(super) fn ec384(kid: &str) -> Self {
        let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
        let key = EncodingKey::from_ec_der(&pair.serialize_der());
        Self::new(kid, Algorithm::ES384, key)
    }

    /// An Ed25519 key. Any 32 bytes are a valid key, after a prefix of 16 bytes (RFC 8410 §7).
    pub(super) fn ed(kid: &str) -> Self {
        let mut der = b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20".to_vec();
        der.extend_from_slice(&rand::random::<[u8; 32]>());
        Self::new(kid, Algorithm::EdDSA, EncodingKey::from_ed_der(&der))
    }

    /// This key was created only for these tests. Creating one is slow without optimization.
    pub(super) fn rsa(kid: &str, algorithm: Algorithm) -> Self {
        let text: String = include_str!("rsa_test_key.der.b64")
            .split_whitespace()
            .collect();
        let key = EncodingKey::from_rsa_der(&STANDARD.decode(text).unwrap());
        Self::new(kid, algorithm, key)
    }

    pub(super) fn sign(&self, claims: &Value) -> String {
        let mut header = Header::new(self.algorithm);
        header.kid = self.jwk["kid"].as_str().map(str::to_owned);
        encode(&header, claims, &self.key).unwrap()
    }
}

/// An issuer whose keys can be changed.
pub(super) struct Provider {
    pub(super) stand: Stand,
    published: Arc<Mutex<Vec<Value>>>,
}

impl Provider {
    pub(super) async fn serve(address: &str, keys: Vec<Value>) -> Self {
        let published = Arc::new(Mutex::new(keys));
        let shown = Arc::clone(&published);
        let name = Arc::new(Mutex::new(String::new()));
        let own = Arc::clone(&name);
        let router = Router::new()
            .route(
                "/realm/.well-known/openid-configuration",
                get(move || async move {
                    let own = own.lock().unwrap().clone();
                    Json(json!({"issuer": own, "jwks_uri": format!("{own}/keys")}))
                }),
            )
            .route(
                "/realm/keys",
                get(move || async move { Json(json!({"keys": *shown.lock().unwrap()})) }),
            );
        let stand = Stand::serve(address, router).await;
        *name.lock().unwrap() = stand.url("/realm").to_string();
        Self { stand, published }
    }

    pub(super) fn publish(&self, keys: Vec<Value>) {
        *self.published.lock().unwrap() = keys;
    }

    pub(super) fn claims(&self, changes: Value) -> Value {
        let mut claims = json!({
            "iss": self.stand.url("/realm"), "aud": "bridge", "sub": "s1",
            "email": "Ann@Example.org", "email_verified": true, "exp": at(300), "iat": at(0), "tid": "acme",
        });
        let Value::Object(changes) = changes else {
            panic!("an object")
        };
        for (name, value) in changes {
            claims[name] = value;
        }
        claims
    }
}

pub(super) fn issuer(url: url::Url) -> IssuerSettings {
    let all = |names: &[&str]| names.iter().map(|it| (*it).to_owned()).collect();
    IssuerSettings {
        name: "realm".to_owned(),
        issuer: url,
        audiences: all(&["bridge", "api://bridge"]),
        jwks_url: None,
        email_claims: all(&["email", "preferred_username", "upn"]),
        groups_claims: all(&["groups", "roles"]),
        workspace_claim: "tid".to_owned(),
        emails_verified: false,
    }
}
