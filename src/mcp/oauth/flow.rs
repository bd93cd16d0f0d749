//! The steps of OAuth: [`begin`] and [`finish`] for a login, [`refresh`], and [`client_credentials`].

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use rmcp::transport::auth::{
    AuthError, AuthorizationManager, ClientCredentialsConfig, CredentialStore as _,
    InMemoryCredentialStore, OAuthClientConfig, StateStore, StoredAuthorizationState,
};
use url::Url;

use super::{
    account::{ClientRegistration, OAuthAccount, PendingAuthorization},
    discovery::{DiscoveryResult, discover},
    error::OAuthError,
    form::ResourceIndicator,
    parameters::LoginParameters,
    registration::identity,
    traffic::OAuthFlowClient,
};
use crate::config::OAuthSettings;

/// A login that has started.
#[derive(Debug)]
pub struct StartedLogin {
    /// The page on which the user logs in.
    pub url: Url,
    /// What [`finish`] needs.
    pub pending: PendingAuthorization,
}

/// Starts a login: discovery, registration if necessary, and the URL to open.
pub async fn begin(asked: &LoginParameters<'_>) -> Result<StartedLogin, OAuthError> {
    let settings = asked.settings;
    let traffic = OAuthFlowClient::new(
        asked.server,
        settings.private_network,
        ResourceIndicator::Unsaid,
    )?;
    let found = discover(asked.server, settings, &traffic, true).await?;
    let scopes = scopes(asked, &found);
    let identity = identity(asked, &traffic, &found.metadata, &scopes).await?;
    let client = ClientRegistration {
        server: asked.server.clone(),
        metadata: found.metadata,
        client_id: identity.client_id,
        client_secret: identity.client_secret,
        auth_method: identity.auth_method,
        secret_ends_at: identity.secret_ends_at,
        scopes,
        redirect_url: asked.redirect_url.to_string(),
        resource: found.resource,
        refuses_resource: false,
    };
    let (url, state) = login_page(&client, settings, &traffic)
        .await
        .map_err(|error| OAuthError::new(&error, None))?;
    traffic.check(&url).map_err(|reason| {
        OAuthError::Discovery(format!("its login page cannot be opened: {reason}"))
    })?;
    Ok(StartedLogin {
        url,
        pending: PendingAuthorization { client, state },
    })
}

/// Returns the page to open and what the answer must match. rmcp creates PKCE and `state`.
async fn login_page(
    client: &ClientRegistration,
    settings: &OAuthSettings,
    traffic: &Arc<OAuthFlowClient>,
) -> Result<(Url, StoredAuthorizationState), AuthError> {
    let kept = LoginStateStore::default();
    let mut manager = manager(&client.server, traffic).await?;
    manager.set_state_store(kept.clone());
    manager.set_metadata(client.metadata_to_use(settings));
    manager.configure_client(OAuthClientConfig::new(
        &client.client_id,
        &client.redirect_url,
    ))?;
    let scopes = asked_scopes(client);
    let scopes: Vec<&str> = scopes.iter().map(String::as_str).collect();
    let url = manager.get_authorization_url(&scopes).await?;
    let state = kept
        .take()
        .ok_or_else(|| AuthError::InternalError("the login has no state".to_owned()))?;
    let url: Url = url.parse()?;
    Ok((indicated(&url, &client.indicator(settings)), state))
}

/// Returns a login page with the bridge's resource indicator instead of rmcp's.
fn indicated(url: &Url, indicator: &ResourceIndicator) -> Url {
    let kept = url.query_pairs().filter(|(key, _)| key != "resource");
    let mut indicated = url.clone();
    let mut query = indicated.query_pairs_mut();
    query.clear().extend_pairs(kept);
    if let ResourceIndicator::Firm(resource) | ResourceIndicator::Yielding(resource) = indicator {
        query.append_pair("resource", resource);
    }
    drop(query);
    indicated
}

/// Returns the operator's scopes, or those that the server names. Earlier granted and requested scopes are
/// added, so that a second login removes nothing (SEP-2350), and so is the scope for a refresh token if the
/// authorization server has one (SEP-2207).
fn scopes(asked: &LoginParameters<'_>, found: &DiscoveryResult) -> Vec<String> {
    let own = &asked.settings.scopes;
    let named = if own.is_empty() { &found.scopes } else { own };
    let mut scopes: Vec<String> = Vec::new();
    for scope in named.iter().chain(asked.scopes) {
        if !scopes.contains(scope) {
            scopes.push(scope.clone());
        }
    }
    let offline = "offline_access";
    let offered = found.metadata.scopes_supported.as_deref();
    let is_offered = offered.is_some_and(|it| it.iter().any(|it| it == offline));
    if is_offered && !scopes.is_empty() && !scopes.iter().any(|it| it == offline) {
        scopes.push(offline.to_owned());
    }
    scopes
}

