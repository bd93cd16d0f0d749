//! The admin page: three files in the binary. They hold no data; the admin API identifies the
//! caller for every request of the page.

use std::sync::Arc;

use axum::{
    Router,
    body::Body,
    extract::State,
    response::{IntoResponse as _, Response},
    routing::get,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{
    HeaderMap, HeaderName, HeaderValue, StatusCode,
    header::{
        CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, REFERRER_POLICY,
        X_CONTENT_TYPE_OPTIONS,
    },
};
use sha2::{Digest as _, Sha256};

use crate::http::{
    AppState,
    pages::{escape, is_known},
};

/// The page. `{{root}}` is the path prefix that a reverse proxy adds.
const PAGE: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// The policy of the page: it may run its own script and send requests to its own host, nothing
/// else. The page shows texts of servers and callers. This policy keeps such a text from running as
/// a script even if the page has a bug.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
    img-src data:; form-action 'none'; base-uri 'none'; frame-ancestors 'none'; \
    require-trusted-types-for 'script'; trusted-types 'none'";

/// The routes of the page. They need no credentials, because the files hold no data.
pub fn routes() -> Router<Arc<AppState>> {
    Router::new()
        .route("/admin", get(page))
        .route("/admin/", get(page))
        .route("/admin/page.css", get(style))
        .route("/admin/page.js", get(script))
}

/// `GET /admin`
async fn page(State(state): State<Arc<AppState>>, headers: HeaderMap) -> Response {
    let settings = state.settings.load();
    let html = PAGE.replace("{{root}}", &escape(&settings.config.server.root_path));
    file(html, "text/html; charset=utf-8", &headers)
}

/// `GET /admin/page.css`
async fn style(headers: HeaderMap) -> Response {
    file(STYLE.to_owned(), "text/css; charset=utf-8", &headers)
}

/// `GET /admin/page.js`
async fn script(headers: HeaderMap) -> Response {
    file(
        SCRIPT.to_owned(),
        "text/javascript; charset=utf-8",
        &headers,
    )
}

/// Returns a file, or 304 if the browser already has it. Browsers revalidate each time, so they get
/// a new version at once.
fn file(text: String, kind: &'static str, asked: &HeaderMap) -> Response {
    let tag = format!("\"{}\"", URL_SAFE_NO_PAD.encode(Sha256::digest(&text)));
    let mut response = if is_known(asked, &tag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        Response::new(Body::from(text))
    };
    let headers = response.headers_mut();
    let fixed: [(HeaderName, &'static str); 5] = [
        (CONTENT_TYPE, kind),
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (CACHE_CONTROL, "no-cache"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if let Ok(tag) = HeaderValue::try_from(tag) {
        headers.insert(ETAG, tag);
    }
    response
}
