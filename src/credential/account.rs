//! [`AccountToken`]: the token of one login, shared by all sessions of its owner and renewed only
//! once.

use std::{
    fmt,
    sync::{Arc, Weak},
    time::{Duration, SystemTime},
};

use arc_swap::ArcSwapOption;
use futures::future::BoxFuture;
use tokio::{
    sync::{Mutex, OwnedMutexGuard},
    time::{Instant, sleep},
};
use url::Url;

use super::account_store::{AccountStore, RefreshPermit};
use crate::{
    config::OAuthSettings,
    mcp::{
        TokenError, TokenSource,
        oauth::{self, OAuthAccount, OAuthError},
    },
    secret::Secret,
    store::AccountKey,
};

/// How long one replica may take to renew a token before another replica may try.
const CLAIM: Duration = Duration::from_secs(20);
/// How often a replica checks whether another one has renewed it.
const CLAIM_POLL: Duration = Duration::from_millis(200);

/// The token of one login.
pub struct AccountToken {
    /// Where the account is stored.
    pub(super) kept: Arc<AccountStore>,
    /// The key of the account.
    pub(super) key: AccountKey,
    /// The server that the token is for.
    pub(super) server: Url,
    /// The OAuth settings of the bridge.
    pub(super) settings: OAuthSettings,
    /// The account as last read.
    held: ArcSwapOption<LoadedAccount>,
    /// Held by the one task that reads or renews.
    turn: Arc<Mutex<()>>,
    /// A reference to itself, for the task that renews.
    me: Weak<Self>,
}

/// The right to read or renew.
type Turn = OwnedMutexGuard<()>;

/// An account as read.
#[derive(Debug, Clone)]
struct LoadedAccount {
    /// The encrypted text in the database.
    sealed: Arc<[u8]>,
    /// The account.
    account: Arc<OAuthAccount>,
    /// The access token.
    token: Secret,
    /// The change counter at the time of reading.
    seen: u64,
    /// Whether the database contains this account. If not, it still contains `sealed`, the text
    /// that this one was renewed from.
    is_saved: bool,
    /// Why the token is no longer usable although it has not expired: the server rejects it, and it
    /// cannot be renewed.
    over: Option<Arc<str>>,
}

impl fmt::Debug for AccountToken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("AccountToken");
        shown.field("key", &self.key).finish_non_exhaustive()
    }
}

impl LoadedAccount {
    /// The token, if it is usable.
    fn token(&self) -> Result<Secret, TokenError> {
        match &self.over {
            Some(why) => Err(TokenError::NeedsLogin(why.to_string())),
            None => Ok(self.token.clone()),
        }
    }

    /// Whether the token should be renewed.
    fn is_due(&self) -> bool {
        let at = self.account.renew_at();
        at.is_some_and(|at| SystemTime::now() >= at)
    }

    /// Whether the token has not expired.
    fn is_valid(&self) -> bool {
        let at = self.account.ends_at();
        at.is_none_or(|at| SystemTime::now() < at)
    }
}

impl AccountToken {
    /// The token of an account that has not been read yet.
    pub(super) fn new(
        kept: Arc<AccountStore>,
        key: AccountKey,
        server: &Url,
        settings: &OAuthSettings,
    ) -> Arc<Self> {
        Arc::new_cyclic(|me| Self {
            kept,
            key,
            server: server.clone(),
            settings: settings.clone(),
            held: ArcSwapOption::empty(),
            turn: Arc::default(),
            me: Weak::clone(me),
        })
    }

    /// The account in memory, if it is usable without reading the database.
    fn current(&self) -> Option<Arc<LoadedAccount>> {
        let held = self.held.load_full()?;
        let counts = held.is_saved && held.seen == self.kept.version() && !held.is_due();
        counts.then_some(held)
    }

    /// A usable token. Reads or renews it if necessary.
    async fn fresh(&self) -> Result<Secret, TokenError> {
        if let Some(held) = self.current() {
            return held.token();
        }
        // While another task renews the token ahead of its expiry, use the old one.
        let turn = match Arc::clone(&self.turn).try_lock_owned() {
            Ok(turn) => turn,
            Err(_) => match self.held.load_full().filter(|held| held.is_valid()) {
                Some(held) => return held.token(),
                None => self.turn().await,
            },
        };
        if let Some(held) = self.current() {
            return held.token();
        }
        let held = self.read().await?;
        if !held.is_due() || held.over.is_some() {
            return held.token();
        }
        match self.renew_apart(&held, turn, false).await {
            Ok(renewed) => Ok(renewed.token.clone()),
            // The token has not expired yet, so there is time for another attempt.
            Err(error) if held.is_valid() => {
                tracing::warn!(bridge.name = %self.key.bridge, %error, "a token cannot be renewed yet");
                Ok(held.token.clone())
            }
            Err(error) => Err(error),
        }
    }

