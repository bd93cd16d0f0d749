//! [`Authenticator`]: the order in which a request's credentials are checked, and how they are combined.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use http::HeaderMap;
use serde::Deserialize;
use tokio_util::task::TaskTracker;

use super::{
    AuthenticationError,
    api_key::{ApiKeyAuth, ApiKeyHolder},
    caller::{AuthenticatedUser, AuthenticationMethod, Caller},
    combine::{anonymous, user},
    forwarded,
    gateway::{GatewayAuth, GatewayHeaders, GatewayIdentity},
    guesses::GuessLimiter,
    headers,
    introspection::IntrospectionClient,
    issuer_keys::IssuerKeyCache,
    oidc::OidcAuth,
    request_credentials::{RequestCredentials, basic_password},
    session::SessionTokenAuth,
    signed::{SignedHeaderAuth, SignedUser},
    token,
    users::UserCache,
};
use crate::{
    config::{AnonymousAccess, Config, DEFAULT_WORKSPACE},
    redis::RedisClient,
    store::{Store, StoreError, UserDirectory},
};

/// Where users are looked up. It survives reloads.
#[derive(Debug, Clone, Default)]
pub struct AuthSources {
    /// The bridge's own tables, which contain stored API keys.
    pub store: Option<Arc<Store>>,
    /// Open WebUI's tables.
    pub directory: Option<Arc<UserDirectory>>,
    /// Open WebUI's signed-out tokens.
    pub redis: Option<Arc<RedisClient>>,
    /// For Open WebUI's API and for the keys of issuers.
    pub http: reqwest::Client,
    /// Runs the tasks that fetch keys of issuers.
    pub tracker: TaskTracker,
    /// The keys of issuers that were already fetched.
    pub keys: Arc<IssuerKeyCache>,
}

/// The configured methods of authentication.
#[derive(Debug)]
pub struct Authenticator {
    pub(super) keys: ApiKeyAuth,
    pub(super) sessions: Option<SessionTokenAuth>,
    signed: Option<SignedHeaderAuth>,
    gateway: Option<GatewayAuth>,
    issuers: Vec<OidcAuth>,
    users: Option<Arc<UserCache>>,
    /// The caller for a request without credentials, if such requests are allowed.
    fallback: Option<Arc<Caller>>,
    /// Whether the log already says that the database is not Open WebUI's.
    is_told: AtomicBool,
    /// Limits guessing of credentials.
    guesses: GuessLimiter,
}

/// The issuer of a token.
#[derive(Debug, Deserialize)]
pub(super) struct IssuerClaim {
    pub(super) iss: Option<String>,
}

/// What `Authorization` or the cookie proves.
#[derive(Debug)]
enum VerifiedIdentity {
    /// The holder of an API key of the bridge.
    Key(ApiKeyHolder),
    /// A user.
    User(AuthenticatedUser),
}

impl Authenticator {
    /// The methods of authentication of a configuration.
    pub fn new(config: &Config, sources: AuthSources) -> Self {
        let identity = &config.identity;
        let open_webui = &identity.open_webui;
        let anonymous = |proof| Some(Arc::new(Caller::named("anonymous", proof)));
        let users = sources
            .directory
            .map(|directory| Arc::new(UserCache::new(directory, open_webui.cache_ttl)));
        let api = open_webui.url.as_ref().and_then(|url| {
            IntrospectionClient::new(sources.http.clone(), url, open_webui.cache_ttl)
        });
        let issuers = identity.oidc.iter().map(|issuer| {
            let keys = sources.keys.set(issuer, &sources.http, &sources.tracker);
            OidcAuth::new(issuer.clone(), keys)
        });
        Self {
            issuers: issuers.collect(),
            keys: ApiKeyAuth::new(&identity.keys, sources.store),
            sessions: SessionTokenAuth::new(open_webui, users.clone(), api, sources.redis),
            signed: SignedHeaderAuth::new(open_webui),
            gateway: identity.gateway.clone().map(GatewayAuth::new),
            users,
            fallback: match identity.anonymous {
                AnonymousAccess::Refused => None,
                AnonymousAccess::Loopback => anonymous(AuthenticationMethod::Loopback),
                AnonymousAccess::Allowed => anonymous(AuthenticationMethod::Anonymous),
            },
            is_told: AtomicBool::new(false),
            guesses: GuessLimiter::new(match &identity.gateway {
                Some(gateway) => gateway.trusted_peers.clone(),
                None => Vec::new(),
            }),
        }
    }

