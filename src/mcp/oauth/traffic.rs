//! [`Traffic`]: every request of one OAuth flow, guarded, bounded, and remembered for error messages.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use http::{
    StatusCode,
    header::{ACCEPT, CONTENT_TYPE, WWW_AUTHENTICATE},
};
use reqwest::redirect::Policy;
use rmcp::transport::auth::{
    OAuthHttpClient, OAuthHttpClientError, OAuthHttpClientFuture, OAuthHttpRequest,
};
use serde_json::Value;
use url::{Url, form_urlencoded};

use super::{
    super::{
        guard::Guard,
        http::{read, send},
    },
    error::{OAuthError, Seen, short},
};

/// How long one request may take: whoever logs in waits for it, and so does a call whose token is
/// refreshed.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// No document of OAuth is larger, in bytes.
const BODY_BYTES_MAX: usize = 256 << 10;

/// The requests of one flow.
#[derive(Debug)]
pub struct Traffic {
    /// Looks hosts up through the guard; follows no redirect, since rmcp decides on them.
    client: reqwest::Client,
    /// What may be called.
    guard: Guard,
    /// Whether an authorization server without TLS is taken: only beside a server without it.
    allows_plain: bool,
    /// The resource as the server spells it, sent in place of rmcp's spelling (RFC 8707).
    resource: Option<String>,
    /// What went wrong last.
    seen: Mutex<Option<Seen>>,
}

impl Traffic {
    /// For the server at a URL. `private_network` is the operator's word.
    pub fn new(
        server: &Url,
        private_network: bool,
        resource: Option<String>,
    ) -> Result<Arc<Self>, OAuthError> {
        let guard = Guard::new(server, private_network);
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
            allows_plain: server.scheme() == "http",
            resource,
            seen: Mutex::default(),
        }))
    }

    /// What went wrong last; asked once.
    pub fn seen(&self) -> Option<Seen> {
        self.seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    /// Notes what went wrong.
    fn note(&self, seen: Option<Seen>) {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = seen;
    }

    /// Refuses a URL that may not be called, before anything is sent there.
    pub fn check(&self, url: &Url) -> Result<(), String> {
        let is_web = url.scheme() == "https" || (url.scheme() == "http" && self.allows_plain);
        if !is_web {
            return Err(format!(
                "`{}` is not https, and what is sent there is secret",
                url.origin().ascii_serialization()
            ));
        }
        self.guard.check(url).map_err(|error| error.to_string())
    }

    /// What the server answers to a request without token: the challenge names its metadata and the
    /// scopes to ask for (RFC 9728 §5.1). Without one, discovery tries the usual places.
    pub async fn challenge(&self, server: &Url) -> Option<String> {
        let ping = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
        let request = self
            .client
            .post(server.clone())
            .header(CONTENT_TYPE, "application/json")
            .header(ACCEPT, "application/json, text/event-stream")
            .body(ping);
        let response = send(request).await.ok()?;
        if response.status() != StatusCode::UNAUTHORIZED {
            return None;
        }
        let challenge = response.headers().get(WWW_AUTHENTICATE)?;
        challenge.to_str().ok().map(str::to_owned)
    }

    /// Sends a form that rmcp knows nothing of; with `basic`, an id and its secret in the header.
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
            .map_err(|error| failed(super::super::http::Failure::from(error).to_string()))?;
        let status = response.status();
        let words = format!("{} answered HTTP {}", place(&url), status.as_u16());
        match status {
            status if status.is_success() => Ok(()),
            status if status.is_client_error() => Err(OAuthError::Refused(words)),
            _ => Err(OAuthError::Unavailable(words)),
        }
    }

    /// Sends one request.
    async fn exchange(
        &self,
        asked: OAuthHttpRequest,
    ) -> Result<http::Response<Vec<u8>>, OAuthHttpClientError> {
        let (parts, body) = asked.request.into_parts();
        let url: Url = parts.uri.to_string().parse()?;
        self.check(&url)?;
        let is_form = parts
            .headers
            .get(CONTENT_TYPE)
            .is_some_and(|kind| kind == "application/x-www-form-urlencoded");
        let body = match &self.resource {
            Some(resource) if is_form => spelled(&body, resource),
            _ => body,
        };
        let request = self
            .client
            .request(parts.method, url.clone())
            .headers(parts.headers)
            .body(body);
        let response = send(request).await.map_err(|error| {
            let words = super::super::http::Failure::from(error).to_string();
            format!("{}: {words}", place(&url))
        })?;
        let (status, headers) = (response.status(), response.headers().clone());
        let body = read(response, BODY_BYTES_MAX).await?;
        self.note(refusal(&url, status, &body));
        let mut answer = http::Response::new(body.to_vec());
        *answer.status_mut() = status;
        *answer.headers_mut() = headers;
        Ok(answer)
    }
}

impl OAuthHttpClient for Traffic {
    fn execute(&self, request: OAuthHttpRequest) -> OAuthHttpClientFuture<'_> {
        Box::pin(async move {
            let result = self.exchange(request).await;
            if let Err(error) = &result {
                self.note(Some(Seen::Broken(short(&error.to_string()))));
            }
            result
        })
    }
}

/// A form with the server's own spelling of the resource.
fn spelled(form: &[u8], resource: &str) -> Vec<u8> {
    let fields = form_urlencoded::parse(form)
        .map(|(key, value)| match &*key {
            "resource" => (key, resource.into()),
            _ => (key, value),
        })
        .collect::<Vec<_>>();
    let mut written = form_urlencoded::Serializer::new(String::new());
    written.extend_pairs(fields);
    written.finish().into_bytes()
}

/// What a refusal says. A discovery that is not found is none: the next place is tried.
fn refusal(url: &Url, status: StatusCode, body: &[u8]) -> Option<Seen> {
    if status.is_success() || status == StatusCode::NOT_FOUND && is_well_known(url) {
        return None;
    }
    let error: Option<Value> = serde_json::from_slice(body).ok();
    let word = |key: &str| {
        let text = error.as_ref()?.get(key)?.as_str()?;
        Some(short(text))
    };
    let code = word("error");
    let said = [code.clone(), word("error_description")];
    let mut text = format!("{} answered HTTP {}", place(url), status.as_u16());
    for words in said.into_iter().flatten() {
        text = format!("{text}: {words}");
    }
    Some(Seen::Refusal {
        code,
        text,
        status: status.as_u16(),
    })
}

/// Whether a URL is one that discovery tries.
fn is_well_known(url: &Url) -> bool {
    url.path().contains("/.well-known/")
}

/// A URL without what may be secret.
fn place(url: &Url) -> String {
    format!("{}{}", url.origin().ascii_serialization(), url.path())
}
