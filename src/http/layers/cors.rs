//! Cross-origin requests of browsers (Fetch standard, CORS protocol), as mcpo answers them.

use std::sync::Arc;

use arc_swap::ArcSwap;
use tower_http::cors::{AllowHeaders, AllowMethods, AllowOrigin, CorsLayer};

use crate::http::{identity::is_allowed_origin, state::Settings};

/// Allowed origins are echoed, with credentials: pages of `Open WebUI` send them. The list is read
/// from the settings in force, so that a reload applies.
pub fn cors(settings: Arc<ArcSwap<Settings>>) -> CorsLayer {
    let allowed = AllowOrigin::predicate(move |origin, _parts| {
        let settings = settings.load();
        let origin = origin.to_str().unwrap_or_default();
        is_allowed_origin(&settings.config.server.cors_allow_origins, origin)
    });
    CorsLayer::new()
        .allow_origin(allowed)
        .allow_credentials(true)
        .allow_methods(AllowMethods::mirror_request())
        .allow_headers(AllowHeaders::mirror_request())
        .max_age(std::time::Duration::from_mins(10))
}
