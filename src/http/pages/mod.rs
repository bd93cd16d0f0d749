//! The routes that are not calls: documents, lists, probes, files, the reload, and the routes of the
//! Python proxy.

mod documents;
mod files;
mod former;
mod health;
mod lists;
mod refresh;

use std::sync::Arc;

use axum::{
    Router,
    routing::{get, post},
};

pub use documents::{docs_of_bridge, escape, is_known, of_bridge};
pub use lists::bridge;

use super::state::AppState;

/// The routes of every flavor.
pub fn routes() -> Router<Arc<AppState>> {
    Router::new()
        .route("/", get(lists::root))
        .route("/servers", get(lists::servers))
        .route("/health", get(health::health))
        .route("/ready", get(health::ready))
        .route("/refresh", post(refresh::refresh))
        .route("/openapi.json", get(documents::merged))
        .route("/docs", get(documents::docs))
        .route("/docs/", get(documents::docs))
        .route("/redoc", get(documents::docs))
        .route("/docs/assets/{file}", get(documents::asset))
}

/// The routes that only the native flavor has.
pub fn native_routes() -> Router<Arc<AppState>> {
    files::routes().merge(former::routes())
}
