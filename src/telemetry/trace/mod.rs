//! [`RequestTracer`]: what a request did and how long it took, for a trace collector. This is the only
//! code that uses `opentelemetry`.
//!
//! Spans are created with its API and not from log events: the log level does not affect traces,
//! and logs are not sent to the collector. Without a configured collector there is no span, no
//! task, and no thread.

mod counters;
mod exporter;
mod sender;
mod span;

use std::{sync::Arc, time::Duration};

use http::{HeaderMap, Method};
use opentelemetry::{
    Context, KeyValue,
    propagation::TextMapPropagator as _,
    trace::{SpanKind, TracerProvider as _},
};
use opentelemetry_http::HeaderExtractor;
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::{
    Resource,
    propagation::TraceContextPropagator,
    trace::{BatchSpanProcessor, SdkTracer, SdkTracerProvider},
};
pub use span::{CalledTool, RequestSpan};

use self::{counters::SpanCounters, exporter::RedactingExporter, sender::SpanSender};
use crate::{config::OtlpSettings, secret::Redactor};

/// The timeout for sending a batch.
const SEND_TIMEOUT: Duration = Duration::from_secs(10);
/// The timeout for sending the last batches when the process ends.
const END_TIMEOUT: Duration = Duration::from_secs(3);
/// How much of a path is kept, in bytes.
const PATH_BYTES_MAX: usize = 256;
/// The methods that are used as span names (HTTP semantic conventions). Callers may make up others.
const METHODS: [Method; 9] = [
    Method::CONNECT,
    Method::DELETE,
    Method::GET,
    Method::HEAD,
    Method::OPTIONS,
    Method::PATCH,
    Method::POST,
    Method::PUT,
    Method::TRACE,
];

/// Creates spans if a collector is configured. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct RequestTracer(Option<Arc<TracerState>>);

/// The shared state.
#[derive(Debug)]
struct TracerState {
    /// Owns the queue.
    provider: SdkTracerProvider,
    /// Creates the spans.
    tracer: SdkTracer,
    /// Counts sent and lost spans.
    sent: Arc<SpanCounters>,
}

impl RequestTracer {
    /// Sends spans to a collector with this HTTP client. Must be called inside a Tokio runtime. The
    /// queue and its batches are bounded; the variables `OTEL_BSP_*` can change the limits.
    pub fn start(
        otlp: &OtlpSettings,
        client: reqwest::Client,
        redactor: &Redactor,
    ) -> Result<Self, String> {
        let sender = SpanSender::new(client, SEND_TIMEOUT);
        let trouble = sender.trouble();
        let headers = otlp
            .headers
            .iter()
            .map(|(name, value)| (name.to_string(), value.expose().to_owned()));
        let exporter = SpanExporter::builder()
            .with_http()
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(otlp.url.as_str())
            .with_timeout(SEND_TIMEOUT)
            .with_headers(headers.collect())
            .with_http_client(sender)
            .build()
            .map_err(|error| format!("cannot send traces: {error}"))?;
        let sent = Arc::new(SpanCounters::default());
        let collector = otlp.url.origin().ascii_serialization();
        let exporter =
            RedactingExporter::new(exporter, redactor, collector, trouble, Arc::clone(&sent));
        let provider = SdkTracerProvider::builder()
            .with_resource(resource())
            .with_span_processor(BatchSpanProcessor::builder(exporter).build())
            .build();
        let tracer = provider.tracer("mcp-bridge");
        Ok(Self(Some(Arc::new(TracerState {
            provider,
            tracer,
            sent,
        }))))
    }

    /// The span of a request, as a child of the caller's span if they sent one (W3C Trace Context).
    pub fn request(&self, method: &Method, path: &str, headers: &HeaderMap) -> Option<RequestSpan> {
        let inner = self.0.as_ref()?;
        let parent = TracerState::parent(headers);
        let method = METHODS.iter().find(|known| *known == method);
        let name = method.map_or("HTTP", Method::as_str);
        let path = path.get(..path.floor_char_boundary(PATH_BYTES_MAX));
        let attributes = vec![
            KeyValue::new(
                "http.request.method",
                method.map_or("_OTHER", Method::as_str).to_owned(),
            ),
            KeyValue::new("url.path", path.unwrap_or_default().to_owned()),
        ];
        let name = name.to_owned();
        Some(RequestSpan::start(
            &inner.tracer,
            &parent,
            name,
            SpanKind::Server,
            attributes,
        ))
    }

    /// The counters of sent spans; `None` without a collector.
    pub fn sent(&self) -> Option<&SpanCounters> {
        self.0.as_ref().map(|inner| inner.sent.as_ref())
    }

    /// Sends the spans in the queue, within a time limit.
    pub async fn end(&self) {
        let Some(inner) = self.0.as_ref().map(Arc::clone) else {
            return;
        };
        let ending = move || inner.provider.shutdown_with_timeout(END_TIMEOUT);
        match tokio::task::spawn_blocking(ending).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "the last spans were not sent"),
            Err(error) => tracing::debug!(%error, "the last spans were not sent"),
        }
    }
}

impl TracerState {
    /// The caller's span, as sent.
    fn parent(headers: &HeaderMap) -> Context {
        TraceContextPropagator::new()
            .extract_with_context(&Context::new(), &HeaderExtractor(headers))
    }
}

/// Describes this service. `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` can change and extend
/// the description.
fn resource() -> Resource {
    let given = Resource::builder().build();
    let name = given.get(&"service.name".into());
    let is_named = name.is_some_and(|name| !name.as_str().starts_with("unknown_service"));
    let mut builder = Resource::builder()
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")));
    if !is_named {
        builder = builder.with_service_name("mcp-bridge");
    }
    builder.build()
}
