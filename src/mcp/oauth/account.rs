//! The stored parts of a login: [`ClientRegistration`], [`PendingAuthorization`], [`OAuthAccount`]. All of them are secret. They are
//! serialized only into encrypted storage.

use std::{
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use rmcp::transport::auth::{AuthorizationMetadata, StoredAuthorizationState, StoredCredentials};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use url::Url;

use super::form::ResourceIndicator;
use crate::{
    config::{OAuthSettings, ResourceName, TokenAuthMethod},
    secret::Secret,
};

/// A token is refreshed when less than this fraction of its lifetime is left, or less than
/// [`RENEWED_BEFORE`].
const RENEWED_PART: u32 = 5;
/// See [`RENEWED_PART`].
const RENEWED_BEFORE: Duration = Duration::from_mins(1);

/// The metadata member that lists how an authorization server accepts a client secret (RFC 8414 §2). rmcp
/// reads it.
pub(super) const AUTH_METHODS: &str = "token_endpoint_auth_methods_supported";

/// The maximum number of recorded scopes.
const WANTED_MAX: usize = 100;

/// The bridge's registration at an authorization server.
#[derive(Clone, Serialize, Deserialize)]
pub struct ClientRegistration {
    /// The URL of the MCP server that the login is for.
    pub server: Url,
    /// The authorization server's metadata from discovery.
    pub(super) metadata: AuthorizationMetadata,
    /// The client id.
    pub client_id: String,
    /// The client secret, if there is one.
    pub(super) client_secret: Option<String>,
    /// The authentication method for the secret, if the registration or an answer of the server stated it.
    #[serde(default)]
    pub(super) auth_method: Option<TokenAuthMethod>,
    /// When the secret expires, in seconds since 1970, if it does.
    #[serde(default)]
    pub(super) secret_ends_at: Option<u64>,
    /// The scopes that the client may ask for, as registered.
    #[serde(default)]
    pub(super) scopes: Vec<String>,
    /// The redirect URL for browsers.
    pub redirect_url: String,
    /// The MCP server's own resource identifier (RFC 8707).
    pub(super) resource: String,
    /// Whether the token endpoint accepted a request only after `resource` was removed.
    #[serde(default)]
    pub(super) refuses_resource: bool,
}

/// A login that waits for its authorization code.
#[derive(Clone, Serialize, Deserialize)]
pub struct PendingAuthorization {
    /// The client that asks.
    pub client: ClientRegistration,
    /// The PKCE verifier and the state that the answer must match.
    pub(super) state: StoredAuthorizationState,
}

/// Tokens and everything that is needed to refresh them.
#[derive(Clone, Serialize, Deserialize)]
pub struct OAuthAccount {
    /// The client that received the tokens.
    pub(super) client: ClientRegistration,
    /// The tokens.
    pub(super) credentials: StoredCredentials,
    /// Scopes that the server asked for later (RFC 6750). The next login asks for them too.
    #[serde(default)]
    pub wanted: Vec<String>,
}

/// A login that another program made, for example mcpo.
#[derive(Clone)]
pub struct ImportedLogin {
    /// The access token.
    pub access_token: Secret,
    /// The refresh token.
    pub refresh_token: Option<Secret>,
    /// When the access token expires, in seconds since 1970, if known.
    pub ends_at: Option<i64>,
    /// The id of the client that received it.
    pub client_id: String,
    /// The client's secret.
    pub client_secret: Option<Secret>,
    /// The authentication method of the client (RFC 7591 `token_endpoint_auth_method`).
    pub auth_method: Option<String>,
    /// The redirect URL for browsers.
    pub redirect_url: String,
    /// The granted scopes.
    pub scopes: Vec<String>,
}

impl OAuthAccount {
    /// The token for the MCP server.
    pub fn access_token(&self) -> Option<Secret> {
        use oauth2::TokenResponse as _;
        let tokens = self.credentials.token_response.as_ref()?;
        Some(Secret::new(tokens.access_token().secret().clone()))
    }

    /// Whether the account can be refreshed without a login.
    pub fn is_renewable(&self) -> bool {
        use oauth2::TokenResponse as _;
        let tokens = self.credentials.token_response.as_ref();
        tokens.is_some_and(|tokens| tokens.refresh_token().is_some())
    }

    /// When the token expires; `None` if the server does not state it.
    pub fn ends_at(&self) -> Option<SystemTime> {
        let (received, lifetime) = self.lifetime()?;
        received.checked_add(lifetime)
    }

    /// When to refresh the token: early enough that calls do not meet an expired one.
    pub fn renew_at(&self) -> Option<SystemTime> {
        let (_, lifetime) = self.lifetime()?;
        let margin = (lifetime / RENEWED_PART).min(RENEWED_BEFORE);
        self.ends_at()?.checked_sub(margin)
    }

    /// When the token was received, and its lifetime.
    fn lifetime(&self) -> Option<(SystemTime, Duration)> {
        use oauth2::TokenResponse as _;
        let lifetime = self.credentials.token_response.as_ref()?.expires_in()?;
        let received = self.credentials.token_received_at?;
        Some((UNIX_EPOCH + Duration::from_secs(received), lifetime))
    }

    /// The URL of the MCP server that the account is for.
    pub fn server(&self) -> &Url {
        &self.client.server
    }

    /// Records scopes, separated by spaces, for the next login. Returns false if they are already known.
    pub fn want(&mut self, scopes: &str) -> bool {
        let before = self.wanted.len();
        for scope in scopes.split_whitespace() {
            let is_known = self
                .wanted
                .iter()
                .chain(self.scopes())
                .any(|it| it == scope);
            // The list is bounded, so that a server cannot make it grow forever.
            if !is_known && self.wanted.len() < WANTED_MAX {
                self.wanted.push(scope.to_owned());
            }
        }
        self.wanted.len() > before
    }

    /// The granted scopes.
    pub fn scopes(&self) -> &[String] {
        &self.credentials.granted_scopes
    }

    /// All values that must never be shown.
    pub fn secrets(&self) -> Vec<Secret> {
        use oauth2::TokenResponse as _;
        let tokens = self.credentials.token_response.as_ref();
        let refresh = tokens.and_then(|tokens| tokens.refresh_token());
        let refresh = refresh.map(|token| Secret::new(token.secret().clone()));
        let mut secrets: Vec<Secret> = self.access_token().into_iter().chain(refresh).collect();
        secrets.extend(self.client.secret());
        secrets
    }
}

impl ClientRegistration {
    /// The authentication method, if the operator or the server stated it.
    pub(super) fn method(&self, settings: &OAuthSettings) -> Option<TokenAuthMethod> {
        settings.auth_method.or(self.auth_method)
    }

    /// Returns the secret to send. For the operator's own client this is the secret in the current
    /// configuration, because vendors' consoles issue new ones.
    pub(super) fn secret_to_show<'a>(&'a self, settings: &'a OAuthSettings) -> Option<&'a str> {
        if self.method(settings) == Some(TokenAuthMethod::None) {
            return None;
        }
        let is_operators = settings.client_id.as_deref() == Some(self.client_id.as_str());
        match &settings.client_secret {
            Some(secret) if is_operators => Some(secret.expose()),
            Some(_) | None => self.client_secret.as_deref(),
        }
    }

    /// The metadata from discovery with the chosen authentication method, which rmcp reads.
    pub(super) fn metadata_to_use(&self, settings: &OAuthSettings) -> AuthorizationMetadata {
        let mut metadata = self.metadata.clone();
        if let Some(method) = self.method(settings) {
            let fields = &mut metadata.additional_fields;
            fields.insert(AUTH_METHODS.to_owned(), json!([method.as_str()]));
        }
        metadata
    }

    /// The other authentication methods to try if the server does not recognize the client (RFC 6749 §2.3.1).
    /// Some servers list both methods and accept one, or issue a secret and state that they want none. Empty
    /// if the operator chose the method, or if there is no secret.
    pub(super) fn other_methods(&self, settings: &OAuthSettings) -> Vec<TokenAuthMethod> {
        let has_secret = self.client_secret.is_some() || settings.client_secret.is_some();
        if settings.auth_method.is_some() || !has_secret {
            return Vec::new();
        }
        let first = self.auth_method.unwrap_or_else(|| self.usual_method());
        let both = [TokenAuthMethod::Basic, TokenAuthMethod::Post];
        both.into_iter().filter(|it| *it != first).collect()
    }

    /// The method that rmcp uses by default.
    fn usual_method(&self) -> TokenAuthMethod {
        let methods = self.metadata.additional_fields.get(AUTH_METHODS);
        let has = |method: TokenAuthMethod| {
            let methods = methods.and_then(Value::as_array);
            methods.is_some_and(|it| it.iter().any(|it| it.as_str() == Some(method.as_str())))
        };
        if has(TokenAuthMethod::Post) && !has(TokenAuthMethod::Basic) {
            TokenAuthMethod::Post
        } else {
            TokenAuthMethod::Basic
        }
    }

    /// The resource indicator for the authorization server.
    pub(super) fn indicator(&self, settings: &OAuthSettings) -> ResourceIndicator {
        match &settings.resource {
            ResourceName::Unsaid => ResourceIndicator::Unsaid,
            ResourceName::Named(name) => ResourceIndicator::Firm(name.clone()),
            ResourceName::Discovered if self.refuses_resource => ResourceIndicator::Unsaid,
            ResourceName::Discovered => ResourceIndicator::Yielding(self.resource.clone()),
        }
    }

    /// Whether the client can use an authentication method: a public client has no secret.
    pub(super) fn registered_for(&self, method: TokenAuthMethod) -> bool {
        method == TokenAuthMethod::None || self.client_secret.is_some()
    }

    /// Whether the secret has expired.
    pub(super) fn is_over(&self, now: u64) -> bool {
        self.secret_ends_at.is_some_and(|ends_at| ends_at <= now)
    }

    /// Whether this authorization server registered the client.
    pub(super) fn is_of(&self, metadata: &AuthorizationMetadata) -> bool {
        self.metadata.issuer == metadata.issuer
            && self.metadata.token_endpoint == metadata.token_endpoint
    }

    /// The client secret.
    pub fn secret(&self) -> Option<Secret> {
        self.client_secret.clone().map(Secret::new)
    }
}

impl PendingAuthorization {
    /// The `state` that the answer must carry.
    pub fn state(&self) -> &str {
        &self.state.csrf_token
    }
}

impl fmt::Debug for ClientRegistration {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("ClientRegistration");
        shown
            .field("resource", &self.resource)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for PendingAuthorization {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("PendingAuthorization");
        shown.field("client", &self.client).finish_non_exhaustive()
    }
}

impl fmt::Debug for OAuthAccount {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("OAuthAccount");
        shown
            .field("client", &self.client)
            .field("scopes", &self.credentials.granted_scopes)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for ImportedLogin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ImportedLogin")
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(more: &Value) -> ClientRegistration {
        let mut client = json!({
            "server": "https://mcp.example.com/mcp",
            "metadata": {
                "authorization_endpoint": "https://auth.example.com/authorize",
                "token_endpoint": "https://auth.example.com/token",
            },
            "client_id": "ours",
            "client_secret": "the old one",
            "redirect_url": "http://localhost/oauth/callback",
            "resource": "https://mcp.example.com/mcp",
        });
        for (key, value) in more.as_object().unwrap() {
            client[key] = value.clone();
        }
        serde_json::from_value(client).unwrap()
    }

    fn settings() -> OAuthSettings {
        OAuthSettings::default()
    }

    /// Earlier logins kept using the secret that they had begun with.
    #[test]
    fn a_secret_that_was_changed_in_the_configuration_counts_for_logins_made_before() {
        let client = client(&json!({}));
        for (id, secret, shown) in [
            (Some("ours"), Some("the new one"), "the new one"),
            (Some("another"), Some("the new one"), "the old one"),
            (Some("ours"), None, "the old one"),
            (None, None, "the old one"),
        ] {
            let settings = OAuthSettings {
                client_id: id.map(str::to_owned),
                client_secret: secret.map(Secret::new),
                ..settings()
            };
            let found = client.secret_to_show(&settings);
            assert_eq!(found, Some(shown), "{id:?} {secret:?}");
        }
    }

    #[test]
    fn a_secret_is_shown_in_the_way_that_counts_and_then_in_the_others() {
        use TokenAuthMethod::{Basic, None as Public, Post};
        let offers = |methods: &[&str]| {
            let both = "https://auth.example.com";
            json!({ "metadata": { "authorization_endpoint": both, "token_endpoint": both, AUTH_METHODS: methods } })
        };
        let method = |method: &str| json!({ "auth_method": method });
        for (more, wanted, others) in [
            (json!({}), None, vec![Post]),
            (offers(&["client_secret_post"]), None, vec![Basic]),
            (
                offers(&["client_secret_post", "client_secret_basic"]),
                None,
                vec![Post],
            ),
            (method("client_secret_post"), None, vec![Basic]),
            (method("none"), None, vec![Basic, Post]),
            (json!({}), Some(Post), vec![]),
            (json!({ "client_secret": null }), None, vec![]),
        ] {
            let client = client(&more);
            let settings = OAuthSettings {
                auth_method: wanted,
                ..settings()
            };
            assert_eq!(client.other_methods(&settings), others, "{more}");
            let shows = client.method(&settings) != Some(Public) && client.client_secret.is_some();
            assert_eq!(client.secret_to_show(&settings).is_some(), shows, "{more}");
        }
        let posts = client(&method("client_secret_post")).metadata_to_use(&settings());
        assert_eq!(
            posts.additional_fields[AUTH_METHODS],
            json!(["client_secret_post"])
        );
    }

    #[test]
    fn the_operator_says_what_is_told_of_the_resource() {
        let found = "https://mcp.example.com/mcp".to_owned();
        let learned = json!({ "refuses_resource": true });
        for (more, resource, indicator) in [
            (
                json!({}),
                ResourceName::Discovered,
                ResourceIndicator::Yielding(found),
            ),
            (
                learned.clone(),
                ResourceName::Discovered,
                ResourceIndicator::Unsaid,
            ),
            (json!({}), ResourceName::Unsaid, ResourceIndicator::Unsaid),
            (
                learned,
                ResourceName::Named("api://x".to_owned()),
                ResourceIndicator::Firm("api://x".to_owned()),
            ),
        ] {
            let settings = OAuthSettings {
                resource,
                ..settings()
            };
            assert_eq!(client(&more).indicator(&settings), indicator);
        }
    }

    #[test]
    fn a_registration_whose_secret_ended_is_over() {
        assert!(!client(&json!({})).is_over(100));
        let ending = client(&json!({ "secret_ends_at": 100 }));
        assert_eq!((ending.is_over(99), ending.is_over(100)), (false, true));
    }
}
