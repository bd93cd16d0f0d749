//! What we say of ourselves: one line a request, and what changes, on stderr; numbers, for whoever
//! asks; spans, for a collector.

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
    count::Count,
    lookups::{Lookups, lookups},
    panics::clean_panics,
    processes::{Usage, by_group, myself},
    reloads::Reloads,
    tally::{BOUNDS, Outcome, Tally},
    trace::{Called, RequestSpan, Traces},
};
use self::{fields::PlainFields, writer::Clean};
use crate::{
    config::{LogFormat, Telemetry},
    secret::Redactor,
};

/// rmcp logs whole notifications at INFO and bodies at DEBUG, and at ERROR that a transport ended, without a
/// word of which: our own line names the bridge and the reason. A level that names it wins.
const QUIET: &str = "rmcp=error,rmcp::transport=off,hyper=warn,h2=warn,reqwest=warn,rustls=warn,\
                     sse_stream=warn";

/// Starts the log; no line of it has a secret in it, or a character that changes how it is read. A filter that does not parse is an error in words.
pub fn start(telemetry: &Telemetry, redactor: &Redactor) -> Result<(), String> {
    let directives = format!("{QUIET},{}", telemetry.level);
    let filter = EnvFilter::try_new(directives)
        .map_err(|error| format!("the log level `{}` is no filter: {error}", telemetry.level))?;
    let registry = tracing_subscriber::registry().with(filter);
    let result = match telemetry.format {
        LogFormat::Json => registry
            .with(
                fmt::layer()
                    .json()
                    .flatten_event(true)
                    .with_current_span(false)
                    .with_span_list(false)
                    .with_writer(Clean::new(redactor, false)),
            )
            .try_init(),
        LogFormat::Text if std::io::stderr().is_terminal() => registry
            .with(
                fmt::layer()
                    .with_target(false)
                    .with_ansi(true)
                    .fmt_fields(PlainFields)
                    .with_writer(Clean::new(redactor, true)),
            )
            .try_init(),
        LogFormat::Text => registry
            .with(
                fmt::layer()
                    .with_target(false)
                    .with_ansi(false)
                    .with_writer(Clean::new(redactor, false)),
            )
            .try_init(),
    };
    result.map_err(|error| format!("the log cannot be started: {error}"))
}
