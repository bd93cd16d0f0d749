//! [`CallScope`]: everything that is kept of one call from its start to its end: the audit record,
//! the metrics, the line in the chat, and the redactor for what the caller receives.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::HeaderValue;

use super::{
    CallServices,
    error::ServiceError,
    origin::RequestOrigin,
    record::{SentAnswer, add_caller, record_of, record_refusal},
    target::ToolRef,
};
use crate::{
    access::{AccessRule, Permissions},
    audit::OpenAuditRecord,
    auth::{Caller, SessionToken},
    chat::{MessageRef, ProgressEnd, ProgressFeed},
    config::TransportSettings,
    error_code::ErrorCode,
    secret::Redactor,
    settings::ReloadableSettings,
    store::CallRecord,
};

/// One call, from the request to the answer. Every call ends exactly once: with [`CallScope::end`],
/// or by being dropped, which counts and records it as cancelled.
#[derive(Debug)]
pub struct CallScope<'a> {
    /// What every call uses.
    pub services: &'a CallServices,
    /// The settings at the start of the call.
    pub settings: &'a ReloadableSettings,
    /// Where the request comes from.
    pub origin: &'a RequestOrigin,
    /// The requested tool.
    pub target: &'a ToolRef,
    /// When the call started.
    started: Instant,
    /// Who calls, once they are identified.
    caller: Option<Arc<Caller>>,
    /// The audit record of a call that has not begun.
    pub(super) record: CallRecord,
    /// The audit record of a call that has begun. Its server was contacted, or is about to be.
    begun: Option<OpenAuditRecord>,
    /// The redactor for the answer. `None` before the arguments arrived.
    redactor: Option<Redactor>,
    /// Shows the progress in the chat that the call belongs to.
    pub(super) talk: Option<ProgressFeed>,
    /// Whether the call is not counted yet.
    is_open: bool,
}

impl<'a> CallScope<'a> {
    /// Starts a call.
    pub fn start(
        services: &'a CallServices,
        settings: &'a ReloadableSettings,
        origin: &'a RequestOrigin,
        target: &'a ToolRef,
    ) -> Self {
        Self {
            services,
            settings,
            origin,
            target,
            started: Instant::now(),
            caller: None,
            record: record_of(origin, target.bridge.name().as_str(), &target.tool),
            begun: None,
            redactor: None,
            talk: None,
            is_open: true,
        }
    }

    /// Records who calls.
    pub fn identified(&mut self, caller: &Arc<Caller>) {
        add_caller(&mut self.record, caller);
        self.caller = Some(Arc::clone(caller));
    }

    /// The ID of the caller, for the log. `None` before the caller is identified.
    pub fn caller_id(&self) -> Option<String> {
        self.caller.as_ref().map(|caller| caller.id.to_string())
    }

    /// Records the rule that allows or refuses the call.
    pub(super) fn decided(&mut self, rule: &AccessRule) {
        self.record.rule = rule.to_string();
    }

    /// Records the size of the arguments, and takes the redactor that leaves them as they are.
    pub(super) fn received(&mut self, body: &Bytes) {
        self.record.request_bytes = i64::try_from(body.len()).unwrap_or(i64::MAX);
        self.redactor = Some(self.redactor_for(body.clone()));
    }

    /// Writes to the audit log that the call begins, before its server is contacted.
    pub(super) async fn begin_record(&mut self) -> Result<(), ServiceError> {
        let record = std::mem::take(&mut self.record);
        match self.services.audit.begin(record).await {
            Ok(begun) => {
                self.begun = Some(begun);
                Ok(())
            }
            Err(mut down) => {
                // The call is refused now, and the refusal is recorded with this record.
                self.record = std::mem::take(&mut down.1);
                Err(down.into())
            }
        }
    }

    /// Shows the progress of the call in the chat that it belongs to. This needs headers that name
    /// a chat, and the caller's own token must be allowed to write there.
    pub(super) fn follow(&mut self, view: &Permissions) {
        self.talk = self.talk_of(view.caller());
    }

    fn talk_of(&self, caller: &Caller) -> Option<ProgressFeed> {
        let chats = self.settings.chats.as_ref()?;
        let headers = &self.origin.headers;
        let place = MessageRef::of(headers)?;
        let by_default = self.settings.config.identity.open_webui.progress;
        let is_on = self.target.bridge.config.progress.unwrap_or(by_default);
        let token = SessionToken::of(caller, headers).filter(|_| is_on)?;
        chats.follow(&place, token, &self.target.tool, self.redactor())
    }

    /// The redactor for the answer. It leaves out what the caller sent, once the arguments arrived.
    pub fn redactor(&self) -> &Redactor {
        self.redactor.as_ref().unwrap_or(&self.services.redactor)
    }

    /// Redacts the texts of an error, except for what the caller sent.
    pub fn clean(&self, error: &mut ServiceError) {
        match &self.redactor {
            Some(redactor) => error.clean(redactor),
            None => error.clean(&self.redactor_for(Bytes::new())),
        }
    }

    /// A redactor that leaves out what the caller sent: the name of the tool, the arguments, and
    /// the headers that are passed to the server.
    fn redactor_for(&self, body: Bytes) -> Redactor {
        let headers = &self.origin.headers;
        let mut sent = vec![self.target.tool.as_bytes()];
        if let Ok(TransportSettings::Remote(remote)) = &self.target.bridge.config.transport {
            let passed = remote.pass_headers.iter();
            let passed = passed.flat_map(|name| headers.get_all(name));
            sent.extend(passed.map(HeaderValue::as_bytes));
        }
        let traced = ["traceparent", "tracestate"].map(|name| headers.get_all(name));
        sent.extend(traced.iter().flatten().map(HeaderValue::as_bytes));
        self.services.redactor.for_caller(&sent, body)
    }

    /// Ends the call: tells the chat, writes the audit record, and counts the call. `error` is the
    /// code of the error that the caller was sent, if any.
    pub async fn end(mut self, error: Option<ErrorCode>, sent: SentAnswer) {
        if let Some(talk) = self.talk.take() {
            talk.end(match error {
                None => ProgressEnd::Done,
                Some(ErrorCode::Timeout) => ProgressEnd::TimedOut,
                Some(_) => ProgressEnd::Failed,
            });
        }
        let outcome = error.map_or("ok", ErrorCode::as_str);
        // The duration of a refusal says nothing about the server and is left out.
        let mut time = None;
        if let Some(begun) = self.begun.take() {
            begun.end(outcome, sent.status, sent.bytes).await;
            time = Some(self.started.elapsed());
        } else if let Some(code) = error {
            let record = std::mem::take(&mut self.record);
            record_refusal(&self.services.audit, record, code, sent);
        }
        self.is_open = false;
        self.count(outcome, time);
    }

    fn count(&self, outcome: &'static str, time: Option<Duration>) {
        let ToolRef { bridge, tool } = self.target;
        bridge.note_call(tool, outcome, time);
    }
}

/// A dropped call was cancelled. Its audit record and its chat are told in the same way, because
/// [`OpenAuditRecord`] and [`ProgressFeed`] are dropped with it.
impl Drop for CallScope<'_> {
    fn drop(&mut self) {
        if self.is_open {
            self.count("cancelled", None);
        }
    }
}
