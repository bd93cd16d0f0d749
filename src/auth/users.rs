//! [`UserCache`]: Open WebUI's users, looked up in its database and cached briefly.
//!
//! Only users that were found are cached. An unknown user, or a database that did not respond,
//! leads to a new query each time. There is at most one query at a time for each user, and only a
//! few in total.

use std::{sync::Arc, time::Duration};

use moka::future::Cache;
use sha2::{Digest as _, Sha256};
use tokio::{sync::Semaphore, time::timeout};

use super::{
    AuthenticationError,
    caller::{AuthenticationMethod, Caller},
};
use crate::{
    store::{DirectoryUser, StoreError, UserDirectory},
    telemetry::CacheName,
};

/// The maximum number of cached users.
pub const REMEMBERED_MAX: u64 = 10_000;

/// Concurrent database queries.
const QUESTIONS_MAX: usize = 12;

/// Concurrent database queries for API keys.
const KEY_QUESTIONS_MAX: usize = 4;

/// How long a query may wait for its turn.
const TURN: Duration = Duration::from_secs(2);

/// Open WebUI's users.
#[derive(Debug)]
pub struct UserCache {
    directory: Arc<UserDirectory>,
    found: Cache<UserLookup, Arc<CachedUser>>,
    turns: Semaphore,
    /// For API keys. These have a separate limit because a caller can make up any number of them.
    key_turns: Semaphore,
}

/// What identifies the user in a lookup.
#[derive(Debug, PartialEq, Eq, Hash)]
enum UserLookup {
    Id(String),
    /// In lower case.
    Email(String),
    /// The SHA-256 hash of an API key. The key itself is not stored.
    Key([u8; 32]),
}

/// A user that was found.
#[derive(Debug)]
pub struct CachedUser {
    /// The account as stored in the database.
    pub account: DirectoryUser,
    /// Their id.
    pub id: Arc<str>,
    /// The user as a caller who sent a session token, or a key if the lookup used one.
    pub caller: Arc<Caller>,
}

/// Why a lookup found no user.
#[derive(Debug)]
enum UserLookupError {
    /// The user does not exist.
    Unknown,
    /// The lookup failed.
    Down(AuthenticationError),
}

impl UserCache {
    /// Users that are cached for `ttl`.
    pub fn new(directory: Arc<UserDirectory>, ttl: Duration) -> Self {
        Self {
            directory,
            found: Cache::builder()
                .max_capacity(REMEMBERED_MAX)
                .time_to_live(ttl)
                .build(),
            turns: Semaphore::new(QUESTIONS_MAX),
            key_turns: Semaphore::new(KEY_QUESTIONS_MAX),
        }
    }

    /// The user with this ID.
    pub async fn by_id(&self, id: &str) -> Result<Option<Arc<CachedUser>>, AuthenticationError> {
        let question = || self.directory.user(id);
        self.look_up(
            UserLookup::Id(id.to_owned()),
            AuthenticationMethod::Session,
            question,
        )
        .await
    }

    /// The user with this e-mail address, ignoring the case of ASCII letters.
    pub async fn by_email(
        &self,
        email: &str,
    ) -> Result<Option<Arc<CachedUser>>, AuthenticationError> {
        let question = || self.directory.user_of_email(email);
        self.look_up(
            UserLookup::Email(email.to_ascii_lowercase()),
            AuthenticationMethod::Session,
            question,
        )
        .await
    }

    /// The user of an API key (`sk-…`).
    pub async fn by_key(&self, key: &str) -> Result<Option<Arc<CachedUser>>, AuthenticationError> {
        let question = || self.directory.user_of_key(key);
        let lookup = UserLookup::Key(Sha256::digest(key).into());
        self.look_up(lookup, AuthenticationMethod::SessionKey, question)
            .await
    }

    /// From the cache, or from a query that concurrent lookups of the same user share.
    async fn look_up<F>(
        &self,
        lookup: UserLookup,
        proof: AuthenticationMethod,
        question: impl FnOnce() -> F,
    ) -> Result<Option<Arc<CachedUser>>, AuthenticationError>
    where
        F: Future<Output = Result<Option<DirectoryUser>, StoreError>>,
    {
        let found = self.found.get(&lookup).await;
        CacheName::Users.note(found.is_some());
        if let Some(user) = found {
            return Ok(Some(user));
        }
        // Boxed because it is large and the common path does not get here.
        Box::pin(self.ask(lookup, proof, question())).await
    }

    /// Queries the database.
    async fn ask(
        &self,
        lookup: UserLookup,
        proof: AuthenticationMethod,
        question: impl Future<Output = Result<Option<DirectoryUser>, StoreError>>,
    ) -> Result<Option<Arc<CachedUser>>, AuthenticationError> {
        let turns = match &lookup {
            UserLookup::Key(_) => &self.key_turns,
            UserLookup::Id(_) | UserLookup::Email(_) => &self.turns,
        };
        let asked = async {
            let busy = StoreError::Down("too many queries are waiting".to_owned());
            let Ok(Ok(_turn)) = timeout(TURN, turns.acquire()).await else {
                return Err(UserLookupError::Down(busy.into()));
            };
            let account = question
                .await
                .map_err(|error| UserLookupError::Down(error.into()))?;
            let account = account.ok_or(UserLookupError::Unknown)?;
            Ok(Arc::new(CachedUser::new(account, proof)))
        };
        match self.found.try_get_with(lookup, asked).await {
            Ok(user) => Ok(Some(user)),
            Err(miss) => match miss.as_ref() {
                UserLookupError::Unknown => Ok(None),
                UserLookupError::Down(refusal) => Err(refusal.clone()),
            },
        }
    }
}

impl CachedUser {
    /// The user of an account.
    pub fn new(account: DirectoryUser, proof: AuthenticationMethod) -> Self {
        let email = Some(account.email.trim()).filter(|email| !email.is_empty());
        let mut caller = Caller::user(Some(&account.id), email, proof);
        caller.is_admin = account.role == "admin";
        caller.open_webui_groups = account
            .groups
            .iter()
            .flat_map(|group| [group.id.as_str(), group.name.as_str()])
            .map(Arc::from)
            .collect();
        Self {
            id: account.id.as_str().into(),
            caller: Arc::new(caller),
            account,
        }
    }

    /// Refuses a user who may not use Open WebUI.
    pub fn check(&self) -> Result<(), AuthenticationError> {
        if !self.account.is_active {
            return Err(AuthenticationError::SignedOut);
        }
        if !matches!(self.account.role.as_str(), "user" | "admin") {
            return Err(AuthenticationError::Pending);
        }
        Ok(())
    }
}
