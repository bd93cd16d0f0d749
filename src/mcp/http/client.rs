//! The HTTP client that all remote servers share, and the headers of one of them.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use reqwest::redirect::{Attempt, Policy};
use url::Url;

use super::super::{error::ConnectError, guard::OwnHosts};
use crate::secret::Secret;

/// How long a TCP and TLS handshake may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long an unused connection is kept: below the 60 s after which common load balancers close
/// it, because a request that meets the closing is lost.
const POOL_IDLE: Duration = Duration::from_secs(50);

/// How often a silent connection is probed, so that event streams survive NAT and dead peers show.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// Redirects followed for one request.
const REDIRECTS_MAX: usize = 3;

/// Makes ring the TLS provider of the process. Harmless when there is one already.
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

/// Builds the client. One is enough for the process: it holds the connection pool. No cookies, no
/// total timeout (the calls have deadlines), proxies from the environment. Fails when the system's
/// certificates cannot be read. [`install_tls`] comes first.
pub fn http_client() -> Result<reqwest::Client, reqwest::Error> {
    client_builder().dns_resolver(Arc::new(OwnHosts)).build()
}

/// What every client of servers has in common.
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

/// The operator's headers, ready to send and marked so that nobody logs them.
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

/// What `reference` names, seen from `base`, if it is at the same origin: our credentials travel
/// with every request. A server behind a proxy that ends TLS may name its own `http` address; that
/// is taken as the proxy's. The error completes a sentence: `is no URL`, `names another origin`.
pub fn join_same_origin(base: &Url, reference: &str) -> Result<Url, String> {
    let mut url = base
        .join(reference)
        .map_err(|error| format!("is no URL: {error}"))?;
    let behind_tls = base.scheme() == "https" && url.scheme() == "http" && url.port().is_none();
    if behind_tls && url.host() == base.host() {
        let upgraded = url
            .set_scheme("https")
            .and_then(|()| url.set_port(base.port()));
        if upgraded.is_err() {
            tracing::debug!("a URL cannot be moved to https");
        }
    }
    if url.origin() != base.origin() {
        let origin = url.origin().ascii_serialization();
        return Err(format!("names another origin, `{origin}`"));
    }
    Ok(url)
}

/// Follows what keeps the method, the body and the origin (`FastMCP` sends `/mcp` to `/mcp/`).
/// Anything else would lose the message or carry credentials elsewhere: the answer then is the
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
