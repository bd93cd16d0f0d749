//! [`Credentials`]: what a session shows to its server.

use std::{collections::BTreeMap, fmt, sync::Arc};

use tokio::{sync::watch, task::spawn_blocking};

use super::{Accounts, GroupKey, GroupKeyRefusal, GroupKeys, Owner};
use crate::{
    auth::Caller,
    config::{self, CredentialKind, HeaderSource, OAuthGrant, Transport},
    mcp::{self, Credential},
    name::BridgeName,
    secret::Secret,
    store::StoreError,
};

/// Resolves a bridge anew, with other values for some variables.
pub type Variants = dyn Fn(&BridgeName, &BTreeMap<String, Secret>, HeaderSource) -> Result<config::Bridge, String>
    + Send
    + Sync;

/// How a session reaches its server, and what it shows there.
#[derive(Debug)]
pub struct Shown {
    /// How the server is reached.
    pub transport: Transport,
    /// The token that is shown, where it may change.
    pub credential: Option<Arc<dyn Credential>>,
    /// The connection pool, where the address is not the operator's word.
    pub client: Option<reqwest::Client>,
}

/// Why an owner has nothing to show.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// There are no keys for them.
    #[error("{0}")]
    NoKeys(String),
    /// There are, and they cannot be used: they are not opened, or name no server.
    #[error("{0}")]
    Unusable(String),
}

/// What sessions show to their servers.
pub struct Credentials {
    /// Logins.
    accounts: Arc<Accounts>,
    /// Keys of groups.
    group_keys: Arc<GroupKeys>,
    /// Resolves a bridge with a group's keys.
    variants: Arc<Variants>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Credentials")
            .finish_non_exhaustive()
    }
}

