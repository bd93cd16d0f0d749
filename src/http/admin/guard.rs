//! [`Admin`]: the way into every admin route. [`Given`] and [`Asked`]: bodies and queries, checked.

use std::sync::Arc;

use axum::{
    extract::{FromRequest, FromRequestParts, Query, Request},
    http::request::Parts,
};
use http::{Method, header::CONTENT_TYPE};
use serde::de::DeserializeOwned;

use crate::{
    access::View,
    config::DEFAULT_WORKSPACE,
    credential::Keyring,
    error_code::ErrorCode,
    http::{AppState, Settings, body, browser, error::ApiError, identity, sender::Sender},
    store::{Actor, Store, StoreError},
};

/// No change is described in more, in bytes.
const BODY_BYTES_MAX: usize = 64 << 10;

/// The store's word for the rows of every workspace. It is the operator's; a token or header that
/// claims it gets nothing.
const EVERY_WORKSPACE: &str = "*";

/// An administrator who asks for something.
#[derive(Debug)]
pub struct Admin {
    /// The settings that they were checked with.
    pub settings: Arc<Settings>,
    /// Who they are, for records and for what they see.
    pub actor: Actor,
    /// Whether they administer every workspace.
    pub administers_all: bool,
    /// The tables.
    store: Option<Arc<Store>>,
    /// The key of what is sealed there.
    keyring: Option<Arc<Keyring>>,
}

impl Admin {
    /// The tables, where anything is kept.
    pub fn store(&self) -> Result<&Store, ApiError> {
        self.store.as_deref().ok_or_else(nothing_kept)
    }

    /// The key of what is sealed in the tables.
    pub fn keyring(&self) -> Result<&Keyring, ApiError> {
        self.keyring.as_deref().ok_or_else(nothing_kept)
    }
}

/// An administrator of every workspace. What knows no workspace is theirs alone (groups, members,
/// administrators, keys and endpoints of groups, bridges, the configuration), and so is what makes
/// the operator's credentials travel.
#[derive(Debug)]
pub struct Operator(pub Admin);

impl Admin {
    /// Refuses administrators of one workspace.
    pub fn check_all(&self, what: &str) -> Result<(), ApiError> {
        if self.administers_all {
            return Ok(());
        }
        let detail = format!(
            "{what} counts in every workspace; only the operator (`mcp-bridge access`) and administrators of the workspace `{DEFAULT_WORKSPACE}` may do this"
        );
        Err(ApiError::new(ErrorCode::Forbidden, detail))
    }
}

impl FromRequestParts<Arc<AppState>> for Operator {
    type Rejection = ApiError;

    async fn from_request_parts(
        parts: &mut Parts,
        state: &Arc<AppState>,
    ) -> Result<Self, ApiError> {
        let admin = Admin::from_request_parts(parts, state).await?;
        admin.check_all("what this route shows or changes")?;
        Ok(Self(admin))
    }
}

impl FromRequestParts<Arc<AppState>> for Admin {
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
        let sender = Sender::take(parts);
        let settings = state.settings.load_full();
        let view = identity::view(&settings, &sender).await;
        let view = view.map_err(ApiError::without_prompt)?;
        refuse_pages(&view, &sender, &parts.method)?;
        if !view.is_admin() {
            let detail = "only an administrator may do this; `mcp-bridge access admin E-MAIL` makes one, and so does ADMIN_EMAILS";
            return Err(ApiError::new(ErrorCode::Forbidden, detail));
        }
        // A form of another site can send neither this type nor a preflight that we would grant.
        if is_change && !is_json {
            let detail = "changes are sent with `Content-Type: application/json`, also where there is no body";
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
        "nothing is kept here: this bridge was started without bridges.toml, and without [database]",
    )
}

/// Whether a content type is JSON, whatever its parameters.
fn is_json(value: &str) -> bool {
    let essence = value.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
}

/// Who makes the changes.
fn actor(view: &View) -> Result<Actor, ApiError> {
    let caller = view.caller();
    if *caller.workspace == *EVERY_WORKSPACE {
        let detail = "`*` is no workspace of a caller";
        return Err(ApiError::new(ErrorCode::Forbidden, detail));
    }
    Ok(Actor {
        id: caller.id.to_string(),
        proof: caller.proof.as_str().to_owned(),
        workspace: caller.workspace.to_string(),
    })
}

/// No page but our own speaks for an administrator, whatever `cors_allow_origins` lets it do
/// elsewhere.
fn refuse_pages(view: &View, sender: &Sender, method: &Method) -> Result<(), ApiError> {
    if browser::may_be_forged(view.caller()) && !browser::is_same_origin(sender) {
        tracing::warn!(%method, "a page of another origin tried the admin API");
        return Err(ApiError::new(
            ErrorCode::ForbiddenOrigin,
            "a page of another origin may not administer",
        ));
    }
    Ok(())
}

/// A JSON body.
#[derive(Debug)]
pub struct Given<T>(pub T);

impl<T: DeserializeOwned> FromRequest<Arc<AppState>> for Given<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _state: &Arc<AppState>) -> Result<Self, ApiError> {
        let bytes = body::read(request.into_body(), BODY_BYTES_MAX, None).await?;
        serde_json::from_slice(&bytes).map(Given).map_err(|error| {
            if error.is_data() {
                invalid(error.to_string())
            } else {
                let detail = format!("the body is no JSON: {error}");
                ApiError::new(ErrorCode::InvalidJson, detail).of_caller()
            }
        })
    }
}

/// A query string.
#[derive(Debug)]
pub struct Asked<T>(pub T);

impl<T: DeserializeOwned> FromRequestParts<Arc<AppState>> for Asked<T> {
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

/// 422: understood, but not what can be done.
pub fn invalid(detail: impl Into<String>) -> ApiError {
    ApiError::new(ErrorCode::InvalidRequest, detail).of_caller()
}

/// What the store says, told apart by whose fault it is.
pub fn refused(error: StoreError) -> ApiError {
    match error {
        StoreError::Invalid(detail) => invalid(detail),
        other => ApiError::store(other),
    }
}
