//! [`LoginWatcher`]: notices a login to the server of a bridge with one shared account.

use std::sync::Arc;

use tokio::sync::watch;

use super::connector::SessionFactory;
use crate::{credential::SessionOwner, mcp::TokenError, secret::Secret};

/// Waits for a login of the shared account.
#[derive(Debug)]
pub(super) struct LoginWatcher {
    /// Knows the current token.
    factory: Arc<SessionFactory>,
    /// Changes whenever an account changes; `None` if accounts are not stored, so that a login is
    /// impossible.
    changes: Option<watch::Receiver<u64>>,
    /// The current token, which the server rejected.
    refused: Option<Secret>,
}

impl LoginWatcher {
    /// Waits for a token that differs from the current one.
    pub async fn after_this(factory: &Arc<SessionFactory>) -> Self {
        let changes = factory.context().credentials.changes();
        let refused = factory
            .token(&SessionOwner::Shared)
            .await
            .and_then(Result::ok);
        Self {
            factory: Arc::clone(factory),
            changes,
            refused,
        }
    }

    /// Whether there was a token at the start, which the server rejected.
    pub fn has_refused(&self) -> bool {
        self.refused.is_some()
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
        match self.factory.token(&SessionOwner::Shared).await {
            Some(Err(TokenError::NeedsLogin(_) | TokenError::NeedsScope(_))) => false,
            Some(Ok(token)) => self.refused != Some(token),
            Some(Err(TokenError::Refused(_) | TokenError::Unavailable(_))) | None => true,
        }
    }
}
