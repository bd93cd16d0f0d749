//! `GET /plan`: what a reload of the configuration on disk would change. It changes nothing.

use std::sync::Arc;

use axum::{Json, extract::State};
use serde::Serialize;
use utoipa::ToSchema;

use super::guard::GlobalAdmin;
use crate::{config::Diagnostic, http::AppState, name::BridgeName};

/// What a reload would change, or why it would change nothing.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum ReloadPreview {
    /// The configuration on disk is valid.
    Valid(PlannedChanges),
    /// The configuration on disk has errors. A reload would change nothing.
    Invalid(PlanProblems),
}

/// What a reload would change.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PlannedChanges {
    /// Always true.
    valid: bool,
    /// Whether a reload would change nothing.
    is_empty: bool,
    /// The bridges that would start.
    start: Vec<String>,
    /// The bridges that would stop.
    stop: Vec<String>,
    /// The bridges that would restart.
    restart: Vec<String>,
    /// The bridges that would keep their session.
    keep: Vec<String>,
    /// The sections of the configuration that differ.
    sections: Vec<&'static str>,
    /// The settings that differ and apply only after a restart of the process.
    after_restart: Vec<&'static str>,
    /// The warnings about the configuration. Secrets in them are replaced by stars.
    warnings: Vec<String>,
}

/// Why a reload would change nothing.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PlanProblems {
    /// Always false.
    valid: bool,
    /// All errors in the configuration. Secrets in them are replaced by stars.
    problems: Vec<String>,
}

/// Shows what a reload would change
///
/// The bridge reads the configuration on disk and compares it with the configuration in use. This
/// route changes nothing. It is for administrators of the default workspace.
#[utoipa::path(
    get,
    path = "/plan",
    operation_id = "preview_reload",
    tag = "Configuration",
    responses((
        status = 200,
        description = "The changes by bridge and section, or all errors in the configuration.",
        body = ReloadPreview,
    )),
)]
pub async fn plan(State(state): State<Arc<AppState>>, _admin: GlobalAdmin) -> Json<ReloadPreview> {
    let (plan, warnings) = match state.reloader.preview() {
        Ok(preview) => preview,
        Err(problems) => {
            return Json(ReloadPreview::Invalid(PlanProblems {
                valid: false,
                problems: texts(&problems),
            }));
        }
    };
    Json(ReloadPreview::Valid(PlannedChanges {
        valid: true,
        is_empty: plan.is_empty(),
        start: names(&plan.start),
        stop: names(&plan.stop),
        restart: names(&plan.restart),
        keep: names(&plan.keep),
        sections: plan.sections(),
        after_restart: plan.after_restart,
        warnings: texts(&warnings),
    }))
}

fn names(names: &[BridgeName]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}

/// The diagnostics as text. Secrets in them are replaced by stars.
fn texts(diagnostics: &[Diagnostic]) -> Vec<String> {
    diagnostics.iter().map(ToString::to_string).collect()
}
