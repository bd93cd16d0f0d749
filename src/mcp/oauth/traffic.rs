//! [`OAuthFlowClient`]: the requests of one OAuth flow, guarded, limited, and recorded for error messages. rmcp's own
//! requests go through [`super::exchange`].

use std::{
    borrow::Cow,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use http::{
    HeaderMap, StatusCode,
    header::{ACCEPT, CONTENT_TYPE, LOCATION},
};
use reqwest::{RequestBuilder, redirect::Policy};
use serde_json::Value;
use url::{Host, Url, form_urlencoded};

use super::{
    super::{
        guard::AddressGuard,
        http::{TransportError, read, send},
    },
    answer,
    challenge::{self, AuthChallenge},
    error::{OAuthError, OAuthRefusal, WireFailure, short},
    form::{ResourceIndicator, TokenForm},
};

/// The timeout of one request. A user who logs in waits for it, and so does a call whose token is refreshed.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// The size limit of an OAuth document, in bytes.
pub(super) const BODY_BYTES_MAX: usize = 256 << 10;
/// How many redirects of a document are followed, within its own origin.
const REDIRECTS_MAX: usize = 5;
/// The MCP revision in discovery requests: the oldest, because no version is negotiated yet.
const PROTOCOL_VERSION: (&str, &str) = ("mcp-protocol-version", "2024-11-05");

/// The requests of one flow.
#[derive(Debug)]
pub struct OAuthFlowClient {
    /// Resolves hosts through the guard. It follows no redirects, because rmcp decides on them.
    pub(super) client: reqwest::Client,
    /// What may be called.
    guard: AddressGuard,
    /// Which addresses may be asked for metadata. An address that the operator wrote allows only itself.
    strangers: AddressGuard,
    /// The MCP server.
    server: Url,
    /// Whether an authorization server without TLS is accepted: only if the MCP server has no TLS either.
    allows_plain: bool,
    /// The resource indicator, which replaces rmcp's.
    pub(super) indicator: ResourceIndicator,
    /// Whether the server issued a token only after `resource` was removed.
    pub(super) is_unsaid: AtomicBool,
    /// The last failure.
    seen: Mutex<Option<WireFailure>>,
}

impl OAuthFlowClient {
    /// Creates the value for the server at a URL. `private_network` is the operator's setting.
    pub fn new(
        server: &Url,
        private_network: bool,
        indicator: ResourceIndicator,
    ) -> Result<Arc<Self>, OAuthError> {
        let guard = AddressGuard::new(server, private_network);
        let mut stranger = server.clone();
        let renamed = stranger.set_host(Some("stranger.invalid"));
        renamed.map_err(|error| OAuthError::Discovery(error.to_string()))?;
        let client = reqwest::Client::builder()
            .user_agent(concat!("mcp-bridge/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(REQUEST_TIMEOUT)
            .timeout(REQUEST_TIMEOUT)
            .redirect(Policy::none())
            .dns_resolver(Arc::new(guard.clone()))
            .build()
            .map_err(|error| OAuthError::Unavailable(error.to_string()))?;
        Ok(Arc::new(Self {
            client,
            guard,
            strangers: AddressGuard::new(&stranger, private_network),
            server: server.clone(),
            allows_plain: server.scheme() == "http",
            indicator,
            is_unsaid: AtomicBool::new(false),
            seen: Mutex::default(),
        }))
    }

    /// Whether the token endpoint refused the resource and issued a token without it.
    pub fn refuses_resource(&self) -> bool {
        self.is_unsaid.load(Ordering::Relaxed)
    }

    /// Takes the last failure.
    pub fn seen(&self) -> Option<WireFailure> {
        self.seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    /// Records the last failure.
    pub(super) fn note(&self, seen: Option<WireFailure>) {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = seen;
    }

    /// Rejects a URL that must not be called, before anything is sent to it.
    pub fn check(&self, url: &Url) -> Result<(), String> {
        let is_web = url.scheme() == "https" || (url.scheme() == "http" && self.allows_plain);
        if !is_web {
            return Err(format!(
                "`{}` is not https, but secrets are sent there",
                url.origin().ascii_serialization()
            ));
        }
        self.guard.check(url).map_err(|error| error.to_string())
    }

    /// The same for a place that may have metadata: it must not be a private address except the server's own,
    /// unless the operator allows all of them or both are this machine.
    pub fn check_place(&self, url: &Url) -> Result<(), String> {
        self.check(url)?;
        let is_own = url.host() == self.server.host();
        if is_own || (is_loopback(url) && is_loopback(&self.server)) {
            return Ok(());
        }
        self.strangers.check(url).map_err(|error| error.to_string())
    }

    /// Returns the challenges that the server sends to a request without a token. They name its metadata and
    /// the scopes to ask for (RFC 9728 §5.1). If there are none, discovery tries the standard places.
    pub async fn challenges(&self, server: &Url) -> Vec<AuthChallenge> {
        let ping = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
        let post = self
            .client
            .post(server.clone())
            .header(CONTENT_TYPE, "application/json")
            .header(ACCEPT, "application/json, text/event-stream")
            .body(ping);
        let get = self
            .client
            .get(server.clone())
            .header(ACCEPT, "application/json, text/event-stream");
        let posted = challenged(post).await;
        if challenge::pointers(&posted).is_empty() {
            // Some servers send a challenge to a GET, others to a POST.
            let got = challenged(get).await;
            if posted.is_empty() || !challenge::pointers(&got).is_empty() {
                return got;
            }
        }
        posted
    }

    /// Requests a discovery document. Follows redirects within its origin.
    pub async fn document(&self, place: &Url) -> DiscoveryResponse {
        let mut url = place.clone();
        for _ in 0..=REDIRECTS_MAX {
            if let Err(reason) = self.check_place(&url) {
                return DiscoveryResponse::Trouble(reason);
            }
            let request = self
                .client
                .get(url.clone())
                .header(ACCEPT, "application/json")
                .header(PROTOCOL_VERSION.0, PROTOCOL_VERSION.1);
            let response = match send(request).await {
                Ok(response) => response,
                Err(error) => {
                    return DiscoveryResponse::Dead(TransportError::from(error).to_string());
                }
            };
            let status = response.status();
            if status.is_redirection() {
                match moved(&url, response.headers()) {
                    Ok(Some(next)) => url = next,
                    Ok(None) => return DiscoveryResponse::Nothing,
                    Err(reason) => return DiscoveryResponse::Trouble(reason),
                }
                continue;
            }
            return match status {
                StatusCode::OK => match read(response, BODY_BYTES_MAX).await {
                    Ok(body) => DiscoveryResponse::Document(body.to_vec()),
                    Err(failure) => DiscoveryResponse::Trouble(failure.to_string()),
                },
                StatusCode::UNAUTHORIZED => {
                    DiscoveryResponse::Challenged(challenge::challenges(response.headers()))
                }
                status if is_passing(status) => {
                    DiscoveryResponse::Failing(format!("answered HTTP {}", status.as_u16()))
                }
                _ => DiscoveryResponse::Nothing,
            };
        }
        DiscoveryResponse::Trouble("it redirects too many times".to_owned())
    }

    /// Sends JSON that rmcp cannot send, and reads the answer.
    pub async fn post_json(&self, url: &Url, body: &Value) -> Result<JsonPostResponse, OAuthError> {
        self.check(url).map_err(OAuthError::Discovery)?;
        let request = self
            .client
            .post(url.clone())
            .header(ACCEPT, "application/json")
            .header(CONTENT_TYPE, "application/json")
            .body(body.to_string());
        let failed =
            |failure: TransportError| OAuthError::Unavailable(format!("{}: {failure}", place(url)));
        let response = send(request).await.map_err(|error| failed(error.into()))?;
        let status = response.status();
        let body = read(response, BODY_BYTES_MAX).await.map_err(failed)?;
        Ok(JsonPostResponse {
            refusal: refusal(url, status, &body, None),
            body: body.to_vec(),
        })
    }

    /// Sends a form that rmcp does not support. `basic` is an id and its secret for the header.
    pub async fn post_form(
        &self,
        url: &str,
        fields: &[(&str, &str)],
        basic: Option<(&str, &str)>,
    ) -> Result<(), OAuthError> {
        let failed = |reason: String| OAuthError::Unavailable(reason);
        let url: Url = url
            .parse()
            .map_err(|error: url::ParseError| failed(error.to_string()))?;
        self.check(&url).map_err(failed)?;
        let form = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(fields)
            .finish();
        let mut request = self
            .client
            .post(url.clone())
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(form);
        if let Some((id, secret)) = basic {
            let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect();
            let (id, secret): (String, String) = (encoded(id), encoded(secret));
            request = request.basic_auth(id, Some(secret));
        }
        let response = send(request)
            .await
            .map_err(|error| failed(TransportError::from(error).to_string()))?;
        let status = response.status();
        let words = format!("{} answered HTTP {}", place(&url), status.as_u16());
        match status {
            status if status.is_success() => Ok(()),
            status if status.is_client_error() => Err(OAuthError::Refused(words)),
            _ => Err(OAuthError::Unavailable(words)),
        }
    }
}

/// The result of a request for a discovery document.
#[derive(Debug)]
pub enum DiscoveryResponse {
    /// A body. Its reader decides whether it is a document.
    Document(Vec<u8>),
    /// The place has no document.
    Nothing,
    /// A challenge, which may name another place.
    Challenged(Vec<AuthChallenge>),
    /// A temporary failure.
    Failing(String),
    /// No answer at all.
    Dead(String),
    /// An answer that must not be used.
    Trouble(String),
}

/// An answer to a JSON request.
#[derive(Debug)]
pub struct JsonPostResponse {
    /// Why the request failed, if it did.
    pub refusal: Option<OAuthRefusal>,
    /// The body.
    pub body: Vec<u8>,
}

/// Whether a URL stays on the local machine (RFC 8252 §7.3).
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// Returns the challenges in the answer to a request without a token.
async fn challenged(request: RequestBuilder) -> Vec<AuthChallenge> {
    match send(request).await {
        Ok(response) if response.status() == StatusCode::UNAUTHORIZED => {
            challenge::challenges(response.headers())
        }
        Ok(_) | Err(_) => Vec::new(),
    }
}

/// Returns the redirect target of a document; `None` if there is none.
fn moved(from: &Url, headers: &HeaderMap) -> Result<Option<Url>, String> {
    let Some(location) = headers.get(LOCATION).and_then(|it| it.to_str().ok()) else {
        return Ok(None);
    };
    let next = from
        .join(location)
        .map_err(|error| format!("it redirects to an invalid URL: {error}"))?;
    if next.origin() == from.origin() {
        return Ok(Some(next));
    }
    Err(format!(
        "it redirects to another origin, {}",
        short(&next.origin().ascii_serialization())
    ))
}

/// Whether a status means a temporary failure.
fn is_passing(status: StatusCode) -> bool {
    status.is_server_error()
        || matches!(
            status,
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS
        )
}

/// Returns the error in an answer. A body with an error counts, whatever the status (GitHub and Slack send
/// 200). Secrets of the request's form are redacted.
pub fn refusal(
    url: &Url,
    status: StatusCode,
    body: &[u8],
    form: Option<&TokenForm>,
) -> Option<OAuthRefusal> {
    let refused = answer::object(body).and_then(|object| answer::refused(&object));
    if status.is_success() && refused.is_none() {
        return None;
    }
    let mut text = format!("{} answered HTTP {}", place(url), status.as_u16());
    for words in refused.iter().flat_map(|it| &it.words) {
        let veiled = form.map_or(Cow::Borrowed(words.as_str()), |form| form.veiled(words));
        text = format!("{text}: {}", short(&veiled));
    }
    Some(OAuthRefusal {
        code: refused.and_then(|it| it.code),
        text,
        status: status.as_u16(),
    })
}

/// Returns a URL without the parts that may be secret.
pub fn place(url: &Url) -> String {
    format!("{}{}", url.origin().ascii_serialization(), url.path())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_is_not_looked_for_at_a_private_address_that_only_the_server_names() {
        super::super::super::http::install_tls();
        for (server, private_network, place, allowed) in [
            (
                "https://mcp.example.com/mcp",
                false,
                "https://10.1.2.3/",
                false,
            ),
            (
                "https://mcp.example.com/mcp",
                true,
                "https://10.1.2.3/",
                true,
            ),
            (
                "https://mcp.example.com/mcp",
                true,
                "https://127.0.0.1/",
                false,
            ),
            (
                "https://mcp.example.com/mcp",
                false,
                "https://login.example.com/",
                true,
            ),
            (
                "https://mcp.example.com/mcp",
                false,
                "http://login.example.com/",
                false,
            ),
            (
                "http://10.1.2.3:8000/mcp",
                false,
                "http://10.1.2.3:9000/",
                true,
            ),
            ("http://10.1.2.3:8000/mcp", false, "http://10.1.2.4/", false),
            ("http://10.1.2.3:8000/mcp", true, "http://10.1.2.4/", true),
            (
                "http://127.0.0.1:8000/mcp",
                false,
                "http://127.0.0.1:9000/",
                true,
            ),
            (
                "http://127.0.0.1:8000/mcp",
                false,
                "http://localhost:9000/",
                true,
            ),
            (
                "http://127.0.0.1:8000/mcp",
                false,
                "http://10.1.2.3/",
                false,
            ),
            (
                "http://127.0.0.1:8000/mcp",
                true,
                "http://169.254.169.254/",
                false,
            ),
        ] {
            let server = server.parse().unwrap();
            let traffic =
                OAuthFlowClient::new(&server, private_network, ResourceIndicator::Unsaid).unwrap();
            let checked = traffic.check_place(&place.parse().unwrap());
            assert_eq!(
                checked.is_ok(),
                allowed,
                "{server} {private_network} {place}"
            );
        }
    }
}
