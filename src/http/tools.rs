//! `POST /{bridge}/{tool}`: the call.

use std::{sync::Arc, time::Instant};

use axum::{
    body::{Body, Bytes},
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderValue, StatusCode};

use super::{
    answer::counted,
    body,
    connect::with_link,
    error::{ApiError, shown},
    files::Links,
    identity::{identify, take_place, view_of},
    layers::Note,
    missing,
    outcome::{SMALL_RESULT_BYTES, reply, respond},
    sender::Sender,
    state::AppState,
    trail::Trail,
};
use crate::{
    access::{Grant, View},
    auth::{Caller, SessionToken},
    bridge::{Bridge, Entry, Failure, Order, Phase, Unaccepted},
    chat::{End, Place, Talk},
    config::{Flavor, Transport},
    credential::Owner,
    error_code::ErrorCode,
    mcp::CallError,
    name::ToolName,
    rate::CallerKey,
    reply::Reply,
    schema::Refusal,
    secret::Redactor,
    settings::Settings,
};

/// A requested tool. It may not exist.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The bridge.
    pub bridge: Arc<Bridge>,
    /// The requested name.
    pub tool: String,
}

/// A tool that the caller may call.
struct Granted {
    /// The tool.
    entry: Arc<Entry>,
    /// The proof that the call is allowed.
    grant: Grant,
    /// The owner of the session that the call uses.
    owner: Owner,
    /// Who calls.
    caller: Arc<Caller>,
}

impl Asked {
    /// The tool, or an error that says why it cannot be used.
    pub fn find(&self) -> Result<Arc<Entry>, ApiError> {
        let Self { bridge, tool } = self;
        if let Some(entry) = bridge.live.tools.load().get(tool) {
            return Ok(Arc::clone(entry));
        }
        let status = bridge.status();
        match status.phase {
            Phase::Disabled => Err(ApiError::call(bridge.unavailable(&status))),
            // The bridge is not connected, so whether the tool exists is not known yet.
            Phase::Starting | Phase::BackingOff | Phase::Failed | Phase::NeedsLogin
                if bridge.live.tools.load().entries.is_empty() =>
            {
                Err(ApiError::call(bridge.unavailable(&status)))
            }
            Phase::Starting
            | Phase::BackingOff
            | Phase::Failed
            | Phase::NeedsLogin
            | Phase::Ready
            | Phase::Idle => Err(ApiError::not_found(format!(
                "bridge `{name}` has no tool `{tool}`; GET /{name} lists what it has",
                name = bridge.name(),
                tool = shown(tool),
            ))),
        }
    }

    /// Checks access in the same way for a tool that exists and for one that does not. A caller
    /// without access does not learn which of the two it is.
    pub fn enter(&self, view: &View) -> Result<(), ApiError> {
        let Self { bridge, tool } = self;
        let entered = match bridge.live.tools.load().get(tool) {
            Some(entry) => view.authorize(bridge.name(), &entry.tool).map(|_grant| ()),
            None => view.enter_for(bridge.name(), tool).map(|_rule| ()),
        };
        entered.map_err(|denial| ApiError::denied(&denial, bridge.name(), Some(tool)))
    }

    /// Checks access and records the rule that decides.
    fn authorize(&self, view: &View, trail: &mut Trail) -> Result<(Arc<Entry>, Grant), ApiError> {
        let Self { bridge, tool } = self;
        let found = self.find();
        let decided = match &found {
            Ok(entry) => view.authorize(bridge.name(), &entry.tool).map(Some),
            Err(_) => view.enter_for(bridge.name(), tool).map(|rule| {
                trail.decided(&rule);
                None
            }),
        };
        let grant = decided.map_err(|denial| {
            trail.decided(&denial.rule);
            ApiError::denied(&denial, bridge.name(), Some(tool))
        })?;
        match (found, grant) {
            (Ok(entry), Some(grant)) => {
                trail.decided(&grant.rule);
                Ok((entry, grant))
            }
            (Err(missing), _) => Err(missing),
            (Ok(_), None) => Err(ApiError::not_found("the tool no longer exists")),
        }
    }
}

