//! [`SpanCounters`]: how many spans reached the collector.

use crate::telemetry::count::AtomicCounter;

/// Counts sent and lost spans.
#[derive(Debug, Default)]
pub struct SpanCounters {
    /// Spans that the collector accepted.
    pub taken: AtomicCounter,
    /// Spans that were lost.
    pub lost: AtomicCounter,
}
