//! What is kept of a login: [`Client`], [`Pending`], [`Account`]. All of it is secret and serialises for
//! a sealed place alone.

use std::{
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use rmcp::transport::auth::{AuthorizationMetadata, StoredAuthorizationState, StoredCredentials};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use url::Url;

use crate::secret::Secret;

/// A token is renewed when less than this part of its life is left, or less than [`RENEWED_BEFORE`].
const RENEWED_PART: u32 = 5;
/// See [`RENEWED_PART`].
const RENEWED_BEFORE: Duration = Duration::from_mins(1);

/// How an authorization server takes the secret of a client (RFC 8414 §2); rmcp goes by it.
pub(super) const AUTH_METHODS: &str = "token_endpoint_auth_methods_supported";

/// Scopes that are noted at most.
const WANTED_MAX: usize = 100;

/// Us, as an authorization server knows us.
#[derive(Clone, Serialize, Deserialize)]
#[expect(clippy::struct_field_names, reason = "OAuth's names")]
pub struct Client {
    /// The URL of the server that we log in to.
    pub server: Url,
    /// What discovery said of the authorization server.
    pub(super) metadata: AuthorizationMetadata,
    /// Our id there.
    pub client_id: String,
    /// Our secret there, if it gave one.
    pub(super) client_secret: Option<String>,
    /// What we may ask for, as we registered.
    #[serde(default)]
    pub(super) scopes: Vec<String>,
    /// Where it sends browsers back to.
    pub redirect_url: String,
    /// The server, as it names itself (RFC 8707).
    pub(super) resource: String,
}

/// A login that has begun and waits for its code.
#[derive(Clone, Serialize, Deserialize)]
pub struct Pending {
    /// Who asks.
    pub client: Client,
    /// The PKCE verifier and what the answer must match.
    pub(super) state: StoredAuthorizationState,
}

/// Tokens, and all that is needed to renew them.
#[derive(Clone, Serialize, Deserialize)]
pub struct Account {
    /// To whom they were given.
    pub(super) client: Client,
    /// They.
    pub(super) credentials: StoredCredentials,
    /// Scopes that the server asked for since (RFC 6750); the next login asks for them too.
    #[serde(default)]
    pub wanted: Vec<String>,
}

/// A login that another program made, mcpo's say.
#[derive(Clone)]
pub struct Imported {
    /// What it showed to the server.
    pub access_token: Secret,
    /// What renews it.
    pub refresh_token: Option<Secret>,
    /// When the token ends, in seconds since 1970, if it says so.
    pub ends_at: Option<i64>,
    /// The id it was given to.
    pub client_id: String,
    /// That client's secret.
    pub client_secret: Option<Secret>,
    /// How it shows that secret (RFC 7591 `token_endpoint_auth_method`).
    pub auth_method: Option<String>,
    /// Where browsers were sent back to.
    pub redirect_url: String,
    /// What was granted.
    pub scopes: Vec<String>,
}

impl Account {
    /// What the server is shown.
    pub fn access_token(&self) -> Option<Secret> {
        use oauth2::TokenResponse as _;
        let tokens = self.credentials.token_response.as_ref()?;
        Some(Secret::new(tokens.access_token().secret().clone()))
    }

    /// Whether it can be renewed without anybody logging in.
    pub fn is_renewable(&self) -> bool {
        use oauth2::TokenResponse as _;
        let tokens = self.credentials.token_response.as_ref();
        tokens.is_some_and(|tokens| tokens.refresh_token().is_some())
    }

    /// When the token ends; `None` where the server does not say.
    pub fn ends_at(&self) -> Option<SystemTime> {
        let (received, lifetime) = self.lifetime()?;
        received.checked_add(lifetime)
    }

    /// When it should be renewed: ahead of its end, so that no call meets it.
    pub fn renew_at(&self) -> Option<SystemTime> {
        let (_, lifetime) = self.lifetime()?;
        let margin = (lifetime / RENEWED_PART).min(RENEWED_BEFORE);
        self.ends_at()?.checked_sub(margin)
    }

    /// When the token was received, and for how long it counts.
    fn lifetime(&self) -> Option<(SystemTime, Duration)> {
        use oauth2::TokenResponse as _;
        let lifetime = self.credentials.token_response.as_ref()?.expires_in()?;
        let received = self.credentials.token_received_at?;
        Some((UNIX_EPOCH + Duration::from_secs(received), lifetime))
    }

    /// The URL of the server that it is for.
    pub fn server(&self) -> &Url {
        &self.client.server
    }

    /// Notes scopes, separated by spaces, for the next login; false if they are known.
    pub fn want(&mut self, scopes: &str) -> bool {
        let before = self.wanted.len();
        for scope in scopes.split_whitespace() {
            let is_known = self
                .wanted
                .iter()
                .chain(self.scopes())
                .any(|it| it == scope);
            // A server does not make us keep a book.
            if !is_known && self.wanted.len() < WANTED_MAX {
                self.wanted.push(scope.to_owned());
            }
        }
        self.wanted.len() > before
    }

    /// What was granted.
    pub fn scopes(&self) -> &[String] {
        &self.credentials.granted_scopes
    }

    /// What must never show.
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

impl Client {
    /// Shows the secret in the other of the two ways of RFC 6749 §2.3.1 from now on; servers name both
    /// and mean one. False for a client without secret.
    pub(super) fn show_secret_otherwise(&mut self) -> bool {
        if self.client_secret.is_none() {
            return false;
        }
        let methods = self.metadata.additional_fields.get(AUTH_METHODS);
        let posts = methods.and_then(Value::as_array).is_some_and(|methods| {
            let has = |name: &str| methods.iter().any(|it| it.as_str() == Some(name));
            has("client_secret_post") && !has("client_secret_basic")
        });
        let other = if posts {
            "client_secret_basic"
        } else {
            "client_secret_post"
        };
        self.metadata
            .additional_fields
            .insert(AUTH_METHODS.to_owned(), json!([other]));
        true
    }

    /// Our secret there.
    pub fn secret(&self) -> Option<Secret> {
        self.client_secret.clone().map(Secret::new)
    }
}

impl Pending {
    /// The `state` that its answer must carry.
    pub fn state(&self) -> &str {
        &self.state.csrf_token
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("Client");
        shown
            .field("resource", &self.resource)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Pending {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("Pending");
        shown.field("client", &self.client).finish_non_exhaustive()
    }
}

impl fmt::Debug for Account {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("Account");
        shown
            .field("client", &self.client)
            .field("scopes", &self.credentials.granted_scopes)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Imported {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Imported").finish_non_exhaustive()
    }
}
