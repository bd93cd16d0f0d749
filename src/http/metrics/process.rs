//! The metrics of the whole process.

use prometheus::proto::Metric;

use super::page::{MetricsPage, counter, gauge, number};
use crate::{
    http::AppState,
    store,
    telemetry::{lookups, myself},
};

/// Adds every metric that does not belong to a bridge.
pub fn add(page: &mut MetricsPage, state: &AppState) {
    page.gauge(
        "mcp_bridge_build_info",
        "Always 1; the version is its label.",
        vec![gauge(&[("version", env!("CARGO_PKG_VERSION"))], 1.0)],
    );
    let answers = state.metering.answers();
    page.counter(
        "mcp_bridge_http_requests_total",
        "HTTP requests by the class of the response status.",
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
        "Cache lookups by cache and result (hit or miss).",
        looks.collect(),
    );
    if let Some(sent) = state.traces.sent() {
        let results = [("sent", &sent.taken), ("lost", &sent.lost)];
        let series = |(result, count): (&str, &crate::telemetry::AtomicCounter)| {
            counter(&[("result", result)], number(count.get()))
        };
        page.counter(
            "mcp_bridge_spans_total",
            "Trace spans that the collector accepted (sent) or that were lost.",
            results.map(series).to_vec(),
        );
    }
    add_myself(page);
}

/// Reloads of the configuration.
fn add_reloads(page: &mut MetricsPage, state: &AppState) {
    let reloads = &state.reloader.reloads;
    page.counter(
        "mcp_bridge_reloads_total",
        "Reloads of the configuration by result: applied, or refused because of errors.",
        vec![
            counter(&[("result", "applied")], number(reloads.applied.get())),
            counter(&[("result", "refused")], number(reloads.refused.get())),
        ],
    );
    page.gauge(
        "mcp_bridge_reload_successful",
        "1 if the last reload of the configuration was applied, 0 if it was refused.",
        one(flag(reloads.is_applied())),
    );
    page.gauge(
        "mcp_bridge_reload_success_timestamp_seconds",
        "Unix time when a configuration was last applied.",
        one(number(reloads.applied_at())),
    );
}

/// The database, and the journal of calls that are on their way there.
fn add_kept(page: &mut MetricsPage, state: &AppState) {
    if let Some(store) = &state.store {
        page.gauge(
            "mcp_bridge_database_up",
            "1 while the database answers, else 0.",
            one(flag(store.health() == store::StoreHealth::Connected)),
        );
    }
    let audit = state.audit.health();
    if !audit.is_on {
        return;
    }
    let bound = state.settings.load().config.audit.journal_bytes_max;
    page.gauge(
        "mcp_bridge_audit_backlog_bytes",
        "Size of the call records in the journal that are not yet in the database.",
        one(number(audit.backlog_bytes)),
    );
    page.gauge(
        "mcp_bridge_audit_backlog_max_bytes",
        "Maximum size of the journal.",
        one(number(bound)),
    );
    page.counter(
        "mcp_bridge_audit_lost_records_total",
        "Call records that were written to the log because the journal could not be written.",
        vec![counter(&[], number(audit.lost))],
    );
    page.gauge(
        "mcp_bridge_audit_failing",
        "1 while call records cannot be written or do not reach the database, else 0.",
        one(flag(audit.failing.is_some())),
    );
}

/// The process itself, under the metric names that Prometheus clients share.
fn add_myself(page: &mut MetricsPage) {
    let Some(myself) = myself() else {
        return;
    };
    page.gauge(
        "process_resident_memory_bytes",
        "Resident memory of the bridge itself, without its servers.",
        one(number(myself.resident_bytes)),
    );
    page.counter(
        "process_cpu_seconds_total",
        "CPU time of the bridge itself, without its servers.",
        vec![counter(&[], myself.cpu.as_secs_f64())],
    );
    page.gauge(
        "process_start_time_seconds",
        "Unix time when the process started.",
        one(number(myself.started_at)),
    );
    let numbers = |value: Option<u64>| value.map_or_else(Vec::new, |value| one(number(value)));
    page.gauge(
        "process_open_fds",
        "Open file descriptors (files and sockets).",
        numbers(myself.fds),
    );
    page.gauge(
        "process_max_fds",
        "Maximum number of open file descriptors.",
        numbers(myself.fds_max),
    );
}

/// A family of one series.
fn one(value: f64) -> Vec<Metric> {
    vec![gauge(&[], value)]
}

/// A boolean as a number.
fn flag(value: bool) -> f64 {
    f64::from(u8::from(value))
}