    /// A token that differs from the one that the server rejected.
    async fn other_than(&self, refused: &Secret) -> Result<Secret, TokenError> {
        let turn = self.turn().await;
        let held = self.read().await?;
        if held.token != *refused || held.over.is_some() {
            return held.token();
        }
        let renewed = self.renew_apart(&held, turn, true).await?;
        Ok(renewed.token.clone())
    }

    /// Waits for the turn.
    async fn turn(&self) -> Turn {
        Arc::clone(&self.turn).lock_owned().await
    }

    /// Renews the token in a separate task that holds the turn. So the new refresh token is not lost
    /// if the caller hangs up, or a reload stops it, after the authorization server has responded
    /// and before the database is written. If the renewal fails, the login is recorded as ended if
    /// the server rejected the token (`is_refused`) or if the token has expired.
    async fn renew_apart(
        &self,
        held: &Arc<LoadedAccount>,
        turn: Turn,
        is_refused: bool,
    ) -> Result<Arc<LoadedAccount>, TokenError> {
        let gone =
            || TokenError::Unavailable("the token could not be renewed; try again".to_owned());
        let me = self.me.upgrade().ok_or_else(gone)?;
        let held = Arc::clone(held);
        let renewing = self.kept.tracker().spawn(async move {
            let renewed = me.renew(&held).await;
            let renewed = match renewed {
                Err(TokenError::NeedsLogin(why)) if is_refused || !held.is_valid() => {
                    Err(me.end(&held, &why))
                }
                other => other,
            };
            drop(turn);
            renewed
        });
        renewing.await.map_err(|_| gone())?
    }

    /// Records that a login has ended, so that the server is not asked again before the next login.
    fn end(&self, held: &LoadedAccount, why: &str) -> TokenError {
        let over = LoadedAccount {
            over: Some(why.into()),
            ..held.clone()
        };
        self.held.store(Some(Arc::new(over)));
        TokenError::NeedsLogin(why.to_owned())
    }

    /// Reads the account from the database.
    async fn read(&self) -> Result<Arc<LoadedAccount>, TokenError> {
        let seen = self.kept.version();
        let held = self.held.load_full();
        let sealed = self
            .kept
            .sealed(&self.key, &self.server, &self.settings)
            .await?;
        let Some(sealed) = sealed else {
            self.held.store(None);
            return Err(TokenError::NeedsLogin("no user has logged in".to_owned()));
        };
        if let Some(held) = held.filter(|held| *held.sealed == *sealed) {
            if !held.is_saved {
                return self.save(&held, seen).await;
            }
            let same = Arc::new(LoadedAccount {
                seen,
                ..LoadedAccount::clone(&held)
            });
            self.held.store(Some(Arc::clone(&same)));
            return Ok(same);
        }
        let account = self.kept.open(&self.key, &sealed)?;
        if account.server() != &self.server {
            let made_for = account.server().origin().ascii_serialization();
            return Err(TokenError::NeedsLogin(format!(
                "the login was made for `{made_for}`, but the bridge has another `url` now"
            )));
        }
        self.hold(account, sealed, seen, true)
    }

    /// Keeps an account in memory after reading or renewing it.
    fn hold(
        &self,
        account: OAuthAccount,
        sealed: Vec<u8>,
        seen: u64,
        is_saved: bool,
    ) -> Result<Arc<LoadedAccount>, TokenError> {
        let token = account
            .access_token()
            .ok_or_else(|| TokenError::NeedsLogin("the login returned no token".to_owned()))?;
        self.kept.hide(&self.key, &account);
        let held = Arc::new(LoadedAccount {
            sealed: sealed.into(),
            account: Arc::new(account),
            token,
            seen,
            is_saved,
            over: None,
        });
        self.held.store(Some(Arc::clone(&held)));
        Ok(held)
    }

