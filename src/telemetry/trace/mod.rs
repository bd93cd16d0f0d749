//! [`Traces`]: what a request did and for how long, for whoever collects it; the only code that says
//! `opentelemetry`.
//!
//! Spans are made by its API and not of the log's events: a log level does not switch traces off, and
//! what is logged is not sent elsewhere. Where no collector is named there is nothing: no span, no
//! task, no thread.

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
pub use span::{Called, RequestSpan};

use self::{exporter::Clean, sender::Sender};
use super::count::Count;
use crate::{config::Otlp, secret::Redactor};

/// How long a batch may take on its way.
const SEND_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the last batches may take when the process ends.
const END_TIMEOUT: Duration = Duration::from_secs(3);
/// How much of a path is kept, in bytes.
const PATH_BYTES_MAX: usize = 256;
/// The methods that a span is named by (HTTP semantic conventions); others are made up.
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

/// Makes spans, while a collector is named. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Traces(Option<Arc<Inner>>);

/// What all clones share.
#[derive(Debug)]
struct Inner {
    /// Has the queue.
    provider: SdkTracerProvider,
    /// Makes the spans.
    tracer: SdkTracer,
    /// What became of the spans.
    sent: Arc<Sent>,
}

/// What became of spans.
#[derive(Debug, Default)]
pub struct Sent {
    /// Spans that the collector took.
    pub taken: Count,
    /// Spans that it did not.
    pub lost: Count,
}

impl Traces {
    /// Sends to a collector, through a client. Must be called in a runtime, which sends. The queue and
    /// its batches are bounded, by the variables `OTEL_BSP_*` too.
    pub fn start(
        otlp: &Otlp,
        client: reqwest::Client,
        redactor: &Redactor,
    ) -> Result<Self, String> {
        let sender = Sender::new(client, SEND_TIMEOUT);
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
            .map_err(|error| format!("traces cannot be sent: {error}"))?;
        let sent = Arc::new(Sent::default());
        let collector = otlp.url.origin().ascii_serialization();
        let exporter = Clean::new(exporter, redactor, collector, trouble, Arc::clone(&sent));
        let provider = SdkTracerProvider::builder()
            .with_resource(resource())
            .with_span_processor(BatchSpanProcessor::builder(exporter).build())
            .build();
        let tracer = provider.tracer("mcp-bridge");
        Ok(Self(Some(Arc::new(Inner {
            provider,
            tracer,
            sent,
        }))))
    }

    /// The span of a request, under that of the caller if they name one (W3C Trace Context).
    pub fn request(&self, method: &Method, path: &str, headers: &HeaderMap) -> Option<RequestSpan> {
        let inner = self.0.as_ref()?;
        let parent = Inner::parent(headers);
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

    /// What became of the spans; `None` where there are none.
    pub fn sent(&self) -> Option<&Sent> {
        self.0.as_ref().map(|inner| inner.sent.as_ref())
    }

    /// Sends what waits, for a while.
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

impl Inner {
    /// The caller's span, as they sent it.
    fn parent(headers: &HeaderMap) -> Context {
        TraceContextPropagator::new()
            .extract_with_context(&Context::new(), &HeaderExtractor(headers))
    }
}

/// Who we are; `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` say more, or other.
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
