//! [`CredentialProvider`]: what a session presents to its server.

use std::{collections::BTreeMap, fmt, sync::Arc};

use tokio::{sync::watch, task::spawn_blocking};

use super::{AccountRegistry, GroupCredentials, GroupKeyError, GroupKeys, SessionOwner};
use crate::{
    auth::Caller,
    config::{self, CredentialScope, HeaderSource, OAuthGrant, TransportSettings},
    mcp::{self, TokenSource},
    name::BridgeName,
    secret::Secret,
    store::StoreError,
};

/// Resolves a bridge again, with other values for some variables.
pub type Variants = dyn Fn(
        &BridgeName,
        &BTreeMap<String, Secret>,
        HeaderSource,
    ) -> Result<config::BridgeSettings, String>
    + Send
    + Sync;

/// How a session reaches its server, and which credential it presents.
#[derive(Debug)]
pub struct SessionTarget {
    /// How to reach the server.
    pub transport: TransportSettings,
    /// The token to present, if it can change.
    pub credential: Option<Arc<dyn TokenSource>>,
    /// The connection pool, if the address does not come from the operator.
    pub client: Option<reqwest::Client>,
}

/// Why an owner has no credential.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    /// There are no keys for the owner.
    #[error("{0}")]
    NoKeys(String),
    /// There are keys, but they are unusable: they cannot be decrypted, or do not name a server.
    #[error("{0}")]
    Unusable(String),
}

/// The credentials of sessions.
pub struct CredentialProvider {
    /// Logins.
    accounts: Arc<AccountRegistry>,
    /// Keys of groups.
    group_keys: Arc<GroupKeys>,
    /// Resolves a bridge with a group's keys.
    variants: Arc<Variants>,
}

impl fmt::Debug for CredentialProvider {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("CredentialProvider")
            .finish_non_exhaustive()
    }
}

impl CredentialProvider {
    /// Combines logins, keys of groups, and the configuration that the keys are inserted into.
    pub fn new(
        accounts: Arc<AccountRegistry>,
        group_keys: Arc<GroupKeys>,
        variants: Box<Variants>,
    ) -> Self {
        Self {
            accounts,
            group_keys,
            variants: variants.into(),
        }
    }

    /// The logins.
    pub fn accounts(&self) -> &Arc<AccountRegistry> {
        &self.accounts
    }

    /// The owner of the session that a call uses. A group's keys take precedence over the shared
    /// ones. If a group's keys cannot be opened, the call is refused; other keys are never used
    /// instead.
    pub async fn owner(
        &self,
        bridge: &config::BridgeSettings,
        caller: &Caller,
        groups: &[Arc<str>],
    ) -> Result<SessionOwner, CredentialError> {
        if bridge.credential == CredentialScope::Caller {
            return SessionOwner::caller(caller).ok_or_else(|| {
                let words = "it uses each caller's own account, and this request is anonymous";
                CredentialError::NoKeys(words.to_owned())
            });
        }
        let mut keys = self.group_keys.of(groups, &bridge.name);
        if keys == Err(GroupKeyError::Unread) {
            self.group_keys.ready().await;
            keys = self.group_keys.of(groups, &bridge.name);
            // If the database was unreachable from the start, only calls that need no grant get
            // here ([access] is not configured). They need no database and continue.
            if keys == Err(GroupKeyError::Unread) && bridge.credential == CredentialScope::Shared {
                return Ok(SessionOwner::Shared);
            }
        }
        let keys = keys.map_err(|error| CredentialError::Unusable(error.to_string()))?;
        match (keys, bridge.credential) {
            (Some(key), _) => Ok(SessionOwner::Group {
                name: Arc::clone(&key.group),
                revision: key.revision,
            }),
            (None, CredentialScope::Group) => Err(CredentialError::NoKeys(
                "it needs keys of one of your groups, and none of your groups has keys; an administrator can set them on /admin"
                    .to_owned(),
            )),
            (None, CredentialScope::Shared | CredentialScope::Caller) => Ok(SessionOwner::Shared),
        }
    }

    /// What a session of an owner presents.
    pub async fn session_target(
        &self,
        bridge: &config::BridgeSettings,
        owner: &SessionOwner,
    ) -> Result<SessionTarget, CredentialError> {
        if let SessionOwner::Group { name, .. } = owner {
            return self.target_by_group(bridge, name).await;
        }
        let transport = match &bridge.transport {
            Ok(transport) => transport.clone(),
            Err(disabled) => return Err(CredentialError::Unusable(disabled.0.clone())),
        };
        let credential = self.token_of(bridge, &transport, owner);
        Ok(SessionTarget {
            transport,
            credential,
            client: None,
        })
    }

