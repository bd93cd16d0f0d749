//! [`AccountStore`]: where logins are stored, and how they are sealed and opened.

use std::{
    collections::HashMap,
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::sync::watch;
use tokio_util::task::TaskTracker;
use url::Url;

use super::{key::EncryptionKeys, mcpo_tokens::McpoLogin, places};
use crate::{
    config::OAuthSettings,
    mcp::{
        TokenError,
        oauth::{self, ClientRegistration, ImportedLogin, OAuthAccount},
    },
    secret::{Redactor, Secret, SecretSource},
    store::{AccountKey, RefreshClaim, Store, StoreError},
};

/// Stores and opens logins.
pub struct AccountStore {
    /// Where they are stored.
    pub(super) place: AccountBackend,
    /// Redacts tokens.
    pub(super) redactor: Redactor,
    /// The folder in which mcpo stores its logins.
    pub(super) mcpo: Option<PathBuf>,
    /// Runs tasks that must finish.
    pub(super) tracker: TaskTracker,
}

/// The right to renew a token. With replicas it contains a claim in the database.
#[derive(Debug, Clone, Copy)]
pub(super) struct RefreshPermit(Option<RefreshClaim>);

/// Where logins are stored.
pub(super) enum AccountBackend {
    /// The bridge's tables, encrypted.
    Database {
        /// The database.
        store: Arc<Store>,
        /// The encryption keys.
        keys: Arc<EncryptionKeys>,
        /// Changes with each change of an account.
        changes: watch::Receiver<u64>,
    },
    /// Memory only, apart from the logins that mcpo stored.
    Memory(Mutex<HashMap<AccountKey, Vec<u8>>>),
}

impl fmt::Debug for AccountStore {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("AccountStore")
            .finish_non_exhaustive()
    }
}

/// A database outage, which may be short.
fn down(error: &StoreError) -> TokenError {
    TokenError::Unavailable(format!("the login cannot be read: {error}"))
}

/// The login that mcpo stored for a server. An unusable one is logged and left in place.
fn left_by_mcpo(folder: &Path, server: &str) -> Option<ImportedLogin> {
    let login = McpoLogin::read(folder, server).unwrap_or_else(|error| {
        tracing::warn!(bridge.name = %server, %error, "cannot take over mcpo's login");
        None
    })?;
    let Some(client) = login.client else {
        tracing::warn!(
            bridge.name = %server,
            "cannot take over mcpo's login: it does not name its OAuth client"
        );
        return None;
    };
    let scopes = login.scope.unwrap_or_default();
    Some(ImportedLogin {
        access_token: login.access_token,
        refresh_token: login.refresh_token,
        ends_at: login.expires_at,
        client_id: client.id,
        client_secret: client.secret,
        auth_method: client.auth_method,
        redirect_url: client.redirect_uris.into_iter().next().unwrap_or_default(),
        scopes: scopes.split_whitespace().map(str::to_owned).collect(),
    })
}

impl AccountStore {
    /// Runs tasks that must finish.
    pub(super) fn tracker(&self) -> &TaskTracker {
        &self.tracker
    }

    /// A number that changes with each change of an account.
    pub(super) fn version(&self) -> u64 {
        match &self.place {
            AccountBackend::Database { changes, .. } => *changes.borrow(),
            AccountBackend::Memory(_) => 0,
        }
    }

    /// The sealed text of a login. Takes over a login of mcpo.
    pub(super) async fn sealed(
        &self,
        key: &AccountKey,
        server: &Url,
        settings: &OAuthSettings,
    ) -> Result<Option<Vec<u8>>, TokenError> {
        let found = match &self.place {
            AccountBackend::Database { store, .. } => {
                store.account(key).await.map_err(|error| down(&error))?
            }
            AccountBackend::Memory(logins) => {
                let logins = logins.lock().unwrap_or_else(PoisonError::into_inner);
                logins.get(key).cloned()
            }
        };
        match found {
            None if key.subject.is_empty() => self.adopted(key, server, settings).await,
            found => Ok(found),
        }
    }

    /// Takes over mcpo's login for a server.
    async fn adopted(
        &self,
        key: &AccountKey,
        server: &Url,
        settings: &OAuthSettings,
    ) -> Result<Option<Vec<u8>>, TokenError> {
        let Some(folder) = &self.mcpo else {
            return Ok(None);
        };
        let Some(login) = left_by_mcpo(folder, &key.bridge) else {
            return Ok(None);
        };
        let adopted = oauth::adopt(server, settings, &login).await;
        let account = adopted.map_err(|error| TokenError::Unavailable(error.to_string()))?;
        tracing::info!(bridge.name = %key.bridge, "took over mcpo's login");
        self.put(key, &account).await.map(Some)
    }

