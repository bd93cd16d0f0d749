//! The routes that serve metrics, and the access check.

use std::sync::Arc;

use axum::{
    Router,
    extract::State,
    response::{IntoResponse as _, Response},
    routing::get,
};
use http::header::CONTENT_TYPE;

use super::{bridges, page::MetricsPage, process};
use crate::{
    config::{Flavor, MetricsAudience},
    error_code::ErrorCode,
    http::{AppState, error::ApiError, identity, sender::RequestSender},
};

/// `GET /metrics` on the address that serves callers.
pub async fn metrics(
    State(state): State<Arc<AppState>>,
    sender: RequestSender,
) -> Result<Response, ApiError> {
    let settings = state.settings.load_full();
    match settings.config.telemetry.metrics {
        MetricsAudience::Everyone => {}
        MetricsAudience::Off => {
            let detail =
                "`/metrics` is not served here; the setting `metrics` in [telemetry] turns it on";
            return Err(ApiError::not_found(detail));
        }
        MetricsAudience::Admins => {
            let view = identity::view(&settings, &sender).await;
            // The metrics count the calls of every workspace.
            if !identity::administers_all(&view.map_err(ApiError::without_prompt)?) {
                let detail = "only an administrator of the default workspace may read metrics; in [telemetry], `metrics = \"open\"` shows them to every caller, and `metrics_listen` serves them on another address";
                return Err(ApiError::new(ErrorCode::Forbidden, detail));
            }
        }
    }
    page(&state).await
}

/// The router for the address that serves only metrics. Every client that can reach this address
/// may read them.
pub fn open_router(state: &Arc<AppState>) -> Router {
    let open = async |State(state): State<Arc<AppState>>| {
        let page = page(&state).await;
        page.unwrap_or_else(|error| error.render("none", Flavor::Native))
    };
    let routes = Router::new().route("/metrics", get(open));
    routes.with_state(Arc::clone(state))
}

/// Collects all metrics.
async fn page(state: &AppState) -> Result<Response, ApiError> {
    let usage = state.metering.usage(state.registry.tracker()).await;
    let mut page = MetricsPage::default();
    process::add(&mut page, state);
    bridges::add(&mut page, state.registry.roster().bridges(), &usage);
    let (content_type, text) = page.render().map_err(|error| {
        tracing::error!(%error, "the metrics could not be encoded");
        let detail = "the metrics could not be encoded; the log has the reason";
        ApiError::new(ErrorCode::Internal, detail)
    })?;
    Ok(([(CONTENT_TYPE, content_type)], text).into_response())
}
