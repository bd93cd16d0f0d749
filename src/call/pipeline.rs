//! [`make_call`]: the steps of a call between the identity of its caller and the server's result.

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;

use super::{
    error::ServiceError,
    identity::{permissions, take_place},
    link::with_link,
    record::{add_arguments, add_groups},
    scope::CallScope,
    suggest::similar_tools,
};
use crate::{
    access::{CallAuthorization, Permissions},
    auth::Caller,
    bridge::{ToolCall, ToolEntry},
    chat::ProgressFeed,
    config::TransportSettings,
    credential::SessionOwner,
    mcp::ProgressSink,
};

/// What the endpoint of a protocol gives for the call of an identified caller.
#[derive(Debug)]
pub struct CallInput<'a, F> {
    /// The identified caller.
    pub caller: &'a Arc<Caller>,
    /// The arguments as JSON text. They are read after the caller is authorized.
    pub arguments: F,
    /// Receives the progress of the call. Without it, the chat that the call belongs to does.
    pub progress: Option<&'a Arc<ProgressSink>>,
}

/// A tool that the caller may call.
struct GrantedTool {
    /// The tool.
    entry: Arc<ToolEntry>,
    /// The proof that the call is allowed.
    grant: CallAuthorization,
    /// The owner of the session that the call uses.
    owner: SessionOwner,
    /// The caller's permissions.
    view: Permissions,
}

/// Makes a call and returns the server's result: a `CallToolResult` of MCP as JSON text, not
/// redacted. The order of the steps matters: a caller without permission causes no work at a server.
///
/// Dropping the future cancels the call, also at its server. The bridge's `timeout` limits its
/// duration. After the answer is made, the call must be ended with [`CallScope::end`].
pub async fn make_call<F>(
    scope: &mut CallScope<'_>,
    input: CallInput<'_, F>,
) -> Result<String, ServiceError>
where
    F: Future<Output = Result<Bytes, ServiceError>>,
{
    let caller = input.caller;
    take_place(scope.settings, scope.origin, caller).await?;
    let view = permissions(scope.settings, caller).await?;
    add_groups(&mut scope.record, &view);
    let granted = scope.authorize(view).await?;
    let body = input.arguments.await?;
    scope.received(&body);
    scope.send(&granted, &body, input.progress).await
}

impl CallScope<'_> {
    /// Checks the caller's access to the tool, counts the call against the rate limit, and decides
    /// whose session the call uses.
    async fn authorize(&mut self, view: Permissions) -> Result<GrantedTool, ServiceError> {
        let (target, bridge) = (self.target, &self.target.bridge);
        // A caller without access neither waits for the bridge nor causes a request to its server.
        let is_new = !bridge.has_tools() && target.enter(&view).is_ok();
        let wait = || bridge.wait_for_tools(self.origin.key(view.caller()));
        let learns = is_new && wait().await?;
        if learns {
            self.count_rate(&view).await?;
            // Boxed because the future is large, and most bridges know their tools.
            Box::pin(self.learn(&view)).await?;
        }
        let authorized = target.authorize(&view, |rule| self.decided(rule));
        let (entry, grant) = match authorized {
            Ok(authorized) => authorized,
            Err(error) => {
                let error = similar_tools(self.settings, target, &view, error);
                return Err(self.with_link(&view, error).await);
            }
        };
        if !learns {
            self.count_rate(&view).await?;
        }
        let owner = self.owner(&view).await?;
        Ok(GrantedTool {
            entry,
            grant,
            owner,
            view,
        })
    }

    /// Counts the call against the rate limit.
    async fn count_rate(&self, view: &Permissions) -> Result<(), ServiceError> {
        let rates = &self.settings.rates;
        let name = self.target.bridge.name();
        Ok(rates.count(view.caller(), view.groups(), name).await?)
    }

    /// Lists the server's tools with the account of the first caller who has one.
    async fn learn(&self, view: &Permissions) -> Result<(), ServiceError> {
        let bridge = &self.target.bridge;
        let caller = view.caller();
        let learned = bridge.learn_tools(caller, view.groups(), self.origin.key(caller));
        match learned.await {
            Ok(()) => Ok(()),
            Err(failure) => Err(self.with_link(view, failure.into()).await),
        }
    }

    /// The owner of the session that the caller's calls use.
    async fn owner(&self, view: &Permissions) -> Result<SessionOwner, ServiceError> {
        let bridge = &self.target.bridge;
        let credentials = &self.services.credentials;
        let owner = credentials.owner(&bridge.config, view.caller(), view.groups());
        owner.await.map_err(|denied| bridge.denied(denied).into())
    }

    /// Adds a connect link to an error that asks for one.
    async fn with_link(&self, view: &Permissions, error: ServiceError) -> ServiceError {
        with_link(self.services, &self.target.bridge, view.caller(), error).await
    }

    /// Checks the arguments, records that the call begins, and sends it to the server.
    async fn send(
        &mut self,
        granted: &GrantedTool,
        body: &Bytes,
        progress: Option<&Arc<ProgressSink>>,
    ) -> Result<String, ServiceError> {
        let (bridge, entry) = (&self.target.bridge, &granted.entry);
        let mut accepted = bridge.accept(entry, body).await?;
        let arguments = std::mem::take(&mut accepted.arguments);
        if self.settings.config.audit.arguments {
            add_arguments(&mut self.record, &arguments, &self.services.redactor);
        }
        self.begin_record().await?;
        self.follow(&granted.view);
        let again = || accepted.again(entry, body);
        let order = ToolCall {
            tool: &entry.tool.server_name,
            caller: self.origin.key(granted.view.caller()),
            owner: &granted.owner,
            passed: &self.passed_headers(),
            span: self.origin.span.as_ref(),
            ear: progress.or_else(|| self.talk.as_ref().map(ProgressFeed::progress_sink)),
            rebuild_arguments: &again,
        };
        match bridge.call(&granted.grant, order, arguments).await {
            Ok(text) => Ok(text),
            Err(failure) => Err(self.with_link(&granted.view, failure.into()).await),
        }
    }

    /// The caller's headers that the configuration passes to the server.
    fn passed_headers(&self) -> HeaderMap {
        let mut passed = HeaderMap::new();
        if let Ok(TransportSettings::Remote(remote)) = &self.target.bridge.config.transport {
            for name in &remote.pass_headers {
                for value in self.origin.headers.get_all(name) {
                    passed.append(name, value.clone());
                }
            }
        }
        passed
    }
}
