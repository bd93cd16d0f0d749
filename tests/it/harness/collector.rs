//! A collector of traces: takes what an OTLP exporter posts, as protobuf, and keeps it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use axum::{Router, body::Bytes, extract::State, http::HeaderMap, routing::post};
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{KeyValue, any_value::Value},
    trace::v1::span::SpanKind,
};
use prost::Message as _;
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep},
};

use super::PATIENCE;

/// A running collector; it ends with this.
pub struct Collector {
    /// What `OTEL_EXPORTER_OTLP_ENDPOINT` is set to.
    pub endpoint: String,
    kept: Arc<Mutex<Kept>>,
    serving: JoinHandle<()>,
}

#[derive(Default)]
struct Kept {
    spans: Vec<Seen>,
    headers: Vec<HeaderMap>,
    hangs: bool,
}

/// A span that came in.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: SpanKind,
    /// The number of its trace, in hex.
    pub trace: String,
    /// Its own.
    pub id: String,
    /// That of the span above it; empty for none.
    pub parent: String,
    /// `tracestate`
    pub state: String,
    /// Its status: 0 unset, 1 fine, 2 error.
    pub status: i32,
    /// Its attributes, as text.
    pub attributes: BTreeMap<String, String>,
    /// The attributes of the process.
    pub resource: BTreeMap<String, String>,
}

impl Seen {
    /// An attribute; empty when absent.
    pub fn get(&self, key: &str) -> &str {
        self.attributes.get(key).map_or("", String::as_str)
    }
}

impl Collector {
    /// Starts it at a free port.
    pub async fn start() -> Self {
        Self::start_at(0).await
    }

    /// Starts it at a port.
    pub async fn start_at(port: u16) -> Self {
        let kept = Arc::<Mutex<Kept>>::default();
        let routes = Router::new()
            .route("/v1/traces", post(take))
            .with_state(Arc::clone(&kept));
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", port))
            .await
            .unwrap();
        let address = listener.local_addr().unwrap();
        let serving = tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        Self {
            endpoint: format!("http://{address}"),
            kept,
            serving,
        }
    }

    /// Every span that came in.
    pub fn spans(&self) -> Vec<Seen> {
        self.kept.lock().unwrap().spans.clone()
    }

    /// The headers of the requests that brought them.
    pub fn headers(&self) -> Vec<HeaderMap> {
        self.kept.lock().unwrap().headers.clone()
    }

    /// Answers nothing from now on.
    pub fn hang(&self) {
        self.kept.lock().unwrap().hangs = true;
    }

    /// Waits for a span.
    pub async fn span(&self, is_wanted: impl Fn(&Seen) -> bool) -> Seen {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(span) = self.spans().into_iter().find(&is_wanted) {
                return span;
            }
            assert!(Instant::now() < end, "not among {:#?}", self.spans());
            sleep(std::time::Duration::from_millis(25)).await;
        }
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// Takes one batch.
async fn take(State(kept): State<Arc<Mutex<Kept>>>, headers: HeaderMap, body: Bytes) {
    let request = ExportTraceServiceRequest::decode(body).unwrap();
    let hangs = kept.lock().unwrap().hangs;
    if hangs {
        std::future::pending::<()>().await;
    }
    let mut kept = kept.lock().unwrap();
    kept.headers.push(headers);
    for resource in request.resource_spans {
        let about = texts(resource.resource.map_or_else(Vec::new, |it| it.attributes));
        for span in resource.scope_spans.into_iter().flat_map(|it| it.spans) {
            kept.spans.push(Seen {
                kind: span.kind(),
                name: span.name,
                trace: hex(&span.trace_id),
                id: hex(&span.span_id),
                parent: hex(&span.parent_span_id),
                state: span.trace_state,
                status: span.status.map_or(0, |status| status.code),
                attributes: texts(span.attributes),
                resource: about.clone(),
            });
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    let digits = digits.filter_map(|digit| char::from_digit(digit.into(), 16));
    digits.collect()
}

fn texts(attributes: Vec<KeyValue>) -> BTreeMap<String, String> {
    let text = |value: Value| match value {
        Value::StringValue(text) => text,
        Value::IntValue(number) => number.to_string(),
        other => format!("{other:?}"),
    };
    attributes
        .into_iter()
        .filter_map(|it| Some((it.key, text(it.value?.value?))))
        .collect()
}
