//! Open WebUI's session tokens and API keys, checked in the same way as Open WebUI does.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use jsonwebtoken::{DecodingKey, Validation, get_current_timestamp};
use moka::{future::Cache, sync};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::{
    AuthenticationError,
    caller::Caller,
    headers::is_name,
    introspection::IntrospectionClient,
    token,
    users::{CachedUser, REMEMBERED_MAX, UserCache},
};
use crate::{config::OpenWebUiSettings, redis::RedisClient, telemetry::CacheName};

/// How long a verified signature is not verified again. The claims are checked every time.
const VERIFIED: Duration = Duration::from_mins(1);

/// The user of a session.
#[derive(Debug, Clone)]
pub struct AuthenticatedUser {
    /// The user as a caller.
    pub caller: Arc<Caller>,
    /// Their ID in Open WebUI, if it is known.
    pub id: Option<Arc<str>>,
}

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

/// The claims of a session token.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct SessionTokenClaims {
    /// The user's id.
    pub id: Option<String>,
    /// The purpose of the token. Absent before Open WebUI 0.12.
    pub typ: Option<String>,
    /// Must equal the user's stamp in the database.
    session_stamp: Option<String>,
    /// How they signed in.
    auth_method: Option<String>,
    /// Whether the user presented a second factor.
    mfa_verified: Option<bool>,
    /// The token's ID.
    jti: Option<String>,
    /// When it was issued, seconds since 1970.
    iat: Option<f64>,
    /// When the token expires, in seconds since 1970.
    pub exp: Option<f64>,
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

impl SessionTokenClaims {
    /// Checks the claims on their own and returns the user's ID.
    fn check(&self) -> Result<&str, AuthenticationError> {
        token::check_issued(self.iat)?;
        let kinds = [None, Some("session"), Some("automation"), Some("subagent")];
        if !kinds.contains(&self.typ.as_deref()) {
            return Err(token::flaw("its `typ` is not that of a session"));
        }
        let id = self.id.as_deref().filter(|id| is_name(id));
        id.ok_or_else(|| token::flaw("it names no user"))
    }

    /// Refuses a token that has expired since it was verified.
    fn check_end(&self) -> Result<(), AuthenticationError> {
        #[expect(
            clippy::cast_precision_loss,
            reason = "current times in seconds are exact"
        )]
        let now = get_current_timestamp() as f64;
        if self.exp.is_some_and(|end| end <= now) {
            return Err(AuthenticationError::Expired);
        }
        Ok(())
    }

    /// Checks whether the session is active, based on the user's row in the database.
    fn check_user(&self, user: &CachedUser) -> Result<(), AuthenticationError> {
        user.check()?;
        let account = &user.account;
        if let Some(stamp) = &account.session_stamp
            && *stamp != self.session_stamp
        {
            return Err(AuthenticationError::SignedOut);
        }
        let is_session = matches!(self.typ.as_deref(), None | Some("session"));
        let method = self.auth_method.as_ref();
        let is_elsewhere = method.is_some_and(|method| account.mfa_bypass.contains(method));
        let is_verified = self.mfa_verified == Some(true) && account.has_mfa;
        if account.wants_mfa && is_session && !is_elsewhere && !is_verified {
            return Err(AuthenticationError::SecondFactor);
        }
        Ok(())
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

#[cfg(test)]
mod tests {
    use super::{super::AuthenticationMethod, *};
    use crate::store::DirectoryUser;

    fn account() -> DirectoryUser {
        DirectoryUser {
            id: "u1".to_owned(),
            email: "Ann@Example.org".to_owned(),
            name: "Ann".to_owned(),
            role: "user".to_owned(),
            is_active: true,
            session_stamp: Some(Some("stamp".to_owned())),
            ..DirectoryUser::default()
        }
    }

    fn claims(json: serde_json::Value) -> SessionTokenClaims {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn a_session_lives_while_the_user_and_its_stamp_do() {
        let stamped = || claims(serde_json::json!({"id": "u1", "session_stamp": "stamp"}));
        let bare = || claims(serde_json::json!({"id": "u1"}));
        let with = |change: fn(&mut DirectoryUser)| {
            let mut account = account();
            change(&mut account);
            account
        };
        let ended = Err(AuthenticationError::SignedOut);
        let cases = [
            (stamped(), account(), Ok(())),
            (bare(), account(), ended.clone()),
            (stamped(), with(|it| it.session_stamp = None), Ok(())),
            (bare(), with(|it| it.session_stamp = None), Ok(())),
            (bare(), with(|it| it.session_stamp = Some(None)), Ok(())),
            (
                stamped(),
                with(|it| it.session_stamp = Some(None)),
                ended.clone(),
            ),
            (stamped(), with(|it| it.is_active = false), ended),
            (stamped(), with(|it| it.role = "admin".to_owned()), Ok(())),
            (
                stamped(),
                with(|it| it.role = "pending".to_owned()),
                Err(AuthenticationError::Pending),
            ),
            (
                stamped(),
                with(|it| it.role = String::new()),
                Err(AuthenticationError::Pending),
            ),
        ];
        for (claims, account, expected) in cases {
            let user = CachedUser::new(account, AuthenticationMethod::Session);
            assert_eq!(claims.check_user(&user), expected, "{claims:?} {user:?}");
        }
    }

    #[test]
    fn the_second_factor_is_asked_as_open_webui_does() {
        let mut account = account();
        account.wants_mfa = true;
        account.has_mfa = true;
        account.mfa_bypass = vec!["oauth".to_owned()];
        account.session_stamp = None;
        let user = CachedUser::new(account.clone(), AuthenticationMethod::Session);
        account.has_mfa = false;
        let without = CachedUser::new(account, AuthenticationMethod::Session);
        assert_eq!(
            claims(serde_json::json!({"mfa_verified": true})).check_user(&without),
            Err(AuthenticationError::SecondFactor)
        );
        let missing = Err(AuthenticationError::SecondFactor);
        let cases = [
            (r#"{"typ": "session"}"#, missing.clone()),
            ("{}", missing.clone()),
            (r#"{"mfa_verified": false}"#, missing.clone()),
            (r#"{"auth_method": "password"}"#, missing.clone()),
            (r#"{"auth_method": "trusted_header"}"#, missing),
            (r#"{"mfa_verified": true}"#, Ok(())),
            (r#"{"auth_method": "oauth"}"#, Ok(())),
            (r#"{"typ": "automation"}"#, Ok(())),
            (r#"{"typ": "subagent"}"#, Ok(())),
        ];
        for (json, expected) in cases {
            let claims: SessionTokenClaims = serde_json::from_str(json).unwrap();
            assert_eq!(claims.check_user(&user), expected, "{json}");
        }
    }
}
