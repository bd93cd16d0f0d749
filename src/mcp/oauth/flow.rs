//! The steps of OAuth: [`begin`] and [`finish`] a login, [`refresh`], [`client_credentials`].

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use rmcp::transport::auth::{
    AuthError, AuthorizationManager, AuthorizationMetadata, AuthorizationRequest,
    AuthorizationSession, ClientCredentialsConfig, CredentialStore as _, InMemoryCredentialStore,
    OAuthClientConfig, StateStore, StoredAuthorizationState,
};
use serde_json::Value;
use url::Url;

use super::{
    account::{Account, Client, Pending},
    error::OAuthError,
    traffic::Traffic,
};
use crate::config::OAuth;

/// How authorization servers and the people before them read our name.
const CLIENT_NAME: &str = "mcp-bridge";

/// What a login is begun with.
#[derive(Debug)]
pub struct Asked<'a> {
    /// The server's URL.
    pub server: &'a Url,
    /// What the operator wrote.
    pub settings: &'a OAuth,
    /// Where browsers are sent back to.
    pub redirect_url: &'a Url,
    /// A registration with this redirect, made before.
    pub known: Option<&'a Client>,
    /// Scopes of an earlier login, and those the server asked for since.
    pub scopes: &'a [String],
}

/// A login that has begun.
#[derive(Debug)]
pub struct Begun {
    /// Where somebody logs in, in a browser.
    pub url: Url,
    /// What [`finish`] needs.
    pub pending: Pending,
}

/// Begins a login: discovery, registration where it is needed, and the URL to open.
pub async fn begin(asked: &Asked<'_>) -> Result<Begun, OAuthError> {
    let traffic = Traffic::new(asked.server, asked.settings.private_network, None)?;
    let begun = attempt(asked, &traffic).await;
    let (session, config, state) =
        begun.map_err(|error| OAuthError::new(&error, traffic.seen()))?;
    let url: Url = session
        .auth_url
        .parse()
        .map_err(|error| OAuthError::Discovery(format!("its login page is no URL: {error}")))?;
    traffic.check(&url).map_err(|reason| {
        OAuthError::Discovery(format!("its login page cannot be opened: {reason}"))
    })?;
    let resource = url
        .query_pairs()
        .find_map(|(key, value)| (key == "resource").then(|| value.into_owned()));
    let client = Client {
        server: asked.server.clone(),
        metadata: config.metadata,
        client_id: config.client.client_id,
        client_secret: config.client.client_secret,
        scopes: config.scopes,
        redirect_url: asked.redirect_url.to_string(),
        resource: resource.unwrap_or_else(|| asked.server.to_string()),
    };
    Ok(Begun {
        url,
        pending: Pending { client, state },
    })
}

/// A client that may ask, and of whom.
struct Registered {
    /// What discovery said.
    metadata: AuthorizationMetadata,
    /// It.
    client: OAuthClientConfig,
    /// What it may ask for.
    scopes: Vec<String>,
}

/// The steps of [`begin`], in rmcp's errors.
async fn attempt(
    asked: &Asked<'_>,
    traffic: &Arc<Traffic>,
) -> Result<(AuthorizationSession, Registered, StoredAuthorizationState), AuthError> {
    let kept = Kept::default();
    let mut manager = manager(asked.server, traffic).await?;
    manager.set_state_store(kept.clone());
    let challenge = traffic.challenge(asked.server).await;
    let resolved = manager
        .resolve_metadata_from_challenge(challenge.as_deref())
        .await?;
    let metadata = resolved.metadata;
    manager.set_metadata(metadata.clone());
    check_endpoints(&metadata, traffic)?;
    let scopes = scopes(asked, &manager).await;
    let client = register(asked, &mut manager, &metadata, &scopes).await?;
    let mut request = AuthorizationRequest::new(asked.redirect_url.as_str())
        .with_preregistered_client(client.client_id.clone())
        .with_scopes(scopes.clone());
    if let Some(secret) = &client.client_secret {
        request = request.with_client_secret(secret.clone());
    }
    let session = AuthorizationSession::new(manager, request).await;
    let session = session.map_err(|(_manager, error)| error)?;
    let state = kept
        .take()
        .ok_or_else(|| AuthError::InternalError("the login has no state".to_owned()))?;
    let registered = Registered {
        metadata,
        client,
        scopes,
    };
    Ok((session, registered, state))
}

