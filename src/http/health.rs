//! `GET /health` and `GET /ready`, for probes.

use std::sync::Arc;

use axum::{Json, extract::State, response::IntoResponse};
use http::StatusCode;
use serde::Serialize;

use super::state::AppState;
use crate::{bridge::Phase, store};

/// The body of both.
#[derive(Debug, Serialize)]
pub struct Health {
    /// `healthy` or `degraded`; of `/ready` also `starting` and `draining`.
    status: &'static str,
    /// Who speaks.
    service: &'static str,
    /// Our version.
    version: &'static str,
    /// Bridges by phase.
    bridges: Counts,
    /// Published tools.
    tools: usize,
    /// `connected`, `disconnected`, or `disabled` where nothing is kept.
    database: &'static str,
    /// The audit trail.
    audit: AuditTrail,
}

/// How the audit trail stands.
#[derive(Debug, Serialize)]
struct AuditTrail {
    /// Whether calls are recorded.
    enabled: bool,
    /// What is written and not yet in the database.
    backlog_bytes: u64,
    /// Records that could not be kept, since the start.
    lost: u64,
    /// Whether something does not work; the log says what.
    failing: bool,
}

/// Bridges by phase.
#[derive(Debug, Default, Serialize)]
struct Counts {
    /// All of them.
    total: usize,
    /// Serving.
    ready: usize,
    /// Resting until the next call.
    idle: usize,
    /// Connecting.
    starting: usize,
    /// Waiting for somebody to log in to its server.
    needs_login: usize,
    /// Down, tried again soon.
    backing_off: usize,
    /// Down, tried again rarely.
    failed: usize,
    /// Off.
    disabled: usize,
}

/// `GET /health`: 200 while the process serves, whatever its bridges do.
pub async fn health(State(state): State<Arc<AppState>>) -> impl IntoResponse {
    Json(report(&state, None))
}

/// `GET /ready`: 503 until every bridge had its first attempt and the database answers where calls
/// depend on it, and while draining.
pub async fn ready(State(state): State<Arc<AppState>>) -> impl IntoResponse {
    let store = state.store.as_ref().map(|store| store.health());
    let needs_store = state.settings.load().access.is_enforced();
    let reason = if state.draining.is_cancelled() {
        Some("draining")
    } else if !state.registry.is_settled() {
        Some("starting")
    } else if needs_store && store != Some(store::Health::Connected) {
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

/// Counts; no I/O, so it answers at once. What does not work is told to everybody, why is not.
fn report(state: &AppState, status: Option<&'static str>) -> Health {
    let roster = state.registry.roster();
    let mut bridges = Counts::default();
    let mut tools = 0;
    for bridge in roster.bridges() {
        bridges.total += 1;
        tools += bridge.live.tools.load().entries.len();
        *match bridge.status().phase {
            Phase::Disabled => &mut bridges.disabled,
            Phase::Starting => &mut bridges.starting,
            Phase::Ready => &mut bridges.ready,
            Phase::BackingOff => &mut bridges.backing_off,
            Phase::Failed => &mut bridges.failed,
            Phase::Idle => &mut bridges.idle,
            Phase::NeedsLogin => &mut bridges.needs_login,
        } += 1;
    }
    let audit = state.audit.health();
    let database = match state.store.as_ref().map(|store| store.health()) {
        None => "disabled",
        Some(store::Health::Connected) => "connected",
        Some(store::Health::Disconnected(_)) => "disconnected",
    };
    let is_degraded = database == "disconnected" || audit.failing.is_some();
    Health {
        status: status.unwrap_or(if is_degraded { "degraded" } else { "healthy" }),
        service: "mcp-bridge",
        version: env!("CARGO_PKG_VERSION"),
        bridges,
        tools,
        database,
        audit: AuditTrail {
            enabled: audit.is_on,
            backlog_bytes: audit.backlog_bytes,
            lost: audit.lost,
            failing: audit.failing.is_some(),
        },
    }
}
