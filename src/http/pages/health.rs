//! `GET /health` and `GET /ready`, for probes.

use std::sync::Arc;

use axum::{Json, extract::State, response::IntoResponse};
use http::StatusCode;
use serde::Serialize;

use crate::{bridge::BridgePhase, http::state::AppState, store};

/// The body of both responses.
#[derive(Debug, Serialize)]
pub struct HealthReport {
    /// `healthy` or `degraded`; `/ready` also reports `starting` and `draining`.
    status: &'static str,
    /// The name of this service.
    service: &'static str,
    /// The version of mcp-bridge.
    version: &'static str,
    /// The number of bridges in each phase.
    bridges: StatusCounts,
    /// The number of published tools.
    tools: usize,
    /// `connected`, `disconnected`, or `disabled` if no database is configured.
    database: &'static str,
    /// The state of the audit trail.
    audit: AuditStatus,
}

/// The state of the audit trail.
#[derive(Debug, Serialize)]
struct AuditStatus {
    /// Whether calls are recorded.
    enabled: bool,
    /// Bytes in the journal that are not yet in the database.
    backlog_bytes: u64,
    /// The number of records lost since the start.
    lost: u64,
    /// Whether the audit trail is failing. The log has the reason.
    failing: bool,
}

/// The number of bridges in each phase.
#[derive(Debug, Default, Serialize)]
struct StatusCounts {
    /// All bridges.
    total: usize,
    /// The bridge serves calls.
    ready: usize,
    /// The session is closed until the next call.
    idle: usize,
    /// The bridge is connecting.
    starting: usize,
    /// The bridge waits until an administrator logs in to its server.
    needs_login: usize,
    /// The bridge is down and tries again soon.
    backing_off: usize,
    /// The bridge is down and tries again rarely.
    failed: usize,
    /// The bridge is disabled.
    disabled: usize,
}

/// `GET /health`: 200 while the process runs, whatever the status of its bridges.
pub async fn health(State(state): State<Arc<AppState>>) -> impl IntoResponse {
    Json(report(&state, None))
}

/// `GET /ready`: 503 until every bridge has finished its first attempt to connect, while the
/// database is down and access rules need it, and while draining.
pub async fn ready(State(state): State<Arc<AppState>>) -> impl IntoResponse {
    let store = state.store.as_ref().map(|store| store.health());
    let needs_store = state.settings.load().access.is_enforced();
    let reason = if state.draining.is_cancelled() {
        Some("draining")
    } else if !state.registry.is_settled() {
        Some("starting")
    } else if needs_store && store != Some(store::StoreHealth::Connected) {
        Some("degraded")
    } else {
        None
    };
    let status = match reason {
        Some(_) => StatusCode::SERVICE_UNAVAILABLE,
        None => StatusCode::OK,
    };
    (status, Json(report(&state, reason)))
}

/// Counts without I/O, so that the response is immediate. Everyone may see what fails; the reasons
/// are only in the log.
fn report(state: &AppState, status: Option<&'static str>) -> HealthReport {
    let roster = state.registry.roster();
    let mut bridges = StatusCounts::default();
    let mut tools = 0;
    for bridge in roster.bridges() {
        bridges.total += 1;
        tools += bridge.live.tools.load().entries.len();
        *match bridge.status().phase {
            BridgePhase::Disabled => &mut bridges.disabled,
            BridgePhase::Starting => &mut bridges.starting,
            BridgePhase::Ready => &mut bridges.ready,
            BridgePhase::BackingOff => &mut bridges.backing_off,
            BridgePhase::Failed => &mut bridges.failed,
            BridgePhase::Idle => &mut bridges.idle,
            BridgePhase::NeedsLogin => &mut bridges.needs_login,
        } += 1;
    }
    let audit = state.audit.health();
    let database = match state.store.as_ref().map(|store| store.health()) {
        None => "disabled",
        Some(store::StoreHealth::Connected) => "connected",
        Some(store::StoreHealth::Disconnected(_)) => "disconnected",
    };
    let is_degraded = database == "disconnected" || audit.failing.is_some();
    HealthReport {
        status: status.unwrap_or(if is_degraded { "degraded" } else { "healthy" }),
        service: "mcp-bridge",
        version: env!("CARGO_PKG_VERSION"),
        bridges,
        tools,
        database,
        audit: AuditStatus {
            enabled: audit.is_on,
            backlog_bytes: audit.backlog_bytes,
            lost: audit.lost,
            failing: audit.failing.is_some(),
        },
    }
}