/// Calls a tool. The steps in their order: identity, access, rate limit, arguments, server,
/// response. Every outcome is recorded.
pub async fn call(state: &AppState, asked: Asked, sender: Sender, body: Body) -> Response {
    let began = Instant::now();
    let settings = state.settings.load_full();
    let mut note = Note {
        bridge: Some(asked.bridge.name().clone()),
        tool: ToolName::parse(&shown(&asked.tool)),
        caller: None,
    };
    let bridge = asked.bridge.name().as_str();
    let mut trail = Trail::new(&state.audit, &sender, bridge, &asked.tool);
    let call = Call {
        state,
        settings: &settings,
        asked: &asked,
        sender: &sender,
    };
    let counted = Counted::begin(&asked, began);
    let result = call.run(body, &mut trail, &mut note).await;
    counted.end(&result);
    let mut response = match result {
        Ok(response) => response,
        Err(Ended::Refused(mut error)) => {
            error.clean(&call.redactor(&Bytes::new()));
            trail.refused(&error, settings.config.flavor);
            error.into_response()
        }
        Err(Ended::Failed(error)) => error.into_response(),
    };
    response.extensions_mut().insert(note);
    response
}

/// A call that is counted when it ends, even if its caller disconnects.
struct Counted<'a> {
    asked: &'a Asked,
    began: Instant,
    is_open: bool,
}

impl<'a> Counted<'a> {
    fn begin(asked: &'a Asked, began: Instant) -> Self {
        let is_open = true;
        Self {
            asked,
            began,
            is_open,
        }
    }

    /// Counts the call. The duration of a refusal says nothing about the server and is left out.
    fn end(mut self, result: &Result<Response, Ended>) {
        self.is_open = false;
        let (code, is_made) = match result {
            Ok(_) => ("ok", true),
            Err(Ended::Refused(error)) => (error.code.as_str(), false),
            Err(Ended::Failed(error)) => (error.code.as_str(), true),
        };
        let Self { asked, began, .. } = &self;
        let time = is_made.then(|| began.elapsed());
        asked.bridge.note_call(&asked.tool, code, time);
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        if self.is_open {
            self.asked
                .bridge
                .note_call(&self.asked.tool, "cancelled", None);
        }
    }
}

/// A call that ended without a result.
enum Ended {
    /// The call ended before its server was contacted. It is not recorded yet.
    Refused(ApiError),
    /// The call ended later and is already recorded.
    Failed(ApiError),
}

impl From<ApiError> for Ended {
    fn from(error: ApiError) -> Self {
        Self::Refused(error)
    }
}

/// The state of one call.
struct Call<'a> {
    /// What handlers share.
    state: &'a AppState,
    /// The current settings.
    settings: &'a Settings,
    /// The requested tool.
    asked: &'a Asked,
    /// The sender of the request.
    sender: &'a Sender,
}

