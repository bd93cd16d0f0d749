//! An OpenID issuer: its discovery document, its key, its tokens.

use axum::{Json, Router, routing::get};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use rcgen::{KeyPair, PKCS_ED25519, PublicKeyData as _};
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinHandle};

/// A running issuer; it ends with this.
pub struct Issuer {
    /// `iss` of its tokens.
    pub url: String,
    key: EncodingKey,
    serving: JoinHandle<()>,
}

impl Issuer {
    /// Starts one with a key of its own, Ed25519.
    pub async fn start() -> Self {
        let pair = KeyPair::generate_for(&PKCS_ED25519).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let about = json!({ "issuer": url, "jwks_uri": format!("{url}/keys") });
        let keys = json!({ "keys": [{
            "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": "one",
            "x": URL_SAFE_NO_PAD.encode(pair.der_bytes()),
        }] });
        let router = Router::new()
            .route(
                "/.well-known/openid-configuration",
                get(async || Json(about)),
            )
            .route("/keys", get(async || Json(keys)));
        Self {
            url,
            key: EncodingKey::from_ed_der(&pair.serialize_der()),
            serving: tokio::spawn(async move { axum::serve(listener, router).await.unwrap() }),
        }
    }

    /// Signs claims; `iss`, `aud` and `exp` are added.
    pub fn token(&self, audience: &str, mut claims: Value) -> String {
        claims["iss"] = self.url.clone().into();
        claims["aud"] = audience.into();
        claims["exp"] = (jsonwebtoken::get_current_timestamp() + 600).into();
        let mut header = Header::new(Algorithm::EdDSA);
        header.kid = Some("one".to_owned());
        encode(&header, &claims, &self.key).unwrap()
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}
