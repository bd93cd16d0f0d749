//! Open WebUI's session tokens and API keys, checked in the same way as Open WebUI does.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use jsonwebtoken::{DecodingKey, Validation};
use moka::{future::Cache, sync};
use sha2::{Digest as _, Sha256};

use super::{
    AuthenticationError,
    caller::AuthenticatedUser,
    claims::SessionTokenClaims,
    introspection::IntrospectionClient,
    token,
    users::{CachedUser, REMEMBERED_MAX, UserCache},
};
use crate::{config::OpenWebUiSettings, redis::RedisClient, telemetry::CacheName};

/// How long a verified signature is not verified again. The claims are checked every time.
const VERIFIED: Duration = Duration::from_mins(1);

/// Checks sessions.
#[derive(Debug)]
pub struct SessionTokenAuth {
    /// Verifies the signature, if the secret is configured.
    key: Option<DecodingKey>,
    validation: Validation,
    /// Finds the user and checks whether the session is active. Without it the API is asked.
    users: Option<Arc<UserCache>>,
    api: Option<IntrospectionClient>,
    sign_outs: Option<SignOuts>,
    /// Tokens whose signature was verified recently, by their SHA-256 hash.
    verified: sync::Cache<[u8; 32], Arc<SessionTokenClaims>>,
}

impl SessionTokenAuth {
    /// The session check of a configuration; `None` if neither a secret nor a URL is configured.
    pub fn new(
        config: &OpenWebUiSettings,
        users: Option<Arc<UserCache>>,
        api: Option<IntrospectionClient>,
        redis: Option<Arc<RedisClient>>,
    ) -> Option<Self> {
        let secret = config.secret_key.as_ref();
        // Anyone could sign with an empty secret.
        let secret = secret.filter(|secret| !secret.expose().is_empty());
        if secret.is_none() && api.is_none() {
            return None;
        }
        let mut validation = token::hs256();
        validation.validate_nbf = true;
        Some(Self {
            key: secret
                .and_then(|secret| DecodingKey::from_secret(secret.expose().as_bytes()).ok()),
            validation,
            users,
            api,
            sign_outs: redis.map(|redis| SignOuts::new(redis, config.cache_ttl)),
            verified: sync::Cache::builder()
                .max_capacity(REMEMBERED_MAX)
                .time_to_live(VERIFIED)
                .build(),
        })
    }

    /// Whether only Open WebUI can decide if a token is valid, because its signature cannot be
    /// checked here.
    pub fn asks(&self) -> bool {
        self.key.is_none()
    }

    /// The user of a session token.
    pub async fn session(&self, sent: &str) -> Result<AuthenticatedUser, AuthenticationError> {
        let Some(key) = &self.key else {
            return self.alive(sent, &token::unproven(sent)?).await;
        };
        let claims = Arc::new(token::verify(sent, key, &self.validation)?);
        let hash: [u8; 32] = Sha256::digest(sent).into();
        self.verified.insert(hash, Arc::clone(&claims));
        self.alive(sent, &claims).await
    }

    /// The user of a session token whose signature was verified recently; `None` if it must be
    /// verified.
    pub async fn verified(
        &self,
        sent: &str,
    ) -> Option<Result<AuthenticatedUser, AuthenticationError>> {
        // If the API is asked, there is no verified signature to remember.
        self.key.as_ref()?;
        let hash: [u8; 32] = Sha256::digest(sent).into();
        let claims = self.verified.get(&hash);
        CacheName::Tokens.note(claims.is_some());
        let claims = claims?;
        Some(match claims.check_end() {
            Ok(()) => self.alive(sent, &claims).await,
            Err(refusal) => Err(refusal),
        })
    }

    /// The user, if the session is active.
    async fn alive(
        &self,
        sent: &str,
        claims: &SessionTokenClaims,
    ) -> Result<AuthenticatedUser, AuthenticationError> {
        let id = claims.check()?;
        match (&self.key, &self.users, &self.api) {
            (Some(_), Some(users), _) => {
                let user = users
                    .by_id(id)
                    .await?
                    .ok_or(AuthenticationError::SignedOut)?;
                claims.check_user(&user)?;
                if let Some(sign_outs) = &self.sign_outs {
                    Box::pin(sign_outs.check(sent, id, claims)).await?;
                }
                Ok(user.session())
            }
            (_, _, Some(api)) => Box::pin(api.session(sent, claims)).await,
            _ => Err(AuthenticationError::Unavailable(
                "neither the database nor the URL of Open WebUI is configured",
            )),
        }
    }

    /// The user of an Open WebUI API key; `None` if the key is unknown.
    pub async fn key(&self, sent: &str) -> Result<Option<AuthenticatedUser>, AuthenticationError> {
        let users = self.users.as_ref().ok_or(AuthenticationError::SessionKey)?;
        let Some(user) = users.by_key(sent).await? else {
            return Ok(None);
        };
        user.check()?;
        Ok(Some(user.session()))
    }
}

impl CachedUser {
    fn session(&self) -> AuthenticatedUser {
        AuthenticatedUser {
            caller: Arc::clone(&self.caller),
            id: Some(Arc::clone(&self.id)),
        }
    }
}

/// The signed-out tokens that Open WebUI records in Redis.
#[derive(Debug)]
struct SignOuts {
    redis: Arc<RedisClient>,
    /// Tokens that are not signed out, by their SHA-256 hash. They are checked again only after a
    /// while.
    alive: Cache<[u8; 32], ()>,
    /// Whether the log already says that Redis is unreachable.
    is_told: AtomicBool,
}

impl SignOuts {
    fn new(redis: Arc<RedisClient>, ttl: Duration) -> Self {
        Self {
            redis,
            alive: Cache::builder()
                .max_capacity(REMEMBERED_MAX)
                .time_to_live(ttl)
                .build(),
            is_told: AtomicBool::new(false),
        }
    }

    /// Refuses a token that was signed out. If Redis is unreachable, the check is skipped, as in
    /// Open WebUI.
    async fn check(
        &self,
        sent: &str,
        user: &str,
        claims: &SessionTokenClaims,
    ) -> Result<(), AuthenticationError> {
        let hash: [u8; 32] = Sha256::digest(sent).into();
        if self.alive.get(&hash).await.is_some() {
            return Ok(());
        }
        #[expect(
            clippy::cast_possible_truncation,
            reason = "saturates; seconds since 1970"
        )]
        let issued_at = claims.iat.map(|seconds| seconds as i64);
        let answer = self
            .redis
            .is_revoked(user, claims.jti.as_deref(), issued_at);
        match answer.await {
            Ok(true) => return Err(AuthenticationError::SignedOut),
            Ok(false) => {
                self.is_told.store(false, Ordering::Relaxed);
                self.alive.insert(hash, ()).await;
            }
            Err(error) if !self.is_told.swap(true, Ordering::Relaxed) => {
                tracing::warn!(
                    "cannot check for signed-out sessions; they are accepted until they expire: {error}"
                );
            }
            Err(_) => {}
        }
        Ok(())
    }
}
