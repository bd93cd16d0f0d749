//! The prefix of a reverse proxy, which may or may not strip it.

use axum::extract::Request;
use http::{Uri, uri::PathAndQuery};

/// Takes `root_path` off a request's path, so that routes answer with it and without it (mcpo
/// serves its bridges only with it, and a proxy that strips it finds nothing; mcpo contract B16).
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
