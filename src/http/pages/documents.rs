//! The OpenAPI documents and the pages that show them. They are served from memory, and the pages
//! load nothing from other hosts.

use std::sync::{Arc, LazyLock};

use axum::{
    body::Body,
    extract::{Path, State},
    response::{IntoResponse as _, Response},
};
use http::{
    HeaderMap, HeaderValue, StatusCode,
    header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH, VARY},
};

use crate::{
    bridge::Bridge,
    config::{Config, Flavor},
    http::{error::ApiError, identity::reader, sender::RequestSender, state::AppState},
    name::BridgeName,
    openapi::RenderedDocument,
};

/// The HTML of the page. [`page`] fills in the placeholders.
const PAGE: &str = include_str!("docs.html");
/// The script that starts the page. It is a separate file because the policy forbids inline
/// scripts.
const SCRIPT: &str = include_str!("docs.js");
/// The policy of the page: it may run Swagger UI from the bridge's own files and send requests to
/// its own host. Descriptions come from servers, so images in them are not loaded from other hosts.
/// No other page can frame it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
    img-src 'self' data:; font-src 'self' data:; form-action 'none'; base-uri 'none'; \
    frame-ancestors 'none'";
/// The files of Swagger UI that the page loads. Its other files are pages with scripts, so they are
/// not served.
const FILES: [&str; 4] = [
    "swagger-ui.css",
    "swagger-ui-bundle.js",
    "favicon-32x32.png",
    "favicon-16x16.png",
];
/// The link to the admin page.
const ADMIN: &str = r#"<p class="wrapper"><a href="{{root}}/admin">Administration</a></p>
"#;

/// `GET /openapi.json`
pub async fn merged(
    State(state): State<Arc<AppState>>,
    sender: RequestSender,
) -> Result<Response, ApiError> {
    serve(&state, None, &sender).await
}

/// `GET /{bridge}/openapi.json`
pub async fn of_bridge(
    state: &AppState,
    bridge: &Bridge,
    sender: &RequestSender,
) -> Result<Response, ApiError> {
    serve(state, Some(bridge.name()), sender).await
}

/// The document of all tools or of one bridge. It contains the tools that the caller may call.
async fn serve(
    state: &AppState,
    bridge: Option<&BridgeName>,
    sender: &RequestSender,
) -> Result<Response, ApiError> {
    let settings = state.settings.load_full();
    let view = reader(&settings, sender).await?;
    if let (Some(view), Some(bridge)) = (&view, bridge) {
        view.enter(bridge)
            .map_err(|denial| ApiError::access_refused(&denial, bridge, None))?;
    }
    let found = state.registry.document(bridge, view.as_ref()).await;
    let found = found.ok_or_else(|| match bridge {
        Some(bridge) => ApiError::not_found(format!("there is no bridge `{bridge}`")),
        None => ApiError::not_found("the document could not be built"),
    })?;
    let mut response = document(&found, &sender.headers);
    if settings.access.is_enforced() {
        let headers = response.headers_mut();
        headers.append(VARY, HeaderValue::from_static("authorization, cookie"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    }
    Ok(response)
}

/// The document, or 304 if the client already has it.
fn document(document: &RenderedDocument, headers: &HeaderMap) -> Response {
    let mut response = if is_known(headers, &document.etag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let mut response = Response::new(Body::from(document.body.clone()));
        response
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    };
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if let Ok(etag) = HeaderValue::from_str(&document.etag) {
        headers.insert(ETAG, etag);
    }
    response
}

/// Whether the client already has the version with this tag (RFC 9110 §13.1.2).
pub fn is_known(headers: &HeaderMap, etag: &str) -> bool {
    headers.get_all(IF_NONE_MATCH).iter().any(|tags| {
        tags.to_str().is_ok_and(|tags| {
            tags.split(',')
                .map(str::trim)
                .any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
        })
    })
}

/// `GET /docs`
pub async fn docs(
    State(state): State<Arc<AppState>>,
    sender: RequestSender,
) -> Result<Response, ApiError> {
    let settings = state.settings.load_full();
    reader(&settings, &sender).await?;
    let config = &settings.config;
    let title = state.registry.title();
    let url = format!("{}/openapi.json", config.server.root_path);
    Ok(page(config, &title, &url))
}

/// `GET /{bridge}/docs`
pub async fn docs_of_bridge(
    state: &AppState,
    bridge: &Bridge,
    sender: &RequestSender,
) -> Result<Response, ApiError> {
    let settings = state.settings.load_full();
    if let Some(view) = reader(&settings, sender).await? {
        view.enter(bridge.name())
            .map_err(|denial| ApiError::access_refused(&denial, bridge.name(), None))?;
    }
    let config = &settings.config;
    let server = &config.server;
    let path = state.registry.bridge_path(bridge, &server.path_prefix);
    let title = bridge.title().map_or_else(
        || bridge.name().to_string(),
        |title| state.redactor.redact(&title).into_owned(),
    );
    let url = format!("{}{path}/openapi.json", server.root_path);
    Ok(page(config, &title, &url))
}

/// The page for one document. If there is an admin page, it links to it.
fn page(config: &Config, title: &str, url: &str) -> Response {
    let root_path = &config.server.root_path;
    let admin = match config.flavor {
        Flavor::Native => ADMIN.replace("{{root}}", &escape(root_path)),
        Flavor::Mcpo | Flavor::McpoSingle => String::new(),
    };
    let html = PAGE
        .replace("{{admin}}", &admin)
        .replace("{{title}}", &escape(title))
        .replace("{{assets}}", &escape(&format!("{root_path}/docs/assets")))
        .replace("{{url}}", &escape(url));
    let mut response = Response::new(Body::from(html));
    let fixed = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CONTENT_SECURITY_POLICY, POLICY),
        (CACHE_CONTROL, "no-cache"),
    ];
    for (name, value) in fixed {
        let headers = response.headers_mut();
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Escapes a text for HTML, also inside attributes.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;")
}

/// `GET /docs/assets/{file}`: files of Swagger UI from the binary.
pub async fn asset(Path(file): Path<String>) -> Result<Response, ApiError> {
    static CONFIG: LazyLock<Arc<utoipa_swagger_ui::Config<'static>>> =
        LazyLock::new(|| Arc::new(utoipa_swagger_ui::Config::from("openapi.json")));
    let missing = || ApiError::not_found(format!("there is no asset `{file}`"));
    if file == "docs.js" {
        return Ok(kept(
            Body::from(SCRIPT),
            "text/javascript; charset=utf-8",
            "no-cache",
        ));
    }
    if !FILES.contains(&file.as_str()) {
        return Err(missing());
    }
    let found = utoipa_swagger_ui::serve(&file, Arc::clone(&CONFIG)).map_err(|_| missing())?;
    let found = found.ok_or_else(missing)?;
    let body = Body::from(found.bytes.into_owned());
    Ok(kept(body, &found.content_type, "public, max-age=3600"))
}

/// A file that browsers may cache.
fn kept(body: Body, kind: &str, keep: &'static str) -> Response {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    if let Ok(kind) = HeaderValue::from_str(kind) {
        headers.insert(CONTENT_TYPE, kind);
    }
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(keep));
    response
}
