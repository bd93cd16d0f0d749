//! Asks Open WebUI itself whose a session token is, where its database cannot be read (Open WebUI
//! contract §7.4).

use std::{sync::Arc, time::Duration};

use http::StatusCode;
use jsonwebtoken::get_current_timestamp;
use moka::future::Cache;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use tokio::{sync::Semaphore, time::timeout};
use url::Url;

use super::{
    Refusal,
    caller::{Caller, Proof},
    fetch::{self, FetchError},
    headers::is_name,
    session::{Claims, Session},
    token,
    users::REMEMBERED_MAX,
};
use crate::telemetry::Lookups;

/// Questions at once about tokens that were right before.
const QUESTIONS_MAX: usize = 12;

/// Questions at once about tokens that were never right: made-up ones must not make users wait.
const NEW_QUESTIONS_MAX: usize = 4;

/// How many of these may wait. A question takes about 20 ms.
const NEW_WAITING_MAX: usize = 32;

/// How long a token that was right counts as one of a user.
const KNOWN_FOR: Duration = Duration::from_hours(12);

/// How long a token that Open WebUI refused is refused without a question.
const REFUSED_FOR: Duration = Duration::from_secs(10);

/// How long a question may wait for its turn.
const TURN: Duration = Duration::from_secs(3);

/// What is said when Open WebUI does not answer.
const SILENT: Refusal = Refusal::Unavailable("Open WebUI does not answer");

/// What is said when too many new tokens wait.
const CROWDED: Refusal =
    Refusal::Unavailable("too many sessions that were not seen before are being checked");

/// Tokens by their SHA-256.
fn remember(ttl: Duration) -> Cache<[u8; 32], ()> {
    Cache::builder()
        .max_capacity(REMEMBERED_MAX)
        .time_to_live(ttl)
        .build()
}

/// Open WebUI's API.
#[derive(Debug)]
pub struct Introspection {
    http: reqwest::Client,
    groups: Url,
    user: Url,
    /// Answers by the SHA-256 of the token: the token itself is not kept.
    known: Cache<[u8; 32], Session>,
    /// Tokens that were right once.
    seen: Cache<[u8; 32], ()>,
    /// Tokens that were refused a moment ago.
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

impl Introspection {
    /// Asks at a URL; answers count for so long. `None`: the URL can be nobody's base.
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

    /// The user of a session token. Its own claims are read only to refuse early, and for the id
    /// once Open WebUI has vouched for them.
    pub async fn session(&self, sent: &str, claims: &Claims) -> Result<Session, Refusal> {
        #[expect(clippy::cast_precision_loss, reason = "seconds of today are exact")]
        let now = get_current_timestamp() as f64;
        if claims.exp.is_some_and(|exp| exp <= now) {
            return Err(Refusal::Expired);
        }
        let hash: [u8; 32] = Sha256::digest(sent).into();
        let known = self.known.get(&hash).await;
        Lookups::Sessions.note(known.is_some());
        if let Some(session) = known {
            return Ok(session);
        }
        if self.refused.contains_key(&hash) {
            return Err(Refusal::SignedOut);
        }
        let known = self
            .known
            .try_get_with(hash, self.asked(hash, sent, claims))
            .await;
        known.map_err(|refusal| refusal.as_ref().clone())
    }

    /// Asks when it is the token's turn, and remembers how it went.
    async fn asked(&self, hash: [u8; 32], sent: &str, claims: &Claims) -> Result<Session, Refusal> {
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
            Err(Refusal::SignedOut) => {
                self.seen.invalidate(&hash).await;
                self.refused.insert(hash, ()).await;
            }
            Err(_) => {}
        }
        asked
    }

    /// Groups first: that route refuses whoever may not come in. Automations and sub-agents may
    /// not ask for their own account, so that they have an id, but no e-mail.
    async fn ask(&self, sent: &str, claims: &Claims) -> Result<Session, Refusal> {
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
            return Err(Refusal::Pending);
        }
        let groups = groups.map_err(refusal)?;
        let claimed = claims.id.as_deref().filter(|id| is_name(id));
        let id = user.as_ref().map(|user| user.id.as_str()).or(claimed);
        let id = id.ok_or_else(|| token::flaw("it names no user"))?;
        if claimed.is_some_and(|claimed| claimed != id) {
            return Err(token::flaw("Open WebUI knows it as another user's"));
        }
        let email = user.as_ref().map(|user| user.email.trim());
        let email = email.filter(|email| !email.is_empty());
        let mut caller = Caller::user(Some(id), email, Proof::Session);
        caller.is_admin = user.as_ref().is_some_and(|user| user.role == "admin");
        caller.open_webui_groups = groups
            .iter()
            .flat_map(|group| [group.id.as_str(), group.name.as_str()])
            .map(Arc::from)
            .collect();
        Ok(Session {
            caller: Arc::new(caller),
            id: Some(id.into()),
        })
    }
}

/// What an answer that is none means for the caller.
fn refusal(error: FetchError) -> Refusal {
    match error {
        FetchError::Status(StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => Refusal::SignedOut,
        error => {
            tracing::warn!("a session cannot be checked at Open WebUI: {error}");
            SILENT
        }
    }
}
