//! Telemetry: logs on stderr, with one line per request and per change; metrics; and traces for a
//! collector.

mod count;
mod fields;
mod lookups;
mod panics;
mod processes;
mod reloads;
mod tally;
mod trace;
mod writer;

use std::io::IsTerminal as _;

use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt as _, util::SubscriberInitExt as _};

pub use self::{
    count::AtomicCounter,
    lookups::{CacheName, lookups},
    panics::clean_panics,
    processes::{ProcessGroupUsage, by_group, myself},
    reloads::ReloadCounters,
    tally::{BOUNDS, BridgeCounters, ToolOutcomes},
    trace::{CalledTool, RequestSpan, RequestTracer},
};
use self::{fields::PlainFields, writer::EventWriterFactory};
use crate::{
    config::{LogFormat, TelemetrySettings},
    secret::Redactor,
};

/// rmcp logs whole notifications at INFO and bodies at DEBUG, and at ERROR that a transport ended,
/// without naming it. The bridge's own line names the bridge and the reason. A configured level
/// that names a crate takes precedence.
const QUIET: &str = "rmcp=error,rmcp::transport=off,hyper=warn,h2=warn,reqwest=warn,rustls=warn,\
                     sse_stream=warn";

/// Starts the log. Its lines contain no secrets and no characters that could mislead a reader. The
/// error describes an invalid filter.
pub fn start(telemetry: &TelemetrySettings, redactor: &Redactor) -> Result<(), String> {
    let directives = format!("{QUIET},{}", telemetry.level);
    let filter = EnvFilter::try_new(directives).map_err(|error| {
        format!(
            "the log level `{}` is not a valid filter: {error}",
            telemetry.level
        )
    })?;
    let registry = tracing_subscriber::registry().with(filter);
    let result = match telemetry.format {
        LogFormat::Json => registry
            .with(
                fmt::layer()
                    .json()
                    .flatten_event(true)
                    .with_current_span(false)
                    .with_span_list(false)
                    .with_writer(EventWriterFactory::new(redactor, false)),
            )
            .try_init(),
        LogFormat::Text if std::io::stderr().is_terminal() => registry
            .with(
                fmt::layer()
                    .with_target(false)
                    .with_ansi(true)
                    .fmt_fields(PlainFields)
                    .with_writer(EventWriterFactory::new(redactor, true)),
            )
            .try_init(),
        LogFormat::Text => registry
            .with(
                fmt::layer()
                    .with_target(false)
                    .with_ansi(false)
                    .with_writer(EventWriterFactory::new(redactor, false)),
            )
            .try_init(),
    };
    result.map_err(|error| format!("cannot start the log: {error}"))
}
