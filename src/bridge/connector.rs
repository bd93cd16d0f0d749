//! [`SessionFactory`]: connects to the server of a bridge, with the credentials of an owner.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::{
    context::BridgeContext, error::SessionOpenError, tool_lists::SessionTools, tools::holds_secret,
};
use crate::{
    config,
    credential::{CredentialError, SessionOwner},
    mcp::{
        AnswerLimits, AuthorizedClient, ConnectError, DetectedProtocol, LastOutput,
        ServerConnector, ServerSession, TokenError,
    },
    secret::{Redactor, Secret},
};

/// Opens the sessions of one bridge.
#[derive(Debug)]
pub(super) struct SessionFactory {
    /// The configuration of the bridge.
    config: Arc<config::BridgeSettings>,
    /// What all bridges share.
    context: BridgeContext,
    /// Size limits of a result and of a tool list.
    bounds: AnswerLimits,
    /// Ends every session of the bridge.
    stop: CancellationToken,
}

impl SessionFactory {
    /// A factory whose sessions end when `stop` is canceled.
    pub fn new(
        config: &Arc<config::BridgeSettings>,
        context: BridgeContext,
        bounds: AnswerLimits,
        stop: CancellationToken,
    ) -> Self {
        Self {
            config: Arc::clone(config),
            context,
            bounds,
            stop,
        }
    }

    /// What all bridges share.
    pub fn context(&self) -> &BridgeContext {
        &self.context
    }

    /// Redacts secrets from the server's output.
    pub fn redactor(&self) -> &Redactor {
        &self.context.redactor
    }

    /// Canceled when the bridge ends.
    pub fn stop(&self) -> &CancellationToken {
        &self.stop
    }

    /// Connects for an owner. `last_words` receives the last output of a started program, also if
    /// the connect fails.
    pub async fn open(
        &self,
        owner: &SessionOwner,
        known: DetectedProtocol,
        last_words: &mut Option<Arc<LastOutput>>,
    ) -> Result<ServerSession, SessionOpenError> {
        let connector = self.connector(owner).await;
        let connector = connector.map_err(SessionOpenError::Denied)?;
        let connected = connector.connect(known, last_words).await;
        connected.map_err(SessionOpenError::Connect)
    }

    /// Builds the connector for an owner's sessions.
    async fn connector(&self, owner: &SessionOwner) -> Result<ServerConnector, CredentialError> {
        let shown = self
            .context
            .credentials
            .session_target(&self.config, owner)
            .await?;
        Ok(ServerConnector {
            bridge: self.config.name.clone(),
            transport: shown.transport,
            limit: self.config.connect_timeout,
            bounds: self.bounds,
            courier: AuthorizedClient {
                client: shown.client.unwrap_or_else(|| self.context.http.clone()),
                credential: shown.credential,
            },
            redactor: self.context.redactor.clone(),
            tracker: self.context.tracker.clone(),
        })
    }

    /// Reads the tool list of an owner's session. Leaves out tools whose name contains a secret
    /// that this session gave to its server: a tool is called by its name, so the name cannot be
    /// changed.
    pub async fn list_tools(
        &self,
        owner: &SessionOwner,
        session: &ServerSession,
    ) -> Result<SessionTools, ConnectError> {
        let mut list = session.list_tools(self.config.connect_timeout).await?;
        let flaws = session.flaws().into();
        let given = Redactor::default();
        given.learn_all(self.context.credentials.keys_of(&self.config, owner));
        given.learn_all(self.token(owner).await.and_then(Result::ok));
        let all = list.len();
        list.retain(|tool| !holds_secret(tool, &given));
        let left_out = all - list.len();
        if left_out > 0 {
            tracing::warn!(
                bridge.name = %self.config.name,
                "{left_out} tools are left out: their names contain a secret that the server was given"
            );
        }
        Ok(SessionTools { list, flaws })
    }

    /// The token of an owner, or why there is none; `None` if the server needs no token.
    pub async fn token(&self, owner: &SessionOwner) -> Option<Result<Secret, TokenError>> {
        let shown = self.context.credentials.session_target(&self.config, owner);
        Some(shown.await.ok()?.credential?.token().await)
    }

    /// Explains why a session ended before it was ready. A rejected token explains more than the
    /// connection that closed because of it, and so does the exit status of a child.
    pub async fn explained(
        &self,
        owner: &SessionOwner,
        session: &ServerSession,
        error: ConnectError,
    ) -> SessionOpenError {
        let no_token = self.token(owner).await.and_then(Result::err);
        SessionOpenError::Connect(match no_token {
            Some(why) => ConnectError::NoToken(why),
            None => with_exit(error, session),
        })
    }
}

/// If a child exited while it listed its tools, its exit status explains more than the lost
/// connection.
fn with_exit(error: ConnectError, session: &ServerSession) -> ConnectError {
    let last_words = session.last_words.as_ref();
    match (last_words.and_then(|words| words.exit()), &error) {
        (Some(exit), ConnectError::Closed(_)) => ConnectError::Exited {
            exit: exit.to_owned(),
            last_words: last_words
                .and_then(|words| words.lines().pop())
                .map_or_else(String::new, |line| format!(": {line}")),
        },
        _ => error,
    }
}
