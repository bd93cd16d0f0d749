//! What a request carries to identify its sender.

use std::net::IpAddr;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::HeaderMap;

use super::AuthenticationError;

/// The parts of a request that can identify its sender.
#[derive(Debug, Clone, Copy)]
pub struct RequestCredentials<'a> {
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// The address of the peer.
    pub peer: Option<IpAddr>,
}

/// The password of Basic credentials. The user name may be anything.
pub(super) fn basic_password(credentials: &str) -> Result<String, AuthenticationError> {
    let decoded = STANDARD
        .decode(credentials)
        .map_err(|_| AuthenticationError::Format)?;
    let text = String::from_utf8(decoded).map_err(|_| AuthenticationError::Format)?;
    let (_user, password) = text.split_once(':').ok_or(AuthenticationError::Format)?;
    Ok(password.to_owned())
}
