//! [`RequestSpan`] and [`CallSpan`]: spans in progress. Dropping one ends it.

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

/// The span of a request. Cheap to clone.
#[derive(Clone)]
pub struct RequestSpan {
    /// Creates child spans.
    tracer: SdkTracer,
    /// The span.
    context: Context,
}

/// The span of a call to a server.
pub struct CallSpan(Context);

/// The tool that is called.
#[derive(Debug)]
pub struct CalledTool<'a> {
    /// The bridge.
    pub bridge: &'a BridgeName,
    /// The server's name for the tool.
    pub tool: &'a ToolName,
    /// The negotiated protocol.
    pub protocol: &'a str,
    /// Whether the server is a child process.
    pub is_child: bool,
}

impl RequestSpan {
    /// Starts a span.
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

    /// The trace ID, for the log.
    pub fn trace_id(&self) -> String {
        self.context.span().span_context().trace_id().to_string()
    }

    /// Records the route once it is known.
    pub fn routed(&self, method: &str, route: &str) {
        let span = self.context.span();
        span.update_name(format!("{method} {route}"));
        span.set_attribute(KeyValue::new("http.route", route.to_owned()));
    }

    /// Records the requested tool, with the same field names as in the log.
    pub fn called(&self, bridge: Option<&BridgeName>, tool: Option<&ToolName>) {
        let span = self.context.span();
        let bridge = bridge.map(|it| KeyValue::new("bridge.name", it.to_string()));
        let tool = tool.map(|it| KeyValue::new("tool.name", it.to_string()));
        span.set_attributes(bridge.into_iter().chain(tool));
    }

    /// Ends the span with the response.
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
        // For a server span, an error of the caller is not an error (HTTP semantic conventions).
        if status >= 500 {
            span.set_status(Status::error(code.map_or("", ErrorCode::as_str)));
        }
        span.end();
    }

    /// Starts the span of a call to a server (MCP semantic conventions).
    pub fn call(&self, called: &CalledTool<'_>) -> CallSpan {
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
    /// Adds the headers that let the server continue the trace (W3C Trace Context).
    pub fn put_into(&self, headers: &mut HeaderMap) {
        headers.remove("traceparent");
        headers.remove("tracestate");
        TraceContextPropagator::new().inject_context(&self.0, &mut HeaderInjector(headers));
    }

    /// Ends the span. `error` is the kind of error, `rpc` the error code from the server.
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

/// Headers. Empty values are not set.
struct HeaderInjector<'a>(&'a mut HeaderMap);

impl Injector for HeaderInjector<'_> {
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