    /// Renews the tokens. Often a refresh token can be used only once. The turn makes sure that one
    /// task of this process renews, and a claim in the database makes sure that one replica does.
    async fn renew(&self, held: &Arc<LoadedAccount>) -> Result<Arc<LoadedAccount>, TokenError> {
        let over = |why: &str| TokenError::NeedsLogin(format!("the login has ended: {why}"));
        if !held.account.is_renewable() {
            return Err(over(
                "the access token was rejected and there is no refresh token",
            ));
        }
        let patience = Instant::now() + CLAIM;
        let claimed = loop {
            if let Some(claimed) = self.kept.claim(&self.key, CLAIM).await? {
                break claimed;
            }
            // Another replica is renewing it.
            let now = self.read().await?;
            if now.sealed != held.sealed {
                return Ok(now);
            }
            if Instant::now() >= patience {
                let words = "another replica has been renewing the token for too long";
                return Err(TokenError::Unavailable(words.to_owned()));
            }
            sleep(CLAIM_POLL).await;
        };
        let renewed = self.renew_claimed(held, claimed).await;
        if renewed.is_err() {
            self.kept.release(&self.key, claimed).await;
        }
        renewed
    }

    /// Renews the tokens. The caller holds the claim.
    async fn renew_claimed(
        &self,
        held: &Arc<LoadedAccount>,
        claimed: RefreshPermit,
    ) -> Result<Arc<LoadedAccount>, TokenError> {
        let now = self.read().await?;
        if now.sealed != held.sealed {
            self.kept.release(&self.key, claimed).await;
            return Ok(now);
        }
        let account = match oauth::refresh(&held.account, &self.settings).await {
            Ok(account) => account,
            Err(
                error @ (OAuthError::Rejected(_) | OAuthError::Refused(_) | OAuthError::Client(_)),
            ) => {
                tracing::warn!(bridge.name = %self.key.bridge, %error, "a login has ended; a user must log in again");
                return Err(TokenError::NeedsLogin(format!(
                    "the login has ended: {error}"
                )));
            }
            Err(error) => return Err(TokenError::Unavailable(error.to_string())),
        };
        tracing::debug!(bridge.name = %self.key.bridge, "a token was renewed");
        let seen = self.kept.version();
        // The old refresh token may be invalid now. If the new one cannot be stored, it stays in
        // memory and is stored with the next read.
        let renewed = self.hold(account, held.sealed.to_vec(), seen, false)?;
        self.save(&renewed, seen).await
    }

    /// Stores renewed tokens. If that fails, they are still used.
    async fn save(
        &self,
        held: &Arc<LoadedAccount>,
        seen: u64,
    ) -> Result<Arc<LoadedAccount>, TokenError> {
        let replaced = self
            .kept
            .replace(&self.key, &held.sealed, &held.account)
            .await;
        match replaced {
            Ok(sealed) => self.hold(OAuthAccount::clone(&held.account), sealed, seen, true),
            Err(error) => {
                tracing::warn!(bridge.name = %self.key.bridge, %error, "cannot store a renewed token; it is kept in memory");
                Ok(Arc::clone(held))
            }
        }
    }

    /// Stores scopes that the server asked for, for the next login.
    async fn want(&self, scopes: &str) {
        let _turn = self.turn().await;
        let Ok(held) = self.read().await else { return };
        let mut account = OAuthAccount::clone(&held.account);
        if !account.want(scopes) {
            return;
        }
        if let Err(error) = self.kept.replace(&self.key, &held.sealed, &account).await {
            tracing::debug!(bridge.name = %self.key.bridge, %error, "cannot store the scopes that a server asked for");
        }
    }
}

impl TokenSource for AccountToken {
    fn token(&self) -> BoxFuture<'_, Result<Secret, TokenError>> {
        match self.current() {
            Some(held) => Box::pin(std::future::ready(held.token())),
            None => Box::pin(self.fresh()),
        }
    }

    fn renewed<'a>(&'a self, refused: &'a Secret) -> BoxFuture<'a, Result<Secret, TokenError>> {
        Box::pin(self.other_than(refused))
    }

    fn lacks<'a>(&'a self, scopes: &'a str) -> BoxFuture<'a, TokenError> {
        Box::pin(async move {
            self.want(scopes).await;
            let words = if scopes.is_empty() {
                "its server requires more scopes than were granted".to_owned()
            } else {
                format!("its server requires more scopes: {scopes}")
            };
            TokenError::NeedsScope(words)
        })
    }
}
