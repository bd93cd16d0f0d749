//! [`MachineToken`]: a token that the server issues without a user login (OAuth client credentials, RFC
//! 6749 §4.4).

use std::{sync::Arc, time::SystemTime};

use arc_swap::ArcSwapOption;
use futures::future::BoxFuture;
use tokio::sync::Mutex;
use url::Url;

use crate::{
    config::OAuthSettings,
    mcp::{
        TokenError, TokenSource,
        oauth::{self, OAuthError},
    },
    secret::{Redactor, Secret, SecretSource},
};

/// A bridge's own token. It is never stored, because a new one costs only one request.
#[derive(Debug)]
pub struct MachineToken {
    /// The server.
    pub(super) server: Url,
    /// The client ID and secret at the server.
    pub(super) settings: OAuthSettings,
    /// Redacts the token from logs and output.
    redactor: Redactor,
    /// The bridge, as the source of the token for the redactor.
    giver: SecretSource,
    /// The current token, and when to renew it.
    held: ArcSwapOption<(Secret, Option<SystemTime>)>,
    /// Held by the one task that requests a token.
    turn: Mutex<()>,
}

impl MachineToken {
    /// A machine without a token yet.
    pub fn new(
        bridge: &str,
        server: &Url,
        settings: &OAuthSettings,
        redactor: Redactor,
    ) -> Arc<Self> {
        Arc::new(Self {
            server: server.clone(),
            settings: settings.clone(),
            redactor,
            giver: SecretSource::stranger(bridge, ""),
            held: ArcSwapOption::empty(),
            turn: Mutex::new(()),
        })
    }

    /// The current token, unless it is the refused one.
    fn other_than(&self, refused: Option<&Secret>) -> Option<Secret> {
        let held = self.held.load();
        let (token, renew_at) = held.as_deref()?;
        let is_due = renew_at.is_some_and(|at| SystemTime::now() >= at);
        (!is_due && refused != Some(token)).then(|| token.clone())
    }

    /// Requests a token, unless another caller just did.
    async fn ask(&self, refused: Option<&Secret>) -> Result<Secret, TokenError> {
        let _turn = self.turn.lock().await;
        if let Some(token) = self.other_than(refused) {
            return Ok(token);
        }
        let asked = oauth::client_credentials(&self.server, &self.settings).await;
        let account = asked.map_err(|error| match error {
            OAuthError::Client(_) | OAuthError::Rejected(_) | OAuthError::Refused(_) => {
                TokenError::Refused(error.to_string())
            }
            other => TokenError::Unavailable(other.to_string()),
        })?;
        self.redactor.learn_from(&self.giver, account.secrets());
        let token = account
            .access_token()
            .ok_or_else(|| TokenError::Unavailable("it gave no token".to_owned()))?;
        let held = (token.clone(), account.renew_at());
        self.held.store(Some(Arc::new(held)));
        Ok(token)
    }
}

impl TokenSource for MachineToken {
    fn token(&self) -> BoxFuture<'_, Result<Secret, TokenError>> {
        Box::pin(async {
            match self.other_than(None) {
                Some(token) => Ok(token),
                None => self.ask(None).await,
            }
        })
    }

    fn renewed<'a>(&'a self, refused: &'a Secret) -> BoxFuture<'a, Result<Secret, TokenError>> {
        Box::pin(self.ask(Some(refused)))
    }

    fn lacks<'a>(&'a self, scopes: &'a str) -> BoxFuture<'a, TokenError> {
        let words = format!(
            "the server asks for the scopes `{scopes}`; add them to `scopes` in its `oauth` table"
        );
        Box::pin(std::future::ready(TokenError::NeedsScope(words)))
    }
}
