//! An OpenID issuer: its discovery document, its key, its tokens.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use axum::{
    Json, Router,
    extract::Request,
    middleware::{Next, from_fn},
    response::{IntoResponse as _, Response},
    routing::get,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::StatusCode;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use rcgen::{KeyPair, PKCS_ED25519, PublicKeyData as _};
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinHandle};

/// A running issuer; it ends with this.
pub struct Issuer {
    /// `iss` of its tokens.
    pub url: String,
    pair: KeyPair,
    key: EncodingKey,
    is_down: Arc<AtomicBool>,
    serving: JoinHandle<()>,
}

impl Issuer {
    /// Starts one with a key of its own, Ed25519.
    pub async fn start() -> Self {
        let pair = KeyPair::generate_for(&PKCS_ED25519).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let is_down = Arc::default();
        Self {
            serving: serve(listener, &url, &pair, &is_down),
            key: EncodingKey::from_ed_der(&pair.serialize_der()),
            url,
            pair,
            is_down,
        }
    }

    /// Ends it as an outage does: no new connection, nothing on the old ones.
    pub async fn stop(&mut self) {
        self.is_down.store(true, Ordering::SeqCst);
        self.serving.abort();
        // The port is free once the task is gone.
        drop((&mut self.serving).await);
    }

    /// Ends the outage, where it was and with the same key.
    pub async fn start_again(&mut self) {
        let address = self.url.strip_prefix("http://").unwrap();
        let listener = TcpListener::bind(address).await.unwrap();
        self.is_down.store(false, Ordering::SeqCst);
        self.serving = serve(listener, &self.url, &self.pair, &self.is_down);
    }

    /// Signs claims; `iss`, `aud` and `exp` are added.
    pub fn token(&self, audience: &str, mut claims: Value) -> String {
        claims["iss"] = self.url.clone().into();
        claims["aud"] = audience.into();
        if claims.get("email").is_some() && claims.get("email_verified").is_none() {
            claims["email_verified"] = true.into();
        }
        claims["exp"] = (jsonwebtoken::get_current_timestamp() + 600).into();
        self.sign("one", &claims)
    }

    /// Signs claims as they are, under any name of the key; its own is `one`.
    pub fn sign(&self, kid: &str, claims: &Value) -> String {
        let mut header = Header::new(Algorithm::EdDSA);
        header.kid = Some(kid.to_owned());
        encode(&header, claims, &self.key).unwrap()
    }

    /// What everybody may know of its key.
    pub fn public_key(&self) -> &[u8] {
        self.pair.der_bytes()
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn serve(
    listener: TcpListener,
    url: &str,
    pair: &KeyPair,
    is_down: &Arc<AtomicBool>,
) -> JoinHandle<()> {
    let about = json!({ "issuer": url, "jwks_uri": format!("{url}/keys") });
    let keys = json!({ "keys": [{
        "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": "one",
        "x": URL_SAFE_NO_PAD.encode(pair.der_bytes()),
    }] });
    let is_down = Arc::clone(is_down);
    let watch = from_fn(move |request: Request, next: Next| {
        let is_down = is_down.load(Ordering::SeqCst);
        async move {
            let down: Response = StatusCode::SERVICE_UNAVAILABLE.into_response();
            if is_down {
                down
            } else {
                next.run(request).await
            }
        }
    });
    let router = Router::new()
        .route(
            "/.well-known/openid-configuration",
            get(async || Json(about)),
        )
        .route("/keys", get(async || Json(keys)))
        .layer(watch);
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() })
}
