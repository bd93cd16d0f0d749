//! The path prefix of a reverse proxy. The proxy may or may not strip it.

use axum::extract::Request;
use http::{Uri, uri::PathAndQuery};

/// Removes `root_path` from a request's path, so that routes work with and without the prefix. mcpo
/// serves its bridges only with the prefix, so it answers 404 behind a proxy that strips it.
pub fn strip_root_path(root_path: &str, mut request: Request) -> Request {
    if root_path.is_empty() {
        return request;
    }
    let rest = request
        .uri()
        .path_and_query()
        .and_then(|path| path.as_str().strip_prefix(root_path))
        .filter(|rest| rest.is_empty() || rest.starts_with(['/', '?']))
        .map(|rest| {
            if rest.starts_with('/') {
                rest.to_owned()
            } else {
                format!("/{rest}")
            }
        });
    if let Some(path) = rest.and_then(|rest| PathAndQuery::try_from(rest).ok()) {
        let mut parts = request.uri().clone().into_parts();
        parts.path_and_query = Some(path);
        if let Ok(uri) = Uri::from_parts(parts) {
            *request.uri_mut() = uri;
        }
    }
    request
}
