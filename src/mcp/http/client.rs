//! The HTTP client that all remote servers share, and the headers of one server.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use reqwest::redirect::{Attempt, Policy};
use url::Url;

use super::super::{
    error::ConnectError,
    guard::{AddressGuard, OwnHostResolver, PrivateAddressError},
};
use crate::secret::Secret;

/// The timeout of the TCP and TLS handshake.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long an unused connection is kept. This is below the 60 s after which common load balancers close it,
/// because a request that meets the close is lost.
const POOL_IDLE: Duration = Duration::from_secs(50);

/// How often an idle connection is probed, so that event streams survive NAT and dead peers are detected.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// The maximum number of redirects for one request.
const REDIRECTS_MAX: usize = 3;

/// Installs ring as the TLS provider of the process. Does nothing if a provider is already installed.
pub fn install_tls() {
    static ONCE: OnceLock<()> = OnceLock::new();
    ONCE.get_or_init(|| {
        if rustls::crypto::ring::default_provider()
            .install_default()
            .is_err()
        {
            tracing::debug!("a TLS provider is already installed");
        }
    });
}

/// Builds the client. One client is enough for the process, because it holds the connection pool. It has no
/// cookies and no total timeout (the calls have deadlines), and it uses the proxies from the environment.
/// Fails if the system's certificates cannot be read. Call [`install_tls`] first.
pub fn http_client() -> Result<reqwest::Client, reqwest::Error> {
    client_builder()
        .dns_resolver(Arc::new(OwnHostResolver))
        .build()
}

/// Builds a client for an address that the operator did not write. It does not connect to private addresses,
/// unless `own`, the operator's address of that server, is private too.
pub fn guarded_client(
    own: &Url,
    endpoint: &Url,
    private_network: bool,
) -> Result<reqwest::Client, ClientBuildError> {
    let guard = AddressGuard::new(own, private_network);
    guard.check(endpoint)?;
    let client = client_builder().dns_resolver(Arc::new(guard));
    Ok(client.build()?)
}

/// Why such a client cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum ClientBuildError {
    /// The address must not be called.
    #[error(transparent)]
    Forbidden(#[from] PrivateAddressError),
    /// The system's certificates cannot be read.
    #[error("no HTTP client: {0}")]
    Client(#[from] reqwest::Error),
}

/// The settings that all clients share.
pub fn client_builder() -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .user_agent(concat!("mcp-bridge/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_idle_timeout(POOL_IDLE)
        .tcp_nodelay(true)
        .tcp_keepalive(KEEPALIVE)
        .http2_keep_alive_interval(KEEPALIVE)
        .redirect(Policy::custom(redirect))
}

/// Builds the operator's headers, marked as sensitive so that they are not logged.
pub fn header_map(headers: &[(HeaderName, Secret)]) -> Result<HeaderMap, ConnectError> {
    headers
        .iter()
        .map(|(name, value)| {
            let mut value = HeaderValue::from_str(value.expose().trim()).map_err(|_| {
                ConnectError::Unreachable(format!(
                    "the value of the header `{name}` has characters that HTTP forbids"
                ))
            })?;
            value.set_sensitive(true);
            Ok((name.clone(), value))
        })
        .collect()
}

/// Resolves `reference` against `base`. The result must have the same origin, because every request carries
/// credentials. A server behind a proxy that terminates TLS may send its own `http` address, which is
/// converted to the proxy's. The error completes a sentence: `is not a valid URL`, `names another origin`.
pub fn join_same_origin(base: &Url, reference: &str) -> Result<Url, String> {
    let mut url = base
        .join(reference)
        .map_err(|error| format!("is not a valid URL: {error}"))?;
    let behind_tls = base.scheme() == "https" && url.scheme() == "http" && url.port().is_none();
    if behind_tls && url.host() == base.host() {
        let upgraded = url
            .set_scheme("https")
            .and_then(|()| url.set_port(base.port()));
        if upgraded.is_err() {
            tracing::debug!("cannot change a URL to https");
        }
    }
    if url.origin() != base.origin() {
        let origin = url.origin().ascii_serialization();
        return Err(format!("names another origin, `{origin}`"));
    }
    Ok(url)
}

/// Follows redirects that keep the method, the body and the origin (`FastMCP` redirects `/mcp` to `/mcp/`).
/// Any other redirect would lose the message or send credentials elsewhere, so the caller then receives the
/// redirect itself.
fn redirect(attempt: Attempt<'_>) -> reqwest::redirect::Action {
    let keeps_body = matches!(
        attempt.status(),
        StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT
    );
    let keeps_origin = attempt
        .previous()
        .first()
        .is_some_and(|first| first.origin() == attempt.url().origin());
    if keeps_body && keeps_origin && attempt.previous().len() <= REDIRECTS_MAX {
        attempt.follow()
    } else {
        attempt.stop()
    }
}