/// The scopes that a user is asked to grant. If no scopes are named, those that the authorization server
/// supports.
fn asked_scopes(client: &ClientRegistration) -> Vec<String> {
    let offered = client.metadata.scopes_supported.as_ref();
    match offered {
        Some(offered) if client.scopes.is_empty() => offered.clone(),
        Some(_) | None => client.scopes.clone(),
    }
}

/// Exchanges the code of a completed login. `issuer` is the `iss` parameter next to it (RFC 9207).
pub async fn finish(
    pending: PendingAuthorization,
    settings: &OAuthSettings,
    code: &str,
    issuer: Option<&str>,
) -> Result<OAuthAccount, OAuthError> {
    let PendingAuthorization { mut client, state } = pending;
    let mut others = client.other_methods(settings).into_iter();
    loop {
        match exchange(&client, state.clone(), settings, code, issuer).await {
            // A server checks the client before the code (RFC 6749 §4.1.3), so the code is not spent.
            Err(error @ OAuthError::Client(_)) => match others.next() {
                Some(method) => client.auth_method = Some(method),
                None => return Err(error),
            },
            // There is no grant yet.
            Err(OAuthError::Rejected(words)) => return Err(OAuthError::Refused(words)),
            exchanged => return exchanged,
        }
    }
}

/// Exchanges a code once.
async fn exchange(
    client: &ClientRegistration,
    state: StoredAuthorizationState,
    settings: &OAuthSettings,
    code: &str,
    issuer: Option<&str>,
) -> Result<OAuthAccount, OAuthError> {
    let known = TokenClient::new(client, settings).await?;
    let csrf = state.csrf_token.clone();
    let TokenClient {
        mut manager,
        store,
        traffic,
    } = known;
    manager.set_state_store(LoginStateStore::of(state));
    let exchanged = manager
        .exchange_code_for_token_with_issuer(code, &csrf, issuer)
        .await;
    exchanged.map_err(|error| OAuthError::new(&error, traffic.seen()))?;
    account(client.learned_from(&traffic), &store, Vec::new()).await
}

/// Refreshes the tokens of an account.
pub async fn refresh(
    account_: &OAuthAccount,
    settings: &OAuthSettings,
) -> Result<OAuthAccount, OAuthError> {
    let known = TokenClient::new(&account_.client, settings).await?;
    let saved = known.store.save(account_.credentials.clone()).await;
    saved.map_err(|error| OAuthError::new(&error, None))?;
    let refreshed = known.manager.refresh_token().await;
    refreshed.map_err(|error| OAuthError::new(&error, known.traffic.seen()))?;
    account(
        account_.client.learned_from(&known.traffic),
        &known.store,
        account_.wanted.clone(),
    )
    .await
}

impl ClientRegistration {
    /// Returns the client with what its token endpoint was seen to refuse.
    fn learned_from(&self, traffic: &OAuthFlowClient) -> Self {
        let mut learned = self.clone();
        learned.refuses_resource |= traffic.refuses_resource();
        learned
    }
}