/// The operator's scopes, else those that the server names; with what was granted and asked for
/// before, so that a second login takes nothing away (SEP-2350).
async fn scopes(asked: &Asked<'_>, manager: &AuthorizationManager) -> Vec<String> {
    let mut scopes = if asked.settings.scopes.is_empty() {
        manager.select_initial_scopes(&[]).await
    } else {
        asked.settings.scopes.clone()
    };
    for scope in asked.scopes {
        if !scopes.contains(scope) {
            scopes.push(scope.clone());
        }
    }
    scopes
}

/// Who we are there: the operator's client, one registered before, a metadata document where the
/// server takes those, else a new registration (MCP 2026-07-28, client registration).
async fn register(
    asked: &Asked<'_>,
    manager: &mut AuthorizationManager,
    metadata: &AuthorizationMetadata,
    scopes: &[String],
) -> Result<OAuthClientConfig, AuthError> {
    let redirect = asked.redirect_url.as_str();
    if let Some(id) = &asked.settings.client_id {
        let client = OAuthClientConfig::new(id, redirect);
        return Ok(match &asked.settings.client_secret {
            Some(secret) => client.with_client_secret(secret.expose()),
            None => client,
        });
    }
    // One that registered for less may not ask for more, and what one authorization server gave is not
    // shown to another that the server moved to (SEP-2352).
    let serves = |known: &&Client| {
        known.is_of(metadata) && scopes.iter().all(|scope| known.scopes.contains(scope))
    };
    if let Some(known) = asked.known.filter(serves) {
        let client = OAuthClientConfig::new(&known.client_id, redirect);
        return Ok(match &known.client_secret {
            Some(secret) => client.with_client_secret(secret),
            None => client,
        });
    }
    let takes_documents = metadata
        .additional_fields
        .get("client_id_metadata_document_supported")
        .and_then(Value::as_bool);
    if let (Some(document), Some(true)) = (&asked.settings.client_metadata_url, takes_documents) {
        return Ok(OAuthClientConfig::new(document.as_str(), redirect));
    }
    // The kind of application is said by way of a client that is never used.
    let kind = if is_loopback(asked.redirect_url) {
        "native"
    } else {
        "web"
    };
    manager.configure_client(OAuthClientConfig::new("", redirect).with_application_type(kind))?;
    let scopes: Vec<&str> = scopes.iter().map(String::as_str).collect();
    manager
        .register_client(CLIENT_NAME, redirect, &scopes)
        .await
}

/// Exchanges the code of a login that came back. `issuer` is the `iss` beside it (RFC 9207).
pub async fn finish(
    pending: Pending,
    settings: &OAuth,
    code: &str,
    issuer: Option<&str>,
) -> Result<Account, OAuthError> {
    let Pending { mut client, state } = pending;
    match exchange(&client, state.clone(), settings, code, issuer).await {
        // A server checks the client before the code (RFC 6749 §4.1.3), which is not spent.
        Err(OAuthError::Client(_)) if client.show_secret_otherwise() => {
            exchange(&client, state, settings, code, issuer).await
        }
        // Nothing was granted yet.
        Err(OAuthError::Rejected(words)) => Err(OAuthError::Refused(words)),
        exchanged => exchanged,
    }
}

/// Exchanges a code once.
async fn exchange(
    client: &Client,
    state: StoredAuthorizationState,
    settings: &OAuth,
    code: &str,
    issuer: Option<&str>,
) -> Result<Account, OAuthError> {
    let known = Known::new(client, settings).await?;
    let csrf = state.csrf_token.clone();
    let mut manager = known.manager;
    manager.set_state_store(Kept::of(state));
    let exchanged = manager
        .exchange_code_for_token_with_issuer(code, &csrf, issuer)
        .await;
    exchanged.map_err(|error| OAuthError::new(&error, known.traffic.seen()))?;
    account(client.clone(), &known.store, Vec::new()).await
}

