//! `GET /plan`: what a reload of the configuration on disk would change. It changes nothing.

use std::sync::Arc;

use axum::{Json, extract::State};
use serde_json::{Value, json};

use super::guard::GlobalAdmin;
use crate::{config::Diagnostic, http::AppState, name::BridgeName};

/// The changes by bridge and section, or all errors.
pub async fn plan(State(state): State<Arc<AppState>>, _admin: GlobalAdmin) -> Json<Value> {
    let (plan, warnings) = match state.reloader.preview() {
        Ok(preview) => preview,
        Err(problems) => {
            return Json(json!({ "valid": false, "problems": texts(&problems) }));
        }
    };
    Json(json!({
        "valid": true,
        "is_empty": plan.is_empty(),
        "start": names(&plan.start),
        "stop": names(&plan.stop),
        "restart": names(&plan.restart),
        "keep": names(&plan.keep),
        "sections": plan.sections(),
        "after_restart": plan.after_restart,
        "warnings": texts(&warnings),
    }))
}

fn names(names: &[BridgeName]) -> Vec<&str> {
    names.iter().map(BridgeName::as_str).collect()
}

/// The diagnostics as text. Secrets in them are replaced by stars.
fn texts(diagnostics: &[Diagnostic]) -> Vec<String> {
    diagnostics.iter().map(ToString::to_string).collect()
}