impl Call<'_> {
    /// Runs the steps of the call.
    async fn run(&self, body: Body, trail: &mut Trail, note: &mut Note) -> Result<Response, Ended> {
        let granted = self.decide(trail, note).await?;
        let bytes_max = self.settings.config.limits.body_bytes_max;
        let body = body::read(body, bytes_max, self.sender.seat.as_deref()).await?;
        trail.received(body.len());
        let redactor = self.redactor(&body);
        let sent = self.send(&granted, &body, trail, &redactor).await;
        sent.map_err(|ended| match ended {
            Ended::Refused(mut error) => {
                error.clean(&redactor);
                Ended::Refused(error)
            }
            Ended::Failed(error) => Ended::Failed(error),
        })
    }

    /// The redactor for the response. It leaves out what the caller sent: the name of the tool, the
    /// arguments, and the headers that are passed to the server.
    fn redactor(&self, body: &Bytes) -> Redactor {
        let mut sent = vec![self.asked.tool.as_bytes()];
        if let Ok(Transport::Remote(remote)) = &self.asked.bridge.config.transport {
            let passed = remote.pass_headers.iter();
            let passed = passed.flat_map(|name| self.sender.headers.get_all(name));
            sent.extend(passed.map(HeaderValue::as_bytes));
        }
        let traced = ["traceparent", "tracestate"].map(|name| self.sender.headers.get_all(name));
        sent.extend(traced.iter().flatten().map(HeaderValue::as_bytes));
        self.state.redactor.for_caller(&sent, body.clone())
    }

    /// Identifies the caller, checks their access and counts the call against the rate limit.
    async fn decide(&self, trail: &mut Trail, note: &mut Note) -> Result<Granted, ApiError> {
        let caller = self.identify().await?;
        note.caller = Some(caller.id.to_string());
        trail.identified(&caller);
        take_place(self.settings, self.sender, &caller).await?;
        let view = view_of(self.settings, &caller).await?;
        trail.viewed(&view);
        let bridge = &self.asked.bridge;
        // A caller without access neither waits for the bridge nor causes a request to its server.
        let is_new = bridge.live.tools.load().entries.is_empty() && self.asked.enter(&view).is_ok();
        if is_new {
            let introduced = bridge.introduced(self.key(&caller)).await;
            introduced.map_err(ApiError::call)?;
        }
        let learns = is_new && bridge.learns_from_callers();
        if learns {
            self.count(&caller, &view).await?;
            // Boxed because the future is large, and most bridges know their tools.
            Box::pin(self.learn(&view)).await?;
        }
        let authorized = self.asked.authorize(&view, trail);
        let (entry, grant) = match authorized {
            Ok(authorized) => authorized,
            Err(error) => {
                let error = missing::tool(self.settings, self.asked, &view, error);
                return Err(with_link(self.state, bridge, &caller, error).await);
            }
        };
        if !learns {
            self.count(&caller, &view).await?;
        }
        let owner = self
            .state
            .credentials
            .owner(&bridge.config, &caller, view.groups())
            .await
            .map_err(|denied| ApiError::call(bridge.denied(denied)))?;
        Ok(Granted {
            entry,
            grant,
            owner,
            caller,
        })
    }

    /// The key under which the caller's use of resources is counted.
    fn key(&self, caller: &Caller) -> CallerKey {
        CallerKey::of(caller, self.sender.peer)
    }

    /// Counts the call against the rate limit.
    async fn count(&self, caller: &Caller, view: &View) -> Result<(), ApiError> {
        let name = self.asked.bridge.name();
        let counted = self.settings.rates.count(caller, view.groups(), name).await;
        counted.map_err(|refused| ApiError::too_many(&refused))
    }

    /// Lists the server's tools with the account of the first caller who has one.
    async fn learn(&self, view: &View) -> Result<(), ApiError> {
        let bridge = &self.asked.bridge;
        let credentials = &self.state.credentials;
        let owner = credentials.owner(&bridge.config, view.caller(), view.groups());
        let owner = owner
            .await
            .map_err(|denied| ApiError::call(bridge.denied(denied)))?;
        let welcomed = bridge.welcome(&owner, self.key(view.caller())).await;
        match welcomed {
            Ok(()) => Ok(()),
            Err(failure) => {
                let error = ApiError::call(failure);
                Err(with_link(self.state, bridge, view.caller(), error).await)
            }
        }
    }

    /// The caller's headers that the configuration passes to the server.
    fn passed(&self) -> HeaderMap {
        let mut passed = HeaderMap::new();
        if let Ok(Transport::Remote(remote)) = &self.asked.bridge.config.transport {
            for name in &remote.pass_headers {
                for value in self.sender.headers.get_all(name) {
                    passed.append(name, value.clone());
                }
            }
        }
        passed
    }

    /// Shows the progress of the call in the chat that it belongs to. This needs headers that name
    /// a chat, and the caller's own token must be allowed to write there.
    fn talk(&self, caller: &Caller, redactor: &Redactor) -> Option<Talk> {
        let chats = self.settings.chats.as_ref()?;
        let place = Place::of(&self.sender.headers)?;
        let by_default = self.settings.config.identity.open_webui.progress;
        let is_on = self.asked.bridge.config.progress.unwrap_or(by_default);
        let token = SessionToken::of(caller, &self.sender.headers).filter(|_| is_on)?;
        chats.follow(&place, token, &self.asked.tool, redactor)
    }

    /// Identifies the caller. Under mcpo's rules a missing route is 404 for every caller.
    async fn identify(&self) -> Result<Arc<Caller>, ApiError> {
        let config = &self.settings.config;
        let identified = identify(self.settings, self.sender).await;
        if config.flavor == Flavor::Native || config.identity.strict {
            return identified;
        }
        match self.asked.find() {
            Ok(_) => identified,
            Err(missing) => identified.map_err(|_refusal| missing),
        }
    }

    /// Checks the arguments and makes the call.
    async fn send(
        &self,
        granted: &Granted,
        body: &Bytes,
        trail: &mut Trail,
        redactor: &Redactor,
    ) -> Result<Response, Ended> {
        let (bridge, entry) = (&self.asked.bridge, &granted.entry);
        let mut accepted = bridge
            .accept(entry, body)
            .await
            .map_err(|error| unaccepted(&error))?;
        let arguments = std::mem::take(&mut accepted.arguments);
        if self.settings.config.audit.arguments {
            trail.received_arguments(&arguments, &self.state.redactor);
        }
        let begun = trail.begin().await?;
        let again = || accepted.again(entry, body);
        let talk = self.talk(&granted.caller, redactor);
        let order = Order {
            tool: &entry.tool.server_name,
            caller: self.key(&granted.caller),
            owner: &granted.owner,
            passed: &self.passed(),
            span: self.sender.span.as_ref(),
            ear: talk.as_ref().map(Talk::ear),
            again: &again,
        };
        let result = bridge.call(&granted.grant, order, arguments).await;
        let result = match result {
            Ok(text) => self.reply(text, &granted.caller, redactor).await,
            Err(failure) => {
                let error = ApiError::call(failure);
                Err(with_link(self.state, bridge, &granted.caller, error).await)
            }
        };
        if let Some(talk) = talk {
            talk.end(end_of(&result));
        }
        let result = match result {
            Ok(reply) => counted(&reply.body, self.sender)
                .await
                .map(|body| (reply, body)),
            Err(error) => Err(error),
        };
        match result {
            Ok((reply, body)) => {
                let size = u64::try_from(reply.body.len()).unwrap_or(u64::MAX);
                begun.end("ok", StatusCode::OK.as_u16(), size).await;
                Ok(respond(reply.content_type, body))
            }
            Err(mut error) => {
                error.clean(redactor);
                let flavor = self.settings.config.flavor;
                let size = error.size(&self.sender.request_id, flavor);
                begun
                    .end(error.code.as_str(), error.status.as_u16(), size)
                    .await;
                Err(Ended::Failed(error))
            }
        }
    }
}