    /// Finds out who sent a request. Wrong credentials are counted. After an address has sent many
    /// of them, further unknown credentials from it must wait.
    pub async fn authenticate(
        &self,
        evidence: &RequestCredentials<'_>,
    ) -> Result<Arc<Caller>, AuthenticationError> {
        let Some(shown) = self.guesses.attempt(evidence) else {
            return self.identified(evidence).await;
        };
        if self.guesses.is_suspect(&shown) && self.is_guessable(evidence.headers).await {
            // Boxed because it is large and honest callers do not get here.
            Box::pin(self.guesses.turn(&shown)).await?;
        }
        let outcome = self.identified(evidence).await;
        self.guesses.note(&shown, &outcome);
        outcome
    }

    /// Authenticates a request. Invalid credentials are always refused: no weaker method is tried
    /// after them, even if none is required. Two credentials for different users are refused too.
    async fn identified(
        &self,
        evidence: &RequestCredentials<'_>,
    ) -> Result<Arc<Caller>, AuthenticationError> {
        let sent = evidence.headers;
        let more = self.gateway.iter().flat_map(GatewayAuth::names);
        headers::check_single(sent, more)?;
        let vouched = match &self.gateway {
            Some(gateway) => gateway.read(evidence)?,
            None => GatewayHeaders::Untrusted(false),
        };
        let named = match &vouched {
            GatewayHeaders::Trusted(named) => Some(named),
            GatewayHeaders::Untrusted(_) => None,
        };
        let is_named = named.is_some_and(|named| named.email.is_some());
        let is_for_gateway = |gateway: &GatewayAuth| is_named && gateway.ignores_credentials();
        let proven = if self.gateway.as_ref().is_some_and(is_for_gateway) {
            None
        } else {
            self.credentials(sent).await?
        };
        let signed = match &self.signed {
            Some(signed) => signed.read(sent)?,
            None => None,
        };
        match (proven, signed) {
            (Some(VerifiedIdentity::Key(holder)), signed) => {
                if !holder.forwards && named.is_none() {
                    return Ok(holder.caller);
                }
                // Boxed because it is large and only some requests need it.
                Box::pin(self.holder(holder, signed.as_ref(), named, sent)).await
            }
            (Some(VerifiedIdentity::User(session)), signed) => {
                let strips = self
                    .gateway
                    .as_ref()
                    .is_some_and(GatewayAuth::strips_headers);
                let caller = user(session, signed.as_ref(), named, strips, sent)?;
                match caller.proof {
                    AuthenticationMethod::Oidc => {
                        Box::pin(self.complete(Arc::unwrap_or_clone(caller), None)).await
                    }
                    _ => Ok(caller),
                }
            }
            (None, Some(signed)) => Box::pin(self.signed(&signed, named, sent)).await,
            (None, None) => match (named.and_then(GatewayIdentity::caller), &self.fallback) {
                (Some(caller), _) => Box::pin(self.complete(caller, None)).await,
                (None, _) if vouched == GatewayHeaders::Untrusted(true) => {
                    Err(AuthenticationError::Untrusted)
                }
                (None, Some(fallback)) => anonymous(fallback, sent),
                (None, None) => Err(AuthenticationError::Missing),
            },
        }
    }

    /// The caller that a user with this e-mail address would be, as far as that is known in their
    /// absence. Used by `explain`. The user need not exist.
    pub async fn absent(&self, email: &str) -> Result<Arc<Caller>, AuthenticationError> {
        let known = match &self.users {
            Some(users) => users.by_email(email).await?,
            None => None,
        };
        Ok(known.map_or_else(
            || {
                Arc::new(Caller::user(
                    None,
                    Some(email),
                    AuthenticationMethod::Session,
                ))
            },
            |user| Arc::clone(&user.caller),
        ))
    }

