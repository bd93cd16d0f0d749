//! The metrics of each configured bridge.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use prometheus::proto::Metric;

use super::page::{MetricsPage, counter, gauge, histogram, number, size};
use crate::{
    bridge::{Bridge, BridgePhase},
    config::{CredentialScope, TransportSettings},
    telemetry::{BOUNDS, ProcessGroupUsage},
};

/// The value of the label `tool` for calls that are not counted per tool, and for names that belong
/// to no tool.
const OTHERS: &str = "*";

/// Adds the series of all bridges.
pub fn add(
    page: &mut MetricsPage,
    bridges: &[Arc<Bridge>],
    usage: &HashMap<u32, ProcessGroupUsage>,
) {
    add_calls(page, bridges);
    add_sessions(page, bridges);
    add_servers(page, bridges, usage);
}

/// Calls: their outcomes, their durations and how many are in flight now.
fn add_calls(page: &mut MetricsPage, bridges: &[Arc<Bridge>]) {
    page.counter(
        "mcp_bridge_calls_total",
        "Calls by outcome: ok or an error code. `*` counts every tool that has no series of its own.",
        bridges.iter().flat_map(outcomes).collect(),
    );
    page.histogram(
        "mcp_bridge_call_duration_seconds",
        "Duration of calls, including the wait for a slot.",
        bridges.iter().map(|bridge| times(bridge)).collect(),
    );
    page.gauge(
        "mcp_bridge_calls_in_flight",
        "Calls in flight.",
        each(bridges, |bridge| size(bridge.in_flight())),
    );
    page.gauge(
        "mcp_bridge_calls_in_flight_max",
        "The most calls that may be in flight at once.",
        each(bridges, |bridge| size(bridge.config.concurrency)),
    );
    page.gauge(
        "mcp_bridge_calls_queued",
        "Calls waiting for a slot or for the server.",
        each(bridges, |bridge| size(bridge.queued())),
    );
    page.gauge(
        "mcp_bridge_calls_queued_max",
        "The most calls that may wait.",
        each(bridges, |bridge| size(bridge.config.queue)),
    );
}

/// Sessions: the status of the bridge, and how often its sessions started and failed.
fn add_sessions(page: &mut MetricsPage, bridges: &[Arc<Bridge>]) {
    let status = |bridge: &Arc<Bridge>| {
        let now = bridge.status().phase;
        BridgePhase::ALL.map(|phase| {
            let labels = [
                ("bridge", bridge.name().as_str()),
                ("status", phase.as_str()),
            ];
            gauge(&labels, f64::from(u8::from(phase == now)))
        })
    };
    page.gauge(
        "mcp_bridge_status",
        "Status of the bridge: 1 for the current status, 0 for the others.",
        bridges.iter().flat_map(status).collect(),
    );
    page.gauge(
        "mcp_bridge_tools",
        "Published tools.",
        each(bridges, |bridge| {
            size(bridge.live.tools.load().entries.len())
        }),
    );
    page.gauge(
        "mcp_bridge_sessions",
        "Open sessions.",
        each(bridges, |bridge| {
            size(usize::from(bridge.is_connected()) + bridge.owned_sessions())
        }),
    );
    page.counter(
        "mcp_bridge_sessions_started_total",
        "Sessions that were opened.",
        count(bridges, |bridge| number(bridge.tally.sessions.get())),
    );
    page.counter(
        "mcp_bridge_restarts_total",
        "Sessions that were lost or failed to open. The bridge tries again after each.",
        count(bridges, |bridge| number(bridge.tally.failures.get())),
    );
    let owned = bridges.iter().filter(|bridge| is_owned(bridge));
    let owned: Vec<_> = owned.map(Arc::clone).collect();
    page.gauge(
        "mcp_bridge_owned_sessions",
        "Open sessions that belong to a caller or a group.",
        each(&owned, |bridge| size(bridge.owned_sessions())),
    );
    page.gauge(
        "mcp_bridge_owned_sessions_max",
        "The most sessions of callers and groups that may be open at once.",
        each(&owned, |bridge| size(bridge.config.sessions_max)),
    );
}

