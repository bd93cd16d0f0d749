//! [`LoginFlow`]: the OAuth login that connects an account, from its start to the tokens.
//!
//! During the login the user is at the authorization server. The data to continue is stored in the
//! database, encrypted, under the hash of its `state`, so that any replica can finish the login. It
//! is removed when it is used: a second response finds nothing.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use url::Url;

use super::{
    account_store::AccountStore,
    key::{EncryptionKeyError, EncryptionKeys},
    places, ticket,
};
use crate::{
    config::{self, OAuthGrant, OAuthSettings, TransportSettings},
    mcp::oauth::{
        self, ClientRegistration, LoginParameters, OAuthAccount, OAuthError, PendingAuthorization,
        RESOURCE_HINT,
    },
    secret::Secret,
    store::{AccountKey, ChangeActor, Store, StoreError},
};

/// How long a login may take.
const AWAY_MAX: Duration = Duration::from_mins(10);
/// The longest text from outside that a page repeats, in characters.
const WORDS_MAX: usize = 200;

/// A request to connect an account.
#[derive(Debug)]
pub struct LoginRequest<'a> {
    /// The bridge.
    pub bridge: &'a config::BridgeSettings,
    /// The account to connect.
    pub account: AccountKey,
    /// The redirect URL for the browser.
    pub redirect_url: &'a Url,
    /// The value of a cookie in the browser that started the login. The response must come from the
    /// same browser. `None` if the login was started without a browser.
    pub browser: Option<&'a Secret>,
    /// The user who asks, for the audit record.
    pub actor: &'a ChangeActor,
}

/// The response of the authorization server, as the redirect carries it.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct AuthorizationResponse {
    /// Identifies the login.
    #[serde(default)]
    pub state: String,
    /// The authorization code, which is exchanged for tokens.
    pub code: Option<String>,
    /// The issuer (RFC 9207).
    pub iss: Option<String>,
    /// Why there is no code (RFC 6749 §4.1.2.1).
    pub error: Option<String>,
    /// The error in words.
    pub error_description: Option<String>,
}

/// A connected account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectedAccount {
    /// It.
    pub account: AccountKey,
    /// The user who connected it, by their name in logs.
    pub caller: String,
}

