//! The HTTP routes. This module handles JSON and knows nothing of MCP.

mod admin;
mod answer;
mod body;
mod browser;
mod connect;
mod dispatch;
mod error;
mod file_links;
mod identity;
mod layers;
mod metrics;
mod missing;
mod outcome;
mod pages;
mod path;
mod sender;
mod server;
mod state;
mod tools;

use std::sync::Arc;

use axum::{Router, middleware::from_fn_with_state, routing::get};

pub use metrics::{ScrapeState, open_router as metrics_router};
pub use server::{BoundListener, bind};
pub use state::AppState;

use self::{
    error::ApiError,
    layers::{RefusalLogLimiter, RequestObserver},
};
use crate::config::Flavor;

/// The route table with its layers, from the outermost to the innermost.
pub fn router(state: &Arc<AppState>) -> Router {
    let settings = state.settings.load();
    let observer = Arc::new(RequestObserver {
        quiet: RefusalLogLimiter::default(),
        state: Arc::clone(state),
    });
    let flavor = settings.config.flavor;
    let routes = pages::routes().route("/metrics", get(metrics::metrics));
    let routes = match flavor {
        Flavor::Native => routes
            .merge(admin::page_routes())
            .merge(connect::routes())
            .merge(pages::native_routes())
            .nest("/admin/api", admin::routes())
            .nest("/admin", admin::former_routes()),
        Flavor::Mcpo | Flavor::McpoSingle => routes,
    };
    let routes = routes
        .fallback(dispatch::dispatch)
        .method_not_allowed_fallback(async || ApiError::method_not_allowed(None))
        .with_state(Arc::clone(state));
    let routes = if flavor == Flavor::Native {
        routes
    } else {
        routes.layer(from_fn_with_state(
            Arc::clone(state),
            dispatch::servers_first,
        ))
    };
    // All layers are added in one call, because each call would wrap every route in one more box,
    // which each request clones.
    routes.layer((
        from_fn_with_state(observer, layers::observe),
        layers::cors(Arc::clone(&state.settings)),
    ))
}
