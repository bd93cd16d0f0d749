//! [`AdminCaller`]: the check in front of every admin route. [`JsonBody`], [`QueryParams`] and [`PathName`]:
//! checked bodies, queries and names in paths.

use std::sync::Arc;

use axum::{
    extract::{FromRequest, FromRequestParts, Path, Query, Request},
    http::request::Parts,
};
use http::{Method, header::CONTENT_TYPE};
use serde::de::DeserializeOwned;

use crate::{
    access::Permissions,
    config::DEFAULT_WORKSPACE,
    credential::EncryptionKeys,
    error_code::ErrorCode,
    http::{AppState, body, browser, error::ApiError, identity, sender::RequestSender},
    settings::ReloadableSettings,
    store::{ChangeActor, Store, StoreError},
};

/// The largest body of a change, in bytes.
const BODY_BYTES_MAX: usize = 64 << 10;

/// The name that the store uses for rows of every workspace. Only the operator may use it. A token
/// or header that claims it is refused.
const EVERY_WORKSPACE: &str = "*";

/// An administrator who sends a request.
#[derive(Debug)]
pub struct AdminCaller {
    /// The settings that were used to check the administrator.
    pub settings: Arc<ReloadableSettings>,
    /// The administrator, for the records of changes and to choose the workspace.
    pub actor: ChangeActor,
    /// Whether they administer every workspace.
    pub administers_all: bool,
    /// The tables.
    store: Option<Arc<Store>>,
    /// The key that encrypts secrets in the database.
    keyring: Option<Arc<EncryptionKeys>>,
}

impl AdminCaller {
    /// The tables, if there is a database.
    pub fn store(&self) -> Result<&Store, ApiError> {
        self.store.as_deref().ok_or_else(nothing_kept)
    }

    /// The key that encrypts secrets in the database, if there is one.
    pub fn keyring(&self) -> Result<&EncryptionKeys, ApiError> {
        self.keyring.as_deref().ok_or_else(nothing_kept)
    }
}

/// An administrator of every workspace. Only they manage what does not belong to a workspace
/// (groups, members, administrators, keys and endpoints of groups, bridges, the configuration), and
/// what sends the operator's credentials to another address.
#[derive(Debug)]
pub struct GlobalAdmin(pub AdminCaller);

impl AdminCaller {
    /// Refuses administrators of a single workspace.
    pub fn check_all(&self, what: &str) -> Result<(), ApiError> {
        if self.administers_all {
            return Ok(());
        }
        let detail = format!(
            "{what} applies to every workspace; only the operator (`mcp-bridge access`) and administrators of the workspace `{DEFAULT_WORKSPACE}` may do this"
        );
        Err(ApiError::new(ErrorCode::Forbidden, detail))
    }
}

impl FromRequestParts<Arc<AppState>> for GlobalAdmin {
    type Rejection = ApiError;

    async fn from_request_parts(
        parts: &mut Parts,
        state: &Arc<AppState>,
    ) -> Result<Self, ApiError> {
        let admin = AdminCaller::from_request_parts(parts, state).await?;
        admin.check_all("what this route shows or changes")?;
        Ok(Self(admin))
    }
}

impl FromRequestParts<Arc<AppState>> for AdminCaller {
    type Rejection = ApiError;

    async fn from_request_parts(
        parts: &mut Parts,
        state: &Arc<AppState>,
    ) -> Result<Self, ApiError> {
        let is_change = !parts.method.is_safe();
        let is_json = parts
            .headers
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .is_some_and(is_json);
        let sender = RequestSender::take(parts);
        let settings = state.settings.load_full();
        let view = identity::view(&settings, &sender).await;
        let view = view.map_err(ApiError::without_prompt)?;
        refuse_pages(&view, &sender, &parts.method)?;
        if !view.is_admin() {
            let detail = "only an administrator may do this; `mcp-bridge access admin E-MAIL` makes one, and so does ADMIN_EMAILS";
            return Err(ApiError::new(ErrorCode::Forbidden, detail));
        }
        // A form on another site cannot send this content type, and CORS refuses the preflight of a
        // script.
        if is_change && !is_json {
            let detail =
                "a change needs the header `Content-Type: application/json`, even without a body";
            return Err(ApiError::new(ErrorCode::UnsupportedMediaType, detail));
        }
        Ok(Self {
            administers_all: identity::administers_all(&view),
            actor: actor(&view)?,
            settings,
            store: state.store.clone(),
            keyring: state.keyring.clone(),
        })
    }
}