    /// What `Authorization` proves, or else the cookie.
    async fn credentials(
        &self,
        sent: &HeaderMap,
    ) -> Result<Option<VerifiedIdentity>, AuthenticationError> {
        let Some(authorization) = headers::authorization(sent)? else {
            return Box::pin(self.cookie(sent)).await;
        };
        // If no method checks the header, it is meant for another service.
        let takes_tokens = self.sessions.is_some() || !self.issuers.is_empty();
        if !takes_tokens && !self.keys.any().await? {
            return Ok(None);
        }
        if authorization.is_empty() {
            return Err(AuthenticationError::Missing);
        }
        let (scheme, text) = authorization
            .split_once(' ')
            .ok_or(AuthenticationError::Scheme)?;
        let text = text.trim();
        if scheme.eq_ignore_ascii_case("bearer") {
            self.bearer(text).await.map(Some)
        } else if scheme.eq_ignore_ascii_case("basic") {
            let password = basic_password(text)?;
            let holder = self.key(&password).await.map_err(|refusal| match refusal {
                AuthenticationError::Key => AuthenticationError::Password,
                refusal => refusal,
            })?;
            Ok(Some(VerifiedIdentity::Key(holder)))
        } else {
            Err(AuthenticationError::Scheme)
        }
    }

    /// Reads Open WebUI's cookie, which browsers send to the bridge if both run on one host.
    async fn cookie(
        &self,
        sent: &HeaderMap,
    ) -> Result<Option<VerifiedIdentity>, AuthenticationError> {
        let Some(sessions) = &self.sessions else {
            return Ok(None);
        };
        let Some(cookie) = headers::cookie(sent)? else {
            return Ok(None);
        };
        token::check_length(cookie)?;
        if !token::is_token(cookie) {
            return Err(token::flaw("the cookie does not contain a token"));
        }
        let mut session = sessions.session(cookie).await?;
        let mut caller = Arc::unwrap_or_clone(session.caller);
        caller.via_cookie = true;
        session.caller = Arc::new(caller);
        Ok(Some(VerifiedIdentity::User(session)))
    }

    /// A key of the bridge, a token, or a key of Open WebUI.
    async fn bearer(&self, text: &str) -> Result<VerifiedIdentity, AuthenticationError> {
        if let Some(holder) = self.keys.configured(text) {
            return Ok(VerifiedIdentity::Key(holder.clone()));
        }
        if self.sessions.is_none() && self.issuers.is_empty() {
            return self.key(text).await.map(VerifiedIdentity::Key);
        }
        token::check_length(text)?;
        if token::is_token(text) {
            return self.token(text).await.map(VerifiedIdentity::User);
        }
        match (self.key(text).await, &self.sessions) {
            // Either one may know the key, and the other may be unavailable.
            (Err(refusal), Some(sessions))
                if text.starts_with("sk-") && refusal != AuthenticationError::KeyExpired =>
            {
                let session = Box::pin(sessions.key(text)).await?;
                session.map(VerifiedIdentity::User).ok_or(refusal)
            }
            (holder, _) => holder.map(VerifiedIdentity::Key),
        }
    }

    /// The user of a token: of the issuer that it names, or of Open WebUI, whose session tokens
    /// name no issuer.
    async fn token(&self, text: &str) -> Result<AuthenticatedUser, AuthenticationError> {
        if let Some(sessions) = &self.sessions
            && let Some(session) = sessions.verified(text).await
        {
            return session;
        }
        let IssuerClaim { iss } = token::unproven(text)?;
        if let Some(iss) = &iss {
            let issuer = self.issuers.iter().find(|issuer| issuer.is_issuer(iss));
            let caller = Box::pin(issuer.ok_or(AuthenticationError::Issuer)?.caller(text)).await?;
            return Ok(AuthenticatedUser {
                caller: Arc::new(caller),
                id: None,
            });
        }
        match &self.sessions {
            Some(sessions) => sessions.session(text).await,
            None => Err(AuthenticationError::Issuer),
        }
    }

    /// The holder of a key, configured or stored.
    async fn key(&self, text: &str) -> Result<ApiKeyHolder, AuthenticationError> {
        match self.keys.configured(text) {
            Some(holder) => Ok(holder.clone()),
            None => self
                .keys
                .stored(text)
                .await?
                .ok_or(AuthenticationError::Key),
        }
    }