    /// Opens a login.
    pub(super) fn open(&self, key: &AccountKey, sealed: &[u8]) -> Result<OAuthAccount, TokenError> {
        let unreadable = |why: String| {
            TokenError::Unavailable(format!("the stored login cannot be opened: {why}"))
        };
        let text = match &self.place {
            AccountBackend::Database { keys, .. } => keys
                .to_open()
                .map_err(|error| unreadable(error.to_string()))?
                .open(&places::account(key), sealed)
                .map_err(|error| unreadable(error.to_string()))?,
            AccountBackend::Memory(_) => Secret::new(String::from_utf8_lossy(sealed).into_owned()),
        };
        serde_json::from_str(text.expose()).map_err(|_| unreadable("it is malformed".to_owned()))
    }

    /// Stores a login, replacing an earlier one.
    pub(super) async fn put(
        &self,
        key: &AccountKey,
        account: &OAuthAccount,
    ) -> Result<Vec<u8>, TokenError> {
        let sealed = self.seal(key, account)?;
        match &self.place {
            AccountBackend::Database { store, .. } => {
                let put = store.put_account(None, key, &sealed).await;
                put.map_err(|error| down(&error))?;
            }
            AccountBackend::Memory(logins) => {
                let mut logins = logins.lock().unwrap_or_else(PoisonError::into_inner);
                logins.insert(key.clone(), sealed.clone());
            }
        }
        Ok(sealed)
    }

    /// Seals a login.
    pub(super) fn seal(
        &self,
        key: &AccountKey,
        account: &OAuthAccount,
    ) -> Result<Vec<u8>, TokenError> {
        let unkept =
            |why: String| TokenError::Unavailable(format!("a login cannot be stored: {why}"));
        let text = serde_json::to_string(account).map_err(|error| unkept(error.to_string()))?;
        match &self.place {
            AccountBackend::Database { keys, .. } => {
                let vault = keys.to_seal().map_err(|error| unkept(error.to_string()))?;
                Ok(vault.seal(&places::account(key), &text))
            }
            AccountBackend::Memory(_) => Ok(text.into_bytes()),
        }
    }

    /// Stores a renewed login, unless the user has logged in again in the meantime: the newer login
    /// wins.
    pub(super) async fn replace(
        &self,
        key: &AccountKey,
        old: &[u8],
        account: &OAuthAccount,
    ) -> Result<Vec<u8>, TokenError> {
        let sealed = self.seal(key, account)?;
        let is_ours = match &self.place {
            AccountBackend::Database { store, .. } => {
                let replaced = store.replace_account(key, old, &sealed).await;
                replaced.map_err(|error| down(&error))?
            }
            AccountBackend::Memory(logins) => {
                let mut logins = logins.lock().unwrap_or_else(PoisonError::into_inner);
                logins.insert(key.clone(), sealed.clone());
                true
            }
        };
        if is_ours {
            return Ok(sealed);
        }
        Err(TokenError::Unavailable(
            "the login was replaced while its token was renewed; try again".to_owned(),
        ))
    }

    /// Claims the renewal for all replicas; `None` while another one has it.
    pub(super) async fn claim(
        &self,
        key: &AccountKey,
        time: Duration,
    ) -> Result<Option<RefreshPermit>, TokenError> {
        match &self.place {
            AccountBackend::Database { store, .. } => {
                let claimed = store.claim_refresh(key, time).await;
                let claimed = claimed.map_err(|error| down(&error))?;
                Ok(claimed.map(|claim| RefreshPermit(Some(claim))))
            }
            AccountBackend::Memory(_) => Ok(Some(RefreshPermit(None))),
        }
    }

    /// Releases the claim.
    pub(super) async fn release(&self, key: &AccountKey, RefreshPermit(claim): RefreshPermit) {
        if let (AccountBackend::Database { store, .. }, Some(claim)) = (&self.place, claim)
            && let Err(error) = store.release_refresh(key, claim).await
        {
            tracing::debug!(%error, "cannot release a claim; it will expire");
        }
    }

    /// Makes the redactor remove the tokens of a login.
    pub(super) fn hide(&self, key: &AccountKey, account: &OAuthAccount) {
        let giver = SecretSource::stranger(&key.bridge, &key.subject);
        self.redactor.learn_from(&giver, account.secrets());
    }

    /// Makes the redactor remove the secret of a client.
    pub(super) fn hide_client(&self, key: &AccountKey, client: &ClientRegistration) {
        let giver = SecretSource::stranger(&key.bridge, &key.subject);
        self.redactor.learn_from(&giver, client.secret());
    }
}
