//! Waiting for somebody to log in to the server of a bridge that has one account for everybody.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

use super::{
    handle::{Bridge, Command},
    status::{Phase, Status},
    supervisor::Supervisor,
};
use crate::{config::OAuthGrant, credential::Owner, mcp::NoToken, secret::Secret};

/// A token that its server refused is shown again after this time: the server's mind may change
/// without anybody logging in anew, and it is not asked about it again and again.
pub(super) const SAME_AGAIN: Duration = Duration::from_mins(5);

/// A login that may come.
#[derive(Debug)]
pub(super) struct Login {
    /// At the server of this bridge.
    bridge: Arc<Bridge>,
    /// Moves with every account; `None` where nothing is kept, so that nobody can log in.
    changes: Option<watch::Receiver<u64>>,
    /// The token of now, which did not help.
    refused: Option<Secret>,
}

impl Login {
    /// Another than the one of now, if there is one.
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

    /// Waits for it. May be given up and begun again.
    pub async fn comes(&mut self) {
        // Whatever account changed: looking costs one query. Once before the first change, which may
        // have come just now.
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

    /// Whether there is a token to show by now, another than the one that did not help.
    async fn has_come(&self) -> bool {
        match self.bridge.token(&Owner::Shared).await {
            Some(Err(NoToken::NeedsLogin(_) | NoToken::NeedsScope(_))) => false,
            Some(Ok(token)) => self.refused != Some(token),
            Some(Err(NoToken::Refused(_) | NoToken::Unavailable(_))) | None => true,
        }
    }
}

impl Supervisor {
    /// Waits for somebody to log in: status `needs_login`, or `disabled` for a bridge that is on only
    /// then. No server is asked meanwhile.
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

    /// The login that would end a wait for something else: a server may answer anything to a token that
    /// it does not know. `None` where nobody logs in, or nobody has.
    pub(super) async fn next_login(&self) -> Option<Login> {
        let oauth = self.bridge.config.oauth()?;
        if oauth.grant != OAuthGrant::AuthorizationCode {
            return None;
        }
        let login = Login::after_this(&self.bridge).await;
        login.refused.is_some().then_some(login)
    }
}

/// Waits for a login; for ever where none is awaited.
pub(super) async fn comes(login: &mut Option<Login>) {
    match login {
        Some(login) => login.comes().await,
        None => std::future::pending().await,
    }
}

/// Waits until then; for ever without a time.
async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}