impl Credentials {
    /// From logins, keys of groups, and the configuration that these are put into.
    pub fn new(
        accounts: Arc<Accounts>,
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
    pub fn accounts(&self) -> &Arc<Accounts> {
        &self.accounts
    }

    /// Whose session a call goes through. A group's keys come before the shared ones (requirements
    /// §1.4); what cannot be opened is refused, and never replaced by another's.
    pub async fn owner(
        &self,
        bridge: &config::Bridge,
        caller: &Caller,
        groups: &[Arc<str>],
    ) -> Result<Owner, Denied> {
        if bridge.credential == CredentialKind::Caller {
            return Owner::caller(caller).ok_or_else(|| {
                let words =
                    "it acts for each caller with their own account, and who calls is not known";
                Denied::NoKeys(words.to_owned())
            });
        }
        let mut keys = self.group_keys.of(groups, &bridge.name);
        if keys == Err(GroupKeyRefusal::Unread) {
            self.group_keys.ready().await;
            keys = self.group_keys.of(groups, &bridge.name);
            // With the database away from the start, only those get here whom no grant decides for
            // ([access] is not configured): their calls need no database, and go on.
            if keys == Err(GroupKeyRefusal::Unread) && bridge.credential == CredentialKind::Shared {
                return Ok(Owner::Shared);
            }
        }
        let keys = keys.map_err(|error| Denied::Unusable(error.to_string()))?;
        match (keys, bridge.credential) {
            (Some(key), _) => Ok(Owner::Group {
                name: Arc::clone(&key.group),
                revision: key.revision,
            }),
            (None, CredentialKind::Group) => Err(Denied::NoKeys(
                "it needs keys of one of your groups, and none of them has any; an administrator sets them on /admin"
                    .to_owned(),
            )),
            (None, CredentialKind::Shared | CredentialKind::Caller) => Ok(Owner::Shared),
        }
    }

    /// What a session of an owner shows.
    pub async fn shown(&self, bridge: &config::Bridge, owner: &Owner) -> Result<Shown, Denied> {
        if let Owner::Group { name, .. } = owner {
            return self.shown_by_group(bridge, name).await;
        }
        let transport = match &bridge.transport {
            Ok(transport) => transport.clone(),
            Err(disabled) => return Err(Denied::Unusable(disabled.0.clone())),
        };
        let credential = self.token_of(bridge, &transport, owner);
        Ok(Shown {
            transport,
            credential,
            client: None,
        })
    }

    /// The token that an owner's session shows, where OAuth is in use.
    fn token_of(
        &self,
        bridge: &config::Bridge,
        transport: &Transport,
        owner: &Owner,
    ) -> Option<Arc<dyn Credential>> {
        let Transport::Remote(remote) = transport else {
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

    /// The keys that a session of an owner gives to its server beside those of the configuration.
    pub fn keys_of(&self, bridge: &config::Bridge, owner: &Owner) -> Vec<Secret> {
        let Owner::Group { name, .. } = owner else {
            return Vec::new();
        };
        let groups = std::slice::from_ref(name);
        match self.group_keys.of(groups, &bridge.name) {
            Ok(Some(key)) => key.values.values().cloned().collect(),
            Ok(None) | Err(_) => Vec::new(),
        }
    }

    /// A group's keys, put where the shared ones would be. Where an administrator has named another
    /// server for the group, none of the operator's credentials goes there: not a header of the file,
    /// not a variable of the environment, not a login.
    async fn shown_by_group(
        &self,
        bridge: &config::Bridge,
        group: &Arc<str>,
    ) -> Result<Shown, Denied> {
        let gone = || Denied::NoKeys(format!("the keys of group `{group}` are gone"));
        let found = self
            .group_keys
            .of(std::slice::from_ref(group), &bridge.name)
            .map_err(|error| Denied::Unusable(error.to_string()))?;
        let key: Arc<GroupKey> = found.ok_or_else(gone)?;
        let values = key.values.values().cloned();
        self.accounts.hide(bridge.name.as_str(), group, values);
        let (variants, wanted) = (Arc::clone(&self.variants), Arc::clone(&key));
        let name = bridge.name.clone();
        let headers = if key.endpoint.is_some() {
            HeaderSource::Group
        } else {
            HeaderSource::Operator
        };
        // It reads the configuration anew.
        let resolving = spawn_blocking(move || variants(&name, &wanted.values, headers));
        let variant = resolving
            .await
            .map_err(|error| Denied::Unusable(error.to_string()))?
            .map_err(Denied::Unusable)?;
        let mut transport = variant.transport.map_err(|disabled| {
            let reason = disabled.0;
            Denied::NoKeys(format!(
                "the keys of group `{group}` are not all there: {reason}"
            ))
        })?;
        let mut client = None;
        if let (Some(endpoint), Transport::Remote(remote)) = (&key.endpoint, &mut transport) {
            // An administrator's word: it does not lead into our own network.
            let allows_private = remote.oauth.as_ref().is_some_and(|it| it.private_network);
            let guarded = mcp::guarded_client(&remote.url, endpoint, allows_private);
            client = Some(guarded.map_err(|error| Denied::Unusable(error.to_string()))?);
            remote.url = endpoint.clone();
        }
        Ok(Shown {
            transport,
            credential: None,
            client,
        })
    }

    /// Moves when an account, a group's key or an endpoint changed; `None` where nothing is kept.
    pub fn changes(&self) -> Option<watch::Receiver<u64>> {
        self.accounts.changes()
    }

    /// The tools of a bridge that were known before the start.
    pub async fn known_tools(&self, bridge: &BridgeName) -> Result<Option<String>, StoreError> {
        match self.accounts.store() {
            Some(store) => store.known_tools(bridge.as_str()).await,
            None => Ok(None),
        }
    }

    /// What was last listed of the tools of a bridge, by this process or another one.
    pub async fn listed_tools(&self, bridge: &BridgeName) -> Result<Option<String>, StoreError> {
        match self.accounts.store() {
            Some(store) => store.listed_tools(bridge.as_str()).await,
            None => Ok(None),
        }
    }

    /// Writes down what is listed of the tools of a bridge.
    pub async fn note_listed(&self, bridge: &BridgeName, list: &str) -> Result<(), StoreError> {
        match self.accounts.store() {
            Some(store) => store.put_listed_tools(bridge.as_str(), list).await,
            None => Ok(()),
        }
    }

    /// Writes down which tools a bridge has.
    pub async fn remember_tools(&self, bridge: &BridgeName, list: &str) -> Result<(), StoreError> {
        match self.accounts.store() {
            Some(store) => store.put_known_tools(bridge.as_str(), list).await,
            None => Ok(()),
        }
    }
}
