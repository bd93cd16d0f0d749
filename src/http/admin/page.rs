//! The admin page: three files from inside the binary, without any data. Whoever opens it is asked
//! by the routes beside it who they are.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::State,
    response::{IntoResponse as _, Response},
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
    documents::{escape, is_known},
};

/// `{{root}}` is the path that a reverse proxy puts before ours.
const PAGE: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// What the page may do: run its own script and ask its own host, nothing else. Texts of servers
/// and callers stand in it, so no text may become a script even if the page had a mistake.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
    img-src data:; form-action 'none'; base-uri 'none'; frame-ancestors 'none'; \
    require-trusted-types-for 'script'; trusted-types 'none'";

/// `GET /admin`
pub async fn page(State(state): State<Arc<AppState>>, headers: HeaderMap) -> Response {
    let settings = state.settings.load();
    let html = PAGE.replace("{{root}}", &escape(&settings.config.server.root_path));
    file(html, "text/html; charset=utf-8", &headers)
}

/// `GET /admin/page.css`
pub async fn style(headers: HeaderMap) -> Response {
    file(STYLE.to_owned(), "text/css; charset=utf-8", &headers)
}

/// `GET /admin/page.js`
pub async fn script(headers: HeaderMap) -> Response {
    file(
        SCRIPT.to_owned(),
        "text/javascript; charset=utf-8",
        &headers,
    )
}

/// A file, or 304 where the browser has it: a new version of ours is seen at once.
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