    /// The token of an owner's session, if OAuth is used.
    fn token_of(
        &self,
        bridge: &config::BridgeSettings,
        transport: &TransportSettings,
        owner: &SessionOwner,
    ) -> Option<Arc<dyn TokenSource>> {
        let TransportSettings::Remote(remote) = transport else {
            return None;
        };
        let settings = remote.oauth.as_ref()?;
        Some(match settings.grant {
            OAuthGrant::ClientCredentials => {
                self.accounts
                    .machine(bridge.name.as_str(), &remote.url, settings)
            }
            OAuthGrant::AuthorizationCode => {
                let key = owner.account(bridge.name.as_str())?;
                self.accounts.account(key, &remote.url, settings)
            }
        })
    }

    /// The keys that a session of an owner gives to its server in addition to those of the
    /// configuration.
    pub fn keys_of(&self, bridge: &config::BridgeSettings, owner: &SessionOwner) -> Vec<Secret> {
        let SessionOwner::Group { name, .. } = owner else {
            return Vec::new();
        };
        let groups = std::slice::from_ref(name);
        match self.group_keys.of(groups, &bridge.name) {
            Ok(Some(key)) => key.values.values().cloned().collect(),
            Ok(None) | Err(_) => Vec::new(),
        }
    }

    /// Inserts a group's keys in place of the shared ones. If an administrator has set another
    /// server for the group, that server gets none of the operator's credentials: no header from
    /// the file, no variable from the environment, and no login.
    async fn target_by_group(
        &self,
        bridge: &config::BridgeSettings,
        group: &Arc<str>,
    ) -> Result<SessionTarget, CredentialError> {
        let gone = || CredentialError::NoKeys(format!("the keys of group `{group}` were removed"));
        let found = self
            .group_keys
            .of(std::slice::from_ref(group), &bridge.name)
            .map_err(|error| CredentialError::Unusable(error.to_string()))?;
        let key: Arc<GroupCredentials> = found.ok_or_else(gone)?;
        let values = key.values.values().cloned();
        self.accounts.hide(bridge.name.as_str(), group, values);
        let (variants, wanted) = (Arc::clone(&self.variants), Arc::clone(&key));
        let name = bridge.name.clone();
        let headers = if key.endpoint.is_some() {
            HeaderSource::Group
        } else {
            HeaderSource::Operator
        };
        // This reads the configuration again.
        let resolving = spawn_blocking(move || variants(&name, &wanted.values, headers));
        let variant = resolving
            .await
            .map_err(|error| CredentialError::Unusable(error.to_string()))?
            .map_err(CredentialError::Unusable)?;
        let mut transport = variant.transport.map_err(|disabled| {
            let reason = disabled.0;
            CredentialError::NoKeys(format!(
                "the keys of group `{group}` are incomplete: {reason}"
            ))
        })?;
        let mut client = None;
        if let (Some(endpoint), TransportSettings::Remote(remote)) = (&key.endpoint, &mut transport)
        {
            // The endpoint comes from an administrator, so it must not lead into the private
            // network.
            let allows_private = remote.oauth.as_ref().is_some_and(|it| it.private_network);
            let guarded = mcp::guarded_client(&remote.url, endpoint, allows_private);
            client = Some(guarded.map_err(|error| CredentialError::Unusable(error.to_string()))?);
            remote.url = endpoint.clone();
        }
        Ok(SessionTarget {
            transport,
            credential: None,
            client,
        })
    }

    /// Changes when an account, a group's key or an endpoint changes; `None` without a database.
    pub fn changes(&self) -> Option<watch::Receiver<u64>> {
        self.accounts.changes()
    }

    /// The stored tools of a bridge from an earlier run.
    pub async fn known_tools(&self, bridge: &BridgeName) -> Result<Option<String>, StoreError> {
        match self.accounts.store() {
            Some(store) => store.known_tools(bridge.as_str()).await,
            None => Ok(None),
        }
    }

    /// The last list of a bridge's tools that this process or another one stored.
    pub async fn listed_tools(&self, bridge: &BridgeName) -> Result<Option<String>, StoreError> {
        match self.accounts.store() {
            Some(store) => store.listed_tools(bridge.as_str()).await,
            None => Ok(None),
        }
    }

    /// Stores the list of a bridge's tools.
    pub async fn note_listed(&self, bridge: &BridgeName, list: &str) -> Result<(), StoreError> {
        match self.accounts.store() {
            Some(store) => store.put_listed_tools(bridge.as_str(), list).await,
            None => Ok(()),
        }
    }

    /// Stores the tools of a bridge.
    pub async fn remember_tools(&self, bridge: &BridgeName, list: &str) -> Result<(), StoreError> {
        match self.accounts.store() {
            Some(store) => store.put_known_tools(bridge.as_str(), list).await,
            None => Ok(()),
        }
    }
}