/// Renews the tokens of an account.
pub async fn refresh(account_: &Account, settings: &OAuth) -> Result<Account, OAuthError> {
    let known = Known::new(&account_.client, settings).await?;
    let saved = known.store.save(account_.credentials.clone()).await;
    saved.map_err(|error| OAuthError::new(&error, None))?;
    let refreshed = known.manager.refresh_token().await;
    refreshed.map_err(|error| OAuthError::new(&error, known.traffic.seen()))?;
    account(
        account_.client.clone(),
        &known.store,
        account_.wanted.clone(),
    )
    .await
}

/// Gets a token for us alone, without anybody logging in (RFC 6749 §4.4).
pub async fn client_credentials(server: &Url, settings: &OAuth) -> Result<Account, OAuthError> {
    let (Some(client_id), Some(secret)) = (&settings.client_id, &settings.client_secret) else {
        let words = "`client_id` and `client_secret` are needed for client credentials";
        return Err(OAuthError::Refused(words.to_owned()));
    };
    let traffic = Traffic::new(server, settings.private_network, None)?;
    let run = async {
        let store = InMemoryCredentialStore::new();
        let mut manager = manager(server, &traffic).await?;
        manager.set_credential_store(store.clone());
        let metadata = manager.resolve_metadata().await?.metadata;
        manager.set_metadata(metadata.clone());
        check_endpoints(&metadata, &traffic)?;
        let scopes = if settings.scopes.is_empty() {
            manager.select_initial_scopes(&[]).await
        } else {
            settings.scopes.clone()
        };
        let config = ClientCredentialsConfig::ClientSecret {
            client_id: client_id.clone(),
            client_secret: secret.expose().to_owned(),
            scopes,
            resource: Some(server.to_string()),
        };
        manager.validate_client_credentials_metadata(&config)?;
        manager.configure_client_credentials(&config)?;
        manager.exchange_client_credentials(&config).await?;
        Ok((metadata, store))
    };
    let (metadata, store) = run
        .await
        .map_err(|error: AuthError| OAuthError::new(&error, traffic.seen()))?;
    let client = Client {
        server: server.clone(),
        metadata,
        client_id: client_id.clone(),
        client_secret: Some(secret.expose().to_owned()),
        scopes: Vec::new(),
        redirect_url: String::new(),
        resource: server.to_string(),
    };
    account(client, &store, Vec::new()).await
}

/// A manager whose requests are ours.
pub(super) async fn manager(
    server: &Url,
    traffic: &Arc<Traffic>,
) -> Result<AuthorizationManager, AuthError> {
    let traffic: Arc<Traffic> = Arc::clone(traffic);
    AuthorizationManager::new_with_oauth_http_client(server.clone(), traffic).await
}

/// Where credentials are sent is as safe as where they are meant for.
fn check_endpoints(metadata: &AuthorizationMetadata, traffic: &Traffic) -> Result<(), AuthError> {
    let named = [
        Some(&metadata.authorization_endpoint),
        Some(&metadata.token_endpoint),
        metadata.registration_endpoint.as_ref(),
    ];
    for endpoint in named.into_iter().flatten() {
        let checked = endpoint
            .parse()
            .map_err(|error: url::ParseError| error.to_string())
            .and_then(|url: Url| traffic.check(&url));
        checked.map_err(AuthError::MetadataError)?;
    }
    Ok(())
}

/// A client that is known, ready to ask for tokens.
struct Known {
    /// Its requests.
    traffic: Arc<Traffic>,
    /// rmcp's part.
    manager: AuthorizationManager,
    /// Where that puts tokens.
    store: InMemoryCredentialStore,
}

