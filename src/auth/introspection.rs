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

/// Users who are asked for at once.
const QUESTIONS_MAX: usize = 16;

/// How long a question may wait for its turn.
const TURN: Duration = Duration::from_secs(3);

/// What is said when Open WebUI does not answer.
const SILENT: Refusal = Refusal::Unavailable("Open WebUI does not answer");

/// Open WebUI's API.
#[derive(Debug)]
pub struct Introspection {
    http: reqwest::Client,
    groups: Url,
    user: Url,
    /// Answers by the SHA-256 of the token: the token itself is not kept.
    known: Cache<[u8; 32], Session>,
    turns: Semaphore,
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
            turns: Semaphore::new(QUESTIONS_MAX),
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
        let asked = async {
            let Ok(Ok(_turn)) = timeout(TURN, self.turns.acquire()).await else {
                return Err(SILENT);
            };
            self.ask(sent, claims).await
        };
        let known = self.known.try_get_with(hash, asked).await;
        known.map_err(|refusal| refusal.as_ref().clone())
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
