//! Complete requests against complete configurations.

mod database;
mod emails;
mod gateway;
mod holds;
mod issuer;
mod keys;
mod oidc;
mod sessions;
mod signed;
mod stored;

use std::{
    net::SocketAddr,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::{HeaderMap, HeaderName, HeaderValue};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode, get_current_timestamp};
use serde_json::Value;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    AuthSources, AuthenticationError, AuthenticationMethod, Authenticator, Caller,
    RequestCredentials,
};
use crate::{
    config::{
        AccessSettings, AnonymousAccess, ApiKey, ApiKeyValue, AuditSettings, Config, Flavor,
        IdentitySettings, LimitSettings, OpenWebUiSettings, ServerSettings, TelemetrySettings,
    },
    secret::Secret,
};

const SECRET: &str = "webui-secret-of-the-tests";
const JWT_SECRET: &str = "forward-secret-of-the-tests";

/// The expected result: the caller's name and how they authenticated.
type Verdict = Result<(&'static str, AuthenticationMethod), AuthenticationError>;

/// A test case: its description, the headers, and the expected result.
type Case<'a> = (&'static str, Vec<(&'static str, &'a str)>, Verdict);

fn proofs(identity: IdentitySettings, sources: AuthSources) -> Authenticator {
    let config = Config {
        flavor: Flavor::Native,
        server: ServerSettings::default(),
        database: None,
        identity,
        access: AccessSettings::default(),
        limits: LimitSettings::default(),
        audit: AuditSettings::off(),
        telemetry: TelemetrySettings::default(),
        bridges: Vec::new(),
    };
    Authenticator::new(&config, sources)
}

/// Sources that contain only an HTTP client.
fn sources() -> AuthSources {
    crate::mcp::install_tls();
    AuthSources {
        http: crate::mcp::http_client().unwrap(),
        ..AuthSources::default()
    }
}

/// A key with its own groups.
fn key(name: &str, text: &str, forwards: bool) -> ApiKey {
    ApiKey {
        name: name.to_owned(),
        key: ApiKeyValue::Plain(Secret::new(text)),
        groups: vec!["bots".to_owned()],
        forwards,
        workspace: "w1".to_owned(),
    }
}

fn open_webui() -> OpenWebUiSettings {
    OpenWebUiSettings {
        secret_key: Some(Secret::new(SECRET)),
        cache_ttl: Duration::from_secs(30),
        ..OpenWebUiSettings::default()
    }
}

fn headers(all: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in all {
        headers.append(
            HeaderName::from_bytes(name.as_bytes()).unwrap(),
            HeaderValue::from_bytes(value.as_bytes()).unwrap(),
        );
    }
    headers
}

async fn ask(
    proofs: &Authenticator,
    all: &[(&str, &str)],
    peer: Option<&str>,
) -> Result<Arc<Caller>, AuthenticationError> {
    let headers = headers(all);
    let evidence = RequestCredentials {
        headers: &headers,
        peer: peer.map(|peer| peer.parse().unwrap()),
    };
    proofs.authenticate(&evidence).await
}

/// Checks all cases and reports every wrong one.
async fn check(proofs: &Authenticator, peer: Option<&str>, cases: &[Case<'_>]) {
    let mut wrong = Vec::new();
    for (what, sent, expected) in cases {
        let found = ask(proofs, sent, peer).await;
        let verdict = found.as_ref().map(|it| (&*it.id, it.proof));
        if verdict != expected.as_ref().map(|it| (it.0, it.1)) {
            wrong.push(format!("{what}: {found:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The time `seconds` after the test began, in seconds since 1970. It is fixed, so that equal
/// claims give equal tokens.
fn at(seconds: i64) -> i64 {
    static START: OnceLock<u64> = OnceLock::new();
    let start = *START.get_or_init(get_current_timestamp);
    i64::try_from(start).unwrap() + seconds
}

/// A token whose end is missing.
fn cut(token: &str) -> String {
    token.chars().take(token.len() - 5).collect()
}

fn hs256(secret: &str, claims: &Value) -> String {
    signed(Algorithm::HS256, &key_of(secret), claims)
}

/// The signing key of a secret. HMAC pads short keys with zeros (RFC 2104 §2), so one zero byte is
/// equivalent to the empty secret, which the library does not accept.
fn key_of(secret: &str) -> EncodingKey {
    let bytes = if secret.is_empty() { "\0" } else { secret };
    EncodingKey::from_secret(bytes.as_bytes()).unwrap()
}

fn signed(algorithm: Algorithm, key: &EncodingKey, claims: &Value) -> String {
    encode(&Header::new(algorithm), claims, key).unwrap()
}

/// A token with the given header and an arbitrary signature.
fn forged(header: &Value, claims: &Value, signature: &str) -> String {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.{signature}", part(header), part(claims))
}

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

fn groups(caller: &Caller) -> Vec<&str> {
    caller
        .groups
        .iter()
        .flat_map(|all| all.iter())
        .map(AsRef::as_ref)
        .collect()
}

/// A test server that counts its requests.
struct Stand {
    address: SocketAddr,
    asked: Arc<AtomicUsize>,
    stop: CancellationToken,
    tracker: TaskTracker,
}

impl Stand {
    /// Serves a router at an address; port 0 means any free port.
    async fn serve(address: &str, router: axum::Router) -> Self {
        let listener = tokio::net::TcpListener::bind(address).await.unwrap();
        let asked = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&asked);
        let router = router.layer(axum::middleware::from_fn(
            move |request: axum::extract::Request, next: axum::middleware::Next| {
                counter.fetch_add(1, Ordering::SeqCst);
                next.run(request)
            },
        ));
        let stop = CancellationToken::new();
        let stand = Self {
            address: listener.local_addr().unwrap(),
            asked,
            stop: stop.clone(),
            tracker: TaskTracker::new(),
        };
        stand.tracker.spawn(async move {
            let stopped = stop.cancelled_owned();
            axum::serve(listener, router)
                .with_graceful_shutdown(stopped)
                .await
                .unwrap();
        });
        stand
    }

    fn url(&self, path: &str) -> url::Url {
        format!("http://{}{path}", self.address).parse().unwrap()
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    /// Stops the server. Later connections are refused.
    async fn leave(self) -> SocketAddr {
        self.stop.cancel();
        self.tracker.close();
        self.tracker.wait().await;
        self.address
    }
}
