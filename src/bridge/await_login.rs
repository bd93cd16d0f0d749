//! Waits for a login to the server of a bridge with one shared account.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

use super::{
    command::Command,
    handle::Bridge,
    status::{Phase, Status},
    supervisor::Supervisor,
};
use crate::{config::OAuthGrant, credential::Owner, mcp::NoToken, secret::Secret};

/// A token that the server rejected is presented again after this time. The server may accept it
/// later without a new login, and this avoids frequent retries.
pub(super) const SAME_AGAIN: Duration = Duration::from_mins(5);

/// A login that the bridge waits for.
#[derive(Debug)]
pub(super) struct Login {
    /// The bridge whose server needs the login.
    bridge: Arc<Bridge>,
    /// Changes whenever an account changes; `None` if accounts are not stored, so that a login is
    /// impossible.
    changes: Option<watch::Receiver<u64>>,
    /// The current token, which the server rejected.
    refused: Option<Secret>,
}

impl Login {
    /// A wait for a token that differs from the current one.
    async fn after_this(bridge: &Arc<Bridge>) -> Self {
        let changes = bridge.opener.context.credentials.changes();
        let refused = match bridge.token(&Owner::Shared).await {
            Some(Ok(token)) => Some(token),
            Some(Err(_)) | None => None,
        };
        Self {
            bridge: Arc::clone(bridge),
            changes,
            refused,
        }
    }

    /// Waits for the login. Can be canceled and called again.
    pub async fn comes(&mut self) {
        // An account of any bridge may have changed; checking costs one query. Check once before
        // the first change, because the login may already have happened.
        while !self.has_come().await {
            let has_moved = match &mut self.changes {
                Some(changes) => changes.changed().await.is_ok(),
                None => false,
            };
            if !has_moved {
                return std::future::pending().await;
            }
        }
    }

    /// Whether a token other than the rejected one is available.
    async fn has_come(&self) -> bool {
        match self.bridge.token(&Owner::Shared).await {
            Some(Err(NoToken::NeedsLogin(_) | NoToken::NeedsScope(_))) => false,
            Some(Ok(token)) => self.refused != Some(token),
            Some(Err(NoToken::Refused(_) | NoToken::Unavailable(_))) | None => true,
        }
    }
}

impl Supervisor {
    /// Waits for a login, with status `needs_login`, or `disabled` for a bridge that is enabled
    /// only after a login. The server is not contacted in the meantime.
    pub(super) async fn wait_for_login(&mut self, why: &NoToken) {
        let reason = match &self.bridge.config.waits_for_login {
            Some(reason) => reason.clone(),
            None => format!("{why}: mcp-bridge login {}", self.bridge.name()),
        };
        let phase = match &self.bridge.config.waits_for_login {
            Some(_) => Phase::Disabled,
            None => Phase::NeedsLogin,
        };
        tracing::info!(bridge.name = %self.bridge.name(), %reason, "the bridge waits for a login");
        self.bridge.set_status(Status {
            reason: Some(reason),
            ..Status::plain(phase)
        });
        self.bridge.note_attempt();
        let mut login = tokio::select! {
            () = self.stop.cancelled() => return,
            login = Login::after_this(&self.bridge) => login,
        };
        let again = login.refused.as_ref().map(|_| Instant::now() + SAME_AGAIN);
        loop {
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = login.comes() => return,
                () = at(again) => return,
                command = self.inbox.recv() => match command {
                    Some(Command::Restart) | None => return,
                    Some(Command::Wake | Command::Suspect(..) | Command::SignedOut(_)) => {}
                },
            }
        }
    }

    /// The login that would end another wait early: a server may answer an unknown token with any
    /// error. `None` if the bridge has no interactive login, or has no token yet.
    pub(super) async fn next_login(&self) -> Option<Login> {
        let oauth = self.bridge.config.oauth()?;
        if oauth.grant != OAuthGrant::AuthorizationCode {
            return None;
        }
        let login = Login::after_this(&self.bridge).await;
        login.refused.is_some().then_some(login)
    }
}

/// Waits for a login, or forever if there is none to wait for.
pub(super) async fn comes(login: &mut Option<Login>) {
    match login {
        Some(login) => login.comes().await,
        None => std::future::pending().await,
    }
}

/// Waits until `time`, or forever without one.
async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}
