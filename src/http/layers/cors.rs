//! Cross-origin requests of browsers (Fetch standard, CORS protocol), as mcpo answers them.

use std::sync::Arc;

use arc_swap::ArcSwap;
use tower_http::cors::{AllowHeaders, AllowMethods, AllowOrigin, CorsLayer};

use crate::{
    config::{Config, Flavor},
    http::{browser::is_allowed_origin, state::Settings},
};

/// Administration is for pages of our own. Allowed origins are echoed, with credentials: pages of `Open WebUI` send them. The list is read
/// from the settings in force, so that a reload applies.
pub fn cors(settings: Arc<ArcSwap<Settings>>) -> CorsLayer {
    let allowed = AllowOrigin::predicate(move |origin, parts| {
        let settings = settings.load();
        if is_admin_route(&settings.config, parts.uri.path()) {
            return false;
        }
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

/// Whether a path is below `/admin`, with the root path or without. Under mcpo's rules `admin` is
/// the name of a server, if anything.
fn is_admin_route(config: &Config, path: &str) -> bool {
    let path = path.strip_prefix(&config.server.root_path).unwrap_or(path);
    let mut segments = path.split('/').filter(|segment| !segment.is_empty());
    config.flavor == Flavor::Native && segments.next() == Some("admin")
}
