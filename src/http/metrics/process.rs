//! What is counted of the whole process.

use prometheus::proto::Metric;

use super::page::{Page, counter, gauge, number};
use crate::{
    http::AppState,
    store,
    telemetry::{lookups, myself},
};

/// Adds everything that belongs to no bridge.
pub fn add(page: &mut Page, state: &AppState) {
    page.gauge(
        "mcp_bridge_build_info",
        "Always 1; the version is its label.",
        vec![gauge(&[("version", env!("CARGO_PKG_VERSION"))], 1.0)],
    );
    let answers = state.metering.answers();
    page.counter(
        "mcp_bridge_http_requests_total",
        "Requests that were answered, by the class of the HTTP status.",
        answers
            .map(|(class, count)| counter(&[("status", class)], number(count)))
            .collect(),
    );
    add_reloads(page, state);
    add_kept(page, state);
    let looks = lookups().flat_map(|(memory, found)| {
        [("hit", &found.hits), ("miss", &found.misses)].map(|(result, count)| {
            let labels = [("memory", memory), ("result", result)];
            counter(&labels, number(count.get()))
        })
    });
    page.counter(
        "mcp_bridge_lookups_total",
        "What was asked of each memory, and whether it was there.",
        looks.collect(),
    );
    if let Some(sent) = state.traces.sent() {
        let results = [("sent", &sent.taken), ("lost", &sent.lost)];
        let series = |(result, count): (&str, &crate::telemetry::Count)| {
            counter(&[("result", result)], number(count.get()))
        };
        page.counter(
            "mcp_bridge_spans_total",
            "Spans of traces that the collector took, and that it did not.",
            results.map(series).to_vec(),
        );
    }
    add_myself(page);
}

/// Reads of the configuration.
fn add_reloads(page: &mut Page, state: &AppState) {
    let reloads = &state.reloader.reloads;
    page.counter(
        "mcp_bridge_reloads_total",
        "Times the configuration was read anew: applied, or refused for its errors.",
        vec![
            counter(&[("result", "applied")], number(reloads.applied.get())),
            counter(&[("result", "refused")], number(reloads.refused.get())),
        ],
    );
    page.gauge(
        "mcp_bridge_reload_successful",
        "1 while what the configuration said when it was last read is in force.",
        one(flag(reloads.is_applied())),
    );
    page.gauge(
        "mcp_bridge_reload_success_timestamp_seconds",
        "When a configuration was put in force last.",
        one(number(reloads.applied_at())),
    );
}

/// The database, and the trail on its way there.
fn add_kept(page: &mut Page, state: &AppState) {
    if let Some(store) = &state.store {
        page.gauge(
            "mcp_bridge_database_up",
            "1 while the database answers.",
            one(flag(store.health() == store::Health::Connected)),
        );
    }
    let audit = state.audit.health();
    if !audit.is_on {
        return;
    }
    let bound = state.settings.load().config.audit.journal_bytes_max;
    page.gauge(
        "mcp_bridge_audit_backlog_bytes",
        "What is in the journal of calls and not yet in the database.",
        one(number(audit.backlog_bytes)),
    );
    page.gauge(
        "mcp_bridge_audit_backlog_max_bytes",
        "How large the journal may grow.",
        one(number(bound)),
    );
    page.counter(
        "mcp_bridge_audit_lost_records_total",
        "Records of calls that went to the log because the journal could not be written.",
        vec![counter(&[], number(audit.lost))],
    );
    page.gauge(
        "mcp_bridge_audit_failing",
        "1 while records of calls cannot be written, or do not reach the database.",
        one(flag(audit.failing.is_some())),
    );
}

/// Ourselves, under the names that all programs use.
fn add_myself(page: &mut Page) {
    let Some(myself) = myself() else {
        return;
    };
    page.gauge(
        "process_resident_memory_bytes",
        "Memory of the bridge itself, without its servers.",
        one(number(myself.resident_bytes)),
    );
    page.counter(
        "process_cpu_seconds_total",
        "Processor time of the bridge itself.",
        vec![counter(&[], myself.cpu.as_secs_f64())],
    );
    page.gauge(
        "process_start_time_seconds",
        "When it started.",
        one(number(myself.started_at)),
    );
    let numbers = |value: Option<u64>| value.map_or_else(Vec::new, |value| one(number(value)));
    page.gauge(
        "process_open_fds",
        "Open files and sockets.",
        numbers(myself.fds),
    );
    page.gauge(
        "process_max_fds",
        "So many may be open.",
        numbers(myself.fds_max),
    );
}

/// A family of one series.
fn one(value: f64) -> Vec<Metric> {
    vec![gauge(&[], value)]
}

/// Yes or no as a number.
fn flag(value: bool) -> f64 {
    f64::from(u8::from(value))
}
