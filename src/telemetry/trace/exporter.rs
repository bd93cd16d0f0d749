//! [`RedactingExporter`]: sends spans to the collector, without secrets.

use std::{
    borrow::Cow,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use opentelemetry::{
    KeyValue, Value,
    trace::{SpanContext, Status, TraceState},
};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{SpanData, SpanExporter},
};

use super::{counters::SpanCounters, sender::LastSendError};
use crate::secret::Redactor;

/// Redacts spans and sends them. Logs once when sending fails, and once when it works again.
pub(super) struct RedactingExporter<E> {
    /// Sends the spans.
    inner: E,
    /// Removes secrets.
    redactor: Redactor,
    /// The collector's address, for the log.
    collector: String,
    /// Why sending fails.
    trouble: LastSendError,
    /// Counts the spans.
    sent: Arc<SpanCounters>,
    /// Whether the log already says that sending fails.
    is_told: AtomicBool,
}

impl<E: SpanExporter> RedactingExporter<E> {
    /// Wraps another exporter.
    pub(super) fn new(
        inner: E,
        redactor: &Redactor,
        collector: String,
        trouble: LastSendError,
        sent: Arc<SpanCounters>,
    ) -> Self {
        Self {
            inner,
            redactor: redactor.clone(),
            collector,
            trouble,
            sent,
            is_told: AtomicBool::new(false),
        }
    }

    /// Redacts a span.
    fn clean(&self, span: &mut SpanData) {
        self.clean_text(&mut span.name);
        self.clean_state(span);
        if let Status::Error { description } = &mut span.status {
            self.clean_text(description);
        }
        for KeyValue { value, .. } in &mut span.attributes {
            if let Value::String(text) = value
                && let Cow::Owned(clean) = self.redactor.redact(text.as_str())
            {
                *value = Value::from(clean);
            }
        }
    }

    /// Drops the trace state that a caller sent if it contains a secret.
    fn clean_state(&self, span: &mut SpanData) {
        let context = &span.span_context;
        let state = context.trace_state().header();
        if self.redactor.finds(state.as_bytes()) {
            span.span_context = SpanContext::new(
                context.trace_id(),
                context.span_id(),
                context.trace_flags(),
                context.is_remote(),
                TraceState::NONE,
            );
        }
    }

    fn clean_text(&self, text: &mut Cow<'static, str>) {
        if let Cow::Owned(clean) = self.redactor.redact(text) {
            *text = Cow::Owned(clean);
        }
    }

    /// Counts the spans and logs a change.
    fn tell(&self, result: &OTelSdkResult, count: u64) {
        let collector = self.collector.as_str();
        match result {
            Ok(()) => {
                self.sent.taken.add(count);
                if self.is_told.swap(false, Ordering::Relaxed) {
                    tracing::info!(collector, "sending spans to the collector works again");
                }
            }
            Err(error) => {
                self.sent.lost.add(count);
                if !self.is_told.swap(true, Ordering::Relaxed) {
                    let reason = self.trouble.last().unwrap_or_else(|| error.to_string());
                    tracing::warn!(
                        collector,
                        %reason,
                        "cannot send spans to the collector; they are dropped until sending works again"
                    );
                }
            }
        }
    }
}

impl<E: SpanExporter> SpanExporter for RedactingExporter<E> {
    async fn export(&self, mut batch: Vec<SpanData>) -> OTelSdkResult {
        for span in &mut batch {
            self.clean(span);
        }
        let count = u64::try_from(batch.len()).unwrap_or(u64::MAX);
        let result = self.inner.export(batch).await;
        self.tell(&result, count);
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

impl<E> fmt::Debug for RedactingExporter<E> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("RedactingExporter");
        shown.field("collector", &self.collector);
        shown.finish_non_exhaustive()
    }
}