/// What the child processes use. Each process group counts as a whole.
fn add_servers(
    page: &mut MetricsPage,
    bridges: &[Arc<Bridge>],
    usage: &HashMap<u32, ProcessGroupUsage>,
) {
    let used: Vec<(&Arc<Bridge>, ProcessGroupUsage)> = bridges
        .iter()
        .map(|bridge| (bridge, used(bridge, usage)))
        .filter(|(bridge, used)| {
            // Where groups bring their own keys, the configuration alone does not tell which
            // processes are started.
            matches!(bridge.config.transport, Ok(TransportSettings::Stdio(_)))
                || *used != ProcessGroupUsage::default()
        })
        .collect();
    let series = |value: fn(&ProcessGroupUsage) -> f64,
                  make: fn(&[(&str, &str)], f64) -> Metric| {
        used.iter()
            .map(|(bridge, usage)| make(&[("bridge", bridge.name().as_str())], value(usage)))
            .collect()
    };
    page.gauge(
        "mcp_bridge_server_processes",
        "Processes of the bridge's servers.",
        series(|usage| f64::from(usage.processes), gauge),
    );
    page.gauge(
        "mcp_bridge_server_resident_memory_bytes",
        "Resident memory of the processes of the bridge's servers.",
        series(|usage| number(usage.resident_bytes), gauge),
    );
    page.counter(
        "mcp_bridge_server_cpu_seconds_total",
        "CPU time of the processes of the bridge's servers, measured at each scrape.",
        series(|usage| usage.cpu.as_secs_f64(), counter),
    );
}

/// What all servers of a bridge use together.
fn used(bridge: &Bridge, usage: &HashMap<u32, ProcessGroupUsage>) -> ProcessGroupUsage {
    let groups = bridge.process_groups().into_iter();
    let groups: BTreeMap<u32, ProcessGroupUsage> = groups
        .filter_map(|group| Some((group, *usage.get(&group)?)))
        .collect();
    let cpu = groups.iter().map(|(group, usage)| (*group, usage.cpu));
    ProcessGroupUsage {
        processes: groups.values().map(|usage| usage.processes).sum(),
        resident_bytes: groups.values().map(|usage| usage.resident_bytes).sum(),
        cpu: bridge.tally.cpu.note(cpu.collect()),
    }
}

/// The outcomes of the calls of each tool.
fn outcomes(bridge: &Arc<Bridge>) -> Vec<Metric> {
    let mut found = BTreeMap::new();
    for (tool, outcome) in bridge.tally.outcomes() {
        let tool = tool.map_or_else(|| OTHERS.to_owned(), |tool| tool.to_string());
        for (code, count) in outcome.counts() {
            // A tool may be called `*` itself, so both counts are added.
            *found.entry((tool.clone(), code)).or_insert(0) += count;
        }
    }
    let bridge = bridge.name().as_str();
    let series = |((tool, code), count): (&(String, &'static str), &u64)| {
        let labels = [("bridge", bridge), ("tool", tool.as_str()), ("code", code)];
        counter(&labels, number(*count))
    };
    found.iter().map(series).collect()
}

/// The durations of the bridge's calls.
fn times(bridge: &Bridge) -> Metric {
    let (cumulated, count, sum) = bridge.tally.times.read();
    let buckets: Vec<_> = BOUNDS.into_iter().zip(cumulated).collect();
    let labels = [("bridge", bridge.name().as_str())];
    histogram(&labels, &buckets, count, sum.as_secs_f64())
}

/// One gauge series for each bridge.
fn each(bridges: &[Arc<Bridge>], value: impl Fn(&Arc<Bridge>) -> f64) -> Vec<Metric> {
    let series = |bridge: &Arc<Bridge>| gauge(&[("bridge", bridge.name().as_str())], value(bridge));
    bridges.iter().map(series).collect()
}

/// One counter series for each bridge.
fn count(bridges: &[Arc<Bridge>], value: impl Fn(&Arc<Bridge>) -> f64) -> Vec<Metric> {
    let series =
        |bridge: &Arc<Bridge>| counter(&[("bridge", bridge.name().as_str())], value(bridge));
    bridges.iter().map(series).collect()
}

/// Whether the bridge's sessions belong to a caller or a group.
fn is_owned(bridge: &Bridge) -> bool {
    bridge.config.credential != CredentialScope::Shared || bridge.owned_sessions() > 0
}