    /// The caller for a key: its holder, or the user that its holder acts for.
    async fn holder(
        &self,
        holder: ApiKeyHolder,
        signed: Option<&SignedUser>,
        named: Option<&GatewayIdentity>,
        sent: &HeaderMap,
    ) -> Result<Arc<Caller>, AuthenticationError> {
        let email = named.and_then(|named| named.email.as_deref());
        if !holder.forwards {
            return match email {
                Some(_) => Err(AuthenticationError::Contradiction),
                None => Ok(holder.caller),
            };
        }
        let forwarded = forwarded::read(&holder, signed, self.signed.is_some(), sent)?;
        let workspace = match &self.gateway {
            Some(gateway) => gateway.workspace(sent)?,
            None => headers::name(sent, &headers::WORKSPACE)?.map(Into::into),
        };
        let is_stored = holder.is_stored;
        let own_workspace = Arc::clone(&holder.caller.workspace);
        let (mut caller, id) = match forwarded {
            Some(forwarded) => forwarded,
            None if workspace.is_none() => return Ok(holder.caller),
            None => (Arc::unwrap_or_clone(holder.caller), None),
        };
        if let (Some(email), Some(own)) = (email, caller.email.as_deref())
            && !headers::is_same_email(email, own)
        {
            return Err(AuthenticationError::Contradiction);
        }
        if let Some(workspace) = workspace {
            // Only a key of the operator is valid for all workspaces.
            if is_stored && *own_workspace != *DEFAULT_WORKSPACE && *own_workspace != *workspace {
                return Err(AuthenticationError::Workspace);
            }
            caller.workspace = workspace.into();
        }
        match caller.proof {
            AuthenticationMethod::ApiKey => Ok(Arc::new(caller)),
            _ => self.complete(caller, id.as_deref()).await,
        }
    }

    /// The user that Open WebUI signed.
    async fn signed(
        &self,
        signed: &SignedUser,
        named: Option<&GatewayIdentity>,
        sent: &HeaderMap,
    ) -> Result<Arc<Caller>, AuthenticationError> {
        headers::check_user(sent, Some(&signed.id), signed.email.as_deref())?;
        let mut caller = signed.caller();
        if let Some(named) = named {
            let other = named.email.as_deref();
            if let (Some(other), Some(email)) = (other, caller.email.as_deref())
                && !headers::is_same_email(other, email)
            {
                return Err(AuthenticationError::Contradiction);
            }
            if self
                .gateway
                .as_ref()
                .is_some_and(GatewayAuth::strips_headers)
            {
                named.add_to(&mut caller);
            }
        }
        let is_vouched = named.is_some_and(|named| named.email.is_some());
        if let Some(own) = self.signed.as_ref().filter(|_| !is_vouched) {
            own.check_alone(signed)?;
        }
        self.complete(caller, Some(&signed.id)).await
    }

    /// Adds what Open WebUI's database knows if the credentials did not contain groups or an e-mail
    /// address.
    async fn complete(
        &self,
        mut caller: Caller,
        id: Option<&str>,
    ) -> Result<Arc<Caller>, AuthenticationError> {
        let is_complete = caller.groups.is_some() && caller.email.is_some();
        let Some(users) = self.users.as_ref().filter(|_| !is_complete) else {
            return Ok(Arc::new(caller));
        };
        let found = match (id, caller.email.as_deref()) {
            (Some(id), _) => users.by_id(id).await,
            (None, Some(email)) => users.by_email(email).await,
            (None, None) => Ok(None),
        };
        let found = match found {
            // The database may not be Open WebUI's at all.
            Err(AuthenticationError::Store(StoreError::Query(error))) => {
                if !self.is_told.swap(true, Ordering::Relaxed) {
                    tracing::warn!(
                        "cannot read groups from Open WebUI's database, so they are ignored: {error}"
                    );
                }
                None
            }
            found => found?,
        };
        let Some(user) = found else {
            return Ok(Arc::new(caller));
        };
        if matches!(
            caller.proof,
            AuthenticationMethod::SignedHeader | AuthenticationMethod::ForwardedHeaders
        ) {
            user.check()?;
            caller.is_admin &= user.caller.is_admin;
        } else if user.check().is_err() {
            return Ok(Arc::new(caller));
        }
        match (&caller.email, &user.caller.email) {
            (Some(one), Some(other)) if one != other => {
                return Err(AuthenticationError::Contradiction);
            }
            (None, Some(email)) => {
                caller.id = Arc::clone(email);
                caller.email = Some(Arc::clone(email));
            }
            _ => {}
        }
        caller.open_webui_groups = Arc::clone(&user.caller.open_webui_groups);
        Ok(Arc::new(caller))
    }
}