/// Gets a token for the bridge itself, without a login (RFC 6749 §4.4).
pub async fn client_credentials(
    server: &Url,
    settings: &OAuthSettings,
) -> Result<OAuthAccount, OAuthError> {
    let (Some(client_id), Some(secret)) = (&settings.client_id, &settings.client_secret) else {
        let words = "`client_id` and `client_secret` are needed for client credentials";
        return Err(OAuthError::Refused(words.to_owned()));
    };
    let traffic =
        OAuthFlowClient::new(server, settings.private_network, ResourceIndicator::Unsaid)?;
    let found = discover(server, settings, &traffic, false).await?;
    let client = ClientRegistration {
        server: server.clone(),
        metadata: found.metadata,
        client_id: client_id.clone(),
        client_secret: Some(secret.expose().to_owned()),
        auth_method: None,
        secret_ends_at: None,
        scopes: Vec::new(),
        redirect_url: String::new(),
        resource: found.resource,
        refuses_resource: false,
    };
    let indicator = match client.indicator(settings) {
        ResourceIndicator::Yielding(resource) => ResourceIndicator::Firm(resource),
        firm => firm,
    };
    let traffic = OAuthFlowClient::new(server, settings.private_network, indicator)?;
    let config = ClientCredentialsConfig::ClientSecret {
        client_id: client_id.clone(),
        client_secret: secret.expose().to_owned(),
        scopes: if settings.scopes.is_empty() {
            found.scopes
        } else {
            settings.scopes.clone()
        },
        // The form is built by the bridge, but rmcp requires a value here.
        resource: Some(server.to_string()),
    };
    let store = InMemoryCredentialStore::new();
    let run = async {
        let mut manager = manager(server, &traffic).await?;
        manager.set_credential_store(store.clone());
        manager.set_metadata(client.metadata_to_use(settings));
        manager.validate_client_credentials_metadata(&config)?;
        manager.configure_client_credentials(&config)?;
        manager.exchange_client_credentials(&config).await
    };
    run.await
        .map_err(|error: AuthError| OAuthError::new(&error, traffic.seen()))?;
    account(client, &store, Vec::new()).await
}

/// Builds a manager that sends its requests through `traffic`.
pub(super) async fn manager(
    server: &Url,
    traffic: &Arc<OAuthFlowClient>,
) -> Result<AuthorizationManager, AuthError> {
    let traffic: Arc<OAuthFlowClient> = Arc::clone(traffic);
    AuthorizationManager::new_with_oauth_http_client(server.clone(), traffic).await
}

/// A registered client, ready to ask for tokens.
struct TokenClient {
    /// Sends its requests.
    traffic: Arc<OAuthFlowClient>,
    /// rmcp's authorization manager.
    manager: AuthorizationManager,
    /// The store in which the manager puts tokens.
    store: InMemoryCredentialStore,
}

impl TokenClient {
    /// Creates it for a client from an earlier discovery and registration.
    async fn new(
        client: &ClientRegistration,
        settings: &OAuthSettings,
    ) -> Result<Self, OAuthError> {
        let server = &client.server;
        let indicator = client.indicator(settings);
        let traffic = OAuthFlowClient::new(server, settings.private_network, indicator)?;
        let store = InMemoryCredentialStore::new();
        let prepare = async {
            let mut manager = manager(server, &traffic).await?;
            manager.set_metadata(client.metadata_to_use(settings));
            let config = OAuthClientConfig::new(&client.client_id, &client.redirect_url);
            manager.configure_client(match client.secret_to_show(settings) {
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

/// Returns the account that a flow left in its store.
async fn account(
    client: ClientRegistration,
    store: &InMemoryCredentialStore,
    wanted: Vec<String>,
) -> Result<OAuthAccount, OAuthError> {
    let credentials = store.load().await.ok().flatten();
    let credentials =
        credentials.ok_or_else(|| OAuthError::Refused("it issued no token".to_owned()))?;
    let wanted = wanted
        .into_iter()
        .filter(|scope| !credentials.granted_scopes.contains(scope))
        .collect();
    Ok(OAuthAccount {
        client,
        credentials,
        wanted,
    })
}

/// The state of the one login that a manager makes.
#[derive(Debug, Clone, Default)]
struct LoginStateStore(Arc<Mutex<Option<StoredAuthorizationState>>>);

impl LoginStateStore {
    /// Creates it from a state that was stored elsewhere.
    fn of(state: StoredAuthorizationState) -> Self {
        Self(Arc::new(Mutex::new(Some(state))))
    }

    /// Takes the state out.
    fn take(&self) -> Option<StoredAuthorizationState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

#[async_trait]
impl StateStore for LoginStateStore {
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
    use super::*;

    #[test]
    fn a_login_page_carries_our_word_on_the_resource() {
        let url: Url = "https://a/authorize?tenant=x&resource=rmcps&scope=a+b"
            .parse()
            .unwrap();
        let rest = "https://a/authorize?tenant=x&scope=a+b";
        assert_eq!(indicated(&url, &ResourceIndicator::Unsaid).as_str(), rest);
        let named = indicated(&url, &ResourceIndicator::Firm("api://x".to_owned()));
        assert_eq!(named.as_str(), format!("{rest}&resource=api%3A%2F%2Fx"));
    }
}
