//! [`Opener`]: opens the sessions of a bridge, both shared ones and those of one owner.

use std::sync::Arc;

use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::{
    context::Context,
    error::{Failure, Unopened},
    handle::Bridge,
    tools::{Toolset, holds_secret},
};
use crate::{
    config::{CredentialKind, Flavor},
    credential::{Denied, Owner},
    mcp::{Bounds, ConnectError, Connector, Courier, Known, NoToken, Session},
    secret::Redactor,
};

/// How many flaws of one tool list are logged. `/servers` and `check` show more of them.
const WARNINGS_LOGGED_MAX: usize = 20;

/// What opening a session needs.
#[derive(Debug)]
pub(super) struct Opener {
    /// What all bridges share.
    pub context: Context,
    /// How tools are published.
    pub flavor: Flavor,
    /// Size limits of a result and of a tool list.
    pub bounds: Bounds,
    /// Ends every session of the bridge.
    pub stop: CancellationToken,
}

impl Bridge {
    /// Builds the connector for an owner's sessions.
    async fn connector(&self, owner: &Owner) -> Result<Connector, Denied> {
        let opener = &self.opener;
        let shown = opener
            .context
            .credentials
            .shown(&self.config, owner)
            .await?;
        Ok(Connector {
            bridge: self.name().clone(),
            transport: shown.transport,
            limit: self.config.connect_timeout,
            bounds: opener.bounds,
            courier: Courier {
                client: shown.client.unwrap_or_else(|| opener.context.http.clone()),
                credential: shown.credential,
            },
            redactor: opener.context.redactor.clone(),
            tracker: opener.context.tracker.clone(),
        })
    }

    /// Redacts secrets from the server's output.
    pub(super) fn redactor(&self) -> &Redactor {
        &self.opener.context.redactor
    }

    /// Connects for an owner.
    pub(super) async fn open(&self, owner: &Owner, known: Known) -> Result<Session, Unopened> {
        let connector = self.connector(owner).await.map_err(Unopened::Denied)?;
        let mut last_words = None;
        let connected = connector.connect(known, &mut last_words).await;
        // Other users must not read the output of one owner's process.
        if *owner == Owner::Shared {
            self.live.last_words.store(last_words);
        }
        connected.map_err(Unopened::Connect)
    }

    /// Reads the tool list of the shared session and swaps the published tools.
    pub(super) async fn read_tools(&self, session: &Session) -> Result<(), ConnectError> {
        let list = self.list_tools(&Owner::Shared, session).await?;
        self.publish_tools(list).await
    }

    /// Reads the tool list of an owner's session. Leaves out tools whose name contains a secret
    /// that this session gave to its server: a tool is called by its name, so the name cannot be
    /// changed.
    pub(super) async fn list_tools(
        &self,
        owner: &Owner,
        session: &Session,
    ) -> Result<Vec<Value>, ConnectError> {
        let mut list = session.list_tools(self.config.connect_timeout).await?;
        self.live.flaws.store(Arc::new(session.flaws().into()));
        let given = Redactor::default();
        given.learn_all(self.opener.context.credentials.keys_of(&self.config, owner));
        given.learn_all(self.token(owner).await.and_then(Result::ok));
        let all = list.len();
        list.retain(|tool| !holds_secret(tool, &given));
        let left_out = all - list.len();
        if left_out > 0 {
            tracing::warn!(
                bridge.name = %self.name(),
                "{left_out} tools are left out: their names contain a secret that the server was given"
            );
        }
        Ok(list)
    }

    /// Publishes a tool list.
    pub(super) async fn publish_tools(&self, list: Vec<Value>) -> Result<(), ConnectError> {
        let set = self.compile(list).await?;
        for warning in set.warnings.iter().take(WARNINGS_LOGGED_MAX) {
            tracing::warn!(bridge.name = %self.name(), %warning, "the server's tool list has a flaw");
        }
        let set = Arc::new(set);
        self.live.tools.store(Arc::clone(&set));
        self.note_listed(&set);
        self.changed.notify_one();
        Ok(())
    }

    /// Compiles the tools on a thread where they do not block the async runtime.
    async fn compile(&self, list: Vec<Value>) -> Result<Toolset, ConnectError> {
        let (config, flavor) = (self.config.clone(), self.opener.flavor);
        let (old, redactor) = (self.live.tools.load_full(), self.redactor().clone());
        let flaws = Arc::clone(&**self.live.flaws.load());
        let compiling = move || Toolset::compile(list, flaws, &config, flavor, &old, &redactor);
        let compiled = self.opener.context.tracker.spawn_blocking(compiling);
        compiled.await.map_err(|error| {
            ConnectError::Protocol(format!("its tools cannot be compiled: {error}"))
        })
    }

    /// Turns a failure to open a session into the failure of a call.
    pub(super) fn unopened(&self, unopened: Unopened) -> Failure {
        let bridge = self.name().to_string();
        match unopened {
            Unopened::Denied(denied) => self.denied(denied),
            Unopened::Connect(ConnectError::NoToken(why)) => self.without_token(&why),
            Unopened::Connect(error @ ConnectError::Auth(..)) => Failure::Refused {
                bridge,
                reason: error.to_string(),
            },
            Unopened::Connect(error) => Failure::Unavailable {
                bridge,
                reason: error.to_string(),
                retry_after: 5,
            },
        }
    }

    /// Turns a missing credential of the owner into the failure of a call.
    pub fn denied(&self, denied: Denied) -> Failure {
        let bridge = self.name().to_string();
        match denied {
            Denied::NoKeys(reason) => Failure::NoCredential { bridge, reason },
            Denied::Unusable(reason) => Failure::Unavailable {
                bridge,
                reason,
                retry_after: 60,
            },
        }
    }

    /// Turns a missing token into the failure of a call.
    pub(super) fn without_token(&self, why: &NoToken) -> Failure {
        let bridge = self.name().to_string();
        let reason = why.to_string();
        match (why, self.config.credential) {
            (NoToken::Refused(_), _) => Failure::Refused { bridge, reason },
            (NoToken::Unavailable(_), _) => Failure::Unavailable {
                bridge,
                reason,
                retry_after: 5,
            },
            (NoToken::NeedsLogin(_) | NoToken::NeedsScope(_), CredentialKind::Caller) => {
                Failure::ConnectRequired { bridge, reason }
            }
            (
                NoToken::NeedsLogin(_) | NoToken::NeedsScope(_),
                CredentialKind::Shared | CredentialKind::Group,
            ) => Failure::NeedsLogin { bridge, reason },
        }
    }
}
