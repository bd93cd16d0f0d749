//! Asks Open WebUI which user a session token belongs to, for setups where its database cannot be
//! read.

use std::{sync::Arc, time::Duration};

use http::StatusCode;
use jsonwebtoken::get_current_timestamp;
use moka::future::Cache;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use tokio::{sync::Semaphore, time::timeout};
use url::Url;

use super::{
    AuthenticationError,
    caller::{AuthenticatedUser, AuthenticationMethod, Caller},
    claims::SessionTokenClaims,
    fetch::{self, FetchError},
    headers::is_name,
    token,
    users::REMEMBERED_MAX,
};
use crate::telemetry::CacheName;

/// Concurrent requests for tokens that were valid before.
const QUESTIONS_MAX: usize = 12;

/// Concurrent requests for new tokens. The limit is lower so that made-up tokens do not make users
/// wait.
const NEW_QUESTIONS_MAX: usize = 4;

/// How many checks of new tokens may wait. One check takes about 20 ms.
const NEW_WAITING_MAX: usize = 32;

/// How long a token that was valid is treated as known.
const KNOWN_FOR: Duration = Duration::from_hours(12);

/// How long a token that Open WebUI rejected is refused without another request.
const REFUSED_FOR: Duration = Duration::from_secs(10);

/// How long a check may wait for its turn.
const TURN: Duration = Duration::from_secs(3);

/// The refusal when Open WebUI does not respond.
const SILENT: AuthenticationError =
    AuthenticationError::Unavailable("Open WebUI is not responding");

/// The refusal when too many new tokens wait.
const CROWDED: AuthenticationError =
    AuthenticationError::Unavailable("too many new sessions are being checked");

/// A cache of tokens, keyed by their SHA-256 hash.
fn remember(ttl: Duration) -> Cache<[u8; 32], ()> {
    Cache::builder()
        .max_capacity(REMEMBERED_MAX)
        .time_to_live(ttl)
        .build()
}

/// A client for Open WebUI's API.
#[derive(Debug)]
pub struct IntrospectionClient {
    http: reqwest::Client,
    groups: Url,
    user: Url,
    /// Sessions by the SHA-256 hash of their token. The token itself is not stored.
    known: Cache<[u8; 32], AuthenticatedUser>,
    /// Tokens that were valid once.
    seen: Cache<[u8; 32], ()>,
    /// Tokens that were rejected recently.
    refused: Cache<[u8; 32], ()>,
    turns: Semaphore,
    new_turns: Semaphore,
    new_places: Semaphore,
}

/// `GET /api/v1/auths/`
#[derive(Debug, Deserialize)]
struct UserAnswer {
    id: String,
    email: String,
    role: String,
}

/// `GET /api/v1/users/groups`
#[derive(Debug, Deserialize)]
struct GroupAnswer {
    id: String,
    name: String,
}

impl IntrospectionClient {
    /// A client for this base URL that caches results for `ttl`. `None` if the URL cannot be a
    /// base.
    pub fn new(http: reqwest::Client, base: &Url, ttl: Duration) -> Option<Self> {
        let below = |path: &str| {
            let base = base.as_str().trim_end_matches('/');
            Url::parse(&format!("{base}/api/v1/{path}")).ok()
        };
        Some(Self {
            http,
            groups: below("users/groups?include_inherited=true")?,
            user: below("auths/")?,
            known: Cache::builder()
                .max_capacity(REMEMBERED_MAX)
                .time_to_live(ttl)
                .build(),
            seen: remember(KNOWN_FOR),
            refused: remember(REFUSED_FOR),
            turns: Semaphore::new(QUESTIONS_MAX),
            new_turns: Semaphore::new(NEW_QUESTIONS_MAX),
            new_places: Semaphore::new(NEW_WAITING_MAX),
        })
    }