impl Call<'_> {
    /// The redacted body of a server's result. Its files are stored for the caller if the bridge
    /// has links turned on. A large result is converted on a thread that no other request waits for.
    async fn reply(
        &self,
        result: String,
        caller: &Caller,
        redactor: &Redactor,
    ) -> Result<Reply, ApiError> {
        let bridge = &self.asked.bridge;
        let embed_html = bridge.config.embed_html;
        let flavor = self.settings.config.flavor;
        let mut links = Links::of(bridge, &self.settings.config);
        let (reply, links) = if result.len() <= SMALL_RESULT_BYTES {
            let read = reply(embed_html, flavor, result, redactor, links.as_mut())?;
            (read, links)
        } else {
            let redactor = redactor.clone();
            let reading = move || {
                let read = reply(embed_html, flavor, result, &redactor, links.as_mut());
                read.map(|reply| (reply, links))
            };
            let read = bridge.digest(reading).await.unwrap_or_else(|error| {
                let text = format!("the result could not be read: {error}");
                Err(ApiError::call(Failure::Call(CallError::Protocol(text))))
            });
            read?
        };
        if let Some(links) = links {
            // Boxed because most results contain no files.
            Box::pin(links.keep(&self.state.files, caller)).await?;
        }
        Ok(reply)
    }
}

/// The outcome of a call, as the chat shows it.
fn end_of(result: &Result<Reply, ApiError>) -> End {
    match result {
        Ok(_) => End::Done,
        Err(error) if error.status == StatusCode::GATEWAY_TIMEOUT => End::TimedOut,
        Err(_) => End::Failed,
    }
}

/// The error for arguments that were not accepted.
fn unaccepted(error: &Unaccepted) -> ApiError {
    match error {
        Unaccepted::Refused(refusal) => refused(refusal),
        Unaccepted::Busy => ApiError::new(ErrorCode::Busy, error.to_string()).retry_after("1"),
    }
}

/// The error for arguments that do not match the schema or cannot be checked.
fn refused(refusal: &Refusal) -> ApiError {
    let error = ApiError::with_detail(refusal.code(), refusal.detail());
    match refusal.message() {
        Some(message) => error.say_all(message),
        None => error,
    }
}
