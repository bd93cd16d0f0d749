//! What the routes of this room share.

use std::sync::Arc;

use axum::response::Response;

use super::page::{self, PageText};
use crate::{
    bridge::Bridge,
    call::shown,
    credential::{LoginError, LoginFlow},
    error_code::ErrorCode,
    http::{AppState, error::ApiError},
};

/// The bridge with this name.
pub fn bridge(state: &AppState, name: &str) -> Result<Arc<Bridge>, ApiError> {
    let found = state.registry.roster().get(name).map(Arc::clone);
    found.ok_or_else(|| {
        let name = shown(name);
        ApiError::not_found(format!("there is no bridge `{name}`"))
    })
}

/// The logins. They need a database.
pub fn logins(state: &AppState) -> Result<LoginFlow, ApiError> {
    state.credentials.accounts().logins().ok_or_else(|| {
        let words = "accounts cannot be connected: this bridge was started without a database; set [database] in bridges.toml";
        ApiError::new(ErrorCode::NoDatabase, words)
    })
}

/// The error for a failed login.
pub fn refused(error: &LoginError) -> ApiError {
    let code = match error {
        LoginError::Unknown => ErrorCode::LoginUnknown,
        LoginError::OtherBrowser => ErrorCode::OtherBrowser,
        LoginError::Refused(_) => ErrorCode::LoginRefused,
        LoginError::NotHere(_) => ErrorCode::NoLoginHere,
        LoginError::OAuth(_) => ErrorCode::UpstreamAuth,
        LoginError::Store(_) => ErrorCode::StoreUnavailable,
        LoginError::Key(_) | LoginError::Sealed(_) => ErrorCode::NoSecretKey,
    };
    ApiError::new(code, error.to_string())
}

/// The path prefix that a reverse proxy adds.
pub fn root_of(state: &AppState) -> String {
    state.settings.load().config.server.root_path.clone()
}

/// The page for a failed login, with the reason.
pub fn failed(state: &AppState, error: &LoginError) -> Response {
    let error = refused(error);
    let text = error.detail.as_str().unwrap_or_default().to_owned();
    let words = PageText {
        title: "Not connected",
        text: &text,
    };
    page::problem(
        &root_of(state),
        error.status,
        words,
        open_webui(state).as_ref(),
    )
}

/// The address where users sign in, if it is configured.
pub fn open_webui(state: &AppState) -> Option<url::Url> {
    state.settings.load().config.identity.open_webui.url.clone()
}