/// Why a login failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LoginError {
    /// There is no login with this state.
    #[error("this login is unknown: it was already finished, is more than {} minutes old, or was started elsewhere; start again", AWAY_MAX.as_secs() / 60)]
    Unknown,
    /// The response arrived in another browser than the one that started the login.
    #[error("this login was started in another browser; start again in this one")]
    OtherBrowser,
    /// The user or the authorization server refused.
    #[error("the authorization server refused: {0}")]
    Refused(String),
    /// The bridge does not use a login, or not for this server.
    #[error("{0}")]
    NotHere(String),
    /// An OAuth error.
    #[error(transparent)]
    OAuth(#[from] OAuthError),
    /// A database error.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The encryption key is missing or invalid.
    #[error(transparent)]
    Key(#[from] EncryptionKeyError),
    /// The stored data cannot be decrypted.
    #[error("{0}")]
    Sealed(String),
}

/// Connects accounts.
#[derive(Debug, Clone)]
pub struct LoginFlow {
    /// Stores the logins in progress.
    store: Arc<Store>,
    /// Stores the accounts.
    kept: Arc<AccountStore>,
    /// The encryption keys.
    keys: Arc<EncryptionKeys>,
}

/// A login in progress.
#[derive(Serialize, Deserialize)]
struct PendingLogin {
    /// The OAuth part.
    pending: PendingAuthorization,
    /// The workspace of the account.
    workspace: String,
    /// The bridge.
    bridge: String,
    /// See [`AccountKey`].
    subject: String,
    /// The hash of the browser's cookie value.
    browser: Option<[u8; 32]>,
    /// The user who started the login.
    caller: String,
    /// How they authenticated.
    proof: String,
}

/// A client registration that is reused.
#[derive(Serialize, Deserialize)]
struct SavedRegistration {
    /// It.
    client: ClientRegistration,
    /// Whether the last login with it came back. If an authorization server has forgotten the
    /// client, it tells the user and not the bridge. So after a login that did not come back, the
    /// bridge registers a new client.
    is_proven: bool,
}

impl LoginFlow {
    /// Logins that are stored in these tables.
    pub(super) fn new(
        store: Arc<Store>,
        kept: Arc<AccountStore>,
        keys: Arc<EncryptionKeys>,
    ) -> Self {
        Self { store, kept, keys }
    }

    /// Starts a login and returns the URL to open.
    pub async fn begin(&self, wish: &LoginRequest<'_>) -> Result<Url, LoginError> {
        let (server, settings) = oauth_of(wish.bridge)?;
        // Check this before the user is sent away.
        let vault = self.keys.to_seal()?;
        let earlier = self.earlier(&wish.account).await;
        let scopes: Vec<String> = earlier.iter().flat_map(scopes_of).collect();
        let registered = self.registered(wish, server, settings).await;
        let begun = oauth::begin(&LoginParameters {
            server,
            settings,
            redirect_url: wish.redirect_url,
            known: registered.as_ref().map(|it| &it.client),
            scopes: &scopes,
        })
        .await?;
        self.kept.hide_client(&wish.account, &begun.pending.client);
        self.note_client(wish, settings, &begun.pending.client, false)
            .await?;
        let id = hash_of(begun.pending.state());
        let waiting = PendingLogin {
            workspace: wish.account.workspace.clone(),
            bridge: wish.account.bridge.clone(),
            subject: wish.account.subject.clone(),
            browser: wish
                .browser
                .map(|held| Sha256::digest(held.expose()).into()),
            caller: wish.actor.id.clone(),
            proof: wish.actor.proof.clone(),
            pending: begun.pending,
        };
        let text = serde_json::to_string(&waiting)
            .map_err(|error| LoginError::Sealed(error.to_string()))?;
        let sealed = vault.seal(&places::login(&id), &text);
        self.store.save_login(&id, &sealed, ends_at()).await?;
        Ok(begun.url)
    }

    /// Finishes the login that a response belongs to. `browser` is the cookie value of the browser
    /// that sent it; `find` returns the current bridge of a name.
    pub async fn finish(
        &self,
        answer: &AuthorizationResponse,
        browser: Option<&Secret>,
        find: impl Fn(&str) -> Option<config::BridgeSettings>,
    ) -> Result<ConnectedAccount, LoginError> {
        let waiting = self.take(&answer.state).await?;
        if let Some(expected) = waiting.browser {
            let held: Option<[u8; 32]> = browser.map(|held| Sha256::digest(held.expose()).into());
            let is_same = held.is_some_and(|held| held.ct_eq(&expected).into());
            if !is_same {
                return Err(LoginError::OtherBrowser);
            }
        }
        let account = AccountKey {
            workspace: waiting.workspace,
            bridge: waiting.bridge,
            subject: waiting.subject,
        };
        let bridge = find(&account.bridge).ok_or_else(|| {
            LoginError::NotHere(format!("bridge `{}` no longer exists", account.bridge))
        })?;
        let (server, settings) = oauth_of(&bridge)?;
        let client = waiting.pending.client.clone();
        if client.server != *server {
            return Err(LoginError::NotHere(format!(
                "the `url` of bridge `{}` changed since this login started; start again",
                account.bridge
            )));
        }
        let code = match (&answer.error, &answer.code) {
            (Some(error), _) => return Err(LoginError::Refused(words(error, answer))),
            (None, Some(code)) if !code.is_empty() => code,
            (None, _) => {
                return Err(LoginError::Refused("it sent no code".to_owned()));
            }
        };
        let finished = oauth::finish(waiting.pending, settings, code, answer.iss.as_deref());
        let tokens = finished.await?;
        self.kept.hide(&account, &tokens);
        let actor = ChangeActor {
            id: waiting.caller.clone(),
            proof: waiting.proof,
            workspace: account.workspace.clone(),
        };
        self.put(&actor, &account, &tokens).await?;
        // What led here is used up, and so is every other link for this account.
        let tickets = ticket::prefix_of(&account);
        if let Err(error) = self.store.remove_tickets(&tickets).await {
            tracing::warn!(bridge.name = %account.bridge, %error, "the links to connect this account count until they are over");
        }
        let wish = LoginRequest {
            bridge: &bridge,
            account: account.clone(),
            redirect_url: &redirect_of(&client)?,
            browser: None,
            actor: &actor,
        };
        self.note_client(&wish, settings, &client, true).await?;
        tracing::info!(bridge.name = %account.bridge, caller = %waiting.caller, "an account was connected");
        Ok(ConnectedAccount {
            account,
            caller: waiting.caller,
        })
    }

    /// Deletes an account and revokes its tokens at the authorization server. Returns false if
    /// there is no such account.
    pub async fn disconnect(
        &self,
        actor: &ChangeActor,
        account: &AccountKey,
        settings: Option<&OAuthSettings>,
    ) -> Result<bool, LoginError> {
        let earlier = self.earlier(account).await;
        let is_gone = self.store.remove_account(actor, account).await?;
        if let (true, Some(tokens), Some(settings)) = (is_gone, earlier, settings)
            && let Err(error) = oauth::revoke(&tokens, settings).await
        {
            tracing::warn!(bridge.name = %account.bridge, %error, "cannot revoke the tokens of a deleted login at the authorization server");
        }
        Ok(is_gone)
    }

    /// Removes and returns the login with this state. This works only once.
    async fn take(&self, state: &str) -> Result<PendingLogin, LoginError> {
        if state.is_empty() {
            return Err(LoginError::Unknown);
        }
        let id = hash_of(state);
        let sealed = self.store.take_login(&id).await?;
        let sealed = sealed.ok_or(LoginError::Unknown)?;
        let opened = self.keys.to_open()?.open(&places::login(&id), &sealed);
        let opened = opened.map_err(|error| LoginError::Sealed(error.to_string()))?;
        serde_json::from_str(opened.expose()).map_err(|error| LoginError::Sealed(error.to_string()))
    }

    /// The account from an earlier login, if it can be decrypted.
    async fn earlier(&self, account: &AccountKey) -> Option<OAuthAccount> {
        let sealed = self.store.account(account).await.ok().flatten()?;
        self.kept.open(account, &sealed).ok()
    }

    /// Stores the tokens, with an audit record of who connected the account.
    async fn put(
        &self,
        actor: &ChangeActor,
        account: &AccountKey,
        tokens: &OAuthAccount,
    ) -> Result<(), LoginError> {
        let sealed = self.kept.seal(account, tokens);
        let sealed = sealed.map_err(|error| LoginError::Sealed(error.to_string()))?;
        self.store
            .put_account(Some(actor), account, &sealed)
            .await?;
        Ok(())
    }

    /// The client registration of an earlier login with the same redirect URL, unless the last
    /// login with it never came back.
    async fn registered(
        &self,
        wish: &LoginRequest<'_>,
        server: &Url,
        settings: &OAuthSettings,
    ) -> Option<SavedRegistration> {
        if settings.client_id.is_some() {
            return None;
        }
        let key = place_of_client(wish);
        let sealed = self.store.account(&key).await.ok().flatten()?;
        let opened = self
            .keys
            .to_open()
            .ok()?
            .open(&places::account(&key), &sealed)
            .ok()?;
        let registered: SavedRegistration = serde_json::from_str(opened.expose()).ok()?;
        (registered.is_proven && registered.client.server == *server).then_some(registered)
    }

    /// Stores a registration, and whether a login with it came back.
    async fn note_client(
        &self,
        wish: &LoginRequest<'_>,
        settings: &OAuthSettings,
        client: &ClientRegistration,
        is_proven: bool,
    ) -> Result<(), LoginError> {
        if settings.client_id.is_some() {
            return Ok(());
        }
        let key = place_of_client(wish);
        let registered = SavedRegistration {
            client: client.clone(),
            is_proven,
        };
        let text = serde_json::to_string(&registered)
            .map_err(|error| LoginError::Sealed(error.to_string()))?;
        let sealed = self.keys.to_seal()?.seal(&places::account(&key), &text);
        self.store.put_account(None, &key, &sealed).await?;
        Ok(())
    }
}

/// The server and the OAuth settings of a login.
pub fn oauth_of(bridge: &config::BridgeSettings) -> Result<(&Url, &OAuthSettings), LoginError> {
    let name = &bridge.name;
    let not =
        |why: &str| LoginError::NotHere(format!("bridge `{name}` does not use a login: {why}"));
    match &bridge.transport {
        Err(disabled) => Err(not(&disabled.0)),
        Ok(TransportSettings::Stdio(_)) => Err(not("its server is a program")),
        Ok(TransportSettings::Remote(remote)) => match &remote.oauth {
            None => Err(not(
                "it has no `oauth`, or a configured key takes precedence",
            )),
            Some(settings) if settings.grant == OAuthGrant::ClientCredentials => {
                Err(not("it gets its token by `client_credentials`"))
            }
            Some(settings) => Ok((&remote.url, settings)),
        },
    }
}

/// The scopes that were granted and those that the server has asked for since.
fn scopes_of(account: &OAuthAccount) -> Vec<String> {
    let granted = account.scopes().iter();
    granted.chain(&account.wanted).cloned().collect()
}

/// The place of a registration: one for each redirect URL.
fn place_of_client(wish: &LoginRequest<'_>) -> AccountKey {
    AccountKey {
        workspace: config::DEFAULT_WORKSPACE.to_owned(),
        bridge: wish.account.bridge.clone(),
        subject: format!("client:{}", wish.redirect_url),
    }
}

/// The redirect URL of a registration.
fn redirect_of(client: &ClientRegistration) -> Result<Url, LoginError> {
    let parsed = client.redirect_url.parse();
    parsed.map_err(|error: url::ParseError| LoginError::Sealed(error.to_string()))
}

/// The hash of a state in hex. A reader of the table cannot use it to finish the login.
fn hash_of(state: &str) -> String {
    let hash: [u8; 32] = Sha256::digest(state).into();
    let (high, low) = hash.split_at(16);
    let number = |half: &[u8]| {
        half.iter()
            .fold(0_u128, |number, byte| (number << 8) | u128::from(*byte))
    };
    format!("{:032x}{:032x}", number(high), number(low))
}

/// When a login that starts now expires, in microseconds since 1970.
fn ends_at() -> i64 {
    let end = SystemTime::now() + AWAY_MAX;
    let end = end.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(end.as_micros()).unwrap_or(i64::MAX)
}

/// A refusal in the words of the authorization server, shortened.
fn words(error: &str, answer: &AuthorizationResponse) -> String {
    let text = match answer.error_description.as_deref() {
        Some(description) if !description.is_empty() => format!("{error}: {description}"),
        _ => error.to_owned(),
    };
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let cut: String = line.chars().take(WORDS_MAX).collect();
    let is_of_resource = matches!(error, "invalid_target" | "invalid_request")
        && (error == "invalid_target" || line.to_lowercase().contains("resource"));
    if is_of_resource {
        format!("{}; {RESOURCE_HINT}", cut.trim_end_matches('.'))
    } else {
        cut
    }
}