fn nothing_kept() -> ApiError {
    ApiError::new(
        ErrorCode::NoDatabase,
        "this needs a database: this bridge was started without one; set [database] in bridges.toml",
    )
}

/// Whether a content type is JSON, with any parameters.
fn is_json(value: &str) -> bool {
    let essence = value.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
}

/// The actor of a change.
fn actor(view: &Permissions) -> Result<ChangeActor, ApiError> {
    let caller = view.caller();
    if *caller.workspace == *EVERY_WORKSPACE {
        let detail = "`*` is not a valid workspace for a caller";
        return Err(ApiError::new(ErrorCode::Forbidden, detail));
    }
    Ok(ChangeActor {
        id: caller.id.to_string(),
        proof: caller.proof.as_str().to_owned(),
        workspace: caller.workspace.to_string(),
    })
}

/// Refuses a page of another origin that uses an administrator's cookie, even if
/// `cors_allow_origins` allows that origin elsewhere.
fn refuse_pages(
    view: &Permissions,
    sender: &RequestSender,
    method: &Method,
) -> Result<(), ApiError> {
    if browser::may_be_forged(view.caller()) && !browser::is_same_origin(sender) {
        tracing::warn!(%method, "a page of another origin tried the admin API");
        return Err(ApiError::new(
            ErrorCode::ForbiddenOrigin,
            "a page of another origin may not use the admin API",
        ));
    }
    Ok(())
}

/// A JSON body.
#[derive(Debug)]
pub struct JsonBody<T>(pub T);

impl<T: DeserializeOwned> FromRequest<Arc<AppState>> for JsonBody<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _state: &Arc<AppState>) -> Result<Self, ApiError> {
        let bytes = body::read(request.into_body(), BODY_BYTES_MAX, None).await?;
        serde_json::from_slice(&bytes)
            .map(JsonBody)
            .map_err(|error| {
                if error.is_data() {
                    invalid(error.to_string())
                } else {
                    let detail = format!("the body is not valid JSON: {error}");
                    ApiError::new(ErrorCode::InvalidJson, detail).of_caller()
                }
            })
    }
}

/// A query string.
#[derive(Debug)]
pub struct QueryParams<T>(pub T);

impl<T: DeserializeOwned> FromRequestParts<Arc<AppState>> for QueryParams<T> {
    type Rejection = ApiError;

    async fn from_request_parts(
        parts: &mut Parts,
        state: &Arc<AppState>,
    ) -> Result<Self, ApiError> {
        let read = Query::from_request_parts(parts, state).await;
        read.map(|Query(query)| Self(query))
            .map_err(|rejection| invalid(rejection.body_text()))
    }
}

/// The name in a path.
#[derive(Debug)]
pub struct PathName(pub String);

impl FromRequestParts<Arc<AppState>> for PathName {
    type Rejection = ApiError;

    async fn from_request_parts(
        parts: &mut Parts,
        state: &Arc<AppState>,
    ) -> Result<Self, ApiError> {
        let read = Path::from_request_parts(parts, state).await;
        read.map(|Path(name)| Self(name))
            .map_err(|_| invalid("the name in the path is not valid UTF-8; percent-encode it"))
    }
}

/// 422: the request is well-formed, but it cannot be carried out.
pub fn invalid(detail: impl Into<String>) -> ApiError {
    ApiError::new(ErrorCode::InvalidRequest, detail).of_caller()
}

/// Turns an error of the store into an error of the caller or of the server.
pub fn refused(error: StoreError) -> ApiError {
    match error {
        StoreError::Invalid(detail) => invalid(detail),
        other => ApiError::store(other),
    }
}
