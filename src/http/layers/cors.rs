//! CORS for browsers (Fetch standard, CORS protocol), with the same answers as mcpo.

use std::sync::Arc;

use arc_swap::ArcSwap;
use tower_http::cors::{AllowHeaders, AllowMethods, AllowOrigin, CorsLayer};

use crate::{
    config::{Config, Flavor},
    http::browser::is_allowed_origin,
    settings::ReloadableSettings,
};

/// Allowed origins are echoed and may send credentials, because pages of Open WebUI send them. The
/// admin routes allow no other origin. The list of origins is read from the current settings, so a
/// reload applies at once.
pub fn cors(settings: Arc<ArcSwap<ReloadableSettings>>) -> CorsLayer {
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

/// Whether a path is below `/admin`, with or without the root path. Under mcpo's rules `admin` can
/// only be the name of a server.
fn is_admin_route(config: &Config, path: &str) -> bool {
    let path = path.strip_prefix(&config.server.root_path).unwrap_or(path);
    let mut segments = path.split('/').filter(|segment| !segment.is_empty());
    config.flavor == Flavor::Native && segments.next() == Some("admin")
}
