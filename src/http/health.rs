//! `GET /health` and `GET /ready`, for probes.

use std::sync::Arc;

use axum::{Json, extract::State, response::IntoResponse};
use http::StatusCode;
use serde::Serialize;

use super::state::AppState;
use crate::bridge::Phase;

/// The body of both.
#[derive(Debug, Serialize)]
pub struct Health {
    /// `healthy`; of `/ready` also `starting` and `draining`.
    status: &'static str,
    /// Who speaks.
    service: &'static str,
    /// Our version.
    version: &'static str,
    /// Bridges by phase.
    bridges: Counts,
    /// Published tools.
    tools: usize,
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
    /// Down, tried again soon.
    backing_off: usize,
    /// Down, tried again rarely.
    failed: usize,
    /// Off.
    disabled: usize,
}

/// `GET /health`: 200 while the process serves, whatever its bridges do.
pub async fn health(State(state): State<Arc<AppState>>) -> impl IntoResponse {
    Json(report(&state, "healthy"))
}

/// `GET /ready`: 503 until every bridge had its first attempt, and while draining.
pub async fn ready(State(state): State<Arc<AppState>>) -> impl IntoResponse {
    if state.draining.is_cancelled() {
        return (
            StatusCode::SERVICE_UNAVAILABLE,
            Json(report(&state, "draining")),
        );
    }
    if !state.registry.is_settled() {
        return (
            StatusCode::SERVICE_UNAVAILABLE,
            Json(report(&state, "starting")),
        );
    }
    (StatusCode::OK, Json(report(&state, "healthy")))
}

/// Counts; no I/O, so it answers at once.
fn report(state: &AppState, status: &'static str) -> Health {
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
        } += 1;
    }
    Health {
        status,
        service: "mcp-bridge",
        version: env!("CARGO_PKG_VERSION"),
        bridges,
        tools,
    }
}