impl Known {
    /// Of a client that discovery and registration made before.
    async fn new(client: &Client, settings: &OAuth) -> Result<Self, OAuthError> {
        let server: Url = client
            .resource
            .parse()
            .map_err(|_| OAuthError::Discovery("its resource is no URL".to_owned()))?;
        let resource = Some(client.resource.clone());
        let traffic = Traffic::new(&server, settings.private_network, resource)?;
        let store = InMemoryCredentialStore::new();
        let prepare = async {
            let mut manager = manager(&server, &traffic).await?;
            manager.set_metadata(client.metadata.clone());
            let config = OAuthClientConfig::new(&client.client_id, &client.redirect_url);
            manager.configure_client(match secret_of(client, settings) {
                Some(secret) => config.with_client_secret(secret),
                None => config,
            })?;
            manager.set_credential_store(store.clone());
            Ok(manager)
        };
        let manager = prepare
            .await
            .map_err(|error: AuthError| OAuthError::new(&error, None))?;
        Ok(Self {
            traffic,
            manager,
            store,
        })
    }
}

/// The secret of a client: of the operator's own the one that stands in the configuration now, since
/// vendors' consoles give new ones.
pub(super) fn secret_of<'a>(client: &'a Client, settings: &'a OAuth) -> Option<&'a str> {
    let is_operators = settings.client_id.as_deref() == Some(client.client_id.as_str());
    match &settings.client_secret {
        Some(secret) if is_operators => Some(secret.expose()),
        Some(_) | None => client.client_secret.as_deref(),
    }
}

/// The account that a flow left in its store.
async fn account(
    client: Client,
    store: &InMemoryCredentialStore,
    wanted: Vec<String>,
) -> Result<Account, OAuthError> {
    let credentials = store.load().await.ok().flatten();
    let credentials =
        credentials.ok_or_else(|| OAuthError::Refused("it gave no token".to_owned()))?;
    let wanted = wanted
        .into_iter()
        .filter(|scope| !credentials.granted_scopes.contains(scope))
        .collect();
    Ok(Account {
        client,
        credentials,
        wanted,
    })
}

/// Whether a redirect stays on the machine of the browser (RFC 8252 §7.3).
fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// The state of the one login that a manager makes.
#[derive(Debug, Clone, Default)]
struct Kept(Arc<Mutex<Option<StoredAuthorizationState>>>);

impl Kept {
    /// One that was kept elsewhere meanwhile.
    fn of(state: StoredAuthorizationState) -> Self {
        Self(Arc::new(Mutex::new(Some(state))))
    }

    /// Takes it out.
    fn take(&self) -> Option<StoredAuthorizationState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

#[async_trait]
impl StateStore for Kept {
    async fn save(&self, _csrf: &str, state: StoredAuthorizationState) -> Result<(), AuthError> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(state);
        Ok(())
    }

    async fn load(&self, csrf: &str) -> Result<Option<StoredAuthorizationState>, AuthError> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(kept.clone().filter(|state| state.csrf_token == csrf))
    }

    async fn delete(&self, _csrf: &str) -> Result<(), AuthError> {
        self.take();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{config::OAuthGrant, secret::Secret};

    /// Logins that there were went on to show the secret that they had begun with.
    #[test]
    fn a_secret_that_was_changed_in_the_configuration_counts_for_logins_made_before() {
        let client: Client = serde_json::from_value(json!({
            "server": "https://mcp.example.com/mcp",
            "metadata": {
                "authorization_endpoint": "https://auth.example.com/authorize",
                "token_endpoint": "https://auth.example.com/token",
            },
            "client_id": "ours",
            "client_secret": "the old one",
            "redirect_url": "http://localhost/oauth/callback",
            "resource": "https://mcp.example.com/mcp",
        }))
        .unwrap();
        let settings = |id: Option<&str>, secret: Option<&str>| OAuth {
            client_id: id.map(str::to_owned),
            client_secret: secret.map(Secret::new),
            scopes: Vec::new(),
            grant: OAuthGrant::AuthorizationCode,
            client_metadata_url: None,
            private_network: false,
        };
        for (id, secret, shown) in [
            (Some("ours"), Some("the new one"), "the new one"),
            (Some("another"), Some("the new one"), "the old one"),
            (Some("ours"), None, "the old one"),
            (None, None, "the old one"),
        ] {
            assert_eq!(
                secret_of(&client, &settings(id, secret)),
                Some(shown),
                "{id:?} {secret:?}"
            );
        }
    }
}
