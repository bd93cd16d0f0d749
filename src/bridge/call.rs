//! One call through a bridge: takes a slot and a session, keeps the deadline, and retries once if
//! that is safe.

use std::{fmt, sync::Arc};

use http::HeaderMap;
use serde_json::{Map, Value};
use tokio::time::Instant;

use super::{error::CallFailure, handle::Bridge, sessions::SessionEndReason, status::off};
use crate::{
    access::CallAuthorization,
    credential::SessionOwner,
    mcp::{CallError, ProgressSink, TokenError},
    name::ToolName,
    rate::CallerKey,
    telemetry::RequestSpan,
};

/// Builds the arguments again for the rare second attempt. Keeping a copy would cost memory in
/// every call.
pub type Again<'a> = dyn Fn() -> Map<String, Value> + Send + Sync + 'a;

/// A call that was authorized.
#[derive(Clone, Copy)]
pub struct ToolCall<'a> {
    /// The server's name for the tool.
    pub tool: &'a ToolName,
    /// The caller, for counting running and waiting calls.
    pub caller: CallerKey,
    /// The owner of the session that the call uses.
    pub owner: &'a SessionOwner,
    /// Headers of the caller to pass on to a remote server.
    pub passed: &'a HeaderMap,
    /// The request span that the call belongs to, if traces are collected.
    pub span: Option<&'a RequestSpan>,
    /// Receives progress that the server sends during the call.
    pub ear: Option<&'a Arc<ProgressSink>>,
    /// Builds the arguments again.
    pub rebuild_arguments: &'a Again<'a>,
}

impl fmt::Debug for ToolCall<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("ToolCall");
        shown.field("tool", self.tool).field("owner", self.owner);
        shown.finish_non_exhaustive()
    }
}

impl Bridge {
    /// Calls a tool and returns its result as JSON text. The grant proves that the caller may use
    /// this tool.
    pub async fn call(
        self: &Arc<Self>,
        grant: &CallAuthorization,
        order: ToolCall<'_>,
        arguments: Map<String, Value>,
    ) -> Result<String, CallFailure> {
        if !grant.is_for(self.name(), order.tool) {
            return Err(CallFailure::NotGranted(
                self.name().to_string(),
                order.tool.to_string(),
            ));
        }
        if let Some(reason) = off(&self.config) {
            return Err(CallFailure::Disabled(
                self.name().to_string(),
                reason.to_owned(),
            ));
        }
        let deadline = Instant::now() + self.config.timeout;
        let _slot = self.limits.take(order.caller, deadline).await?;
        self.call_with_retry(order, arguments, deadline).await
    }

    /// Calls the tool, and retries once on a new session if the first call provably did not reach
    /// the server.
    async fn call_with_retry(
        self: &Arc<Self>,
        order: ToolCall<'_>,
        arguments: Map<String, Value>,
        deadline: Instant,
    ) -> Result<String, CallFailure> {
        match self.attempt(order, arguments, deadline).await? {
            Err(CallError::NotSent(reason)) => {
                tracing::debug!(bridge.name = %self.name(), %reason, "the call was not sent; retrying on a new session");
            }
            first => return first.map_err(|error| self.failed(error)),
        }
        let second = self
            .attempt(order, (order.rebuild_arguments)(), deadline)
            .await?;
        second.map_err(|error| self.failed(error))
    }

    /// One attempt on the current session. If the error means that the session cannot be used, a
    /// new one replaces it.
    async fn attempt(
        self: &Arc<Self>,
        order: ToolCall<'_>,
        arguments: Map<String, Value>,
        deadline: Instant,
    ) -> Result<Result<String, CallError>, CallFailure> {
        let open = self.checkout(order.owner, order.caller, deadline).await?;
        let (checkout, session) = open;
        let left = deadline.saturating_duration_since(Instant::now());
        let attempted = self.traced(&session, order, arguments, left).await;
        if let Err(error) = &attempted
            && let Some(reason) = end_after(error)
        {
            checkout.entry().end(reason);
        }
        Ok(attempted)
    }

    /// Turns a failed attempt into the failure of the call.
    fn failed(&self, error: CallError) -> CallFailure {
        match error {
            // Report the whole timeout: the time that was left for this attempt does not help the
            // caller.
            CallError::Timeout(_) => CallFailure::Call(CallError::Timeout(self.config.timeout)),
            CallError::NoToken(why) => CallFailure::no_token(&self.config, &why),
            error => CallFailure::Call(error),
        }
    }
}

/// Why the session ends after this error, if it cannot be used any more. One lost response does not
/// mean a lost session; a lost session reports itself. A missing scope for one call does not affect
/// the other calls.
fn end_after(error: &CallError) -> Option<SessionEndReason> {
    match error {
        CallError::NotSent(reason) => Some(SessionEndReason::Lost(format!(
            "a call did not reach the server: {reason}"
        ))),
        // The next attempt to connect finds out who must log in.
        CallError::NoToken(TokenError::NeedsLogin(_)) => Some(SessionEndReason::Restart),
        CallError::NoToken(_)
        | CallError::Lost
        | CallError::Rpc { .. }
        | CallError::Timeout(_)
        | CallError::Auth(..)
        | CallError::RateLimited { .. }
        | CallError::Http(..)
        | CallError::TooLarge(_)
        | CallError::Protocol(_) => None,
    }
}
