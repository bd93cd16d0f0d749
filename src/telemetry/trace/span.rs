//! [`RequestSpan`] and [`CallSpan`]: spans under way. One that is dropped has ended.

use std::fmt;

use http::{HeaderMap, HeaderValue};
use opentelemetry::{
    Context, KeyValue,
    propagation::{Injector, TextMapPropagator as _},
    trace::{SpanKind, Status, TraceContextExt as _, Tracer as _},
};
use opentelemetry_sdk::{propagation::TraceContextPropagator, trace::SdkTracer};

use crate::{
    error_code::ErrorCode,
    name::{BridgeName, ToolName},
};

/// A request that is being answered. Cheap to clone.
#[derive(Clone)]
pub struct RequestSpan {
    /// Makes the spans below.
    tracer: SdkTracer,
    /// The span.
    context: Context,
}

/// A call that is under way at a server.
pub struct CallSpan(Context);

/// What is called, and how.
#[derive(Debug)]
pub struct Called<'a> {
    /// The bridge.
    pub bridge: &'a BridgeName,
    /// The server's name for the tool.
    pub tool: &'a ToolName,
    /// The negotiated protocol.
    pub protocol: &'a str,
    /// Whether its server is a child of ours.
    pub is_child: bool,
}

impl RequestSpan {
    /// Begins a span.
    pub(super) fn start(
        tracer: &SdkTracer,
        parent: &Context,
        name: String,
        kind: SpanKind,
        attributes: Vec<KeyValue>,
    ) -> Self {
        let builder = tracer
            .span_builder(name)
            .with_kind(kind)
            .with_attributes(attributes);
        let span = tracer.build_with_context(builder, parent);
        Self {
            tracer: tracer.clone(),
            context: parent.with_span(span),
        }
    }

    /// The number of the trace, for the log.
    pub fn trace_id(&self) -> String {
        self.context.span().span_context().trace_id().to_string()
    }

    /// Notes what was asked for, once that is known.
    pub fn routed(&self, method: &str, route: &str) {
        let span = self.context.span();
        span.update_name(format!("{method} {route}"));
        span.set_attribute(KeyValue::new("http.route", route.to_owned()));
    }

    /// Notes the tool that was asked for, in the words of the log.
    pub fn called(&self, bridge: Option<&BridgeName>, tool: Option<&ToolName>) {
        let span = self.context.span();
        let bridge = bridge.map(|it| KeyValue::new("bridge.name", it.to_string()));
        let tool = tool.map(|it| KeyValue::new("tool.name", it.to_string()));
        span.set_attributes(bridge.into_iter().chain(tool));
    }

    /// Ends it with the answer.
    pub fn answered(&self, request_id: &str, status: u16, code: Option<ErrorCode>) {
        let span = self.context.span();
        span.set_attribute(KeyValue::new("request.id", request_id.to_owned()));
        span.set_attribute(KeyValue::new(
            "http.response.status_code",
            i64::from(status),
        ));
        if let Some(code) = code {
            span.set_attribute(KeyValue::new("error.type", code.as_str()));
        }
        // Of a server's span, what the caller did wrong is no error (HTTP semantic conventions).
        if status >= 500 {
            span.set_status(Status::error(code.map_or("", ErrorCode::as_str)));
        }
        span.end();
    }

    /// Begins the span of a call at a server (semantic conventions of MCP).
    pub fn call(&self, called: &Called<'_>) -> CallSpan {
        let tool = called.tool.to_string();
        let transport = if called.is_child { "pipe" } else { "tcp" };
        let name = format!("tools/call {tool}");
        let attributes = vec![
            KeyValue::new("mcp.method.name", "tools/call"),
            KeyValue::new("mcp.protocol.version", called.protocol.to_owned()),
            KeyValue::new("gen_ai.operation.name", "execute_tool"),
            KeyValue::new("gen_ai.tool.name", tool),
            KeyValue::new("network.transport", transport),
            KeyValue::new("bridge.name", called.bridge.to_string()),
        ];
        let kind = SpanKind::Client;
        let span = Self::start(&self.tracer, &self.context, name, kind, attributes);
        CallSpan(span.context)
    }
}

impl CallSpan {
    /// Puts what a server needs to go on with the trace into headers (W3C Trace Context).
    pub fn put_into(&self, headers: &mut HeaderMap) {
        headers.remove("traceparent");
        headers.remove("tracestate");
        TraceContextPropagator::new().inject_context(&self.0, &mut Headers(headers));
    }

    /// Ends it; `error` says what went wrong, `rpc` is the number that the server gave it.
    pub fn end(self, error: Option<ErrorCode>, rpc: Option<i64>) {
        let span = self.0.span();
        if let Some(rpc) = rpc {
            span.set_attribute(KeyValue::new("rpc.response.status_code", rpc.to_string()));
        }
        if let Some(error) = error {
            span.set_attribute(KeyValue::new("error.type", error.as_str()));
            span.set_status(Status::error(error.as_str()));
        }
        span.end();
    }
}

/// Headers, none of them empty.
struct Headers<'a>(&'a mut HeaderMap);

impl Injector for Headers<'_> {
    fn set(&mut self, key: &str, value: String) {
        let name = match key {
            "traceparent" => "traceparent",
            "tracestate" => "tracestate",
            _ => return,
        };
        match HeaderValue::try_from(value) {
            Ok(value) if !value.is_empty() => {
                self.0.insert(name, value);
            }
            Ok(_) | Err(_) => {}
        }
    }
}

impl fmt::Debug for RequestSpan {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_tuple("RequestSpan");
        shown.field(&self.trace_id()).finish()
    }
}

impl fmt::Debug for CallSpan {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let span = self.0.span();
        let mut shown = formatter.debug_tuple("CallSpan");
        shown.field(&span.span_context().span_id()).finish()
    }
}
