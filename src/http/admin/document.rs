//! `GET /openapi.json`: the OpenAPI document of the admin API. It is built once, out of the routes
//! themselves.

use std::sync::{Arc, OnceLock};

use axum::{
    body::Body,
    extract::State,
    response::{IntoResponse as _, Response},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, StatusCode,
    header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, VARY},
};
use sha2::{Digest as _, Sha256};
use utoipa::{
    Modify, OpenApi as _,
    openapi::{
        OpenApi, Server,
        path::{HttpMethod, Operation, PathItem},
        security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};
use utoipa_axum::router::OpenApiRouter;

use super::{api, errors, guard::AdminCaller};
use crate::{
    error_code::ErrorCode,
    http::{AppState, error::ApiError, pages::is_known},
    openapi::RenderedDocument,
};

/// Where the routes are.
const PREFIX: &str = "/admin/api";

/// The document without its operations.
#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "mcp-bridge admin API",
        description = "Users, groups, grants, keys, bridges and the audit log of mcp-bridge.\n\n\
            Only administrators may use it. A change needs the header `Content-Type: application/json`, \
            even without a body, and is recorded in the audit log. Administrators of a workspace other \
            than the default one see and change only what belongs to their workspace.\n\n\
            Every answer has the header `X-Request-Id`. Every error has the same shape, with a `code` \
            for programs. If the bridge has no identity configured and listens only on loopback, it \
            accepts requests without credentials.",
    ),
    tags(
        (name = "Access", description = "Who may use what: your own identity, grants, explanations."),
        (name = "Users and groups", description = "Users, groups and administrators. They belong to no workspace."),
        (name = "API keys", description = "Keys by which programs authenticate at the bridge."),
        (name = "Group credentials", description = "Keys and addresses that the calls of a group use at a server."),
        (name = "Bridges", description = "Bridges and their status."),
        (name = "Accounts", description = "Accounts that callers connected at servers."),
        (name = "Audit", description = "The records of calls and of changes."),
        (name = "Configuration", description = "The configuration, and this document."),
    ),
    security(("bearer" = []), ("basic" = []), ("cookie" = [])),
    modifiers(&AdminSecurity),
)]
struct AdminDocument;

/// Adds the ways to authenticate.
struct AdminSecurity;

impl Modify for AdminSecurity {
    fn modify(&self, document: &mut OpenApi) {
        let http = |scheme, description| {
            let http = HttpBuilder::new().scheme(scheme);
            SecurityScheme::Http(http.description(Some(description)).build()).into()
        };
        let bearer = "An API key of an administrator, a session token of Open WebUI, or a token of a \
            configured OpenID issuer.";
        let basic = "An API key of an administrator as the password, with any name.";
        let cookie =
            "The session of an administrator of Open WebUI, if both are served on one host.";
        let cookie = ApiKeyValue::with_description("token", cookie);
        let components = document.components.get_or_insert_default();
        components.security_schemes.extend([
            ("bearer".to_owned(), http(HttpAuthScheme::Bearer, bearer)),
            ("basic".to_owned(), http(HttpAuthScheme::Basic, basic)),
            (
                "cookie".to_owned(),
                SecurityScheme::ApiKey(ApiKey::Cookie(cookie)).into(),
            ),
        ]);
        components.responses.extend(errors::responses());
        let error = errors::schema();
        components
            .schemas
            .insert(errors::ERROR.to_owned(), error.into());
    }
}

/// Shows this document
///
/// The document describes the whole admin API (OpenAPI 3.1). The answer has a strong `ETag`.
#[utoipa::path(
    get,
    path = "/openapi.json",
    operation_id = "show_document",
    tag = "Configuration",
    responses(
        (
            status = 200,
            description = "The document.",
            body = Object,
            headers(("etag" = String, description = "The version of the document.")),
        ),
        (status = 304, description = "You have this version already: `If-None-Match` names it."),
    ),
)]
pub async fn openapi(
    State(state): State<Arc<AppState>>,
    headers: HeaderMap,
    _admin: AdminCaller,
) -> Result<Response, ApiError> {
    // `root_path` applies after a restart, so the document never changes while the process runs.
    static DOCUMENT: OnceLock<Option<RenderedDocument>> = OnceLock::new();
    let document = DOCUMENT.get_or_init(|| {
        let settings = state.settings.load();
        written(&built(&settings.config.server.root_path))
    });
    let Some(document) = document else {
        let detail = "the document could not be written";
        return Err(ApiError::new(ErrorCode::Internal, detail));
    };
    let mut response = if is_known(&headers, &document.etag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        Response::new(Body::from(document.body.clone()))
    };
    let headers = response.headers_mut();
    let fixed = [
        (CONTENT_TYPE, "application/json"),
        (CACHE_CONTROL, "private, no-cache"),
        (VARY, "authorization, cookie"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if let Ok(etag) = HeaderValue::from_str(&document.etag) {
        headers.insert(ETAG, etag);
    }
    Ok(response)
}

/// Builds the document out of the routes.
pub(super) fn built(root_path: &str) -> OpenApi {
    let frame = OpenApiRouter::with_openapi(AdminDocument::openapi());
    let mut document = frame.nest(PREFIX, api()).into_openapi();
    if !root_path.is_empty() {
        document.servers = Some(vec![Server::new(root_path)]);
    }
    for item in document.paths.paths.values_mut() {
        for (method, operation) in operations(item) {
            errors::describe(&method, operation);
        }
    }
    document
}

/// The operations of a path.
fn operations(item: &mut PathItem) -> impl Iterator<Item = (HttpMethod, &mut Operation)> {
    [
        (HttpMethod::Get, &mut item.get),
        (HttpMethod::Post, &mut item.post),
        (HttpMethod::Put, &mut item.put),
        (HttpMethod::Patch, &mut item.patch),
        (HttpMethod::Delete, &mut item.delete),
    ]
    .into_iter()
    .filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
}

/// The bytes of the document and their tag.
fn written(document: &OpenApi) -> Option<RenderedDocument> {
    let body = Bytes::from(serde_json::to_vec(document).ok()?);
    let etag = format!("\"{}\"", URL_SAFE_NO_PAD.encode(Sha256::digest(&body)));
    Some(RenderedDocument { body, etag })
}