    /// The user of a session token. The token's own claims are used only to refuse it early, and
    /// for the ID after Open WebUI has accepted the token.
    pub async fn session(
        &self,
        sent: &str,
        claims: &SessionTokenClaims,
    ) -> Result<AuthenticatedUser, AuthenticationError> {
        #[expect(
            clippy::cast_precision_loss,
            reason = "current times in seconds are exact"
        )]
        let now = get_current_timestamp() as f64;
        if claims.exp.is_some_and(|exp| exp <= now) {
            return Err(AuthenticationError::Expired);
        }
        let hash: [u8; 32] = Sha256::digest(sent).into();
        let known = self.known.get(&hash).await;
        CacheName::Sessions.note(known.is_some());
        if let Some(session) = known {
            return Ok(session);
        }
        if self.refused.contains_key(&hash) {
            return Err(AuthenticationError::SignedOut);
        }
        let known = self
            .known
            .try_get_with(hash, self.asked(hash, sent, claims))
            .await;
        known.map_err(|refusal| refusal.as_ref().clone())
    }

    /// Asks Open WebUI when it is the token's turn, and remembers the outcome.
    async fn asked(
        &self,
        hash: [u8; 32],
        sent: &str,
        claims: &SessionTokenClaims,
    ) -> Result<AuthenticatedUser, AuthenticationError> {
        let is_new = !self.seen.contains_key(&hash);
        let _place = if is_new {
            Some(self.new_places.try_acquire().map_err(|_| CROWDED)?)
        } else {
            None
        };
        let turns = if is_new { &self.new_turns } else { &self.turns };
        let Ok(Ok(_turn)) = timeout(TURN, turns.acquire()).await else {
            return Err(if is_new { CROWDED } else { SILENT });
        };
        let asked = self.ask(sent, claims).await;
        match &asked {
            Ok(_) => self.seen.insert(hash, ()).await,
            Err(AuthenticationError::SignedOut) => {
                self.seen.invalidate(&hash).await;
                self.refused.insert(hash, ()).await;
            }
            Err(_) => {}
        }
        asked
    }

    /// Gets the account and the groups. The groups route rejects accounts that are not approved.
    /// Automations and sub-agents may not read their own account; they get an ID but no e-mail
    /// address.
    async fn ask(
        &self,
        sent: &str,
        claims: &SessionTokenClaims,
    ) -> Result<AuthenticatedUser, AuthenticationError> {
        let (groups, user) = futures::join!(
            fetch::json::<Vec<GroupAnswer>>(&self.http, self.groups.clone(), Some(sent)),
            fetch::json::<UserAnswer>(&self.http, self.user.clone(), Some(sent)),
        );
        let user = match user {
            Ok(user) => Some(user),
            Err(FetchError::Status(StatusCode::FORBIDDEN)) => None,
            Err(error) => return Err(refusal(error)),
        };
        if user
            .as_ref()
            .is_some_and(|user| !matches!(user.role.as_str(), "user" | "admin"))
        {
            return Err(AuthenticationError::Pending);
        }
        let groups = groups.map_err(refusal)?;
        let claimed = claims.id.as_deref().filter(|id| is_name(id));
        let id = user.as_ref().map(|user| user.id.as_str()).or(claimed);
        let id = id.ok_or_else(|| token::flaw("it names no user"))?;
        if claimed.is_some_and(|claimed| claimed != id) {
            return Err(token::flaw(
                "Open WebUI says that it belongs to another user",
            ));
        }
        let email = user.as_ref().map(|user| user.email.trim());
        let email = email.filter(|email| !email.is_empty());
        let mut caller = Caller::user(Some(id), email, AuthenticationMethod::Session);
        caller.is_admin = user.as_ref().is_some_and(|user| user.role == "admin");
        caller.open_webui_groups = groups
            .iter()
            .flat_map(|group| [group.id.as_str(), group.name.as_str()])
            .map(Arc::from)
            .collect();
        Ok(AuthenticatedUser {
            caller: Arc::new(caller),
            id: Some(id.into()),
        })
    }
}

/// Turns a failed request to Open WebUI into a refusal.
fn refusal(error: FetchError) -> AuthenticationError {
    match error {
        FetchError::Status(StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => {
            AuthenticationError::SignedOut
        }
        error => {
            tracing::warn!("cannot check a session with Open WebUI: {error}");
            SILENT
        }
    }
}
